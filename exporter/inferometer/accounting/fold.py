# SPDX-License-Identifier: Apache-2.0
"""One snapshot more: every part of the fold advances, and its counters join the snapshot's points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from inferometer import catalog
from inferometer.accounting import (
    aborts,
    budget,
    caps,
    divided,
    dropping,
    failures,
    families,
    held,
    own,
    starts,
    startups,
    xids,
)
from inferometer.accounting.linger import Rules
from inferometer.accounting.moments import Now
from inferometer.accounting.places import Budget
from inferometer.accounting.plans import Plan
from inferometer.accounting.said import Said, Saying
from inferometer.model import Frames, Group, Metric, Points, Snapshot, groups_of

_LIMITS, _NOTHING = Budget(), Plan()


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives a tick. All of it is bounded: by the series of a snapshot, or by `Rules`."""

    steady: float = 0.0
    began: float | None = None  # Unix seconds of the first snapshot: when our own counters were 0
    latest: float = 0.0  # Unix seconds of the latest snapshot: a clock that was set back is behind it
    past: float = 0.0  # Unix seconds up to which the process before this one counted, where its counters go on
    sequence: int = 0  # of the newest frame that was counted
    holdings: Mapping[held.Attributes, held.Held] = field(default_factory=lambda: MappingProxyType({}))
    settled: divided.Settled | None = None  # whose the first of them are
    energies: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # as each GPU said last
    kept: starts.State = field(default_factory=starts.State)
    errors: Mapping[failures.Key, failures.Failures] = field(default_factory=lambda: MappingProxyType({}))
    reports: xids.State = field(default_factory=xids.State)
    given_up: Mapping[aborts.Key, aborts.Aborts] = field(default_factory=lambda: MappingProxyType({}))
    starting: startups.State = field(default_factory=startups.State)
    capped: caps.State = field(default_factory=caps.State)
    claims: families.Claims = field(default_factory=lambda: MappingProxyType({}))
    thinned: dropping.State = field(default_factory=dropping.State)
    budgeted: budget.State = field(default_factory=budget.State)
    said: Mapping[str, Said] = field(default_factory=lambda: MappingProxyType({}))  # by its name, what is our own
    forgotten: int = 0  # series that the budget forgot at the newest snapshot, not counted yet
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"ended": 0}))


def cap(state: State, frames: Frames, rules: Rules) -> tuple[State, Frames]:
    """Bound what engines say, ahead of the join: values beyond the limits are made one, and families do not contradict others."""
    capped, folded, excess = caps.cap(state.capped, frames, rules)
    claims, admitted, more = families.admit(state.claims, folded, rules)
    dropped = _sum(state.dropped, {"ended": excess + more}) if excess + more else state.dropped
    return replace(state, capped=capped, claims=claims, dropped=dropped), admitted


