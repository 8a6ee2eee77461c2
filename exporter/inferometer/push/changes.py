# SPDX-License-Identifier: Apache-2.0
"""What has changed between the snapshot that was sent last and the newest one. Pure."""

from dataclasses import replace

from inferometer.model import Point, Snapshot


def find_ended(sent: Snapshot | None, newest: Snapshot, owed: tuple[Point, ...] = ()) -> tuple[Point, ...]:
    """Give the last points of the series that `sent` has and `newest` lacks. Pure.

    `owed` are points of series that had ended before, and of whose end nobody has heard.
    """
    if sent is None:
        return ()
    same = not owed and len(sent.points) == len(newest.points) and all(map(_is_same_series, sent.points, newest.points))
    if same:  # nearly always, and cheaper to see than by the set
        return ()
    alive = {(point.metric, point.attributes, point.resource) for point in newest.points}
    last = {(point.metric, point.attributes, point.resource): point for point in (*owed, *sent.points)}
    return tuple(point for series, point in last.items() if series not in alive)


def _is_same_series(one: Point, other: Point) -> bool:
    return one.metric is other.metric and one.attributes == other.attributes and one.resource == other.resource


def find_fresh(sent: Snapshot | None, newest: Snapshot) -> Snapshot:
    """Give `newest` without the points that `sent` has already, of the same read or of a later one.

    An old frame is never repeated as new, and it must not be repeated as old either: Prometheus (3.14) stamps its
    `target_info` from a request's earliest to its latest point, so that one point from before the previous push makes it
    refuse the whole request as out of order.
    """
    if sent is None:
        return newest
    if len(sent.points) == len(newest.points) and all(map(_is_same_series, sent.points, newest.points)):
        fresh = tuple(new for old, new in zip(sent.points, newest.points, strict=True) if new.at > old.at)
    else:
        read = {(point.metric, point.attributes, point.resource): point.at for point in sent.points}
        fresh = tuple(
            point
            for point in newest.points
            if point.at > read.get((point.metric, point.attributes, point.resource), float("-inf"))
        )
    return newest if len(fresh) == len(newest.points) else replace(newest, points=fresh)


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
