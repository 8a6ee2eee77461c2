# SPDX-License-Identifier: Apache-2.0
"""Every metric and attribute, defined once; exposition, OTLP, the reference page and the checks derive from it.

Names of the semantic conventions are used where one exists: `hw.*` and `k8s.*` at semantic-conventions v1.44.0,
`gen_ai.*` of semantic-conventions-genai. Everything else is ours and marked provisional.
"""

import re

from inferometer.model import Aggregation, Attribute, Instrument, Metric, Stability

SEMCONV_VERSION = "1.44.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV_VERSION}"

# --- Prometheus names ---------------------------------------------------------------------------------------------

# Units as Prometheus' own OTLP translation spells them (prometheus/otlptranslator, unit maps).
_UNITS = {"s": "seconds", "By": "bytes", "J": "joules", "W": "watts", "Hz": "hertz", "Cel": "celsius", "1": ""}


def prometheus_name(name: str, unit: str, instrument: Instrument) -> str:
    """Translate a name as Prometheus does by default for OTLP (strategy UnderscoreEscapingWithSuffixes).

    Source: prometheus/otlptranslator `metric_namer.go`. A gauge of unit `1` gains `_ratio`, a monotonic sum `_total`,
    a unit its word, and an annotation unit in braces nothing.
    """
    tokens = [t for t in re.split(r"[^a-zA-Z0-9]+", name) if t]
    word = "" if unit.startswith("{") else _UNITS[unit]
    if word and word not in tokens:
        tokens.append(word)
    if instrument is Instrument.COUNTER:
        tokens = [t for t in tokens if t != "total"] + ["total"]
    if instrument is Instrument.GAUGE and unit == "1":
        tokens = [t for t in tokens if t != "ratio"] + ["ratio"]
    return "_".join(tokens)


def prometheus_unit(metric: Metric) -> str:
    """Give the unit word that a metric's Prometheus name ends in, or nothing: what OpenMetrics' UNIT line may say."""
    word = "" if metric.unit.startswith("{") else "ratio" if metric.unit == "1" else _UNITS[metric.unit]
    return word if word and metric.prometheus.removesuffix("_total").endswith(f"_{word}") else ""


# --- attributes ---------------------------------------------------------------------------------------------------

HW_ID = Attribute("hw.id", "UUID of the thing measured: a GPU, or a MIG instance")
HW_TYPE = Attribute("hw.type", "Kind of hardware, required by the convention", ("gpu",))
HW_PARENT = Attribute("hw.parent", "UUID of the GPU that a MIG instance is part of")
HW_STATE = Attribute("hw.state", "State that the value is 1 for", ("ok", "degraded", "failed", "predicted_failure"))
HW_GPU_TASK = Attribute("hw.gpu.task", "Engine of the GPU", ("general", "encoder", "decoder"))
HW_SENSOR = Attribute("hw.sensor_location", "Where the sensor sits", ("core", "memory"))
HW_MODEL = Attribute("hw.model", "Product name")
HW_SERIAL = Attribute("hw.serial_number", "Board serial number")
HW_DRIVER = Attribute("hw.driver_version", "Driver version")
HW_FIRMWARE = Attribute("hw.firmware_version", "VBIOS version")
HW_VENDOR = Attribute("hw.vendor", "Vendor")
GPU_INDEX = Attribute("gpu.index", "NVML index of the GPU; an instance carries its parent's")
GPU_MINOR = Attribute("gpu.minor", "Device minor number, as in /dev/nvidia<minor>")
GPU_PCI = Attribute("gpu.pci.address", "PCI address, domain:bus:device.function")
GPU_ARCH = Attribute("gpu.architecture", "Architecture, e.g. hopper")
GPU_COMPUTE = Attribute("gpu.compute_capability", "CUDA compute capability")
GPU_CUDA = Attribute("gpu.cuda.version", "CUDA version that the driver supports")
GPU_NUMA = Attribute("gpu.numa.node", "NUMA node")
GPU_MIG_MODE = Attribute("gpu.mig.mode", "MIG mode now", ("enabled", "disabled"))
GPU_CLOCK = Attribute("gpu.clock.domain", "Clock domain", ("graphics", "sm", "memory", "video"))
XID_CODE = Attribute("gpu.xid.code", "XID, as NVIDIA's catalogue numbers them; 999 where the driver does not say which")
XID_ACTION = Attribute(
    "gpu.xid.action",
    "What NVIDIA's XID catalogue recommends first",
    (
        *("ignore", "restart_app", "reset_gpu", "restart_node", "check_hardware"),
        *("update_software", "contact_support", "workflow", "unknown"),
    ),
)
MIG_PROFILE = Attribute("gpu.mig.profile", "MIG profile, e.g. 1g.12gb")
MIG_GI = Attribute("gpu.mig.gpu_instance.id", "GPU instance id; reused after a reconfiguration")
MIG_CI = Attribute("gpu.mig.compute_instance.id", "Compute instance id")
MIG_PLACEMENT = Attribute("gpu.mig.placement", "First memory slice of the placement")

