# SPDX-License-Identifier: Apache-2.0
"""NVIDIA Dynamo 1.6: a frontend that routes, and workers that re-export what their engine says."""

from inferometer.sources.engines.dialect import Dialect, Kind, sign

DYNAMO_FRONTEND = Dialect(
    name="dynamo",
    kind=Kind.ROUTER,
    signs=(sign("dynamo_frontend_"), sign("dynamo_component_router_")),
    model_label="model",
)
DYNAMO_WORKER = Dialect(
    name="dynamo", signs=(sign("dynamo_component_", "dynamo_component", "dynamo_endpoint"),), hosts=True, port=8081
)
