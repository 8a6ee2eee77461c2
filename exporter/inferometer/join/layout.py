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
    where it does not.
    """

    subject: str
    reads: Metric
    attributes: tuple[tuple[str, str], ...]
    timeless: bool
    turn: int | None
    metric: Metric | None = None
    place: int = 0
    resource: Resource | None = None


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

    source: object
    spots: Sequence[Spot]
    whose: Sequence[int]
    places: Mapping[Metric, Sequence[int]]
    names: Mapping[Metric, Names]
    repeats: Sequence[int]
    waiting: Waiting


Found = Mapping[Metric, Mapping[Name, tuple[int, Resource]]]  # the place and the resource of each series' reading


def lay_out(source: Sequence[Source], readings: Sequence[Reading]) -> Layout:
    """Lay out the readings of reports."""
    found: dict[Metric, dict[Name, tuple[int, Resource]]] = {}
    repeats: list[int] = []
    whose = [i for i, report in enumerate(source) for _ in range(report.length)]
    for place, (which, reading) in enumerate(zip(whose, readings, strict=True)):
        report = source[which]
        own = report.named.get(reading.subject)
        if own is None:  # a device that went while it was read contributes nothing
            continue
        metric = reading.metric
        get = ({**own, **dict(reading.attributes)} if reading.attributes else own).get
        name = tuple([get(key) or None for key in metric.keys])
        series = found.setdefault(metric, {})
        if name in series:
            repeats.append(place)
        else:
            series[name] = place, report.resource
    return arrange(readings, found, source, whose, repeats)


def arrange(
    readings: Sequence[Reading],
    found: Found,
    source: object = None,
    whose: Sequence[int] = (),
    repeats: Sequence[int] = (),
) -> Layout:
    """Arrange the series that were `found` in readings, of one report if it is not said `whose`."""
    whose = whose or [0] * len(readings)
    spots = [Spot(*reading[:3], not reading.at, None) for reading in readings]
    runs: list[Run] = []
    waiting: list[tuple[int, int, Metric, Name, Resource]] = []
    for metric, series in found.items():
        begin, waits = len(waiting), []
        for number, (name, (place, resource)) in enumerate(series.items()):
            turn = None
            if spots[place].timeless:
                turn = len(waiting)
                waits.append(number)
                waiting.append((place, whose[place], metric, name, resource))
            spots[place] = spots[place]._replace(turn=turn, metric=metric, place=number, resource=resource)
        if waits:
            runs.append(Run(metric, begin, len(waiting), tuple(waits) if len(waits) < len(series) else ()))
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