NAMESPACE = Attribute("k8s.namespace.name", "Namespace of the pod")
POD = Attribute("k8s.pod.name", "Pod name")
POD_UID = Attribute("k8s.pod.uid", "Pod UID; absent where no pod source answers")
CONTAINER = Attribute(
    "k8s.container.name", "Container name; absent where it would not be certain or would repeat a value"
)
WORKLOAD_KIND = Attribute("k8s.workload.kind", "Kind of the workload that owns the pod")
WORKLOAD = Attribute("k8s.workload.name", "Name of the workload that owns the pod")
CLAIM_NAMESPACE = Attribute("k8s.resourceclaim.namespace", "Namespace of the DRA ResourceClaim")
CLAIM = Attribute("k8s.resourceclaim.name", "Name of the DRA ResourceClaim")
CLAIM_UID = Attribute("k8s.resourceclaim.uid", "UID of the DRA ResourceClaim")
CLAIM_REQUEST = Attribute("k8s.resourceclaim.request", "Request of the claim that the device answers")
TEAM = Attribute("inferometer.team", "Team, from the configured label keys")
COST_CENTER = Attribute("inferometer.cost_center", "Cost centre, from the configured label keys")
ROLE = Attribute("role", "What the holding means", ("owner", "admin", "unknown"))
ATTRIBUTION = Attribute(
    "attribution",
    "How the owner is known",
    ("exclusive", "mig", "process", "capacity", "equal", "declared", "none"),
)

OPERATION = Attribute(
    "gen_ai.operation.name", "Constant: an engine's page does not split by operation", ("text_completion",)
)
PROVIDER = Attribute("gen_ai.provider.name", "The engine, e.g. vllm")
MODEL = Attribute("gen_ai.request.model", "Model name as the engine serves it")
TOKEN_TYPE = Attribute("gen_ai.token.type", "Direction of the token", ("input", "output"))
RANK = Attribute("inference.engine.rank", "Data-parallel rank of the engine core")
FINISH_REASON = Attribute("inference.finish_reason", "Why a request finished, as the engine says it")
SERVER_ADDRESS = Attribute("server.address", "Host of the endpoint; only where no pod identifies it")
SERVER_PORT = Attribute("server.port", "Port of the endpoint")
ENGINE_VERSION = Attribute("inference.engine.version", "Version of the engine, where its page tells it")
ENGINE_BACKEND = Attribute("inference.engine.backend", "What runs behind the engine's page")
ENGINE_KIND = Attribute("inference.engine.kind", "What emits the page", ("engine", "router", "unknown"))

SOURCE = Attribute("inferometer.source.name", "Source of the agent")
SOURCE_INSTANCE = Attribute("inferometer.source.instance", "Which one, where a source has several")
REASON = Attribute("inferometer.reason", "Why, from a closed set")
LEVEL = Attribute("inferometer.identity.level", "How much is known of owners", ("none", "name", "uid"))
LIMIT = Attribute(
    "inferometer.limit",
    "Which limit; `xid`, XIDs beyond what is kept of one GPU; `page_` and why a scraped series was not believed; `repeated`, a series that was there already; or "
    "`driver_call`, a call that failed this once",
)
VERSION = Attribute("inferometer.version", "Version of the agent")
OUTPUT = Attribute("inferometer.output", "Output route", ("otlp",))
SIMULATED = Attribute(
    "inferometer.simulated", "Present, and true, on everything that a simulated node feeds", ("true",)
)

_GPU = (HW_ID, GPU_INDEX)
_HW = (*_GPU, HW_TYPE)
_MIG = (HW_ID, GPU_INDEX, HW_PARENT, MIG_PROFILE)
_POD = (NAMESPACE, POD, POD_UID, CONTAINER, WORKLOAD_KIND, WORKLOAD, TEAM, COST_CENTER)
_CLAIM = (CLAIM_NAMESPACE, CLAIM, CLAIM_UID, CLAIM_REQUEST)
_HOLDING = (*_MIG, *_POD, *_CLAIM)
_OWNER = (*_HOLDING, ATTRIBUTION)
_ENGINE = (*_POD, SERVER_ADDRESS, SERVER_PORT, PROVIDER, OPERATION, MODEL, RANK)
_SOURCE = (SOURCE, SOURCE_INSTANCE)

# --- metrics ------------------------------------------------------------------------------------------------------

