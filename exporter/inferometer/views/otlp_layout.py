# SPDX-License-Identifier: Apache-2.0
"""Where everything stands in some OTLP requests: points by resource and metric, parted into requests by their bytes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import NamedTuple, cast

from inferometer import __version__
from inferometer.model import Histogram, Instrument, Metric, Point, Resource
from inferometer.views import otlp_wire as wire

SCOPE = "inferometer"

_Pairs = tuple[tuple[str, str], ...]
# What tells a point's constant bytes apart: metric, attributes, start, and a histogram's bounds.
# A delta's start differs in every request: it stands with its time, and not here.
_Series = tuple[Metric, tuple[str | None, ...], float | None, tuple[float, ...] | None]

# Of a point, read in C: these run for every point of every snapshot.
_METRIC, _ATTRIBUTES, _VALUE, _AT, _START, _RESOURCE = map(itemgetter, range(6))

_SCOPE_HEAD = wire.scope_head(SCOPE, __version__)

# Tags and lengths around one metric and one resource take at most this many bytes: enough to decide where to split.
_METRIC_ROOM = 24
_RESOURCE_ROOM = 32


class _Item(NamedTuple):
    """A data point to lay out: its constant bytes with their opening, and its whole length."""

    resource: _Pairs
    metric: Metric
    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything of some requests but times and values.

    `metrics`, `attributes`, `begun` and `resources` are the points': what the requests are laid out by. `heads` and `sizes`
    are their constant bytes and whole lengths. `order` picks the points as the requests have them. `pieces` are constant
    bytes, room for a stamp and room for a value, in turn, and `spans` says which of them are one request.
    """

    metrics: list[Metric]
    attributes: list[tuple[str | None, ...]]
    begun: list[float | None]
    resources: list[Resource]
    max_bytes: int
    instruments: Collection[Instrument]  # whose points are deltas
    deltas: list[int]  # which points are, in snapshot order
    histograms: list[int]  # which points are histograms, in snapshot order
    bounds: list[tuple[float, ...]]
    heads: list[bytes]
    sizes: list[int]
    order: list[int]
    pieces: list[bytes]
    spans: list[slice]
    oversized: int
    exemplars: Mapping[int, bytes]

    @classmethod
    def of(
        cls,
        points: Sequence[Point],
        max_bytes: int,
        before: "Layout | None",
        instruments: Collection[Instrument] = (),
        exemplars: Mapping[int, bytes] = MappingProxyType({}),
    ) -> "Layout":
        """Lay out the series of `points`, taking the heads that the layout before has.

        `exemplars` are those of some points, written, by the points' indices.
        """
        known = before.known() if before and before.instruments == instruments else {}
        deltas = [i for i, point in enumerate(points) if point.metric.instrument in instruments] if instruments else []
        begun = _begun(points, deltas)
        items: list[_Item] = []
        for i, ((metric, attributes, value, _, _, resource), start) in enumerate(zip(points, begun, strict=True)):
            series = (metric, attributes, start, value.bounds if isinstance(value, Histogram) else None)
            behind = exemplars.get(i)
            whole = None if behind else known.get(series)
            items.append(_Item(resource.attributes, metric, *(whole or _head(*series, instruments, behind or b""))))
        requests, oversized = _split(items, max_bytes)
        order = [i for request in requests for i in request]
        pieces: list[bytes] = []
        spans: list[slice] = []
        for request in requests:
            begin = len(pieces)
            for head in _framed([items[i] for i in request], instruments):
                pieces += (head, b"", b"")
            spans.append(slice(begin, len(pieces)))
        histograms = [i for i, point in enumerate(points) if isinstance(point.value, Histogram)]
        return cls(
            metrics=list(map(_METRIC, points)),
            attributes=list(map(_ATTRIBUTES, points)),
            begun=begun,
            resources=list(map(_RESOURCE, points)),
            max_bytes=max_bytes,
            instruments=instruments,
            deltas=deltas,
            histograms=histograms,
            bounds=_bounds(points, histograms),
            heads=[item.head for item in items],
            sizes=[item.size for item in items],
            order=order,
            pieces=pieces,
            spans=spans,
            oversized=oversized,
            exemplars=exemplars,
        )

    def known(self) -> dict[_Series, tuple[bytes, int]]:
        """Give the heads and sizes by series."""
        bounds = dict(zip(self.histograms, self.bounds, strict=True))
        edges = map(bounds.get, range(len(self.metrics)))
        series = list(zip(self.metrics, self.attributes, self.begun, edges, strict=True))
        known = dict(zip(series, zip(self.heads, self.sizes, strict=True), strict=True))
        for i in self.exemplars:
            known.pop(series[i], None)
        return known

    def fits(
        self,
        points: Sequence[Point],
        max_bytes: int,
        instruments: Collection[Instrument] = (),
        exemplars: Mapping[int, bytes] = MappingProxyType({}),
    ) -> bool:
        """Tell whether `points` are the series of this layout, in its order, and have its exemplars."""
        return (
            max_bytes == self.max_bytes
            and instruments == self.instruments
            and exemplars == self.exemplars
            and list(map(_METRIC, points)) == self.metrics
            and list(map(_ATTRIBUTES, points)) == self.attributes
            and _begun(points, self.deltas) == self.begun
            and list(map(_RESOURCE, points)) == self.resources
            and _bounds(points, self.histograms) == self.bounds
        )

    def fill(self, points: Sequence[Point]) -> tuple[bytes, ...]:
        """Give the requests with the times and values of `points`."""
        if not self.order:
            return ()
        times = list(map(_AT, points))
        stamps = {at: wire.stamp(wire.nanoseconds(at)) for at in set(times)}
        values = list(map(_VALUE, points))
        histograms = [(i, wire.histogram_value(values[i])) for i in self.histograms]
        for i, _ in histograms:
            values[i] = 0.0
        encoded = list(map(wire.NUMBER.pack, values))
        for i, value in histograms:
            encoded[i] = value
        pieces = self.pieces.copy()
        said = list(map(stamps.__getitem__, times))
        for i, span in zip(self.deltas, _spans(points, self.deltas), strict=True):
            said[i] = span
        pieces[1::3] = [said[i] for i in self.order]
        pieces[2::3] = [encoded[i] for i in self.order]
        return tuple(b"".join(pieces[span]) for span in self.spans)


