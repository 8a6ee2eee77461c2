# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's `trtllm-serve`, whose `/metrics` is JSON; and the same names on a Dynamo worker's page.

Read in `tensorrt_llm/metrics/collector.py` (2026; 1.1.0rc5 had five of these). It needs `return_perf_metrics: true`, and
`enable_iter_perf_stats: true` for the gauges. All of a request is counted when it finishes.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Fact, Timing, sign
from inferometer.sources.engines.dialects.shared import INPUT, MODEL, OUTPUT, REASON, errors_by
from inferometer.sources.engines.family import Family, Sample, Times

_2026 = ("request_prefill_time_seconds", "generation_tokens_total", "kv_cache_config_info")
_BUCKETS = "%s_buckets of its metrics collector"

TRTLLM = Dialect(
    name="trtllm",
    signs=(sign("trtllm_", "model_name"),),
    backend="trtllm",
    timing=Timing.COMPLETION,
    facts=(
        Fact("trtllm_parallel_config_info", "tensor_parallel_size", catalog.TENSOR_PARALLEL.key),
        Fact("trtllm_parallel_config_info", "pipeline_parallel_size", catalog.PIPELINE_PARALLEL.key),
        Fact("trtllm_parallel_config_info", "expert_parallel_size", catalog.EXPERT_PARALLEL.key),
        Fact("trtllm_model_config_info", "quantization", catalog.QUANTIZATION.key),
    ),
    prefixes=("trtllm_",),
    required=frozenset({"model_name"}),
    labels=(MODEL,),
    families=(
        Family(("e2e_request_latency_seconds",), catalog.REQUEST_DURATION, option=_BUCKETS % "e2e_request_latency"),
        Family(("time_to_first_token_seconds",), catalog.TIME_TO_FIRST_TOKEN, option=_BUCKETS % "time_to_first_token"),
        # One value per request.
        Family(
            ("time_per_output_token_seconds",),
            catalog.TIME_PER_OUTPUT_TOKEN,
            option=_BUCKETS % "time_per_output_token",
        ),
        Family(("request_queue_time_seconds",), catalog.QUEUE_DURATION, option=_BUCKETS % "request_queue_time"),
        Family(
            ("request_prefill_time_seconds",),
            catalog.PREFILL_DURATION,
            since=_2026,
            option=_BUCKETS % "request_prefill_time",
        ),
        Family(
            ("request_decode_time_seconds",),
            catalog.DECODE_DURATION,
            since=_2026,
            option=_BUCKETS % "request_decode_time",
        ),
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=INPUT, since=_2026),
        Family(("generation_tokens_total",), catalog.TOKENS, fixed=OUTPUT, since=_2026),
        Family(("request_success_total",), catalog.REQUESTS_FINISHED, labels=(REASON,)),
        Family(("request_error_total",), catalog.HTTP_ERRORS, labels=(errors_by("http_code"),), optional=True),
        Family(("num_requests_running",), catalog.REQUESTS_RUNNING, optional=True),
        Family(("num_requests_waiting",), catalog.REQUESTS_WAITING, optional=True),
        Family(("kv_cache_utilization",), catalog.KV_CACHE_UTILIZATION, optional=True),
        Family(
            ("kv_cache_max_blocks",), catalog.KV_CACHE_CAPACITY, how=Times("kv_cache_tokens_per_block"), optional=True
        ),
        Family(("prompt_tokens_total",), catalog.PREFIX_QUERIES, since=_2026),
        Family(("prompt_cached_tokens_total",), catalog.PREFIX_HITS, optional=True),
        Family(("spec_decode_num_draft_tokens_total",), catalog.SPEC_DRAFT_TOKENS, optional=True),
        Family(("spec_decode_num_accepted_tokens_total",), catalog.SPEC_ACCEPTED_TOKENS, optional=True),
        Family(
            ("spec_decode_acceptance_length",),
            catalog.SPEC_ACCEPTED_LENGTH,
            how=Sample(off=frozenset({0.0})),
            optional=True,
            unless=("spec_decode_num_draft_tokens_total",),
        ),
    ),
    known=(
        *("request_inference_time_seconds", "prompt_cached_tokens_per_request", "prompt_cache_hit_tokens*"),
        *("prefill_*", "generation_perplexity", "kv_cache_*", "num_requests_completed*", "max_*", "iteration_*"),
        *("gpu_memory_usage_bytes", "cpu_memory_usage_bytes", "pinned_memory_usage_bytes", "num_context_requests"),
        *("num_generation_requests", "num_paused_requests", "num_scheduled_requests", "total_context_tokens"),
        *("avg_decoded_tokens_per_iter", "spec_decode_*", "scheduled_batch_size", "model_config_info"),
        *("parallel_config_info", "speculative_config_info"),
    ),
    path="/prometheus/metrics",
    statistics="Start trtllm-serve with return_perf_metrics: true.",
    images=("tensorrt-llm/release",),
)
