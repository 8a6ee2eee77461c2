# SPDX-License-Identifier: Apache-2.0
"""What is read from vLLM's families, and what is not believed."""

from pathlib import Path

import pytest

from inferometer import catalog
from inferometer.model import EngineReport, Histogram, Reading, Target
from inferometer.sources.engines.dialects import BINDINGS
from inferometer.sources.engines.reader import Reader

FIXTURES = Path(__file__).parents[3] / "fixtures" / "engines"
TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
RUNNING = 'vllm:num_requests_running{model_name="m",engine="0"}'
TTFT = "vllm:time_to_first_token_seconds"


def read(text: str) -> EngineReport:
    return Reader(TARGET).read(text.encode())


def histogram(*buckets: tuple[str, float], count: float = 3, total: str = "1.5", name: str = TTFT) -> str:
    labels = 'model_name="m"'
    lines = [f'{name}_bucket{{{labels},le="{le}"}} {value}' for le, value in buckets]
    return "\n".join([*lines, f"{name}_count{{{labels}}} {count}", f"{name}_sum{{{labels}}} {total}", ""])


def only(report: EngineReport) -> Reading:
    (reading,) = report.readings
    return reading


def test_a_reading_carries_the_convention_and_the_engines_labels() -> None:
    """Provider and operation are constants; model and rank are the page's; the subject is the target's instance."""
    reading = only(read(f"{RUNNING} 3\n"))
    assert reading.subject == "ns/pod:8000"
    assert reading.metric is catalog.REQUESTS_RUNNING
    assert reading.value == 3
    assert dict(reading.attributes) == {
        "gen_ai.provider.name": "vllm",
        "gen_ai.operation.name": "text_completion",
        "gen_ai.request.model": "m",
        "inference.engine.rank": "0",
    }


def test_ranks_of_one_server_are_series_of_their_own() -> None:
    """Data-parallel ranks do not overwrite one another."""
    report = read(
        'vllm:prompt_tokens_total{model_name="m",engine="0"} 3\nvllm:prompt_tokens_total{model_name="m",engine="1"} 4\n'
    )
    assert [(dict(r.attributes)["inference.engine.rank"], r.value) for r in report.readings] == [("0", 3), ("1", 4)]


def test_a_histogram_keeps_its_own_bounds() -> None:
    """Bounds in any order of lines; counts per bucket; a histogram with nothing but +Inf has no bounds."""
    report = read(histogram(("+Inf", 3), ("0.5", 2), ("0.25", 2)))
    assert only(report).value == Histogram((0.25, 0.5), (2, 0, 1), 1.5)
    assert only(read(histogram(("+Inf", 3)))).value == Histogram((), (3,), 1.5)


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (histogram(("0.5", 2), ("0.25", 3), ("+Inf", 3)), "not_cumulative"),
        (histogram(("0.5", 2), ("+Inf", 4)), "not_cumulative"),
        (histogram(("0.5", 0.5), ("+Inf", 3)), "not_cumulative"),
        (histogram(("0.5", -1), ("+Inf", 3)), "not_cumulative"),
        (histogram(("0.5", 2)), "incomplete"),
        (histogram(("0.5", 2), ("0.50", 2), ("+Inf", 3)), "incomplete"),
        (histogram(("x", 2), ("+Inf", 3)), "incomplete"),
        (histogram(), "incomplete"),
        (histogram(("0.5", 2), ("+Inf", 3)).replace(TTFT + "_sum", "x"), "incomplete"),
        (histogram(("0.5", float("nan")), ("+Inf", 3)), "not_finite"),
        (histogram(("0.5", 2), ("+Inf", 3), total="NaN"), "not_finite"),
        (histogram(("0.5", 2), ("+Inf", 3), total="-1"), "out_of_range"),
        (histogram(("-1", 0), ("0.5", 2), ("+Inf", 3)), "incomplete"),
        (f"# TYPE {TTFT} gauge\n" + histogram(("+Inf", 3)), "type"),
        ("# TYPE vllm:num_requests_running counter\n" + RUNNING + " 1\n", "type"),
        (RUNNING + " NaN\n", "not_finite"),
        (RUNNING + " +Inf\n", "not_finite"),
        (RUNNING + " -1\n", "out_of_range"),
        ('vllm:kv_cache_usage_perc{model_name="m"} 55\n', "out_of_range"),
        (f'vllm:num_requests_running{{model_name="{"m" * 300}"}} 1\n', "too_long"),
    ],
)
def test_what_cannot_be_true_is_dropped_and_counted(text: str, doubt: str) -> None:
    """The series is absent, its doubt is counted, and its neighbours are read."""
    neighbour = 'vllm:num_requests_waiting{model_name="m"} 7\n'
    report = read(neighbour + text)
    assert [reading.value for reading in report.readings] == [7]
    assert dict(report.dropped) == {doubt: 1}


def test_series_that_cannot_be_told_apart_are_all_dropped() -> None:
    """Gauges of several processes behind one page: to publish either, or their sum, would be a guess."""
    text = "".join(f'vllm:num_requests_running{{model_name="m",pid="{i}"}} 1\n' for i in range(3))
    report = read(text)
    assert (report.readings, dict(report.dropped)) == ((), {"ambiguous": 3})


def test_both_names_of_the_cache_usage_give_it_once() -> None:
    """0.9.2 to 0.11 export the old and the new name: the new one is read."""
    report = read('vllm:gpu_cache_usage_perc{model_name="m"} 0.4\nvllm:kv_cache_usage_perc{model_name="m"} 0.5\n')
    assert only(report).value == 0.5
    assert report.unmapped == ("vllm:gpu_cache_usage_perc",)


