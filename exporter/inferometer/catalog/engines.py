# SPDX-License-Identifier: Apache-2.0
"""What inference engines do, in one schema."""

from inferometer.catalog.attributes import (
    ENGINE_BACKEND,
    ENGINE_KIND,
    ENGINE_VERSION,
    FINISH_REASON,
    TOKEN_TYPE,
)
from inferometer.catalog.define import (
    AVG,
    JOIN,
    ON_ENGINE,
    SUM,
    C,
    G,
    H,
    metric,
)

# Engines: the convention's three, with the engine's own bounds.
REQUEST_DURATION = metric(
    "gen_ai.server.request.duration", "s", H, ON_ENGINE, SUM, "Time from a request's arrival to its last token."
)
TIME_TO_FIRST_TOKEN = metric(
    "gen_ai.server.time_to_first_token", "s", H, ON_ENGINE, SUM, "Time from a request's arrival to its first token."
)
TIME_PER_OUTPUT_TOKEN = metric(
    "gen_ai.server.time_per_output_token",
    "s",
    H,
    ON_ENGINE,
    SUM,
    "Mean time per output token after the first, one value per request.",
)

# Engines, our own names.
ENGINE_INFO = metric(
    "inference.engine.info",
    "{engine}",
    G,
    (*ON_ENGINE, ENGINE_KIND, ENGINE_BACKEND, ENGINE_VERSION),
    JOIN,
    "Always 1; describes an engine.",
)
ENGINE_BLIND = metric(
    "inference.engine.blind",
    "{engine}",
    G,
    ON_ENGINE,
    SUM,
    "1 where the endpoint answers and tells nothing of its requests: statistics are off, or it is no engine's page; else 0.",
)
TOKENS = metric(
    "inference.tokens",
    "{token}",
    C,
    (*ON_ENGINE, TOKEN_TYPE),
    SUM,
    "Tokens processed: prompt tokens in, generated tokens out.",
)
REQUESTS_RUNNING = metric(
    "inference.requests.running", "{request}", G, ON_ENGINE, SUM, "Requests in the running batch."
)
REQUESTS_WAITING = metric(
    "inference.requests.waiting", "{request}", G, ON_ENGINE, SUM, "Requests waiting to be scheduled."
)
REQUESTS_FINISHED = metric(
    "inference.requests.finished",
    "{request}",
    C,
    (*ON_ENGINE, FINISH_REASON),
    SUM,
    "Requests that finished, by reason.",
)
PREEMPTIONS = metric(
    "inference.preemptions",
    "{preemption}",
    C,
    ON_ENGINE,
    SUM,
    "Times that a running request was preempted to free KV cache.",
)
KV_CACHE_UTILIZATION = metric(
    "inference.kv_cache.utilization", "1", G, ON_ENGINE, AVG, "Fraction of the KV cache in use."
)
