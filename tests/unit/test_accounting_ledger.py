# SPDX-License-Identifier: Apache-2.0
"""What is written down of the counters at an end, and what the next agent takes up of it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from frames import CONTEXT, NOW, frames, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.accounting.ledger import Moment, UnusableError, take_up, write_down
from inferometer.join import join
from inferometer.model import Allocation, Frames, Pod, Point, Snapshot, Target
from inferometer.sources.engines.reader import Reader

RULES = Rules(linger=300.0)
POD = Pod("uid-a", "ns", "a", "Running")


def at(passed: float, *pods: Pod) -> Frames:
    """Give one GPU held by these pods, `passed` seconds after the beginning."""
    held = [Allocation(p.namespace, p.name, "main", "GPU-0") for p in pods]
    return frames(devices=[gpu(0)], allocations=held, pods=list(pods), passed=passed)


def fold(state: State, *ticks: Frames) -> tuple[State, Snapshot]:
    snapshot = None
    for tick in ticks:
        state, snapshot = account(state, join(tick, CONTEXT), RULES)
    assert snapshot is not None
    return state, snapshot


def moment(passed: float) -> Moment:
    return Moment(NOW + passed, 1000.0 + passed)


def written(state: State, passed: float) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(write_down(state, "n1", moment(passed))))
    return document


def times(snapshot: Snapshot) -> dict[str | None, Point]:
    uid = catalog.OWNER_TIME.keys.index(catalog.POD_UID.key)
    return {p.attributes[uid]: p for p in snapshot.points if p.metric is catalog.OWNER_TIME}


def test_the_time_between_two_agents_is_nobodys() -> None:
    """A minute lies between them: an owner goes on at what it had, and the residual too."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    begun, first = fold(take_up(written(ended, 6), "n1", moment(66)), at(67, POD))
    _, second = fold(begun, at(72, POD))

    assert {uid: p.value for uid, p in times(first).items()} == {"uid-a": 5.0, None: 0.0}
    assert {uid: p.value for uid, p in times(second).items()} == {"uid-a": 10.0, None: 0.0}
    assert times(second)["uid-a"].start == NOW


def test_who_is_gone_meanwhile_stays_for_the_linger() -> None:
    """Frozen, stamped when it counted last, and then gone, as it had been with one agent."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    begun, first = fold(take_up(written(ended, 6), "n1", moment(66)), at(67))
    still, later = fold(begun, at(360))
    _, gone = fold(still, at(380))

    assert (times(first)["uid-a"].value, times(first)["uid-a"].at) == (5.0, NOW + 5)
    assert "uid-a" in times(later)
    assert "uid-a" not in times(gone)


def test_the_linger_of_what_had_ended_goes_on() -> None:
    """By the time of day: the monotonic clock of the next agent may be another, as after a reboot."""
    ended, _ = fold(State(), at(0, POD), at(5, POD), at(10))
    other = Moment(NOW + 250, 7.0)
    state, soon = fold(take_up(written(ended, 11), "n1", other), replace(at(251), steady=8.0))
    _, late = fold(state, replace(at(311), steady=68.0))

    assert "uid-a" in times(soon)
    assert "uid-a" not in times(late)


def test_who_holds_a_device_is_not_known_at_first() -> None:
    """A kubelet that answers late, while no source tells who holds what, costs no owner its counter."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    begun, _ = fold(take_up(written(ended, 6), "n1", moment(66)), frames(passed=67), frames(passed=72))
    _, back = fold(begun, at(77, POD), at(82, POD))

    assert times(back)["uid-a"].value == 10.0
    assert times(back)["uid-a"].start == NOW


def test_another_nodes_counters_are_refused() -> None:
    """As a disk that was cloned brings them."""
    ended, _ = fold(State(), at(0, POD))

    with pytest.raises(UnusableError, match=r"of the node .n1.*n2"):
        take_up(written(ended, 1), "n2", moment(2))


@pytest.mark.parametrize(("later", "why"), [(3700, r"1\.0 h ago"), (-7200, r"2\.0 h ahead")])
def test_what_was_written_long_ago_is_refused(later: float, why: str) -> None:
    """Or so it seems by the clock: another agent may have counted since, from 0."""
    ended, _ = fold(State(), at(0, POD))

    assert take_up(written(ended, 1), "n1", moment(3600)).holdings
    with pytest.raises(UnusableError, match=why):
        take_up(written(ended, 1), "n1", moment(later))


