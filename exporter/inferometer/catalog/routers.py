# SPDX-License-Identifier: Apache-2.0
"""What routers say of the requests that they hand to engines; under names of its own, because engines count them too."""

from inferometer.catalog.attributes import FINISH_REASON, ITL_SEMANTICS, TOKEN_TYPE
from inferometer.catalog.define import ON_ENGINE, SUM, C, G, H, metric

ROUTER_DURATION = metric(
    "inference.router.request.duration",
    "s",
    H,
    ON_ENGINE,
    SUM,
    "Time from a request's arrival at a router to the end of its answer.",
)
ROUTER_FIRST_TOKEN = metric(
    "inference.router.time_to_first_token",
    "s",
    H,
    ON_ENGINE,
    SUM,
    "Time from a request's arrival at a router to its first token there.",
)
ROUTER_INTER_TOKEN = metric(
    "inference.router.inter_token_latency",
    "s",
    H,
    (*ON_ENGINE, ITL_SEMANTICS),
    SUM,
    "Time between one output and the next, as they pass a router.",
)
ROUTER_RUNNING = metric(
    "inference.router.requests.running", "{request}", G, ON_ENGINE, SUM, "Requests that a router is handling."
)
ROUTER_WAITING = metric(
    "inference.router.requests.waiting", "{request}", G, ON_ENGINE, SUM, "Requests that wait in a router's own queue."
)
ROUTER_FINISHED = metric(
    "inference.router.requests.finished",
    "{request}",
    C,
    (*ON_ENGINE, FINISH_REASON),
    SUM,
    "Requests that a router has finished with, by outcome.",
)
ROUTER_TOKENS = metric(
    "inference.router.tokens", "{token}", C, (*ON_ENGINE, TOKEN_TYPE), SUM, "Tokens that passed a router."
)