@pytest.mark.parametrize("name", ["inter_token_latency_seconds", "time_per_output_token_seconds"])
def test_inter_token_latency_is_not_time_per_output_token(name: str) -> None:
    """By neither of its names, old or new, is it the convention's metric, which has one value per request."""
    reading = only(read(histogram(("+Inf", 3), name=f"vllm:{name}")))
    assert reading.metric is catalog.INTER_TOKEN_LATENCY
    assert dict(reading.attributes)["inference.inter_token_latency.semantics"] == "event"


def test_a_routers_page_is_never_an_engines() -> None:
    """production-stack exports vLLM's names for each server behind it: nothing is read, even if an operator insists."""
    page = (FIXTURES / "production_stack/realcode_HEAD_router_metrics.txt").read_bytes()
    assert Reader(TARGET).read(page).readings == ()
    insisting = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics", engine="vllm")
    assert Reader(insisting).read(page).readings == ()


def test_series_of_somebody_else_are_left_alone() -> None:
    """On an engine's page a series with a `server` label is a router's."""
    report = read(f'{RUNNING} 3\nvllm:num_requests_running{{model_name="m",server="http://x"}} 9\n')
    assert only(report).value == 3


@pytest.mark.parametrize("prefix", ["ray_vllm_", "ray_vllm:"])
def test_the_prefixes_of_ray_are_read_too(prefix: str) -> None:
    """Under Ray's names the families are the same ones, and the engine that runs is vLLM."""
    report = read(f'{prefix}generation_tokens_total{{model_name="m",engine="0",WorkerId="w",ReplicaId="r"}} 5\n')
    assert (report.engine, report.backend) == ("ray", "vllm")
    assert only(report).metric is catalog.TOKENS
    assert dict(only(report).attributes)["gen_ai.provider.name"] == "vllm"


def test_created_series_are_start_times_where_they_are_possible() -> None:
    """A gauge has none, and zero, NaN or the far future is none."""
    tokens = 'vllm:prompt_tokens_total{model_name="m"} 3\n'
    created = 'vllm:prompt_tokens_created{model_name="m"} '
    assert only(read(tokens)).start is None
    assert only(read(f"{tokens}{created}1.795e9\n")).start == 1.795e9
    assert [only(read(f"{tokens}{created}{value}\n")).start for value in ("0", "NaN", "1e300", "-5")] == [None] * 4


def test_openmetrics_counters_are_declared_without_their_suffix() -> None:
    """The family is `vllm:prompt_tokens`, its samples are `_total` and `_created`."""
    text = '# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total{model_name="m"} 3\nvllm:prompt_tokens_created{model_name="m"} 5\n# EOF\n'
    report = Reader(TARGET).read(text.encode(), "application/openmetrics-text; version=1.0.0")
    assert (only(report).value, only(report).start) == (3, 5)
    assert report.unmapped == ()


def test_a_restarted_engine_is_read_as_the_new_engine_that_it_is() -> None:
    """Another model, other bounds, new start times, then the old page again: each page is read as if it were the first."""
    reader = Reader(TARGET)
    names = ("after60", "custombuckets_nocreated.after", "idle", "after60", "pressure.mid1", "pressure.after")
    for name in names:
        body = (FIXTURES / f"vllm/real_v0.32.0_cpu_{name}.txt").read_bytes()
        assert reader.read(body) == Reader(TARGET).read(body)


def test_readings_of_an_unchanged_page_share_their_identity() -> None:
    """Attributes and bounds are the same objects scrape after scrape: outputs recognise them without comparing."""
    reader, body = Reader(TARGET), (FIXTURES / "vllm/real_v0.32.0_cpu_after60.txt").read_bytes()
    first, second = reader.read(body), reader.read(body.replace(b" 1176.0", b" 1200.0"))
    assert all(a.attributes is b.attributes for a, b in zip(first.readings, second.readings, strict=True))
    assert [a.metric for a, b in zip(first.readings, second.readings, strict=True) if a.value != b.value] == [
        catalog.TOKENS
    ]


def test_the_reference_page_names_a_family_for_every_engine_metric() -> None:
    """Each metric is bound to families as their engines spell them; what describes an engine is made of its whole page."""
    bound = {binding.metric for binding in BINDINGS}
    named = {m.name for m in catalog.METRICS if m.name.startswith(("gen_ai.", "inference."))}
    ours = {"inference.engine.info", "inference.engine.blind", "inference.slo.threshold", "inference.slo.bound"}
    assert bound == {name for name in named - ours if ".startup." not in name}
    assert {"vllm", "sglang", "trtllm", "triton", "tgi", "nim", "llamacpp", "lmdeploy"} <= {b.source for b in BINDINGS}


def test_an_ensemble_counts_beside_the_models_that_it_is_made_of() -> None:
    """A page of Triton's without a backend of tokens does not tell which model is an ensemble: each is told by its name."""
    page = FIXTURES / "triton" / "real_pytriton0.7.0_cpu_ensemble.txt"
    report = read(page.read_text())
    success = {
        dict(r.attributes)[catalog.MODEL.key]: r.value
        for r in report.readings
        if r.metric is catalog.REQUESTS_FINISHED and dict(r.attributes)[catalog.FINISH_REASON.key] == "success"
    }
    assert success == {"ensemble": 3.0, "one": 4.0, "two": 3.0}  # three requests to the ensemble, one to a model of it
