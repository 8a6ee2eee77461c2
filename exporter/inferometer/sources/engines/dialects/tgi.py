# SPDX-License-Identifier: Apache-2.0
"""Hugging Face TGI: no label names its model."""

from inferometer.sources.engines.dialect import Dialect, sign

TGI = Dialect(
    name="tgi", signs=(sign("tgi_request_"), sign("tgi_batch_"), sign("tgi_queue_size")), backend="tgi", port=80
)
