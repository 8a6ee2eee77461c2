# SPDX-License-Identifier: Apache-2.0
"""Objectives are published with the bounds at which an engine can really measure them."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frames import CONTEXT, frames
from inferometer import catalog
from inferometer.config import Objective, Seconds
from inferometer.join import join
from inferometer.join.objectives import BETWEEN, BEYOND, EXACT, UNMEASURED, place
from inferometer.model import Metric, Pod, Snapshot, Target
from inferometer.sources.engines.advice import how_to_bound, how_to_measure, how_to_show
from inferometer.sources.engines.reader import Reader
from inferometer.views.prometheus import Exposition

FIXTURES = Path(__file__).parents[1] / "fixtures" / "engines"
TARGET = Target("ns/a:8000", "http://10.0.0.7:8000/metrics", namespace="ns", pod="a", pod_uid="uid-a")
POD = Pod("uid-a", "ns", "a", "Running")


def snapshot(*objectives: Objective) -> Snapshot:
    """Give that of a real vLLM 0.32."""
    report = Reader(TARGET).read((FIXTURES / "vllm/real_v0.32.0_cpu_after60.txt").read_bytes())
    return join(frames(pods=[POD], engines=[report]), replace(CONTEXT, objectives=objectives))


def told(snapshot: Snapshot, metric: Metric, key: str) -> dict[tuple[str | None, str | None], object]:
    """Give values by the objective's name and the attribute `key`."""
    name, other = metric.keys.index(catalog.SLO_NAME.key), metric.keys.index(key)
    return {(p.attributes[name], p.attributes[other]): p.value for p in snapshot.points if p.metric is metric}


def test_the_threshold_says_whether_it_can_be_measured() -> None:
    """A vLLM has bounds at 0.5 s and 2.5 s for first tokens, and none at 0.45 s or beyond 2560 s."""
    objectives = [Objective(f"o{s:g}", "ttft", Seconds(s)) for s in (0.45, 0.5, 3000, 0.0001)]
    state = told(snapshot(*objectives), catalog.SLO_THRESHOLD, catalog.SLO_STATE.key)
    assert state == {
        ("o0.45", BETWEEN): 0.45,
        ("o0.5", EXACT): 0.5,
        ("o3000", BEYOND): 3000,
        ("o0.0001", BEYOND): 0.0001,
    }


def test_the_bounds_beside_it_are_those_of_the_engine() -> None:
    """Where there is none on a side, none is told."""
    objectives = [Objective(f"o{s:g}", "ttft", Seconds(s)) for s in (0.45, 0.5, 3000)]
    bounds = told(snapshot(*objectives), catalog.SLO_BOUND, catalog.SLO_SIDE.key)
    assert bounds == {
        ("o0.45", "lower"): 0.25,
        ("o0.45", "upper"): 0.5,
        ("o0.5", "lower"): 0.5,
        ("o0.5", "upper"): 0.5,
        ("o3000", "lower"): 2560,
    }


def test_both_bounds_of_an_exact_threshold_can_be_said() -> None:
    """They are the engine's own numbers: a view says floats, and not the configuration's kind of them."""
    page = snapshot(Objective("o", "ttft", Seconds(0.5)))
    assert Exposition().render(page, openmetrics=False).count(b"\ninference_slo_bound_seconds{") == 2


def a_page(text: str) -> Snapshot:
    """Give that of a page, with an objective on the end-to-end latency and one on the time per token of one model."""
    objectives = (
        Objective("whole", "e2e", Seconds(1)),
        Objective("tokens", "tpot", Seconds(0.1), model="m1"),
        Objective("elsewhere", "e2e", Seconds(1), namespace="other"),
    )
    report = Reader(TARGET).read(text.encode())
    return join(frames(pods=[POD], engines=[report]), replace(CONTEXT, objectives=objectives))


def test_an_objective_that_no_histogram_tells_says_so() -> None:
    """An engine without the histogram has the threshold, with the state that says so, and no bound; one for others has none."""
    snapshot = a_page("# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 1\n")
    assert told(snapshot, catalog.SLO_THRESHOLD, catalog.SLO_STATE.key) == {("whole", UNMEASURED): 1.0}
    assert told(snapshot, catalog.SLO_BOUND, catalog.SLO_SIDE.key) == {}
    (engine,) = snapshot.engines
    ((metric, state, sentence),) = engine.complaints
    assert "the page has no gen_ai.server.request.duration" in sentence
    assert "No metric of this engine" in how_to_measure("llamacpp", metric, state)
    assert "first request" in how_to_measure("sglang", metric, state)


