# SPDX-License-Identifier: Apache-2.0
"""Points put together as OTLP requests: by resource and metric, parted into requests by their bytes."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import accumulate, chain, groupby

from inferometer import __version__
from inferometer.model import Histogram, Instrument, Metric, Point, Resource
from inferometer.views import otlp_wire as wire
from inferometer.views.otlp_forms import PIECES, Block, Filled, blocks_of, open_block

SCOPE = "inferometer"

_SCOPE_HEAD = wire.scope_head(SCOPE, __version__)

# Tags and lengths around one metric and one resource take at most this many bytes: enough to decide where to split.
_METRIC_ROOM = 24
_RESOURCE_ROOM = 32

_AT_ONCE = 512  # pieces, of which three are a point: some 50 KiB


_Part = tuple[Block, list[bytes]]  # and the pieces among which its own are


def _resource(part: _Part) -> Resource:
    return part[0].resource


def _name(part: _Part) -> tuple[str, Instrument]:
    """Give what the points of one Metric share: points of another instrument have other fields."""
    metric = part[0].metric
    return metric.name, metric.instrument


def lay_out(told: Sequence[Filled], max_bytes: int) -> tuple[tuple[bytes, ...], int]:
    """Make the requests that say points, one Filled a metric, and count the points that fit in none."""
    if not told:
        return (), 0
    resources = _by_resource(told)
    pieces, size = _framed(resources)
    if size <= max_bytes:  # as nearly all are
        return (_put_together(pieces),), 0
    requests, oversized = _split(chain.from_iterable(resources), max_bytes)
    framed = (_framed([_joined(each) for _, each in groupby(parts, _resource)])[0] for parts in requests)
    return tuple(map(_put_together, framed)), oversized


def marks(
    ended: Sequence[Point], at: float, max_bytes: int, instruments: Collection[Instrument] = ()
) -> tuple[bytes, ...]:
    """Write the requests that say which series are no more. A delta's mark begins where its last point ended."""
    time = wire.nanoseconds(at)
    groups: dict[Metric, list[tuple[Resource, bytes]]] = {}
    for metric, attributes, value, last, began, resource in ended:
        start = wire.started(last if metric.instrument in instruments else began)
        if isinstance(value, Histogram):
            point = wire.histogram_head(metric.keys, attributes, start, value.bounds)
            point += wire.histogram_mark(time, value.bounds)
        else:
            point = wire.number_head(metric.keys, attributes, start) + wire.number_mark(time)
        groups.setdefault(metric, []).append((resource, wire.delimited(1, point)))
    told: list[Filled] = []
    for metric, marked in groups.items():
        resources, points = zip(*marked, strict=True)
        blocks, order = blocks_of(metric, resources, [*map(len, points)], delta=metric.instrument in instruments)
        pieces = [b""] * (PIECES * len(points))
        pieces[::PIECES] = points if order is None else [points[i] for i in order]
        told.append((blocks, pieces))
    return lay_out(told, max_bytes)[0]


def _by_resource(told: Sequence[Filled]) -> list[list[_Part]]:
    """Put blocks in order: by resource and then by metric, each as it first appears; none is there twice."""
    parts = [(block, pieces) for blocks, pieces in told for block in blocks]
    found: dict[object, list[_Part]] = defaultdict(list)
    for part in parts:
        found[id(part[0].resource)].append(part)
    if len({_resource(of_resource[0]) for of_resource in found.values()}) < len(found):
        found = defaultdict(list)  # some are equal and not the same: what is compared, which takes longer, tells
        for part in parts:
            found[_resource(part)].append(part)
    resources = list(found.values())
    if len({blocks[0].metric.name for blocks, _ in told}) < len(told):
        resources = list(map(_joined, resources))
    return resources


