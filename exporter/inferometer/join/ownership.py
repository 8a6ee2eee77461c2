# SPDX-License-Identifier: Apache-2.0
"""Who holds what: allocations, pods and devices become holdings, and tenures where one pod is alone on a device. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from inferometer import catalog
from inferometer.model import AllocatedClaim, Allocation, Attribution, Claim, Device, Holding, Owner, Pod, Role, Tenure

ENDED = ("Succeeded", "Failed")

# Device names of NVIDIA's DRA driver, by minor number (dra-driver-nvidia-gpu, ToCanonicalName in mig.go).
_DRA_GPU = re.compile(r"gpu-(\d+)\Z")
_DRA_MIG = re.compile(r"gpu-(\d+)-mig-.+-(\d+)-(\d+)\Z")
# MIG ids of drivers before R470: the GPU's UUID with the two instance ids.
_OLD_MIG = re.compile(r"MIG-(GPU-[0-9a-f-]+)/(\d+)/(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the identity sources say together. `level` is one of `none`, `name`, `uid`."""

    level: str
    holdings: tuple[Holding, ...] = ()
    tenures: tuple[Tenure, ...] = ()
    unresolved: int = 0


class Pods:
    """The node's pods, by what other worlds know of them."""

    def __init__(self, pods: Iterable[Pod] | None, team_keys: Sequence[str], cost_center_keys: Sequence[str]) -> None:
        self.known = pods is not None
        self._team_keys = team_keys
        self._cost_center_keys = cost_center_keys
        self._by_uid = {pod.uid: pod for pod in pods or ()}
        self._by_name: dict[tuple[str, str], Pod] = {}
        for pod in self._by_uid.values():
            name = (pod.namespace, pod.name)
            # A name can be reused while its last pod still shows: the one that has not ended holds things.
            if name not in self._by_name or pod.phase not in ENDED:
                self._by_name[name] = pod

    def find(self, namespace: str, name: str, uid: str = "") -> Pod | None:
        """Find a pod by UID, else by name."""
        return self._by_uid.get(uid) if uid else self._by_name.get((namespace, name))

    def owner(self, namespace: str, name: str, uid: str = "") -> Owner:
        """Describe a pod as an owner; without the pod's object only its name is known."""
        pod = self.find(namespace, name, uid)
        if pod is None:
            return Owner(namespace, name)
        kind, workload = workload_of(pod)
        return Owner(
            namespace=pod.namespace,
            pod=pod.name,
            uid=pod.uid,
            workload_kind=kind or None,
            workload_name=workload or None,
            team=_first(pod, self._team_keys),
            cost_center=_first(pod, self._cost_center_keys),
        )


def workload_of(pod: Pod) -> tuple[str, str]:
    """Name the workload behind a pod as far as the pod itself shows it.

    A ReplicaSet that a Deployment made is named after it and the `pod-template-hash` label.
    """
    if pod.owner_kind == "ReplicaSet":
        suffix = "-" + pod.labels.get("pod-template-hash", "")
        if len(suffix) > 1 and pod.owner_name.endswith(suffix):
            return "Deployment", pod.owner_name.removesuffix(suffix)
    return pod.owner_kind, pod.owner_name


def _first(pod: Pod, keys: Sequence[str]) -> str | None:
    for key in keys:
        if value := pod.labels.get(key) or pod.annotations.get(key):
            return value
    return None


# --- devices ------------------------------------------------------------------------------------------------------


class _Devices:
    """The node's devices, by every name that an allocation can use."""

    def __init__(self, devices: Iterable[Device] | None) -> None:
        self.known = devices is not None
        listed = tuple(devices or ())
        self.by_uuid = {device.uuid: device for device in listed}
        self._gpu_by_minor = {d.minor: d for d in listed if not d.is_instance and d.minor is not None}
        self._by_placement = {(d.parent, d.profile_id, d.placement): d for d in listed if d.is_instance}
        self._by_instance = {(d.parent, d.gpu_instance, d.compute_instance): d for d in listed if d.is_instance}

    def resolve(self, allocation: Allocation) -> str | None:
        """Give the UUID of the device that an allocation names; None if no device here answers to it."""
        if allocation.claim is None:
            return self._resolve_plugin_id(allocation.device)
        if match := _DRA_GPU.match(allocation.device):
            device = self._gpu_by_minor.get(int(match[1]))
        elif match := _DRA_MIG.match(allocation.device):
            parent = self._gpu_by_minor.get(int(match[1]))
            device = self._by_placement.get((parent.uuid, int(match[2]), int(match[3]))) if parent else None
        else:
            device = None
        return device.uuid if device else None

    def _resolve_plugin_id(self, name: str) -> str | None:
        if match := _OLD_MIG.match(name):
            device = self._by_instance.get((match[1], int(match[2]), int(match[3])))
            return device.uuid if device else None
        # Without a driver the kubelet's answer still says who holds which UUID.
        return name if name in self.by_uuid or not self.known else None


# --- claims -------------------------------------------------------------------------------------------------------


class Claims:
    """What the API server says of the claims that local pods use."""

    def __init__(self, claims: Iterable[AllocatedClaim] | None) -> None:
        self._claims = {(c.namespace, c.name): c for c in claims or ()}

    def complete(self, claim: Claim) -> tuple[Claim, Role]:
        """Add the request that the device answers, and tell ownership from admin access (KEP-5018).

        A claim with another UID than the node's is a later one of that name: it says nothing about this one.
        """
        read = self._claims.get((claim.namespace, claim.name))
        if read is None or (claim.uid is not None and claim.uid != read.uid):
            return claim, Role.UNKNOWN
        place = (claim.driver, claim.pool, claim.device)
        grants = [g for g in read.grants if (g.driver, g.pool, g.device) == place]
        if not grants:
            return claim, Role.UNKNOWN
        owning = [g for g in grants if not g.admin]
        requests = {g.request for g in owning or grants}
        request = requests.pop() if len(requests) == 1 else None
        return replace(claim, uid=read.uid, request=request), Role.OWNER if owning else Role.ADMIN


