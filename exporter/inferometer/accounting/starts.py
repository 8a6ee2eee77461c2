# SPDX-License-Identifier: Apache-2.0
"""When the counters that devices and engines keep began: what the source says, or where a value fell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from types import MappingProxyType

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot, Value

Series = tuple[Metric, tuple[str | None, ...], Resource]
Gone = tuple[Point, float]  # as it was told last, and when (monotonic)


@dataclass(frozen=True, slots=True)
class State:
    """The points of the newest snapshot as they came, and as they were `told`, so that a fall is noticed.

    `gone` are the counters that are not there now.
    """

    points: tuple[Point, ...] = ()
    told: tuple[Point, ...] = ()
    gone: Mapping[Series, Gone] = field(default_factory=lambda: MappingProxyType({}))


def find_starts(state: State, snapshot: Snapshot, rules: Rules, steady: float) -> tuple[State, int]:
    """Tell every counter that a device or engine keeps with the start that is known, moved where its value fell.

    Gives also how many series that are not there now the limit made us forget. `steady` is monotonic seconds of the
    snapshot before.
    """
    points = snapshot.points
    devices = {device.uuid for device in snapshot.devices}

    def is_away(series: Series) -> bool:
        """Tell whether it is of a device that is not there, and may come back with the counters that it had."""
        metric, attributes, _ = series
        return catalog.HW_ID.key in metric.keys and attributes[metric.keys.index(catalog.HW_ID.key)] not in devices

    if len(points) == len(state.points):
        # What is the same is told the same.
        moved = list(compress(range(len(points)), map(is_not, points, state.points)))
        if all(_is_same_series(points[i], state.points[i]) for i in moved):
            told = list(state.told)
            for i in moved:
                point = points[i]
                told[i] = _tell(point, told[i]) if point.metric.instrument in _CUMULATIVE else point
            gone, excess = keep(state.gone.items(), _since, snapshot.steady, rules, is_away)
            return State(points, tuple(told), gone), excess
    known = {_series(point): point for point in _without_start(state.points, state.told)}
    before = {**{key: last for key, (last, _) in state.gone.items()}, **known}
    told = [_tell(point, before.get(_series(point))) for point in points]
    there = {_series(point) for point in _without_start(points, told)}
    # An engine that misses a scrape or two is still the same counter. One whose labels are new in every scrape must not
    # fill the memory with what it once said.
    absent = {**state.gone, **{key: (last, steady) for key, last in known.items()}}
    gone, excess = keep(
        ((key, item) for key, item in absent.items() if key not in there), _since, snapshot.steady, rules, is_away
    )
    return State(points, tuple(told), gone), excess


def _tell(point: Point, before: Point | None) -> Point:
    """Give a counter's point with its start; `before` is how it was told before."""
    if not _needs_start(point) or before is None:
        return point
    start = before.at if fell(before.value, point.value) else before.start
    return point if start is None else point._replace(start=start)


_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


def _needs_start(point: Point) -> bool:
    return point.start is None and point.metric.instrument in _CUMULATIVE


def _without_start(points: Iterable[Point], told: Iterable[Point]) -> list[Point]:
    """Give the counters that came without a start, as they were told."""
    return [last for point, last in zip(points, told, strict=True) if _needs_start(point)]


def _series(point: Point) -> Series:
    return point.metric, point.attributes, point.resource


def _is_same_series(one: Point, other: Point) -> bool:
    """Tell whether two points are of one series, and both with or both without a start of their own."""
    return (
        one.metric is other.metric
        and one.attributes == other.attributes
        and (one.resource is other.resource or one.resource == other.resource)
        and (one.start is None) == (other.start is None)
    )


def _since(gone: Gone) -> float:
    return gone[1]


def fell(before: Value, after: Value) -> bool:
    """Tell whether a cumulative value was reset: it fell, or a bucket did, or its bounds changed."""
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return before.bounds != after.bounds or any(a < b for b, a in zip(before.counts, after.counts, strict=True))
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after < before
