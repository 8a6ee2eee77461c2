# SPDX-License-Identifier: Apache-2.0
"""How long engines took to start: what is told, and what an agent that came too late does not claim."""

from dataclasses import replace

import pytest

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Histogram, Pod, Snapshot, Target
from inferometer.sources.engines.reader import Reader
from inferometer.sources.identity.projection import project

TARGET = Target("ns/a:8000", "http://10.0.0.7:8000/metrics", namespace="ns", pod="a", pod_uid="uid-a")
BARE = Pod("uid-a", "ns", "a", "Pending", containers=("main",), scheduled=NOW - 100)
RUNNING = replace(BARE, phase="Running", started={"main": NOW - 70}, unready=NOW - 99)
READY = replace(RUNNING, ready=NOW + 8, unready=0.0)


def page(first: int) -> bytes:
    labels = 'model_name="m",engine="0"'
    return (
        f'vllm:time_to_first_token_seconds_bucket{{{labels},le="+Inf"}} {first}\n'
        f"vllm:time_to_first_token_seconds_count{{{labels}}} {first}\n"
        f"vllm:time_to_first_token_seconds_sum{{{labels}}} 1\n"
    ).encode()


def run(*ticks: tuple[Pod | None, int | None]) -> list[Snapshot]:
    """Go through ticks 5 s apart: the pod as it is read, None where pods cannot be, and the first tokens, None without a page."""
    state, told, reader = State(), [], Reader(TARGET)
    for k, (pod, first) in enumerate(ticks):
        engines = [] if first is None else [reader.read(page(first))]
        seen = frames(pods=None if pod is None else [pod], engines=engines, passed=5.0 * k)
        state, snapshot = account(state, join(replace(seen, targets={TARGET.instance: TARGET}), CONTEXT), Rules())
        told.append(snapshot)
    return told


def latest(snapshot: Snapshot) -> dict[str | None, object]:
    phase = catalog.STARTUP_LATEST.keys.index(catalog.STARTUP_PHASE.key)
    return {p.attributes[phase]: p.value for p in snapshot.points if p.metric is catalog.STARTUP_LATEST}


def counted(snapshot: Snapshot) -> dict[str | None, tuple[int, float]]:
    """Give by phase how many starts the histogram has, and their seconds."""
    phase = catalog.STARTUP_DURATION.keys.index(catalog.STARTUP_PHASE.key)
    found = {}
    for point in snapshot.points:
        if point.metric is catalog.STARTUP_DURATION:
            assert isinstance(point.value, Histogram)
            found[point.attributes[phase]] = (point.value.observations, point.value.sum)
    return found


def test_a_start_that_was_seen_has_all_its_phases() -> None:
    """Scheduled 100 s ago, started 70 s ago, ready 8 s from now, and the first token on the page of 20 s."""
    *_, first, last = run((BARE, None), (RUNNING, None), (READY, 0), (READY, 0), (READY, 1), (READY, 9))

    assert latest(last) == {"start": 30.0, "load": 78.0, "first_token": 12.0}
    assert counted(first) == counted(last) == {"start": (1, 30.0), "load": (1, 78.0), "first_token": (1, 12.0)}
    (start, *_) = [p for p in last.points if p.metric is catalog.STARTUP_LATEST]
    told = dict(zip(start.metric.keys, start.attributes, strict=True))
    assert (told["k8s.pod.uid"], told["gen_ai.request.model"]) == ("uid-a", "m")


def test_a_models_histogram_begins_at_zero() -> None:
    """One snapshot before its first value, so that no rate misses it; then it says when it began."""
    told = run((RUNNING, None), (READY, 0), (READY, 0))
    assert [counted(snapshot) for snapshot in told] == [
        {},
        {"start": (0, 0.0), "load": (0, 0.0), "first_token": (0, 0.0)},
        {"start": (1, 30.0), "load": (1, 78.0), "first_token": (0, 0.0)},
    ]
    assert {p.start for p in told[-1].points if p.metric is catalog.STARTUP_DURATION} == {NOW + 5}


def test_an_agent_that_comes_later_claims_neither_readiness_nor_a_first_token() -> None:
    """What the pod says of its container's start is still true; the histogram counts no start twice."""
    *_, last = run((READY, 7), (READY, 8), (READY, 9))
    assert latest(last) == {"start": 30.0}
    assert counted(last) == {"start": (0, 0.0), "load": (0, 0.0), "first_token": (0, 0.0)}