# --- holdings -----------------------------------------------------------------------------------------------------


def find_owners(
    devices: Iterable[Device] | None,
    allocations: Iterable[Allocation] | None,
    pods: Pods,
    claims: Claims,
    common: Mapping[str, str],
) -> Ownership:
    """Join allocations with devices and pods.

    Args:
        devices: the node's GPUs and instances; None where no driver answers.
        allocations: what the kubelet says; None where it does not answer.
        pods: the node's pods.
        claims: what the API server says of their claims; without it a claim's holder may be a mere observer.
        common: attributes that every point has.

    A GPU in MIG mode has no owner, its instances have. A pod that has ended holds nothing, although kubelets before
    1.34 still list it (KEP-3695, gate KubeletPodResourcesListUseActivePods).
    """
    if allocations is None:
        return Ownership("none")
    known = _Devices(devices)
    replicas: dict[tuple[object, ...], tuple[Holding, set[str | None]]] = {}
    unresolved = 0
    for allocation in allocations:
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and pod.phase in ENDED:
            continue
        uuid = known.resolve(allocation)
        device = known.by_uuid.get(uuid or "")
        if uuid is None or (device is not None and device.mig_enabled):
            unresolved += 1
            continue
        owner = pods.owner(allocation.namespace, allocation.pod)
        claim, role = claims.complete(allocation.claim) if allocation.claim else (None, Role.OWNER)
        key = (uuid, owner.key, allocation.container, claim and (claim.uid, claim.namespace, claim.name, claim.request))
        _, seen = replicas.setdefault(key, (Holding(uuid, owner, allocation.container, role, claim), set()))
        seen.add(allocation.replica)
    holdings = tuple(
        Holding(h.device, h.owner, h.container, h.role, h.claim, len(seen)) for h, seen in replicas.values()
    )
    level = "uid" if pods.known else "name"
    return Ownership(level, holdings, _tenures(holdings, known.by_uuid, pods.known, common), unresolved)


def _tenures(
    holdings: Sequence[Holding], devices: Mapping[str, Device], uid_known: bool, common: Mapping[str, str]
) -> tuple[Tenure, ...]:
    """Find the devices that exactly one pod holds.

    While pods are read, a holder that they do not show yet has no tenure: in the next tick it has its UID, and what it
    spent until then must not stand under a second name.
    """
    by_device: dict[str, list[Holding]] = {}
    for holding in holdings:
        if holding.role is not Role.ADMIN:
            by_device.setdefault(holding.device, []).append(holding)
    tenures = []
    for uuid, held in by_device.items():
        owner = held[0].owner
        if len({h.owner.key for h in held}) > 1 or (uid_known and owner.uid is None):
            continue
        device = devices.get(uuid)
        if device is None:
            continue  # without the driver's word the series would go on under another identity
        if any(h.role is Role.UNKNOWN for h in held):
            attribution = Attribution.DECLARED
        elif device.is_instance:
            attribution = Attribution.MIG
        else:
            attribution = Attribution.EXCLUSIVE
        shared = {**_shared([holding_attributes(h, device) for h in held]), **common}
        shared[catalog.ATTRIBUTION.key] = attribution.value
        aligned = tuple(shared.get(key) or None for key in catalog.OWNER_TIME.keys)
        tenures.append(Tenure(uuid, owner, attribution, aligned))
    return tuple(tenures)


def _shared(mappings: Sequence[Mapping[str, str | None]]) -> dict[str, str | None]:
    """Keep what all say alike: a value must not be repeated for each container, claim or request (law 2)."""
    first, *rest = mappings
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}


def device_attributes(uuid: str, device: Device | None) -> dict[str, str | None]:
    """Name a device on a point: what identifies it, not what describes it."""
    if device is None:
        return {catalog.HW_ID.key: uuid}
    return {
        catalog.HW_ID.key: device.uuid,
        catalog.GPU_INDEX.key: str(device.index),
        catalog.HW_PARENT.key: device.parent,
        catalog.MIG_PROFILE.key: device.profile,
    }


def owner_attributes(owner: Owner) -> dict[str, str | None]:
    """Name an owner on a point."""
    return {
        catalog.NAMESPACE.key: owner.namespace,
        catalog.POD.key: owner.pod,
        catalog.POD_UID.key: owner.uid,
        catalog.WORKLOAD_KIND.key: owner.workload_kind,
        catalog.WORKLOAD.key: owner.workload_name,
        catalog.TEAM.key: owner.team,
        catalog.COST_CENTER.key: owner.cost_center,
    }


def holding_attributes(holding: Holding, device: Device | None) -> dict[str, str | None]:
    """Name a holding on a point: device, owner, container, claim and request."""
    claim = holding.claim
    return {
        **device_attributes(holding.device, device),
        **owner_attributes(holding.owner),
        catalog.CONTAINER.key: holding.container,
        **(_claim_attributes(claim) if claim else {}),
    }


def _claim_attributes(claim: Claim) -> dict[str, str | None]:
    return {
        catalog.CLAIM_NAMESPACE.key: claim.namespace,
        catalog.CLAIM.key: claim.name,
        catalog.CLAIM_UID.key: claim.uid,
        catalog.CLAIM_REQUEST.key: claim.request,
    }
