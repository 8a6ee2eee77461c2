# SPDX-License-Identifier: Apache-2.0
"""The rows of one GPU or MIG instance, read in the sampler child: what it says, what it refuses, what failed this time."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices import items as reading
from inferometer.sources.devices.gpm import Gpm
from inferometer.sources.devices.items import NO_FIELD, Answers, Field, Item, Plan, Value
from inferometer.sources.devices.peaks import Peaks

Complaint = tuple[str, str, str, str]  # device UUID, metric, call, reason
Mark = calls.Mark

WITH_MIG = "not_while_mig_is_enabled"  # the reason of what is not asked then
_SELDOM = 10  # times that links are counted, until what all of them refused is asked for again
_MOST_FIELDS = 256  # asked in one call
_NO_VALUE = float(codes.NO_VALUE)


class Subject:
    """A GPU or instance. What it refuses is found once and not asked again, but for links: one may come up later."""

    def __init__(
        self, nvml: calls.Nvml, mark: Mark, uuid: str, table: Sequence[tuple[int, calls.Row]], gpm: Gpm | None = None
    ) -> None:
        self.uuid = uuid
        self.tiers: Collection[str] = ()  # that were read last
        self.latencies: dict[int, int] = {}  # of each field, in microseconds, the slowest of the last read
        self._nvml = nvml
        self._mark = mark
        self._gpm = gpm
        self._peaks = Peaks(nvml)
        self._items = [Item(slot, row, None) for slot, row in table if row.each is None]
        self._each: dict[int, tuple[calls.Row, list[Item]]] = {
            slot: (row, []) for slot, row in table if row.each is not None
        }
        self._plans: dict[tuple[str, ...], Plan] = {}  # by the tiers that are due
        self._counted = -1  # how often links and fans were counted since the first time
        self._uncounted: dict[int, str] = {}  # rows of which there are none, by slot: the reason
        self._refused: list[Complaint] = []
        self._unsupported: list[Complaint] | None = None  # while nothing has changed of it

    @property
    def unsupported(self) -> list[Complaint]:
        """What the device does not tell, with the calls that it refused, each once."""
        if self._unsupported is None:
            self._unsupported = self._complain()
        return self._unsupported

    def _complain(self) -> list[Complaint]:
        complaints = list(self._refused)
        for item in self._items:
            complaints += self._complaints(item)
        for slot, (row, items) in self._each.items():
            if row.each is not None and slot in self._uncounted:
                complaints += [
                    (self.uuid, quantity.metric, row.each.call, self._uncounted[slot]) for quantity in row.gives
                ]
            elif not any(item.ways for item in items):
                complaints += [complaint for item in items for complaint in self._complaints(item)]
        return list(dict.fromkeys(complaints))

    def refuse(self, metric: str, call: str, reason: str) -> None:
        """Note a call outside of the table that the device refused; the same one again changes nothing."""
        if (complaint := (self.uuid, metric, call, reason)) not in self._refused:
            self._refused.append(complaint)
            self._unsupported = None

    def read(
        self, handle: calls.Handle, due: Collection[str], failed: list[Complaint], parent: calls.Handle = None
    ) -> list[Value]:
        """Read the rows of the tiers that are due. A row that fails costs only itself, and is told in `failed`.

        `parent` is the handle of an instance's GPU.

        Raises LostError where the GPU is lost, GoneError where the driver is.
        """
        self.tiers = due = due if self.tiers else calls.TIERS  # whatever is due, a new one is read as a whole
        if calls.SLOW in due:
            self._expand(handle, failed)
        plan = self._plans.get(tuple(due)) or self._plan(tuple(due))
        answers: Answers = {NO_FIELD: "not_supported"}
        if plan.metrics and self._gpm is not None:
            answers.update(self._gpm.read(parent or handle, plan.metrics).items())
        elif plan.metrics:
            answers.update(dict.fromkeys(chain(*plan.metrics), "not_supported"))
        self.latencies = {}
        self._ask_fields(handle, plan.fields, answers)
        values: list[Value] = []
        again = self._read_plan(plan, handle, answers, values, failed)
        while again:  # those whose next way is a field that was not asked yet
            self._ask_fields(handle, reading.fields(again), answers)
            again = [item for item in again if not self._read_item(item, handle, answers, values, failed)]
            values.sort(key=_place)  # as they will stand from now on: whoever compares two reads is spared
        return values

    def close(self) -> None:
        """Let go of what it holds in the driver."""
        if self._gpm is not None:
            self._gpm.close()

    def _plan(self, due: tuple[str, ...]) -> Plan:
        """Lay out what is read when these tiers are due."""
        wanted = [item for item in self._items if item.ways and item.row.tier in due]
        expanded = chain.from_iterable(items for row, items in self._each.values() if row.tier in due)
        wanted += [item for item in expanded if item.ways]
        wanted.sort(key=lambda item: (item.slot, item.index or 0))
        plan = self._plans[due] = reading.plan(wanted, self._nvml)
        return plan

    def _complaints(self, item: Item) -> list[Complaint]:
        return [(self.uuid, metric, call, reason) for metric in item.missing() for call, reason in item.refusals]

    def _expand(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Count links and fans, and take up again those that refused: one that is down may be up at another time.

        What all of them refused is most likely of another generation, and taken up seldom.
        """
        self._counted += 1
        counts: dict[calls.Each, int | str] = {}
        for slot, (row, known) in self._each.items():
            each = row.each
            if each is None or self._uncounted.get(slot):
                continue
            if each not in counts:
                counts[each] = self._count(each, handle)
            count = counts[each]
            if isinstance(count, str):
                if count in codes.REFUSED:
                    self._uncounted[slot] = count
                    self._unsupported = None
                else:
                    failed += [(self.uuid, quantity.metric, each.call, count) for quantity in row.gives]
                continue
            if len(known) == count and not any(item.ways for item in known) and self._counted % _SELDOM:
                continue
            now = [known[i] if i < len(known) and known[i].ways else Item(slot, row, i) for i in range(count)]
            if now != known:
                known[:] = now
                self._unsupported, self._plans = None, {}

    def _count(self, each: calls.Each, handle: calls.Handle) -> int | str:
        try:
            return each.number(self._nvml, handle, self._mark)
        except Exception as error:
            return codes.explain(self._nvml, error)

    def _read_plan(
        self, plan: Plan, handle: calls.Handle, answers: Answers, values: list[Value], failed: list[Complaint]
    ) -> list[Item]:
        """Read by the first ways that are not refused; give those whose next way is a field that was not asked yet."""
        again = []
        for item, answer in zip(plan.items, map(answers.get, plan.keys), strict=True):
            if answer.__class__ is float and 0 <= answer <= item.most and answer != _NO_VALUE:  # most of them
                value = answer / item.divisor
                values.append((item.slot, value) if item.index is None else (item.slot, value, item.index))
                continue
            if answer is not None and answer == item.seen:
                values += item.values
                continue
            error: Exception | None = None
            if item.function is not None and item.scale is not None:
                self._mark(item.ways[0].call)
                try:
                    number = calls.first(item.function(handle, *item.given))
                    if 0 <= number < codes.NO_VALUE or codes.is_value(number):
                        values.append((item.slot, item.scale(number)))
                    continue
                except Exception as caught:
                    error = caught
            if not self._read_item(item, handle, answers, values, failed, error):
                again.append(item)
        return again

    def _read_item(
        self,
        item: Item,
        handle: calls.Handle,
        answers: Answers,
        values: list[Value],
        failed: list[Complaint],
        error: Exception | None = None,
    ) -> bool:
        """Read by the first way that is not refused; give whether it is done, or is a field that is still to be asked.

        `error` is what the way in use has just failed with, if it was tried.
        """
        index = item.index
        while item.ways:
            way = item.ways[0]
            try:
                if error is not None:
                    raise error
                if way.read is not None:
                    self._mark(way.call)
                    raw = way.read(self._nvml, handle) if index is None else way.read(self._nvml, handle, index)
                elif way.field and item.key not in answers:
                    return False
                else:
                    raw = self._answered(item, way, handle, answers)
                seen = raw if way.read is not None else answers.get(item.key, raw)
                told = item.values if seen == item.seen else item.tell(seen, raw)
            except Exception as caught:
                error, reason = None, codes.explain(self._nvml, caught)
            else:
                values += told
                if item.refusals and raw and item.left_out != (left_out := tuple(_absent(raw))):
                    item.left_out = left_out
                    self._unsupported = None
                return True
            if reason not in codes.REFUSED:
                failed += [(self.uuid, quantity.metric, way.call, reason) for quantity in item.row.gives]
                return True
            item.refuse(reason)
            self._unsupported, self._plans = None, {}
        return True

    def _answered(self, item: Item, way: calls.Way, handle: calls.Handle, answers: Answers) -> calls.Raw:
        """Read by one way that is no call of its own; nothing where there is none now.

        Raises FieldError or RefusedError for an answer that is a reason, and what the binding raises.
        """
        answer: float | str | None
        if way.samples:
            self._mark(way.call)
            answer = self._peaks.read(handle, way.samples)
        else:
            answer = answers.get(item.key)
        if isinstance(answer, str):
            raise codes.FieldError(answer)
        if answer is None or not codes.is_value(answer):
            return ()
        return way.decode(answer) if way.decode else (answer,)

    def _ask_fields(self, handle: calls.Handle, wanted: Sequence[Field], answers: Answers) -> None:
        """Ask all fields in one call."""
        latencies = self.latencies
        for i in range(0, len(wanted), _MOST_FIELDS):
            part = wanted[i : i + _MOST_FIELDS]
            self._mark(calls.FIELDS_CALL)
            try:
                told = self._nvml.nvmlDeviceGetFieldValues(handle, part)
                values, spent = codes.values_of(told)
                answers.update(zip(part, values, strict=True))
                for field, value, took in zip(part, values, spent, strict=True):
                    if value.__class__ is not str:
                        if took >= latencies.get(field[0], 0):
                            latencies[field[0]] = took
                    elif value == "invalid_argument":  # what a driver calls a field that it does not know
                        answers[field] = "not_supported"
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                # What is wrong with the call as a whole refuses no single field.
                answers.update(dict.fromkeys(part, "unknown" if reason == "invalid_argument" else reason))


def _place(value: Value) -> tuple[object, ...]:
    return value[0], value[2:]


def _absent(raw: calls.Raw) -> Iterator[int]:
    """Give the places of the quantities that a way does not tell."""
    return (i for i, x in enumerate(raw) if x is None)
