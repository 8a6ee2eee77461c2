# SPDX-License-Identifier: Apache-2.0
"""What the simulated node consists of: its GPUs, pods, claims and engines, written down once."""

import uuid
from dataclasses import dataclass
from random import Random

from inferometer.simulation.engine import EngineSpec
from inferometer.simulation.hardware import MIB, POWER_LIMIT, GpuSpec, InstanceSpec

NODE = "simulated-node"
DRA_DRIVER = "gpu.nvidia.com"
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Place:
    """A whole GPU, or the MIG instance of it that has this NVML index."""

    gpu: int
    instance: int | None = None


@dataclass(frozen=True, slots=True)
class PluginHold:
    """What the device plugin gave a container. `replicas` are time slices; none means the whole device."""

    resource: str
    places: tuple[Place, ...]
    replicas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimSpec:
    """A ResourceClaim and what was allocated to it: (request, place)."""

    key: str
    namespace: str
    name: str
    results: tuple[tuple[str, Place], ...]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container and what it holds. The kubelet reports all devices of a claim to each container that names it."""

    name: str
    plugin: tuple[PluginHold, ...] = ()
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod. `key` is its short name in the scenario; `memory` is what it uses on each of its devices.

    `duty` and `effort` are the mean shares of time and power of a pod that computes without an engine.
    """

    key: str
    namespace: str
    name: str
    kind: str
    workload: str
    team: str
    cost_center: str
    containers: tuple[ContainerSpec, ...]
    memory: int
    engine: EngineSpec | None = None
    template_hash: str = ""  # of the ReplicaSet, for pods of a Deployment
    duty: float = 0.0
    effort: float = 0.0
    started: bool = True


_WHOLE = "nvidia.com/gpu"
_SHARED = "nvidia.com/gpu.shared"

CLAIMS = (
    ClaimSpec("guard", "safety", "guard-0-gpu-7hx2k", (("gpu", Place(2, 1)),)),
    ClaimSpec("search", "search", "search-gpu", (("gpu", Place(4)),)),
    ClaimSpec("notebook", "research", "notebook-dana-0-gpu-xbpqm", (("gpu", Place(5)),)),
    ClaimSpec("burst", "research", "burst-gpus-qx7c5", (("big", Place(7)), ("small", Place(2, 3)))),
)

PODS = (
    PodSpec(
        *("chat", "assistants", "chat-6f9c7d5b8d-x7k2p", "Deployment", "chat", "assistants", "cc-1001"),
        containers=(ContainerSpec("vllm", (PluginHold(_WHOLE, (Place(0), Place(1))),)),),
        memory=74 * GIB,
        engine=EngineSpec("chat-70b", 2.6, 0.0, 420, 190, 256, 16384, 3_600, 128, 0.021, 0.00022, 11_000),
        template_hash="6f9c7d5b8d",
    ),
    PodSpec(
        *("summary", "documents", "summary-5b6d8f9c4c-m4t9z", "Deployment", "summary", "documents", "cc-1002"),
        containers=(ContainerSpec("vllm", (PluginHold("nvidia.com/mig-3g.40gb", (Place(2, 0),)),)),),
        memory=35 * GIB,
        engine=EngineSpec("summary-8b", 0.9, 0.3, 1500, 130, 64, 8192, 720, 32, 0.014, 0.0004, 9_000),
        template_hash="5b6d8f9c4c",
    ),
    PodSpec(
        *("guard", "safety", "guard-0", "StatefulSet", "guard", "safety", "cc-1003"),
        containers=(ContainerSpec("vllm", claims=("guard",)),),
        memory=17 * GIB,
        engine=EngineSpec("guard-3b", 3.5, 0.5, 300, 6, 128, 4096, 600, 64, 0.009, 0.0002, 14_000),
    ),
    PodSpec(
        *("assist", "assistants", "assist-7cfd9d6b5f-8w2ld", "Deployment", "assist", "assistants", "cc-1001"),
        containers=(ContainerSpec("vllm", (PluginHold(_SHARED, (Place(3),), (0,)),)),),
        memory=30 * GIB,
        engine=EngineSpec("assist-7b", 0.8, 0.7, 350, 90, 128, 8192, 1_200, 64, 0.010, 0.0002, 18_000),
        template_hash="7cfd9d6b5f",
    ),
    PodSpec(
        *("batch", "research", "nightly-eval-lq8rn", "Job", "nightly-eval", "research", "cc-1004"),
        containers=(ContainerSpec("eval", (PluginHold(_SHARED, (Place(3),), (1, 2)),)),),
        memory=11 * GIB,
        duty=0.35,
        effort=0.18,
    ),
    PodSpec(
        *("shell", "research", "dev-shell", "Pod", "dev-shell", "research", "cc-1004"),
        containers=(ContainerSpec("shell", (PluginHold(_SHARED, (Place(3),), (3,)),)),),
        memory=480 * MIB,
    ),
    PodSpec(
        *("search", "search", "search-ranker-0", "StatefulSet", "search-ranker", "search", "cc-1005"),
        containers=(ContainerSpec("vllm", claims=("search",)),),
        memory=44 * GIB,
        engine=EngineSpec("search-14b", 1.6, 0.2, 700, 60, 512, 8192, 1_100, 64, 0.013, 0.0003, 16_000),
    ),
    PodSpec(
        *("index", "search", "search-index-b7d4c8f66-tz5vk", "Deployment", "search-index", "search", "cc-1005"),
        containers=(ContainerSpec("indexer", claims=("search",)),),
        memory=9 * GIB,
        template_hash="b7d4c8f66",
        duty=0.22,
        effort=0.12,
    ),
    PodSpec(
        *("notebook", "research", "notebook-dana-0", "StatefulSet", "notebook-dana", "research", "cc-1004"),
        containers=(ContainerSpec("notebook", claims=("notebook",)), ContainerSpec("sync", claims=("notebook",))),
        memory=1300 * MIB,
    ),
    PodSpec(
        *("code", "platform", "code-85b4fd7c9b-rj6hn", "Deployment", "code", "platform", "cc-1006"),
        containers=(ContainerSpec("vllm", (PluginHold(_WHOLE, (Place(6),)),)),),
        memory=73 * GIB,
        engine=EngineSpec("code-32b", 1.5, 0.85, 900, 220, 384, 16384, 2_600, 64, 0.017, 0.0003, 12_000),
        template_hash="85b4fd7c9b",
    ),
    # Not there at first: takes what is free, by one claim with two requests.
    PodSpec(
        *("burst", "research", "burst-2kq7d", "Job", "burst", "research", "cc-1004"),
        containers=(ContainerSpec("train", claims=("burst",)),),
        memory=6 * GIB,
        duty=0.8,
        effort=0.7,
        started=False,
    ),
)