def test_each_model_says_for_itself_what_is_not_measured() -> None:
    """A page that has the histogram of one model only says so of the other; what an objective is not for says nothing."""
    page = "# TYPE vllm:num_requests_running gauge\n"
    page += "".join(f'vllm:num_requests_running{{engine="0",model_name="{model}"}} 0\n' for model in ("m1", "m2"))
    page += "# TYPE vllm:e2e_request_latency_seconds histogram\n"
    for end in ('_bucket{le="1.0",', '_bucket{le="+Inf",', "_count{", "_sum{"):
        page += f'vllm:e2e_request_latency_seconds{end}engine="0",model_name="m1"}} 0\n'
    snapshot = a_page(page)
    model = catalog.SLO_THRESHOLD.keys.index(catalog.MODEL.key)
    state = catalog.SLO_THRESHOLD.keys.index(catalog.SLO_STATE.key)
    found = {
        (p.attributes[model], p.attributes[state], p.value)
        for p in snapshot.points
        if p.metric is catalog.SLO_THRESHOLD
    }
    assert found == {("m1", EXACT, 1.0), ("m2", UNMEASURED, 1.0), ("m1", UNMEASURED, 0.1)}


@pytest.mark.parametrize(
    ("threshold", "bounds", "expected"),
    [
        (0.3, (0.1, 0.2, 0.30000000000000004), (EXACT, 0.30000000000000004)),
        (0.00015, (0.00015000000000000001,), (EXACT, 0.00015000000000000001)),
        (0.7, (0.7 - 2**-53,), (EXACT, 0.7 - 2**-53)),
        (0.300001, (0.1, 0.3, 0.5), (BETWEEN, 0.5)),
        (0.0, (0.0, 1.0), (EXACT, 0.0)),
    ],
)
def test_a_bound_that_an_engine_has_computed_is_the_one_that_it_means(
    threshold: float, bounds: tuple[float, ...], expected: tuple[str, float]
) -> None:
    """What arithmetic has added to a bound makes no threshold lie beside it; it is told as it stands on the page."""
    found = place(threshold, bounds)
    assert (found.state, found.upper) == expected


@pytest.mark.parametrize(
    ("model", "namespace", "there"), [("*", "*", True), ("tiny*", "n?", True), ("other", "*", False), ("*", "x", False)]
)
def test_an_objective_is_for_its_models_and_namespaces(model: str, namespace: str, there: bool) -> None:
    """By name, or with `*`."""
    (name,) = Reader(TARGET).read((FIXTURES / "vllm/real_v0.32.0_cpu_after60.txt").read_bytes()).models
    pattern = f"{name[:2]}*" if model == "tiny*" else model
    found = told(
        snapshot(Objective("o", "tpot", Seconds(0.1), pattern, namespace)), catalog.SLO_THRESHOLD, catalog.SLO_STATE.key
    )
    assert bool(found) is there


def test_what_cannot_be_measured_is_said_with_the_engines_own_option() -> None:
    """In a sentence for `check`."""
    (engine,) = snapshot(Objective("chat", "ttft", Seconds(0.45)), Objective("fine", "ttft", Seconds(0.5))).engines
    ((metric, _, complaint),) = engine.complaints
    assert complaint.startswith(
        "objective chat: 0.45 s lies between the bounds 0.25 s and 0.5 s of gen_ai.server.time_to_first_token of "
    )
    assert "--custom-histogram-buckets" in how_to_bound("vllm", metric)
    assert "--bucket-time-to-first-token" in how_to_bound("sglang", metric)
    assert "no option" in how_to_bound("tgi", metric)
    assert "--disable-log-stats" in how_to_show("vllm")
    assert "--disable-log-stats" in how_to_show("unknown")


def test_without_objectives_there_are_no_series() -> None:
    """The default configuration says nothing of service levels."""
    assert not [p for p in snapshot().points if p.metric in (catalog.SLO_THRESHOLD, catalog.SLO_BOUND)]


@given(st.floats(0, 1e4), st.lists(st.floats(0, 1e4), unique=True).map(sorted))
@example(9999.999999999998, [10000.0])
@example(0.3, [0.25, 0.1 + 0.2, 0.5])
def test_a_threshold_lies_between_the_bounds_that_are_named(threshold: float, bounds: list[float]) -> None:
    """Whatever the bounds: exact where one is it, but for what arithmetic adds; else the nearest on either side."""
    found = place(threshold, bounds)
    near = threshold * 1e-9
    meant = [b for b in bounds if threshold - near <= b <= threshold + near]
    if meant:
        assert (found.state, found.lower, found.upper) == (EXACT, min(meant), min(meant))
        return
    assert found.lower == max((b for b in bounds if b < threshold), default=None)
    assert found.upper == min((b for b in bounds if b > threshold), default=None)
    assert found.state != EXACT
