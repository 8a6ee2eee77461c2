# SPDX-License-Identifier: Apache-2.0
"""The rows of a device as they are read, in the sampler child: by which way now, and what is read together in which order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from inferometer.sources.devices import calls, codes, gpm

Value = tuple[int, float] | tuple[int, float, int]  # the place of the quantity in the table, its value, and its index
Field = tuple[int, int]  # a field's id, with its scope
Key = Field | int  # of what is asked together: a field, or a GPM metric's id
Answers = dict[Key, float | str]  # what was asked together: its value, or why it has none

NO_FIELD: Field = (0, 0)  # of a link beyond those that have an id
_NO_DIVISION = (-1.0, 1.0)  # no number is low enough for it


class Item:
    """A row, or one link's or fan's part of it: the ways that were not refused, and what they left out."""

    __slots__ = (
        *("decode", "divisor", "function", "given", "index", "key", "left_out", "most"),
        *("refusals", "row", "scale", "seen", "slot", "values", "ways"),
    )

    def __init__(self, slot: int, row: calls.Row, index: int | None) -> None:
        self.slot = slot
        self.row = row
        self.index = index
        self.ways = row.ways  # tuples, which most items share: there are thousands
        self.seen: object = (
            None  # by the way in use: what was answered last, or the raw numbers of a call; not of a division
        )
        self.values: Sequence[Value] = ()  # and what that told
        self.function: Callable[..., Any] | None = None
        self.given: Sequence[Any] = ()  # behind the handle
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

    def find(self, nvml: calls.Nvml) -> None:
        """Find the function of a way that is a plain call of one number; one that is not there fails when it is read."""
        way = self.ways[0]
        if way.arguments is None or self.scale is None or self.index is not None:
            return
        given = [getattr(nvml, x, None) if isinstance(x, str) else x for x in way.arguments]
        if None not in given:
            self.function, self.given = getattr(nvml, way.call, None), given

    def tell(self, seen: object, raw: calls.Raw) -> Sequence[Value]:
        """Give the values that raw numbers tell, and remember for what they were read: the same tells the same again."""
        gives, slot, index = self.row.gives, self.slot, self.index
        pairs = [(slot + i, gives[i].scale(x)) for i, x in enumerate(raw) if x is not None and codes.is_value(x)]
        self.values = pairs if index is None else [(*pair, index) for pair in pairs]
        self.seen = seen
        return self.values

    def _choose(self) -> None:
        """Note how the way in use is read: its key among what is asked together, and how one number of it becomes the value."""
        way = self.ways[0] if self.ways else None
        self.key: Key = self._key(way) if way else 0
        self.scale = self.row.gives[0].scale if way and len(self.row.gives) == 1 else None
        self.decode = way.decode if way else None
        self.most, self.divisor = _NO_DIVISION
        if self.key and self.scale is not None:
            self.most, self.divisor = calls.DIVISIONS.get((self.decode, self.scale), _NO_DIVISION)
        self.function = None
        self.seen = None

    def _key(self, way: calls.Way) -> Key:
        if isinstance(way.field, int):
            return (way.field, self.index or 0) if way.field else way.gpm
        return (way.field[self.index], 0) if self.index is not None and self.index < len(way.field) else NO_FIELD


class Plan(NamedTuple):
    """What is read when some tiers are due, as long as nothing more is refused."""

    items: Sequence[Item]
    keys: Sequence[Key]  # theirs
    fields: Sequence[Field]
    metrics: gpm.Wanted


def plan(items: Sequence[Item], nvml: calls.Nvml) -> Plan:
    """Lay out items to be read, each of which has a way; they stand in the order of the table."""
    for item in items:
        item.find(nvml)
    keys = [item.key for item in items]
    return Plan(items, keys, fields(items), gpm.wanted(key for key in keys if isinstance(key, int) and key))


def fields(items: Sequence[Item]) -> list[Field]:
    """Give the fields that items want, each once."""
    wanted = dict.fromkeys(item.key for item in items if isinstance(item.key, tuple))
    wanted.pop(NO_FIELD, None)
    return list(wanted)
