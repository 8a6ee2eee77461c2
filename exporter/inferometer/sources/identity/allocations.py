# SPDX-License-Identifier: Apache-2.0
"""The kubelet's PodResources answer (k8s.io/kubelet, podresources/v1) as allocations; pure.

Its fields have the numbers that `inferometer/proto/podresources.proto` gives them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inferometer.model import Allocation, Claim
from inferometer.proto.reading import Message, MessageError, parts, text, texts

# DRA drivers whose devices are GPUs. compute-domain.nvidia.com's are IMEX channels.
DRIVERS = ("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com", "gpu.example.com")
CHANNELS = "compute-domain.nvidia.com"

UID_LENGTH = 36
MOST = 20_000  # holdings of one node; some hundred pods share some dozen GPUs or instances, so more is no node's answer

# NVIDIA's device plugin. The resource may have any name, so the id tells; an RDMA card's or another vendor's begins otherwise.
_UUID_PREFIXES = ("GPU-", "MIG-")
# GKE's plugin: the minor, the GPU instance, and the slot of a shared one (container-engine-accelerators, pkg/gpu/nvidia).
_GKE = re.compile(r"(nvidia\d{1,3}(?:/gi\d{1,3})?)(?:/(vgpu\d{1,3}))?\Z", re.ASCII)
# AMD's plugin: the PCI address, or the name of a partition in sysfs.
_AMD = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z|amdgpu_xcp_\d{1,4}\Z", re.ASCII | re.IGNORECASE)

# Volcano's plugin has an id for each MiB and each percent too, of what `volcano.sh/vgpu-number` says already.
_UNITS = frozenset({"volcano.sh/vgpu-memory", "volcano.sh/vgpu-cores"})

_DYNAMIC_RESOURCES = 5  # of ContainerResources

Container = tuple[str, str, str]  # namespace, pod, container


class Rules(NamedTuple):
    """What counts as a GPU besides what is known: claims of which drivers, and ids of which resources."""

    drivers: frozenset[str] = frozenset(DRIVERS)
    resources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, drivers: Iterable[str], resources: Iterable[str]) -> "Rules":
        """Make rules of what is configured; a channel never is a GPU."""
        return cls(frozenset(drivers) - {CHANNELS}, frozenset(resources))


class Listing(NamedTuple):
    """What the kubelet answered: each (container, device) once, and the containers without any claim's device."""

    allocations: tuple[Allocation, ...]
    bare: frozenset[Container]


STANDARD = Rules()


def parse(answer: bytes, rules: Rules = STANDARD) -> tuple[Allocation, ...]:
    """Read the allocations alone, as `read_listing`."""
    return read_listing(answer, rules).allocations


def read_listing(answer: bytes, rules: Rules = STANDARD) -> Listing:
    """Read a serialized ListPodResourcesResponse. Raises ValueError, if it is none or lists more than a node can hold.

    Gives each (container, device, replica) and each (container, claim, device) once, in a stable order.

    The kubelet repeats itself: a claim stands in every container that names it, and twice in one container when two
    requests are named or when pods that share it start at the same moment.
    """
    found: set[Allocation] = set()
    bare: set[Container] = set()
    try:
        for where, container in _containers(answer):
            if _DYNAMIC_RESOURCES not in container:
                bare.add(where)
            for allocation in _allocations(where, container, rules):
                found.add(allocation)
                if len(found) > MOST:
                    raise ValueError(f"more than {MOST} devices are held")
    except MessageError:
        raise ValueError("not a ListPodResourcesResponse") from None
    return Listing(tuple(sorted(found, key=order)), frozenset(bare))


def _containers(answer: bytes) -> Iterator[tuple[Container, Message]]:
    """Give the ContainerResources of a ListPodResourcesResponse."""
    for pod in map(parts, parts(answer).get(1, ())):
        name, namespace = text(pod, 1), text(pod, 2)
        for container in map(parts, pod.get(3, ())):
            yield (namespace, name, text(container, 1)), container


def _allocations(where: Container, container: Message, rules: Rules) -> Iterator[Allocation]:
    for devices in map(parts, container.get(2, ())):
        resource = text(devices, 1)
        for device_id in texts(devices, 2):
            if (named := _device(resource, device_id, rules)) is not None:
                device, replica = named
                yield Allocation(*where, device, resource, replica or None)
    for dynamic in map(parts, container.get(_DYNAMIC_RESOURCES, ())):
        name, namespace = text(dynamic, 2), text(dynamic, 3)
        for of_claim in map(parts, dynamic.get(4, ())):
            driver, pool, device, share = (text(of_claim, number) for number in (2, 3, 4, 5))
            if driver in rules.drivers:
                ids = [text(cdi, 1) for cdi in map(parts, of_claim.get(1, ()))]
                uid = _claim_uid(ids, device, share)
                claim = Claim(namespace, name, driver, pool, device, uid=uid, share_id=share or None)
                yield Allocation(*where, device, claim=claim)


def _device(resource: str, device_id: str, rules: Rules) -> tuple[str, str] | None:
    """Split a plugin's id into device and replica; None for what is no GPU, as far as one can tell."""
    if resource in _UNITS:
        return None
    # Time-slicing and MPS append "::<replica>".
    device, _, replica = device_id.partition("::")
    if device.startswith(_UUID_PREFIXES):
        return device, replica
    if resource == "nvidia.com/gpu" and (match := _GKE.match(device_id)):
        return match[1], match[2] or ""
    if resource.startswith("amd.com/") and _AMD.match(device_id):
        return device_id.lower(), ""
    return (device, replica) if device and resource in rules.resources else None


def _claim_uid(ids: Iterable[str], device: str, share: str) -> str | None:
    """Read the claim's UID out of the device's CDI id, `k8s.gpu.nvidia.com/claim=<claim UID>-<device>[-<share>]`.

    The kubelet lists with each device also the ids of the devices before it, so the id is found by the device's name.
    """
    suffixes = {f"-{device}", f"-{device}-{share}"}
    for cdi in ids:
        name = cdi.rpartition("=")[2]
        if name[UID_LENGTH:] in suffixes and name[:UID_LENGTH].count("-") == 4:
            return name[:UID_LENGTH]
    return None


def order(allocation: Allocation) -> tuple[str, ...]:
    """Give what allocations are sorted by."""
    claim = allocation.claim
    return (
        allocation.namespace,
        allocation.pod,
        allocation.container,
        allocation.device,
        allocation.replica or "",
        allocation.resource,
        *(
            (claim.driver, claim.namespace, claim.name, claim.pool, claim.share_id or "", claim.uid or "")
            if claim
            else ()
        ),
    )
