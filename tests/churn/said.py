# SPDX-License-Identifier: Apache-2.0
"""What each source says of a cluster: the kubelet with all that it gets wrong, the API server, the driver."""

import random
from collections.abc import Iterable
from typing import TypeVar

from churn.cluster import CONSUMED, DRIVER, DYNAMIC, GPUS, MEMORY, NAMESPACE, POOL, SLOTS, STATIC, Cluster, Json, uuid
from inferometer import catalog
from inferometer.model import AllocatedClaim, Allocation, Device, Pod, PooledDevice, Reading
from inferometer.proto.podresources_pb2 import (
    CDIDevice,
    ClaimResource,
    ContainerDevices,
    ContainerResources,
    DynamicResource,
    ListPodResourcesResponse,
    PodResources,
)
from inferometer.sources.identity import claim_object, projection, slice_object
from inferometer.sources.identity.wanted import claims_wanted

T = TypeVar("T")


def kubelet(cluster: Cluster, chance: random.Random, *, old: bool, forgotten: str) -> bytes:
    """Answer as the kubelet does (`pkg/kubelet/cm/dra/manager.go`), in no order.

    Every container that names a claim shows all of its devices, whatever request it names, and twice if it names two; the
    CDI ids pile up. A claim that is forgotten leaves the containers that name it without any. One before 1.34 lists pods
    that have ended too.
    """
    pods = cluster.pods.values() if old else cluster.alive()
    return ListPodResourcesResponse(
        pod_resources=_shuffled(
            (
                PodResources(
                    name=pod["metadata"]["name"],
                    namespace=NAMESPACE,
                    containers=[_container(cluster, pod, c, chance, forgotten) for c in pod["spec"]["containers"]],
                )
                for pod in pods
            ),
            chance,
        )
    ).SerializeToString()


def _container(
    cluster: Cluster, pod: Json, container: Json, chance: random.Random, forgotten: str
) -> ContainerResources:
    uid, name = pod["metadata"]["uid"], container["name"]
    claims = named(pod, container)
    known = cluster.past.get(uid, cluster.claims)
    dynamic = [
        _claimed(known[claim], chance) for claim in claims if claim in known for _ in range(chance.choice([1, 1, 2]))
    ]
    return ContainerResources(
        name=name,
        devices=[
            ContainerDevices(resource_name="nvidia.com/gpu", device_ids=[device])
            for device in _shuffled(cluster.plugin[uid].get(name, ()), chance)
        ],
        dynamic_resources=[] if forgotten in claims else [each for each in dynamic if each.claim_resources],
    )


def named(pod: Json, container: Json) -> list[str]:
    """Give the claims that a container has something of, or all of the pod's containers if it is the scheduler's own."""
    claims = {use["name"]: use["resourceClaimName"] for use in pod["status"]["resourceClaimStatuses"]}
    extended = pod["status"].get("extendedResourceClaimStatus")
    return [
        *(claims[use["name"]] for use in container["resources"]["claims"]),
        *([extended["resourceClaimName"]] if extended else ()),
    ]


def _claimed(claim: Json, chance: random.Random) -> DynamicResource:
    uid, ids, resources = claim["metadata"]["uid"], [], []
    for result in _shuffled(claim["status"]["allocation"]["devices"]["results"], chance):
        if "skipNodeOperations" not in result:
            ids.append(CDIDevice(name=f"k8s.{DRIVER}/claim={uid}-{result['device']}"))
            resources.append(
                ClaimResource(cdi_devices=ids, driver_name=DRIVER, pool_name=POOL, device_name=result["device"])
            )
    return DynamicResource(
        claim_name=claim["metadata"]["name"], claim_namespace=NAMESPACE, claim_resources=_shuffled(resources, chance)
    )


def pods(cluster: Cluster) -> tuple[Pod, ...]:
    """Give the pods as their source does."""
    return tuple(projection.project(pod) for pod in cluster.pods.values())


def claims(cluster: Cluster, allocations: Iterable[Allocation], local: Iterable[Pod]) -> tuple[AllocatedClaim, ...]:
    """Give the claims that are wanted, and are there."""
    wanted = sorted(claims_wanted(allocations, local), key=lambda want: want.name)
    return tuple(claim_object.project(cluster.claims[want.name]) for want in wanted if want.name in cluster.claims)


def slices() -> tuple[PooledDevice, ...]:
    """Give what the driver publishes: of dynamic MIG devices no UUID, for none is made yet."""
    devices = [
        {
            "name": f"gpu-{gpu}",
            "attributes": {"type": {"string": "gpu"}, "uuid": {"string": uuid(gpu)}},
            "capacity": {"memory": {"value": str(MEMORY)}},
            "allowMultipleAllocations": gpu == CONSUMED,
        }
        for gpu in GPUS
        if gpu not in (STATIC, DYNAMIC)
    ]
    devices += [
        {
            "name": f"gpu-{DYNAMIC}-mig-1g12gb-19-{slot}",
            "attributes": {"type": {"string": "mig"}, "parentUUID": {"string": uuid(DYNAMIC)}},
        }
        for slot in range(SLOTS)
    ]
    pool = {"name": POOL, "generation": 1, "resourceSliceCount": 1}
    listed = {"items": [{"spec": {"driver": DRIVER, "pool": pool, "nodeName": "n1", "devices": devices}}]}
    return slice_object.pooled(listed, (DRIVER,)).devices


def devices(cluster: Cluster) -> tuple[Device, ...]:
    """Give the GPUs and the instances that there are, as NVML does. The ids of instances are used again, their UUIDs are not."""
    gpus = tuple(Device(uuid(gpu), gpu, minor=gpu, mig_enabled=gpu in (STATIC, DYNAMIC)) for gpu in GPUS)
    instances = tuple(
        Device(
            instance,
            gpu,
            minor=gpu,
            parent=uuid(gpu),
            profile="1g.12gb",
            gpu_instance=slot + 7,
            compute_instance=0,
            profile_id=19,
            placement=slot,
        )
        for (gpu, slot), instance in cluster.instances.items()
    )
    return (*gpus, *instances)


def readings(listed: Iterable[Device]) -> tuple[Reading, ...]:
    """Give a value of each kind that is divided, of every device: memory in use."""
    return tuple(
        Reading(device.uuid, catalog.MIG_MEMORY_USAGE if device.is_instance else catalog.GPU_MEMORY_USAGE, (), 1e9)
        for device in listed
    )


def _shuffled(items: Iterable[T], chance: random.Random) -> list[T]:
    listed = list(items)
    chance.shuffle(listed)
    return listed
