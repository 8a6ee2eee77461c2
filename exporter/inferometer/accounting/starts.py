# SPDX-License-Identifier: Apache-2.0
"""When the counters that devices and engines keep began: what the source says, or where a value fell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep
from inferometer.model import Group, Histogram, Instrument, Metric, Point, Resource, Snapshot, Value, groups_of

Series = tuple[Metric, tuple[str | None, ...], Resource]
Gone = tuple[Point, float]  # as it was told last, and when (monotonic)


class Kept(NamedTuple):
    """The points of a counter's metric as they came, and as they were `told`, so that a fall is noticed."""

    points: Group
    told: Group


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
        metric: Kept(group, tuple([_tell(point, before.get(_series(point)), since) for point in group]))
        for metric, group in others
    }
    there = {_series(point) for kept in new.values() for point in _unstarted(kept)}
    # An engine that misses a scrape or two is still the same counter. One whose labels are new in every scrape must not
    # fill the memory with what it once said.
    absent = {**state.gone, **{key: (last, steady) for key, last in known.items()}}
    devices = {device.uuid for device in snapshot.devices}

    def is_away(series: Series) -> bool:
        """Tell whether it is of a device that is not there, and may come back with the counters that it had."""
        metric, attributes, _ = series
        return catalog.HW_ID.key in metric.keys and attributes[metric.keys.index(catalog.HW_ID.key)] not in devices

    gone, excess = keep(
        ((key, item) for key, item in absent.items() if key not in there), _since, snapshot.steady, rules, is_away
    )
    told = {**same, **new}
    return (
        State(told, gone),
        tuple(told[group[0].metric].told if group[0].metric in told else group for group in groups),
        excess,
    )


def _again(before: Kept | None, points: Group) -> Kept | None:
    """Tell the points of a metric as before; None where its series are others."""
    if before is None or len(points) != len(before.points):
        return None
    if points is before.points:
        return before
    told = list(before.told)
    for i, (point, old) in enumerate(zip(points, before.points, strict=True)):
        if point is not old:
            if not _is_same_series(point, old):
                return None
            told[i] = _tell(point, told[i])
    return Kept(points, tuple(told))


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


_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


def _unstarted(kept: Kept) -> Iterable[Point]:
    """Give the counters that came without a start, as they were told."""
    return (told for point, told in zip(kept.points, kept.told, strict=True) if point.start is None)


def _series(point: Point) -> Series:
    return point.metric, point.attributes, point.resource


def _is_same_series(one: Point, other: Point) -> bool:
    """Tell whether two points of a metric are of one series, and both with or both without a start of their own."""
    return (
        (one.attributes is other.attributes or one.attributes == other.attributes)
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
