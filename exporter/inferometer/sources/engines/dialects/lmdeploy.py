# SPDX-License-Identifier: Apache-2.0
"""LMDeploy: vLLM's names with a prefix and some meanings of its own. Read in `lmdeploy/metrics/{loggers,stats}.py`.

Its `time_per_output_token_seconds` has one value per output event, the event's time divided by its tokens: that is
neither the convention's mean of a request nor a value per token, and is not read.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import INPUT, MEASURED, MODEL, OUTPUT, PER_EVENT, RANK, finished
from inferometer.sources.engines.family import Family, Label, where

_WITH_REASONS = ("request_success_total",)
_NEW = ("iter_token_latency", "request_success_total", "cached_tokens_total")

LMDEPLOY = Dialect(
    name="lmdeploy",
    signs=(sign("lmdeploy:", "model_name"),),
    backend="lmdeploy",
    timing=Timing.STEP,
    prefixes=("lmdeploy:",),
    required=frozenset({"model_name"}),
    labels=(MODEL, RANK),
    families=(
        Family(("e2e_request_latency_seconds",), catalog.REQUEST_DURATION),
        Family(("time_to_first_token_seconds",), catalog.TIME_TO_FIRST_TOKEN),
        Family(("iter_token_latency",), catalog.INTER_TOKEN_LATENCY, fixed=PER_EVENT, since=_NEW),
        Family(("request_queue_time_seconds",), catalog.QUEUE_DURATION),
        Family(("request_prefill_time_seconds",), catalog.PREFILL_DURATION),
        Family(("request_decode_time_seconds",), catalog.DECODE_DURATION),
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=INPUT),
        Family(("generation_tokens_total",), catalog.TOKENS, fixed=OUTPUT),
        Family(("num_requests_running",), catalog.REQUESTS_RUNNING),
        Family(("num_requests_waiting",), catalog.REQUESTS_WAITING),
        # These wait at the API server, before the engine knows of them.
        Family(
            ("num_api_requests_waiting",),
            catalog.REQUESTS_WAITING,
            fixed=((catalog.WAIT_REASON.key, "handle"),),
            optional=True,
        ),
        Family(
            ("request_success_total",),
            catalog.REQUESTS_FINISHED,
            labels=(
                Label(
                    "finished_reason",
                    catalog.FINISH_REASON.key,
                    (
                        ("ResponseType.FINISH", "success"),
                        ("ResponseType.SUCCESS", "success"),
                        ("ResponseType.CANCEL", "abort"),
                    ),
                    rest="error",
                ),
            ),
            since=_NEW,
        ),
        Family(
            ("request_success_total",),
            catalog.REQUESTS_ABORTED,
            fixed=MEASURED,
            conditions=(where("finished_reason", "ResponseType.CANCEL"),),
            optional=True,
        ),
        # Typed gauge, and counts since the start.
        Family(
            ("num_requests_succeeded",),
            catalog.REQUESTS_FINISHED,
            fixed=finished("success"),
            types=("gauge",),
            optional=True,
            unless=_WITH_REASONS,
        ),
        Family(
            ("num_requests_failed",),
            catalog.REQUESTS_FINISHED,
            fixed=finished("error"),
            types=("gauge",),
            optional=True,
            unless=_WITH_REASONS,
        ),
        Family(("gpu_cache_usage_perc",), catalog.KV_CACHE_UTILIZATION),
        Family(("cached_tokens_total",), catalog.PREFIX_HITS, since=_NEW),
        Family(("prefix_cache_hit_rate",), catalog.PREFIX_HIT_RATIO, optional=True),
        Family(("spec_decode_num_drafts_total",), catalog.SPEC_DRAFTS, optional=True),
        Family(("spec_decode_num_draft_tokens_total",), catalog.SPEC_DRAFT_TOKENS, optional=True),
        Family(("spec_decode_num_accepted_tokens_total",), catalog.SPEC_ACCEPTED_TOKENS, optional=True),
    ),
    known=(
        *("backend_config_info", "num_requests_succeeded", "num_requests_failed", "num_api_requests_routed"),
        *("request_*", "iteration_tokens_total", "time_per_output_token_seconds", "spec_decode_*"),
    ),
    port=23333,
    images=("lmdeploy",),
)
