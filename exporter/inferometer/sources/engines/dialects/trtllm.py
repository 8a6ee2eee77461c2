# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's `trtllm-serve`, whose `/metrics` is JSON; and the same names on a Dynamo worker's page."""

from inferometer.sources.engines.dialect import Dialect, sign

TRTLLM = Dialect(name="trtllm", signs=(sign("trtllm_", "model_name"),), backend="trtllm", path="/prometheus/metrics")