def _begun(points: Sequence[Point], deltas: Sequence[int]) -> list[float | None]:
    """Give the starts that stand with the constant bytes: none of a delta's."""
    begun = list(map(_START, points))
    for i in deltas:
        begun[i] = None
    return begun


def _spans(points: Sequence[Point], deltas: Sequence[int]) -> list[bytes]:
    """Write the starts and times of the points that are deltas: few, as what is read together is told together."""
    known: dict[tuple[float | None, float], bytes] = {}
    spans = []
    for i in deltas:
        between = points[i].start, points[i].at
        span = known.get(between)
        if span is None:
            start = wire.started(between[0])
            span = known[between] = wire.span(start or 0, wire.nanoseconds(between[1]))  # 0 is unknown, to a receiver
        spans.append(span)
    return spans


def _bounds(points: Sequence[Point], histograms: Sequence[int]) -> list[tuple[float, ...]]:
    """Give the bounds of the points that are histograms."""
    return [cast(Histogram, points[i].value).bounds for i in histograms]


def _head(
    metric: Metric,
    attributes: Sequence[str | None],
    start: float | None,
    bounds: Sequence[float] | None,
    instruments: Collection[Instrument],
    exemplars: bytes = b"",
) -> tuple[bytes, int]:
    """Write a point's constant bytes with their opening, and give the length of the whole point."""
    stamp = wire.SPAN_SIZE if metric.instrument in instruments else wire.STAMP_SIZE
    if bounds is None:
        head = wire.number_head(metric, attributes, wire.started(start)) + exemplars
        size = len(head) + stamp + wire.NUMBER.size
    else:
        head = wire.histogram_head(metric, attributes, wire.started(start), bounds) + exemplars
        size = len(head) + stamp + wire.histogram_value_size(len(bounds) + 1)
    begin = wire.opening(1, size)  # Gauge, Sum and Histogram all have data_points = 1
    return begin + head, len(begin) + size


