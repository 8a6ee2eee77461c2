# SPDX-License-Identifier: Apache-2.0
"""Every NVML call that is made, as data: which metric it feeds, in what unit, on which architecture, and with MIG on or off.

Imported by the sampler child, so it imports nothing but the standard library, and names metrics only by their text.
Facts are NVIDIA's, from the comments of `nvml.h` (CUDA 13.3) unless a line says otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Nvml = Any  # the module `pynvml`, or what stands in for it
Handle = Any  # an opaque device handle of that module

# --- scales: from what NVML answers to the unit of the metric -------------------------------------------------------


def same(raw: float) -> float:
    """Keep it: bytes, degrees Celsius."""
    return float(raw)


def milli(raw: float) -> float:
    """Milliwatts to watts, millijoules to joules."""
    return raw / 1000


def mega(raw: float) -> float:
    """Megahertz to hertz."""
    return raw * 1e6


def percent(raw: float) -> float:
    """Percent to a ratio. Raises ValueError for what is no percentage: absent beats wrong."""
    if not 0 <= raw <= 100:
        raise ValueError(f"{raw} is no percentage")
    return raw / 100


# --- the shape of the table -----------------------------------------------------------------------------------------


class Quantity(NamedTuple):
    """One value that a row gives: the metric, the attributes that this value adds, and its scale."""

    metric: str
    attributes: tuple[tuple[str, str], ...] = ()
    scale: Callable[[float], float] = same


class Way(NamedTuple):
    """One way to read a row: a function of the device handle, or a field id (all fields are asked in one call).

    `read` returns the raw numbers in the order of the row's quantities; None where this way cannot tell one.
    """

    call: str
    read: Callable[[Nvml, Handle], Sequence[float | None]] | None = None
    field: int = 0


class Row(NamedTuple):
    """What is read from a GPU or a MIG instance: the first of `ways` that the device supports counts."""

    gives: tuple[Quantity, ...]
    ways: tuple[Way, ...]
    architecture: str = ""  # the first that has it; empty: all
    without_mig: bool = False  # the driver refuses it while MIG is on, for the GPU and for its instances


class Fact(NamedTuple):
    """What only describes: read once per device generation. `read` returns "" where the device has none."""

    attribute: str
    call: str
    read: Callable[[Nvml, Handle], str]


# --- memory ---------------------------------------------------------------------------------------------------------


def _memory_v2(nvml: Nvml, handle: Handle) -> Sequence[float | None]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)
    return memory.used, memory.total, memory.reserved


def _memory_v1(nvml: Nvml, handle: Handle) -> Sequence[float | None]:
    # Version 1 counts what the driver reserves as used and does not say how much that is: only the size can be told.
    return None, nvml.nvmlDeviceGetMemoryInfo(handle).total, None


_MEMORY = (
    Way("nvmlDeviceGetMemoryInfo_v2", _memory_v2),  # driver 510 and newer
    Way("nvmlDeviceGetMemoryInfo", _memory_v1),
)

# --- what is read from a GPU ----------------------------------------------------------------------------------------


def _one(function: str, *arguments: str | int) -> Way:
    """Give the way of a call that answers one number; a text argument names a constant of the module."""

    def read(nvml: Nvml, handle: Handle) -> Sequence[float | None]:
        given = [getattr(nvml, a) if isinstance(a, str) else a for a in arguments]
        answer = getattr(nvml, function)(handle, *given)
        # The encoder and decoder calls answer [utilization, sampling period].
        return (answer[0] if isinstance(answer, list) else answer,)

    return Way(function, read)


def _clock(domain: str, constant: str) -> Row:
    return Row(
        (Quantity("gpu.clock.frequency", (("gpu.clock.domain", domain),), mega),),
        (_one("nvmlDeviceGetClockInfo", constant),),
    )


def _task(task: str) -> tuple[Quantity, ...]:
    return (Quantity("hw.gpu.utilization", (("hw.gpu.task", task),), percent),)


def _sensor(location: str) -> tuple[Quantity, ...]:
    return (Quantity("hw.temperature", (("hw.sensor_location", location),)),)


GPU_ROWS: tuple[Row, ...] = (
    Row(
        _task("general"),
        (Way("nvmlDeviceGetUtilizationRates", lambda nvml, handle: (nvml.nvmlDeviceGetUtilizationRates(handle).gpu,)),),
        without_mig=True,
    ),
    Row(_task("encoder"), (_one("nvmlDeviceGetEncoderUtilization"),), without_mig=True),
    Row(_task("decoder"), (_one("nvmlDeviceGetDecoderUtilization"),), without_mig=True),
    Row((Quantity("hw.gpu.memory.usage"), Quantity("hw.gpu.memory.limit"), Quantity("gpu.memory.reserved")), _MEMORY),
    # The function is an average over a second on Ampere and newer; the field is what the board draws now.
    Row(
        (Quantity("hw.power", scale=milli),),
        (Way("NVML_FI_DEV_POWER_INSTANT", field=186), _one("nvmlDeviceGetPowerUsage")),
    ),
    Row((Quantity("hw.energy", scale=milli),), (_one("nvmlDeviceGetTotalEnergyConsumption"),), architecture="volta"),
    Row(
        _sensor("core"),
        (
            _one("nvmlDeviceGetTemperatureV", "NVML_TEMPERATURE_GPU"),
            _one("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
        ),
    ),
    Row(_sensor("memory"), (Way("NVML_FI_DEV_MEMORY_TEMP", field=82),)),
    _clock("graphics", "NVML_CLOCK_GRAPHICS"),
    _clock("sm", "NVML_CLOCK_SM"),
    _clock("memory", "NVML_CLOCK_MEM"),
    _clock("video", "NVML_CLOCK_VIDEO"),
    Row((Quantity("gpu.power.limit", scale=milli),), (_one("nvmlDeviceGetEnforcedPowerLimit"),)),
)

# What is read from a MIG instance. Memory belongs to the GPU instance: see `survey.Gpu`.
INSTANCE_ROWS: tuple[Row, ...] = (
    Row(
        (Quantity("gpu.mig.memory.usage"), Quantity("gpu.mig.memory.limit"), Quantity("gpu.mig.memory.reserved")),
        _MEMORY,
        architecture="ampere",
    ),
)

ROWS = (*GPU_ROWS, *INSTANCE_ROWS)

# A value travels from the child as its position here and its number.
QUANTITIES: tuple[Quantity, ...] = tuple(quantity for row in ROWS for quantity in row.gives)
_POSITIONS = [sum(len(row.gives) for row in ROWS[:i]) for i in range(len(ROWS))]
GPU_TABLE: tuple[tuple[int, Row], ...] = tuple(zip(_POSITIONS, GPU_ROWS, strict=False))
INSTANCE_TABLE: tuple[tuple[int, Row], ...] = tuple(zip(_POSITIONS[len(GPU_ROWS) :], INSTANCE_ROWS, strict=True))

# --- what describes a GPU -------------------------------------------------------------------------------------------

ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}


def _text(function: str) -> Callable[[Nvml, Handle], str]:
    return lambda nvml, handle: str(getattr(nvml, function)(handle))


def _pci_address(nvml: Nvml, handle: Handle) -> str:
    """Give `0000:3b:00.0` as the kernel writes it; NVML writes `00000000:3B:00.0`."""
    domain, rest = nvml.nvmlDeviceGetPciInfo(handle).busId.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def _numa_node(nvml: Nvml, handle: Handle) -> str:
    """Give the lowest node of the set that NVML calls ideal for this GPU's memory (16 words of 64 nodes)."""
    words = nvml.nvmlDeviceGetMemoryAffinity(handle, 16, nvml.NVML_AFFINITY_SCOPE_NODE)
    nodes = (64 * i + (word & -word).bit_length() - 1 for i, word in enumerate(words) if word)
    return str(next(nodes, ""))