def _joined(parts: Iterable[_Part]) -> list[_Part]:
    """Make one of the parts of a resource that are one metric by name and instrument."""
    names: dict[tuple[str, Instrument], list[_Part]] = {}
    for part in parts:
        names.setdefault(_name(part), []).append(part)
    return [several[0] if len(several) == 1 else _one(several) for several in names.values()]


def _one(parts: Sequence[_Part]) -> _Part:
    pieces = [piece for block, some in parts for piece in some[block.span]]
    first, size = parts[0][0], sum(part[0].size for part in parts)
    return open_block(first.metric, first.resource, size, slice(0, len(pieces)), delta=first.delta), pieces


# --- requests -----------------------------------------------------------------------------------------------------


def _split(parts: Iterable[_Part], max_bytes: int) -> tuple[list[list[_Part]], int]:
    """Part what is in order into requests below `max_bytes`; count the points that fit in none.

    Lengths around the points are taken at their most, so a request may be a little smaller than it could be.
    """
    requests: list[list[_Part]] = []
    left = oversized = 0  # bytes of the newest request that are free
    previous: _Part | None = None
    for part in parts:
        block = part[0]
        of_metric = _METRIC_ROOM + len(wire.metric_head(block.metric))
        around = _room(block.resource) + of_metric
        added = around
        if previous is not None and _resource(part) == _resource(previous):
            added = 0 if _name(part) == _name(previous) else of_metric
        ends = _ends(part)
        begin, end = 0, len(ends) - 1
        while begin < end:
            until = bisect_right(ends, ends[begin] + left - added) - 1
            if until > begin:
                requests[-1].append(_some(part, begin, until, ends[until] - ends[begin]))
                left -= added + ends[until] - ends[begin]
                begin, added, previous = until, 0, part
            elif around + ends[begin + 1] - ends[begin] > max_bytes:
                oversized += 1
                begin += 1
            else:
                requests.append([])
                left, added = max_bytes, around
    return requests, oversized


def _ends(part: _Part) -> list[int]:
    """Give where each point of a part ends, in bytes, after a 0."""
    block, pieces = part
    return list(accumulate(map(len, pieces[block.span]), initial=0))[::PIECES]


def _some(part: _Part, begin: int, end: int, size: int) -> _Part:
    """Give the points of a part from `begin` to `end`, which take `size` bytes."""
    (metric, delta, resource, *_, span), pieces = part
    if PIECES * (end - begin) == span.stop - span.start:
        return part
    own = slice(span.start + PIECES * begin, span.start + PIECES * end)
    return open_block(metric, resource, size, own, delta=delta), pieces


def _framed(resources: Iterable[list[_Part]]) -> tuple[list[bytes], int]:
    """Give the pieces of a request, and their length: those of its resources' parts, each with what opens before it."""
    written: list[bytes] = []
    whole = 0
    for parts in resources:
        first, size = len(written), 0
        written.append(b"")
        for (_, _, _, opening, block_size, span), pieces in parts:
            written.append(opening)
            written += pieces[span]
            size += len(opening) + block_size
        written[first] = wire.open_resource(_resource_head(_resource(parts[0])), _SCOPE_HEAD, size)
        whole += len(written[first]) + size
    return written, whole


def _put_together(pieces: list[bytes]) -> bytes:
    """Join pieces, a few at a time: a join of all needs 80 bytes more for each, which are new memory every time."""
    if len(pieces) <= _AT_ONCE:
        return b"".join(pieces)
    request = BytesIO()
    request.writelines(b"".join(pieces[i : i + _AT_ONCE]) for i in range(0, len(pieces), _AT_ONCE))
    return request.getvalue()


def _room(resource: Resource) -> int:
    """Give how many bytes there are around the metrics of a resource, at most."""
    return _RESOURCE_ROOM + len(wire.open_resource(_resource_head(resource), _SCOPE_HEAD, 0))


@lru_cache(256)  # one for each engine, and the node's
def _resource_head(resource: Resource) -> bytes:
    return wire.resource_head(resource.attributes)
