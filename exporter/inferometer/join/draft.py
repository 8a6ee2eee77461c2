# SPDX-License-Identifier: Apache-2.0
"""The points of one snapshot while it is made: each series once, grouped by metric."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from math import inf
from operator import is_
from typing import NamedTuple, TypeVarTuple

from inferometer import catalog
from inferometer.join.context import Context
from inferometer.join.laid import Column, Laid, Said, lay, tell
from inferometer.join.layout import Layout, Names
from inferometer.join.memo import Memo
from inferometer.join.sheet import Part, Sheet
from inferometer.model import SAID_AGAIN, Group, Metric, Points, count_series

Ts = TypeVarTuple("Ts")


class Spoken(NamedTuple):
    """A part, of what it was put, and when it was said and read (Unix seconds)."""

    told: object
    said: float
    read: float
    part: Part


class Draft:
    """Puts together the points of one snapshot, part by part: what has not changed is lent by the snapshot before.

    What the agent itself says stays as it was said for up to `SAID_AGAIN` seconds, while it says the same.
    """

    def __init__(self, now: float, context: Context) -> None:
        self.now = now
        self.node = context.node
        self.common: Mapping[str, str] = {catalog.SIMULATED.key: "true"} if context.simulated else {}
        self._context = context
        self._memo = context.memo or Memo()
        self.recall = self._memo.begin(context)
        before = self.recall.before("now") or -inf
        self._is_back = now < before
        self._before = -inf if self._is_back else before
        self.recall.note("now", now)
        self._columns: dict[Metric, list[Column]] = {}
        self._apart: dict[Metric, tuple[Names, ...]] = self.recall.before("apart") or {}
        self.series = 0
        self.repeated = 0

    def say(
        self,
        key: Hashable,
        put: Callable[[Sheet, *Ts], None],
        *told: *Ts,
        at: float | None = None,
    ) -> None:
        """Add what `put` puts on a sheet; or what it put before, if it was told the same and it is not to be said again yet.

        `at` is when that was read (Unix seconds), where it was not now: it alone makes nothing new.
        """
        at = self.now if at is None else at
        known: Spoken | None = self.recall.before(key)
        if known is None or known.told != told:
            part = self._put(known, at, put, *told)
            # What has times and resources of its own can be older than the end of the same series under another resource,
            # which is only now.
            spoken = self._spoken(told, at, part, self.now if part.timed else self._before)
        elif known.part.timed and not self._holds(known.said):
            part = self._put(known, at, put, *told)
            spoken = self._spoken(told, at, known.part if part == known.part else part, self._before)
        elif at != known.read and not self._holds(known.said):
            spoken = self._spoken(told, at, known.part.retold(at), self._before)
        else:
            spoken = known._replace(told=told)
        self.recall.note(key, spoken)
        self._add(spoken.part.columns, spoken.part.repeated)

    def _put(self, known: Spoken | None, at: float, put: Callable[[Sheet, *Ts], None], *told: *Ts) -> Part:
        sheet = Sheet(at, self.common, self.node)
        put(sheet, *told)
        return sheet.part(known.part if known else None)

    def _spoken(self, told: object, at: float, part: Part, since: float) -> Spoken:
        """Note what is said now. It is said again at once unless all of it was read after `since`, and else after a while.

        What has changed, or is back, may have been read before the snapshot before: then it is older than the end of what was
        there, or than what else was sent with that snapshot, and a receiver that looks for newer points has nothing of it.
        """
        return Spoken(told, self.now if part.earliest > since else -inf, at, part)

    def say_column(
        self, key: Hashable, metric: Metric, names: Names, values: Sequence[float], at: float | None = None
    ) -> None:
        """Add numbers of the agent's own, of which some change at each tick; `names` are recalled, or nothing stays."""
        if not names:
            return
        known: tuple[float, Column] | None = self.recall.before((key, metric))
        began, before = known if known is not None and self._holds(known[0]) else (self.now, None)
        column = tell(metric, names, values, self.now if at is None else at, self.node, before)
        if at is not None and at <= self._before and column is not before:
            began = -inf  # as in `_spoken`
        self.recall.note((key, metric), (began, column))
        self._add({metric: column})

    def put_readings(self, key: Hashable, reports: Sequence[Said]) -> Layout:
        """Add a point for every reading of some reports; gives how they are laid out, the same object while that is so."""
        before: Laid | None = self.recall.before(key)
        laid = lay(reports, before)
        self.recall.note(key, laid)
        self._add(laid.columns, laid.repeated)
        return laid.layout

    def put_columns(self, columns: Mapping[Metric, Column], repeated: int = 0) -> None:
        """Add points that are made already; `repeated` series were left out of them."""
        self._add(columns, repeated)

    def names(
        self, key: Hashable, metric: Metric, told: object, name: Callable[[], Iterable[Mapping[str, str | None]]]
    ) -> Names:
        """Give the attributes of a metric's series, the same object while they are named after the same."""

        def make() -> Names:
            return tuple(
                tuple([get(key) or None for key in metric.keys])
                for attributes in name()
                for get in ({**attributes, **self.common}.get,)
            )

        return self.recall.of(("names", key, metric), told, make)

    def points(self) -> Points:
        """Give all points, in the catalogue's order of metrics; what is passed on comes after it."""
        metrics = tuple(self._columns)
        order = self.recall.of("order", metrics, lambda: sorted(metrics, key=catalog.place))
        points = Points.of([self._whole(metric) for metric in order])
        self.recall.note(
            "apart", {m: tuple([c.names for c in several]) for m, several in self._columns.items() if len(several) > 1}
        )
        self._memo.keep(self._context, self.recall)
        return points

    def _holds(self, said: float) -> bool:
        """Tell whether what was said then need not be said again.

        When the clock is set back nothing holds: some of it may have been said later than it was begun, and so lie ahead.
        """
        return not self._is_back and self.now - said < SAID_AGAIN

    def _add(self, columns: Mapping[Metric, Column], repeated: int = 0) -> None:
        self.repeated += repeated
        for metric, column in columns.items():
            there = self._columns.setdefault(metric, [])
            new = (
                column if not there or self._is_apart(metric, there, column) else self._without_repeated(there, column)
            )
            if new.group:
                there.append(new)
                self.series += new.series

    def _is_apart(self, metric: Metric, there: Sequence[Column], column: Column) -> bool:
        """Tell whether a column has none of the series that are there: mostly it is known from the tick before."""
        known = self._apart.get(metric, ())
        names = [*(each.names for each in there), column.names]
        if len(known) >= len(names) and all(one is other for one, other in zip(names, known, strict=False)):
            return True
        return set(column.names).isdisjoint(name for each in there for name in each.names)

    def _without_repeated(self, there: Sequence[Column], column: Column) -> Column:
        """Leave out the series that are there already, which stay as they are (law 2)."""
        known = {name for each in there for name in each.names}
        group = tuple([point for point in column.group if point.attributes not in known])
        series = count_series([point.value for point in group])
        self.repeated += column.series - series
        return Column(tuple([point.attributes for point in group]), group, series)

    def _whole(self, metric: Metric) -> Group:
        """Put the columns of a metric together; the same tuple where all of them are those of the tick before."""
        several = self._columns[metric]
        if len(several) == 1:
            return several[0].group
        groups = [column.group for column in several]
        known: tuple[list[Group], Group] | None = self.recall.before(("whole", metric))
        if known is None or len(known[0]) != len(groups) or not all(map(is_, known[0], groups)):
            known = groups, tuple(chain.from_iterable(groups))
        self.recall.note(("whole", metric), known)
        return known[1]
