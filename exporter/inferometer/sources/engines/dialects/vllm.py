# SPDX-License-Identifier: Apache-2.0
"""vLLM. Names and labels as read in its wheels 0.8.5 to 0.33.0 and on pages of a running 0.32.0.

V0 (until 0.11) labels by `model_name`, V1 by `model_name` and `engine`, the data-parallel rank. On Ray the prefix is
`ray_vllm_` (`vllm/v1/metrics/ray_wrappers.py`) or, before, `ray_vllm:`. With several API servers, the default with data
parallelism, the page has no `process_*` and no `_created`, and its gauges are those of the server that wrote last.
Requests whose client hung up are in no `finished` (vllm#31503).
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import (
    INPUT,
    MODEL,
    OUTPUT,
    PER_EVENT,
    RANK,
    REASON,
    errors_by,
)
from inferometer.sources.engines.family import ANY, Family, FromLabels, Label, Newest, Sample, where

_PREFIXES = ("vllm:", "ray_vllm:", "ray_vllm_")

# production-stack's router exports the names below for each `server` behind it.
_ROUTER = ("server",)

# What tells that an engine is of a version, or newer.
_0_11 = ("inter_token_latency_seconds", "engine_sleep_state", "mm_cache_queries_total")
_0_12 = ("engine_sleep_state", "mm_cache_queries_total")
_0_17 = ("prompt_tokens_by_source_total", "prompt_tokens_cached_total", "estimated_flops_per_gpu_total")
_0_20 = ("num_requests_waiting_by_reason", "request_num_preemptions", "prompt_tokens_cached_by_source_total")
_0_32 = ("admission_rejections_total", "prompt_tokens_cached_by_source_total")
_V1 = ("prefix_cache_queries_total", "gpu_prefix_cache_queries_total", *_0_11)

_ANYONES: frozenset[str] = frozenset()
_BUCKETS = "--custom-histogram-buckets '{\"%s\": [...]}' (0.32 and newer)"
_REQUEST_LATENCY = _BUCKETS % "request_latency"


def _latencies() -> tuple[Family, ...]:
    return (
        Family(("e2e_request_latency_seconds",), catalog.REQUEST_DURATION, option=_REQUEST_LATENCY),
        Family(("time_to_first_token_seconds",), catalog.TIME_TO_FIRST_TOKEN, option=_BUCKETS % "time_to_first_token"),
        # One value per request.
        Family(
            ("request_time_per_output_token_seconds",),
            catalog.TIME_PER_OUTPUT_TOKEN,
            since=_0_11,
            option=_BUCKETS % "inter_token_latency",
            versions="0.11 and newer",
        ),
        # One value per output event, by either name, and an event may carry several tokens (vllm#27485).
        Family(
            ("inter_token_latency_seconds", "time_per_output_token_seconds"),
            catalog.INTER_TOKEN_LATENCY,
            fixed=PER_EVENT,
            option=_BUCKETS % "inter_token_latency",
            versions="second name before 0.11",
        ),
        Family(
            ("request_queue_time_seconds", "time_in_queue_requests"),
            catalog.QUEUE_DURATION,
            option=_REQUEST_LATENCY,
            versions="second name in V0",
        ),
        Family(("request_prefill_time_seconds",), catalog.PREFILL_DURATION, option=_REQUEST_LATENCY),
        Family(("request_decode_time_seconds",), catalog.DECODE_DURATION, option=_REQUEST_LATENCY),
        Family(
            ("model_execute_time_milliseconds",),
            catalog.MODEL_DURATION,
            how=Sample(per=1000),
            optional=True,
            versions="V0",
        ),
    )


def _work() -> tuple[Family, ...]:
    return (
        # Computed here, found in the local cache, or fetched: the three sum to `prompt_tokens_total`.
        Family(
            ("prompt_tokens_by_source_total",),
            catalog.TOKENS,
            fixed=INPUT,
            labels=(
                Label(
                    "source",
                    catalog.CACHED.key,
                    (("local_compute", "false"), ("local_cache_hit", "true"), ("external_kv_transfer", "true")),
                    rest="true",
                ),
            ),
            since=_0_17,
            versions="0.17 and newer",
        ),
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=INPUT, unless=("prompt_tokens_by_source_total",)),
        Family(("generation_tokens_total",), catalog.TOKENS, fixed=OUTPUT),
        Family(("num_requests_running",), catalog.REQUESTS_RUNNING),
        # The reasons sum to `num_requests_waiting`.
        Family(
            ("num_requests_waiting_by_reason",),
            catalog.REQUESTS_WAITING,
            labels=(Label("reason", catalog.WAIT_REASON.key),),
            since=_0_20,
            versions="0.20 and newer",
        ),
        Family(("num_requests_waiting",), catalog.REQUESTS_WAITING, unless=("num_requests_waiting_by_reason",)),
        # Whatever its name says, it counts every finish, and with n > 1 every sequence; `finished_reason` tells which
        # (llm-d's simulator calls it `finish_reason`).
        Family(
            ("request_success_total",),
            catalog.REQUESTS_FINISHED,
            labels=(REASON, Label("finish_reason", catalog.FINISH_REASON.key)),
        ),
        Family(
            ("admission_rejections_total",),
            catalog.REQUESTS_REJECTED,
            labels=(Label("reason", catalog.REJECT_REASON.key),),
            since=_0_32,
            versions="0.32 and newer",
        ),
        # The server's, not the model's: no label says whose. Statuses come as classes.
        Family(
            ("http_requests_total",),
            catalog.HTTP_ERRORS,
            labels=(errors_by("status"),),
            added=ANY,
            required=_ANYONES,
            optional=True,
            prefixed=False,
        ),
        Family(("num_preemptions_total",), catalog.PREEMPTIONS),
        # Always there, and 0 without `--enable-mfu-metrics`.
        Family(
            ("estimated_flops_per_gpu_total",),
            catalog.ESTIMATED_FLOPS,
            how=Sample(off=frozenset({0.0})),
            since=_0_17,
            versions="0.17 and newer",
        ),
        Family(
            ("engine_sleep_state",),
            catalog.ENGINE_ASLEEP,
            conditions=(where("sleep_state", "weights_offloaded", "discard_all"),),
            added=frozenset({"sleep_state"}),
            since=_0_12,
            versions="0.12 and newer",
        ),
    )


def _caches() -> tuple[Family, ...]:
    return (
        # 0.9.2 to 0.11 have both names, with one value. Despite `_perc` it is a ratio, 0 to 1.
        Family(
            ("kv_cache_usage_perc", "gpu_cache_usage_perc"),
            catalog.KV_CACHE_UTILIZATION,
            versions="second name before 0.12",
        ),
        Family(
            ("cache_config_info",),
            catalog.KV_CACHE_CAPACITY,
            how=FromLabels((("kv_cache_size_tokens",), ("num_gpu_blocks", "block_size"))),
            required=_ANYONES,
            optional=True,
        ),
        Family(
            ("prefix_cache_queries_total", "gpu_prefix_cache_queries_total"),
            catalog.PREFIX_QUERIES,
            since=_V1,
            versions="V1; second name before 0.12",
        ),
        Family(
            ("prefix_cache_hits_total", "gpu_prefix_cache_hits_total"),
            catalog.PREFIX_HITS,
            since=_V1,
            versions="V1; second name before 0.12",
        ),
        # -1: prefix caching is off.
        Family(
            ("gpu_prefix_cache_hit_rate",),
            catalog.PREFIX_HIT_RATIO,
            how=Sample(off=frozenset({-1.0})),
            optional=True,
            unless=("prefix_cache_queries_total", "gpu_prefix_cache_queries_total"),
            versions="V0",
        ),
        Family(("spec_decode_num_drafts_total",), catalog.SPEC_DRAFTS, optional=True),
        Family(("spec_decode_num_draft_tokens_total",), catalog.SPEC_DRAFT_TOKENS, optional=True),
        Family(("spec_decode_num_accepted_tokens_total",), catalog.SPEC_ACCEPTED_TOKENS, optional=True),
    )


def _adapters() -> tuple[Family, ...]:
    # A series for every combination there has been, its value the Unix time at which it last held.
    name = ("lora_requests_info",)
    return (
        Family(name, catalog.LORA_RUNNING, how=Newest("running_lora_adapters", True), required=_ANYONES, optional=True),
        Family(name, catalog.LORA_WAITING, how=Newest("waiting_lora_adapters", True), required=_ANYONES, optional=True),
        Family(name, catalog.LORA_LIMIT, how=Newest("max_lora"), required=_ANYONES, optional=True),
    )


# Distributions of sizes, details of connectors and offloading, and what says in another way what is mapped.
_KNOWN = (
    *("iteration_tokens_total", "request_prompt_tokens", "request_generation_tokens"),
    *("request_max_num_generation_tokens", "request_params_*", "request_prefill_kv_computed_tokens"),
    *(
        "request_num_preemptions",
        "request_inference_time_seconds",
        "prompt_tokens_cached*",
        "prompt_tokens_recomputed*",
    ),
    *("external_prefix_cache_*", "mm_cache_*", "kv_block_*", "estimated_read_bytes_per_gpu*"),
    *("estimated_write_bytes_per_gpu*", "spec_decode_num_accepted_tokens_per_pos*", "diffusion_*"),
    *("num_requests_kv_fetch_by_stage", "corrupted_requests*", "watermark_requests*", "tool_call_parser_*"),
    *("sleep_mode_*", "rl_weight_update_*", "websocket_*", "nixl_*", "kv_offload_*", "simple_kv_offload_*"),
    *("mooncake_*", "hisparse_*", "umbp_*", "hf3fs_*"),
    # V0
    *("num_requests_swapped", "cpu_cache_usage_perc", "cpu_prefix_cache_hit_rate", "model_forward_time_milliseconds"),
    *("avg_prompt_throughput_toks_per_s", "avg_generation_throughput_toks_per_s", "spec_decode_efficiency"),
    *("spec_decode_draft_acceptance_rate", "spec_decode_num_emitted_tokens*"),
)

VLLM = Dialect(
    name="vllm",
    images=(
        *("vllm-openai", "vllm-openai-*", "vllm-*release-repo", "nvidia/vllm", "rocm/vllm", "rocm/vllm-dev"),
        *("rhaiis/vllm-*", "rhoai/odh-vllm-*", "modh/vllm"),
        *(
            "llm-d/llm-d",
            "llm-d/llm-d-cuda",
            "llm-d/llm-d-aws",
            "llm-d/llm-d-rocm",
            "llm-d/llm-d-xpu",
            "llm-d/llm-d-hpu",
        ),
        *("llm-d/llm-d-tpu", "llm-d/llm-d-cpu", "llm-d-inference-sim"),
    ),
    other_ports=(8200,),  # llm-d, behind the routing sidecar that has 8000
    statistics="Start vLLM without --disable-log-stats.",
    signs=tuple(sign(prefix, "model_name", without=_ROUTER) for prefix in _PREFIXES),
    backend="vllm",
    timing=Timing.STEP,
    balanced=True,
    unbalanced=("num_requests_swapped",),  # V0
    prefixes=_PREFIXES,
    required=frozenset({"model_name"}),
    foreign=frozenset(_ROUTER),
    # Ray's worker, and its replica where the engine is one of Serve's.
    labels=(MODEL, RANK, Label("WorkerId", catalog.REPLICA.key), Label("ReplicaId", catalog.REPLICA.key)),
    families=(*_latencies(), *_work(), *_caches(), *_adapters()),
    known=_KNOWN,
)
