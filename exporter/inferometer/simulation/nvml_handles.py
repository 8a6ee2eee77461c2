# SPDX-License-Identifier: Apache-2.0
"""Handles of simulated GPUs and MIG instances, and what the registers say of them, refused as NVML refuses."""

import os
import time
from typing import Any

from inferometer.simulation.nvml_codes import (
    NVML_ERROR_DRIVER_NOT_LOADED,
    NVML_ERROR_GPU_IS_LOST,
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_FOUND,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_ERROR_UNINITIALIZED,
    NVMLError,
)
from inferometer.simulation.registers import Reader

_PARENT = os.getppid()  # a child whose parent died does not hang for ever


class Handle:
    """A GPU (`instance` is None) or one of its MIG instances, by position in the registers."""

    __slots__ = ("gpu", "instance")

    def __init__(self, gpu: int, instance: int | None = None) -> None:
        self.gpu = gpu
        self.instance = instance


class Library:
    """What a loaded library is: a path to the registers, and the registers once it is initialised."""

    path = ""
    registers: Reader | None = None


def read_node() -> dict[str, Any]:
    """Read everything. Raises what nvmlInit not called, or a driver gone, raises."""
    if Library.registers is None:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    node = Library.registers.read()
    if not node["loaded"]:
        raise NVMLError(NVML_ERROR_DRIVER_NOT_LOADED)
    return node


def read_gpu(handle: Handle) -> dict[str, Any]:
    """Read a GPU's registers: never returns while it hangs, as a call into a hung driver does not."""
    while (gpu := read_at(handle.gpu))["hung"] and os.getppid() == _PARENT:
        time.sleep(0.02)
    if gpu["lost"]:
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return gpu


def read_at(index: int) -> dict[str, Any]:
    """Read the GPU of this index, in whatever state it is."""
    gpus: list[dict[str, Any]] = read_node()["gpus"]
    if not 0 <= index < len(gpus):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return gpus[index]


def read_either(handle: Handle) -> dict[str, Any]:
    """Read a GPU or an instance."""
    gpu = read_gpu(handle)
    return gpu if handle.instance is None else find(gpu["instances"], handle.instance)


def find(instances: list[dict[str, Any]], index: int) -> dict[str, Any]:
    """Find an instance by its index."""
    for instance in instances:
        if instance["index"] == index:
            return instance
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def read_whole(handle: Handle) -> dict[str, Any]:
    """Read what only a whole GPU has."""
    if handle.instance is not None:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return read_gpu(handle)


def read_unpartitioned(handle: Handle) -> dict[str, Any]:
    """Read what no GPU tells while MIG is on."""
    gpu = read_whole(handle)
    if gpu["mig"]:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return gpu


def read_instance(handle: Handle) -> dict[str, Any]:
    """Read what only a MIG instance has."""
    if handle.instance is None:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return read_either(handle)
