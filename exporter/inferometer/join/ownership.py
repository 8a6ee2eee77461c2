# SPDX-License-Identifier: Apache-2.0
"""Who holds what: allocations, claims and pods become holdings, and what each pod has a stake in. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from inferometer.join.claims import Claims, names_request, unprepared
from inferometer.join.declared import Share as Declared
from inferometer.join.declared import declared, is_reservation
from inferometer.join.pods import ENDED, Pods
from inferometer.join.resolve import Devices
from inferometer.model import Allocation, Holding, Owner, Pod, Role

# Pods that hold devices so that others can use them. By the names that their makers give them: NVIDIA's MPS control daemons
# (device plugin and DRA driver).
_INFRASTRUCTURE = ("nvidia-device-plugin-mps-control-daemon", "mps-control-daemon-")


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the identity sources say together. `level` is one of `none`, `name`, `uid`.

    `stakes` are the holdings that count for owners, by device: without admin access, infrastructure, this agent itself, and
    whoever holds every GPU without its role being known.
    """

    level: str
    holdings: tuple[Holding, ...] = ()
    stakes: Mapping[str, tuple[Holding, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unresolved: int = 0


def find_owners(
    devices: Devices,
    allocations: Iterable[Allocation] | None,
    pods: Pods,
    claims: Claims,
    itself: tuple[str, str] = ("", ""),
    memory: Mapping[str, float] = MappingProxyType({}),
) -> Ownership:
    """Join allocations with devices and pods.

    Args:
        devices: the node's GPUs and instances.
        allocations: what the kubelet says; None where it does not answer.
        pods: the node's pods.
        claims: what is known of their claims; without it a claim's holder may be a mere observer.
        itself: namespace and name of the pod that this agent runs in.
        memory: bytes that each device has.

    A GPU in MIG mode has no owner, its instances have. A pod that has ended holds nothing, although kubelets before
    1.34 still list it (KEP-3695, gate KubeletPodResourcesListUseActivePods).
    """
    if allocations is None:
        return Ownership("none")
    allocations = tuple(allocations)
    shares = declared(pods.alive(), _reserved(allocations, devices, pods))
    found = _Found(devices)
    # The ids that the kubelet has for such pods need not be those of the cards that the scheduler chose.
    elsewhere = {share.pod for share in shares if share.source != "kai"}
    for allocation in (*allocations, *unprepared(pods.alive(), claims)):
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and (pod.phase in ENDED or is_reservation(pod)):
            continue
        if pod is not None and allocation.kept and not _names(pod, allocation):
            continue
        if pod is not None and pod.uid in elsewhere and allocation.claim is None:
            continue
        told = claims.complete(allocation.claim, devices.pooled(allocation.claim)) if allocation.claim else None
        if told is not None and not names_request(pod, allocation.container, told):
            continue
        claim, role = (told.claim, told.role) if told else (None, Role.OWNER)
        owner = pods.owner(allocation.namespace, allocation.pod)
        weight = told.weight if told else None
        found.add(
            devices.resolve(allocation),
            Holding("", owner, allocation.container, role, claim, weight=weight),
            allocation.replica,
        )
    for share in shares:
        pod = pods.find("", "", share.pod)
        owner = pods.owner(pod.namespace, pod.name, pod.uid) if pod else Owner("", "", share.pod)
        known = share.device if share.device in devices.by_uuid or not devices.known else None
        weight = _declared_weight(share, memory)
        found.add(known, Holding("", owner, share.container, Role.OWNER, weight=weight, declared=True), None)
    holdings = found.holdings()
    return Ownership("uid" if pods.known else "name", holdings, _stakes(holdings, devices, itself), found.unresolved)


def _names(pod: Pod, allocation: Allocation) -> bool:
    """Tell whether a pod names the claim of what the kubelet has said before and left out now.

    A pod that was made again under the name of another, as a StatefulSet's are, has not what that one had.
    """
    return allocation.claim is not None and allocation.claim.name in {*pod.claims.values(), pod.extended_claim}


class _Found:
    """Holdings while they are found: replicas of one are counted, not repeated."""

    def __init__(self, devices: Devices) -> None:
        self.unresolved = 0
        self._devices = devices
        self._holdings: dict[tuple[object, ...], tuple[Holding, set[str | None]]] = {}

    def add(self, device: str | None, holding: Holding, replica: str | None) -> None:
        known = self._devices.by_uuid.get(device or "")
        if device is None or (known is not None and known.mig_enabled):
            self.unresolved += 1
            return
        claim = holding.claim
        named = claim and (claim.uid, claim.namespace, claim.name, claim.request, claim.share_id)
        key = (device, holding.owner.key, holding.container, named)
        _, replicas = self._holdings.setdefault(key, (replace(holding, device=device), set()))
        replicas.add(replica)

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(replace(holding, replicas=len(replicas)) for holding, replicas in self._holdings.values())


def _reserved(allocations: Iterable[Allocation], devices: Devices, pods: Pods) -> Mapping[str, str]:
    """Give the devices of the pods that only keep them for others, by the pods' UIDs: what the kubelet says is exact."""
    reserved = {}
    for allocation in allocations:
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and is_reservation(pod) and (device := devices.resolve(allocation)):
            reserved[pod.uid] = device
    return reserved


def _declared_weight(share: Declared, memory: Mapping[str, float]) -> float | None:
    """Give what part of its device a share is: as declared, or by its memory, or by its compute."""
    if share.weight is not None:
        return share.weight
    if share.memory is not None and memory.get(share.device):
        return min(1.0, share.memory / memory[share.device])
    return share.cores


def is_infrastructure(pod: str) -> bool:
    """Tell whether a pod of that name holds devices only so that others can use them."""
    return pod.startswith(_INFRASTRUCTURE)


def _stakes(
    holdings: Sequence[Holding], devices: Devices, itself: tuple[str, str]
) -> Mapping[str, tuple[Holding, ...]]:
    everything = _holders_of_everything(holdings, devices)
    stakes: dict[str, list[Holding]] = {}
    for holding in holdings:
        owner = holding.owner
        if holding.role is Role.ADMIN or (owner.namespace, owner.pod) == itself or is_infrastructure(owner.pod):
            continue
        if holding.role is Role.UNKNOWN and owner.key in everything:
            continue
        stakes.setdefault(holding.device, []).append(holding)
    return MappingProxyType({device: tuple(held) for device, held in stakes.items()})


def _holders_of_everything(holdings: Iterable[Holding], devices: Devices) -> frozenset[str]:
    """Name who holds each of several GPUs in a role that is not known: more likely a monitor than an owner."""
    if len(devices.gpus) < 2:
        return frozenset()
    held: dict[str, set[str]] = {}
    for holding in holdings:
        if holding.role is Role.UNKNOWN:
            held.setdefault(holding.owner.key, set()).add(holding.device)
    return frozenset(owner for owner, found in held.items() if devices.gpus <= found)
