# SPDX-License-Identifier: Apache-2.0
"""KServe's Python server; its Hugging Face server runs vLLM in the same process and shows `vllm:*` on the same page.

Read in `python/kserve/kserve/metrics.py`. Prediction is one phase of a request; the phases' distributions do not add up
to one of the whole.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, sign
from inferometer.sources.engines.dialects.shared import MODEL
from inferometer.sources.engines.family import Family

KSERVE = Dialect(
    name="kserve",
    signs=(sign("request_predict_seconds", "model_name"),),
    hosts=True,
    prefixes=("",),
    required=frozenset({"model_name"}),
    labels=(MODEL,),
    families=(Family(("request_predict_seconds",), catalog.MODEL_DURATION, beside=True),),
    known=("request_preprocess_seconds", "request_postprocess_seconds", "request_explain_seconds"),
    port=8080,
    images=("huggingfaceserver",),
)
