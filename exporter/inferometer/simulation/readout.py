# SPDX-License-Identifier: Apache-2.0
"""What the registers hold: the world's GPUs in NVML's own units, as one JSON document for the stand-in."""

from typing import Any

from inferometer.simulation.hardware import (
    MEMORY,
    MEMORY_CLOCK,
    NAME,
    POWER_LIMIT,
    RESERVED,
    VIDEO_CLOCK,
    Gpu,
    InstanceSpec,
)
from inferometer.simulation.world import World

DRIVER = "575.57.08-simulated"
CUDA = 12090
VBIOS = "96.00.99.00.01"


def read_out(world: World) -> dict[str, Any]:
    """Give the document: `loaded`, `driver`, `cuda` and `gpus`, each with its instances."""
    return {
        "loaded": world.driver_loaded,
        "driver": DRIVER,
        "cuda": CUDA,
        "gpus": [_gpu(gpu) for gpu in world.gpus],
    }


def _gpu(gpu: Gpu) -> dict[str, Any]:
    spec = gpu.spec
    return {
        "uuid": spec.uuid,
        "index": spec.index,
        "minor": spec.minor,
        "name": NAME,
        "serial": spec.serial,
        "vbios": VBIOS,
        "bus": spec.bus,
        "numa": spec.numa,
        "mig": bool(spec.instances),
        "lost": gpu.lost,
        "hung": gpu.hung,
        "xids": list(gpu.xids),
        "memory": {"total": MEMORY, "reserved": RESERVED, "used": gpu.memory_used},
        "utilization": gpu.utilization,
        "encoder": 0,  # inference encodes no video
        "power": gpu.power,
        "power_limit": POWER_LIMIT,
        "energy": gpu.energy,
        "temperature": gpu.temperature,
        "memory_temperature": gpu.memory_temperature,
        "clocks": [gpu.sm_clock, gpu.sm_clock, MEMORY_CLOCK, VIDEO_CLOCK],  # in the order of NVML_CLOCK_*
        "instances": [_instance(gpu, instance) for instance in spec.instances],
    }


def _instance(gpu: Gpu, spec: InstanceSpec) -> dict[str, Any]:
    return {
        "uuid": spec.uuid,
        "index": spec.index,
        "name": f"{NAME} MIG {spec.profile}",
        "gpu_instance": spec.gpu_instance,
        "profile_id": spec.profile_id,
        "start": spec.start,
        "memory_slices": spec.memory_slices,
        "slices": spec.slices,
        "multiprocessors": spec.multiprocessors,
        "memory": {"total": spec.memory, "reserved": spec.reserved, "used": gpu.used[spec.uuid]},
    }
