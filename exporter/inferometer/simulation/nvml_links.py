# SPDX-License-Identifier: Apache-2.0
"""NVML's links of simulated GPUs: PCIe 5 with 16 lanes, 18 NVLinks of the fourth generation, and a fabric of one node."""
# ruff: noqa: N802, N803  # the names are NVML's

from typing import Any

from inferometer.simulation.health import LINKS
from inferometer.simulation.nvml_codes import (
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_GPU_FABRIC_STATE_COMPLETED,
    NVML_NVLINK_ERROR_DL_ECC_DATA,
    NVMLError,
)
from inferometer.simulation.nvml_handles import Handle, read_whole
from inferometer.simulation.nvml_structures import c_nvmlGpuFabricInfo_v2_t, target

# The fields of the health mask: two bits each, 1 is true and 2 is false; the configuration in four bits, 1 is right.
_DEGRADED, _SOUND, _REST = 1, 2, 2 << 2 | 2 << 4 | 2 << 6 | 1 << 8


def nvmlDeviceGetCurrPcieLinkGeneration(handle: Handle) -> int:
    """PCIe 5."""
    read_whole(handle)
    return 5


nvmlDeviceGetMaxPcieLinkGeneration = nvmlDeviceGetCurrPcieLinkGeneration  # noqa: N816  # NVML's own name


def nvmlDeviceGetCurrPcieLinkWidth(handle: Handle) -> int:
    """Lanes."""
    read_whole(handle)
    return 16


nvmlDeviceGetMaxPcieLinkWidth = nvmlDeviceGetCurrPcieLinkWidth  # noqa: N816  # NVML's own name


def nvmlDeviceGetPcieReplayCounter(handle: Handle) -> int:
    """Nothing is sent twice."""
    read_whole(handle)
    return 0


def nvmlDeviceGetNvLinkState(device: Handle, link: int) -> int:
    """1 for a link that is up."""
    return int(link not in _links_down(device, link))


def nvmlDeviceGetNvLinkErrorCounter(device: Handle, link: int, counter: int) -> int:
    """No link makes errors; one that is down counts none."""
    if not 0 <= counter <= NVML_NVLINK_ERROR_DL_ECC_DATA:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    if link in _links_down(device, link):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return 0


def _links_down(device: Handle, link: int) -> list[int]:
    down: list[int] = read_whole(device)["health"]["down"]
    if not 0 <= link < LINKS:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return down


def nvmlDeviceGetGpuFabricInfoV(device: Handle, gpuFabricInfo: Any) -> int:
    """Registered with the fabric of a single node, which has no cluster; `gpuFabricInfo` is a reference."""
    down = read_whole(device)["health"]["down"]
    info: c_nvmlGpuFabricInfo_v2_t = target(gpuFabricInfo)
    info.status, info.state, info.cliqueId = 0, NVML_GPU_FABRIC_STATE_COMPLETED, 0
    info.healthMask = _REST | (_DEGRADED if down else _SOUND)
    return 0
