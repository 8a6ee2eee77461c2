# SPDX-License-Identifier: Apache-2.0
"""The numbers of one family of a Prometheus page, of which only those are written anew that are not what they were."""

from collections.abc import Iterator, Sequence
from itertools import chain, compress, count
from operator import itemgetter, ne
from typing import NamedTuple, cast

from inferometer.model import Group, Histogram, Value
from inferometer.views.prometheus_forms import Form, bounds_of, starts_of
from inferometer.views.sayable import are_sayable, sayable

_VALUE = _SUM = itemgetter(2)  # Point.value and Histogram.sum, read in C

stamps = count()  # of the whole process: no two texts share one


class Family(NamedTuple):
    """One metric's points in a page: their form, their values, and the numbers of these as they were written.

    `points` are None where nothing is kept but the form. There are no `values` where they are not all floats, or all
    histograms: equal ones may then be written in several ways. In pages of one layout the same stamp means the same text.
    """

    form: Form
    points: Group | None
    values: list[Value]
    words: list[str]
    stamp: int

    def bare(self) -> "Family":
        """Give the form alone, with nothing written."""
        return self._replace(points=None, values=[], words=[])


def write(points: Group, before: Family | None, *, created: bool) -> Family | None:
    """Write the numbers of a metric's points; None where there is nothing to say."""
    if before is not None and points is before.points:
        return before
    if before is not None and len(points) == len(before.values):
        family = _renewed(points, before, created=created)
        if family is not None:
            return family
    said = sayable(points)
    if not said:
        return None
    values = list(map(_VALUE, said))
    words = _words(values)
    begun = starts_of(said, created=created)
    if before is not None and before.form.fits(said, begun) and before.form.bounds == bounds_of(values):
        form, stamp = before.form, before.stamp if words == before.words else next(stamps)
    else:
        form, stamp = Form.of(said, before.form if before else None, begun), next(stamps)
    return Family(form, points, values if _are_alike(values, form) else [], words, stamp)


def _renewed(points: Group, before: Family, *, created: bool) -> Family | None:
    """Give the family before with what has changed; None where it is not of this form, or not all of it can be said.

    A value that equals the one before can be said as well as that, and has its words.
    """
    form, values = before.form, list(map(_VALUE, points))
    if not _are_alike(values, form) or not form.fits(points, starts_of(points, created=created)):
        return None
    if values == before.values:
        return Family(form, points, values, before.words, before.stamp)  # read again, and the same
    changed = list(compress(count(), map(ne, values, before.values)))
    fresh = [values[i] for i in changed]
    if not are_sayable(fresh):
        return None
    words = before.words.copy()  # another thread may be at the same
    if form.bounds:
        histograms = cast("list[Histogram]", fresh)
        if [each.bounds for each in histograms] != [form.bounds[i] for i in changed]:
            return None
        for i, several in zip(changed, _of_histograms(histograms), strict=True):
            words[form.begins[i] : form.begins[i + 1]] = several
    else:
        for i, word in zip(changed, _of_numbers(cast("list[float]", fresh)), strict=True):
            words[i] = word
    return Family(form, points, values, words, next(stamps))


def _are_alike(values: Sequence[Value], form: Form) -> bool:
    """Tell whether values are all histograms, where the form has any, or all floats."""
    return set(map(type, values)) == {Histogram if form.bounds else float}


def _words(values: Sequence[Value]) -> list[str]:
    """Write every number of values."""
    if Histogram not in set(map(type, values)):
        return _of_numbers(cast("Sequence[float]", values))
    histograms = _of_histograms([value for value in values if isinstance(value, Histogram)])
    several = (next(histograms) if isinstance(value, Histogram) else _of_numbers((value,)) for value in values)
    return list(chain.from_iterable(several))


def _of_histograms(histograms: Sequence[Histogram]) -> Iterator[list[str]]:
    """Write the buckets of each, which cumulate, its sum and count."""
    for (_, counts, _), total in zip(histograms, _of_numbers(list(map(_SUM, histograms))), strict=True):
        words: list[str] = []
        below, word = 0, "0"
        for each in counts:
            if each:  # else the bucket says what the one below says, and most do
                below += each
                word = repr(below)
            words.append(word)
        words += (total, word)
        yield words


def _of_numbers(numbers: Sequence[float]) -> list[str]:
    """Write numbers. Equal ones have equal words, -0.0 those of 0.0, so that none depends on what was written before."""
    words = list(map(repr, numbers))
    return ["0.0" if word == "-0.0" else word for word in words] if "-0.0" in words else words
