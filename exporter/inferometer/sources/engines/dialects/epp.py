# SPDX-License-Identifier: Apache-2.0
"""The endpoint picker of llm-d and of the Gateway API Inference Extension, by its present and its deprecated prefixes.

Read in llm-d-router's `pkg/epp/metrics`. It says one thing under several prefixes: the newest is read. Its engines have
pages of their own: what it says of requests has names of its own (`inference.router.*`), what it says of engines
(`average_kv_cache_utilization`, `per_endpoint_queue_size`) is theirs to say.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Kind, sign
from inferometer.sources.engines.dialects.shared import MODEL
from inferometer.sources.engines.family import ANY, Family

_PREFIXES = (
    "llm_d_epp_",
    "llm_d_router_epp_",
    "llm_d_inference_scheduler_",
    "inference_extension_",
    "inference_pool_",
    "inference_objective_",
    "inference_model_",
)

EPP = Dialect(
    name="epp",
    kind=Kind.ROUTER,
    signs=tuple(map(sign, _PREFIXES)),
    version=("llm_d_epp_info", "build_ref"),
    prefixes=_PREFIXES,
    required=frozenset({"model_name"}),
    labels=(MODEL,),
    # Other labels are the target model, the fairness id, the priority, whether it streams: all parts of one.
    families=(
        Family(("request_duration_seconds",), catalog.ROUTER_DURATION, added=ANY),
        Family(("request_ttft_seconds",), catalog.ROUTER_FIRST_TOKEN, added=ANY, optional=True),
        Family(("running_requests",), catalog.ROUTER_RUNNING, added=ANY, optional=True),
        Family(("flow_control_queue_size",), catalog.ROUTER_WAITING, added=ANY, optional=True),
    ),
    known=("*",),
    partial=True,  # a family is there from its first request on
    port=9090,
)
