# SPDX-License-Identifier: Apache-2.0
"""What stands around the numbers of one family of a Prometheus page, laid out once for as long as its series are the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter

from inferometer.model import Histogram, Metric, Point, Value
from inferometer.views import prometheus_text
from inferometer.views.exemplars import CUMULATIVE

Bounds = tuple[float, ...] | None

# A series of a metric as a page tells it apart; a histogram's bounds are part of it, because each is a line of its own.
_Series = tuple[tuple[str | None, ...], Bounds]

_ATTRIBUTES, _START = map(itemgetter, (1, 4))  # of a Point, read in C: these run for every point that is new

_LAST_SECOND = 1 << 34  # in the year 2514: what a hostile page says beyond is no start


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Everything of one family but its numbers.

    `attributes` are the points', `bounds` those of their values, and none where none is a histogram. What stands before each
    number is in two: `texts`, which the buckets of a series share, and `edges`, which those of equal bounds do. `begins` is
    where those of each point begin, and where the last one's end. `begun` are the points' starts, where these are told.
    """

    metric: Metric
    attributes: list[tuple[str | None, ...]]
    bounds: list[Bounds]
    texts: list[str]
    edges: list[str]
    begins: Sequence[int]
    begun: list[float | None]

    @classmethod
    def of(cls, points: Sequence[Point], before: "Form | None", begun: list[float | None]) -> "Form":
        """Lay out the series of `points`, taking the lines that the form before has."""
        known = before.lines() if before else {}
        metric = points[0].metric
        every = list(map(_ATTRIBUTES, points))
        bounds = bounds_of([point.value for point in points])
        texts: list[str] = []
        edges: list[str] = []
        begins = [0]
        for series in zip(every, bounds or repeat(None, len(every)), strict=True):
            texts += known.get(series) or prometheus_text.texts(metric, *series)
            edges += prometheus_text.edges(series[1])
            begins.append(len(texts))
        # A range takes no room.
        return cls(metric, every, bounds, texts, edges, begins if bounds else range(len(begins)), begun)

    def lines(self) -> dict[_Series, Sequence[str]]:
        """Give the texts of each series."""
        every = zip(self.attributes, self.bounds or repeat(None, len(self.attributes)), strict=True)
        return {series: self.texts[self.begins[i] : self.begins[i + 1]] for i, series in enumerate(every)}

    def created(self) -> Iterator[tuple[int, str]]:
        """Write when each series began, where that is told and known, with the index of the text that follows."""
        for i, begun in enumerate(self.begun):
            if begun is not None and 0 < begun < _LAST_SECOND:
                yield self.begins[i + 1], prometheus_text.created(self.metric, self.attributes[i], begun)

    def fits(self, points: Sequence[Point], begun: list[float | None]) -> bool:
        """Tell whether `points`, which are of this metric, have the attributes of this form, in its order, and its starts."""
        return list(map(_ATTRIBUTES, points)) == self.attributes and begun == self.begun


def bounds_of(values: Sequence[Value]) -> list[Bounds]:
    """Give the bounds of each value that is a histogram; nothing where none is."""
    if Histogram not in set(map(type, values)):
        return []
    return [value.bounds if isinstance(value, Histogram) else None for value in values]


def starts_of(points: Sequence[Point], *, created: bool) -> list[float | None]:
    """Give the starts that a page tells: those of what accumulates, where they are asked for."""
    told = created and bool(points) and points[0].metric.instrument in CUMULATIVE
    return list(map(_START, points)) if told else []