def test_a_clock_that_was_set_back_tells_no_start_that_lies_ahead() -> None:
    """Until it has caught up the start is unknown; then it is what it was."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    back = [replace(at(passed, POD), now=NOW + passed - 60) for passed in (20, 25)]
    state, behind = fold(take_up(written(ended, 6), "n1", Moment(NOW - 45, 1015.0)), *back)
    _, ahead = fold(state, at(100, POD))

    assert times(behind)["uid-a"].value == 10.0
    assert times(behind)["uid-a"].start is None
    assert times(ahead)["uid-a"].start == NOW


def test_a_series_with_an_attribute_that_is_not_known_here_is_left() -> None:
    """An agent that was rolled back would tell it as another series; one that it does not need is none the worse."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    document = written(ended, 6)
    document["owners"]["keys"] += ["new", "newer"]
    for row in document["owners"]["rows"]:
        row[0] += ["x" if row[1] else None, None]

    state = take_up(document, "n1", moment(66))

    assert [held.holder[1] for held in state.holdings.values()] == [None]


def test_its_own_health_begins_again() -> None:
    """A counter of the process is 0 when the process begins, and says when that was."""
    ended, _ = fold(State(), at(0, POD), at(5, POD))
    _, first = fold(take_up(written(ended, 6), "n1", moment(66)), at(67, POD))
    own = [p for p in first.points if p.metric is catalog.DROPPED]

    assert own
    assert {(p.value, p.start) for p in own} == {(0.0, NOW + 67)}


TARGET = Target("ns/a:8000", "http://10.0.0.7:8000/metrics", namespace="ns", pod="a", pod_uid="uid-a")
BARE = Pod("uid-a", "ns", "a", "Pending", containers=("main",), scheduled=NOW - 100)
RUNNING = replace(BARE, phase="Running", started={"main": NOW - 70}, unready=NOW - 99)
READY = replace(RUNNING, ready=NOW + 8, unready=0.0)


def engine(passed: float, pod: Pod, first: int | None) -> Frames:
    """Give a node with one engine, of which `first` tokens were the first of their requests."""
    labels = 'model_name="m",engine="0"'
    name = "vllm:time_to_first_token_seconds"
    page = f'{name}_bucket{{{labels},le="+Inf"}} {first}\n{name}_count{{{labels}}} {first}\n{name}_sum{{{labels}}} 1\n'
    engines = [] if first is None else [Reader(TARGET).read(page.encode())]
    return replace(frames(pods=[pod], engines=engines, passed=passed), targets={TARGET.instance: TARGET})


def durations(snapshot: Snapshot) -> dict[str | None, int]:
    """Give how many starts the histogram has, by phase."""
    phase = catalog.STARTUP_DURATION.keys.index(catalog.STARTUP_PHASE.key)
    return {
        p.attributes[phase]: p.value.observations  # type: ignore[union-attr]  # it is a histogram
        for p in snapshot.points
        if p.metric is catalog.STARTUP_DURATION
    }


def test_a_phase_of_a_start_counts_once_over_an_end() -> None:
    """The first agent saw the start and counted it; the second sees the engine load, and how it became ready."""
    ended, before = fold(State(), engine(0, BARE, None), engine(5, RUNNING, 0), engine(10, RUNNING, 0))
    begun = take_up(written(ended, 11), "n1", moment(14))
    _, after = fold(begun, engine(15, RUNNING, 0), engine(20, READY, 0), engine(25, READY, 0))

    assert durations(before) == {"start": 1, "load": 0, "first_token": 0}
    assert durations(after) == {"start": 1, "load": 1, "first_token": 0}


def test_a_first_token_of_the_time_between_is_not_timed() -> None:
    """Nobody saw when it was."""
    ended, _ = fold(State(), engine(0, BARE, None), engine(5, RUNNING, 0), engine(10, READY, 0), engine(15, READY, 0))
    _, after = fold(take_up(written(ended, 16), "n1", moment(60)), engine(61, READY, 7), engine(66, READY, 9))

    assert durations(after) == {"start": 1, "load": 1, "first_token": 0}
