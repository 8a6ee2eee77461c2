# SPDX-License-Identifier: Apache-2.0
"""KServe's Python server; its Hugging Face server runs vLLM in the same process and shows `vllm:*` on the same page."""

from inferometer.sources.engines.dialect import Dialect, sign

KSERVE = Dialect(name="kserve", signs=(sign("request_predict_seconds", "model_name"),), hosts=True, port=8080)
