# SPDX-License-Identifier: Apache-2.0
"""NVML's memory of simulated GPUs and instances: how full it is, what ECC found, and what was taken out of use."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace
from typing import Any

from inferometer.simulation.health import ERRORS
from inferometer.simulation.nvml_codes import (
    NVML_ERROR_NOT_SUPPORTED,
    NVML_MEMORY_ERROR_TYPE_CORRECTED,
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
    NVML_MEMORY_LOCATION_DRAM,
    NVML_MEMORY_LOCATION_SRAM,
    NVML_VOLATILE_ECC,
    NVMLError,
)
from inferometer.simulation.nvml_handles import Handle, read_either, read_whole
from inferometer.simulation.nvml_structures import c_nvmlEccSramErrorStatus_v1_t, target


def nvmlDeviceGetMemoryInfo(handle: Handle, version: int | None = None) -> SimpleNamespace:
    """Memory in bytes. Version 1 counts what is reserved as used; version 2 tells it apart."""
    memory = read_either(handle)["memory"]
    total, reserved, used = memory["total"], memory["reserved"], memory["used"]
    free = total - reserved - used
    if not version:
        return SimpleNamespace(total=total, free=free, used=used + reserved)
    return SimpleNamespace(version=version, total=total, reserved=reserved, free=free, used=used)


def nvmlDeviceGetBAR1MemoryInfo(handle: Handle) -> SimpleNamespace:
    """The window through which the CPU sees the memory, in bytes."""
    bar1 = read_either(handle)["bar1"]
    return SimpleNamespace(bar1Total=bar1["total"], bar1Free=bar1["total"] - bar1["used"], bar1Used=bar1["used"])


_TYPES = {NVML_MEMORY_ERROR_TYPE_CORRECTED: "corrected", NVML_MEMORY_ERROR_TYPE_UNCORRECTED: "uncorrected"}
_LOCATIONS = {NVML_MEMORY_LOCATION_DRAM: "dram", NVML_MEMORY_LOCATION_SRAM: "sram"}


def nvmlDeviceGetMemoryErrorCounter(handle: Handle, errorType: int, counterType: int, locationType: int) -> int:
    """Errors in DRAM or SRAM; Ampere and newer tell no other places apart.

    While MIG is on, volatile errors are told of instances only, and of them no other than uncorrected ones outside DRAM
    (`nvmlDeviceGetMemoryErrorCounter` in `nvml.h`). The simulation puts none into an instance.
    """
    device, volatile = read_either(handle), counterType == NVML_VOLATILE_ECC
    error = _TYPES.get(errorType, ""), _LOCATIONS.get(locationType, "")
    if handle.instance is not None:
        if volatile and error == ("uncorrected", "sram"):
            return 0
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    if error not in ERRORS or (volatile and device["mig"]):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return int(device["health"]["errors"][ERRORS.index(error)])


def nvmlDeviceGetSramEccErrorStatus(device: Handle, status: Any) -> int:
    """Errors in SRAM since the GPU was made, by unit: here all are the multiprocessors'. `status` is a reference."""
    errors = dict(zip(ERRORS, read_whole(device)["health"]["errors"], strict=True))
    found: c_nvmlEccSramErrorStatus_v1_t = target(status)
    found.aggregateUncSecDed = found.volatileUncSecDed = errors["uncorrected", "sram"]
    found.aggregateCor = found.volatileCor = errors["corrected", "sram"]
    found.aggregateUncBucketSm = errors["uncorrected", "sram"]
    found.bThresholdExceeded = 0
    return 0


def nvmlDeviceGetRemappedRows(device: Handle) -> tuple[int, int, int, int]:
    """Rows remapped for corrected and for uncorrected errors, whether one waits for a reset, and whether one failed."""
    corrected, uncorrected, pending, failed = read_whole(device)["health"]["remapped"]
    return corrected, uncorrected, pending, failed


def nvmlDeviceGetRowRemapperHistogram(device: Handle) -> SimpleNamespace:
    """Banks by what is left of their spare rows."""
    banks = read_whole(device)["health"]["banks"]
    return SimpleNamespace(**dict(zip(("max", "high", "partial", "low", "none"), banks, strict=True)))


def nvmlDeviceGetRetiredPages(device: Handle, sourceFilter: int) -> list[int]:
    """Rows are remapped since Ampere; no pages are retired."""
    del sourceFilter
    read_whole(device)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def nvmlDeviceGetRetiredPagesPendingStatus(device: Handle) -> int:
    """As nvmlDeviceGetRetiredPages."""
    read_whole(device)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
