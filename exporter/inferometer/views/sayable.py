# SPDX-License-Identifier: Apache-2.0
"""What an output may say of a snapshot: finite numbers and histograms whose parts agree."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite
from operator import itemgetter
from typing import cast

from inferometer.model import Histogram, Point, Value

_VALUE = itemgetter(2)  # Point.value, read in C

# OTLP counts are unsigned 64-bit and Prometheus' are doubles; below 2**63 both hold, and no real count comes near.
_MAX_COUNT = 1 << 63


def sayable(points: Sequence[Point]) -> Sequence[Point]:
    """Leave out what is no measurement: NaN, infinities, and histograms that contradict themselves (law 1).

    Every output goes through here, so all leave out the same points. Where nothing is left out, which is always
    unless a source let something slip, the very same sequence is given back.
    """
    values: list[Value] = list(map(_VALUE, points))
    if are_sayable(values, set(map(type, values))):
        return points
    return [point for point in points if is_sayable(point.value)]


def are_sayable(values: Sequence[Value], kinds: Collection[type]) -> bool:
    """Tell whether all these values, which are of these types, can be said; False if some may not."""
    numbers = values if kinds == {float} else [value for value in values if value.__class__ is float]
    others = () if kinds == {float} else [value for value in values if value.__class__ is not float]
    # One sum tells of any number that is not finite, and of a sum that overflows; only then is each looked at.
    return isfinite(sum(cast("Sequence[float]", numbers))) and all(map(is_sayable, others))


def is_sayable(value: Value) -> bool:
    """Tell whether one value can be said on every route."""
    if not isinstance(value, Histogram):
        return type(value) in (float, int) and _is_finite(value)  # True would be written as a word
    bounds, counts, total = value
    return (
        len(counts) == len(bounds) + 1
        and min(counts) >= 0
        and sum(counts) < _MAX_COUNT
        and _is_finite(total)
        and _are_bounds(bounds)
    )


@lru_cache(256)  # the same few tuples at every tick
def _are_bounds(bounds: tuple[float, ...]) -> bool:
    """Tell whether bounds are finite and rise."""
    return all(map(_is_finite, bounds)) and all(low < high for low, high in pairwise(bounds))


def _is_finite(value: float) -> bool:
    """Tell whether a number fits a finite double; an int may be too large for one."""
    try:
        return isfinite(value)
    except OverflowError:
        return False
