# SPDX-License-Identifier: Apache-2.0
"""What inference engines do, in one schema."""

from inferometer.catalog.attributes import (
    ABORT_EVIDENCE,
    BLIND_REASON,
    CACHED,
    DATA_PARALLEL,
    ENGINE_BACKEND,
    ENGINE_KIND,
    ENGINE_VERSION,
    EXPERT_PARALLEL,
    FINISH_REASON,
    HTTP_STATUS,
    ITL_SEMANTICS,
    LOAD_PHASE,
    MODEL,
    PIPELINE_PARALLEL,
    PROVIDER,
    QUANTIZATION,
    REJECT_REASON,
    REQUEST_PHASE,
    STARTUP_PHASE,
    TENSOR_PARALLEL,
    TOKEN_TIMING,
    TOKEN_TYPE,
    WAIT_REASON,
)
from inferometer.catalog.define import (
    AVG,
    JOIN,
    MAX,
    ON_ENGINE,
    SUM,
    C,
    G,
    H,
    metric,
)

# Latencies, with the engine's own bounds: the convention's three.
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

# Latencies, our own names.
INTER_TOKEN_LATENCY = metric(
    "inference.inter_token_latency",
    "s",
    H,
    (*ON_ENGINE, ITL_SEMANTICS),
    SUM,
    "Time between one output and the next; what is counted, an output event or a token, differs between engines.",
)
QUEUE_DURATION = metric(
    "inference.request.queue.duration", "s", H, ON_ENGINE, SUM, "Time that a request waited to be scheduled."
)
PREFILL_DURATION = metric(
    "inference.request.prefill.duration", "s", H, ON_ENGINE, SUM, "Time from scheduling a request to its first token."
)
DECODE_DURATION = metric(
    "inference.request.decode.duration", "s", H, ON_ENGINE, SUM, "Time from a request's first token to its last."
)
MODEL_DURATION = metric(
    "inference.request.model.duration",
    "s",
    H,
    ON_ENGINE,
    SUM,
    "Time that a request spent in the model's execution, where the engine counts it apart.",
)
REQUESTS_TIME = metric(
    "inference.requests.time",
    "s",
    C,
    ON_ENGINE,
    SUM,
    "Time that finished requests took, all added up; where the engine gives no distribution.",
)
PHASE_TIME = metric(
    "inference.requests.phase.time",
    "s",
    C,
    (*ON_ENGINE, REQUEST_PHASE),
    SUM,
    "Time that requests spent in a phase, all added up; where the engine gives no distribution.",
)

# The engine itself.
ENGINE_INFO = metric(
    "inference.engine.info",
    "{engine}",
    G,
    (
        *ON_ENGINE,
        ENGINE_KIND,
        ENGINE_BACKEND,
        ENGINE_VERSION,
        TOKEN_TIMING,
        TENSOR_PARALLEL,
        PIPELINE_PARALLEL,
        EXPERT_PARALLEL,
        DATA_PARALLEL,
        QUANTIZATION,
    ),
    JOIN,
    "Always 1; describes an engine.",
)
ENGINE_BLIND = metric(
    "inference.engine.blind",
    "{engine}",
    G,
    (*ON_ENGINE, BLIND_REASON),
    SUM,
    "1 where the endpoint answers and tells nothing of its requests, with the reason; else 0.",
)
ENGINE_ASLEEP = metric(
    "inference.engine.asleep",
    "{engine}",
    G,
    ON_ENGINE,
    SUM,
    "1 where the engine sleeps, having given its GPU memory back, else 0.",
)

# Requests and tokens.
TOKENS = metric(
    "inference.tokens",
    "{token}",
    C,
    (*ON_ENGINE, TOKEN_TYPE, CACHED),
    SUM,
    "Tokens processed: prompt tokens in, generated tokens out.",
)
REQUESTS_RUNNING = metric(
    "inference.requests.running", "{request}", G, ON_ENGINE, SUM, "Requests in the running batch."
)
REQUESTS_WAITING = metric(
    "inference.requests.waiting",
    "{request}",
    G,
    (*ON_ENGINE, WAIT_REASON),
    SUM,
    "Requests waiting to be scheduled, by what for where the engine tells.",
)
REQUESTS_FINISHED = metric(
    "inference.requests.finished",
    "{request}",
    C,
    (*ON_ENGINE, FINISH_REASON),
    SUM,
    "Requests that finished, by reason.",
)
REQUESTS_ABORTED = metric(
    "inference.requests.aborted",
    "{request}",
    C,
    (*ON_ENGINE, ABORT_EVIDENCE),
    SUM,
    "Requests that were given up, most often because their client hung up. Measured: as the engine counts them, most among those "
    "that finished too. Derived, where it does not: at least so many since the agent saw the engine, or since it was "
    "restarted; those that had a first token and neither run, wait nor finished otherwise.",
)
REQUESTS_REJECTED = metric(
    "inference.requests.rejected",
    "{request}",
    C,
    (*ON_ENGINE, REJECT_REASON),
    SUM,
    "Requests turned away before they were scheduled, by reason.",
)
HTTP_ERRORS = metric(
    "inference.http.errors",
    "{error}",
    C,
    (*ON_ENGINE, HTTP_STATUS),
    SUM,
    "HTTP requests that the engine's server answered with an error, by class of status.",
)
PREEMPTIONS = metric(
    "inference.preemptions",
    "{preemption}",
    C,
    ON_ENGINE,
    SUM,
    "Times that a running request was preempted to free KV cache.",
)

