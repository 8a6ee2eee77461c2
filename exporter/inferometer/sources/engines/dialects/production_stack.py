# SPDX-License-Identifier: Apache-2.0
"""vLLM production-stack's router: it speaks of engines under `vllm:` names, by `server` instead of `model_name`.

Most is said of the servers behind it, which say it themselves, and cumulative values are typed gauge: nothing is read.
Read in `src/vllm_router/services/metrics_service`.
"""

from inferometer.sources.engines.dialect import Dialect, Kind, sign

PRODUCTION_STACK = Dialect(
    name="production_stack",
    kind=Kind.ROUTER,
    # The last two are on the page before the first engine is found.
    signs=(
        sign("vllm:", "server", without=("model_name",)),
        sign("vllm:healthy_pods_total"),
        sign("vllm:num_incoming_requests"),
    ),
    backend="vllm",
    model_label="model",
    prefixes=("vllm:",),
    known=("*",),
)
