# SPDX-License-Identifier: Apache-2.0
"""What the fold keeps to spare itself work changes nothing but when it says anew what has not changed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, NOW, failed, frame, frames, gpu, instance
from inferometer import catalog
from inferometer.accounting import Budget, Plan, Rules, State, account, cap
from inferometer.join import Memo, join
from inferometer.model import (
    SAID_AGAIN,
    Allocation,
    Device,
    EngineReport,
    Frames,
    Histogram,
    KernelReport,
    Metric,
    Pod,
    Reading,
    Reason,
    Snapshot,
    Target,
    Xid,
    groups_of,
)
from reported import address, with_address

_GPUS = (with_address(0), with_address(1))
_MIG = (gpu(0), gpu(1, mig_enabled=True), instance(1, 0), instance(1, 1))
_NODES: tuple[tuple[Device, ...] | None, ...] = (_GPUS, _GPUS[:1], _GPUS[1:], _MIG, None)
_HOLDERS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (("a", "GPU-0"),),
    (("a", "GPU-0"), ("b", "GPU-1")),
    (("a", "GPU-0"), ("b", "GPU-0")),
    (("a", "GPU-0"), ("a", "MIG-1-0"), ("b", "MIG-1-1")),
)
_TARGETS = tuple(Target(name, f"http://{name}/metrics") for name in ("e:1", "f:2"))
# What is the agent's own, and may be up to so old; everything else is always of its last read.
_OURS = frozenset(
    metric for metric in catalog.METRICS if metric.name.startswith(("inferometer.", "gpu.xid.", "gpu.sxid."))
) | {
    catalog.OWNER_XID_ERRORS,
    catalog.STARTUP_DURATION,
}
_RULES = Rules(linger=12.0, max_ended=4, remember=40.0, max_models=1)
_PLAN = Plan.of({catalog.PREEMPTIONS: frozenset({catalog.MODEL.key})})


class Step(NamedTuple):
    """What changes before a tick, how many seconds pass, and whether values move, and energy is read."""

    what: str
    which: int
    passed: float
    moves: bool
    metered: bool


_STILL = ("nothing",) * 8
_steps = st.builds(
    Step,
    st.sampled_from(
        (*_STILL, "node", "node", "holders", "holders", "team", "engines", "kernel", "xid", "reset", "clock")
    ),
    st.integers(0, 4),
    st.sampled_from((1.0, 5.0, 5.0, SAID_AGAIN)),
    st.booleans(),
    st.sampled_from((True, True, True, False)),
)


def _live(steps: Sequence[Step]) -> list[Frames]:
    """Give a node's life, in which most things are as they were a moment ago; clocks are set, and counters reset."""
    node, holders, team, engines, kernel = 0, 1, 0, 1, True
    energy, errors, tokens, clock, steady = [0.0, 0.0], 0.0, 0.0, NOW, 1000.0
    xids: list[Xid] = []
    log: list[Xid] = []
    life = []
    for what, which, passed, moves, metered in steps:
        match what:
            case "node":
                node = which
            case "holders":
                holders = which
            case "team":
                team = which
            case "engines":
                engines = which
            case "kernel":
                kernel = not kernel
            case "xid":
                code, device = (31, 79, 999)[which % 3], which % 2
                if which < 3:
                    xids.append(Xid(len(xids) + 1, code, clock, "nvml", f"GPU-{device}", late=5.0))
                else:
                    log.append(Xid(len(log) + 1, code, clock, "kernel", pci_address=address(device)))
            case "reset":
                errors, tokens, energy = 0.0, 0.0, [0.0, energy[1]]
            case "clock":
                clock += 30.0 if which % 2 else -30.0
        clock, steady = clock + passed, steady + passed
        energy = [energy[0] + 100.0 * moves, energy[1] + 50.0]
        errors, tokens = errors + moves, tokens + 2.0 * moves
        counts = energy if metered else None, errors, tokens
        told = _frames(_NODES[node], _HOLDERS[holders], _TEAMS[team], _PAGES[engines], xids, counts, clock)
        logs = [frame("kernel_log", KernelReport(tuple(log)), now=clock)] if kernel else []
        life.append(replace(told, steady=steady, good=(*told.good, *logs)))
    return life


def _frames(
    node: Sequence[Device] | None,
    holders: Sequence[tuple[str, str]],
    team: str | None,
    pages: Sequence[tuple[Target, str]],
    xids: Sequence[Xid],
    counts: tuple[Sequence[float] | None, float, float],
    clock: float,
) -> Frames:
    energy, errors, tokens = counts
    there = {device.uuid for device in node or ()}
    readings = [
        Reading(f"GPU-{i}", metric, (), value)
        for i in (0, 1)
        for metric, value in (
            *([(catalog.ENERGY, energy[i])] if energy else []),
            (catalog.PCIE_REPLAYS, errors + i),
            (catalog.GPU_CONTEXT_SWITCHES, errors),
            (catalog.POWER, 100.0 + errors),
        )
        if f"GPU-{i}" in there
    ]
    pods = None if team is None else [Pod(f"uid-{n}", "ns", n, "Running", labels={"team": team}) for n in "ab"]
    return frames(
        devices=node,
        readings=readings,
        xids=xids,
        allocations=[Allocation("ns", name, "main", device) for name, device in holders],
        pods=pods,
        engines=[_page(target, models, tokens) for target, models in pages],
        troubles=[] if pages else [failed("slices", Reason.TIMEOUT, sequence=int(clock))],
        passed=clock - NOW,
    )


