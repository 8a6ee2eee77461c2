# SPDX-License-Identifier: Apache-2.0
"""The simulated engine's page is one that vLLM could have written."""

from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle
from prometheus_client.utils import floatToGoString  # noqa: TID251  # the oracle

from inferometer.simulation import page
from inferometer.simulation.engine import Engine, EngineSpec

REAL = Path(__file__).parents[2] / "fixtures/engines/vllm/real_v0.32.0_cpu_after60.txt"
SPEC = EngineSpec("m-8b", 2.0, 0.0, 200, 50, 64, 8192, 1000, 32, 0.02, 0.0005, 10_000)


def make_engine(seconds: float = 30.0) -> Engine:
    engine = Engine(SPEC, Random(3))
    engine.advance(seconds)
    return engine


def parse(text: str) -> dict[str, object]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_it_has_the_families_of_a_real_page() -> None:
    """Names, kinds, help texts, sample names and label names are those of a recorded page of vLLM 0.32."""
    ours, real = parse(page.render(make_engine(), 1.79e9, 30.0).decode()), parse(REAL.read_text())
    assert list(ours) == list(real)
    for name, family in real.items():
        assert (ours[name].type, ours[name].documentation) == (family.type, family.documentation)  # type: ignore[attr-defined]  # prometheus_client is untyped here
        if name != "vllm:cache_config_info":  # a real one has two dozen labels more
            shapes = [{(s.name, *s.labels) for s in f.samples} for f in (ours[name], family)]  # type: ignore[attr-defined]  # prometheus_client is untyped here
            assert shapes[0] == shapes[1]


def test_it_is_as_long_as_a_real_page_and_says_what_it_is() -> None:
    """At least 400 samples, and the first line is the mark."""
    lines = page.render(make_engine(), 1.79e9, 30.0).decode().splitlines()
    assert lines[0] == "# Simulated by Inferometer"
    assert sum(not line.startswith("#") for line in lines) >= 400


def test_its_values_are_the_engine_s() -> None:
    """Counters, gauges and histograms say what the engine counted."""
    engine = make_engine()
    families = parse(page.render(engine, 1.79e9, 30.0).decode())

    def value(name: str, family: str, **labels: str) -> float:
        wanted = {"engine": "0", "model_name": "m-8b"} | labels
        found = [s.value for s in families[family].samples if s.name == name and s.labels == wanted]  # type: ignore[attr-defined]  # prometheus_client is untyped here
        assert len(found) == 1, name
        return float(found[0])

    tally = engine.tally
    assert tally.generation_tokens > 0
    assert value("vllm:prompt_tokens_total", "vllm:prompt_tokens") == tally.prompt_tokens
    assert value("vllm:generation_tokens_total", "vllm:generation_tokens") == tally.generation_tokens
    assert value("vllm:num_requests_running", "vllm:num_requests_running") == len(engine.running)
    assert value("vllm:kv_cache_usage_perc", "vllm:kv_cache_usage_perc") == engine.kv_utilization
    assert value("vllm:request_success_total", "vllm:request_success", finished_reason="stop") == tally.finished["stop"]
    for name, histogram in tally.histograms.items():
        assert value(f"vllm:{name}_count", f"vllm:{name}") == sum(histogram.counts)
        assert value(f"vllm:{name}_sum", f"vllm:{name}") == histogram.sum
        assert value(f"vllm:{name}_bucket", f"vllm:{name}", le="+Inf") == sum(histogram.counts)


def test_two_pages_of_one_state_differ_in_times_only() -> None:
    """Another start time changes `_created` and the process's start time, nothing else."""
    engine = make_engine()
    first, second = (page.render(engine, created, 30.0).decode().splitlines() for created in (1.79e9, 1.8e9))
    changed = {a.split(" ")[0].split("{")[0] for a, b in zip(first, second, strict=True) if a != b}
    assert all(name.endswith("_created") or name == "process_start_time_seconds" for name in changed)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0))
def test_numbers_are_written_as_prometheus_client_does(value: float) -> None:
    """The number format is the library's, exponents included."""
    assert page.number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]  # the library has no types here
