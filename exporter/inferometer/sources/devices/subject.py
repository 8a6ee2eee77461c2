# SPDX-License-Identifier: Apache-2.0
"""The rows of one GPU or MIG instance, read in the sampler child: what it says, what it refuses, what failed this time."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from inferometer.sources.devices import calls, codes, gpm
from inferometer.sources.devices.gpm import Gpm
from inferometer.sources.devices.peaks import Peaks

Complaint = tuple[str, str, str, str]  # device UUID, metric, call, reason
Mark = calls.Mark
Value = tuple[int, float] | tuple[int, float, int]  # the place of the quantity in the table, its value, and its index
Field = tuple[int, int]  # a field's id, with its scope
Answers = dict[Field | int, float | str]  # what was asked together: a field's or GPM metric's value, or why it has none

WITH_MIG = "not_while_mig_is_enabled"  # the reason of what is not asked then
_SELDOM = 10  # times that links are counted, until what all of them refused is asked for again
_MOST_FIELDS = 256  # asked in one call
_NO_FIELD = (0, 0)  # of a link beyond those that have an id


class _Item:
    """A row of a plan, or one link's or fan's part of it: the ways that were not refused, and what they left out."""

    __slots__ = ("decode", "index", "key", "left_out", "refusals", "row", "scale", "slot", "ways")

    def __init__(self, slot: int, row: calls.Row, index: int | None) -> None:
        self.slot = slot
        self.row = row
        self.index = index
        self.ways = row.ways  # tuples, which most items share: there are thousands
        self._choose()
        self.refusals: tuple[tuple[str, str], ...] = ()  # call and reason
        self.left_out: tuple[int, ...] = ()  # quantities that the way in use does not tell

    def missing(self) -> Iterable[str]:
        """Give the metrics that no way tells."""
        if not self.ways:
            return [quantity.metric for quantity in self.row.gives]
        return [self.row.gives[i].metric for i in self.left_out]

    def refuse(self, reason: str) -> None:
        """Go on to the next way."""
        self.refusals = (*self.refusals, (self.ways[0].call, reason))
        self.ways = self.ways[1:]
        self._choose()

    def _choose(self) -> None:
        """Note how the way in use is read: its key among what is asked together, and decoder and scale where that gives one number."""
        way = self.ways[0] if self.ways else None
        self.key: Field | int = self._key(way) if way else 0
        plain = self.key and way and len(self.row.gives) == 1
        self.scale = self.row.gives[0].scale if plain else None
        self.decode = way.decode if way else None

    def _key(self, way: calls.Way) -> Field | int:
        if isinstance(way.field, int):
            return (way.field, self.index or 0) if way.field else way.gpm
        return (way.field[self.index], 0) if self.index is not None and self.index < len(way.field) else _NO_FIELD


class _Plan(NamedTuple):
    """What is read when some tiers are due, as long as nothing more is refused."""

    items: Sequence[_Item]
    fields: Sequence[Field]
    metrics: gpm.Wanted


class Subject:
    """A GPU or instance. What it refuses is found once and not asked again, but for links: one may come up later."""

    def __init__(
        self, nvml: calls.Nvml, mark: Mark, uuid: str, table: Sequence[tuple[int, calls.Row]], gpm: Gpm | None = None
    ) -> None:
        self.uuid = uuid
        self.tiers: Collection[str] = ()  # that were read last
        self.latencies: dict[int, float] = {}  # of each field, in microseconds, the slowest of the last read
        self._nvml = nvml
        self._mark = mark
        self._gpm = gpm
        self._peaks = Peaks(nvml)
        self._items = [_Item(slot, row, None) for slot, row in table if row.each is None]
        self._each: dict[int, tuple[calls.Row, list[_Item]]] = {
            slot: (row, []) for slot, row in table if row.each is not None
        }
        self._plans: dict[tuple[str, ...], _Plan] = {}  # by the tiers that are due
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
        items, fields, metrics = self._plans.get(tuple(due)) or self._plan(tuple(due))
        answers: Answers = {_NO_FIELD: "not_supported"}
        if metrics and self._gpm is not None:
            answers.update(self._gpm.read(parent or handle, metrics).items())
        elif metrics:
            answers.update(dict.fromkeys(chain(*metrics), "not_supported"))
        self.latencies = {}
        self._ask_fields(handle, fields, answers)
        values: list[Value] = []
        again = self._read_items(items, handle, answers, values, failed)
        while again:  # those whose next way is a field that was not asked yet
            self._ask_fields(handle, _fields(again), answers)
            again = self._read_items(again, handle, answers, values, failed)
            values.sort(key=_place)  # as they will stand from now on: whoever compares two reads is spared
        return values

    def close(self) -> None:
        """Let go of what it holds in the driver."""
        if self._gpm is not None:
            self._gpm.close()

    def _plan(self, due: tuple[str, ...]) -> _Plan:
        """Lay out what is read when these tiers are due."""
        items = [item for item in self._items if item.ways and item.row.tier in due]
        expanded = chain.from_iterable(items for row, items in self._each.values() if row.tier in due)
        items += [item for item in expanded if item.ways]
        items.sort(key=lambda item: (item.slot, item.index or 0))
        metrics = gpm.wanted(item.key for item in items if isinstance(item.key, int) and item.key)
        plan = self._plans[due] = _Plan(items, _fields(items), metrics)
        return plan

    def _complaints(self, item: _Item) -> list[Complaint]:
        return [(self.uuid, metric, call, reason) for metric in item.missing() for call, reason in item.refusals]

    def _expand(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Count links and fans, and take up again those that refused: one that is down may be up at another time.

        What all of them refused is most likely of another generation, and taken up seldom.
        """
        self._counted += 1
        self._unsupported, self._plans = None, {}
        counts: dict[calls.Each, int | str] = {}
        for slot, (row, items) in self._each.items():
            each = row.each
            if each is None or self._uncounted.get(slot):
                continue
            if each not in counts:
                counts[each] = self._count(each, handle)
            count = counts[each]
            if isinstance(count, str):
                if count in codes.REFUSED:
                    self._uncounted[slot] = count
                else:
                    failed += [(self.uuid, quantity.metric, each.call, count) for quantity in row.gives]
                continue
            if len(items) == count and not any(item.ways for item in items) and self._counted % _SELDOM:
                continue
            items[:] = [items[i] if i < len(items) and items[i].ways else _Item(slot, row, i) for i in range(count)]

    def _count(self, each: calls.Each, handle: calls.Handle) -> int | str:
        try:
            return each.number(self._nvml, handle, self._mark)
        except Exception as error:
            return codes.explain(self._nvml, error)

    def _read_items(
        self,
        items: Sequence[_Item],
        handle: calls.Handle,
        answers: Answers,
        values: list[Value],
        failed: list[Complaint],
    ) -> list[_Item]:
        """Read by the first ways that are not refused; give those whose next way is a field that was not asked yet."""
        again = []
        for item in items:
            if item.scale is not None:  # most of them, and all is well
                answer = answers.get(item.key)
                if answer.__class__ is float and (0 <= answer < codes.NO_VALUE or codes.is_value(answer)):
                    try:
                        raw = answer if item.decode is None else item.decode(answer)[0]
                        value = item.scale(raw)  # type: ignore[arg-type]  # a decoder's None is one of those that are told below
                    except (ValueError, TypeError):
                        pass  # told below
                    else:
                        values.append((item.slot, value) if item.index is None else (item.slot, value, item.index))
                        continue
            if not self._read_item(item, handle, answers, values, failed):
                again.append(item)
        return again

    def _read_item(
        self, item: _Item, handle: calls.Handle, answers: Answers, values: list[Value], failed: list[Complaint]
    ) -> bool:
        """Read by the first way that is not refused; give whether it is done, or is a field that is still to be asked."""
        gives, slot, index = item.row.gives, item.slot, item.index
        while item.ways:
            way = item.ways[0]
            if way.field and item.key not in answers:
                return False
            try:
                raw = self._raw(item, way, handle, answers)
                pairs = [
                    (slot + i, gives[i].scale(x)) for i, x in enumerate(raw) if x is not None and codes.is_value(x)
                ]
            except Exception as error:
                reason = codes.explain(self._nvml, error)
            else:
                values += pairs if index is None else [(*pair, index) for pair in pairs]
                if item.refusals and raw and item.left_out != (left_out := tuple(_absent(raw))):
                    item.left_out = left_out
                    self._unsupported = None
                return True
            if reason not in codes.REFUSED:
                failed += [(self.uuid, quantity.metric, way.call, reason) for quantity in gives]
                return True
            item.refuse(reason)
            self._unsupported, self._plans = None, {}
        return True

    def _raw(self, item: _Item, way: calls.Way, handle: calls.Handle, answers: Answers) -> calls.Raw:
        """Read by one way; nothing where there is none now.

        Raises FieldError or RefusedError for an answer that is a reason, and what the binding raises.
        """
        if way.read is not None:
            self._mark(way.call)
            return way.read(self._nvml, handle) if item.index is None else way.read(self._nvml, handle, item.index)
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
        for i in range(0, len(wanted), _MOST_FIELDS):
            part = wanted[i : i + _MOST_FIELDS]
            self._mark(calls.FIELDS_CALL)
            try:
                told = self._nvml.nvmlDeviceGetFieldValues(handle, part)
                for field, (value, spent) in zip(part, codes.values_of(told), strict=True):
                    # A driver that does not know a field calls it an invalid argument.
                    answers[field] = "not_supported" if value == "invalid_argument" else value
                    if not isinstance(value, str) and spent >= self.latencies.get(field[0], 0):
                        self.latencies[field[0]] = spent
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                # What is wrong with the call as a whole refuses no single field.
                answers.update(dict.fromkeys(part, "unknown" if reason == "invalid_argument" else reason))


def _place(value: Value) -> tuple[object, ...]:
    return value[0], value[2:]


def _fields(items: Sequence[_Item]) -> list[Field]:
    """Give the fields that items want, each once."""
    wanted = dict.fromkeys(item.key for item in items if isinstance(item.key, tuple))
    wanted.pop(_NO_FIELD, None)
    return list(wanted)


def _absent(raw: calls.Raw) -> Iterator[int]:
    """Give the places of the quantities that a way does not tell."""
    return (i for i, x in enumerate(raw) if x is None)
