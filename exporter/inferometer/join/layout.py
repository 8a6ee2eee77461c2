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

# Of a Reading, read in C; the head is what tells its series.
HEAD, VALUE, AT = itemgetter(0, 1, 2), itemgetter(3), itemgetter(5)


class Source(NamedTuple):
    """One report: the attributes of its subjects, how many readings it has, its resource, and the shape of its readings."""

    named: Named
    length: int
    resource: Resource
    shape: object = None


class Spot(NamedTuple):
    """Where a reading's point is among those of its metric."""

    metric: Metric
    place: int
    resource: Resource


class Run(NamedTuple):
    """Points of one metric among those that wait; `places` are theirs in the metric, nothing where they are all of it."""

    metric: Metric
    start: int
    end: int
    places: tuple[int, ...]


class Waiting(NamedTuple):
    """The readings that have no time but that of their report, metric by metric, and all that does not change of their points.

    `turns` says of each reading of the reports which of these it is, None if it is none; `whose` report each is of.
    """

    places: tuple[int, ...]
    turns: Sequence[int | None]
    whose: tuple[int, ...]
    metrics: tuple[Metric, ...]
    names: Names
    resources: tuple[Resource, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What becomes of readings, found from `source`. Compared by identity: it is the same while they are laid out alike.

    Of each reading it has what tells its series (`heads`), whether it is `timeless`, having no time but that of its report,
    `whose` report that is, and its spot; None where it is no point. `places` are those of each metric's readings, `names` the
    attributes of its series. `repeats` are the places of the readings whose series was said before.
    """

    source: object
    heads: Sequence[tuple[object, ...]]
    timeless: Sequence[bool]
    whose: Sequence[int]
    spots: Sequence[Spot | None]
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
    timeless = [not reading.at for reading in readings]
    spots: list[Spot | None] = [None] * len(readings)
    runs: list[Run] = []
    waiting: list[tuple[int, Metric, Name, Resource]] = []
    for metric, series in found.items():
        begin, waits = len(waiting), []
        for i, (name, (place, resource)) in enumerate(series.items()):
            spots[place] = Spot(metric, i, resource)
            if timeless[place]:
                waits.append(i)
                waiting.append((place, metric, name, resource))
        if waits:
            runs.append(Run(metric, begin, len(waiting), tuple(waits) if len(waits) < len(series) else ()))
    places, metrics, names, resources = zip(*waiting, strict=True) if waiting else ((), (), (), ())
    turns: list[int | None] = [None] * len(readings)
    for turn, place in enumerate(places):
        turns[place] = turn
    whose = whose or [0] * len(readings)
    return Layout(
        source,
        list(map(HEAD, readings)),
        timeless,
        whose,
        spots,
        {metric: [place for place, _ in series.values()] for metric, series in found.items()},
        {metric: tuple(series) for metric, series in found.items()},
        repeats,
        Waiting(places, turns, tuple([whose[place] for place in places]), metrics, names, resources, tuple(runs)),
    )


def picker(places: Sequence[int]) -> Picker:
    """Give what picks the items at some places of a sequence, as a tuple, in C where they are several."""
    if len(places) > 1:
        several: Picker = itemgetter(*places)
        return several
    return lambda items: tuple([items[place] for place in places])
