# SPDX-License-Identifier: Apache-2.0
"""What of a metric's points in OTLP does not change from one push to the next: their bytes but times and values, by resource."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple, cast

from inferometer.model import Group, Histogram, Instrument, Metric, Point, Resource
from inferometer.views import otlp_wire as wire

# What tells a point's constant bytes apart, of one metric: attributes, start, and a histogram's bounds.
_Series = tuple[tuple[str | None, ...], float | None, tuple[float, ...] | None]

# Of a point, read in C: these run for every point of every push.
_ATTRIBUTES, _VALUE, _START, _RESOURCE = (itemgetter(i) for i in (1, 2, 4, 5))


class Block(NamedTuple):
    """Points of one metric and one resource: each one's place in its group, its constant bytes, and its whole length.

    `size` is the length of all. `delta` tells whether they are gains.
    """

    metric: Metric
    delta: bool
    resource: Resource
    places: Sequence[int]
    heads: Sequence[bytes]
    sizes: Sequence[int]
    size: int

    def parted(self) -> "list[Block]":
        """Give a block for each point."""
        points = zip(self.places, self.heads, self.sizes, strict=True)
        return [self._replace(places=(place,), heads=(head,), sizes=(size,), size=size) for place, head, size in points]


def blocks_of(
    metric: Metric, resources: Sequence[Resource], heads: Sequence[bytes], sizes: Sequence[int], *, delta: bool
) -> tuple[Block, ...]:
    """Put the points of a metric together by their resources, in the order in which these first appear."""
    found: dict[Resource, list[int]] = {}
    for place, resource in enumerate(resources):
        found.setdefault(resource, []).append(place)
    return tuple(
        Block(
            metric,
            delta,
            resource,
            places,
            [heads[place] for place in places],
            own := [sizes[place] for place in places],
            sum(own),
        )
        for resource, places in found.items()
    )


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A metric's points without times and values. `attributes`, `begun` and `resources` are the points', in their order.

    A delta's start is none of it: it differs in every push, and stands with the time. `histograms` says which points are
    histograms, of these `bounds`; `exemplars` has those of some points, written.
    """

    metric: Metric
    delta: bool
    attributes: list[tuple[str | None, ...]]
    begun: list[float | None]
    resources: list[Resource]
    histograms: list[int]
    bounds: list[tuple[float, ...]]
    exemplars: Mapping[int, bytes]
    blocks: tuple[Block, ...]

    @classmethod
    def of(
        cls,
        points: Group,
        before: "Form | None" = None,
        instruments: Collection[Instrument] = (),
        exemplars: Mapping[int, bytes] = MappingProxyType({}),
    ) -> "Form":
        """Give the form of points of one metric; that of `before` where it is theirs, else with the bytes that it has.

        The points of the instruments in `instruments` are deltas. `exemplars` are those of some points, by their indices.
        """
        metric = points[0].metric
        delta = metric.instrument in instruments
        if before is not None and before.delta is delta:
            if before.fits(points, exemplars):
                return before
            known = before.known()
        else:
            known = {}
        begun = _begun(points, delta=delta)
        histograms = [i for i, point in enumerate(points) if isinstance(point.value, Histogram)]
        bounds = _bounds(points, histograms)
        edges = dict(zip(histograms, bounds, strict=True))
        heads, sizes = [], []
        for i, (attributes, start) in enumerate(zip(map(_ATTRIBUTES, points), begun, strict=True)):
            series = (attributes, start, edges.get(i))
            behind = exemplars.get(i, b"")
            head, size = (None if behind else known.get(series)) or _head(metric, *series, behind, delta=delta)
            heads.append(head)
            sizes.append(size)
        resources = list(map(_RESOURCE, points))
        return cls(
            metric=metric,
            delta=delta,
            attributes=list(map(_ATTRIBUTES, points)),
            begun=begun,
            resources=resources,
            histograms=histograms,
            bounds=bounds,
            exemplars=exemplars,
            blocks=blocks_of(metric, resources, heads, sizes, delta=delta),
        )

    def fits(self, points: Sequence[Point], exemplars: Mapping[int, bytes]) -> bool:
        """Tell whether `points`, which are of this metric, are the series of this form, in its order, and have its exemplars."""
        return (
            list(map(_ATTRIBUTES, points)) == self.attributes
            and list(map(_RESOURCE, points)) == self.resources
            and (self.delta or list(map(_START, points)) == self.begun)
            and (not self.histograms or _bounds(points, self.histograms) == self.bounds)
            and exemplars == self.exemplars
        )

    def known(self) -> dict[_Series, tuple[bytes, int]]:
        """Give the constant bytes and the length of each series; not where there are exemplars in them."""
        edges = dict(zip(self.histograms, self.bounds, strict=True))
        return {
            (self.attributes[place], self.begun[place], edges.get(place)): (head, size)
            for block in self.blocks
            for place, head, size in zip(block.places, block.heads, block.sizes, strict=True)
            if place not in self.exemplars
        }


def _begun(points: Sequence[Point], *, delta: bool) -> list[float | None]:
    """Give the starts that stand with the constant bytes: none of a delta's."""
    return [None] * len(points) if delta else list(map(_START, points))


def _bounds(points: Sequence[Point], histograms: Sequence[int]) -> list[tuple[float, ...]]:
    """Give the bounds of the points that are histograms."""
    return [cast(Histogram, points[i].value).bounds for i in histograms]


def _head(
    metric: Metric,
    attributes: Sequence[str | None],
    start: float | None,
    bounds: Sequence[float] | None,
    exemplars: bytes,
    *,
    delta: bool,
) -> tuple[bytes, int]:
    """Write a point's constant bytes with their opening, and give the length of the whole point."""
    stamp = wire.SPAN_SIZE if delta else wire.STAMP_SIZE
    if bounds is None:
        head = wire.number_head(metric, attributes, wire.started(start)) + exemplars
        size = len(head) + stamp + wire.NUMBER.size
    else:
        head = wire.histogram_head(metric, attributes, wire.started(start), bounds) + exemplars
        size = len(head) + stamp + wire.histogram_value_size(len(bounds) + 1)
    begin = wire.opening(1, size)  # Gauge, Sum and Histogram all have data_points = 1
    return begin + head, len(begin) + size
