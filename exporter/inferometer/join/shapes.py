# SPDX-License-Identifier: Apache-2.0
"""Where on an engine's page the readings are that the join itself looks at; from one page to the next they stay there."""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.layout import VALUE, Name, Picker, picker
from inferometer.join.memo import Recall
from inferometer.join.serving import Served
from inferometer.model import EngineReport, Histogram, Instrument, Reading, count_series

_KEYS = tuple(key for key in catalog.REQUESTS_ABORTED.keys if key != catalog.FINISH_REASON.key)
_PLACES = (catalog.TIME_TO_FIRST_TOKEN, catalog.REQUESTS_FINISHED, catalog.REQUESTS_RUNNING, catalog.REQUESTS_WAITING)
_FOLDED = frozenset((key, catalog.OTHER) for key in (catalog.MODEL.key, catalog.FINISH_REASON.key))

_SERIES = itemgetter(1, 2)  # of a Reading, read in C: which series of the page it is
_Own = tuple[tuple[str, str], ...]  # the attributes that tell the engine cores of one page apart


class Shape(NamedTuple):
    """What picks the histograms of a page, those of the first token, and, for each balance by its attributes, its readings."""

    histograms: Picker
    first: Picker
    balances: tuple[tuple[Name, Picker], ...]


def find_shape(report: EngineReport, served: Served, recall: Recall) -> Shape:
    """Find where the readings of a page are; the same object while it has the same series."""
    told = (served, list(map(_SERIES, report.readings)))
    return recall.of(("shape", report.target.instance), told, lambda: _shape(report.readings, served))


def cost(readings: Sequence[Reading], shape: Shape) -> int:
    """Count the series of a page."""
    histograms = list(map(VALUE, shape.histograms(readings)))
    return len(readings) - len(histograms) + count_series(histograms)


def first_tokens(readings: Sequence[Reading], shape: Shape) -> float | None:
    """Count the requests that had a first token; None where the page does not."""
    values = map(VALUE, shape.first(readings))
    counts = [value.observations for value in values if isinstance(value, Histogram)]
    return float(sum(counts)) if counts else None


def _shape(readings: Sequence[Reading], served: Served) -> Shape:
    histograms = [i for i, reading in enumerate(readings) if reading.metric.instrument is Instrument.HISTOGRAM]
    first = [i for i in histograms if readings[i].metric is catalog.TIME_TO_FIRST_TOKEN]
    return Shape(picker(histograms), picker(first), tuple(_find_balances(readings, served)))


def _find_balances(readings: Sequence[Reading], served: Served) -> list[tuple[Name, Picker]]:
    """Find the readings of each balance, by where they stand."""
    if any(reading.metric is catalog.REQUESTS_ABORTED for reading in readings):
        return []
    engines: dict[_Own, list[int]] = {}
    folded: set[_Own] = set()
    for place, reading in enumerate(readings):
        if reading.metric in _PLACES:
            own = tuple([pair for pair in reading.attributes if pair[0] in _KEYS])
            engines.setdefault(own, []).append(place)
            if not _FOLDED.isdisjoint(reading.attributes):
                folded.add(own)
    named = served.named[served.engine.target.instance]
    found = []
    for own, places in engines.items():
        if own not in folded and {readings[place].metric for place in places} == set(_PLACES):
            get = {**named, **dict(own), catalog.ABORT_EVIDENCE.key: "derived"}.get
            found.append((tuple([get(key) or None for key in catalog.REQUESTS_ABORTED.keys]), picker(places)))
    return found
