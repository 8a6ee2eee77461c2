# SPDX-License-Identifier: Apache-2.0
"""Hugging Face TGI 3, in maintenance mode: no label names its model. Read in `router/src/server.rs`.

Seconds without a suffix, counters without `_total`; no time to first token, no KV cache, and tokens only as the sums of
histograms of lengths, which are observed when a request finishes.
"""

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Timing, sign
from inferometer.sources.engines.dialects.shared import INPUT, OUTPUT, finished
from inferometer.sources.engines.family import Family, Label, where

# What ends a request that had begun; the others turn it away.
_BROKEN = ("incomplete", "generation", "dropped")
_REFUSED = ("overloaded", "validation", "template")

TGI = Dialect(
    name="tgi",
    signs=(sign("tgi_request_"), sign("tgi_batch_"), sign("tgi_queue_size")),
    backend="tgi",
    timing=Timing.COMPLETION,
    prefixes=("tgi_",),
    families=(
        Family(("request_duration",), catalog.REQUEST_DURATION),
        Family(("request_mean_time_per_token_duration",), catalog.TIME_PER_OUTPUT_TOKEN),
        Family(("request_queue_duration",), catalog.QUEUE_DURATION),
        Family(("request_inference_duration",), catalog.MODEL_DURATION),
        # A histogram's sum is the count of what it observes.
        Family(("request_input_length_sum",), catalog.TOKENS, fixed=INPUT, types=("histogram",), optional=True),
        Family(("request_generated_tokens_sum",), catalog.TOKENS, fixed=OUTPUT, types=("histogram",), optional=True),
        Family(("queue_size",), catalog.REQUESTS_WAITING),
        Family(("batch_current_size",), catalog.REQUESTS_RUNNING),
        Family(("request_success",), catalog.REQUESTS_FINISHED, fixed=finished("success")),
        Family(
            ("request_failure",),
            catalog.REQUESTS_FINISHED,
            labels=(Label("err", catalog.FINISH_REASON.key, (("*", "error"),)),),
            conditions=(where("err", *_BROKEN),),
            optional=True,
        ),
        Family(
            ("request_failure",),
            catalog.REQUESTS_REJECTED,
            labels=(Label("err", catalog.REJECT_REASON.key),),
            conditions=(where("err", *_REFUSED),),
            optional=True,
        ),
    ),
    known=("request_*", "batch_*"),
    port=80,
    images=("text-generation-inference",),
    other_ports=(3000,),  # its launcher's default; the image sets 80
)
