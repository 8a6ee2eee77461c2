# SPDX-License-Identifier: Apache-2.0
"""The window that a table's rates are seen through: about ten seconds, of few and small snapshots."""

from dataclasses import replace

from inferometer.app.outputs import Window
from inferometer.model import Histogram
from inferometer.views.samples import samples
from nodes import snapshots


def test_the_first_snapshot_has_nothing_before_it() -> None:
    """Without an earlier snapshot there is no rate; the second has the first."""
    window, first = Window(), snapshots({"pair": (0.0, 900.0)})[1]

    assert window.take(first) is None
    before = window.take(replace(first, steady=first.steady + 0.5))
    assert before is not None
    assert before.steady == first.steady


def test_rates_are_over_about_ten_seconds() -> None:
    """However short the period, the snapshot to compare with is some ten seconds old, and few are kept."""
    window, first = Window(), snapshots({"pair": (0.0, 900.0)})[1]
    for tick in range(600):
        now = replace(first, steady=first.steady + tick / 10)
        window.take(now)
        before = window.before(now)
        age = 0.0 if before is None else now.steady - before.steady
        assert tick < 100 or 8.0 <= age <= 13.0
    assert len(window._snapshots) <= 8


def test_what_is_kept_is_what_a_table_shows() -> None:
    """A kept snapshot gives the same samples and holds nothing else: no histograms, no holdings."""
    window, first = Window(), snapshots({"pair": (0.0, 900.0)})[1]
    window.take(first)
    kept = window.before(replace(first, steady=first.steady + 1))

    assert kept is not None
    assert samples(kept) == samples(first)
    assert not any(isinstance(point.value, Histogram) for point in kept.points)
    assert len(kept.points) < len(first.points)
    assert not kept.holdings
