# SPDX-License-Identifier: Apache-2.0
"""Turns the values of a page into readings, and refuses those that cannot be true."""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import itemgetter, sub
from typing import NamedTuple

from inferometer.model import Histogram, Instrument, Metric, Reading

_MAX_CREATED = 9.2e9  # seconds; what still fits OTLP's nanoseconds
_MAX_COUNT = 2**63
_EXACT = 2.0**53  # below it a float holds every whole number, and so their differences


class Doubt(StrEnum):
    """Why a series of a mapped family is dropped: the closed set that it is counted by."""

    TYPE = "type"  # the page declares another type than the family has
    AMBIGUOUS = "ambiguous"  # two series that we could not tell apart
    INCOMPLETE = "incomplete"  # a histogram without +Inf, count, sum or proper bounds
    NOT_CUMULATIVE = "not_cumulative"  # buckets that fall, or do not add up to the count
    NOT_FINITE = "not_finite"  # NaN means absent, and so does infinity
    OUT_OF_RANGE = "out_of_range"  # a negative counter, a ratio beyond 0..1
    TOO_LONG = "too_long"  # a label value that no model or reason has


class DoubtError(Exception):
    """A value is not believed."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__(doubt)
        self.doubt = doubt


class Identity(NamedTuple):
    """What a reading says besides its value; the same objects scrape after scrape."""

    subject: str
    metric: Metric
    attributes: tuple[tuple[str, str], ...]
    created: tuple[int, ...] = ()  # slots of the `_created` samples, one for each series that is added up

    def start(self, values: Sequence[float]) -> float | None:
        """Give when the counter began, in Unix seconds, if the page says something possible of all its parts."""
        if not self.created:
            return None
        if len(self.created) == 1:
            created = values[self.created[0]]
            return created if 0 < created < _MAX_CREATED else None
        several = [values[slot] for slot in self.created]
        return min(several) if all(0 < each < _MAX_CREATED for each in several) else None

    def believe(self, value: float) -> float:
        """Give a value back.

        Raises:
            DoubtError: NOT_FINITE, OUT_OF_RANGE.
        """
        if not math.isfinite(value):
            raise DoubtError(Doubt.NOT_FINITE)
        if value < 0 or (value > 1 and self.metric.unit == "1"):
            raise DoubtError(Doubt.OUT_OF_RANGE)
        return value


class Number(NamedTuple):
    """A gauge or counter."""

    identity: Identity
    slot: int

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots of all values that it looks at."""
        return (self.slot, *self.identity.created)

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            DoubtError: NOT_FINITE, OUT_OF_RANGE.
        """
        identity = self.identity
        metric, value = identity.metric, identity.believe(values[self.slot])
        start = identity.start(values) if metric.instrument is Instrument.COUNTER else None
        return Reading(identity.subject, metric, identity.attributes, value, start)


class Buckets(NamedTuple):
    """A histogram. `cumulative` picks the bucket values by rising bound, +Inf last; `bounds` are in our unit.

    `slots` are those of all values that it looks at.
    """

    identity: Identity
    bounds: tuple[float, ...]
    cumulative: Callable[[Sequence[float]], tuple[float, ...]]
    count_slot: int
    sum_slot: int
    slots: tuple[int, ...]
    per: float = 1.0  # how many of the page's units make one of ours

    def read(self, values: Sequence[float]) -> Reading:
        """Read it, with its own bounds.

        Raises:
            DoubtError: NOT_FINITE, NOT_CUMULATIVE; OUT_OF_RANGE: its sum is negative, which OpenMetrics forbids.
        """
        cumulative, total = self.cumulative(values), values[self.sum_slot]
        if not math.isfinite(total):
            raise DoubtError(Doubt.NOT_FINITE)
        if total < 0:
            raise DoubtError(Doubt.OUT_OF_RANGE if all(map(math.isfinite, cumulative)) else Doubt.NOT_FINITE)
        counts = _counts(cumulative)
        if min(counts) < 0 or values[self.count_slot] != cumulative[-1]:
            raise DoubtError(Doubt.NOT_CUMULATIVE)
        identity = self.identity
        return Reading(
            identity.subject,
            identity.metric,
            identity.attributes,
            Histogram(self.bounds, counts, total / self.per),
            identity.start(values),
        )


def _counts(cumulative: tuple[float, ...]) -> tuple[int, ...]:
    """Give the count of each bucket by itself; what falls is below zero.

    Raises:
        DoubtError: NOT_FINITE; NOT_CUMULATIVE: there are parts of observations, or more than can be told.
    """
    if cumulative[-1] < _EXACT:
        each = tuple(map(sub, cumulative, (0.0, *cumulative)))
        try:
            counts = tuple(map(float.__trunc__, each))
        except (ValueError, OverflowError):
            raise DoubtError(Doubt.NOT_FINITE) from None
        if counts == each:
            return counts
    try:
        whole = tuple(map(int, cumulative))
    except (ValueError, OverflowError):
        raise DoubtError(Doubt.NOT_FINITE) from None
    if whole != cumulative or whole[-1] >= _MAX_COUNT:
        raise DoubtError(Doubt.NOT_CUMULATIVE)
    return tuple(map(sub, whole, (0, *whole)))


def _scaled(le: str, per: float) -> float:
    """Read a bound and say it in our unit, as near as its digits say: 0.7 ms is 0.0007 s, and not its neighbour."""
    bound = float(le)
    if per == 1 or not math.isfinite(bound):
        return bound
    from decimal import Decimal  # noqa: PLC0415  # 0.4 MiB that only engines with milliseconds cost

    return float(Decimal(le) / Decimal(per))


def buckets(
    identity: Identity, bounds: Sequence[tuple[str, int]], count: int | None, sum_: int | None, per: float = 1.0
) -> Buckets:
    """Put a histogram together from its `(le, slot)` pairs and the slots of its count and sum.

    `per` is how many of the page's units make one of ours: the bounds stay the engine's own, said in another unit.

    Raises:
        DoubtError: INCOMPLETE.
    """
    try:
        ordered = sorted((_scaled(le, per), slot) for le, slot in bounds)
    except ValueError:
        raise DoubtError(Doubt.INCOMPLETE) from None
    limits = tuple(limit for limit, _ in ordered)
    proper = (
        bool(limits)
        and limits[-1] == math.inf
        and all(map(math.isfinite, limits[:-1]))
        and limits[0] >= 0  # OpenMetrics has no sum beside negative bounds
        and len(set(limits)) == len(limits)
    )
    if not proper or count is None or sum_ is None:
        raise DoubtError(Doubt.INCOMPLETE)
    slots = [slot for _, slot in ordered]
    looked_at = (*slots, count, sum_, *identity.created)
    if len(slots) == 1:  # itemgetter of one index gives no tuple
        only = slots[0]
        return Buckets(identity, (), lambda values: (values[only],), count, sum_, looked_at, per)
    return Buckets(identity, limits[:-1], itemgetter(*slots), count, sum_, looked_at, per)