_TEAMS = ("red", "red", "blue", "", None)
_PAGES: tuple[tuple[tuple[Target, str], ...], ...] = (
    (),
    ((_TARGETS[0], "m"),),
    ((_TARGETS[0], "mn"), (_TARGETS[1], "n")),
    ((_TARGETS[1], "no"), (_TARGETS[0], "m")),
    ((_TARGETS[1], "o"),),
)


def _page(target: Target, models: str, count: float) -> EngineReport:
    """Give a page: counters with and without a start of their own, and a histogram, of each model."""
    values: list[tuple[Metric, float | Histogram, float | None]] = [
        (catalog.PREEMPTIONS, count, None),
        (catalog.REQUESTS_FINISHED, count, NOW - 50.0),
        (catalog.TIME_TO_FIRST_TOKEN, Histogram((1.0,), (int(count), 1), count), None),
    ]
    readings = [
        Reading(target.instance, metric, ((catalog.MODEL.key, model),), value, start)
        for model in models
        for metric, value, start in values
    ]
    named = tuple((catalog.MODEL.key, model) for model in models)
    return EngineReport(target, "vllm", "vllm", "engine", "", tuple(models), tuple(readings), named=named)


def _forget(state: State) -> State:
    """Give a state without what only spares work."""
    nothing = ((),) * 6
    kept = {metric: each._replace(columns=nothing) for metric, each in state.kept.kept.items()}
    places = replace(state.reports.where, devices=())
    return replace(
        state,
        settled=None,
        said={},
        kept=replace(state.kept, kept=kept),
        reports=replace(state.reports, rest=None, where=places),
        capped=replace(state.capped, named=None),
    )


def _fold(life: Sequence[Frames], limits: Budget, plan: Plan, *, remembering: bool) -> list[Snapshot]:
    state, snapshots, context = State(), [], replace(CONTEXT, memo=Memo())
    for tick in life:
        if not remembering:
            state = _forget(state)  # the join goes on to remember: what it says again is for another test
        state, capped = cap(state, tick, _RULES)
        state, snapshot = account(state, join(capped, context), _RULES, limits, plan)
        snapshots.append(snapshot)
    return snapshots


@given(
    st.lists(_steps, min_size=2, max_size=14),
    st.sampled_from((Budget(), Budget(), Budget(series=120, near=0.0))),
    st.sampled_from((Plan(), Plan(), _PLAN)),
)
@settings(max_examples=300, deadline=None)
def test_a_fold_that_remembers_gives_what_one_does_that_does_not(steps: list[Step], limits: Budget, plan: Plan) -> None:
    """The same series, values and starts; of the agent's own an older stamp, which then is that of the very same point."""
    life = _live(steps)
    fresh = _fold(life, limits, plan, remembering=False)
    kept = _fold(life, limits, plan, remembering=True)
    before: set[int] = set()
    for one, other in zip(kept, fresh, strict=True):
        assert replace(one, points=()) == replace(other, points=())
        assert [p._replace(at=0.0) for p in one.points] == [p._replace(at=0.0) for p in other.points]
        for point, anew in zip(one.points, other.points, strict=True):
            if point.at != anew.at:
                assert point.metric in _OURS
                assert 0 < anew.at - point.at < SAID_AGAIN
                assert id(point) in before
        before = set(map(id, one.points))


def test_what_is_the_agents_own_is_said_again_after_a_while() -> None:
    """Until then a group of which nothing has changed is the very same one."""
    state, context, told = State(), replace(CONTEXT, memo=Memo()), []
    for at in range(int(2 * SAID_AGAIN) + 2):
        tick = _frames(_GPUS, _HOLDERS[1], "red", _PAGES[1], (), ((7.0 + at, 7.0), 1.0, 1.0 + at), NOW + at)
        state, snapshot = account(state, join(tick, context), _RULES)
        told.append({group[0].metric: group for group in groups_of(snapshot.points)})

    for metric in (catalog.XID_ERRORS, catalog.XID_EVENTS, catalog.XID_INFO, catalog.OWNER_XID_ERRORS, catalog.DROPPED):
        assert {len({id(tick[metric]) for tick in told[2:]})} <= {2, 3}
        assert all(NOW + at - tick[metric][0].at < SAID_AGAIN for at, tick in enumerate(told))
    assert told[-1][catalog.OWNER_TIME] is not told[-2][catalog.OWNER_TIME]
    assert told[-1][catalog.OWNER_TIME][0].at == NOW + len(told) - 1
