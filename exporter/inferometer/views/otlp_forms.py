# SPDX-License-Identifier: Apache-2.0
"""What of a metric's points in OTLP does not change from one push to the next: their bytes but times and values, by resource."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Any, NamedTuple

from inferometer.model import Histogram, Instrument, Metric, Resource
from inferometer.views import otlp_wire as wire
from inferometer.views.columns import Columns, are_same

_Attributes = tuple[str | None, ...]
_Bounds = tuple[float, ...] | None  # of a histogram; None of a number

# What tells a point's constant bytes apart: keys and their values, start, bounds, and whether it is a delta.
Series = tuple[tuple[str, ...], _Attributes, float | None, _Bounds, bool]

PIECES = 3  # of a point: its constant bytes, its time, its value


class Block(NamedTuple):
    """Points of one metric and one resource: what opens them, the `size` of all in bytes, and where their pieces stand."""

    metric: Metric
    delta: bool
    resource: Resource
    opening: bytes
    size: int
    span: slice


# Blocks of one metric, and the pieces that they are made of, `PIECES` a point.
Filled = tuple[tuple[Block, ...], list[bytes]]


def open_block(metric: Metric, resource: Resource, size: int, span: slice, *, delta: bool) -> Block:
    """Make a block of `size` bytes."""
    opening = wire.open_metric(wire.metric_head(metric), metric.instrument, size, delta=delta)
    return Block(metric, delta, resource, opening, size, span)


def blocks_of(
    metric: Metric, resources: Sequence[Resource], sizes: Sequence[int], *, delta: bool
) -> tuple[tuple[Block, ...], list[int] | None]:
    """Put the points of a metric together by their resources, in the order in which these first appear.

    The second value says in which order the points stand in the blocks; None where it is their own.
    """
    first = resources[0]
    if resources.count(first) == len(resources):
        return (open_block(metric, first, sum(sizes), slice(0, PIECES * len(sizes)), delta=delta),), None
    places: dict[Resource, list[int]] = {}
    for place, resource in enumerate(resources):
        places.setdefault(resource, []).append(place)
    blocks, begin = [], 0
    for resource, own in places.items():
        end = begin + PIECES * len(own)
        blocks.append(open_block(metric, resource, sum([sizes[i] for i in own]), slice(begin, end), delta=delta))
        begin = end
    order = list(chain.from_iterable(places.values()))
    return tuple(blocks), None if order == sorted(order) else order


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A metric's points without times and values. `attributes`, `starts`, `resources` and `bounds` are the points', in their order.

    A delta's start is none of it: it differs in every push, and stands with the time. `bounds` is empty where all are
    numbers. `exemplars` has those of some points, written; `heads` are the points' constant bytes with their opening, and
    `order` that in which they stand in `blocks`, where it is another.
    """

    metric: Metric
    delta: bool
    attributes: Sequence[_Attributes]
    starts: Sequence[float | None]
    resources: Sequence[Resource]
    bounds: list[_Bounds]
    exemplars: Mapping[int, bytes]
    heads: list[bytes]
    blocks: tuple[Block, ...]
    order: list[int] | None

    @classmethod
    def of(
        cls,
        columns: Columns,
        instruments: Collection[Instrument],
        exemplars: Mapping[int, bytes],
        before: "Form | None",
        made: dict[Series, bytes],
    ) -> "Form":
        """Give the form of points of one metric; that of `before` where it is theirs, else with the bytes that it has.

        The points of the instruments in `instruments` are deltas. `exemplars` are those of some points, by their indices.
        `made` is what was written for other metrics at the same time: many say the same of the same device.
        """
        metric = columns.metric
        delta = metric.instrument in instruments
        starts: Sequence[float | None] = (None,) * len(columns.starts) if delta else columns.starts
        bounds: list[_Bounds] = []
        if metric.instrument is Instrument.HISTOGRAM:
            bounds = [value.bounds if isinstance(value, Histogram) else None for value in columns.values]
        known: Mapping[Series, bytes] = {}
        if before is not None and before.delta is delta:
            if before.fits(columns, starts, bounds, exemplars):
                return before
            known = before.known()
        heads = []
        for i, series in enumerate(_series(metric, columns.attributes, starts, bounds, delta=delta)):
            if i in exemplars:
                heads.append(_head(series, exemplars[i]))
                continue
            head = made.get(series) or known.get(series) or _head(series)
            heads.append(made.setdefault(series, head))
        blocks, order = blocks_of(metric, columns.resources, _sizes(heads, bounds, delta=delta), delta=delta)
        return cls(
            metric=metric,
            delta=delta,
            attributes=columns.attributes,
            starts=starts,
            resources=columns.resources,
            bounds=bounds,
            exemplars=exemplars,
            heads=heads,
            blocks=blocks,
            order=order,
        )

    def fill(self, columns: Columns, flags: Sequence[bool] | None, times: "Times") -> Filled:
        """Give the points that have a flag, or all, with the times and values of `columns`, which are of this form."""
        heads, blocks, order = self.heads, self.blocks, self.order
        values: Sequence[Any] = columns.values  # all histograms, or none
        at: Sequence[float] = columns.at
        starts: Sequence[float | None] = columns.starts
        if flags is not None:
            heads, values = list(compress(heads, flags)), list(compress(values, flags))
            at, starts = list(compress(at, flags)), list(compress(starts, flags))
            sizes = _sizes(heads, list(compress(self.bounds, flags)), delta=self.delta)
            blocks, order = blocks_of(self.metric, list(compress(self.resources, flags)), sizes, delta=self.delta)
        pieces = [b""] * (PIECES * len(heads))
        pieces[::PIECES] = heads
        if self.delta:
            pieces[1::PIECES] = map(times.spans.__getitem__, zip(starts, at, strict=True))
        elif columns.earliest == columns.latest:
            pieces[1::PIECES] = [times.stamps[at[0]]] * len(at)
        else:
            pieces[1::PIECES] = map(times.stamps.__getitem__, at)
        pieces[2::PIECES] = map(wire.value if self.bounds else wire.NUMBER.pack, values)
        if order is not None:
            pieces = [piece for i in order for piece in pieces[PIECES * i : PIECES * (i + 1)]]
        return blocks, pieces

    def fits(
        self,
        columns: Columns,
        starts: Sequence[float | None],
        bounds: list[_Bounds],
        exemplars: Mapping[int, bytes],
    ) -> bool:
        """Tell whether `columns`, which are of this metric, are the series of this form, in its order, and have its exemplars."""
        return (
            are_same(columns.attributes, self.attributes)
            and are_same(columns.resources, self.resources)
            and are_same(starts, self.starts)
            and bounds == self.bounds
            and exemplars == self.exemplars
        )

    def known(self) -> dict[Series, bytes]:
        """Give the constant bytes of each series; not where there are exemplars in them."""
        series = _series(self.metric, self.attributes, self.starts, self.bounds, delta=self.delta)
        heads = enumerate(zip(series, self.heads, strict=True))
        return {each: head for place, (each, head) in heads if place not in self.exemplars}


