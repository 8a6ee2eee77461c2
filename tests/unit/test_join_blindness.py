# SPDX-License-Identifier: Apache-2.0
"""What an engine does not tell has a name: blindness with its reason, and families that differ from what is known."""

from dataclasses import replace

import pytest

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.join import join
from inferometer.model import Frame, Frames, Metric, Pod, Reason, Snapshot, Target, Trouble
from inferometer.sources.engines.reader import Reader

TARGET = Target("ns/a:8000", "http://10.0.0.7:8000/metrics", namespace="ns", pod="a", pod_uid="uid-a")
POD = Pod("uid-a", "ns", "a", "Running")
SERVER = b'python_info{version="3.12"} 1\nhttp_requests_total{method="GET",status="2xx",handler="/"} 4\n'


def told(snapshot: Snapshot, metric: Metric) -> list[tuple[dict[str, str | None], float]]:
    found = []
    for point in snapshot.points:
        if point.metric is metric:
            assert isinstance(point.value, float)
            found.append((dict(zip(metric.keys, point.attributes, strict=True)), point.value))
    return found


def blindness(page: bytes, target: Target = TARGET) -> tuple[str | None, float]:
    report = Reader(target).read(page)
    ((attributes, value),) = told(join(frames(pods=[POD], engines=[report]), CONTEXT), catalog.ENGINE_BLIND)
    assert attributes["k8s.pod.name"] == "a"
    return attributes["inference.engine.blind.reason"], value


def test_a_page_that_tells_something_is_not_blind() -> None:
    """And has no reason."""
    assert blindness(b'vllm:num_requests_running{model_name="m",engine="0"} 1\n') == (None, 0.0)


def test_a_servers_page_without_an_engines_families_has_its_statistics_off() -> None:
    """As vLLM's with --disable-log-stats, whether or not somebody said which engine it is."""
    assert blindness(SERVER) == ("statistics_off", 1.0)
    assert blindness(SERVER, replace(TARGET, engine="vllm")) == ("statistics_off", 1.0)


def test_a_page_of_something_else_is_unknown() -> None:
    """Most often it is the wrong port."""
    assert blindness(SERVER + b"node_load1 3\n") == ("unknown_page", 1.0)


def unread(trouble: Trouble, *, good: bool = False) -> Frames:
    """Give the state of the board after a read that failed; `good` is one before it that is still valid."""
    failed: Frame[object] = Frame("engine", TARGET.instance, 2, NOW, 0.01, 5.0, None, trouble)
    read = [Reader(TARGET).read(b'vllm:num_requests_running{model_name="m",engine="0"} 1\n')] if good else []
    seen = frames(pods=[POD], engines=read, troubles=[failed])
    outcomes = tuple(outcome for outcome in seen.outcomes if outcome.value is None or outcome.source != "engine")
    return replace(seen, outcomes=outcomes, targets={TARGET.instance: TARGET})


@pytest.mark.parametrize("answer", ["not_found", "not_metrics", "refused", "error", "too_large"])
def test_an_engine_that_answers_something_else_is_blind_and_says_why(answer: str) -> None:
    """It is up: it answered. Its pod is known, because the target is."""
    ((attributes, value),) = told(
        join(unread(Trouble(Reason.REJECTED, "404", "Look.", answer)), CONTEXT), catalog.ENGINE_BLIND
    )
    assert (attributes["inference.engine.blind.reason"], value) == (answer, 1.0)
    assert (attributes["k8s.pod.uid"], attributes["server.port"]) == ("uid-a", "8000")


def test_an_engine_that_does_not_answer_is_down_and_not_blind() -> None:
    """Nobody listens, or too late: the source's own health says so."""
    assert told(join(unread(Trouble(Reason.REFUSED, "nobody listens")), CONTEXT), catalog.ENGINE_BLIND) == []


def test_while_the_page_before_counts_the_engine_is_not_blind() -> None:
    """One bad answer is no blindness: what was read before is still told, once."""
    snapshot = join(unread(Trouble(Reason.REJECTED, "500", "", "error"), good=True), CONTEXT)
    assert [value for _, value in told(snapshot, catalog.ENGINE_BLIND)] == [0.0]


def test_families_that_differ_are_counted_by_engine() -> None:
    """Missing ones and unknown ones; an engine of which nothing is known differs from nothing."""
    known = Reader(TARGET).read(
        b'vllm:num_requests_running{model_name="m",engine="0"} 1\nvllm:brand_new{model_name="m"} 1\n'
    )
    stranger = Reader(replace(TARGET, instance="s")).read(b"node_load1 3\n")
    snapshot = join(frames(pods=[POD], engines=[known, stranger]), CONTEXT)
    drift = {a["inferometer.family.state"]: value for a, value in told(snapshot, catalog.ENGINE_FAMILIES)}
    assert drift == {"missing": float(len(known.missing)), "unknown": 1.0}
    assert known.missing
    assert known.unknown == ("vllm:brand_new",)
