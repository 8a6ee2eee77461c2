# SPDX-License-Identifier: Apache-2.0
"""What the three worlds consist of: devices, allocations, claims, pods, engines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.model.metrics import no_words
from inferometer.model.values import Reading

_NO_TIMES: Mapping[str, float] = MappingProxyType({})


def no_times() -> Mapping[str, float]:
    """Give the shared empty mapping."""
    return _NO_TIMES


@dataclass(frozen=True, slots=True)
class Device:
    """A physical GPU (`parent` is None) or a MIG instance of one.

    `index` and `minor` are the GPU's own; an instance carries its parent's. `details` describes (model, driver, ...)
    and ends up only on `gpu.info` / `gpu.mig.info`.
    """

    uuid: str
    index: int
    minor: int | None = None
    parent: str | None = None
    mig_enabled: bool = False
    profile: str | None = None  # "1g.12gb"
    gpu_instance: int | None = None
    compute_instance: int | None = None
    profile_id: int | None = None  # GPU instance profile id, as in the DRA device name
    placement: int | None = None  # first memory slice of the placement
    multiprocessors: int | None = None  # of an instance
    pci_address: str | None = None
    details: Mapping[str, str] = field(default_factory=no_words)  # attribute key -> value

    @property
    def is_instance(self) -> bool:
        """Whether this is a MIG instance."""
        return self.parent is not None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A call that a device answered with 'not supported', found once and named."""

    device: str
    metric: str
    call: str
    reason: str


@dataclass(frozen=True, slots=True)
class Xid:
    """An XID that the driver reported of a GPU, `times` over since the source last looked, at Unix seconds `at`.

    `number` is one higher than that of the same teller's XID or SXID before, as long as the process lives. `teller` is `nvml` or `kernel`: most XIDs are told
    by both. NVML names the GPU by `device`, its UUID; the kernel's log by `pci_address` (`0000:3b:00.0`) alone, and often the
    process. The instances' ids are None where the whole GPU is meant. NVML does not tell when an event was: its `at` is when it
    was read, and the XID was at most `late` seconds before.
    """

    number: int
    code: int
    at: float
    teller: str
    device: str = ""
    pci_address: str = ""
    gpu_instance: int | None = None
    compute_instance: int | None = None
    pid: int | None = None
    times: int = 1
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Sxid:
    """An SXID: what the driver reported of an NVSwitch in the kernel's log, at Unix seconds `at`, numbered among its XIDs."""

    number: int
    code: int
    at: float
    pci_address: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class KernelReport:
    """What the kernel's log told of GPUs: the newest, by their numbers, those of earlier reports among them.

    `lost` counts the records that the kernel overwrote before they were read, since the agent was started.
    """

    xids: tuple[Xid, ...] = ()
    sxids: tuple[Sxid, ...] = ()
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a GPU or MIG instance: `kind` is compute, graphics or mps, `memory` in bytes, `busy` its share of SM time.

    None is what the driver does not tell, as `busy` while MIG is on.
    """

    device: str
    pid: int
    kind: str
    memory: int | None = None
    busy: float | None = None
    at: float | None = None  # when it was read, Unix seconds


@dataclass(frozen=True, slots=True)
class Vgpu:
    """A vGPU of this host. `memory` and `memory_limit` are bytes, `busy` the share of time by `hw.gpu.task`."""

    uuid: str
    parent: str
    type: str = ""
    vm: str = ""
    memory: int | None = None
    memory_limit: int | None = None
    busy: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    at: float | None = None  # when it was read, Unix seconds


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What the devices source read: GPUs before their instances, in NVML order.

    `unresponsive` maps a device UUID to the age in seconds of its last good answer; it contributes no readings. `nameless`
    is the number of GPUs that the driver counts and that have never said who they are. `events`
    are the newest, by their numbers, those of earlier reports among them: a report that nobody looked at loses none. `calls`
    are the driver's, with how often each was made since the source was, and the seconds that it took in all.
    """

    devices: tuple[Device, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...] = ()
    unresponsive: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    nameless: int = 0
    details: Mapping[str, str] = field(default_factory=no_words)  # driver and CUDA version
    failed: tuple[Unsupported, ...] = ()  # calls that failed this time, though they may work the next
    events: tuple[Xid, ...] = ()
    processes: tuple[Process, ...] = ()
    vgpus: tuple[Vgpu, ...] = ()
    excluded: Mapping[str, str] = field(
        default_factory=no_words
    )  # PCI address or UUID of GPUs left out -> model, or ""
    calls: Mapping[str, tuple[int, float]] = field(default_factory=lambda: MappingProxyType({}))
    fields: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # field -> seconds, the slowest
    restarts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # of the sampler, by cause
    # Numbers of NVLinks that have been up since the source was there, by GPU UUID.
    linked: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Claim:
    """A DRA ResourceClaim allocation, as far as the node shows it (resource.k8s.io/v1).

    `sharing` is the strategy that the device is configured with, in the words of `gpu.sharing.strategy`; `group` is the
    PodGroup that the claim is reserved for.
    """

    namespace: str
    name: str
    driver: str
    pool: str
    device: str
    uid: str | None = None
    request: str | None = None
    share_id: str | None = None
    sharing: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """One device that a claim was given: a `DeviceRequestAllocationResult` (resource.k8s.io/v1).

    `sharing` is the strategy that its driver was told (`TimeSlicing`, `MPS`); empty where the claim and its class say nothing.
    """

    request: str
    driver: str
    pool: str
    device: str
    admin: bool = False
    share_id: str | None = None
    skipped: bool = False  # the kubelet does not prepare it (KEP-5945), and does not know of it
    consumed: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # capacity, KEP-5075
    nodes: tuple[str, ...] = ()  # device files that its CDI specification names, where that was read
    sharing: str = ""


