# SPDX-License-Identifier: Apache-2.0
"""Who holds what: allocations, claims and pods become holdings, and what each pod has a stake in. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from inferometer.join.claims import Claims, names_request, unprepared
from inferometer.join.declared import Share as Declared
from inferometer.join.declared import declared, is_part, is_reservation
from inferometer.join.pods import ENDED, Pods
from inferometer.join.resolve import Devices
from inferometer.model import Allocation, Holding, Owner, Pod, Role


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the identity sources say together. `level` is one of `none`, `name`, `partial`, `uid`.

    `stakes` are the holdings that count for owners, by device: without admin access, infrastructure, this agent itself, and
    whoever holds every device without its role being known. `veiled` are devices whose owners cannot be known now: what a
    scheduler declares of those who share them is not read, or not to be believed. Of those, `reserved` are held for certain.
    """

    level: str
    holdings: tuple[Holding, ...] = ()
    stakes: Mapping[str, tuple[Holding, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unresolved: int = 0
    veiled: frozenset[str] = frozenset()
    reserved: frozenset[str] = frozenset()


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
    whole, holders = _held_whole(allocations, devices, pods, claims)
    shares = [
        share
        for share in declared(pods.alive(), _reserved(allocations, devices, pods))
        if share.device not in whole and share.pod not in holders
    ]
    found = _Found(devices)
    reserved = set()  # by a pod of KAI's
    hidden = False  # whether somebody has a part of who knows which card
    # The ids that the kubelet has for such pods need not be those of the cards that the scheduler chose.
    elsewhere = {share.pod for share in shares if share.source != "kai"}
    here = {share.pod for share in shares if share.device in devices.by_uuid}
    for allocation in (*allocations, *unprepared(pods.alive(), claims, drivers)):
        pod = pods.find(allocation.namespace, allocation.pod)
        if pod is not None and pod.phase in ENDED:
            continue
        if is_reservation(allocation.namespace, allocation.pod):
            if device := devices.resolve(allocation):
                reserved.add(device)
            continue
        if pod is not None and allocation.kept and not _names(pod, allocation, claims):
            continue
        # From a slot of one card, as time-slicing has them, no annotation takes a pod away to a card that is not here.
        doubted = allocation.claim is None and pod is not None and pod.uid in elsewhere
        if doubted and pod is not None and (pod.uid in here or not _is_exact(allocation, devices)):
            continue
        if is_part(allocation):
            hidden = True
            found.unresolved += 1
            continue
        told = claims.complete(allocation.claim, devices.pooled(allocation.claim), pod) if allocation.claim else None
        if told is not None and not names_request(pod, allocation.container, told):
            continue
        claim, role = (told.claim, told.role) if told else (None, Role.OWNER)
        owner = pods.owner(allocation.namespace, allocation.pod)
        role = Role.ADMIN if _only_serves(owner, itself, pods) else role
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
        role = Role.ADMIN if _only_serves(owner, itself, pods) else Role.OWNER
        weight = _declared_weight(share, memory)
        found.add(known, Holding("", owner, share.container, role, weight=weight, declared=True), None)
    holdings = found.holdings()
    stakes = _stakes(holdings, found.monitors())
    reserved -= {share.device for share in shares}
    veiled = reserved | (_shareable(devices, holdings) if hidden else set())
    certain = not veiled and not hidden and all(each.owner.uid and each.role is not Role.UNKNOWN for each in holdings)
    level = "name" if not pods.known else "uid" if certain else "partial"
    return Ownership(level, holdings, stakes, found.unresolved, frozenset(veiled), frozenset(reserved))


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


def _is_exact(allocation: Allocation, devices: Devices) -> bool:
    """Tell whether the kubelet's id says which device it is, whatever annotations say: it is no part of all cards."""
    return allocation.claim is not None or (
        not is_part(allocation) and devices.known and devices.resolve(allocation) is not None
    )


def _held_whole(
    allocations: Iterable[Allocation], devices: Devices, pods: Pods, claims: Claims
) -> tuple[frozenset[str], frozenset[str]]:
    """Give the devices that a device plugin gave to pods as a whole, or a claim to its owners; and the UIDs of the former.

    That is the kubelet's word, and no annotation, which a pod's owner may write, takes it from the pod. The plugins of
    schedulers that share devices give parts of them, each with an id of its own.
    """
    whole, holders = set(), set()
    for allocation in allocations:
        claim = allocation.claim
        if (allocation.replica is not None and claim is None) or not _is_exact(allocation, devices):
            continue
        pod = pods.find(allocation.namespace, allocation.pod)
        if (pod is not None and pod.phase in ENDED) or is_reservation(allocation.namespace, allocation.pod):
            continue
        if claim is not None and claims.complete(claim).role is not Role.OWNER:
            continue  # who only looks, for all one knows, takes it from nobody
        if (device := devices.resolve(allocation)) in devices.by_uuid and device is not None:
            whole.add(device)
            holders |= {pod.uid} if pod is not None and claim is None else set()
    return frozenset(whole), frozenset(holders)


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


def _shareable(devices: Devices, holdings: Iterable[Holding]) -> set[str]:
    """Give the devices of which somebody may have a part that nobody told of: all but those that were given otherwise."""
    given = {holding.device for holding in holdings if not holding.declared}
    return {uuid for uuid, device in devices.by_uuid.items() if not device.mig_enabled} - given


def _only_serves(owner: Owner, itself: tuple[str, str], pods: Pods) -> bool:
    """Tell whether a pod looks or serves, whatever it was given: this agent's own, and infrastructure."""
    return (owner.namespace, owner.pod) == itself or pods.is_infrastructure(owner.namespace, owner.pod)


def _stakes(holdings: Iterable[Holding], monitors: frozenset[str]) -> Mapping[str, tuple[Holding, ...]]:
    stakes: dict[str, list[Holding]] = {}
    for holding in holdings:
        owner = holding.owner
        if holding.role is Role.ADMIN:
            continue
        if holding.role is Role.UNKNOWN and owner.key in monitors:
            continue
        stakes.setdefault(holding.device, []).append(holding)
    return MappingProxyType({device: tuple(held) for device, held in stakes.items()})
