# SPDX-License-Identifier: Apache-2.0
"""LMDeploy: vLLM's names with a prefix and some meanings of its own. Read in `lmdeploy/metrics/loggers.py`."""

from inferometer.sources.engines.dialect import Dialect, sign

LMDEPLOY = Dialect(name="lmdeploy", signs=(sign("lmdeploy:", "model_name"),), backend="lmdeploy", port=23333)