def account(
    state: State, snapshot: Snapshot, rules: Rules, limits: Budget = _LIMITS, plan: Plan = _NOTHING
) -> tuple[State, Snapshot]:
    """Add one snapshot to the state, and the state's counters to the snapshot.

    An interval counts for an owner as far as it had the device at both of its ends; what was before the first snapshot is none.
    A counter that a source keeps gets its start moved when its value falls, unless the source itself says when it began. Then
    every series does without the attributes that `plan` drops, and finds a place within `limits`, or none: what that leaves
    out is counted in the snapshot after.
    """
    before = state.latest or snapshot.at
    passed = 0.0 if state.began is None else max(0.0, snapshot.steady - state.steady)
    holding, settled, ended_holdings = divided.hold(
        state.holdings, passed, snapshot, rules, state.energies, state.settled
    )
    counters, groups, ended_series = starts.find_starts(state.kept, snapshot, rules, state.steady, state.began)
    errors, ended_errors = failures.count(state.errors, snapshot, rules, counted=state.sequence, since=before)
    reported, lost, ended_xids = xids.count(
        state.reports, snapshot, rules, since=before, before=state.holdings, holding=holding
    )
    given_up, ended_aborts = aborts.count(state.given_up, snapshot, rules)
    starting, ended_starts = startups.follow(state.starting, snapshot, rules)
    ended = ended_holdings + ended_series + ended_errors + ended_xids + ended_aborts + ended_starts + state.forgotten
    dropped = _sum(state.dropped, snapshot.dropped, {"ended": ended, **lost}, _drops(state, snapshot))
    began = snapshot.at if state.began is None else state.began
    shown = held.shown(holding, snapshot, rules)
    # While the clock is behind, and until it has caught up, what is said is stamped anew each time: nothing began after its stamp.
    is_behind = snapshot.at < max(state.latest, state.past)
    saying = Saying({} if is_behind else state.said, snapshot.at)
    xids.say(saying, reported, shown, snapshot, rules)
    startups.say(saying, starting, snapshot)
    left_out = {
        **dropped,
        "series": sum(state.budgeted.dropped.values()),
        "unmergeable": state.thinned.left_out,
    }
    own.say(saying, snapshot, began, errors=errors, left_out=left_out, series=state.budgeted.dropped)
    ours = (*held.groups_of(shown, snapshot), *filter(None, [tuple(aborts.points_of(given_up))]), *saying.groups)
    now = Now(snapshot.at, state.latest or None, snapshot.steady)
    there = _in_order(groups, ours)
    thinned, told, unseen = dropping.drop(state.thinned, there, plan, snapshot.node, rules, now)
    budgeted, forgotten = budget.fit(state.budgeted, told, limits, rules, now)
    overflow = budget.overflow_points(budgeted, snapshot.at, snapshot.node, simulated=snapshot.simulated)
    number = float(budgeted.number + len(overflow) + 1)
    points = Points.of(_in_order(budgeted.shown, (*groups_of(overflow), *own.say_series(saying, snapshot, number))))
    if is_behind:  # until it has caught up, a start that lies ahead is unknown
        points = Points.of(
            tuple(p if p.start is None or p.start <= p.at else p._replace(start=None) for p in group)
            for group in points.groups
        )
    after = State(
        steady=snapshot.steady,
        began=began,
        latest=max(state.latest, snapshot.at),
        past=state.past,
        sequence=max(state.sequence, snapshot.sequence),
        holdings=holding,
        settled=settled,
        energies=held.latest(state.energies, snapshot),
        kept=counters,
        errors=errors,
        reports=reported,
        given_up=given_up,
        starting=starting,
        capped=state.capped,
        claims=state.claims,
        thinned=thinned,
        budgeted=budgeted,
        forgotten=forgotten + unseen,
        dropped=dropped,
        said={} if is_behind else saying.said,
    )
    return after, replace(snapshot, points=points, exemplars=dropping.point_at_sums(snapshot.exemplars, plan))


def _in_order(groups: Iterable[Group], ours: Iterable[Group]) -> tuple[Group, ...]:
    """Add points of our own to groups, and sort these by the catalogue's order of metrics."""
    found = {group[0].metric: group for group in groups}
    for group in ours:
        metric = group[0].metric
        found[metric] = (*found[metric], *group) if metric in found else group
    return tuple(map(found.__getitem__, sorted(found, key=_PLACES.__getitem__)))


class _Places(dict[Metric, tuple[int, str, tuple[str, ...]]]):
    """The places of the catalogue's metrics, looked up without a call; those of what is passed on are not kept."""

    def __missing__(self, metric: Metric) -> tuple[int, str, tuple[str, ...]]:
        return catalog.place(metric)


_PLACES = _Places((metric, catalog.place(metric)) for metric in catalog.METRICS)


def _drops(state: State, snapshot: Snapshot) -> dict[str, int]:
    """Count what frames cost, once a frame: one that stands in two snapshots has cost it once."""
    counted: dict[str, int] = {}
    for limit, sequence, number in snapshot.drops:
        counted[limit] = counted.get(limit, 0) + (number if sequence > state.sequence else 0)
    return counted


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts by name; a name that counts 0 stays."""
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return total
