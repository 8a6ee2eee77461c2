# SPDX-License-Identifier: Apache-2.0
"""What the three worlds consist of: devices, allocations, claims, pods, engines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.model.metrics import no_words
from inferometer.model.values import Reading


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
    """An XID that the driver reported of a GPU, `times` over since the source last looked.

    `number` rises from one to the next, and no two of a process share one. `action` is what NVIDIA's catalogue recommends
    first. The instances' ids are None where the whole GPU is meant.
    """

    number: int
    device: str
    code: int
    action: str
    gpu_instance: int | None = None
    compute_instance: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What the devices source read: GPUs before their instances, in NVML order.

    `unresponsive` maps a device UUID to the age in seconds of its last good answer; it contributes no readings. `events`
    are the newest, by their numbers, those of earlier reports among them: a report that nobody looked at loses none.
    """

    devices: tuple[Device, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...] = ()
    unresponsive: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    details: Mapping[str, str] = field(default_factory=no_words)  # driver and CUDA version
    failed: tuple[Unsupported, ...] = ()  # calls that failed this time, though they may work the next
    events: tuple[Xid, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A DRA ResourceClaim allocation, as far as the node shows it (resource.k8s.io/v1)."""

    namespace: str
    name: str
    driver: str
    pool: str
    device: str
    uid: str | None = None
    request: str | None = None
    share_id: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """One device that a claim was given: a `DeviceRequestAllocationResult` (resource.k8s.io/v1)."""

    request: str
    driver: str
    pool: str
    device: str
    admin: bool = False
    share_id: str | None = None


@dataclass(frozen=True, slots=True)
class AllocatedClaim:
    """What the API server says of a claim that a local pod uses: what the kubelet's answer leaves out."""

    namespace: str
    name: str
    uid: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Allocation:
    """One device held by one container, by one way.

    `device` is the plugin's device id without its replica suffix (`GPU-...`, `MIG-...`), or, with a claim, the DRA
    device name (`gpu-2`, `gpu-0-mig-1g12gb-19-0`), which the join resolves.
    """

    namespace: str
    pod: str
    container: str
    device: str
    resource: str = ""
    replica: str | None = None
    claim: Claim | None = None


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
    containers: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()


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