G, C, U, H = Instrument.GAUGE, Instrument.COUNTER, Instrument.UPDOWNCOUNTER, Instrument.HISTOGRAM
SUM, AVG, MAX, JOIN = Aggregation.SUM, Aggregation.AVERAGE, Aggregation.MAX, Aggregation.JOIN


def _metric(
    name: str, unit: str, instrument: Instrument, attributes: tuple[Attribute, ...], aggregation: Aggregation, text: str
) -> Metric:
    """Define one metric. `hw.*` and `gen_ai.*` are conventions; every metric can carry the simulation's mark."""
    stability = Stability.CONVENTION if name.startswith(("hw.", "gen_ai.")) else Stability.PROVISIONAL
    return Metric(
        name,
        unit,
        instrument,
        (*attributes, SIMULATED),
        stability,
        aggregation,
        text,
        prometheus_name(name, unit, instrument),
    )


# Physical GPUs, where a convention exists.
GPU_UTILIZATION = _metric(
    "hw.gpu.utilization", "1", G, (*_GPU, HW_GPU_TASK), AVG, "Fraction of time that the GPU's engine was busy."
)
GPU_MEMORY_USAGE = _metric(
    "hw.gpu.memory.usage", "By", U, _GPU, SUM, "GPU memory in use by processes, without what the driver reserves."
)
GPU_MEMORY_LIMIT = _metric("hw.gpu.memory.limit", "By", U, _GPU, SUM, "Size of the GPU memory.")
POWER = _metric("hw.power", "W", G, _HW, SUM, "Power drawn by the board now.")
ENERGY = _metric("hw.energy", "J", C, _HW, SUM, "Energy consumed since the driver was loaded.")
TEMPERATURE = _metric("hw.temperature", "Cel", G, (*_GPU, HW_SENSOR), MAX, "Temperature of the sensor.")
STATUS = _metric(
    "hw.status",
    "1",
    U,
    (*_HW, HW_STATE),
    SUM,
    "1 for the state that the GPU is in, 0 for the others: ok while it answers the driver's calls, failed while it does not.",
)

# Physical GPUs, our own names.
GPU_INFO = _metric(
    "gpu.info",
    "{gpu}",
    G,
    (
        *_GPU,
        HW_VENDOR,
        HW_MODEL,
        HW_SERIAL,
        HW_DRIVER,
        HW_FIRMWARE,
        GPU_CUDA,
        GPU_PCI,
        GPU_MINOR,
        GPU_NUMA,
        GPU_ARCH,
        GPU_COMPUTE,
        GPU_MIG_MODE,
    ),
    JOIN,
    "Always 1; describes a GPU.",
)
GPU_DEVICES = _metric(
    "gpu.devices", "{gpu}", G, (), SUM, "Physical GPUs that the driver shows on this node; 0 where there is no driver."
)
GPU_MEMORY_RESERVED = _metric(
    "gpu.memory.reserved", "By", U, _GPU, SUM, "GPU memory that the driver and firmware keep for themselves."
)
GPU_POWER_LIMIT = _metric("gpu.power.limit", "W", G, _GPU, SUM, "Power limit that is enforced now.")
GPU_CLOCK_FREQUENCY = _metric("gpu.clock.frequency", "Hz", G, (*_GPU, GPU_CLOCK), AVG, "Clock frequency now.")
GPU_READING_AGE = _metric("gpu.reading.age", "s", G, _GPU, MAX, "Time since the GPU last answered the driver's calls.")
XID_ERRORS = _metric(
    "gpu.xid.errors",
    "{error}",
    C,
    (*_GPU, XID_CODE, XID_ACTION),
    SUM,
    "XIDs that the driver reported while the agent watched. A code is 0 in the snapshot that first sees it, and counts from "
    "the next one on.",
)

# MIG instances.
MIG_INFO = _metric(
    "gpu.mig.info", "{instance}", G, (*_MIG, MIG_GI, MIG_CI, MIG_PLACEMENT), JOIN, "Always 1; describes a MIG instance."
)
MIG_MEMORY_USAGE = _metric(
    "gpu.mig.memory.usage", "By", U, _MIG, SUM, "Memory of the MIG instance in use by processes."
)
MIG_MEMORY_LIMIT = _metric("gpu.mig.memory.limit", "By", U, _MIG, SUM, "Size of the MIG instance's memory.")
MIG_MEMORY_RESERVED = _metric(
    "gpu.mig.memory.reserved", "By", U, _MIG, SUM, "Memory of the MIG instance that the driver keeps for itself."
)

