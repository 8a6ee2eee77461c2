# SPDX-License-Identifier: Apache-2.0
"""What becomes of the readings of reports: which is a point of which metric, and of which series."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from inferometer.model import Metric, Reading, Resource

Name = tuple[str | None, ...]  # the attributes of a series
Names = tuple[Name, ...]  # of some series of one metric
Named = Mapping[str, Mapping[str, str | None]]  # the attributes of each subject
Picker = Callable[[Sequence[Any]], tuple[Any, ...]]

VALUE = itemgetter(3)  # of a Reading, read in C


class Source(NamedTuple):
    """One report: the attributes of its subjects, how many readings it has, its resource."""

    named: Named
    length: int
    resource: Resource


class Spot(NamedTuple):
    """A reading's place: what tells its series, whether it has no time but that of its report, and what point it is.

    That is the one at `place` of its metric's, None where it is no point. `turn` is its place among those that wait, None
    where it does not. `name` are the attributes of its series, where those were found here.
    """

    subject: str
    reads: Metric
    attributes: tuple[tuple[str, str], ...]
    timeless: bool
    turn: int | None
    metric: Metric | None = None
    place: int = 0
    resource: Resource | None = None
    name: Name | None = None


class Run(NamedTuple):
    """Points of one metric among those that wait; `places` are theirs in the metric, nothing where they are all of it."""

    metric: Metric
    start: int
    end: int
    places: tuple[int, ...]


class Waiting(NamedTuple):
    """The readings that have no time but that of their report, metric by metric, and all that does not change of their points.

    `whose` report each is of.
    """

    places: tuple[int, ...]
    whose: tuple[int, ...]
    metrics: tuple[Metric, ...]
    names: Names
    resources: tuple[Resource, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What becomes of readings, found from `source`. Compared by identity: it is the same while they are laid out alike.

    `spots` and `whose`, which says whose report each is of, are the readings' in their order. `places` are those of each
    metric's readings, `names` the attributes of its series, `repeats` the places of readings whose series was said before.
    """

    source: Sequence[Source]
    spots: Sequence[Spot]
    whose: Sequence[int]
    places: Mapping[Metric, Sequence[int]]
    names: Mapping[Metric, Names]
    repeats: Sequence[int]
    waiting: Waiting


_NO_POINT = (None, None, 0, None, None)

Found = Mapping[Metric, Mapping[Name, tuple[int, Resource]]]  # the place and the resource of each series' reading


def lay_out(source: Sequence[Source], readings: Sequence[Reading], before: Layout | None = None) -> Layout:
    """Lay out the readings of reports; a series that was there `before`, of a subject that is named as it was, keeps its name."""
    names = _names(before) if before is not None else {}
    found: dict[Metric, dict[Name, tuple[int, Resource]]] = {}
    repeats: list[int] = []
    whose = [i for i, report in enumerate(source) for _ in range(report.length)]
    for place, (which, (subject, metric, added, _, _, _)) in enumerate(zip(whose, readings, strict=True)):
        named, _, resource = source[which]
        own = named.get(subject)
        if own is None:  # a device that went while it was read contributes nothing
            continue
        name = names.get((id(own), metric, added))
        if name is None:
            get = ({**own, **dict(added)} if added else own).get
            name = tuple([get(key) or None for key in metric.keys])
        series = found.setdefault(metric, {})
        if name in series:
            repeats.append(place)
        else:
            series[name] = place, resource
    return arrange(readings, found, source, whose, repeats)


def _names(before: Layout) -> Mapping[tuple[int, Metric, object], Name]:
    """Give the names of the series that were there, by the very object that names their subject: `before` keeps it alive."""
    return {
        (id(before.source[which].named[spot.subject]), spot.reads, spot.attributes): spot.name
        for which, spot in zip(before.whose, before.spots, strict=True)
        if spot.name is not None
    }


def arrange(
    readings: Sequence[Reading],
    found: Found,
    source: Sequence[Source] = (),
    whose: Sequence[int] = (),
    repeats: Sequence[int] = (),
) -> Layout:
    """Arrange the series that were `found` in readings, of one report if it is not said `whose`."""
    whose = whose or [0] * len(readings)
    points: dict[int, tuple[int | None, Metric, int, Resource, Name]] = {}
    runs: list[Run] = []
    waiting: list[tuple[int, int, Metric, Name, Resource]] = []
    for metric, series in found.items():
        begin, waits = len(waiting), []
        for number, (name, (place, resource)) in enumerate(series.items()):
            turn = None
            if not readings[place].at:
                turn = len(waiting)
                waits.append(number)
                waiting.append((place, whose[place], metric, name, resource))
            points[place] = turn, metric, number, resource, name
        if waits:
            runs.append(Run(metric, begin, len(waiting), tuple(waits) if len(waits) < len(series) else ()))
    spots = [
        Spot(subject, metric, added, not at, *points.get(place, _NO_POINT))
        for place, (subject, metric, added, _, _, at) in enumerate(readings)
    ]
    where, reports, metrics, names, resources = zip(*waiting, strict=True) if waiting else ((), (), (), (), ())
    return Layout(
        source,
        spots,
        whose,
        {metric: [place for place, _ in series.values()] for metric, series in found.items()},
        {metric: tuple(series) for metric, series in found.items()},
        repeats,
        Waiting(where, reports, metrics, names, resources, tuple(runs)),
    )


def picker(places: Sequence[int]) -> Picker:
    """Give what picks the items at some places of a sequence, as a tuple, in C where they are several."""
    if len(places) > 1:
        several: Picker = itemgetter(*places)
        return several
    return lambda items: tuple([items[place] for place in places])