class _Stamps(dict[float, bytes]):
    """Times as they stand in points, each written once."""

    def __missing__(self, at: float) -> bytes:
        self[at] = written = wire.stamp(wire.nanoseconds(at))
        return written


class _Spans(dict[tuple[float | None, float], bytes]):
    """Starts and times as they stand in deltas, each written once."""

    def __missing__(self, span: tuple[float | None, float]) -> bytes:
        self[span] = written = wire.span(wire.started(span[0]) or 0, wire.nanoseconds(span[1]))  # 0 is unknown
        return written


class Times:
    """The times of one push, written: few, as what is read together is told together."""

    def __init__(self) -> None:
        self.stamps, self.spans = _Stamps(), _Spans()


def _series(
    metric: Metric,
    attributes: Sequence[_Attributes],
    starts: Sequence[float | None],
    bounds: Sequence[_Bounds],
    *,
    delta: bool,
) -> Iterable[Series]:
    """Give what tells the constant bytes of each point apart."""
    count = len(attributes)
    edges = bounds or repeat(None, count)
    return zip(repeat(metric.keys, count), attributes, starts, edges, repeat(delta, count), strict=True)


def _sizes(heads: Sequence[bytes], bounds: Sequence[_Bounds], *, delta: bool) -> list[int]:
    """Give the length of each point, with its opening."""
    if not bounds:
        more = _behind(None, delta=delta)
        return [len(head) + more for head in heads]
    return [len(head) + _behind(edges, delta=delta) for head, edges in zip(heads, bounds, strict=True)]


def _behind(bounds: _Bounds, *, delta: bool) -> int:
    """Give the length of a point's time and value."""
    stamp = wire.SPAN_SIZE if delta else wire.STAMP_SIZE
    return stamp + (wire.NUMBER.size if bounds is None else wire.histogram_value_size(len(bounds) + 1))


def _head(series: Series, exemplars: bytes = b"") -> bytes:
    """Write a point's constant bytes with their opening."""
    keys, attributes, start, bounds, delta = series
    began = wire.started(start)
    if bounds is None:
        head = wire.number_head(keys, attributes, began)
    else:
        head = wire.histogram_head(keys, attributes, began, bounds)
    size = len(head) + len(exemplars) + _behind(bounds, delta=delta)
    return wire.opening(1, size) + head + exemplars  # Gauge, Sum and Histogram all have data_points = 1
