# SPDX-License-Identifier: Apache-2.0
"""What has changed between the snapshot that was sent last and the newest one. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import compress, islice
from math import inf
from operator import gt, itemgetter

from inferometer.model import Group, Point, Points, Snapshot, groups_of

Series = tuple[object, ...]

# How long, and of how many series, it is known when they were ended: what a slower tier said is told for two of its periods.
_REMEMBERED = 3600.0  # seconds
_MOST_MARKED = 10_000

# Of a point, read in C: these run for every point of every push.
_ATTRIBUTES, _AT, _RESOURCE = (itemgetter(i) for i in (1, 3, 5))


def find_ended(sent: Snapshot | None, newest: Snapshot, owed: tuple[Point, ...] = ()) -> tuple[Point, ...]:
    """Give the last points of the series that `sent` has and `newest` lacks. Pure.

    `owed` are points of series that had ended before, and of whose end nobody has heard.
    """
    if sent is None:
        return ()
    now = {group[0].metric: group for group in groups_of(newest.points)}
    last = {_series(point): point for point in owed}
    for before in groups_of(sent.points):
        group = now.get(before[0].metric, ())
        if before is not group and not _are_same_series(before, group):
            alive = set(map(_series, group))
            last |= {series: point for point in before if (series := _series(point)) not in alive}
    back = {_series(point) for point in newest.points} if owed else set()
    return tuple(point for series, point in last.items() if series not in back)


def without_returned(newest: Snapshot, marked: Mapping[Series, float]) -> Snapshot:
    """Give `newest` without the points of series that were ended at a later time (Unix seconds), by `marked`.

    A device that answers again after its series were ended tells with its first frame what a slower tier said before that. A
    receiver that has the end would refuse such a point as out of order, and with it the whole request.
    """
    if not marked:
        return newest
    latest = max(marked.values())
    groups = groups_of(newest.points)
    kept = [
        group
        if min(map(_AT, group)) > latest  # as nearly all of them always are
        else tuple([point for point in group if point.at > latest or point.at > marked.get(_series(point), -inf)])
        for group in groups
    ]
    if all(len(one) == len(other) for one, other in zip(kept, groups, strict=True)):
        return newest
    return replace(newest, points=Points.of(filter(None, kept)))


def mark(marked: Mapping[Series, float], ended: Iterable[Point], newest: Snapshot) -> Mapping[Series, float]:
    """Give when series were ended last, with those that end with `newest`: those of the last hour, and not too many."""
    if not marked and not ended:
        return marked
    known = {series: at for series, at in marked.items() if 0 <= newest.at - at < _REMEMBERED}
    known |= {_series(point): newest.at for point in ended}
    return dict(islice(known.items(), max(0, len(known) - _MOST_MARKED), None))


def find_fresh(sent: Snapshot | None, newest: Snapshot) -> Snapshot:
    """Give `newest` without the points that `sent` has already, of the same read or of a later one.

    An old frame is never repeated as new, and it must not be repeated as old either: Prometheus (3.14) stamps its
    `target_info` from a request's earliest to its latest point, so that one point from before the previous push makes it
    refuse the whole request as out of order.
    """
    if sent is None:
        return newest
    before = {group[0].metric: group for group in groups_of(sent.points)}
    groups = groups_of(newest.points)
    fresh = tuple(part for group in groups for part in _fresh(before.get(group[0].metric, ()), group))
    return newest if fresh == groups else replace(newest, points=Points.of(fresh))


def _fresh(before: Group, group: Group) -> Iterator[Group]:
    """Give the points of a metric that were read since; nothing where there are none."""
    if group is before:
        return
    if _are_same_series(before, group):
        chosen = list(map(gt, map(_AT, group), map(_AT, before)))
        if all(chosen):
            yield group
        elif any(chosen):
            yield tuple(compress(group, chosen))
        return
    read = {_series(point): point.at for point in before}
    found = tuple(point for point in group if point.at > read.get(_series(point), float("-inf")))
    if found:
        yield found


def _are_same_series(one: Group, other: Group) -> bool:
    """Tell whether two groups of a metric are of the same series in the same order."""
    return (
        len(one) == len(other)
        and list(map(_ATTRIBUTES, one)) == list(map(_ATTRIBUTES, other))
        and list(map(_RESOURCE, one)) == list(map(_RESOURCE, other))
    )


def _series(point: Point) -> Series:
    return point.metric, point.attributes, point.resource


def part_late(sent: Snapshot | None, fresh: Snapshot) -> tuple[Snapshot, ...]:
    """Give `fresh` in the order to send it: first the points from before the snapshot `sent`, which it just missed, then the rest.

    A read can end right before a snapshot is taken and be noted right after. Requests are refused whole, for the reason
    above: such a point must not take the others with it.
    """
    if sent is None or not any(point.at <= sent.at for point in fresh.points):
        return (fresh,)
    late = tuple(point for point in fresh.points if point.at <= sent.at)
    rest = tuple(point for point in fresh.points if point.at > sent.at)
    return replace(fresh, points=late), replace(fresh, points=rest)