def test_a_pod_that_was_ready_before_and_is_not_now_has_no_first_readiness() -> None:
    """It is unready since after its container's start: what comes next is not its cold start."""
    flapping = replace(RUNNING, unready=NOW - 10)
    *_, last = run((flapping, 0), (READY, 0), (READY, 3))
    assert latest(last) == {"start": 30.0}


def test_a_container_that_was_restarted_has_no_start() -> None:
    """Its times are those of another life."""
    restarted = replace(READY, started={})
    *_, last = run((RUNNING, None), (READY, 0), (restarted, 0), (restarted, 4), (READY, 4))
    assert latest(last) == {}
    assert run((restarted, 0), (restarted, 3))[-1].points
    assert latest(run((restarted, 0), (restarted, 3))[-1]) == {}


def test_while_pods_cannot_be_read_nothing_is_forgotten() -> None:
    """The first token is still seen afterwards, later than it was."""
    *_, last = run((RUNNING, None), (READY, 0), (None, 0), (READY, 1), (READY, 1))
    assert latest(last) == {"start": 30.0, "load": 78.0, "first_token": 7.0}


def test_a_token_before_the_pod_is_ready_gives_no_phase() -> None:
    """A probe that is slower than its users: the phases would not add up."""
    *_, last = run((RUNNING, 0), (RUNNING, 2), (READY, 3), (READY, 4))
    assert latest(last) == {"start": 30.0, "load": 78.0}


def test_an_engine_that_is_gone_is_forgotten() -> None:
    """Its last value ends with it; its model's histogram lingers."""
    reader, state = Reader(TARGET), State()
    for k, (pods, targets) in enumerate([([RUNNING], 1), ([READY], 1), ([READY], 1), ([], 0), ([], 0)]):
        seen = frames(pods=pods, engines=[reader.read(page(0))] if targets else [], passed=5.0 * k)
        known = {TARGET.instance: TARGET} if targets else {}
        state, snapshot = account(state, join(replace(seen, targets=known), CONTEXT), Rules(linger=300.0))
    assert latest(snapshot) == {}
    assert counted(snapshot)["load"] == (1, 78.0)
    assert state.starting.engines == {}


@pytest.mark.parametrize("time", ["2026-11-20T10:00:00Z", {"seconds": 1_795_168_800}])
def test_the_times_are_the_pods(time: object) -> None:
    """In JSON and in protobuf; a container that was restarted, or does not run, has none."""
    pod = project(
        {
            "metadata": {"uid": "u", "namespace": "ns", "name": "p"},
            "status": {
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": time},
                    {"type": "Ready", "status": "False", "lastTransitionTime": time},
                ],
                "containerStatuses": [
                    {"name": "main", "restartCount": 0, "state": {"running": {"startedAt": time}}},
                    {"name": "again", "restartCount": 2, "state": {"running": {"startedAt": time}}},
                    {"name": "waits", "state": {"waiting": {}}},
                ],
            },
        }
    )
    assert (pod.scheduled, pod.ready, pod.unready) == (1_795_168_800.0, 0.0, 1_795_168_800.0)
    assert pod.started == {"main": 1_795_168_800.0}


@pytest.mark.parametrize("time", ["", "yesterday", None, 7, {"seconds": "x"}, [], "9999-99-99T00:00:00Z"])
def test_a_time_that_is_none_is_not_known(time: object) -> None:
    """A pod is never refused for it."""
    status = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]}
    assert project({"metadata": {"uid": "u", "namespace": "ns", "name": "p"}, "status": status}).ready == 0.0


def test_an_engine_that_two_targets_name_starts_once() -> None:
    """One port with two paths is one engine: no series stands twice, and the histogram has one start."""
    targets = [replace(TARGET, instance=f"ns/a:8000/{path}", url=f"http://10.0.0.7:8000/{path}") for path in "ab"]
    state = State()
    for k, (pod, first) in enumerate([(RUNNING, 0), (READY, 0), (READY, 1)]):
        seen = frames(pods=[pod], engines=[Reader(each).read(page(first)) for each in targets], passed=5.0 * k)
        seen = replace(seen, targets={each.instance: each for each in targets})
        state, snapshot = account(state, join(seen, CONTEXT), Rules())
    points = [p.attributes for p in snapshot.points if p.metric is catalog.STARTUP_LATEST]
    assert len(points) == len(set(points)) > 0
    assert counted(snapshot)["start"] == (1, 30.0)
