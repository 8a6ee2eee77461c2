# SPDX-License-Identifier: Apache-2.0
"""NVIDIA NIM 1.x, whose names are vLLM's of old without a prefix. NIM 2 and newer shows its backend's page unchanged."""

from inferometer.sources.engines.dialect import Dialect, sign

NIM = Dialect(name="nim", signs=(sign("num_request_max", "model_name"),), path="/v1/metrics")
