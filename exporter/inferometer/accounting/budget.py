# SPDX-License-Identifier: Apache-2.0
"""The budget of series: those that are there stay, and of what comes beyond the limits counters go on in one series a metric.

First come stay, and keep their places while they are gone for less than the linger. A gauge or a histogram beyond the limits is
left out and counted, and so is whatever an engine is passed on. A counter beyond them is folded: what it grows is added to its
metric's one overflow series, which so never falls, whoever goes and whatever is reset. Once folded a series stays folded while
it lives, and for the linger: what it counted is never told twice. The agent's own metrics are never left out; a part of the limit is kept for them.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import itemgetter, not_
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.growth import Part, growth
from inferometer.accounting.linger import Rules, departed, keep, keep_departed
from inferometer.accounting.moments import Now
from inferometer.accounting.places import Budget, Places, can_fold, cost_of, count, count_each, is_own
from inferometer.model import Group, Histogram, Metric, Point, Resource, Value, groups_of

Series = tuple[Metric, tuple[str | None, ...]]

# Point.metric and Point.attributes, read in C: near a limit these run for every point of every snapshot.
_METRIC, _ATTRIBUTES = map(itemgetter, range(2))


class Total(NamedTuple):
    """What the folded series of one metric have grown since `start` (Unix seconds), when it was 0."""

    value: float
    start: float


class Away(NamedTuple):
    """A series that had a place and is gone; `ended` is monotonic seconds: since when."""

    point: Point
    ended: float | None


@dataclass(frozen=True, slots=True)
class State:
    """The points of the newest snapshot that had places, by metric, and what is beyond the limits.

    `came` are all that there were, near a limit, and `placed` says which of them had places `within` a budget. `dropped`
    counts those that were left out, by metric. All of it is bounded: by the series of a snapshot, by `Rules.max_ended`, or by the metrics.
    """

    shown: Sequence[Group] = ()
    number: int = 0  # of their series
    came: Sequence[Point] = ()
    placed: Sequence[bool] = ()
    within: Budget | None = None
    away: Mapping[Series, Away] = field(default_factory=lambda: MappingProxyType({}))
    folded: Mapping[Series, Part] = field(default_factory=lambda: MappingProxyType({}))
    totals: Mapping[Metric, Total] = field(default_factory=lambda: MappingProxyType({}))
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


_PASSED_ON = "passthrough"
_NONE: Mapping[Series, Point] = MappingProxyType({})
_NOBODY: Mapping[Series, Away] = MappingProxyType({})


def fit(state: State, groups: Sequence[Group], budget: Budget, rules: Rules, now: Now) -> tuple[State, int]:
    """Give the points of a snapshot, by metric, their places; also how many series that are gone the limit made us forget.

    Far below the limits, as nearly always, nothing is looked at but how many there are: there a series that is gone keeps no
    place.
    """
    numbers = list(map(count_each, groups))
    if all(state.placed) and not (state.folded or state.away) and budget.is_far(groups, numbers):
        return State(groups, sum(numbers), totals=state.totals, dropped=state.dropped), 0
    points = list(chain.from_iterable(groups))
    if not state.away and state.within == budget and _are_same_series(state.came, points):
        existing, away, forgotten, placed = _NONE, _NOBODY, 0, state.placed
    else:
        shown_before = {_series(point): point for point in chain.from_iterable(state.shown)}
        existing = {series: each.point for series, each in state.away.items()} | shown_before
        away, forgotten = _away(state, set(map(_series, points)), rules, now)
        placed = _place(points, existing, state.folded, Places(budget, groups, [each.point for each in away.values()]))

    folding = _Folding(state, existing, now)
    dropped = dict(state.dropped)
    for point in compress(points, map(not_, placed)):
        if can_fold(point.metric):
            folding.add(point)
        else:
            # The names of what is passed on are the engines': any number of them would be counted here for ever.
            name = point.metric.name if point.metric in catalog.ORDER else _PASSED_ON
            dropped[name] = dropped.get(name, 0) + cost_of(point)
    gone, more = keep_departed(state.folded, folding.parts, now.steady, rules)
    shown = groups_of(list(compress(points, placed)))
    folded = {**folding.parts, **gone}
    after = State(shown, count(shown), points, placed, budget, away, folded, folding.totals, dropped)
    return after, forgotten + more


def _place(
    points: Sequence[Point], existing: Mapping[Series, Point], folded: Container[Series], places: Places
) -> list[bool]:
    """Tell which points have a place: first those that had one, then others in their order; what is folded has none."""
    there = list(map(_series, points))
    had = [series in existing for series in there]
    placed = [False] * len(points)
    for turn in (True, False):
        for i, point in enumerate(points):
            if had[i] is turn and there[i] not in folded:
                placed[i] = places.take(point)
    return placed


def _are_same_series(before: Sequence[Point], now: Sequence[Point]) -> bool:
    """Tell whether points are of the same series in the same order, each of as many as before: then places are as they were."""
    return (
        len(before) == len(now)
        and list(map(_ATTRIBUTES, before)) == list(map(_ATTRIBUTES, now))
        and list(map(_METRIC, before)) == list(map(_METRIC, now))
        and _sizes(before) == _sizes(now)
    )


def _sizes(points: Sequence[Point]) -> list[int]:
    return [len(point.value.counts) if type(point.value) is Histogram else 1 for point in points]


def _series(point: Point) -> Series:
    return point.metric, point.attributes


def overflow_points(state: State, at: float, node: Resource, *, simulated: bool) -> list[Point]:
    """Give the overflow series: of each metric one, whose only attributes are that it is one, and the simulation's mark."""
    said = {catalog.OVERFLOW.key: "true", **({catalog.SIMULATED.key: "true"} if simulated else {})}
    return [
        Point(metric, tuple(map(said.get, metric.keys)), total.value, at, total.start, node)
        for metric, total in state.totals.items()
    ]


class _Folding:
    """The overflow series while one snapshot is added to them."""

    def __init__(self, state: State, existing: Mapping[Series, Point], now: Now) -> None:
        self._before = state.folded
        self._existing = existing
        self._now = now
        self.parts: dict[Series, Part] = {}
        self.totals = dict(state.totals)

    def add(self, point: Point) -> None:
        """Add what one counter has grown since it was read last, with or without a place.

        Of one that was not there before that is all of it if it began since the snapshot before, else nobody knows when it was
        counted: nothing.
        """
        series = _series(point)
        known = self._before.get(series) or _part(self._existing.get(series))
        began_at = self._now.at if self._now.before is None else self._now.before
        if known is None:
            is_born = self._now.before is not None and point.start is not None and point.start >= began_at
            grown: Value | None = point.value if is_born else 0.0
        else:
            grown = growth(known, point.value, point.start)
        self.parts[series] = Part(point.value, point.at, point.start)
        total = self.totals.get(point.metric) or Total(0.0, began_at)
        self.totals[point.metric] = total._replace(value=total.value + (grown if isinstance(grown, float) else 0.0))


def _part(point: Point | None) -> Part | None:
    return None if point is None else Part(point.value, point.at, point.start)


def _away(state: State, there: Container[Series], rules: Rules, now: Now) -> tuple[dict[Series, Away], int]:
    """Give the series whose places are kept for them, and how many the limit made us forget."""
    last = {_series(point): Away(point, None) for point in chain.from_iterable(state.shown) if not is_own(point.metric)}
    gone = departed({**state.away, **last}, there, now.steady)
    return keep(gone, lambda each: each.ended or 0.0, now.steady, rules)