def new_uuid(random: Random) -> str:
    """A random (version 4) UUID from a seeded source."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def instances(random: Random) -> tuple[InstanceSpec, ...]:
    """The MIG layout of GPU 2: ids, placements and sizes as an H100 80GB has them. NVML index 2 is a hole."""

    def one(*values: int, profile: str) -> InstanceSpec:
        index, profile_id, slices, memory_slices, start, gpu_instance, memory, multiprocessors = values
        return InstanceSpec(
            uuid=f"MIG-{new_uuid(random)}",
            index=index,
            profile=profile,
            profile_id=profile_id,
            slices=slices,
            memory_slices=memory_slices,
            start=start,
            gpu_instance=gpu_instance,
            memory=memory * MIB,
            reserved=memory_slices * 16 * MIB,
            multiprocessors=multiprocessors,
        )

    return (
        one(0, 9, 3, 4, 0, 2, 40448, 60, profile="3g.40gb"),
        one(1, 14, 2, 2, 4, 3, 20096, 32, profile="2g.20gb"),
        one(3, 19, 1, 1, 6, 9, 9984, 16, profile="1g.10gb"),
    )


def gpus(seed: int) -> tuple[GpuSpec, ...]:
    """The node's eight GPUs. Minor numbers of GPUs 4 and 5 are swapped: DRA names a device by its minor number."""
    random = Random(f"{seed}/gpus")  # noqa: S311  # a simulation wants a repeatable source
    minors = (0, 1, 2, 3, 5, 4, 6, 7)
    return tuple(
        GpuSpec(
            uuid=f"GPU-{new_uuid(random)}",
            index=index,
            minor=minor,
            serial=f"165{random.randrange(10**10):010d}",
            bus=(0x18, 0x2A, 0x3A, 0x5D, 0x84, 0x8B, 0x91, 0xE4)[index],
            numa=index // 4,
            driver_joules=random.randrange(10**8, 10**9),
            power_limit=450_000 if index == 6 else POWER_LIMIT,  # of the code assistant, which comes up against it
            instances=instances(random) if index == 2 else (),
        )
        for index, minor in enumerate(minors)
    )


def device_name(gpu: GpuSpec, instance: InstanceSpec | None) -> str:
    """A device's name in DRA: `gpu-<minor>` or `gpu-<minor>-mig-<profile>-<profile id>-<placement start>`.

    Source: dra-driver-nvidia-gpu, cmd/gpu-kubelet-plugin/mig.go `ToCanonicalName`.
    """
    if instance is None:
        return f"gpu-{gpu.minor}"
    return f"gpu-{gpu.minor}-mig-{instance.profile.replace('.', '')}-{instance.profile_id}-{instance.start}"
