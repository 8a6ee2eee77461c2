# SPDX-License-Identifier: Apache-2.0
"""Where everything stands in some OTLP requests: points by resource and metric, parted into requests by their bytes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from inferometer import __version__
from inferometer.model import Group, Histogram, Instrument, Metric, Point, Resource
from inferometer.views import otlp_wire as wire
from inferometer.views.otlp_forms import Block, Form, blocks_of

SCOPE = "inferometer"

# Of a point, read in C: these run for every point of every push.
_VALUE, _AT = map(itemgetter, (2, 3))

_SCOPE_HEAD = wire.scope_head(SCOPE, __version__)

# Tags and lengths around one metric and one resource take at most this many bytes: enough to decide where to split.
_METRIC_ROOM = 24
_RESOURCE_ROOM = 32


class _Part(NamedTuple):
    """A block in a request; its first point's group begins at `base` among all points."""

    base: int
    block: Block


def _resource(part: _Part) -> Resource:
    return part.block.resource


def _name(part: _Part) -> str:
    return part.block.metric.name


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything of some requests but times and values, of which `forms` are the metrics.

    `deltas` and `histograms` say which points are, in snapshot order, and `order` picks the points as the requests have them.
    `pieces` are constant bytes, room for a stamp and room for a value, in turn, and `spans` says which of them are one request.
    """

    forms: tuple[Form, ...]
    max_bytes: int
    deltas: list[int]
    histograms: list[int]
    order: list[int]
    pieces: list[bytes]
    spans: list[slice]
    oversized: int

    @classmethod
    def of(
        cls,
        groups: Iterable[Group],
        max_bytes: int,
        before: "Layout | None" = None,
        instruments: Collection[Instrument] = (),
        exemplars: Mapping[int, bytes] = MappingProxyType({}),
    ) -> "Layout":
        """Lay out the series of these groups: as `before` where they are the same ones, else with the forms that it has.

        The points of the instruments in `instruments` are deltas. `exemplars` are those of some points, written, by the points'
        indices.
        """
        known = {form.metric: form for form in before.forms} if before else {}
        forms = tuple(_forms(groups, known, instruments, exemplars))
        if before is not None and forms == before.forms and max_bytes == before.max_bytes:
            return before
        requests, oversized = _split(_parts(forms), max_bytes)
        pieces: list[bytes] = []
        spans: list[slice] = []
        for request in requests:
            heads = _framed(request)
            framed = [b""] * (3 * len(heads))
            framed[::3] = heads
            spans.append(slice(len(pieces), len(pieces) + len(framed)))
            pieces += framed
        return cls(
            forms=forms,
            max_bytes=max_bytes,
            deltas=[i for form, base in _based(forms) if form.delta for i in range(base, base + len(form.attributes))],
            histograms=[base + i for form, base in _based(forms) for i in form.histograms],
            order=[part.base + place for request in requests for part in request for place in part.block.places],
            pieces=pieces,
            spans=spans,
            oversized=oversized,
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


def marks(
    ended: Sequence[Point], at: float, max_bytes: int, instruments: Collection[Instrument] = ()
) -> tuple[bytes, ...]:
    """Write the requests that say which series are no more. A delta's mark begins where its last point ended."""
    time = wire.nanoseconds(at)
    groups: dict[Metric, list[tuple[Resource, bytes]]] = {}
    for metric, attributes, value, last, began, resource in ended:
        start = last if metric.instrument in instruments else began
        if isinstance(value, Histogram):
            point = wire.histogram_head(metric, attributes, wire.started(start), value.bounds)
            point += wire.histogram_mark(time, value.bounds)
        else:
            point = wire.number_head(metric, attributes, wire.started(start)) + wire.number_mark(time)
        groups.setdefault(metric, []).append((resource, wire.delimited(1, point)))
    blocks: list[Block] = []
    for metric, marked in groups.items():
        resources, points = zip(*marked, strict=True)
        blocks += blocks_of(metric, resources, points, [*map(len, points)], delta=metric.instrument in instruments)
    requests, _ = _split(_in_order([_Part(0, block) for block in blocks]), max_bytes)
    return tuple(b"".join(_framed(request)) for request in requests)


