# SPDX-License-Identifier: Apache-2.0
"""Readings of reports as points; from one tick to the next most are the same, and are not made again.

What a slow tier said stays the same reading until its next read, and a number that moved stays the same series. So which
reading is a point of which metric, and what its attributes are, is laid out once (`layout`); and what was read anew with its
report becomes points all at once, in C.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, repeat
from operator import eq, is_not, itemgetter
from typing import NamedTuple, cast

from inferometer.join.layout import Layout, Named, Names, Source, lay_out
from inferometer.model import Group, Instrument, Metric, Point, Reading, Resource, Value, count_series


class Column(NamedTuple):
    """Points of one metric; `names` are their attributes, the very same object while these are.

    `series` is more than the number of points where these are histograms.
    """

    names: Names
    group: Group
    series: int


class Said(NamedTuple):
    """What a report says, and when it was read (Unix seconds); a reading may have a time of its own.

    `named` has the attributes of each subject; a subject that is not there contributes nothing.
    """

    named: Named
    readings: Sequence[Reading]
    at: float
    resource: Resource


class Laid(NamedTuple):
    """The points of readings, by metric, and what they were made from; `ats` are the times of their reports.

    `waiting` are the points of the readings that have no other time, `values` and `starts` theirs.
    """

    layout: Layout
    readings: Sequence[Reading]
    ats: tuple[float, ...]
    columns: dict[Metric, Column]
    waiting: Group
    values: list[Value]
    starts: list[float | None]

    @property
    def repeated(self) -> int:
        """How many series were said before."""
        return count_series([self.readings[place].value for place in self.layout.repeats]) if self.layout.repeats else 0


def lay(reports: Sequence[Said], before: Laid | None = None) -> Laid:
    """Make the points of reports; of a series that is said twice the first stays (law 2), and the others are counted."""
    whole = [report.readings for report in reports]
    readings = whole[0] if len(whole) == 1 else list(chain.from_iterable(whole))
    ats = tuple([report.at for report in reports])
    source = [Source(report.named, len(report.readings), report.resource) for report in reports]
    laid = None
    if before is not None and before.layout.source == source:
        laid = fill(before, readings, ats, find_moved(readings, before.readings))
    return laid or begin(lay_out(source, readings, before.layout if before else None), readings, ats)


def find_moved(readings: Sequence[Reading], olds: Sequence[Reading]) -> list[int]:
    """Give the places of the readings that are others than before. Where all of a part are the same that is seen at once."""
    moved: list[int] = []
    for start in range(0, len(readings), _PART):
        part, old = readings[start : start + _PART], olds[start : start + _PART]
        if part != old:
            moved += compress(range(start, start + _PART), map(is_not, part, old))
    return moved


def begin(layout: Layout, readings: Sequence[Reading], ats: tuple[float, ...]) -> Laid:
    """Make all points anew."""
    columns = {}
    for metric, places in layout.places.items():
        group = tuple([_point(layout, place, readings[place], ats) for place in places])
        columns[metric] = _column(metric, layout.names[metric], group)
    there = layout.waiting
    waiting = tuple(
        [columns[m].group[layout.spots[place].place] for place, m in zip(there.places, there.metrics, strict=True)]
    )
    values, starts = [point.value for point in waiting], [point.start for point in waiting]
    return Laid(layout, readings, ats, columns, waiting, values, starts)


def fill(before: Laid, readings: Sequence[Reading], ats: tuple[float, ...], moved: Sequence[int]) -> Laid | None:
    """Make the points of as many readings as before, of which those at some places have `moved`; None if they are laid out otherwise.

    Those that have neither moved nor were read at another time stay the very same points.
    """
    layout, columns = before.layout, before.columns.copy()
    values, starts = before.values.copy(), before.starts.copy()
    turned: list[int] = []
    groups: dict[Metric, list[Point]] = {}
    for place in moved:  # most readings of engines and many of GPUs: unpacked at once, as nothing is cheaper
        subject, reads, attributes, value, start, at = readings[place]
        was, read, had, timeless, turn, metric, number, resource, _ = layout.spots[place]
        if reads is not read or subject != was or attributes != had or (not at) is not timeless:
            return None
        if turn is not None:
            turned.append(turn)
            values[turn], starts[turn] = value, start
        elif metric is not None:
            group = groups.get(metric)
            if group is None:
                group = groups[metric] = list(columns[metric].group)
            group[number] = _POINT(Point, (metric, group[number][1], value, at, start, resource))
    for metric, group in groups.items():
        columns[metric] = _column(metric, columns[metric].names, tuple(group))
    laid = Laid(layout, readings, ats, columns, before.waiting, values, starts)
    return laid if ats == before.ats and not turned else _tell_waiting(laid, before, turned)


def _tell_waiting(laid: Laid, before: Laid, turned: Iterable[int]) -> Laid:
    """Make the points of the readings that have no time but that of their report; `turned` are those that are new."""
    _, whose, metrics, names, resources, runs = laid.layout.waiting
    times = repeat(laid.ats[0]) if len(laid.ats) == 1 else map(laid.ats.__getitem__, whose)
    made = _points(metrics, names, laid.values, times, laid.starts, resources)
    stays = list(map(eq, laid.ats, before.ats))
    if not any(stays):
        return _put_in(laid._replace(waiting=tuple(made)), range(len(runs)))
    kept = [stays[which] for which in whose]
    for turn in turned:
        kept[turn] = False
    waiting = tuple([old if keep else new for keep, old, new in zip(kept, before.waiting, made, strict=True)])
    others = [i for i, run in enumerate(runs) if not all(kept[run.start : run.end])]
    return _put_in(laid._replace(waiting=waiting), others)


def _put_in(laid: Laid, which: Sequence[int]) -> Laid:
    """Put the points that waited for their report's time where they belong."""
    columns = laid.columns
    for i in which:
        metric, start, end, places = laid.layout.waiting.runs[i]
        group = laid.waiting[start:end]
        if places:  # a part of the metric only
            whole = list(columns[metric].group)
            for place, point in zip(places, group, strict=True):
                whole[place] = point
            group = tuple(whole)
        columns[metric] = _column(metric, columns[metric].names, group)
    return laid


