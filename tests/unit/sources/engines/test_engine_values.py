# SPDX-License-Identifier: Apache-2.0
"""A handful of values of every dialect, reckoned once more from the page's text by prometheus_client's parser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from inferometer import catalog
from inferometer.model import Histogram, Metric, Reading, Target
from inferometer.sources.engines.reader import Reader

FIXTURES = Path(__file__).parents[3] / "fixtures" / "engines"

V32 = "vllm/real_v0.32.0_cpu_pressure.after.txt"
DP2 = "vllm/derived_v0.32.0_dp2_lora_drafts_pd.txt"
V0 = "vllm/realcode_v0.8.5_V0engine_metrics.txt"
SGLANG = "sglang/realcode_v0.5.23_metrics_collector.txt"
RANKS = "sglang/derived_v0.5.23_ranks_priorities_tenants.txt"
TRTLLM = "trtllm_serve/derived_trtllm_serve_main_collector.txt"
TRITON = "triton/real_pytriton0.7.0_cpu_after.txt"
ENSEMBLE = "triton/derived_trtllm_backend_ensemble.txt"
TGI = "tgi/derived_tgi_v3_router.txt"
NIM = "nim/derived_nim1_page.txt"
LLAMACPP = "llamacpp/real_llama-server_after.txt"
LMDEPLOY = "lmdeploy/realcode_HEAD_prometheus_stat_logger.txt"
KSERVE = "kserve/derived_kserve_python_server.txt"
RAY = "ray/derived_ray_serve_llm_two_replicas.txt"
FRONTEND = "dynamo/real_dynamo1.6.1_frontend_after.txt"
EPP = "epp/derived_llm_d_epp_two_prefixes.txt"


class Oracle:
    """A page as prometheus_client reads it."""

    def __init__(self, file: str) -> None:
        families = text_string_to_metric_families((FIXTURES / file).read_text())
        self.samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """Add up the samples of a name that have these labels; there must be one."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, name
        return sum(found)

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Give the cumulative counts by bound, added up over the series that have these labels."""
        counts: dict[float, float] = {}
        for s in self.samples:
            if s.name == name + "_bucket" and labels.items() <= s.labels.items():
                bound = float(s.labels["le"])
                counts[bound] = counts.get(bound, 0) + s.value
        return counts


def found(file: str, metric: Metric, **attributes: str) -> Reading:
    """The one reading of a metric with these attributes, dots written as underscores."""
    readings = (
        Reader(Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")).read((FIXTURES / file).read_bytes()).readings
    )
    (reading,) = [
        r
        for r in readings
        if r.metric is metric and attributes.items() <= {k.replace(".", "_"): v for k, v in r.attributes}.items()
    ]
    return reading


INPUT = {"gen_ai_token_type": "input"}
OUTPUT = {"gen_ai_token_type": "output"}
BLOCKS = "nv_trt_llm_kv_cache_block_metrics"


@pytest.mark.parametrize(
    ("file", "metric", "attributes", "expected"),
    [
        # What is computed and what was cached are disjoint, and sum to the prompt's tokens.
        (
            V32,
            catalog.TOKENS,
            INPUT | {"inference_token_cached": "true"},
            lambda p: p("vllm:prompt_tokens_total") - p("vllm:prompt_tokens_by_source_total", source="local_compute"),
        ),
        (
            DP2,
            catalog.TOKENS,
            INPUT | {"inference_token_cached": "true", "inference_engine_rank": "1"},
            lambda p: p("vllm:prompt_tokens_cached_total", engine="1"),
        ),
        (
            DP2,
            catalog.REQUESTS_WAITING,
            {"inference_engine_rank": "0", "inference_wait_reason": "capacity"},
            lambda p: (
                p("vllm:num_requests_waiting", engine="0")
                - p("vllm:num_requests_waiting_by_reason", engine="0", reason="deferred")
            ),
        ),
        (V32, catalog.REQUESTS_REJECTED, {"inference_reject_reason": "max_num_queued_reqs"}, lambda _: 104),
        (
            V32,
            catalog.HTTP_ERRORS,
            {"inference_http_status_class": "5xx"},
            lambda p: p("http_requests_total", status="5xx"),
        ),
        (V32, catalog.KV_CACHE_CAPACITY, {}, lambda _: 64 * 32),
        (V32, catalog.ESTIMATED_FLOPS, {}, lambda p: p("vllm:estimated_flops_per_gpu_total")),
        (
            DP2,
            catalog.ENGINE_ASLEEP,
            {"inference_engine_rank": "1"},
            lambda p: 1 - p("vllm:engine_sleep_state", engine="1", sleep_state="awake"),
        ),
        (DP2, catalog.LORA_RUNNING, {}, lambda _: 2),
        (DP2, catalog.LORA_WAITING, {}, lambda _: 1),
        (DP2, catalog.LORA_LIMIT, {}, lambda _: 4),
        (DP2, catalog.KV_CACHE_CAPACITY, {"inference_engine_rank": "1"}, lambda _: 8000 * 16),
        (
            DP2,
            catalog.SPEC_ACCEPTED_TOKENS,
            {"inference_engine_rank": "0"},
            lambda p: p("vllm:spec_decode_num_accepted_tokens_per_pos_total", engine="0"),
        ),
        (V0, catalog.PREFIX_HIT_RATIO, {}, lambda p: p("vllm:gpu_prefix_cache_hit_rate")),
        (V0, catalog.SPEC_DRAFT_TOKENS, {}, lambda p: p("vllm:spec_decode_num_draft_tokens_total")),
        (SGLANG, catalog.TOKENS, INPUT, lambda p: p("sglang:prompt_tokens_histogram_sum")),
        (SGLANG, catalog.TOKENS, OUTPUT, lambda p: p("sglang:generation_tokens_histogram_sum")),
        (SGLANG, catalog.REQUESTS_FINISHED, {}, lambda p: p("sglang:prompt_tokens_histogram_count")),
        (
            SGLANG,
            catalog.PREFIX_HITS,
            {},
            lambda p: p("sglang:prompt_tokens_histogram_sum") - p("sglang:uncached_prompt_tokens_histogram_sum"),
        ),
        (SGLANG, catalog.KV_CACHE_UTILIZATION, {}, lambda p: p("sglang:token_usage")),
        (
            RANKS,
            catalog.REQUESTS_RUNNING,
            {"inference_engine_rank": "1"},
            lambda p: p("sglang:num_running_reqs", dp_rank="1", priority="", tp_rank="2"),
        ),
        (
            RANKS,
            catalog.PREEMPTIONS,
            {"inference_engine_rank": "0"},
            lambda p: p("sglang:num_retracted_requests_total", dp_rank="0", tp_rank="0"),
        ),
        (RANKS, catalog.TOKENS, INPUT, lambda p: p("sglang:prompt_tokens_total")),
        (
            RANKS,
            catalog.HTTP_ERRORS,
            {"inference_http_status_class": "4xx"},
            lambda p: (
                p("sglang:http_responses_total", status_code="400")
                + p("sglang:http_responses_total", status_code="404")
            ),
        ),
        (TRTLLM, catalog.HTTP_ERRORS, {}, lambda p: p("trtllm_request_error_total")),
        (
            TRTLLM,
            catalog.KV_CACHE_CAPACITY,
            {},
            lambda p: p("trtllm_kv_cache_max_blocks") * p("trtllm_kv_cache_tokens_per_block"),
        ),
        (TRTLLM, catalog.PREFIX_HITS, {}, lambda p: p("trtllm_prompt_cached_tokens_total")),
        (TRITON, catalog.REQUESTS_TIME, {}, lambda p: p("nv_inference_request_duration_us_total") / 1e6),
        (
            TRITON,
            catalog.PHASE_TIME,
            {"inference_request_phase": "queue"},
            lambda p: p("nv_inference_queue_duration_us_total") / 1e6,
        ),
        (ENSEMBLE, catalog.REQUESTS_FINISHED, {"inference_finish_reason": "error"}, lambda _: 1 + 2),
        (
            ENSEMBLE,
            catalog.REQUESTS_FINISHED,
            {"inference_finish_reason": "success"},
            lambda p: p("nv_inference_request_success_total", model="tensorrt_llm"),
        ),
        (
            ENSEMBLE,
            catalog.KV_CACHE_CAPACITY,
            {},
            lambda p: p(BLOCKS, kv_cache_block_type="max") * p(BLOCKS, kv_cache_block_type="tokens_per"),
        ),
        (
            ENSEMBLE,
            catalog.REQUESTS_RUNNING,
            {},
            lambda p: p("nv_trt_llm_request_metrics", request_type="scheduled"),
        ),
        (TGI, catalog.TOKENS, INPUT, lambda p: p("tgi_request_input_length_sum")),
        (TGI, catalog.REQUESTS_REJECTED, {"inference_reject_reason": "validation"}, lambda _: 2),
        (TGI, catalog.REQUESTS_WAITING, {}, lambda p: p("tgi_queue_size")),
        (NIM, catalog.TOKENS, INPUT, lambda _: 603_000),
        (NIM, catalog.REQUESTS_FINISHED, {"inference_finish_reason": "length"}, lambda _: 18),
        (
            LLAMACPP,
            catalog.TOKENS,
            INPUT | {"inference_token_cached": "true"},
            lambda p: p("llamacpp:prompt_tokens_cached_total"),
        ),
        (LLAMACPP, catalog.TOKENS, OUTPUT, lambda p: p("llamacpp:tokens_predicted_total")),
        (
            LLAMACPP,
            catalog.PHASE_TIME,
            {"inference_request_phase": "decode"},
            lambda p: p("llamacpp:tokens_predicted_seconds_total"),
        ),
        (LMDEPLOY, catalog.TOKENS, OUTPUT, lambda p: p("lmdeploy:generation_tokens_total")),
        (LMDEPLOY, catalog.KV_CACHE_UTILIZATION, {}, lambda p: p("lmdeploy:gpu_cache_usage_perc")),
        (
            RAY,
            catalog.TOKENS,
            OUTPUT | {"inference_engine_replica": "d4e5f6"},
            lambda p: p("ray_vllm_generation_tokens_total", ReplicaId="d4e5f6"),
        ),
        (
            FRONTEND,
            catalog.ROUTER_FINISHED,
            {"gen_ai_request_model": "tiny-llama"},
            lambda p: p("dynamo_frontend_requests_total", model="tiny-llama"),
        ),
        (EPP, catalog.ROUTER_WAITING, {}, lambda p: p("llm_d_epp_flow_control_queue_size")),
    ],
)
def test_a_number_is_what_the_page_says(
    file: str, metric: Metric, attributes: dict[str, str], expected: Callable[[Oracle], float]
) -> None:
    """Sums, products, conversions and choices, each reckoned from the page by another way."""
    assert found(file, metric, **attributes).value == expected(Oracle(file))


@pytest.mark.parametrize(
    ("file", "metric", "attributes", "name", "labels", "per"),
    [
        (V32, catalog.INTER_TOKEN_LATENCY, {}, "vllm:inter_token_latency_seconds", {}, 1),
        (V32, catalog.QUEUE_DURATION, {}, "vllm:request_queue_time_seconds", {}, 1),
        (
            DP2,
            catalog.TIME_TO_FIRST_TOKEN,
            {"inference_engine_rank": "1"},
            "vllm:time_to_first_token_seconds",
            {"engine": "1"},
            1,
        ),
        (V0, catalog.MODEL_DURATION, {}, "vllm:model_execute_time_milliseconds", {}, 1000),
        (SGLANG, catalog.TIME_TO_FIRST_TOKEN, {}, "sglang:time_to_first_token_seconds", {}, 1),
        (SGLANG, catalog.REQUEST_DURATION, {}, "sglang:e2e_request_latency_seconds", {}, 1),
        (
            RANKS,
            catalog.QUEUE_DURATION,
            {"inference_engine_rank": "0"},
            "sglang:queue_time_seconds",
            {"dp_rank": "0", "tp_rank": "0"},
            1,
        ),
        (RANKS, catalog.INTER_TOKEN_LATENCY, {}, "sglang:inter_token_latency_seconds", {}, 1),
        (TRTLLM, catalog.TIME_PER_OUTPUT_TOKEN, {}, "trtllm_time_per_output_token_seconds", {}, 1),
        (ENSEMBLE, catalog.TIME_TO_FIRST_TOKEN, {}, "nv_inference_first_response_histogram_ms", {}, 1000),
        (TGI, catalog.TIME_PER_OUTPUT_TOKEN, {}, "tgi_request_mean_time_per_token_duration", {}, 1),
        (NIM, catalog.INTER_TOKEN_LATENCY, {}, "time_per_output_token_seconds", {}, 1),
        (LMDEPLOY, catalog.INTER_TOKEN_LATENCY, {}, "lmdeploy:iter_token_latency", {}, 1),
        (KSERVE, catalog.MODEL_DURATION, {}, "request_predict_seconds", {}, 1),
        (FRONTEND, catalog.ROUTER_FIRST_TOKEN, {}, "dynamo_frontend_time_to_first_token_seconds", {}, 1),
        (EPP, catalog.ROUTER_DURATION, {}, "llm_d_epp_request_duration_seconds", {}, 1),
    ],
)
def test_a_histogram_is_what_the_page_says(
    file: str, metric: Metric, attributes: dict[str, str], name: str, labels: dict[str, str], per: float
) -> None:
    """The page's own bounds, said in seconds, and its counts and sum; of several series, their sums."""
    value = found(file, metric, **attributes).value
    assert isinstance(value, Histogram)
    page, total = Oracle(file), 0
    cumulative = {}
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        total += count
        cumulative[bound] = total
    assert cumulative == {bound / per: count for bound, count in page.buckets(name, **labels).items()}
    assert value.observations == page(name + "_count", **labels)
    assert value.sum == pytest.approx(page(name + "_sum", **labels) / per, rel=1e-12)
