# SPDX-License-Identifier: Apache-2.0
"""The endpoint picker of llm-d and of the Gateway API Inference Extension, by its present and its deprecated prefixes."""

from inferometer.sources.engines.dialect import Dialect, Kind, sign

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
    port=9090,
)
