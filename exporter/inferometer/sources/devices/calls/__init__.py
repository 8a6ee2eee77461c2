# SPDX-License-Identifier: Apache-2.0
"""Every NVML call that is made, as data: which metric it feeds, in what unit, on which architecture, and with MIG on or off.

Imported by the sampler child, so it imports nothing but the standard library, and names metrics only by their text.
Facts are NVIDIA's, from the comments of `nvml.h` (CUDA 13.3) unless a line says otherwise.
"""

from inferometer.sources.devices.calls import compute, facts, links, memory, power
from inferometer.sources.devices.calls.shapes import (
    DIVISIONS,
    FAST,
    MEDIUM,
    SLOW,
    TIERS,
    Each,
    Fact,
    Handle,
    Mark,
    Nvml,
    Quantity,
    Raw,
    Row,
    Way,
    first,
)

__all__ = [
    "CALLS",
    "DIVISIONS",
    "DRIVER_FACTS",
    "EVENTS",
    "FAST",
    "FIELDS",
    "FIELDS_CALL",
    "GPM_CALL",
    "GPU_FACTS",
    "GPU_ROWS",
    "GPU_TABLE",
    "INSTANCE_ROWS",
    "INSTANCE_TABLE",
    "LISTS",
    "MEDIUM",
    "NUMBER",
    "PROCESSES",
    "QUANTITIES",
    "ROWS",
    "SHARES",
    "SLOW",
    "TIERS",
    "UNBIND",
    "VGPUS",
    "WALK",
    "Each",
    "Fact",
    "Handle",
    "Mark",
    "Nvml",
    "Quantity",
    "Raw",
    "Row",
    "Way",
    "first",
]

GPU_FACTS = facts.GPU_FACTS
DRIVER_FACTS = facts.DRIVER_FACTS

GPU_ROWS: tuple[Row, ...] = (
    *compute.UTILIZATION,
    *compute.activity("gpu"),
    *compute.CYCLES,
    *memory.GPU,
    *power.GPU,
    *links.PCIE,
    *links.NVLINK,
    *links.C2C,
    *links.FABRIC,
)
INSTANCE_ROWS: tuple[Row, ...] = (*compute.activity("gpu.mig"), *memory.INSTANCE)
ROWS = (*GPU_ROWS, *INSTANCE_ROWS)

# A value travels from the child as its position here and its number.
QUANTITIES: tuple[tuple[Quantity, Row], ...] = tuple((quantity, row) for row in ROWS for quantity in row.gives)
_POSITIONS = [sum(len(row.gives) for row in ROWS[:i]) for i in range(len(ROWS))]
GPU_TABLE: tuple[tuple[int, Row], ...] = tuple(zip(_POSITIONS, GPU_ROWS, strict=False))
INSTANCE_TABLE: tuple[tuple[int, Row], ...] = tuple(zip(_POSITIONS[len(GPU_ROWS) :], INSTANCE_ROWS, strict=True))

# --- where the child is ---------------------------------------------------------------------------------------------

FIELDS_CALL = "nvmlDeviceGetFieldValues"
GPM_CALL = "nvmlGpmMetricsGet"
# The calls of the walk through GPUs and instances, for which there is no table: `Gpu` and `Instances` make them in this order.
WALK: tuple[str, ...] = (
    "nvmlInitWithFlags",
    "nvmlDeviceGetCount_v2",
    "nvmlGetExcludedDeviceCount",
    "nvmlGetExcludedDeviceInfoByIndex",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetName",
    "nvmlDeviceGetAttributes_v2",
    "nvmlDeviceGetGpuInstanceById",
    "nvmlGpuInstanceGetInfo",
    FIELDS_CALL,
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleGet",
    "nvmlGpmMigSampleGet",
    GPM_CALL,
    "nvmlGpmSampleFree",
    "nvmlShutdown",
)
# The calls of `events`.
EVENTS: tuple[str, ...] = (
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlEventSetCreate",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
    "nvmlEventSetFree",
)
# The calls of `unbind`.
UNBIND: tuple[str, ...] = (
    "nvmlSystemEventSetCreate",
    "nvmlSystemRegisterEvents",
    "nvmlSystemEventSetWait",
    "nvmlSystemEventSetFree",
)
# Those of `processes`: by kind, in the order of which a process is the first that has it; clients of MPS are in the list of
# compute processes too, and what draws may compute. Then those of `shares`, of which the newer came with driver 550.
LISTS: tuple[tuple[str, str], ...] = (
    ("mps", "nvmlDeviceGetMPSComputeRunningProcesses_v3"),
    ("compute", "nvmlDeviceGetComputeRunningProcesses_v3"),
    ("graphics", "nvmlDeviceGetGraphicsRunningProcesses_v3"),
)
SHARES: tuple[str, ...] = ("nvmlDeviceGetProcessesUtilizationInfo", "nvmlDeviceGetProcessUtilization")
PROCESSES: tuple[str, ...] = (*(call for _, call in LISTS), *SHARES)
# Those of `vgpus`.
VGPUS: tuple[str, ...] = (
    "nvmlDeviceGetActiveVgpus",
    "nvmlDeviceGetVgpuInstancesUtilizationInfo",
    "nvmlDeviceGetVgpuUtilization",
    "nvmlVgpuInstanceGetUUID",
    "nvmlVgpuInstanceGetVmID",
    "nvmlVgpuInstanceGetType",
    "nvmlVgpuTypeGetName",
    "nvmlVgpuTypeGetFramebufferSize",
    "nvmlVgpuInstanceGetFbUsage",
)


def _exports() -> list[str]:
    """Give the library's functions that the table reads with; fields, metrics and samples are parts of one."""
    ways = [way.call for row in ROWS for way in row.ways if way.read or way.samples]
    return [*ways, *(row.each.call for row in ROWS if row.each), *(fact.call for fact in (*GPU_FACTS, *DRIVER_FACTS))]


# Every function that is called by its number, as the whereabouts word carries it (one byte); 0 is none.
CALLS: tuple[str, ...] = tuple(dict.fromkeys(("", *WALK, *EVENTS, *UNBIND, *PROCESSES, *VGPUS, *_exports())))
NUMBER: dict[str, int] = {call: number for number, call in enumerate(CALLS)}


def _fields() -> dict[int, str]:
    ways = [way for row in ROWS for way in row.ways if way.field]
    return {
        number: way.call for way in ways for number in (way.field if isinstance(way.field, tuple) else (way.field,))
    }


# The name of every field that is read, by its id.
FIELDS: dict[int, str] = _fields()
