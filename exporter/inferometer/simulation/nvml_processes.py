# SPDX-License-Identifier: Apache-2.0
"""NVML's processes on simulated GPUs: one of each pod on each of its devices. There are neither graphics nor virtual GPUs."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace
from typing import NoReturn

from inferometer.simulation.nvml_codes import NVML_ERROR_NOT_FOUND, NVML_ERROR_NOT_SUPPORTED, NVMLError
from inferometer.simulation.nvml_handles import Handle, read_either, read_node, read_unpartitioned, read_whole

_NONE = 0xFFFF_FFFF


def nvmlDeviceGetComputeRunningProcesses_v3(handle: Handle) -> list[SimpleNamespace]:
    """What computes on a GPU, in all of its instances, or in one: process id and bytes."""
    device = read_either(handle)
    parts = [device, *device.get("instances", ())]
    return [
        SimpleNamespace(
            pid=pid,
            usedGpuMemory=memory,
            gpuInstanceId=part.get("gpu_instance", _NONE),
            computeInstanceId=0 if "gpu_instance" in part else _NONE,
        )
        for part in parts
        for pid, memory, _ in part["processes"]
    ]


nvmlDeviceGetComputeRunningProcesses = nvmlDeviceGetComputeRunningProcesses_v3  # noqa: N816  # NVML's own name


def nvmlDeviceGetGraphicsRunningProcesses_v3(handle: Handle) -> list[SimpleNamespace]:
    """Nothing draws."""
    read_either(handle)
    return []


nvmlDeviceGetGraphicsRunningProcesses = nvmlDeviceGetGraphicsRunningProcesses_v3  # noqa: N816  # NVML's own name


def nvmlDeviceGetMPSComputeRunningProcesses_v3(handle: Handle) -> list[SimpleNamespace]:
    """No MPS server runs."""
    read_either(handle)
    return []


nvmlDeviceGetMPSComputeRunningProcesses = nvmlDeviceGetMPSComputeRunningProcesses_v3  # noqa: N816  # NVML's own name


def nvmlDeviceGetProcessUtilization(handle: Handle, timeStamp: int) -> list[SimpleNamespace]:
    """Percent of each process that worked in the newest step, if that was after a time in microseconds of the simulation.

    Not Found where none did; no GPU tells it while MIG is on.
    """
    gpu, now = read_unpartitioned(handle), read_node()["clock"]["now"] * 1000
    samples = [
        SimpleNamespace(
            pid=pid, timeStamp=now, smUtil=share, memUtil=share * 6 // 10, encUtil=0, decUtil=0, jpgUtil=0, ofaUtil=0
        )
        for pid, _, share in gpu["processes"]
        if share and now > timeStamp
    ]
    if not samples:
        raise NVMLError(NVML_ERROR_NOT_FOUND)
    return samples


nvmlDeviceGetProcessesUtilizationInfo = nvmlDeviceGetProcessUtilization  # noqa: N816  # NVML's own name


# --- virtual GPUs ---------------------------------------------------------------------------------------------------


def nvmlDeviceGetActiveVgpus(handle: Handle) -> list[int]:
    """This is no host of virtual GPUs."""
    read_whole(handle)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def nvmlDeviceGetVgpuUtilization(handle: Handle, timeStamp: int) -> list[SimpleNamespace]:
    """As nvmlDeviceGetActiveVgpus."""
    del timeStamp
    read_whole(handle)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


nvmlDeviceGetVgpuInstancesUtilizationInfo = nvmlDeviceGetVgpuUtilization  # noqa: N816  # NVML's own name


def nvmlVgpuInstanceGetUUID(vgpuInstance: int) -> NoReturn:
    """As nvmlDeviceGetActiveVgpus."""
    del vgpuInstance
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


nvmlVgpuInstanceGetVmID = nvmlVgpuInstanceGetUUID  # noqa: N816  # NVML's own name
nvmlVgpuInstanceGetType = nvmlVgpuInstanceGetUUID  # noqa: N816  # NVML's own name
nvmlVgpuInstanceGetFbUsage = nvmlVgpuInstanceGetUUID  # noqa: N816  # NVML's own name


def nvmlVgpuTypeGetName(vgpuTypeId: int) -> NoReturn:
    """As nvmlDeviceGetActiveVgpus."""
    del vgpuTypeId
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


nvmlVgpuTypeGetFramebufferSize = nvmlVgpuTypeGetName  # noqa: N816  # NVML's own name
