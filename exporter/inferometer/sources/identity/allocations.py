# SPDX-License-Identifier: Apache-2.0
"""The kubelet's PodResources answer (k8s.io/kubelet, podresources/v1) as allocations; pure."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from inferometer.model import Allocation, Claim
from inferometer.proto import podresources_pb2

DRIVER = "gpu.nvidia.com"  # the DRA driver whose devices are GPUs; compute-domain.nvidia.com's are IMEX channels
DEVICE_PREFIXES = ("GPU-", "MIG-")  # NVIDIA's device plugin; an RDMA card's or another vendor's id begins otherwise
UID_LENGTH = 36
MOST = 20_000  # holdings of one node; some hundred pods share some dozen GPUs or instances, so more is no node's answer


def parse(answer: bytes) -> tuple[Allocation, ...]:
    """Read a serialized ListPodResourcesResponse. Raises ValueError, if it is none or lists more than a node can hold.

    Gives each (container, device, replica) and each (container, claim, device) once, in a stable order.

    The kubelet repeats itself: a claim stands in every container that names it, and twice in one container when two
    requests are named or when pods that share it start at the same moment.
    """
    try:
        listed = podresources_pb2.ListPodResourcesResponse.FromString(answer)
    except DecodeError:
        raise ValueError("not a ListPodResourcesResponse") from None
    found: set[Allocation] = set()
    for pod in listed.pod_resources:
        for container in pod.containers:
            for allocation in _of_container(pod, container):
                found.add(allocation)
                if len(found) > MOST:
                    raise ValueError(f"more than {MOST} devices are held")
    return tuple(sorted(found, key=_order))


def _of_container(
    pod: podresources_pb2.PodResources, container: podresources_pb2.ContainerResources
) -> Iterator[Allocation]:
    for devices in container.devices:
        for device_id in devices.device_ids:
            # Time-slicing and MPS append "::<replica>". The resource may have any name: it can be configured.
            device, _, replica = device_id.partition("::")
            if device.startswith(DEVICE_PREFIXES):
                yield Allocation(
                    pod.namespace, pod.name, container.name, device, devices.resource_name, replica or None
                )
    for dynamic in container.dynamic_resources:
        for resource in dynamic.claim_resources:
            if resource.driver_name == DRIVER:
                claim = Claim(
                    dynamic.claim_namespace,
                    dynamic.claim_name,
                    resource.driver_name,
                    resource.pool_name,
                    resource.device_name,
                    uid=_claim_uid(resource),
                    share_id=resource.share_id or None,
                )
                yield Allocation(pod.namespace, pod.name, container.name, resource.device_name, claim=claim)


def _claim_uid(resource: podresources_pb2.ClaimResource) -> str | None:
    """Read the claim's UID out of the device's CDI id, `k8s.gpu.nvidia.com/claim=<claim UID>-<device>[-<share>]`.

    The kubelet lists with each device also the ids of the devices before it, so the id is found by the device's name.
    """
    suffixes = {f"-{resource.device_name}", f"-{resource.device_name}-{resource.share_id}"}
    for cdi in resource.cdi_devices:
        name = cdi.name.rpartition("=")[2]
        if name[UID_LENGTH:] in suffixes and name[:UID_LENGTH].count("-") == 4:
            return name[:UID_LENGTH]
    return None


def _order(allocation: Allocation) -> tuple[str, ...]:
    claim = allocation.claim
    return (
        allocation.namespace,
        allocation.pod,
        allocation.container,
        allocation.device,
        allocation.replica or "",
        allocation.resource,
        *((claim.namespace, claim.name, claim.pool, claim.share_id or "", claim.uid or "") if claim else ()),
    )
