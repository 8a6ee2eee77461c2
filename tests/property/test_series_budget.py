# SPDX-License-Identifier: Apache-2.0
"""Whatever series come, go, are reset and outnumber the limits: who has a place keeps it, and no count is lost or made up."""

from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import NODE
from inferometer import catalog
from inferometer.accounting.budget import State, fit, overflow_points
from inferometer.accounting.linger import Rules
from inferometer.accounting.moments import Now
from inferometer.accounting.places import Budget, cost_of, count, is_own
from inferometer.model import Metric, Point, groups_of
from lives import COUNTERS, FIRST, METRICS, PERIOD, Series, Step, increase, lives, play, series

_OTHERS = -Budget(0).room(0)  # what is always kept for overflow series

budgets = st.builds(
    lambda room, per_metric, of_metric: Budget(
        _OTHERS + room, per_metric, {catalog.TOKENS: of_metric} if of_metric else {}, near=0.0
    ),
    st.integers(0, 14),
    st.sampled_from((0, 1, 3, 6)),
    st.sampled_from((0, 1, 2)),
)


class Told(NamedTuple):
    """One snapshot: what there was, what has a place, and what is told of those that have none."""

    points: list[Point]
    state: State
    overflow: list[Point]

    @property
    def shown(self) -> list[Point]:
        return list(chain.from_iterable(self.state.shown))


def tell(snapshots: list[list[Point]], budget: Budget, rules: Rules) -> list[Told]:
    """Fit each snapshot into the budget."""
    state, told = State(), []
    for tick, points in enumerate(snapshots):
        at = FIRST + PERIOD * tick
        now = Now(at, at - PERIOD if tick else None, PERIOD * tick)
        state, _ = fit(state, groups_of(points), budget, rules, now)
        told.append(Told(points, state, overflow_points(state, at, NODE, simulated=False)))
    return told


def own(points: list[Point]) -> int:
    """Count the agent's own series."""
    return cost([point for point in points if is_own(point.metric)])


def cost(points: list[Point]) -> int:
    """Count the series of points."""
    return sum(map(cost_of, points))


@given(lives, budgets, st.sampled_from((0.0, 7.0, 1e9)), st.sampled_from((0, 2, 1000)))
@settings(max_examples=300, deadline=None)
def test_there_are_never_more_series_than_the_limits(
    life: list[list[Step]], budget: Budget, linger: float, kept: int
) -> None:
    """In all and of each metric, overflow among them; the agent's own are all there, and what has no place is counted."""
    dropped: Counter[str] = Counter()
    for each in tell(play(life), budget, Rules(linger=linger, max_ended=kept)):
        points, state, told = each.points, each.state, [*each.shown, *each.overflow]
        assert len(set(map(series, told))) == len(told)
        assert cost(told) <= max(budget.series, own(points) + _OTHERS)
        assert own(each.shown) == own(points)
        assert state.number == count(state.shown) == cost(each.shown)
        for metric in METRICS[:-1]:
            most = budget.of_metrics.get(metric, budget.per_metric)
            assert not most or cost([point for point in told if point.metric is metric]) <= most
        placed = set(map(series, each.shown))
        without = [point for point in points if series(point) not in placed]
        for point in without:
            if point.metric not in COUNTERS:
                dropped[point.metric.name] += cost_of(point)
        assert state.dropped == dropped
        assert all(series(point) in state.folded for point in without if point.metric in COUNTERS)


@given(lives, budgets, st.sampled_from((0.0, 7.0, 1e9)))
@settings(max_examples=300, deadline=None)
def test_who_has_a_place_keeps_it(life: list[list[Step]], budget: Budget, linger: float) -> None:
    """A series that was told is told as long as it is there, unless the agent's own need its place."""
    told = tell(play(life), budget, Rules(linger=linger))
    most = 0
    for before, after in pairwise(told):
        most = max(most, own(before.points))
        if own(after.points) <= most and own(before.points) == most:
            there = set(map(series, after.points))
            stayed = {series(point) for point in before.shown if series(point) in there}
            assert stayed <= set(map(series, after.shown))


@given(lives, budgets)
@settings(max_examples=300, deadline=None)
def test_who_comes_back_finds_its_place(life: list[list[Step]], budget: Budget) -> None:
    """Within the linger the places of those that are gone are kept: whoever was told once is told whenever it is there."""
    others = [[step for step in steps if not is_own(step.metric)] for steps in life]
    ever: set[Series] = set()
    for each in tell(play(others), budget, Rules(linger=1e9, max_ended=1000)):
        ever |= set(map(series, each.shown))
        assert {series(point) for point in each.points} & ever == set(map(series, each.shown))


@given(lives, budgets, st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_count_is_lost_or_made_up(life: list[list[Step]], budget: Budget, once: bool) -> None:
    """What the series of a counter grow by, overflow among them, is what they would have grown by without limits."""
    snapshots = play(life, once=once)
    told = tell(snapshots, budget, Rules(linger=0.0 if once else 1e9, max_ended=1000))

    for metric in COUNTERS:
        limited = [[p for p in (*each.shown, *each.overflow) if p.metric is metric] for each in told]
        assert increase(limited) == increase([[p for p in points if p.metric is metric] for points in snapshots])


@given(lives, budgets, st.sampled_from((0.0, 7.0, 1e9)), st.sampled_from((0, 2, 1000)))
@settings(max_examples=300, deadline=None)
def test_an_overflow_series_never_falls_and_never_ends(
    life: list[list[Step]], budget: Budget, linger: float, kept: int
) -> None:
    """It keeps its start, and the share of what has gone."""
    before: dict[Metric, Point] = {}
    for each in tell(play(life), budget, Rules(linger=linger, max_ended=kept)):
        now = {point.metric: point for point in each.overflow}
        assert before.keys() <= now.keys()
        for metric, point in before.items():
            assert now[metric].value >= point.value  # type: ignore[operator]  # counters are numbers
            assert (now[metric].start, now[metric].attributes) == (point.start, point.attributes)
        before = now


@given(lives)
def test_below_the_limits_nothing_changes(life: list[list[Step]]) -> None:
    """The very points that came are told."""
    for points, state, overflow in tell(play(life), replace(Budget(), near=0.75), Rules()):
        assert state.shown == groups_of(points)
        assert (overflow, dict(state.away), dict(state.dropped)) == ([], {}, {})
