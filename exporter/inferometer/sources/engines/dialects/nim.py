# SPDX-License-Identifier: Apache-2.0
"""NVIDIA NIM 1.x, whose names are vLLM's of old without a prefix. NIM 2 and newer shows its backend's page unchanged.

Some releases in between have both: then the backend's own families are read.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import INPUT, MODEL, OUTPUT, PER_EVENT, REASON
from inferometer.sources.engines.family import Family

NIM = Dialect(
    name="nim",
    signs=(sign("num_request_max", "model_name"),),
    hosts=True,
    timing=Timing.STEP,
    prefixes=("",),
    required=frozenset({"model_name"}),
    labels=(MODEL,),
    families=(
        Family(("e2e_request_latency_seconds",), catalog.REQUEST_DURATION),
        Family(("time_to_first_token_seconds",), catalog.TIME_TO_FIRST_TOKEN),
        # vLLM's of old: one value per output event, whatever its name says.
        Family(("time_per_output_token_seconds",), catalog.INTER_TOKEN_LATENCY, fixed=PER_EVENT),
        Family(("prompt_tokens_total",), catalog.TOKENS, fixed=INPUT),
        Family(("generation_tokens_total",), catalog.TOKENS, fixed=OUTPUT),
        Family(("num_requests_running",), catalog.REQUESTS_RUNNING),
        Family(("num_requests_waiting",), catalog.REQUESTS_WAITING),
        # `request_finish_total` has the reasons; before it, `request_success_total` had them.
        Family(("request_finish_total", "request_success_total"), catalog.REQUESTS_FINISHED, labels=(REASON,)),
        Family(("gpu_cache_usage_perc",), catalog.KV_CACHE_UTILIZATION),
    ),
    known=("num_request_max", "request_*", "gpu_*"),
    path="/v1/metrics",
    images=("nim/*/*",),
)
