# SPDX-License-Identifier: Apache-2.0
"""Whatever series come, go and are reset, what they are together without an attribute is right, and no sum of theirs falls."""

from collections.abc import Mapping
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import NODE
from inferometer import catalog
from inferometer.accounting.dropping import State, drop
from inferometer.accounting.linger import Rules
from inferometer.accounting.moments import Now
from inferometer.accounting.plans import Plan
from inferometer.model import Histogram, Metric, Point, groups_of
from lives import COUNTERS, FIRST, PERIOD, Series, Step, increase, lives, number, play, series

_CUMULATIVE = (*COUNTERS, catalog.TIME_TO_FIRST_TOKEN)
_WHICH = catalog.REQUESTS_RUNNING.keys.index(catalog.POD_UID.key)
PLAN = Plan.of({metric: frozenset({catalog.MODEL.key}) for metric in (*_CUMULATIVE, catalog.REQUESTS_RUNNING)})


def thin(snapshots: list[list[Point]], rules: Rules) -> list[list[Point]]:
    """Give the points of each snapshot without their models."""
    state, told = State(), []
    for tick, points in enumerate(snapshots):
        at = FIRST + PERIOD * tick
        now = Now(at, at - PERIOD if tick else None, PERIOD * tick)
        state, groups, _ = drop(state, groups_of(points), PLAN, NODE, rules, now)
        thinned = list(chain.from_iterable(groups))
        assert len(set(map(series, thinned))) == len(thinned)
        told.append(thinned)
        assert len(state.parts) <= len(points) + rules.max_ended
    return told


@given(lives, st.booleans())
@settings(max_examples=300, deadline=None)
def test_sums_grow_by_what_their_parts_do(life: list[list[Step]], once: bool) -> None:
    """No count is lost or made up, whether series come back within the linger, or never."""
    snapshots = play(life, once=once)
    thinned = thin(snapshots, Rules(linger=0.0 if once else 1e9, max_ended=1000))

    for metric in _CUMULATIVE:
        assert increase([_of(metric, points) for points in thinned]) == increase(
            [_of(metric, points) for points in snapshots]
        )


@given(lives, st.sampled_from((0.0, 7.0, 1e9)), st.sampled_from((0, 2, 1000)))
@settings(max_examples=300, deadline=None)
def test_no_sum_falls(life: list[list[Step]], linger: float, kept: int) -> None:
    """A sum is at least what it was, or has begun since."""
    before: dict[Series, Point] = {}
    for points in thin(play(life), Rules(linger=linger, max_ended=kept)):
        for point in points:
            known = before.get(series(point)) if point.metric in _CUMULATIVE else None
            if known is not None and point.start == known.start:
                assert number(point.value) >= number(known.value)
            elif known is not None:
                assert point.start is not None
                assert known.start is not None
                assert point.start > known.start
            before[series(point)] = point


@given(lives)
def test_gauges_are_the_sum_of_those_that_are_there(life: list[list[Step]]) -> None:
    """Nothing remains of a gauge that has gone."""
    snapshots = play(life)
    for points, thinned in zip(snapshots, thin(snapshots, Rules()), strict=True):
        assert _sums(thinned) == _sums(points)
        for metric in (catalog.REQUESTS_RUNNING, *_CUMULATIVE):
            at = metric.keys.index(catalog.MODEL.key)
            assert not [point for point in _of(metric, thinned) if point.attributes[at]]


def _of(metric: Metric, points: list[Point]) -> list[Point]:
    return [point for point in points if point.metric is metric]


def _sums(points: list[Point]) -> Mapping[str | None, float]:
    sums: dict[str | None, float] = {}
    for point in _of(catalog.REQUESTS_RUNNING, points):
        assert not isinstance(point.value, Histogram)
        sums[point.attributes[_WHICH]] = sums.get(point.attributes[_WHICH], 0.0) + point.value
    return sums
