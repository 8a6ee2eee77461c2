# SPDX-License-Identifier: Apache-2.0
"""SGLang, with `--enable-metrics`. Read in 0.5.23, `srt/observability/metrics_collector.py`."""

from inferometer.sources.engines.dialect import Dialect, sign

SGLANG = Dialect(name="sglang", signs=(sign("sglang:", "model_name"),), backend="sglang", port=30000)
