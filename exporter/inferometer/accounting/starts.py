# SPDX-License-Identifier: Apache-2.0
"""When the counters that devices and engines keep began: what the source says, or where a value fell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import gt
from types import MappingProxyType
from typing import Any, NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep
from inferometer.model import Group, Histogram, Instrument, Metric, Point, Resource, Snapshot, Value, groups_of

Series = tuple[Metric, tuple[str | None, ...], Resource]
Gone = tuple[Point, float]  # as it was told last, and when (monotonic)

_HISTOGRAM = Instrument.HISTOGRAM
_CUMULATIVE = (Instrument.COUNTER, _HISTOGRAM)
_POINT = partial(
    tuple.__new__, Point
)  # what Point() does of a row, in C: this runs for most of the agent's own counters
Columns = tuple[tuple[Any, ...], ...]  # of points: their metrics, attributes, values and so on, each in one tuple


class Kept(NamedTuple):
    """The points of a counter's metric as they came, and as they were `told`, so that a fall is noticed.

    `columns` are of the points as they came, and `starts` of those that were told: so hundreds are compared at once.
    """

    points: Group
    told: Group
    columns: Columns
    starts: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What was kept of the newest snapshot, by metric; `gone` are the counters that are not there now."""

    kept: Mapping[Metric, Kept] = field(default_factory=lambda: MappingProxyType({}))
    gone: Mapping[Series, Gone] = field(default_factory=lambda: MappingProxyType({}))


def find_starts(
    state: State, snapshot: Snapshot, rules: Rules, steady: float, began: float | None
) -> tuple[State, tuple[Group, ...], int]:
    """Tell every counter that came without a start with the one that is known, moved where its value fell.

    What the agent itself counts began with it: at `began`, the Unix seconds of its first snapshot, None if this is that.

    Gives the points of each metric as they are told, and how many series that are not there now the limit made us forget.
    `steady` is monotonic seconds of the snapshot before.
    """
    since = snapshot.at if began is None else began
    groups = groups_of(snapshot.points)
    counters = [(group[0].metric, group) for group in groups if group[0].metric.instrument in _CUMULATIVE]
    # What is the same is told the same.
    same = {metric: kept for metric, group in counters if (kept := _again(state.kept.get(metric), group))}
    known = {
        _series(point): point for metric, kept in state.kept.items() if metric not in same for point in _unstarted(kept)
    }
    others = [(metric, group) for metric, group in counters if metric not in same]
    before = {**{key: last for key, (last, _) in state.gone.items()}, **known} if others else {}
    new = {
        metric: _kept(
            group, tuple([_tell(point, before.get(_series(point)), since) for point in group]), _columns(group)
        )
        for metric, group in others
    }
    told = {metric: same.get(metric) or new[metric] for metric, _ in counters}
    gone, excess = _outlive(state.gone, known, new, snapshot, rules, steady)
    return (
        State(told, gone),
        tuple([told[group[0].metric].told if group[0].metric in told else group for group in groups]),
        excess,
    )


def _outlive(
    gone: Mapping[Series, Gone],
    known: Mapping[Series, Point],
    new: Mapping[Metric, Kept],
    snapshot: Snapshot,
    rules: Rules,
    steady: float,
) -> tuple[Mapping[Series, Gone], int]:
    """Keep the counters that are not there; give them, and how many the limit made us forget.

    An engine that misses a scrape or two is still the same counter. One whose labels are new in every scrape must not
    fill the memory with what it once said.
    """
    absent = {**gone, **{key: (last, steady) for key, last in known.items()}}
    if not absent:
        return absent, 0
    there = {_series(point) for kept in new.values() for point in _unstarted(kept)}
    devices = {device.uuid for device in snapshot.devices}

    def is_away(series: Series) -> bool:
        """Tell whether it is of a device that is not there, and may come back with the counters that it had."""
        metric, attributes, _ = series
        return catalog.HW_ID.key in metric.keys and attributes[metric.keys.index(catalog.HW_ID.key)] not in devices

    return keep(
        ((key, item) for key, item in absent.items() if key not in there), _since, snapshot.steady, rules, is_away
    )


def _again(before: Kept | None, points: Group) -> Kept | None:
    """Tell the points of a metric as before; None where its series are others."""
    if before is None or len(points) != len(before.points):
        return None
    if points is before.points:
        return before
    columns = _columns(points)
    metrics, attributes, values, ats, starts, resources = columns
    _, old_attributes, old_values, _, old_starts, old_resources = before.columns
    if attributes != old_attributes or resources != old_resources:
        return None
    if starts == old_starts and (
        None not in starts or not _any_fell(metrics[0], old_values, values)
    ):  # as nearly always
        if before.starts == starts:
            return Kept(points, points, columns, starts)
        told = tuple(map(_POINT, zip(metrics, attributes, values, ats, before.starts, resources, strict=True)))
        return Kept(points, told, columns, before.starts)
    if any((one is None) != (other is None) for one, other in zip(starts, old_starts, strict=True)):
        return None
    return _kept(points, tuple(map(_tell, points, before.told)), columns)


def _any_fell(metric: Metric, before: Iterable[Value], after: Iterable[Value]) -> bool:
    """Tell whether a value of a metric's series fell."""
    return any(map(fell if metric.instrument is _HISTOGRAM else gt, before, after))


def _kept(points: Group, told: Group, columns: Columns) -> Kept:
    return Kept(points, told, columns, tuple([point.start for point in told]))


def _columns(points: Group) -> Columns:
    return tuple(zip(*points, strict=True))


def _tell(point: Point, before: Point | None, began: float = 0.0) -> Point:
    """Give a counter's point with its start; `before` is how it was told before."""
    if point.start is not None:
        return point
    if before is None:
        # Without a start the successor of an agent would go on with what this one had counted.
        return point._replace(start=min(began, point.at)) if _is_ours(point.metric) else point
    start = before.at if fell(before.value, point.value) else before.start
    return (
        point if start is None else Point(point.metric, point.attributes, point.value, point.at, start, point.resource)
    )


def _is_ours(metric: Metric) -> bool:
    """Tell whether the agent counts it: its own doing, and what a driver tells only from one read to the next."""
    return metric.name.startswith("inferometer.") or metric is catalog.GPU_CONTEXT_SWITCHES


def _unstarted(kept: Kept) -> Iterable[Point]:
    """Give the counters that came without a start, as they were told."""
    return (told for point, told in zip(kept.points, kept.told, strict=True) if point.start is None)


def _series(point: Point) -> Series:
    return point.metric, point.attributes, point.resource


def _since(gone: Gone) -> float:
    return gone[1]


def fell(before: Value, after: Value) -> bool:
    """Tell whether a cumulative value was reset: it fell, or a bucket did, or its bounds changed."""
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return before.bounds != after.bounds or any(map(gt, before.counts, after.counts))
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after < before
