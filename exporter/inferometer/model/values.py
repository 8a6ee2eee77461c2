# SPDX-License-Identifier: Apache-2.0
"""Values on their way from a source to an output: readings, points, histograms, resources."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from inferometer.model.metrics import Metric


class Histogram(NamedTuple):
    """An explicit-bounds histogram. `counts` are per bucket, not cumulative, one more than `bounds` (the last is +Inf)."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def observations(self) -> int:
        """The number of observations."""
        return sum(self.counts)


Value = float | Histogram


class Exemplar(NamedTuple):
    """One of the observations behind a counter or a histogram, with labels that say which, `trace_id` above all.

    `value` is in the metric's unit, and `at` when it was observed, in Unix seconds, where that is known.
    """

    labels: tuple[tuple[str, str], ...]
    value: float
    at: float | None = None


def series_of(value: Value) -> int:
    """Count the Prometheus series of one value: a histogram has one per bucket, its sum and its count."""
    return len(value.counts) + 2 if isinstance(value, Histogram) else 1


def count_series(values: Collection[Value]) -> int:
    """Count the Prometheus series of values: what `series_of` gives of each, without a call of each."""
    buckets = [len(value.counts) for value in values if value.__class__ is Histogram]
    return len(values) + len(buckets) + sum(buckets)


class Reading(NamedTuple):
    """One measured value of one subject, before the join gives it identity.

    `subject` is a device UUID, or the instance name of an engine target. `attributes` holds only what this
    measurement adds (`hw.gpu.task`, `gen_ai.token.type`); the join adds the subject's own.
    `start` is when a counter or histogram began, in Unix seconds, where the source knows it; `at` when this was read, where
    it was not with its frame.
    """

    subject: str
    metric: Metric
    attributes: tuple[tuple[str, str], ...]
    value: Value
    start: float | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Who speaks: an OTLP resource. `attributes` are sorted by key."""

    attributes: tuple[tuple[str, str], ...]
    _hash: int = field(init=False, repr=False, compare=False)  # every series is looked up by it, several times a tick

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.attributes))

    def __hash__(self) -> int:
        return self._hash

    @classmethod
    def of(cls, attributes: Mapping[str, str | None]) -> "Resource":
        """Build one from a mapping; empty and missing values are left out."""
        return cls(tuple(sorted((k, v) for k, v in attributes.items() if v)))


class Point(NamedTuple):
    """One value of one series, as every output sees it.

    `attributes` is aligned with `metric.attributes`; None means the attribute is absent.
    `at` is the read time of the frame it came from and `start` when its counter began (None: unknown), Unix seconds.
    """

    metric: Metric
    attributes: tuple[str | None, ...]
    value: Value
    at: float
    start: float | None
    resource: Resource


Group = tuple[Point, ...]  # of one metric

# What the agent itself says, and has not changed, is said again after so many seconds; until then its points stay the very
# same ones, as those of a slower tier do until its next read, and nobody handles them anew.
SAID_AGAIN = 15.0


class Points(tuple[Point, ...]):  # noqa: SLOT001  # a tuple's subclass has no room for slots
    """Points that know their `groups`, one of each metric.

    A group of which nothing has changed is the very same tuple from one snapshot to the next, so that whoever keeps what it
    made of a group sees at a glance whether it still counts.
    """

    groups: tuple[Group, ...]

    @classmethod
    def of(cls, groups: Iterable[Group]) -> "Points":
        """Put groups together, in their order."""
        found = tuple(groups)
        points = cls(chain.from_iterable(found))
        points.groups = found
        return points


def groups_of(points: Sequence[Point]) -> tuple[Group, ...]:
    """Give the points of each metric, in the order in which the metrics first appear."""
    if isinstance(points, Points):
        return points.groups
    found: dict[Metric, list[Point]] = {}
    for point in points:
        found.setdefault(point.metric, []).append(point)
    return tuple(map(tuple, found.values()))
