# SPDX-License-Identifier: Apache-2.0
"""NVIDIA Dynamo 1.6: a frontend that routes, and workers that re-export what their engine says.

The frontend measures the requests that its workers count too: what it says has names of its own (`inference.router.*`).
A worker's page is off unless `DYN_SYSTEM_PORT` is set; its work handler refuses requests that its engine never sees. It counts
those that it is told to give up, each once (`lib/runtime/src/pipeline/network/ingress/push_handler.rs`, and as driven live): who
hangs up before a worker has the request is in no count of it. An idle mocker's page has nothing of the engine that it plays, not
even a name: until its first request it is a worker of Dynamo's, and no more can be known.
"""

from dataclasses import replace

from inferometer import catalog
from inferometer.sources.engines.dialect import Dialect, Kind, Timing, sign
from inferometer.sources.engines.dialects.shared import MEASURED, OUTPUT, PER_EVENT
from inferometer.sources.engines.dialects.vllm import VLLM
from inferometer.sources.engines.family import ANY, Family, Label, where

_MODEL = Label("model", catalog.MODEL.key, (("unknown_model", ""),))  # who asks for what is not served

DYNAMO_FRONTEND = Dialect(
    name="dynamo",
    kind=Kind.ROUTER,
    signs=(sign("dynamo_frontend_"), sign("dynamo_component_router_")),
    model_label="model",
    prefixes=("dynamo_",),
    required=frozenset({"model"}),
    labels=(_MODEL,),
    families=(
        Family(("frontend_request_duration_seconds",), catalog.ROUTER_DURATION),
        Family(("frontend_time_to_first_token_seconds",), catalog.ROUTER_FIRST_TOKEN),
        Family(("frontend_inter_token_latency_seconds",), catalog.ROUTER_INTER_TOKEN, fixed=PER_EVENT),
        Family(("frontend_active_requests",), catalog.ROUTER_RUNNING),
        Family(("frontend_queued_requests",), catalog.ROUTER_WAITING),
        Family(
            ("frontend_requests_total",),
            catalog.ROUTER_FINISHED,
            labels=(
                Label("status", catalog.FINISH_REASON.key),
                # Who hung up is an error of this type; the other types say no more than the status.
                Label("error_type", catalog.FINISH_REASON.key, (("cancelled", "abort"), ("*", ""))),
            ),
            added=ANY,
        ),
        Family(("frontend_output_tokens_total",), catalog.ROUTER_TOKENS, fixed=OUTPUT),
    ),
    known=("*",),
    partial=True,  # a family is there from its first request on
)

DYNAMO_WORKER = Dialect(
    name="dynamo",
    signs=(sign("dynamo_component_", "dynamo_component", "dynamo_endpoint"),),
    hosts=True,
    prefixes=("dynamo_",),
    families=(
        Family(
            ("rejection_request_total",),
            catalog.REQUESTS_REJECTED,
            fixed=((catalog.REJECT_REASON.key, "worker_capacity"),),
            optional=True,
            beside=True,
        ),
        Family(
            ("request_queue",),
            catalog.REQUESTS_WAITING,
            fixed=((catalog.WAIT_REASON.key, "worker_queue"),),
            optional=True,
            beside=True,
        ),
        Family(
            ("component_cancellation_total",),
            catalog.REQUESTS_ABORTED,
            fixed=MEASURED,
            conditions=(where("dynamo_endpoint", "generate"),),
            optional=True,
            beside=True,
        ),
        Family(
            ("component_request_duration_seconds",),
            catalog.REQUEST_DURATION,
            conditions=(where("dynamo_endpoint", "generate"),),
            optional=True,
        ),
        Family(
            ("component_inflight_requests",),
            catalog.REQUESTS_RUNNING,
            conditions=(where("dynamo_endpoint", "generate"),),
            optional=True,
        ),
    ),
    known=("*",),
    port=8081,
    images=("ai-dynamo/*-runtime", "ai-dynamo/*-runtime-nightly"),
    other_ports=(9090, 8000),  # its operator's workers, and a frontend of the same image
)

# The mocker that plays a TensorRT-LLM says what it says as a vLLM, under another prefix: never tokens, nor outcomes.
MOCKER_TRTLLM = replace(
    VLLM,
    name="trtllm",
    signs=(sign("trtllm:", "model_name"),),
    backend="trtllm",
    timing=Timing.UNTOLD,
    balanced=False,
    prefixes=("trtllm:",),
    partial=True,
)
