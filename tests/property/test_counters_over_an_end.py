# SPDX-License-Identifier: Apache-2.0
"""The counters of an agent that ends at any tick and of the one after it: as if there had been one, but for the time between."""

import json
from dataclasses import replace
from itertools import pairwise
from math import isclose
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.accounting.ledger import Moment, take_up, write_down
from inferometer.join import join
from inferometer.model import Allocation, Frames, Pod, Reading, Snapshot, Xid
from reported import with_address

PERIOD = 6.0
RULES = Rules(linger=100 * PERIOD)
GPUS = ("GPU-0", "GPU-1")
NAMES = "abc"
SPENT = (catalog.OWNER_TIME, catalog.OWNER_ENERGY)
REPORTED = (catalog.XID_ERRORS, catalog.XID_EVENTS, catalog.OWNER_XID_ERRORS)
Series = tuple[str, tuple[str | None, ...]]


class Tick(NamedTuple):
    """What there is at one tick: joules that each GPU counts, who holds it, a pod's team, and the XIDs since the tick before."""

    joules: dict[str, float]
    held: dict[str, frozenset[str]]
    teams: dict[str, str]
    xids: tuple[tuple[str, int, float], ...]  # GPU, code, seconds since NOW


class Cut(NamedTuple):
    """A life, and before which tick the agent ended; the next may have another monotonic clock."""

    life: list[Tick]
    before: int
    offset: float


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Draw a life of two GPUs in which holders, teams and XIDs come and go, and an end in it."""
    joules = dict.fromkeys(GPUS, 0.0)
    held = {name: frozenset(draw(st.sets(st.sampled_from(GPUS)))) for name in NAMES}
    teams = dict.fromkeys(NAMES, "red")
    life = []
    for number in range(draw(st.integers(2, 8))):
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=2)):
            held[name] = frozenset(draw(st.sets(st.sampled_from(GPUS))))
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=1)):
            teams[name] = draw(st.sampled_from(["red", "blue"]))
        joules = {device: each + 100.0 * draw(st.integers(1, 9)) for device, each in joules.items()}
        xids = tuple(
            (draw(st.sampled_from(GPUS)), draw(st.sampled_from([13, 31, 79, 999])), number * PERIOD - 1.0)
            for _ in range(draw(st.integers(0, 3)))
        )
        life.append(Tick(dict(joules), dict(held), dict(teams), xids))
    return Cut(life, draw(st.integers(1, len(life) - 1)), draw(st.sampled_from([0.0, -900.0, 5e6])))


def seen(life: list[Tick], first: int) -> list[Frames]:
    """Give what an agent sees of a life that starts at its tick `first`: XIDs of before are in none of its reports."""
    told: list[Xid] = []
    made = []
    for number, tick in enumerate(life[first:], first):
        for device, code, at in tick.xids:
            told.append(Xid(len(told) + 1, code, NOW + at, "nvml", device))
        made.append(
            frames(
                devices=[with_address(0), with_address(1)],
                readings=[Reading(device, catalog.ENERGY, (), total) for device, total in tick.joules.items()],
                xids=tuple(told),
                allocations=[
                    Allocation("ns", name, "main", device) for name in NAMES for device in sorted(tick.held[name])
                ],
                pods=[Pod(f"uid-{name}", "ns", name, "Running", labels={"team": tick.teams[name]}) for name in NAMES],
                passed=number * PERIOD,
            )
        )
    return made


def fold(ticks: list[Frames], state: State, offset: float = 0.0) -> tuple[State, list[Snapshot]]:
    snapshots = []
    for tick in ticks:
        state, snapshot = account(state, join(replace(tick, steady=tick.steady + offset), CONTEXT), RULES)
        snapshots.append(snapshot)
    return state, snapshots


def fold_cut(cut: Cut) -> list[Snapshot]:
    """Fold a life by two agents."""
    state, first = fold(seen(cut.life, 0)[: cut.before], State())
    passed = (cut.before - 1) * PERIOD + PERIOD / 3  # a third of a period after the last snapshot
    written = json.loads(json.dumps(write_down(state, "n1", Moment(NOW + passed, 1000.0 + passed))))
    passed += PERIOD / 3
    begin = Moment(NOW + passed, 1000.0 + passed + cut.offset)
    _, second = fold(seen(cut.life, cut.before), take_up(written, "n1", begin), cut.offset)
    return [*first, *second]


def values(snapshot: Snapshot, *names: object) -> dict[Series, float]:
    return {
        (p.metric.name, p.attributes): p.value
        for p in snapshot.points
        if p.metric in names and isinstance(p.value, float)
    }


@given(cuts())
@settings(max_examples=200, deadline=None)
def test_what_owners_had_is_that_of_one_agent_without_the_time_between(cut: Cut) -> None:
    """From the second agent's first snapshot on every series lacks what it gained between the two, and nothing else."""
    whole, both = fold(seen(cut.life, 0), State())[1], fold_cut(cut)
    before, after = values(whole[cut.before - 1], *SPENT), values(whole[cut.before], *SPENT)
    for one, other in zip(whole, both, strict=True):
        expected, found = values(one, *SPENT), values(other, *SPENT)
        late = one.at >= whole[cut.before].at
        for series in expected.keys() | found.keys():
            lost = after.get(series, 0.0) - before.get(series, 0.0) if late else 0.0
            assert isclose(found.get(series, 0.0), expected.get(series, 0.0) - lost, abs_tol=1e-6)


@given(cuts())
@settings(max_examples=200, deadline=None)
def test_xids_are_those_of_one_agent(cut: Cut) -> None:
    """Each counts once, for its GPU and for whoever held it at both ends of the interval, the one between the agents too."""
    whole, both = fold(seen(cut.life, 0), State())[1], fold_cut(cut)
    for one, other in zip(whole, both, strict=True):
        assert values(one, *REPORTED) == values(other, *REPORTED)


@given(cuts())
@settings(max_examples=200, deadline=None)
def test_nothing_falls_and_no_start_moves(cut: Cut) -> None:
    """To a receiver there is one counter that goes on."""
    for before, after in pairwise(fold_cut(cut)):
        earlier = {(p.metric, p.attributes): p for p in before.points if p.metric in (*SPENT, *REPORTED)}
        for point in after.points:
            known = earlier.get((point.metric, point.attributes))
            if known is not None:
                assert point.value >= known.value  # type: ignore[operator]  # these are counters, no histograms
                assert point.start == known.start
                assert point.at >= known.at
