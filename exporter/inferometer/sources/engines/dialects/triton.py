# SPDX-License-Identifier: Apache-2.0
"""NVIDIA Triton. Its backends add families of their own to its page: TensorRT-LLM `nv_trt_llm_*`, vLLM `vllm:*`.

Times are cumulative counters in microseconds, and one histogram in milliseconds, of models with decoupled answers only.
With a backend of tokens, `model` names its model and also the steps around it (`preprocessing`, `ensemble`), each of
which counts every request again: only the backend's model is read. Summaries cannot be added up, and are not.
"""

from dataclasses import replace

from inferometer import catalog
from inferometer.model import Metric
from inferometer.sources.engines.dialect import Dialect, sign
from inferometer.sources.engines.dialects.shared import MEASURED, finished
from inferometer.sources.engines.dialects.vllm import VLLM
from inferometer.sources.engines.family import AS_IT_IS, Family, Label, Sample, Times, where

_MODEL = (Label("model", catalog.MODEL.key),)
_MICROSECONDS = Sample(per=1_000_000)


def _phase(name: str, phase: str) -> Family:
    """Write the time spent in a phase."""
    fixed = ((catalog.REQUEST_PHASE.key, phase),)
    return Family((name,), catalog.PHASE_TIME, fixed=fixed, how=_MICROSECONDS)


TRITON = Dialect(
    name="triton",
    signs=(sign("nv_inference_", "model", "version"), sign("nv_trt_llm_", "model", "version")),
    model_label="model",
    hosts=True,
    narrow=True,
    prefixes=("nv_",),
    required=frozenset({"model"}),
    labels=_MODEL,
    families=(
        Family(("inference_request_success",), catalog.REQUESTS_FINISHED, fixed=finished("success")),
        Family(
            ("inference_request_failure",),
            catalog.REQUESTS_FINISHED,
            labels=(Label("reason", catalog.FINISH_REASON.key, (("CANCELED", "abort"),), rest="error"),),
            conditions=(where("reason", "CANCELED", "BACKEND", "OTHER"),),
        ),
        Family(
            ("inference_request_failure",),
            catalog.REQUESTS_ABORTED,
            fixed=MEASURED,
            conditions=(where("reason", "CANCELED"),),
        ),
        Family(
            ("inference_request_failure",),
            catalog.REQUESTS_REJECTED,
            conditions=(where("reason", "REJECTED"),),
        ),
        Family(("inference_pending_request_count",), catalog.REQUESTS_WAITING, optional=True),
        Family(("inference_request_duration_us",), catalog.REQUESTS_TIME, how=_MICROSECONDS),
        _phase("inference_queue_duration_us", "queue"),
        _phase("inference_compute_input_duration_us", "input"),
        _phase("inference_compute_infer_duration_us", "compute"),
        _phase("inference_compute_output_duration_us", "output"),
        Family(
            ("inference_first_response_histogram_ms",),
            catalog.TIME_TO_FIRST_TOKEN,
            how=Sample(per=1000),
            optional=True,
        ),
    ),
    known=(
        *("inference_count", "inference_exec_count", "inference_request_summary_us"),
        *("inference_queue_summary_us", "inference_compute_*", "gpu_*", "energy_consumption", "cpu_*", "cache_*"),
        *("pinned_memory_pool_*", "response_cache_*", "model_*", "llm_*"),
    ),
    port=8002,
    images=("tritonserver",),
)


def _requests(kind: str, metric: Metric) -> Family:
    return Family(("request_metrics",), metric, conditions=(where("request_type", kind),))


def _blocks(kind: str, metric: Metric, how: Sample | Times = AS_IT_IS) -> Family:
    return Family(
        ("kv_cache_block_metrics",), metric, conditions=(where("kv_cache_block_type", kind),), how=how, optional=True
    )


# One family has many meanings, by label; old versions do not say what is waiting, nor the fraction.
TRITON_TRTLLM = Dialect(
    name="trtllm",
    signs=(sign("nv_trt_llm_", "model", "version"),),
    model_label="model",
    prefixes=("nv_trt_llm_",),
    required=frozenset({"model"}),
    labels=_MODEL,
    families=(
        _requests("scheduled", catalog.REQUESTS_RUNNING),
        _requests("waiting", catalog.REQUESTS_WAITING),
        _blocks("fraction", catalog.KV_CACHE_UTILIZATION),
        _blocks(
            "max",
            catalog.KV_CACHE_CAPACITY,
            Times("kv_cache_block_metrics", (where("kv_cache_block_type", "tokens_per"),)),
        ),
    ),
    known=("runtime_memory_metrics", "inflight_batcher_metrics", "general_metrics", "disaggregated_serving_metrics"),
)

# vLLM's own names, labelled as Triton labels; it hands on some of them.
TRITON_VLLM = replace(
    VLLM,
    signs=(sign("vllm:", "model", "version", without=("model_name", "server")),),
    model_label="model",
    prefixes=("vllm:",),
    required=frozenset({"model"}),
    labels=_MODEL,
    partial=True,
)
