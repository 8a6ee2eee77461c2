# SPDX-License-Identifier: Apache-2.0
"""What a cumulative series has grown, and sums of such growths: they never fall, whoever goes, and whatever is reset."""

from operator import add, sub
from typing import NamedTuple

from inferometer.accounting.starts import fell
from inferometer.model import Histogram, Value


class Part(NamedTuple):
    """A series that is added up, as it was read last, at `at` (Unix seconds), and when it began, where that is known.

    `ended` is monotonic seconds: since when it is not there.
    """

    value: Value
    at: float
    start: float | None
    ended: float | None = None


def growth(before: Part, value: Value, start: float | None) -> Value | None:
    """Give what a series has grown since it was read; None where that is not known.

    It was reset where it fell, or says that it began since. A start that only wavers, as of several processes, is no reset.
    """
    began_since = None not in (before.start, start) and (start or 0.0) > max(before.start or 0.0, before.at)
    if began_since or fell(before.value, value):
        return value
    if isinstance(value, Histogram) and isinstance(before.value, Histogram):
        counts = tuple(map(sub, value.counts, before.value.counts))
        return Histogram(value.bounds, counts, value.sum - before.value.sum)
    if isinstance(value, Histogram) or isinstance(before.value, Histogram):
        return None
    return value - before.value


def plus(one: Value, other: Value) -> Value:
    """Add two values; histograms are of equal bounds."""
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        return Histogram(one.bounds, tuple(map(add, one.counts, other.counts)), one.sum + other.sum)
    if isinstance(one, Histogram) or isinstance(other, Histogram):
        return one
    return one + other


def nothing(like: Value) -> Value:
    """Give the 0 to which values like this one can be added."""
    return Histogram(like.bounds, (0,) * len(like.counts), 0.0) if isinstance(like, Histogram) else 0.0


def bounds_of(value: Value) -> tuple[float, ...] | None:
    """Give a histogram's bounds; None of a number."""
    return value.bounds if isinstance(value, Histogram) else None