@dataclass(frozen=True, slots=True)
class AllocatedClaim:
    """What the API server, or the node's own files, say of a claim that a local pod uses: what the kubelet leaves out.

    `groups` are the PodGroups that it is reserved for (KEP-5729). `complete` is False where the teller does not know of admin access.
    """

    namespace: str
    name: str
    uid: str
    grants: tuple[Grant, ...]
    groups: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class PooledDevice:
    """A device as its DRA driver publishes it in a ResourceSlice of this node: what its name alone does not tell."""

    driver: str
    pool: str
    device: str
    kind: str = ""  # `gpu`, `mig`, `vfio`, ...: the driver's `type`
    uuid: str = ""
    pci_address: str = ""
    parent_uuid: str = ""
    profile: str = ""
    capacity: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    shared: bool = False  # several claims may have it (KEP-5075)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Whose a process is, by its cgroup: a container of a pod, or the host's own (`pod_uid` and `container_id` empty)."""

    pid: int
    pod_uid: str = ""  # of a static pod: the hash of its manifest
    container_id: str = ""
    host: bool = False


@dataclass(frozen=True, slots=True)
class Allocation:
    """One device held by one container, by one way.

    `device` is the plugin's device id without its replica suffix (`GPU-...`, `MIG-...`, `nvidia0/gi3`, `0000:83:00.0`), or,
    with a claim, the DRA device name (`gpu-2`, `gpu-0-mig-1g12gb-19-0`), which the join resolves. `kept` is what the kubelet
    said before and leaves out now, for want of the claim in its cache: it counts only for a pod that names the claim.
    """

    namespace: str
    pod: str
    container: str
    device: str
    resource: str = ""
    replica: str | None = None
    claim: Claim | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A container port of a pod."""

    container: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of this node."""

    uid: str
    namespace: str
    name: str
    phase: str = ""
    ip: str = ""
    labels: Mapping[str, str] = field(default_factory=no_words)
    annotations: Mapping[str, str] = field(default_factory=no_words)
    owner_kind: str = ""
    owner_name: str = ""
    containers: tuple[str, ...] = ()  # restartable init containers (KEP-753), then the others
    init_containers: tuple[str, ...] = ()  # all of them, in their order: schedulers count through them
    ports: tuple[Port, ...] = ()
    images: Mapping[str, str] = field(default_factory=no_words)  # container -> image, as the spec names it
    container_ids: Mapping[str, str] = field(
        default_factory=no_words
    )  # id without its runtime -> container, of all kinds
    claims: Mapping[str, str] = field(default_factory=no_words)  # name in the pod -> name of the ResourceClaim
    claim_requests: tuple[tuple[str, str, str], ...] = ()  # container, name in the pod, request ("" is all of them)
    extended_claim: str = ""  # the ResourceClaim made for extended resources (KEP-5004)
    extended_requests: tuple[tuple[str, str], ...] = ()  # container, request of that claim
    runtime_class: str = ""
    group: str = ""  # PodGroup
    scheduler: str = ""
    scheduled: float = 0.0  # Unix seconds; 0 is not, or not told
    ready: float = 0.0  # Unix seconds since when it is
    unready: float = 0.0  # Unix seconds since when it is not
    started: Mapping[str, float] = field(default_factory=no_times)  # running container, never restarted -> Unix seconds

    @property
    def manifest(self) -> str:
        """What a static pod's cgroup is named by instead of its UID; else empty."""
        return self.annotations.get("kubernetes.io/config.hash", "")


@dataclass(frozen=True, slots=True)
class Target:
    """An inference engine's endpoint to scrape. `instance` names it once on this node (`namespace/pod:port` or `host:port`)."""

    instance: str
    url: str
    engine: str = ""  # a dialect the operator insists on; empty: recognise it from the page
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""  # only when it is certain
    headers: Mapping[str, str] = field(default_factory=no_words, repr=False)  # may hold secrets
    credentials: str = ""  # name of the entry of engines.credentials
    period: float = 0.0  # seconds between scrapes; 0 is the agent's own
    deadline: float = 0.0  # seconds that a scrape may take; 0 is that of all engines
    found: str = ""  # how, for people: `image vllm/vllm-openai`


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What one scrape of one target said, normalised.

    `engine` names what emits the page, `backend` what runs behind it, `kind` is engine, router or unknown.
    Every reading's subject is `target.instance`.
    """

    target: Target
    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    readings: tuple[Reading, ...]
    unmapped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # series not believed, by doubt
    unknown: tuple[str, ...] = ()  # of the unmapped, families that no dialect of the page has ever heard of
    details: Mapping[str, str] = field(default_factory=no_words)  # attributes of the engine's info that the page tells
    balanced: bool = False  # who had a first token and is not running, waiting or finished hung up
    named: tuple[
        tuple[str, str], ...
    ] = ()  # what the page says of attributes that anybody can make values for, each once
    folded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # what limits cost, by limit
    passed: tuple[Reading, ...] = ()  # what the page says in its own words, where that is passed on
    withheld: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # what is not, by limit
