# SPDX-License-Identifier: Apache-2.0
"""A Ray node's metrics agent, which speaks for every replica on the node. Ray Serve LLM's engine is vLLM."""

from inferometer.sources.engines.dialect import Dialect, sign

RAY = Dialect(
    name="ray",
    signs=(sign("ray_vllm_", "model_name"), sign("ray_vllm:", "model_name"), sign("ray_", "SessionName")),
    hosts=True,
    version=("ray_", "Version"),
    port=8080,
)
