# SPDX-License-Identifier: Apache-2.0
"""Who holds the devices: allocations, claims, pods, and whose a process is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.model.metrics import no_words

_NO_TIMES: Mapping[str, float] = MappingProxyType({})


def no_times() -> Mapping[str, float]:
    """Give the shared empty mapping."""
    return _NO_TIMES


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
