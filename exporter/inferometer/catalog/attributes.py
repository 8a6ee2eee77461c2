# SPDX-License-Identifier: Apache-2.0
"""Every attribute, defined once."""

from inferometer.model import Attribute

HW_ID = Attribute("hw.id", "UUID of the thing measured: a GPU, or a MIG instance")
HW_TYPE = Attribute("hw.type", "Kind of hardware, required by the convention", ("gpu",))
HW_PARENT = Attribute("hw.parent", "UUID of the GPU that a MIG instance is part of")
HW_STATE = Attribute("hw.state", "State that the value is 1 for", ("ok", "degraded", "failed", "predicted_failure"))
HW_GPU_TASK = Attribute(
    "hw.gpu.task",
    "Engine of the GPU; jpeg and ofa (optical flow) are ours",
    ("general", "encoder", "decoder", "jpeg", "ofa"),
)
HW_SENSOR = Attribute("hw.sensor_location", "Where the sensor sits", ("core", "memory"))
HW_MODEL = Attribute("hw.model", "Product name")
HW_SERIAL = Attribute("hw.serial_number", "Board serial number")
HW_DRIVER = Attribute("hw.driver_version", "Driver version")
HW_FIRMWARE = Attribute("hw.firmware_version", "VBIOS version")
HW_VENDOR = Attribute("hw.vendor", "Vendor")
GPU_INDEX = Attribute(
    "gpu.index", "Index of the GPU, as its vendor's library counts them; an instance carries its parent's"
)
GPU_MINOR = Attribute("gpu.minor", "Device minor number, as in /dev/nvidia<minor>")
GPU_PCI = Attribute("gpu.pci.address", "PCI address, domain:bus:device.function")
GPU_ARCH = Attribute("gpu.architecture", "Architecture, e.g. hopper")
GPU_COMPUTE = Attribute("gpu.compute_capability", "CUDA compute capability")
GPU_CUDA = Attribute("gpu.cuda.version", "CUDA version that the driver supports")
GPU_NUMA = Attribute("gpu.numa.node", "NUMA node")
GPU_MIG_MODE = Attribute("gpu.mig.mode", "MIG mode now", ("enabled", "disabled"))
HW_LIMIT_TYPE = Attribute("hw.limit_type", "What happens at the limit", ("high.degraded", "high.critical"))
ERROR_TYPE = Attribute("error.type", "Kind of error")
DIRECTION = Attribute("network.io.direction", "Direction, as the GPU sees it", ("receive", "transmit"))
MEMORY_LOCATION = Attribute(
    "gpu.memory.location",
    "Where the memory is; GPUs before Ampere tell the parts of their SRAM apart",
    ("dram", "sram", "l1_cache", "l2_cache", "register_file", "texture_memory", "texture_shared_memory", "cbu"),
)
SRAM_UNIT = Attribute(
    "gpu.sram.unit", "Unit that the SRAM belongs to", ("l2", "sm", "pcie", "microcontroller", "other")
)
RETIREMENT_CAUSE = Attribute("gpu.retirement.cause", "Why the page was retired", ("single_bit", "double_bit"))
SPARE_ROWS = Attribute(
    "gpu.row_remap.availability", "How many spare rows the bank has left", ("max", "high", "partial", "low", "none")
)
GPU_PIPE = Attribute(
    "gpu.pipe",
    "Pipe of the SMs; the tensor pipes by what they multiply",
    ("fp16", "fp32", "fp64", "integer", "tensor_dfma", "tensor_dmma", "tensor_hmma", "tensor_imma"),
)
GPU_FAN = Attribute("gpu.fan", "Number of the fan")
THROTTLE_REASON = Attribute(
    "gpu.throttle.reason",
    "Why the clocks are lower than they could be",
    (
        *("idle", "application_clocks", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal", "hw_thermal"),
        *("hw_power_brake", "display_clocks", "thermal", "board_limit", "low_utilization", "reliability"),
    ),
)
RECOVERY_ACTION = Attribute(
    "gpu.recovery.action",
    "What the driver says has to be done",
    (
        *("none", "gpu_reset", "node_reboot", "drain_p2p", "drain_and_reset"),
        *("recover_imex_domain", "bus_reset", "system_reboot"),
    ),
)
NVLINK = Attribute("gpu.nvlink.link", "Number of the NVLink")
C2C_LINK = Attribute("gpu.c2c.link", "Number of the chip-to-chip link")
FABRIC_STATE = Attribute(
    "gpu.fabric.state", "How far the GPU's registration with the fabric is", ("not_started", "in_progress", "completed")
)
FABRIC_CONDITION = Attribute(
    "gpu.fabric.condition",
    "What is wrong",
    ("degraded_bandwidth", "route_recovery", "route_unhealthy", "access_timeout_recovery", "incorrect_configuration"),
)
FABRIC_CLUSTER = Attribute("gpu.fabric.cluster.uuid", "UUID of the NVLink cluster")
FABRIC_CLIQUE = Attribute("gpu.fabric.clique", "Clique: GPUs of one clique reach each other's memory")
HEALTH_CAUSE = Attribute(
    "gpu.health.cause",
    "Rule that makes the GPU other than ok",
    (
        *("unresponsive", "reset_required", "drain_and_reset_required", "bus_reset_required", "node_reboot_required"),
        *("system_reboot_required", "row_remap_failure", "xid"),
        *("drain_p2p_required", "imex_recovery_required", "row_remap_pending", "page_retirement_pending"),
        *("uncorrected_memory_errors", "hw_thermal", "hw_power_brake", "hw_slowdown", "pcie_width", "nvlink_down"),
        *("c2c_link_down", "fabric_degraded_bandwidth", "fabric_route_recovery", "fabric_route_unhealthy"),
        *("fabric_access_timeout_recovery", "fabric_incorrect_configuration"),
        *("sram_threshold", "no_spare_rows", "retired_pages"),
    ),
)
GPU_STATE = Attribute(
    "gpu.state",
    "held by a pod, free, unhealthy (whoever holds it), excluded from use, or unknown where no source tells who holds what, or who has a part of it",
    ("held", "free", "unhealthy", "excluded", "unknown"),
)
PROCESS_TYPE = Attribute("gpu.process.type", "What the process uses the GPU for", ("compute", "graphics", "mps"))
PROCESS_PLACE = Attribute(
    "inferometer.process.place", "Whether the process is a pod's or the host's own", ("pod", "host")
)
TELEMETRY = Attribute(
    "inferometer.telemetry", "Present where no driver of this node tells what the device does", ("unavailable",)
)
PROCESS_ID = Attribute("process.pid", "Process id, as the node numbers it")
VGPU_TYPE = Attribute("gpu.vgpu.type", "Type of the vGPU")
VGPU_VM = Attribute("gpu.vgpu.vm.id", "Virtual machine that has the vGPU")
GPU_MIG_PENDING = Attribute("gpu.mig.mode.pending", "MIG mode after the next reset", ("enabled", "disabled"))
GPU_COMPUTE_MODE = Attribute(
    "gpu.compute_mode", "Who may run", ("default", "exclusive_thread", "prohibited", "exclusive_process")
)
GPU_PERSISTENCE = Attribute("gpu.persistence_mode", "Persistence mode", ("enabled", "disabled"))
GPU_VIRTUALIZATION = Attribute(
    "gpu.virtualization_mode", "Virtualisation mode", ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")
)
GPU_CONFIDENTIAL = Attribute("gpu.confidential_computing", "Confidential computing", ("enabled", "disabled"))
GPU_ECC = Attribute("gpu.ecc.mode", "ECC mode now", ("enabled", "disabled"))
GPU_PART = Attribute("gpu.board.part_number", "Part number of the board")
GPU_CLOCK = Attribute("gpu.clock.domain", "Clock domain", ("graphics", "sm", "memory", "video"))
XID_CODE = Attribute("gpu.xid.code", "XID, as NVIDIA's catalogue numbers them; 999 where the driver does not say which")
XID_SEVERITY = Attribute(
    "gpu.xid.severity",
    "How bad it is: the application's own affair, something to look at, a reset is needed, nothing there can be trusted, told for "
    "information, or not known. Of an NVSwitch the driver itself says whether it is fatal",
    ("application", "warning", "reset", "fatal", "info", "unknown"),
)
XID_MNEMONIC = Attribute("gpu.xid.mnemonic", "NVIDIA's name of the XID; absent where its catalogue has none")
SXID_CODE = Attribute("gpu.sxid.code", "SXID, as NVIDIA's Fabric Manager guide numbers them")
NVSWITCH_PCI = Attribute("gpu.nvswitch.pci.address", "PCI address of the NVSwitch, domain:bus:device.function")
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
MIG_SMS = Attribute("gpu.mig.multiprocessors", "Number of multiprocessors (SMs)")

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
CLAIM_DRIVER = Attribute("k8s.resourceclaim.driver", "DRA driver of the device")
CLAIM_POOL = Attribute("k8s.resourceclaim.pool", "Pool of the DRA driver")
CLAIM_DEVICE = Attribute("k8s.resourceclaim.device", "Device, as the DRA driver names it")
CLAIM_SHARE = Attribute("k8s.resourceclaim.share", "Share of a device that several claims have")
POD_GROUP = Attribute("k8s.podgroup.name", "PodGroup that the DRA ResourceClaim is reserved for")
SHARING_STRATEGY = Attribute(
    "gpu.sharing.strategy",
    "How the claim has the device shared among those who use it; absent where it does not say",
    ("time_slicing", "mps"),
)
TEAM = Attribute("inferometer.team", "Team, from the configured label keys")
COST_CENTER = Attribute("inferometer.cost_center", "Cost centre, from the configured label keys")
QUEUE = Attribute(
    "inferometer.queue", "Queue that the pod was let in by: a LocalQueue of Kueue's, a queue of KAI's or Volcano's"
)
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
CACHED = Attribute(
    "inference.token.cached",
    "Whether a prompt token's keys and values were there already; only where the page tells the two apart",
    ("true", "false"),
)
TOKEN_TIMING = Attribute(
    "inference.token.timing",
    "When the engine counts tokens: as each step makes them, or all of a request's at its completion",
    ("step", "completion"),
)
ITL_SEMANTICS = Attribute(
    "inference.inter_token_latency.semantics",
    "What one value stands for: an output event, which may carry several tokens, or a token",
    ("event", "token"),
)
RANK = Attribute("inference.engine.rank", "Data-parallel rank of the engine core")
REPLICA = Attribute("inference.engine.replica", "Replica, where one page speaks for several")
FINISH_REASON = Attribute(
    "inference.finish_reason",
    "Why a request finished, as the engine says it; `success` where it tells only that it did, `error` where it failed",
)
ABORT_EVIDENCE = Attribute(
    "inference.abort.evidence",
    "How it is known: the engine counts it, or it is what is left of the engine's other counts",
    ("measured", "derived"),
)
BLIND_REASON = Attribute(
    "inference.engine.blind.reason",
    "Why nothing is known of the engine, though it answers: its statistics are off; the page is of nothing known; there is no "
    "such page; it is no metrics page; credentials are asked for; another status than 200; the page is larger than the limits",
    ("statistics_off", "unknown_page", "not_found", "not_metrics", "refused", "error", "too_large"),
)
STARTUP_PHASE = Attribute(
    "inference.engine.startup.phase",
    "From the pod's being scheduled to its container's start; to the pod's being ready; to its first token",
    ("start", "load", "first_token"),
)
LOAD_PHASE = Attribute("inference.engine.load.phase", "Phase of the engine's start, as it names it")
SLO_NAME = Attribute("inference.slo.name", "Name of the objective in the configuration")
SLO_METRIC = Attribute("inference.slo.metric", "The latency that it is for", ("ttft", "tpot", "itl", "e2e"))
SLO_STATE = Attribute(
    "inference.slo.state",
    "Whether the engine's histogram can tell: it has a bound at the threshold; the threshold lies between two bounds; it lies "
    "below the lowest or above the highest; or the page has no such histogram",
    ("exact", "between", "beyond", "unmeasured"),
)
SLO_SIDE = Attribute(
    "inference.slo.side",
    "The largest bound that is not above the threshold, or the smallest that is not below it",
    ("lower", "upper"),
)
FAMILY_STATE = Attribute(
    "inferometer.family.state",
    "missing, a family that an engine of the page's age should have; unknown, one that this version has never heard of",
    ("missing", "unknown"),
)
WAIT_REASON = Attribute("inference.wait_reason", "What a request waits for, as the engine says it")
REJECT_REASON = Attribute("inference.reject_reason", "Why a request was turned away, as the engine says it")
HTTP_STATUS = Attribute("inference.http.status_class", "Class of the HTTP status", ("4xx", "5xx"))
REQUEST_PHASE = Attribute(
    "inference.request.phase",
    "Phase of a request; `input` and `output` are the copying of tensors",
    ("queue", "input", "compute", "output", "prefill", "decode"),
)
TENSOR_PARALLEL = Attribute("inference.engine.parallel.tensor", "Tensor-parallel size, where the page tells it")
PIPELINE_PARALLEL = Attribute("inference.engine.parallel.pipeline", "Pipeline-parallel size, where the page tells it")
EXPERT_PARALLEL = Attribute("inference.engine.parallel.expert", "Expert-parallel size, where the page tells it")
DATA_PARALLEL = Attribute("inference.engine.parallel.data", "Number of data-parallel ranks that the page speaks of")
QUANTIZATION = Attribute("inference.engine.quantization", "Quantisation of the weights, where the page tells it")
SERVER_ADDRESS = Attribute("server.address", "Host of the endpoint; only where no pod identifies it")
SERVER_PORT = Attribute("server.port", "Port of the endpoint")
ENGINE_VERSION = Attribute("inference.engine.version", "Version of the engine, where its page tells it")
ENGINE_BACKEND = Attribute("inference.engine.backend", "What runs behind the engine's page")
ENGINE_KIND = Attribute("inference.engine.kind", "What emits the page", ("engine", "router", "unknown"))

SOURCE = Attribute("inferometer.source.name", "Source of the agent")
SOURCE_INSTANCE = Attribute("inferometer.source.instance", "Which one, where a source has several")
REASON = Attribute("inferometer.reason", "Why, from a closed set")
LEVEL = Attribute("inferometer.identity.level", "How much is known of owners", ("none", "name", "partial", "uid"))
LIMIT = Attribute(
    "inferometer.limit",
    "Which limit; `processes`, processes beyond those whose pod is looked for; `xid`, XIDs beyond what is kept of one GPU; `xid_unresolved`, XIDs in the kernel's log of an address that no GPU "
    "has shown; `kernel_log`, records of the kernel's log that were overwritten unread; `engine_backoff`, scrapes left out because an engine had answered too late or wrongly; `claims_blanked`, containers whose claims the kubelet left out of its answer, and for which its last one stands in; `models` and `reasons`, values on engines' pages that became `other`; `unfoldable`, series of such values that cannot be added up; `series`, series beyond the limits of their number, at every snapshot; `unmergeable`, series that lack an attribute which the configuration drops, and that cannot be one; `pages`, series of engines that were left out whole; `passthrough_families`, `passthrough_series` and `passthrough_values`, families, series and values of engines that were asked for and not passed on; `page_` and why a scraped series was not believed; `exemplar`, exemplars on engines' pages that are malformed, too long or beyond their bucket; `repeated`, a series that was there already; or "
    "`driver_call`, a call that failed this once",
)
VERSION = Attribute("inferometer.version", "Version of the agent")
METRIC = Attribute("inferometer.metric", "Name of a metric, as the catalogue has it")
OUTPUT = Attribute("inferometer.output", "Output route", ("otlp",))
STORAGE = Attribute("inferometer.spool.storage", "Where it is kept", ("disk", "memory"))
REFUSAL = Attribute(
    "inferometer.server.refusal",
    "Why the endpoint turned somebody away: without credentials; with wrong ones; who is known and may not; without a good "
    "client certificate, where one is asked for; the API server, or a file, does not tell; too many passwords were being tried; "
    "no TLS handshake; too many connections; too slow; no valid request; no snapshot that is new enough; a defect of ours",
    (
        *("no_credentials", "bad_credentials", "forbidden", "certificate", "undecided", "limited"),
        *("handshake", "busy", "slow", "malformed", "unready", "defect"),
    ),
)
SERVER_FILE = Attribute(
    "inferometer.server.file", "What the endpoint has the file for", ("certificate", "tokens", "users")
)
API_VERB = Attribute("inferometer.api.verb", "Verb, as RBAC names it", ("get", "list", "watch", "create"))
API_RESOURCE = Attribute("inferometer.api.resource", "Resource of the Kubernetes API, such as pods")
RESTART_CAUSE = Attribute(
    "inferometer.restart.cause",
    "Why the sampler was started again: stuck in a call and killed, ended by itself, made to let go of a GPU that is lost, or "
    "ended because what it told made no sense",
    ("hang", "crash", "gpu_lost", "garbage"),
)
DRIVER_CALL = Attribute("inferometer.driver.call", "Function of the driver's library")
DRIVER_FIELD = Attribute("inferometer.driver.field", "Field of nvmlDeviceGetFieldValues")
OVERFLOW = Attribute(
    "otel.metric.overflow",
    "Present, and true, on the one series of a counter that goes on for those beyond the limits of series; a boolean in OTLP, as "
    "OpenTelemetry's SDKs write it",
    ("true",),
)
SIMULATED = Attribute(
    "inferometer.simulated", "Present, and true, on everything that a simulated node feeds", ("true",)
)

# Attributes that whoever asks an engine, or configures it, can make values for, each with the limit that their number has.
OPEN = {
    MODEL.key: "models",
    FINISH_REASON.key: "reasons",
    WAIT_REASON.key: "reasons",
    REJECT_REASON.key: "reasons",
    LOAD_PHASE.key: "reasons",
}
OTHER = "other"  # what values beyond that limit become

# What is not passed on of engines' own families, as it is counted.
WITHHELD = ("passthrough_families", "passthrough_series", "passthrough_values")
