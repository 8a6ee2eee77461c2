# SPDX-License-Identifier: Apache-2.0
"""A stand-in for `pynvml` inside the sampler child: its function names, constants, errors and answers, for simulated GPUs.

It answers from the node's registers. Imported by the child, so it imports nothing but the standard library. What a real
H100 refuses (utilisation while MIG is on, power of an instance, ...) is refused here with the same error.
"""
# ruff: noqa: N802, N803  # the names are NVML's

import time
from types import SimpleNamespace
from typing import Any

from inferometer.simulation.nvml_codes import *  # noqa: F403  # to the child the stand-in is one module, as pynvml is
from inferometer.simulation.nvml_codes import (
    NVML_DEVICE_ARCH_HOPPER,
    NVML_ERROR_GPU_IS_LOST,
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_LIBRARY_NOT_FOUND,
    NVML_ERROR_NOT_FOUND,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_ERROR_UNINITIALIZED,
    NVML_FI_DEV_MEMORY_TEMP,
    NVML_FI_DEV_POWER_AVERAGE,
    NVML_FI_DEV_POWER_INSTANT,
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
    NVML_SUCCESS,
    NVML_TEMPERATURE_GPU,
    NVML_VALUE_TYPE_UNSIGNED_INT,
    NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
    TEXT,
    NVMLError,
    nvmlTemperature_v1,
)
from inferometer.simulation.nvml_events import *  # noqa: F403  # see above
from inferometer.simulation.nvml_handles import (
    Handle,
    Library,
    find,
    read_at,
    read_either,
    read_instance,
    read_node,
    read_unpartitioned,
    read_whole,
)
from inferometer.simulation.registers import Reader


def configure(argument: str) -> None:
    """Name the file of the registers. The sampler calls this before anything else."""
    Library.path = argument


# --- the system -----------------------------------------------------------------------------------------------------


def nvmlInitWithFlags(flags: int) -> None:
    """Load the registers; without the file there is no library. `flags` change nothing here."""
    del flags
    try:
        Library.registers = Reader(Library.path)
    except OSError as error:
        raise NVMLError(NVML_ERROR_LIBRARY_NOT_FOUND) from error
    read_node()


def nvmlInit() -> None:
    """As nvmlInitWithFlags(0)."""
    nvmlInitWithFlags(0)


def nvmlShutdown() -> None:
    """Let go of the registers."""
    if Library.registers is None:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    Library.registers.close()
    Library.registers = None


def nvmlErrorString(result: int) -> str:
    """The text of a return code."""
    return TEXT.get(result, "Unknown Error")


def nvmlSystemGetDriverVersion() -> str:
    """The driver's version, which says what it is."""
    return str(read_node()["driver"])


def nvmlSystemGetNVMLVersion() -> str:
    """The library's version."""
    return f"12.{read_node()['driver']}"


def nvmlSystemGetCudaDriverVersion() -> int:
    """CUDA version: 12080 is 12.8."""
    return int(read_node()["cuda"])


nvmlSystemGetCudaDriverVersion_v2 = nvmlSystemGetCudaDriverVersion  # noqa: N816  # NVML's own name


# --- enumeration ----------------------------------------------------------------------------------------------------


def nvmlDeviceGetCount() -> int:
    """The number of GPUs, lost ones too."""
    return len(read_node()["gpus"])


def nvmlDeviceGetHandleByIndex(index: int) -> Handle:
    """A GPU by its NVML index."""
    handle = Handle(index)
    if read_at(index)["lost"]:
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return handle


def nvmlDeviceGetHandleByUUID(uuid: str) -> Handle:
    """A GPU or MIG instance by its UUID."""
    for gpu in read_node()["gpus"]:
        if gpu["uuid"] == uuid:
            return Handle(gpu["index"])
        for instance in gpu["instances"]:
            if instance["uuid"] == uuid:
                return Handle(gpu["index"], instance["index"])
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def nvmlDeviceGetMigMode(device: Handle) -> list[int]:
    """MIG mode now and after the next reset."""
    mode = int(read_whole(device)["mig"])
    return [mode, mode]


def nvmlDeviceGetMaxMigDeviceCount(device: Handle) -> int:
    """How many instances there can be."""
    return 7 if read_whole(device)["mig"] else 0


def nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, index: int) -> Handle:
    """An instance by its index: Not Found at a hole, and where MIG is off."""
    find(read_whole(device)["instances"], index)
    return Handle(device.gpu, index)


def nvmlDeviceIsMigDeviceHandle(device: Handle) -> int:
    """1 for an instance, 0 for a GPU."""
    return int(device.instance is not None)


def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(migDevice: Handle) -> Handle:
    """The GPU of an instance."""
    read_instance(migDevice)
    return Handle(migDevice.gpu)


def nvmlDeviceGetGpuInstanceId(device: Handle) -> int:
    """GPU instance id of an instance."""
    return int(read_instance(device)["gpu_instance"])


def nvmlDeviceGetComputeInstanceId(device: Handle) -> int:
    """Compute instance id: there is one in each GPU instance."""
    read_instance(device)
    return 0


def nvmlDeviceGetAttributes_v2(device: Handle) -> SimpleNamespace:
    """What an instance consists of."""
    instance = read_instance(device)
    return SimpleNamespace(
        multiprocessorCount=instance["multiprocessors"],
        sharedCopyEngineCount=instance["slices"],
        sharedDecoderCount=instance["slices"],
        sharedEncoderCount=0,
        sharedJpegCount=instance["slices"],
        sharedOfaCount=0,
        gpuInstanceSliceCount=instance["slices"],
        computeInstanceSliceCount=instance["slices"],
        memorySizeMB=instance["memory"]["total"] >> 20,
    )


nvmlDeviceGetAttributes = nvmlDeviceGetAttributes_v2  # noqa: N816  # NVML's own name


def nvmlDeviceGetGpuInstanceById(device: Handle, gpuInstanceId: int) -> Handle:
    """A GPU instance by its id."""
    for instance in read_whole(device)["instances"]:
        if instance["gpu_instance"] == gpuInstanceId:
            return Handle(device.gpu, instance["index"])
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def nvmlGpuInstanceGetInfo(gpuInstance: Handle) -> SimpleNamespace:
    """Profile id and placement, in memory slices, of a GPU instance."""
    instance = read_instance(gpuInstance)
    return SimpleNamespace(
        device=Handle(gpuInstance.gpu),
        id=instance["gpu_instance"],
        profileId=instance["profile_id"],
        placement=SimpleNamespace(start=instance["start"], size=instance["memory_slices"]),
    )


# --- what describes -------------------------------------------------------------------------------------------------


def nvmlDeviceGetUUID(handle: Handle) -> str:
    """UUID of a GPU or an instance."""
    return str(read_either(handle)["uuid"])


def nvmlDeviceGetIndex(handle: Handle) -> int:
    """Index of a GPU, or of an instance in its GPU."""
    return int(read_either(handle)["index"])


def nvmlDeviceGetMinorNumber(handle: Handle) -> int:
    """Minor number of a GPU's device file."""
    return int(read_whole(handle)["minor"])


def nvmlDeviceGetName(handle: Handle) -> str:
    """Product name, with the profile for an instance."""
    return str(read_either(handle)["name"])


def nvmlDeviceGetSerial(handle: Handle) -> str:
    """Board serial number."""
    return str(read_whole(handle)["serial"])


def nvmlDeviceGetVbiosVersion(handle: Handle) -> str:
    """VBIOS version."""
    return str(read_whole(handle)["vbios"])


def nvmlDeviceGetPciInfo(handle: Handle) -> SimpleNamespace:
    """PCI address. NVML writes the domain with eight digits."""
    bus = read_whole(handle)["bus"]
    return SimpleNamespace(
        busId=f"00000000:{bus:02X}:00.0", busIdLegacy=f"0000:{bus:02X}:00.0", domain=0, bus=bus, device=0
    )


nvmlDeviceGetPciInfo_v3 = nvmlDeviceGetPciInfo  # noqa: N816  # NVML's own name


def nvmlDeviceGetArchitecture(device: Handle) -> int:
    """Architecture: Hopper."""
    read_whole(device)
    return NVML_DEVICE_ARCH_HOPPER


def nvmlDeviceGetCudaComputeCapability(handle: Handle) -> tuple[int, int]:
    """CUDA compute capability: 9.0."""
    read_whole(handle)
    return 9, 0


