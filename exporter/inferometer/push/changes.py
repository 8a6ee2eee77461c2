# SPDX-License-Identifier: Apache-2.0
"""What has changed between the snapshot that was sent last and the newest one. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress, islice, repeat
from math import inf
from operator import and_, gt, not_

from inferometer.model import Group, Point, Points, Snapshot
from inferometer.push.sheet import Sheet
from inferometer.views.columns import Columns, Pick

Series = tuple[object, ...]

# How long, and of how many series, it is known when they were ended: what a slower tier said is told for two of its periods.
_REMEMBERED = 3600.0  # seconds
_MOST_MARKED = 10_000


def find_ended(sent: Sheet | None, newest: Sheet, owed: tuple[Point, ...] = ()) -> tuple[Point, ...]:
    """Give the last points of the series that `sent` has and `newest` lacks. Pure.

    `owed` are points of series that had ended before, and of whose end nobody has heard.
    """
    if sent is None:
        return ()
    last = {_series(point): point for point in owed}
    for metric, before in sent.metrics.items():
        now = newest.metrics.get(metric)
        if before is not now and (now is None or not before.are_series_of(now)):
            alive = set(map(_series, now.group)) if now is not None else set()
            last |= {series: point for point in before.group if (series := _series(point)) not in alive}
    back = {_series(point) for columns in newest.metrics.values() for point in columns.group} if owed else set()
    return tuple(point for series, point in last.items() if series not in back)


def without_returned(newest: Snapshot, sheet: Sheet, marked: Mapping[Series, float]) -> Snapshot:
    """Give `newest`, of which `sheet` is, without the points of series that were ended at a later time (Unix seconds), by `marked`.

    A device that answers again after its series were ended tells with its first frame what a slower tier said before that. A
    receiver that has the end would refuse such a point as out of order, and with it the whole request.
    """
    if not marked:
        return newest
    latest = max(marked.values())
    kept = [
        columns.group
        if columns.earliest > latest  # as nearly all of them always are
        else _unmarked(columns.group, latest, marked)
        for columns in sheet.metrics.values()
    ]
    if all(len(one) == len(columns.group) for one, columns in zip(kept, sheet.metrics.values(), strict=True)):
        return newest
    return replace(newest, points=Points.of(filter(None, kept)))


def _unmarked(group: Group, latest: float, marked: Mapping[Series, float]) -> Group:
    """Give the points of series that have not been ended since these were read."""
    return tuple([point for point in group if point.at > latest or point.at > marked.get(_series(point), -inf)])


def mark(marked: Mapping[Series, float], ended: Iterable[Point], at: float) -> Mapping[Series, float]:
    """Give when series were ended last, with those that end at `at`: those of the last hour, and not too many."""
    if not marked and not ended:
        return marked
    known = {series: when for series, when in marked.items() if 0 <= at - when < _REMEMBERED}
    known |= {_series(point): at for point in ended}
    return dict(islice(known.items(), max(0, len(known) - _MOST_MARKED), None))


def find_fresh(sent: Sheet | None, newest: Sheet) -> list[Pick]:
    """Pick the points of `newest` that `sent` has not, of the same read or of a later one.

    An old frame is never repeated as new, and it must not be repeated as old either: Prometheus (3.14) stamps its
    `target_info` from a request's earliest to its latest point, so that one point from before the previous push makes it
    refuse the whole request as out of order.
    """
    if sent is None:
        return list(map(Pick, newest.metrics.values()))
    found = []
    for metric, columns in newest.metrics.items():
        before = sent.metrics.get(metric)
        if before is columns:
            continue
        if before is None or columns.earliest > before.latest:
            found.append(Pick(columns))
            continue
        found += _pick(columns, _are_newer(columns, before))
    return found


def _are_newer(columns: Columns, before: Columns) -> list[bool]:
    """Tell of each point whether it was read later than that of its series in `before`."""
    if columns.are_series_of(before):
        return list(map(gt, columns.at, before.at))
    read = {_series(point): point.at for point in before.group}
    return [point.at > read.get(_series(point), -inf) for point in columns.group]


def _pick(columns: Columns, flags: Sequence[bool]) -> list[Pick]:
    """Pick the points with a flag, if there are any."""
    return [Pick(columns)] if all(flags) else [Pick(columns, flags)] if any(flags) else []


def _series(point: Point) -> Series:
    return point.metric, point.attributes, point.resource


def part_late(sent: Sheet | None, fresh: Sequence[Pick]) -> tuple[list[Pick], ...]:
    """Part `fresh` in the order to send it: first the points from before the snapshot `sent`, which it just missed, then the rest.

    A read can end right before a snapshot is taken and be noted right after. Requests are refused whole, for the reason
    above: such a point must not take the others with it.
    """
    if sent is None:
        return (list(fresh),)
    late, rest = [], []
    for pick in fresh:
        columns, flags = pick
        if columns.earliest > sent.at or (flags is not None and min(compress(columns.at, flags)) > sent.at):
            rest.append(pick)
            continue
        in_time = list(map(gt, columns.at, repeat(sent.at)))
        missed = list(map(not_, in_time))
        if flags is not None:
            in_time, missed = list(map(and_, flags, in_time)), list(map(and_, flags, missed))
        rest += _pick(columns, in_time)
        late += _pick(columns, missed)
    return (late, rest) if late else (rest,)
