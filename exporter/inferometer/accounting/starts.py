# SPDX-License-Identifier: Apache-2.0
"""When the counters that devices and engines keep began: what the source says, or where a value fell."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.accounting.linger import Rules, keep
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot, Value

Series = tuple[Metric, tuple[str | None, ...], Resource]


class Seen(NamedTuple):
    """The newest value of a counter that a device or engine keeps, so that a fall is noticed. `steady`: when seen."""

    value: Value
    at: float
    start: float | None
    steady: float


def find_starts(
    seen: Mapping[Series, Seen], snapshot: Snapshot, rules: Rules
) -> tuple[dict[Series, Seen], list[Point], int]:
    """Give every counter that a device or engine keeps the start that is known, moved where its value fell.

    Gives also how many series that are not there now the limit made us forget.
    """
    after: dict[Series, Seen] = {}
    points: list[Point] = []
    for point in snapshot.points:
        if point.start is not None or point.metric.instrument not in _CUMULATIVE:
            points.append(point)
            continue
        key = (point.metric, point.attributes, point.resource)
        before = seen.get(key)
        start = before.start if before else None
        if before and fell(before.value, point.value):
            start = before.at
        after[key] = Seen(point.value, point.at, start, snapshot.steady)
        points.append(point._replace(start=start) if start is not None else point)
    # An engine that misses a scrape or two is still the same counter. One whose labels are new in every scrape must not
    # fill the memory with what it once said.
    gone = ((key, old) for key, old in seen.items() if key not in after)
    staying, excess = keep(gone, lambda item: item.steady, snapshot.steady, rules)
    return {**after, **staying}, points, excess


_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


def fell(before: Value, after: Value) -> bool:
    """Tell whether a cumulative value was reset: it fell, or a bucket did, or its bounds changed."""
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return before.bounds != after.bounds or any(a < b for b, a in zip(before.counts, after.counts, strict=True))
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after < before
