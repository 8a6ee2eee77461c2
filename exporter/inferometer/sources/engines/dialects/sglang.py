# SPDX-License-Identifier: Apache-2.0
"""SGLang, with `--enable-metrics`. Read in 0.5.23, `srt/observability/metrics_collector.py`.

Schedulers label by rank, and with `--enable-metrics-for-all-schedulers` every tensor, pipeline and expert rank repeats
the whole; with priorities, `priority=""` has the total. The server labels by stream, and by whatever labels the operator
allows requests to bring: its series are parts. It always writes through several processes: no `_created`.

Tokens are counted when a request finishes. `realtime_tokens_total` counts while it runs, but counts what is retracted
anew, and no two of its counters say together what was cached of the prompts that `prompt_tokens_total` counts.
"""

from inferometer import catalog
from inferometer.model import Metric
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import INPUT, MODEL, OUTPUT, PER_TOKEN, errors_by
from inferometer.sources.engines.family import ANY, Family, Label, Sample, where

_RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
_TOTAL = (where("priority", ""),)
_ZERO = frozenset({0.0})


def _gauge(name: str, metric: Metric, off: frozenset[float] = frozenset(), *, optional: bool = False) -> Family:
    """Write a scheduler's gauge."""
    return Family((name,), metric, conditions=_TOTAL, lowest=_RANKS, how=Sample(off=off), optional=optional)


def _queue(name: str, reason: str) -> Family:
    """Write one of the queues in which a request waits."""
    return Family(
        (name,),
        catalog.REQUESTS_WAITING,
        fixed=((catalog.WAIT_REASON.key, reason),),
        conditions=_TOTAL,
        lowest=_RANKS,
        optional=reason != "capacity",
    )


def _served(name: str, metric: Metric, fixed: tuple[tuple[str, str], ...] = (), option: str = "") -> Family:
    """Write what the server counts for each request: its series are parts of one."""
    return Family((name,), metric, fixed=fixed, added=ANY, option=option)


SGLANG = Dialect(
    name="sglang",
    signs=(sign("sglang:", "model_name"),),
    backend="sglang",
    timing=Timing.COMPLETION,
    prefixes=("sglang:",),
    required=frozenset({"model_name"}),
    labels=(MODEL, Label("dp_rank", catalog.RANK.key)),
    families=(
        _served("e2e_request_latency_seconds", catalog.REQUEST_DURATION, option="--bucket-e2e-request-latency"),
        _served("time_to_first_token_seconds", catalog.TIME_TO_FIRST_TOKEN, option="--bucket-time-to-first-token"),
        _served(
            "request_time_per_output_token_seconds",
            catalog.TIME_PER_OUTPUT_TOKEN,
            option="--bucket-inter-token-latency",
        ),
        # The interval is divided by the tokens that it brought, and counts once for each.
        _served(
            "inter_token_latency_seconds",
            catalog.INTER_TOKEN_LATENCY,
            PER_TOKEN,
            option="--bucket-inter-token-latency",
        ),
        Family(("queue_time_seconds",), catalog.QUEUE_DURATION, added=frozenset({"priority"}), lowest=_RANKS),
        _served("prompt_tokens_total", catalog.TOKENS, INPUT),
        _served("generation_tokens_total", catalog.TOKENS, OUTPUT),
        _gauge("num_running_reqs", catalog.REQUESTS_RUNNING),
        _queue("num_queue_reqs", "capacity"),
        _queue("num_grammar_queue_reqs", "grammar"),
        _queue("num_prefill_bootstrap_queue_reqs", "prefill_bootstrap"),
        _queue("num_decode_prealloc_queue_reqs", "decode_prealloc"),
        _queue("num_decode_transfer_queue_reqs", "decode_transfer"),
        _served("num_requests_total", catalog.REQUESTS_FINISHED),
        Family(
            ("http_responses_total",),
            catalog.HTTP_ERRORS,
            labels=(errors_by("status_code"),),
            added=ANY,
            required=frozenset(),
            optional=True,
        ),
        Family(("num_retracted_requests_total",), catalog.PREEMPTIONS, conditions=_TOTAL, lowest=_RANKS, optional=True),
        _gauge("token_usage", catalog.KV_CACHE_UTILIZATION),
        _gauge("max_total_num_tokens", catalog.KV_CACHE_CAPACITY, _ZERO, optional=True),
        # Both move when a request finishes: a hit is a prompt token that was there already.
        _served("prompt_tokens_total", catalog.PREFIX_QUERIES),
        Family(("cached_tokens_total",), catalog.PREFIX_HITS, added=ANY, optional=True),
        # 0 without speculative decoding, else at least 1.
        _gauge("spec_accept_length", catalog.SPEC_ACCEPTED_LENGTH, _ZERO, optional=True),
        _gauge("lora_pool_slots_used", catalog.LORA_LOADED, optional=True),
        _gauge("lora_pool_slots_total", catalog.LORA_LIMIT, optional=True),
        Family(
            ("startup_time_seconds",),
            catalog.LOAD_DURATION,
            labels=(Label("phase", catalog.LOAD_PHASE.key),),
            lowest=_RANKS,
            optional=True,
        ),
        Family(
            ("estimated_flops_per_gpu_total",),
            catalog.ESTIMATED_FLOPS,
            conditions=_TOTAL,
            lowest=_RANKS,
            optional=True,
        ),
    ),
    known=(
        *("gen_throughput", "cache_hit_rate", "decode_sum_seq_lens", "full_token_usage", "swa_*", "mamba_*"),
        *("num_used_tokens", "kv_*", "spec_*", "num_prefill_inflight_queue_reqs", "num_decode_*", "decode_deferred_*"),
        *("pending_prealloc_token_usage", "prealloc_*", "utilization", "fwd_occupancy", "new_token_ratio"),
        *("is_cuda_graph", "cuda_graph_passes*", "num_unique_running_routing_keys", "routing_key*", "num_retracted_*"),
        *("num_paused_reqs", "num_bootstrap_failed_reqs*", "num_transfer_failed_reqs*", "num_prefill_retries*"),
        *("dp_*", "per_stage_req_latency_seconds", "prompt_tokens_histogram", "uncached_prompt_tokens_histogram"),
        *("generation_tokens_histogram", "prefill_*", "realtime_tokens*", "scheduler_*", "forward_execution_seconds*"),
        *("num_aborted_requests*", "num_so_requests*", "num_grammar_*", "grammar_*", "get_loads_duration_seconds"),
        *("lora_pool_utilization", "hicache_*", "num_streaming_sessions", "streaming_session_*", "eplb_*"),
        *("estimated_read_bytes_per_gpu*", "estimated_write_bytes_per_gpu*", "max_total_num_tokens_swa"),
        *("weight_*", "graph_memory_usage_gb", "max_running_requests_under_SLO", "page_size", "num_pages"),
        *("context_len", "startup_*", "prefetch*", "backup*", "storage_prefetch_*", "evict*", "load_back_*"),
        *("encoder_*", "http_*"),
    ),
    port=30000,
    statistics="Start SGLang with --enable-metrics.",
    images=("sglang", "sglang-rocm", "rocm/sgl-dev"),
)
