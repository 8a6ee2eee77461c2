# SPDX-License-Identifier: Apache-2.0
"""What an output may say of a snapshot: finite numbers and histograms whose parts agree."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite
from operator import is_, itemgetter, sub
from typing import cast

from inferometer.model import Histogram, Point, Value

_VALUE = itemgetter(2)  # Point.value, read in C

_NUMBERS, _HISTOGRAMS = {float}, {Histogram}
_USUAL = _NUMBERS | _HISTOGRAMS

_FEW = 4  # histograms that are sooner looked at one by one than all at once

# OTLP counts are unsigned 64-bit and Prometheus' are doubles; below 2**63 both hold, and no real count comes near.
_MAX_COUNT = 1 << 63


def sayable(points: Sequence[Point]) -> Sequence[Point]:
    """Leave out what is no measurement: NaN, infinities, and histograms that contradict themselves (law 1).

    Every output goes through here, so all leave out the same points. Where nothing is left out, which is always
    unless a source let something slip, the very same sequence is given back.
    """
    return points if are_sayable(list(map(_VALUE, points))) else [p for p in points if _is_sayable(p.value)]


def are_sayable(values: Sequence[Value]) -> bool:
    """Tell whether all of these values can be said."""
    kinds = set(map(type, values))  # one for all, or two: this runs over every point of every snapshot
    if kinds == _NUMBERS:
        return _are_finite(cast("Sequence[float]", values))
    if kinds == _HISTOGRAMS:
        return _agree(cast("Sequence[Histogram]", values))
    return (
        _are_finite([value for value in values if value.__class__ is float])
        and _agree([value for value in values if value.__class__ is Histogram])
        and (kinds <= _USUAL or all(_is_sayable(value) for value in values if value.__class__ not in _USUAL))
    )


def _are_finite(numbers: Iterable[float]) -> bool:
    """Tell whether all are finite, by one sum: it is not where one is not, nor where it overflows itself."""
    try:
        return isfinite(sum(numbers))
    except OverflowError:
        return False


def _agree(histograms: Sequence[Histogram]) -> bool:
    """Tell of all histograms at once, in C, whether the parts of each agree."""
    if len(histograms) < _FEW:
        return all(map(_is_sayable, histograms))
    bounds, counts, sums = zip(*histograms, strict=True)
    return (
        set(map(sub, map(len, counts), map(len, bounds))) == {1}
        and min(map(min, counts)) >= 0
        and max(map(sum, counts)) < _MAX_COUNT
        and _are_finite(sums)
        and _rise(bounds)
    )


def _is_sayable(value: Value) -> bool:
    """Tell whether one value can be said on every route."""
    if not isinstance(value, Histogram):
        return type(value) in (float, int) and _is_finite(value)  # True would be written as a word
    bounds, counts, total = value
    return (
        len(counts) == len(bounds) + 1
        and min(counts) >= 0
        and sum(counts) < _MAX_COUNT
        and _is_finite(total)
        and (_known.get(id(bounds)) is bounds or _rise((bounds,)))
    )


def _rise(several: Sequence[tuple[float, ...]]) -> bool:
    """Tell whether all of several bounds can be said. Those of a series are the very same tuple from tick to tick."""
    if all(map(is_, map(_known.get, map(id, several)), several)):
        return True
    if not all(_are_bounds(bounds) for bounds in several if _known.get(id(bounds)) is not bounds):
        return False
    if len(_known) + sum(map(len, _known.values())) > _MOST_KNOWN:
        _known.clear()
    _known.update(zip(map(id, several), several, strict=True))
    return True


# Bounds that can be said, by identity: to look one up by its value takes as long as to look at it.
_known: dict[int, tuple[float, ...]] = {}
_MOST_KNOWN = 1 << 17  # with the edges of all: a hostile engine's page has thousands, and others every time


def _are_bounds(bounds: tuple[float, ...]) -> bool:
    """Tell whether bounds are finite and rise."""
    return all(map(_is_finite, bounds)) and all(low < high for low, high in pairwise(bounds))


def _is_finite(value: float) -> bool:
    """Tell whether a number fits a finite double; an int may be too large for one."""
    try:
        return isfinite(value)
    except OverflowError:
        return False
