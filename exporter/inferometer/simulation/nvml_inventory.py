# SPDX-License-Identifier: Apache-2.0
"""NVML's inventory of simulated GPUs: which there are, their MIG instances, and what describes them."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace

from inferometer.simulation.nvml_codes import (
    NVML_DEVICE_ARCH_HOPPER,
    NVML_ERROR_GPU_IS_LOST,
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_FOUND,
    NVML_ERROR_NOT_SUPPORTED,
    NVMLError,
)
from inferometer.simulation.nvml_handles import (
    Handle,
    find,
    read_at,
    read_either,
    read_instance,
    read_node,
    read_whole,
)

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


def nvmlGetExcludedDeviceCount() -> int:
    """No GPU is excluded."""
    read_node()
    return 0


def nvmlGetExcludedDeviceInfoByIndex(index: int) -> SimpleNamespace:
    """There is none to describe."""
    del index
    read_node()
    raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)


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


def nvmlDeviceGetBoardPartNumber(handle: Handle) -> str:
    """Part number of the board."""
    return str(read_whole(handle)["board_part"])


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


# --- modes ----------------------------------------------------------------------------------------------------------


def nvmlDeviceGetEccMode(handle: Handle) -> list[int]:
    """ECC now and after the next reset: on."""
    read_whole(handle)
    return [1, 1]


def nvmlDeviceGetComputeMode(handle: Handle) -> int:
    """Default: any process may use it."""
    read_whole(handle)
    return 0


def nvmlDeviceGetPersistenceMode(handle: Handle) -> int:
    """On."""
    read_whole(handle)
    return 1


def nvmlDeviceGetVirtualizationMode(handle: Handle) -> int:
    """None: bare metal."""
    read_whole(handle)
    return 0
