# SPDX-License-Identifier: Apache-2.0
"""What the registers hold: the world's GPUs in NVML's own units, as one JSON document for the stand-in."""

from typing import Any

from inferometer.simulation.hardware import (
    BOOST_CLOCK,
    LOWEST_POWER_LIMIT,
    MEMORY,
    MEMORY_CLOCK,
    MEMORY_SLICES,
    MIB,
    NAME,
    POWER_LIMIT,
    RESERVED,
    VIDEO_CLOCK,
    Gpu,
    InstanceSpec,
)
from inferometer.simulation.health import ACTIONS, BANKS, ERRORS, Health
from inferometer.simulation.world import World

DRIVER = "575.57.08-simulated"
CUDA = 12090
VBIOS = "96.00.99.00.01"
BOARD_PART = "692-2G520-0200-000"
BAR1 = 131072 * MIB
BAR1_USED = 2 * MIB

Processes = dict[str, list[tuple[int, int, int]]]  # pid, bytes and percent of the multiprocessors, by device


def read_out(world: World) -> dict[str, Any]:
    """Give the document: `loaded`, `driver`, `cuda`, the `clock` and `gpus`, each with its instances."""
    processes: Processes = {}
    for pod in world.pods.values():
        for place in world.places(pod.spec):
            entry = (pod.pid, pod.spec.memory, round(100 * pod.busy))
            processes.setdefault(world.uuid(place), []).append(entry)
    return {
        "loaded": world.driver_loaded,
        "driver": DRIVER,
        "cuda": CUDA,
        "clock": {"before": world.moved_at * world.step, "now": world.steps * world.step, "step": world.step},
        "gpus": [_gpu(gpu, processes) for gpu in world.gpus],
    }


def _gpu(gpu: Gpu, processes: Processes) -> dict[str, Any]:
    spec = gpu.spec
    meters = gpu.meters[spec.uuid]
    return {
        "uuid": spec.uuid,
        "index": spec.index,
        "minor": spec.minor,
        "name": NAME,
        "serial": spec.serial,
        "vbios": VBIOS,
        "board_part": BOARD_PART,
        "bus": spec.bus,
        "numa": spec.numa,
        "mig": bool(spec.instances),
        "lost": gpu.lost,
        "hung": gpu.hung,
        "xids": list(gpu.xids),
        "memory": {"total": MEMORY, "reserved": RESERVED, "used": gpu.memory_used},
        "bar1": {"total": BAR1, "used": BAR1_USED},
        "utilization": gpu.utilization,
        "power": gpu.power,
        "average_power": gpu.average_power,
        "power_limits": [LOWEST_POWER_LIMIT, POWER_LIMIT, POWER_LIMIT, spec.power_limit],  # least, most, default, set
        "energy": gpu.energy,
        "samples": list(gpu.samples),
        "temperature": gpu.temperature,
        "memory_temperature": gpu.memory_temperature,
        "clocks": [gpu.sm_clock, gpu.sm_clock, MEMORY_CLOCK, VIDEO_CLOCK],  # in the order of NVML_CLOCK_*
        "highest_clocks": [BOOST_CLOCK, BOOST_CLOCK, MEMORY_CLOCK, VIDEO_CLOCK],
        "reasons": gpu.reasons,
        "throttled": {reason: spent * 1_000_000 for reason, spent in gpu.throttled.items()},  # nanoseconds
        "links": gpu.link_bytes,
        "meters": [meters.before, meters.now],
        "health": _health(gpu.health),
        "processes": processes.get(spec.uuid, []),
        "instances": [_instance(gpu, instance, processes) for instance in spec.instances],
    }


def _instance(gpu: Gpu, spec: InstanceSpec, processes: Processes) -> dict[str, Any]:
    meters = gpu.meters[spec.uuid]
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
        "bar1": {"total": BAR1 * spec.memory_slices // MEMORY_SLICES, "used": 0},
        "meters": [meters.before, meters.now],
        "processes": processes.get(spec.uuid, []),
    }


def _health(health: Health) -> dict[str, Any]:
    """`errors` in the order of `ERRORS`; `banks` by what is left of their spare rows, all, most, some, few, none."""
    remapped = health.remapped["corrected"], health.remapped["uncorrected"]
    return {
        "errors": [health.errors[error] for error in ERRORS],
        "remapped": [*remapped, int(health.remap_pending), int(health.remap_failed)],
        "banks": [BANKS - sum(remapped), sum(remapped), 0, 0, 0],
        "action": ACTIONS.index(health.action),
        "down": sorted(health.links_down),
    }