GPU_FACTS: tuple[Fact, ...] = (
    Fact("hw.model", "nvmlDeviceGetName", _text("nvmlDeviceGetName")),
    Fact("hw.serial_number", "nvmlDeviceGetSerial", _text("nvmlDeviceGetSerial")),
    Fact("hw.firmware_version", "nvmlDeviceGetVbiosVersion", _text("nvmlDeviceGetVbiosVersion")),
    Fact("gpu.pci.address", "nvmlDeviceGetPciInfo_v3", _pci_address),
    Fact("gpu.minor", "nvmlDeviceGetMinorNumber", _text("nvmlDeviceGetMinorNumber")),
    Fact("gpu.numa.node", "nvmlDeviceGetMemoryAffinity", _numa_node),
    Fact(
        "gpu.architecture",
        "nvmlDeviceGetArchitecture",
        lambda nvml, handle: ARCHITECTURES.get(nvml.nvmlDeviceGetArchitecture(handle), ""),
    ),
    Fact(
        "gpu.compute_capability",
        "nvmlDeviceGetCudaComputeCapability",
        lambda nvml, handle: "{}.{}".format(*nvml.nvmlDeviceGetCudaComputeCapability(handle)),
    ),
)


def _cuda_version(nvml: Nvml, _: Handle) -> str:
    version = nvml.nvmlSystemGetCudaDriverVersion_v2()  # 13010 is 13.1
    return f"{version // 1000}.{version % 1000 // 10}"


# What describes the driver, and so stands on every GPU alike.
DRIVER_FACTS: tuple[Fact, ...] = (
    Fact("hw.driver_version", "nvmlSystemGetDriverVersion", lambda nvml, _: str(nvml.nvmlSystemGetDriverVersion())),
    Fact("gpu.cuda.version", "nvmlSystemGetCudaDriverVersion_v2", _cuda_version),
)

# --- where the child is ---------------------------------------------------------------------------------------------

FIELDS_CALL = "nvmlDeviceGetFieldValues"
# The calls of the walk through GPUs and instances, for which there is no table: `survey` makes them in this order.
WALK: tuple[str, ...] = (
    "nvmlInitWithFlags",
    "nvmlDeviceGetCount_v2",
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
# Every call by its number, as the whereabouts word carries it (one byte); 0 is none.
CALLS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            "",
            *WALK,
            *EVENTS,
            *(way.call for row in ROWS for way in row.ways),
            *(fact.call for fact in (*GPU_FACTS, *DRIVER_FACTS)),
        )
    )
)
NUMBER: dict[str, int] = {call: number for number, call in enumerate(CALLS)}
