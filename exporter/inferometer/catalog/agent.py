# SPDX-License-Identifier: Apache-2.0
"""The agent itself."""

from inferometer.catalog.attributes import (
    API_RESOURCE,
    API_VERB,
    DRIVER_CALL,
    DRIVER_FIELD,
    FAMILY_STATE,
    LEVEL,
    LIMIT,
    METRIC,
    OUTPUT,
    REASON,
    REFUSAL,
    RESTART_CAUSE,
    SERVER_FILE,
    SOURCE,
    STORAGE,
    VERSION,
)
from inferometer.catalog.define import (
    JOIN,
    MAX,
    ON_ENGINE,
    ON_SOURCE,
    SUM,
    C,
    G,
    metric,
)

# The agent.
AGENT_INFO = metric("inferometer.info", "{agent}", G, (VERSION,), JOIN, "Always 1; describes the agent.")
SOURCE_UP = metric(
    "inferometer.source.up", "{source}", G, ON_SOURCE, SUM, "1 if the source's newest read succeeded, else 0."
)
SOURCE_AGE = metric("inferometer.source.age", "s", G, ON_SOURCE, MAX, "Age of the source's newest good reading.")
SOURCE_DURATION = metric(
    "inferometer.source.duration", "s", G, ON_SOURCE, MAX, "How long the source's newest read took."
)
SOURCE_ERRORS = metric(
    "inferometer.source.errors", "{error}", C, (*ON_SOURCE, REASON), SUM, "Reads that failed, by reason."
)
IDENTITY_AGE = metric(
    "inferometer.identity.age",
    "s",
    G,
    (SOURCE,),
    MAX,
    "Time since each source of the map of who holds what last answered, or since it has failed to renew what it still tells. The "
    "largest is how old the map is.",
)
IDENTITY_LEVEL = metric(
    "inferometer.identity.level",
    "{state}",
    G,
    (LEVEL,),
    MAX,
    "1 for how complete the map of who holds what is, 0 for the others: nothing is known, or namespaces and names, or the pods' "
    "UIDs and labels of some holdings, or those and the role of every one.",
)
SERIES = metric("inferometer.series", "{series}", G, (), SUM, "Series in the snapshot.")
SERIES_DROPPED = metric(
    "inferometer.series.dropped",
    "{series}",
    C,
    (METRIC,),
    SUM,
    "Series that the limits of their number left out of a snapshot, once for each snapshot, by metric, `passthrough` for "
    "all families of engines. Other counters are not left out: they go on in one series, with `otel.metric.overflow`.",
)
DROPPED = metric("inferometer.dropped", "{item}", C, (LIMIT,), SUM, "What a limit dropped, by limit.")
EXPORTS = metric(
    "inferometer.exports",
    "{export}",
    C,
    (OUTPUT, REASON),
    SUM,
    "Pushes by how they ended, and tries that will be made again by why they failed.",
)
SPOOL_REQUESTS = metric(
    "inferometer.spool.requests",
    "{request}",
    G,
    (),
    SUM,
    "Requests of pushes that wait because the receiver has not taken them.",
)
SPOOL_AGE = metric(
    "inferometer.spool.age", "s", G, (), MAX, "Time since the oldest push that waits was made; 0 where none does."
)
SPOOL_USAGE = metric(
    "inferometer.spool.usage", "By", G, (STORAGE,), SUM, "What the requests that wait take, as they are kept."
)
SPOOL_LIMIT = metric(
    "inferometer.spool.limit",
    "By",
    G,
    (STORAGE,),
    SUM,
    "Most that requests that wait may take; then the oldest are dropped.",
)
SPOOL_STATE = metric(
    "inferometer.spool.state",
    "{state}",
    G,
    (STORAGE,),
    MAX,
    "1 for where a request is kept that has to wait next, 0 for the other. Memory means that there is no disk or none that can be "
    "written to: a restart loses what waits.",
)
SPOOL_DROPPED_REQUESTS = metric(
    "inferometer.spool.dropped.requests",
    "{request}",
    C,
    (REASON,),
    SUM,
    "Requests of pushes that the receiver will never have, by reason: `size`, `memory` or `age`, beyond the spool's limits; `corrupt`, "
    "not readable any more; or why the receiver refused them, `out_of_order` where it had newer ones already.",
)
SPOOL_DROPPED_POINTS = metric(
    "inferometer.spool.dropped.points",
    "{point}",
    C,
    (REASON,),
    SUM,
    "Data points of pushes that the receiver will never have, by reason; those too that it took a request without. What could not "
    "be read has none.",
)
SERVER_REFUSALS = metric(
    "inferometer.server.refusals",
    "{request}",
    C,
    (REFUSAL,),
    SUM,
    "Requests, and connections without one, that the endpoint turned away, by reason.",
)
SERVER_FILE_ERRORS = metric(
    "inferometer.server.file.errors",
    "{error}",
    C,
    (SERVER_FILE,),
    SUM,
    "New contents of the endpoint's files that could not be used: the certificate before stays, tokens and users let nobody in.",
)
ENGINE_FAMILIES = metric(
    "inferometer.engine.families",
    "{family}",
    G,
    (*ON_ENGINE, FAMILY_STATE),
    SUM,
    "Families by which an engine's page differs from what is known of its engine. `inferometer check engine URL` names them.",
)

API_REQUESTS = metric(
    "inferometer.api.requests", "{request}", C, (API_VERB, API_RESOURCE), SUM, "Requests to the API server."
)
API_RECEIVED = metric(
    "inferometer.api.received", "By", C, (API_VERB, API_RESOURCE), SUM, "What the API server answered, TLS aside."
)

SAMPLER_RESTARTS = metric(
    "inferometer.sampler.restarts",
    "{restart}",
    C,
    (SOURCE, RESTART_CAUSE),
    SUM,
    "Times that the process that reads the driver was started again.",
)
DRIVER_CALL_TIME = metric(
    "inferometer.driver.call.time",
    "s",
    C,
    (DRIVER_CALL,),
    SUM,
    "Time spent in the driver's calls, as the sampler sees it.",
)
DRIVER_CALLS = metric("inferometer.driver.calls", "{call}", C, (DRIVER_CALL,), SUM, "Calls of the driver.")
DRIVER_FIELD_LATENCY = metric(
    "inferometer.driver.field.latency",
    "s",
    G,
    (DRIVER_FIELD,),
    MAX,
    "How long the driver says that it took to read a field, the slowest GPU and link.",
)
