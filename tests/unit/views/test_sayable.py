# SPDX-License-Identifier: Apache-2.0
"""What no output says: values that are no measurement."""

import math

import pytest

from example import SNAPSHOT, point
from inferometer import catalog
from inferometer.model import Histogram, Value
from inferometer.views import prometheus_text
from inferometer.views import sayable as sayable_values
from inferometer.views.sayable import are_sayable, sayable


def test_sayable_points_are_given_back_untouched() -> None:
    """The usual case costs no copy."""
    assert sayable(SNAPSHOT.points) is SNAPSHOT.points


def test_sums_that_overflow_cost_no_point() -> None:
    """Each number is judged by itself."""
    points = (point(catalog.POWER, {}, 1.7e308), point(catalog.SERIES, {}, 1.7e308))

    assert list(sayable(points)) == list(points)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True])
def test_numbers_that_are_none_are_left_out(value: float) -> None:
    """NaN, infinities, integers beyond a double and truth values are no measurements."""
    good = point(catalog.SERIES, {}, 3)

    assert list(sayable([point(catalog.POWER, {}, value), good])) == [good]


@pytest.mark.parametrize(
    "value",
    [
        Histogram((1.0,), (1,), 1.0),
        Histogram((), (), 0.0),
        Histogram((1.0, 1.0), (1, 2, 3), 1.0),
        Histogram((2.0, 1.0), (1, 2, 3), 1.0),
        Histogram((math.nan,), (1, 2), 1.0),
        Histogram((math.inf,), (1, 2), 1.0),
        Histogram((1.0,), (-1, 2), 1.0),
        Histogram((1.0,), (1 << 62, 1 << 62), 1.0),
        Histogram((1.0,), (1, 2), math.nan),
    ],
)
def test_histograms_that_contradict_themselves_are_left_out(value: Value) -> None:
    """Counts without bounds, bounds out of order, negative or impossible counts: nothing of it is said."""
    assert list(sayable([point(catalog.REQUEST_DURATION, {}, value)])) == []


def test_bounds_are_looked_at_once_and_no_more_of_them_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The very same tuple is known again; another one, however like it, is looked at, and old ones are forgotten."""
    monkeypatch.setattr(sayable_values, "_MOST_KNOWN", 3)
    for i in range(20):
        good, bad = Histogram((float(i), i + 1.0), (1, 2, 3), 1.0), Histogram((float(i), float(i)), (1, 2, 3), 1.0)
        assert [are_sayable([good]), are_sayable([good, good]), are_sayable([bad])] == [True, True, False]
        assert len(sayable_values._known) <= 4


def test_bounds_that_are_others_every_time_are_forgotten() -> None:
    """An engine whose pages have thousands of edges, and others each time, takes no memory for those that are gone."""
    for i in range(40):
        bounds = tuple(float(edge * 100 + i) for edge in range(10_000))
        assert are_sayable([Histogram(bounds, (0,) * 10_001, 0.0)])
        assert prometheus_text.edges(bounds)[1] == f'le="{100.0 + i}"}} '

    assert sum(map(len, sayable_values._known.values())) < 200_000
    assert prometheus_text._known_edges.cache_info().currsize <= 256
    assert prometheus_text.edges((1.0, 2.0)) is prometheus_text.edges((1.0, 2.0))
    before = prometheus_text._known_edges.cache_info().currsize
    prometheus_text.edges(tuple(map(float, range(10_000))))
    assert prometheus_text._known_edges.cache_info().currsize == before
