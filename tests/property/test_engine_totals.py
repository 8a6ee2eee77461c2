# SPDX-License-Identifier: Apache-2.0
"""However a page splits what it counts, what is read of it sums to what it counted."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from inferometer import catalog
from inferometer.model import EngineReport, Histogram, Metric, Target
from inferometer.sources.engines.reader import Reader

TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
TTFT = "sglang:time_to_first_token_seconds"

_COUNTS = st.integers(0, 10**12)
_TENANTS = st.sampled_from(["", "red", "blue", "none"])
_STREAMS = st.sampled_from(["true", "false"])


def read(lines: list[str]) -> EngineReport:
    return Reader(TARGET).read("\n".join([*lines, ""]).encode())


def total(report: EngineReport, metric: Metric) -> float:
    return sum(r.value for r in report.readings if r.metric is metric and not isinstance(r.value, Histogram))


@given(st.dictionaries(st.tuples(_TENANTS, _STREAMS), _COUNTS, min_size=1), st.randoms())
def test_parts_sum_to_one_series_in_any_order_of_lines(parts: dict[tuple[str, str], int], order: Random) -> None:
    """Labels that mean nothing to us, in any order, change nothing: one series, the sum of all."""
    lines = [
        f'sglang:generation_tokens_total{{model_name="m",tenant="{tenant}",is_streaming="{stream}"}} {count}'
        for (tenant, stream), count in parts.items()
    ]
    order.shuffle(lines)
    readings = [r for r in read(lines).readings if r.metric is catalog.TOKENS]
    assert [reading.value for reading in readings] == [sum(parts.values())]


@given(st.dictionaries(_STREAMS, st.lists(st.integers(0, 1000), min_size=4, max_size=4), min_size=1))
def test_histograms_of_the_same_bounds_lose_no_observation(parts: dict[str, list[int]]) -> None:
    """Bucket by bucket the sum, in the page's own bounds."""
    lines = []
    for stream, counts in parts.items():
        labels = f'model_name="m",is_streaming="{stream}"'
        cumulative = [sum(counts[: i + 1]) for i in range(4)]
        lines += [
            f'{TTFT}_bucket{{{labels},le="{le}"}} {count}'
            for le, count in zip(("0.1", "0.2", "0.4", "+Inf"), cumulative, strict=True)
        ]
        lines += [f"{TTFT}_count{{{labels}}} {cumulative[-1]}", f"{TTFT}_sum{{{labels}}} 1"]
    (reading,) = read(lines).readings
    assert reading.value == Histogram(
        (0.1, 0.2, 0.4), tuple(map(sum, zip(*parts.values(), strict=True))), float(len(parts))
    )


@given(_COUNTS, _COUNTS, _COUNTS, st.sampled_from(["0", "1"]))
def test_cached_and_computed_tokens_are_the_prompts(computed: int, hit: int, transferred: int, rank: str) -> None:
    """Where the page proves the split, the two are disjoint and sum to the prompt's tokens, which are not read again."""
    labels = f'model_name="m",engine="{rank}"'
    lines = [f"vllm:prompt_tokens_total{{{labels}}} {computed + hit + transferred}"]
    for source, count in (("local_compute", computed), ("local_cache_hit", hit), ("external_kv_transfer", transferred)):
        lines.append(f'vllm:prompt_tokens_by_source_total{{{labels},source="{source}"}} {count}')
    report = read(lines)
    assert total(report, catalog.TOKENS) == computed + hit + transferred
    cached = {dict(r.attributes)["inference.token.cached"]: r.value for r in report.readings}
    assert cached == {"false": computed, "true": hit + transferred}


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 9)), min_size=1, unique_by=lambda pair: pair[0]))
def test_the_newest_adapters_are_those_of_the_largest_time(series: list[tuple[int, int]]) -> None:
    """Whatever has been before."""
    lines = ['vllm:num_requests_running{model_name="m"} 1'] + [
        f'vllm:lora_requests_info{{max_lora="9",running_lora_adapters="{",".join("a" * n)}",waiting_lora_adapters="{at}"}} {at}'
        for at, n in series
    ]
    assert total(read(lines), catalog.LORA_RUNNING) == max(series)[1]
