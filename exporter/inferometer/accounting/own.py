# SPDX-License-Identifier: Apache-2.0
"""What the agent counts of itself: reads that failed, what limits dropped, and pushes."""

from collections.abc import Mapping
from types import MappingProxyType

from inferometer import catalog
from inferometer.accounting.failures import Failures, Key
from inferometer.accounting.said import Saying
from inferometer.model import Group, Instrument, Metric, Point, Snapshot


def say(
    saying: Saying,
    snapshot: Snapshot,
    began: float,
    *,
    errors: Mapping[Key, Failures],
    left_out: Mapping[str, int],
    series: Mapping[str, int],
) -> None:
    """Say the counters: `left_out` by limit, and the `series` that found no place by metric.

    `began` is Unix seconds of the first snapshot: when they were 0.
    """
    about = began, snapshot.node, snapshot.simulated
    saying.say("errors", (list(errors.items()), *about), lambda: _errors(errors, snapshot, began))
    for metric, key, counts in (
        (catalog.DROPPED, catalog.LIMIT.key, left_out),
        (catalog.SERIES_DROPPED, catalog.METRIC.key, series),
        (catalog.EXPORTS, catalog.REASON.key, snapshot.exports),
    ):
        saying.say(metric.name, (list(counts.items()), *about), lambda: _counts(metric, key, counts, snapshot, began))  # noqa: B023  # called at once


def say_series(saying: Saying, snapshot: Snapshot, number: float) -> tuple[Group, ...]:
    """Say how many series there are."""
    about = number, snapshot.node, snapshot.simulated
    return saying.say(catalog.SERIES.name, about, lambda: [_point(catalog.SERIES, number, snapshot, None)])


def _point(
    metric: Metric,
    value: float,
    snapshot: Snapshot,
    began: float | None,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Point:
    """Make a point of the agent's own; its counters were 0 at the first snapshot."""
    get = {**attributes, **({catalog.SIMULATED.key: "true"} if snapshot.simulated else {})}.get
    start = began if metric.instrument is Instrument.COUNTER else None
    return Point(metric, tuple([get(key) or None for key in metric.keys]), value, snapshot.at, start, snapshot.node)


def _errors(errors: Mapping[Key, Failures], snapshot: Snapshot, began: float) -> list[Point]:
    return [
        _point(
            catalog.SOURCE_ERRORS,
            float(failed.total),
            snapshot,
            began,
            {catalog.SOURCE.key: source, catalog.SOURCE_INSTANCE.key: instance, catalog.REASON.key: reason},
        )._replace(start=failed.start)
        for (source, instance, reason), failed in errors.items()
    ]


def _counts(metric: Metric, key: str, counts: Mapping[str, int], snapshot: Snapshot, began: float) -> list[Point]:
    said = {catalog.OUTPUT.key: "otlp"} if metric is catalog.EXPORTS else {}
    return [_point(metric, float(number), snapshot, began, {**said, key: name}) for name, number in counts.items()]
