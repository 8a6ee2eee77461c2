# SPDX-License-Identifier: Apache-2.0
"""vLLM. Names and labels as read in its wheels 0.8.5 to 0.33.0 and on pages of a running 0.32.0.

V0 (until 0.11) labels by `model_name`, V1 by `model_name` and `engine`, the data-parallel rank. On Ray the prefix is
`ray_vllm_` (`vllm/v1/metrics/ray_wrappers.py`) or, before, `ray_vllm:`.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Family, sign

_INPUT = ((catalog.TOKEN_TYPE.key, "input"),)
_OUTPUT = ((catalog.TOKEN_TYPE.key, "output"),)

_PREFIXES = ("vllm:", "ray_vllm:", "ray_vllm_")

# production-stack's router exports the names below for each `server` behind it.
_ROUTER = ("server",)

VLLM = Dialect(
    name="vllm",
    signs=tuple(sign(prefix, "model_name", without=_ROUTER) for prefix in _PREFIXES),
    backend="vllm",
    prefixes=_PREFIXES,
    required=frozenset({"model_name"}),
    foreign=frozenset(_ROUTER),
    labels=(("model_name", catalog.MODEL.key), ("engine", catalog.RANK.key)),
    families=(
        Family(("e2e_request_latency_seconds",), catalog.REQUEST_DURATION),
        Family(("time_to_first_token_seconds",), catalog.TIME_TO_FIRST_TOKEN),
        # One value per request. Not `inter_token_latency_seconds`, nor its old name `time_per_output_token_seconds`:
        # they have one value per output event, and an event may carry several tokens (vllm#27485).
        Family(
            ("request_time_per_output_token_seconds",),
            catalog.TIME_PER_OUTPUT_TOKEN,
            since=("inter_token_latency_seconds", "engine_sleep_state", "mm_cache_queries_total"),
            versions="0.11 and newer",
        ),
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=_INPUT),
        Family(("generation_tokens_total",), catalog.TOKENS, fixed=_OUTPUT),
        Family(("num_requests_running",), catalog.REQUESTS_RUNNING),
        Family(("num_requests_waiting",), catalog.REQUESTS_WAITING),
        # Whatever its name says, it counts every finish; `finished_reason` tells which.
        Family(
            ("request_success_total",),
            catalog.REQUESTS_FINISHED,
            labels=(("finished_reason", catalog.FINISH_REASON.key),),
        ),
        Family(("num_preemptions_total",), catalog.PREEMPTIONS),
        # 0.9.2 to 0.11 have both names, with one value. Despite `_perc` it is a ratio, 0 to 1.
        Family(
            ("kv_cache_usage_perc", "gpu_cache_usage_perc"),
            catalog.KV_CACHE_UTILIZATION,
            versions="second name before 0.12",
        ),
    ),
)