def nvmlDeviceGetMemoryAffinity(handle: Handle, nodeSetSize: int, scope: int) -> list[int]:
    """The NUMA nodes near a GPU, as words of 64 nodes."""
    del scope
    node = read_whole(handle)["numa"]
    return [1 << node - 64 * word if word == node // 64 else 0 for word in range(nodeSetSize)]


def nvmlDeviceGetNumaNodeId(handle: Handle) -> int:
    """Only where a GPU's memory is a NUMA node of its own."""
    read_whole(handle)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


# --- what is measured -----------------------------------------------------------------------------------------------


def nvmlDeviceGetMemoryInfo(handle: Handle, version: int | None = None) -> SimpleNamespace:
    """Memory in bytes. Version 1 counts what is reserved as used; version 2 tells it apart."""
    memory = read_either(handle)["memory"]
    total, reserved, used = memory["total"], memory["reserved"], memory["used"]
    free = total - reserved - used
    if not version:
        return SimpleNamespace(total=total, free=free, used=used + reserved)
    return SimpleNamespace(version=version, total=total, reserved=reserved, free=free, used=used)


def nvmlDeviceGetUtilizationRates(handle: Handle) -> SimpleNamespace:
    """Percent of the time that a kernel ran, and that memory was accessed."""
    busy = read_unpartitioned(handle)["utilization"]
    return SimpleNamespace(gpu=busy, memory=busy * 6 // 10)


def nvmlDeviceGetEncoderUtilization(handle: Handle) -> list[int]:
    """Percent, and the sampling period in microseconds."""
    return [int(read_unpartitioned(handle)["encoder"]), 167_000]


nvmlDeviceGetDecoderUtilization = nvmlDeviceGetEncoderUtilization  # noqa: N816  # NVML's own name


def nvmlDeviceGetPowerUsage(handle: Handle) -> int:
    """Milliwatts."""
    return int(read_whole(handle)["power"])


def nvmlDeviceGetEnforcedPowerLimit(handle: Handle) -> int:
    """Milliwatts."""
    return int(read_whole(handle)["power_limit"])


def nvmlDeviceGetTotalEnergyConsumption(handle: Handle) -> int:
    """Millijoules since the driver was loaded."""
    return int(read_whole(handle)["energy"])


def nvmlDeviceGetTemperature(handle: Handle, sensor: int) -> int:
    """Core temperature in degrees Celsius."""
    gpu = read_whole(handle)
    if sensor != NVML_TEMPERATURE_GPU:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return int(gpu["temperature"])


def nvmlDeviceGetTemperatureV(handle: Handle, sensor: int, version: int = nvmlTemperature_v1) -> int:
    """As nvmlDeviceGetTemperature, which is deprecated."""
    del version
    return nvmlDeviceGetTemperature(handle, sensor)


def nvmlDeviceGetClockInfo(handle: Handle, type: int) -> int:  # noqa: A002  # pynvml's own name
    """Megahertz of one domain."""
    clocks: list[int] = read_whole(handle)["clocks"]
    if not 0 <= type < len(clocks):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return clocks[type]


_FIELDS = {
    NVML_FI_DEV_MEMORY_TEMP: "memory_temperature",
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: "energy",
    NVML_FI_DEV_POWER_AVERAGE: "power",
    NVML_FI_DEV_POWER_INSTANT: "power",
}


def nvmlDeviceGetFieldValues(handle: Handle, fieldIds: list[Any]) -> list[SimpleNamespace]:
    """Several fields at once, each with its own return code. An entry is a field id, or (field id, scope)."""
    gpu = read_whole(handle)
    return [_field_value(gpu, *(entry if isinstance(entry, tuple) else (entry, 0))) for entry in fieldIds]


def _field_value(gpu: dict[str, Any], field: int, scope: int) -> SimpleNamespace:
    name = _FIELDS.get(field)
    value = gpu[name] if name else 0
    wide = field == NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
    return SimpleNamespace(
        fieldId=field,
        scopeId=scope,
        timestamp=int(time.time() * 1e6),
        latencyUsec=1,
        valueType=NVML_VALUE_TYPE_UNSIGNED_LONG_LONG if wide else NVML_VALUE_TYPE_UNSIGNED_INT,
        nvmlReturn=NVML_SUCCESS if name else NVML_ERROR_NOT_SUPPORTED,
        value=SimpleNamespace(dVal=0.0, uiVal=value, ulVal=value, ullVal=value, sllVal=value, siVal=value, usVal=0),
    )
