# SPDX-License-Identifier: Apache-2.0
"""The rows of one GPU or MIG instance, read in the sampler child: what it says, what it refuses, what failed this time."""

from collections.abc import Callable, Collection, Iterable, Sequence

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.gpm import Gpm
from inferometer.sources.devices.peaks import Peaks

Complaint = tuple[str, str, str, str]  # device UUID, metric, call, reason
Mark = Callable[[str], None]  # says which call is entered
Value = tuple[int, float] | tuple[int, float, int]  # the place of the quantity in the table, its value, and its index

WITH_MIG = "not_while_mig_is_enabled"  # the reason of what is not asked then
_MOST_FIELDS = 256  # asked in one call
_NO_FIELD = (0, 0)  # of a link beyond those that have an id


class _Item:
    """A row of a plan, or one link's or fan's part of it: the ways that were not refused, and what they left out."""

    __slots__ = ("index", "left_out", "refusals", "row", "slot", "ways")

    def __init__(self, slot: int, row: calls.Row, index: int | None) -> None:
        self.slot = slot
        self.row = row
        self.index = index
        self.ways = row.ways  # tuples, which most items share: there are thousands
        self.refusals: tuple[tuple[str, str], ...] = ()  # call and reason
        self.left_out: tuple[int, ...] = ()  # quantities that the way in use does not tell

    def missing(self) -> Iterable[str]:
        """Give the metrics that no way tells."""
        if not self.ways:
            return [quantity.metric for quantity in self.row.gives]
        return [self.row.gives[i].metric for i in self.left_out]

    def field(self) -> tuple[int, int] | None:
        """Give the field that it wants, with its scope."""
        if not self.ways or not self.ways[0].field:
            return None
        field = self.ways[0].field
        if isinstance(field, int):
            return field, self.index or 0
        return (field[self.index], 0) if self.index is not None and self.index < len(field) else _NO_FIELD


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
        items = [item for item in self._items if item.row.tier in due]
        items += [item for row, expanded in self._each.values() if row.tier in due for item in expanded]
        wanted = [item.ways[0].gpm for item in items if item.ways and item.ways[0].gpm]
        metrics = self._gpm.read(parent or handle, wanted) if self._gpm and wanted else {}
        self.latencies = {}
        values: list[Value] = []
        while items:
            fields = self._fields(handle, items)
            again = []
            for item in items:
                found = self._read_item(item, handle, fields, metrics, failed)
                if found is None:
                    again.append(item)
                else:
                    values += found
            items = again  # those whose next way is a field that was not asked yet
        return values

    def close(self) -> None:
        """Let go of what it holds in the driver."""
        if self._gpm is not None:
            self._gpm.close()

    def _complaints(self, item: _Item) -> list[Complaint]:
        return [(self.uuid, metric, call, reason) for metric in item.missing() for call, reason in item.refusals]

    def _expand(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Count links and fans, and take up again those that refused: one that is down may be up at another time."""
        self._unsupported = None
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
            items[:] = [items[i] if i < len(items) and items[i].ways else _Item(slot, row, i) for i in range(count)]

    def _count(self, each: calls.Each, handle: calls.Handle) -> int | str:
        self._mark(each.call)
        try:
            return each.number(self._nvml, handle)
        except Exception as error:
            return codes.explain(self._nvml, error)

    def _read_item(
        self,
        item: _Item,
        handle: calls.Handle,
        fields: dict[tuple[int, int], float | str],
        metrics: dict[int, float | str],
        failed: list[Complaint],
    ) -> list[Value] | None:
        """Read by the first way that is not refused; give None where that is a field that is still to be asked."""
        gives = item.row.gives
        while item.ways:
            way = item.ways[0]
            if way.field and item.field() not in fields:
                return None
            try:
                raw = self._raw(item, way, handle, fields, metrics)
                if item.refusals:
                    item.left_out = tuple(i for i, x in enumerate(raw) if x is None)
                    self._unsupported = None
                pairs = [
                    (item.slot + i, gives[i].scale(x)) for i, x in enumerate(raw) if x is not None and codes.is_value(x)
                ]
            except Exception as error:
                reason = codes.explain(self._nvml, error)
            else:
                return [(*pair, item.index) for pair in pairs] if item.index is not None else list(pairs)
            if reason not in codes.REFUSED:
                failed += [(self.uuid, quantity.metric, way.call, reason) for quantity in gives]
                break
            item.refusals = (*item.refusals, (way.call, reason))
            item.ways = item.ways[1:]
            self._unsupported = None
        return []

    def _raw(
        self,
        item: _Item,
        way: calls.Way,
        handle: calls.Handle,
        fields: dict[tuple[int, int], float | str],
        metrics: dict[int, float | str],
    ) -> calls.Raw:
        """Read by one way. Raises FieldError or RefusedError for an answer that is a reason, and what the binding raises."""
        if way.read is not None:
            self._mark(way.call)
            return way.read(self._nvml, handle) if item.index is None else way.read(self._nvml, handle, item.index)
        answer: float | str | None
        if way.samples:
            self._mark(way.call)
            answer = self._peaks.read(handle, way.samples)
        elif way.gpm:
            answer = metrics.get(way.gpm) if self._gpm else "not_supported"
        else:
            answer = fields[item.field() or _NO_FIELD]
        if isinstance(answer, str):
            # A driver that does not know a field calls it an invalid argument.
            raise codes.FieldError("not_supported" if way.field and answer == "invalid_argument" else answer)
        if answer is None or not codes.is_value(answer):
            return [None] * len(item.row.gives)
        return way.decode(answer) if way.decode else (answer,)

    def _fields(self, handle: calls.Handle, items: Sequence[_Item]) -> dict[tuple[int, int], float | str]:
        """Ask all fields in one call: a field's id and scope to its value, or to the name of its return code."""
        wanted = list(dict.fromkeys(field for item in items if (field := item.field())))
        found: dict[tuple[int, int], float | str] = {_NO_FIELD: "not_supported"}
        wanted = [field for field in wanted if field != _NO_FIELD]
        for i in range(0, len(wanted), _MOST_FIELDS):
            part = wanted[i : i + _MOST_FIELDS]
            self._mark(calls.FIELDS_CALL)
            try:
                answers = self._nvml.nvmlDeviceGetFieldValues(handle, part)
                for field, answer in zip(part, answers, strict=True):
                    found[field] = codes.value_of(answer)
                    spent = float(answer.latencyUsec)
                    if not answer.nvmlReturn and spent >= self.latencies.get(field[0], 0):
                        self.latencies[field[0]] = spent
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                # What is wrong with the call as a whole refuses no single field.
                found.update(dict.fromkeys(part, "unknown" if reason == "invalid_argument" else reason))
        return found
