# SPDX-License-Identifier: Apache-2.0
"""NVIDIA Triton. Its backends add families of their own to its page: TensorRT-LLM `nv_trt_llm_*`, vLLM `vllm:*`."""

from inferometer.sources.engines.dialect import Dialect, sign

TRITON = Dialect(
    name="triton",
    signs=(sign("nv_inference_", "model", "version"), sign("nv_trt_llm_", "model", "version")),
    model_label="model",
    hosts=True,
    port=8002,
)

# What shows that a backend runs inside Triton; neither is mapped: their labels are Triton's.
TRITON_TRTLLM = Dialect(name="trtllm", signs=(sign("nv_trt_llm_", "model", "version"),), model_label="model")
TRITON_VLLM = Dialect(
    name="vllm", signs=(sign("vllm:", "model", "version", without=("model_name", "server")),), model_label="model"
)
