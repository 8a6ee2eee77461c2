# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's `llama-server --metrics`: no labels at all, no histograms, and all of a request is counted when it finishes.

As on pages of a running server (2026). `prompt_tokens_seconds` and `predicted_tokens_seconds` are tokens per second,
whatever they are called, and `n_tokens_max` is typed counter and is a high-water mark: neither is read.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import CACHED, COMPUTED, OUTPUT
from inferometer.sources.engines.family import Family

_PREFILL = ((catalog.REQUEST_PHASE.key, "prefill"),)
_DECODE = ((catalog.REQUEST_PHASE.key, "decode"),)

LLAMACPP = Dialect(
    name="llamacpp",
    signs=(sign("llamacpp:"),),
    backend="llamacpp",
    timing=Timing.COMPLETION,
    prefixes=("llamacpp:",),
    families=(
        # The page tells apart what was in the cache: the first counter leaves it out.
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=COMPUTED),
        Family(("prompt_tokens_cached_total",), catalog.TOKENS, fixed=CACHED, optional=True),
        Family(("tokens_predicted_total",), catalog.TOKENS, fixed=OUTPUT),
        Family(("requests_processing",), catalog.REQUESTS_RUNNING),
        Family(("requests_deferred",), catalog.REQUESTS_WAITING),
        Family(("prompt_seconds_total",), catalog.PHASE_TIME, fixed=_PREFILL),
        Family(("tokens_predicted_seconds_total",), catalog.PHASE_TIME, fixed=_DECODE),
        Family(("kv_cache_usage_ratio",), catalog.KV_CACHE_UTILIZATION, optional=True, versions="until 2025"),
        Family(("spec_decode_num_drafts_total",), catalog.SPEC_DRAFTS, optional=True),
        Family(("spec_decode_num_draft_tokens_total",), catalog.SPEC_DRAFT_TOKENS, optional=True),
        Family(("spec_decode_num_accepted_tokens_total",), catalog.SPEC_ACCEPTED_TOKENS, optional=True),
    ),
    known=(
        *("n_decode_total", "n_tokens_max", "prompt_tokens_seconds", "predicted_tokens_seconds"),
        *("n_busy_slots_per_decode", "kv_cache_tokens"),
    ),
    port=8080,
    statistics="Start llama-server with --metrics.",
    images=("llama.cpp",),
)