def _point(layout: Layout, place: int, reading: Reading, ats: Sequence[float]) -> Point:
    spot = layout.spots[place]
    metric, resource = cast("Metric", spot.metric), cast("Resource", spot.resource)
    at = reading.at or ats[layout.whose[place]]
    return Point(metric, layout.names[metric][spot.place], reading.value, at, reading.start, resource)


def retell(column: Column, at: float) -> Column:
    """Make the same points anew, at another time."""
    metric, resources = column.group[0].metric, map(_POINT_RESOURCE, column.group)
    values = map(_POINT_VALUE, column.group)
    return column._replace(
        group=tuple(_points(repeat(metric), column.names, values, repeat(at), repeat(None), resources))
    )


def _points(*columns: Iterable[object]) -> Iterator[Point]:
    """Make points of the columns of their fields, in C; one of them may be endless."""
    return map(_POINT, repeat(Point), zip(*columns, strict=False))


def _column(metric: Metric, names: Names, group: Group) -> Column:
    of_histograms = metric.instrument is Instrument.HISTOGRAM
    return Column(names, group, count_series([point.value for point in group]) if of_histograms else len(group))


def tell(
    metric: Metric, names: Names, values: Sequence[float], at: float, resource: Resource, before: Column | None
) -> Column:
    """Make points that the agent itself says, all at once; those of `before` that say the same stay as they are."""
    if before is None or before.names is not names:
        made = _points(repeat(metric), names, values, repeat(at), repeat(None), repeat(resource))
        return Column(names, tuple(made), len(names))
    same = list(map(eq, map(_POINT_VALUE, before.group), values))
    if all(same):
        return before
    group = [
        old if kept else _POINT(Point, (metric, old[1], value, at, None, resource))
        for kept, old, value in zip(same, before.group, values, strict=True)
    ]
    return Column(names, tuple(group), len(names))


_POINT_VALUE, _POINT_RESOURCE = itemgetter(2), itemgetter(5)
_PART = 64  # readings that are looked at together
_POINT = tuple.__new__  # what Point() does: this runs for nearly every reading of a report
