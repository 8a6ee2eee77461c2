# SPDX-License-Identifier: Apache-2.0
"""Who holds what: allocations, claims and pods become holdings, and what each pod has a stake in. Pure."""

from collections.abc import Collection, Iterable, Mapping
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
    whoever holds every device without its role being known. `veiled` are devices whose owners cannot be known now: a pod that
    keeps them for others does, and those others are not read.
    """

    level: str
    holdings: tuple[Holding, ...] = ()
    stakes: Mapping[str, tuple[Holding, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unresolved: int = 0
    veiled: frozenset[str] = frozenset()


def find_owners(
    devices: Devices,
    allocations: Iterable[Allocation] | None,
    pods: Pods,
    claims: Claims,
    itself: tuple[str, str] = ("", ""),
    memory: Mapping[str, float] = MappingProxyType({}),
    drivers: Collection[str] = (),
) -> Ownership:
    """Join allocations with devices and pods.

    Args:
        devices: the node's GPUs and instances.
        allocations: what the kubelet says; None where it does not answer.
        pods: the node's pods.
        claims: what is known of their claims; without it a claim's holder may be a mere observer.
        itself: namespace and name of the pod that this agent runs in.
        memory: bytes that each device has.
        drivers: DRA drivers whose devices count, where only a claim tells of them.

    A GPU in MIG mode has no owner, its instances have. A pod that has ended holds nothing, although kubelets before
    1.34 still list it (KEP-3695, gate KubeletPodResourcesListUseActivePods).
    """
    if allocations is None:
        return Ownership("none")
    allocations = tuple(allocations)
    whole = _held_whole(allocations, devices, pods)
    shares = [
        share
        for share in declared(pods.alive(), _reserved(allocations, devices, pods))
        if share.device not in whole and share.pod not in whole.values()
    ]
    found = _Found(devices)
    veiled = set()
    # The ids that the kubelet has for such pods need not be those of the cards that the scheduler chose.
    elsewhere = {share.pod for share in shares if share.source != "kai"}
    for allocation in (*allocations, *unprepared(pods.alive(), claims, drivers)):
        pod = pods.find(allocation.namespace, allocation.pod)
        if is_reservation(allocation.namespace, allocation.pod):
            if pod is None and (device := devices.resolve(allocation)):
                veiled.add(device)
            continue
        if pod is not None and pod.phase in ENDED:
            continue
        if pod is not None and allocation.kept and not _names(pod, allocation, claims):
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
    stakes = _stakes(holdings, itself, found.monitors())
    return Ownership("uid" if pods.known else "name", holdings, stakes, found.unresolved, frozenset(veiled))


def _names(pod: Pod, allocation: Allocation, claims: Claims) -> bool:
    """Tell whether a pod names the claim of what the kubelet has said before and left out now.

    A pod that was made again under the name of another, as a StatefulSet's are, has not what that one had; nor has one whose
    claim was made again.
    """
    claim = allocation.claim
    return (
        claim is not None and claim.name in {*pod.claims.values(), pod.extended_claim} and not claims.is_replaced(claim)
    )


class _Found:
    """Holdings while they are found: replicas of one are counted, not repeated."""

    def __init__(self, devices: Devices) -> None:
        self.unresolved = 0
        self._devices = devices
        self._holdings: dict[tuple[object, ...], tuple[Holding, set[str | None]]] = {}
        self._unclear: dict[str, set[str]] = {}  # what each owner has in a role that is not known

    def add(self, device: str | None, holding: Holding, replica: str | None) -> None:
        known = self._devices.by_uuid.get(device or "")
        if holding.role is Role.UNKNOWN and device is not None:
            self._unclear.setdefault(holding.owner.key, set()).add(device)
        if device is None or (known is not None and known.mig_enabled):
            self.unresolved += 1
            return
        claim = holding.claim
        named = claim and (claim.uid, claim.namespace, claim.name, claim.request, claim.share_id)
        key = (device, holding.owner.key, holding.container, named)
        if key not in self._holdings:
            self._holdings[key] = (replace(holding, device=device), set())
        self._holdings[key][1].add(replica)

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(
            replace(holding, replicas=len(replicas)) if len(replicas) > 1 else holding
            for holding, replicas in self._holdings.values()
        )

    def monitors(self) -> frozenset[str]:
        """Name who has each of several devices in a role that is not known: more likely a monitor than an owner."""
        return frozenset(owner for owner, had in self._unclear.items() if self._devices.are_all(had))


def _held_whole(allocations: Iterable[Allocation], devices: Devices, pods: Pods) -> Mapping[str, str]:
    """Give the devices that a device plugin gave to a pod as a whole, with its UID.

    That is the kubelet's word, and no annotation, which the pod's owner may write, takes it from the pod. The plugins of
    schedulers that share devices give parts of them, each with an id of its own.
    """
    whole = {}
    for allocation in allocations:
        if allocation.claim is not None or allocation.replica is not None or allocation.device not in devices.by_uuid:
            continue
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and pod.phase not in ENDED and not is_reservation(pod.namespace, pod.name):
            whole[allocation.device] = pod.uid
    return whole


def _reserved(allocations: Iterable[Allocation], devices: Devices, pods: Pods) -> Mapping[str, str]:
    """Give the devices of the pods that only keep them for others, by the pods' UIDs: what the kubelet says is exact."""
    reserved = {}
    for allocation in allocations:
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and is_reservation(pod.namespace, pod.name) and (device := devices.resolve(allocation)):
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
    holdings: Iterable[Holding], itself: tuple[str, str], monitors: frozenset[str]
) -> Mapping[str, tuple[Holding, ...]]:
    stakes: dict[str, list[Holding]] = {}
    for holding in holdings:
        owner = holding.owner
        if holding.role is Role.ADMIN or (owner.namespace, owner.pod) == itself or is_infrastructure(owner.pod):
            continue
        if holding.role is Role.UNKNOWN and owner.key in monitors:
            continue
        stakes.setdefault(holding.device, []).append(holding)
    return MappingProxyType({device: tuple(held) for device, held in stakes.items()})