def _forms(
    groups: Iterable[Group],
    known: Mapping[Metric, Form],
    instruments: Collection[Instrument],
    exemplars: Mapping[int, bytes],
) -> Iterable[Form]:
    base = 0
    for group in groups:
        own = {i: exemplars[base + i] for i in range(len(group)) if base + i in exemplars} if exemplars else {}
        yield Form.of(group, known.get(group[0].metric), instruments, own)
        base += len(group)


def _based(forms: Iterable[Form]) -> Iterable[tuple[Form, int]]:
    """Give each form with the index of its first point."""
    base = 0
    for form in forms:
        yield form, base
        base += len(form.attributes)


def _parts(forms: Iterable[Form]) -> list[_Part]:
    return _in_order([_Part(base, block) for form, base in _based(forms) for block in form.blocks])


def _in_order(parts: Iterable[_Part]) -> list[_Part]:
    """Put parts in order: by resource and then by metric's name, each as it first appears."""
    resources: dict[Resource, dict[str, list[_Part]]] = {}
    for part in parts:
        resources.setdefault(part.block.resource, {}).setdefault(part.block.metric.name, []).append(part)
    return [part for names in resources.values() for several in names.values() for part in several]


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


# --- requests -----------------------------------------------------------------------------------------------------


def _split(parts: Iterable[_Part], max_bytes: int) -> tuple[list[list[_Part]], int]:
    """Part what is in order into requests below `max_bytes`; count the points that fit in none.

    Lengths around the points are taken at their most, so a request may be a little smaller than it could be.
    """
    requests: list[list[_Part]] = []
    size = oversized = 0
    previous: _Part | None = None
    todo = list(parts)[::-1]
    while todo:
        part = todo.pop()
        of_metric = _METRIC_ROOM + len(wire.metric_head(part.block.metric))
        of_resource = _room(part.block.resource)
        added = alone = of_resource + of_metric + part.block.size
        resource = part.block.resource
        if previous is not None and (resource is previous.block.resource or resource == previous.block.resource):
            added -= of_resource
            if _name(part) == _name(previous):
                added -= of_metric
        fits = previous is not None and size + added <= max_bytes
        if not fits and len(part.block.places) > 1 and (previous is not None or alone > max_bytes):
            todo += [part._replace(block=block) for block in reversed(part.block.parted())]
            continue
        if alone > max_bytes:
            oversized += 1
            continue
        if not fits:
            requests.append([])
            size, added = 0, alone
        requests[-1].append(part)
        size += added
        previous = part
    return requests, oversized


@lru_cache(256)  # one for each engine, and the node's
def _room(resource: Resource) -> int:
    """Give how many bytes there are around the metrics of a resource, at most."""
    return _RESOURCE_ROOM + len(wire.open_resource(resource.attributes, _SCOPE_HEAD, 0))


def _framed(parts: Iterable[_Part]) -> list[bytes]:
    """Give the points' heads, each with what opens before it: a resource, a metric, or nothing."""
    heads: list[bytes] = []
    for resource, of_resource in groupby(parts, key=_resource):
        first = len(heads)
        size = 0
        for _, of_metric in groupby(of_resource, key=_name):
            begins = len(heads)
            blocks = [block for _, block in of_metric]
            for block in blocks:
                heads += block.heads
            metric, points_size = blocks[0].metric, sum(block.size for block in blocks)
            head = wire.metric_head(metric)
            begin = wire.open_metric(head, metric.instrument, points_size, delta=blocks[0].delta)
            heads[begins] = begin + heads[begins]
            size += len(begin) + points_size
        heads[first] = wire.open_resource(resource.attributes, _SCOPE_HEAD, size) + heads[first]
    return heads