# Owners.
OWNER_INFO = _metric(
    "gpu.owner.info",
    "{holding}",
    G,
    (*_HOLDING, ROLE),
    JOIN,
    "Always 1, while the holding lasts: who holds a GPU or MIG instance. The one series per holding to join on.",
)
OWNER_UNRESOLVED = _metric(
    "gpu.owner.unresolved",
    "{allocation}",
    G,
    (),
    SUM,
    "Allocations that the kubelet names and no device here answers to.",
)
OWNER_MEMORY_USAGE = _metric(
    "gpu.owner.memory.usage", "By", U, _OWNER, SUM, "Device memory in use on what the owner holds alone."
)
OWNER_UTILIZATION = _metric(
    "gpu.owner.utilization", "1", G, _OWNER, AVG, "Fraction of time that the GPU the owner holds alone was busy."
)
OWNER_TIME = _metric("gpu.owner.time", "s", C, _OWNER, SUM, "Time that the owner has held the device alone.")

# Engines: the convention's three, with the engine's own bounds.
REQUEST_DURATION = _metric(
    "gen_ai.server.request.duration", "s", H, _ENGINE, SUM, "Time from a request's arrival to its last token."
)
TIME_TO_FIRST_TOKEN = _metric(
    "gen_ai.server.time_to_first_token", "s", H, _ENGINE, SUM, "Time from a request's arrival to its first token."
)
TIME_PER_OUTPUT_TOKEN = _metric(
    "gen_ai.server.time_per_output_token",
    "s",
    H,
    _ENGINE,
    SUM,
    "Mean time per output token after the first, one value per request.",
)

# Engines, our own names.
ENGINE_INFO = _metric(
    "inference.engine.info",
    "{engine}",
    G,
    (*_ENGINE, ENGINE_KIND, ENGINE_BACKEND, ENGINE_VERSION),
    JOIN,
    "Always 1; describes an engine.",
)
ENGINE_BLIND = _metric(
    "inference.engine.blind",
    "{engine}",
    G,
    _ENGINE,
    SUM,
    "1 where the endpoint answers and tells nothing of its requests: statistics are off, or it is no engine's page; else 0.",
)
TOKENS = _metric(
    "inference.tokens",
    "{token}",
    C,
    (*_ENGINE, TOKEN_TYPE),
    SUM,
    "Tokens processed: prompt tokens in, generated tokens out.",
)
REQUESTS_RUNNING = _metric("inference.requests.running", "{request}", G, _ENGINE, SUM, "Requests in the running batch.")
REQUESTS_WAITING = _metric(
    "inference.requests.waiting", "{request}", G, _ENGINE, SUM, "Requests waiting to be scheduled."
)
REQUESTS_FINISHED = _metric(
    "inference.requests.finished", "{request}", C, (*_ENGINE, FINISH_REASON), SUM, "Requests that finished, by reason."
)
PREEMPTIONS = _metric(
    "inference.preemptions",
    "{preemption}",
    C,
    _ENGINE,
    SUM,
    "Times that a running request was preempted to free KV cache.",
)
KV_CACHE_UTILIZATION = _metric(
    "inference.kv_cache.utilization", "1", G, _ENGINE, AVG, "Fraction of the KV cache in use."
)

# The agent.
AGENT_INFO = _metric("inferometer.info", "{agent}", G, (VERSION,), JOIN, "Always 1; describes the agent.")
SOURCE_UP = _metric(
    "inferometer.source.up", "{source}", G, _SOURCE, SUM, "1 if the source's newest read succeeded, else 0."
)
SOURCE_AGE = _metric("inferometer.source.age", "s", G, _SOURCE, MAX, "Age of the source's newest good reading.")
SOURCE_DURATION = _metric(
    "inferometer.source.duration", "s", G, _SOURCE, MAX, "How long the source's newest read took."
)
SOURCE_ERRORS = _metric(
    "inferometer.source.errors", "{error}", C, (*_SOURCE, REASON), SUM, "Reads that failed, by reason."
)
IDENTITY_LEVEL = _metric(
    "inferometer.identity.level",
    "{state}",
    G,
    (LEVEL,),
    MAX,
    "1 for how much is known of owners: nothing, namespace and name, or the pod's UID and labels; 0 for the others.",
)
SERIES = _metric("inferometer.series", "{series}", G, (), SUM, "Series in the snapshot.")
DROPPED = _metric("inferometer.dropped", "{item}", C, (LIMIT,), SUM, "What a limit dropped, by limit.")
EXPORTS = _metric("inferometer.exports", "{export}", C, (OUTPUT, REASON), SUM, "Pushes, by outcome.")

METRICS: tuple[Metric, ...] = tuple(m for m in list(globals().values()) if isinstance(m, Metric))
BY_NAME = {m.name: m for m in METRICS}
ORDER = {m: i for i, m in enumerate(METRICS)}
ATTRIBUTES: tuple[Attribute, ...] = tuple(a for a in list(globals().values()) if isinstance(a, Attribute))