# Caches.
KV_CACHE_UTILIZATION = metric(
    "inference.kv_cache.utilization", "1", G, ON_ENGINE, AVG, "Fraction of the KV cache in use."
)
KV_CACHE_CAPACITY = metric(
    "inference.kv_cache.capacity", "{token}", G, ON_ENGINE, SUM, "Tokens that the KV cache on the GPU has room for."
)
PREFIX_QUERIES = metric(
    "inference.prefix_cache.queries", "{token}", C, ON_ENGINE, SUM, "Prompt tokens looked up in the prefix cache."
)
PREFIX_HITS = metric(
    "inference.prefix_cache.hits", "{token}", C, ON_ENGINE, SUM, "Prompt tokens found in the prefix cache."
)
PREFIX_HIT_RATIO = metric(
    "inference.prefix_cache.hit_ratio",
    "1",
    G,
    ON_ENGINE,
    AVG,
    "Fraction of what was looked up that the prefix cache had, as the engine reckons it; where it does not count both.",
)

# Speculative decoding.
SPEC_DRAFTS = metric(
    "inference.spec_decode.drafts", "{draft}", C, ON_ENGINE, SUM, "Drafts that were verified; each is several tokens."
)
SPEC_DRAFT_TOKENS = metric(
    "inference.spec_decode.draft_tokens", "{token}", C, ON_ENGINE, SUM, "Tokens that were drafted."
)
SPEC_ACCEPTED_TOKENS = metric(
    "inference.spec_decode.accepted_tokens", "{token}", C, ON_ENGINE, SUM, "Drafted tokens that were accepted."
)
SPEC_ACCEPTED_LENGTH = metric(
    "inference.spec_decode.accepted_length",
    "{token}",
    G,
    ON_ENGINE,
    AVG,
    "Mean tokens per verification, the model's own one included, as the engine reckons it; where it counts no drafts.",
)

# LoRA adapters.
LORA_LOADED = metric("inference.lora.loaded", "{adapter}", G, ON_ENGINE, SUM, "LoRA adapters on the GPU.")
LORA_RUNNING = metric("inference.lora.running", "{adapter}", G, ON_ENGINE, SUM, "LoRA adapters with running requests.")
LORA_WAITING = metric("inference.lora.waiting", "{adapter}", G, ON_ENGINE, SUM, "LoRA adapters with waiting requests.")
LORA_LIMIT = metric(
    "inference.lora.limit", "{adapter}", G, ON_ENGINE, SUM, "LoRA adapters that fit on the GPU at once."
)

# Work.
ESTIMATED_FLOPS = metric(
    "inference.estimated_flops",
    "{flop}",
    C,
    ON_ENGINE,
    SUM,
    "Floating-point operations of each one of the engine's GPUs, as the engine estimates them.",
)

# Cold starts.
STARTUP_DURATION = metric(
    "inference.engine.startup.duration",
    "s",
    H,
    (PROVIDER, MODEL, STARTUP_PHASE),
    SUM,
    "How long engines took to start, by phase; of those that the agent saw start.",
)
STARTUP_LATEST = metric(
    "inference.engine.startup.latest",
    "s",
    G,
    (*ON_ENGINE, STARTUP_PHASE),
    SUM,
    "How long this engine took to start, by phase; the phases add up. The first token is seen within a period.",
)
LOAD_DURATION = metric(
    "inference.engine.load.duration",
    "s",
    G,
    (*ON_ENGINE, LOAD_PHASE),
    MAX,
    "How long a phase of the engine's start took, as it tells. One phase may be part of another.",
)
