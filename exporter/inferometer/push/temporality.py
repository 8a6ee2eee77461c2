# SPDX-License-Identifier: Apache-2.0
"""Delta temporality: what counters and histograms have gained since they were last handed on. Pure.

Which instruments are told by their gains is the specification's table (OpenTelemetry specification, "Metrics Exporter -
OTLP", OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE):

| preference | Counter, asynchronous Counter | Histogram | UpDownCounter, Gauge |
|---|---|---|---|
| cumulative | cumulative | cumulative | cumulative |
| delta | delta | delta | cumulative |
| lowmemory | delta, asynchronous: cumulative | delta | cumulative |

Every counter here is read from somebody who keeps it, which is what the specification calls asynchronous.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from math import inf, nextafter
from types import MappingProxyType

from inferometer.accounting.starts import fell
from inferometer.model import Group, Histogram, Instrument, Metric, Point, Points, Resource, Snapshot, groups_of
from inferometer.views.sayable import sayable

Series = tuple[Metric, tuple[str | None, ...], Resource]

_MOST_ABSENT = 2_000  # series that are not there now and are remembered, in case they come back


class Preference(StrEnum):
    """What OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE may be."""

    CUMULATIVE = "cumulative"
    DELTA = "delta"
    LOWMEMORY = "lowmemory"


DELTAS: Mapping[Preference, frozenset[Instrument]] = MappingProxyType(
    {
        Preference.CUMULATIVE: frozenset(),
        Preference.DELTA: frozenset({Instrument.COUNTER, Instrument.HISTOGRAM}),
        Preference.LOWMEMORY: frozenset({Instrument.HISTOGRAM}),
    }
)
"""The instruments whose points are deltas."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was handed on: the `last` cumulative point of every series, the one that was updated longest ago first.

    `since` is the time, in Unix seconds, from which on a counter that is not here can have begun only if nothing of it was
    ever handed on: when the agent began. What an older counter has counted, an earlier run of the agent may have said.
    """

    since: float
    last: Mapping[Series, Point] = field(default_factory=lambda: MappingProxyType({}))


def as_deltas(said: Said, now: Snapshot, preference: Preference) -> tuple[Snapshot, Said]:
    """Give `now` with the gains in the place of cumulative values, and what is said once that is handed on.

    A gain goes from the time of the last point to that of the new one. A counter that was reset, so that its start is later
    or its value fell, has gained all of its value. So has a new series that began after `said.since`; any other new
    series, and a histogram with other bounds and no new start, has no gain yet and gets no point. Nothing is lost or told
    twice as long as the second value is kept exactly where the first one was handed on; where a request is dropped
    after that, its gains are lost.
    """
    instruments = DELTAS[preference]
    if not instruments:
        return now, said
    last, since = dict(said.last), said.since
    groups: list[Group] = []
    present = 0
    for group in groups_of(sayable(now.points)):
        metric = group[0].metric
        if metric.instrument not in instruments:
            groups.append(group)
            continue
        present += len(group)
        gains: list[Point] = []
        for point in group:
            series = (metric, point.attributes, point.resource)
            before = last.pop(series, None)
            if before is not None and point.at <= before.at:  # the same read, or a clock that was set back: no news yet
                last[series] = before
                continue
            last[series] = point
            if (gained := _gain(point, before, since)) is not None:
                gains.append(gained)
        groups.append(tuple(gains))
    for series in list(islice(last, max(0, len(last) - present - _MOST_ABSENT))):
        since = max(since, nextafter(last.pop(series).at, inf))  # if it comes back, it must not be taken for a new one
    return replace(now, points=Points.of(filter(None, groups))), Said(since, MappingProxyType(last))


def _gain(point: Point, before: Point | None, since: float) -> Point | None:
    """Give what a series has gained since `before`, or None where that is not known."""
    if before is None:
        return _whole(point, since)
    if isinstance(point.value, Histogram) and isinstance(before.value, Histogram):
        if point.value.bounds != before.value.bounds:
            return _whole(point, before.at)
    elif isinstance(point.value, Histogram) or isinstance(before.value, Histogram):
        return _whole(point, before.at)
    if _began_since(before, point.start) or fell(before.value, point.value):
        return _whole(point, before.at) or point._replace(start=before.at)
    if isinstance(point.value, Histogram) and isinstance(before.value, Histogram):
        counts = tuple(new - old for new, old in zip(point.value.counts, before.value.counts, strict=True))
        value = Histogram(point.value.bounds, counts, point.value.sum - before.value.sum)
        return point._replace(value=value, start=before.at)
    return point._replace(value=point.value - before.value, start=before.at)  # type: ignore[operator]  # both are numbers


def _whole(point: Point, since: float) -> Point | None:
    """Give all of a counter that began after `since`; None for any other."""
    return point if point.start is not None and since <= point.start < point.at else None


def _began_since(before: Point, start: float | None) -> bool:
    """Tell whether a counter began anew since it was read; a start that only wavers, as of several processes, is no reset."""
    return start is not None and before.start is not None and start > before.start and start >= before.at