def marks(
    ended: Sequence[Point], at: float, max_bytes: int, instruments: Collection[Instrument] = ()
) -> tuple[bytes, ...]:
    """Write the requests that say which series are no more. A delta's mark begins where its last point ended."""
    time = wire.nanoseconds(at)
    items: list[_Item] = []
    for metric, attributes, value, last, began, resource in ended:
        start = last if metric.instrument in instruments else began
        if isinstance(value, Histogram):
            point = wire.histogram_head(metric, attributes, wire.started(start), value.bounds)
            point += wire.histogram_mark(time, value.bounds)
        else:
            point = wire.number_head(metric, attributes, wire.started(start)) + wire.number_mark(time)
        whole = wire.delimited(1, point)
        items.append(_Item(resource.attributes, metric, whole, len(whole)))
    requests, _ = _split(items, max_bytes)
    return tuple(b"".join(_framed([items[i] for i in request], instruments)) for request in requests)


# --- requests -----------------------------------------------------------------------------------------------------


def _split(items: Sequence[_Item], max_bytes: int) -> tuple[list[list[int]], int]:
    """Group items by resource and metric, and part them into requests below `max_bytes`; count what fits in none.

    Lengths around the points are taken at their most, so a request may be a little smaller than it could be.
    """
    resources: dict[_Pairs, int] = {}
    metrics: dict[str, int] = {}
    metric_room: dict[str, int] = {}
    for item in items:
        resources.setdefault(item.resource, len(resources))
        if item.metric.name not in metrics:
            metrics[item.metric.name] = len(metrics)
            metric_room[item.metric.name] = _METRIC_ROOM + len(wire.metric_head(item.metric))
    room = {pairs: _RESOURCE_ROOM + len(wire.open_resource(pairs, _SCOPE_HEAD, 0)) for pairs in resources}
    order = sorted(range(len(items)), key=lambda i: (resources[items[i].resource], metrics[items[i].metric.name]))
    requests: list[list[int]] = []
    size = oversized = 0
    previous: _Item | None = None
    for i in order:
        item = items[i]
        alone = room[item.resource] + metric_room[item.metric.name] + item.size
        if alone > max_bytes:
            oversized += 1
            continue
        added = alone
        if previous is not None and item.resource == previous.resource:
            added -= room[item.resource]
            if item.metric.name == previous.metric.name:
                added -= metric_room[item.metric.name]
        if previous is None or size + added > max_bytes:
            requests.append([])
            size, added = 0, alone
        requests[-1].append(i)
        size += added
        previous = item
    return requests, oversized


def _framed(items: Sequence[_Item], instruments: Collection[Instrument]) -> list[bytes]:
    """Give the items' heads, each with what opens before it: a resource, a metric, or nothing."""
    heads: list[bytes] = []
    for pairs, of_resource in groupby(items, key=attrgetter("resource")):
        first = len(heads)
        size = 0
        for _, of_metric in groupby(of_resource, key=attrgetter("metric.name")):
            points = list(of_metric)
            metric = points[0].metric
            points_size = sum(point.size for point in points)
            delta = metric.instrument in instruments
            begin = wire.open_metric(wire.metric_head(metric), metric.instrument, points_size, delta=delta)
            heads.append(begin + points[0].head)
            heads += (point.head for point in points[1:])
            size += len(begin) + points_size
        heads[first] = wire.open_resource(pairs, _SCOPE_HEAD, size) + heads[first]
    return heads
