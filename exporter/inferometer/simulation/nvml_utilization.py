# SPDX-License-Identifier: Apache-2.0
"""NVML's utilisation of simulated GPUs, which no GPU and no instance tells while MIG is on, and the driver's samples."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace

from inferometer.simulation.nvml_codes import (
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_FOUND,
    NVML_GPU_UTILIZATION_SAMPLES,
    NVML_TOTAL_POWER_SAMPLES,
    NVML_VALUE_TYPE_UNSIGNED_INT,
    NVMLError,
)
from inferometer.simulation.nvml_handles import Handle, read_node, read_unpartitioned, read_whole


def nvmlDeviceGetUtilizationRates(handle: Handle) -> SimpleNamespace:
    """Percent of the time that a kernel ran, and that memory was accessed."""
    busy = read_unpartitioned(handle)["utilization"]
    return SimpleNamespace(gpu=busy, memory=busy * 6 // 10)


def nvmlDeviceGetEncoderUtilization(handle: Handle) -> list[int]:
    """Percent, and the sampling period in microseconds: inference encodes no video."""
    read_unpartitioned(handle)
    return [0, 167_000]


nvmlDeviceGetDecoderUtilization = nvmlDeviceGetEncoderUtilization  # noqa: N816  # NVML's own name
nvmlDeviceGetJpgUtilization = nvmlDeviceGetEncoderUtilization  # noqa: N816  # NVML's own name
nvmlDeviceGetOfaUtilization = nvmlDeviceGetEncoderUtilization  # noqa: N816  # NVML's own name


def nvmlDeviceGetSamples(device: Handle, sampling_type: int, timeStamp: int) -> tuple[int, list[SimpleNamespace]]:
    """Power or utilisation of each step after a time, in microseconds of the simulation: Not Found where there is none."""
    if sampling_type == NVML_TOTAL_POWER_SAMPLES:
        gpu = read_whole(device)
    elif sampling_type == NVML_GPU_UTILIZATION_SAMPLES:
        gpu = read_unpartitioned(device)
    else:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    clock, samples = read_node()["clock"], gpu["samples"]
    first = clock["now"] - clock["step"] * (len(samples) - 1)
    newer = [
        SimpleNamespace(timeStamp=at, sampleValue=SimpleNamespace(uiVal=sample[sampling_type]))
        for i, sample in enumerate(samples)
        if (at := 1000 * (first + clock["step"] * i)) > timeStamp
    ]
    if not newer:
        raise NVMLError(NVML_ERROR_NOT_FOUND)
    return NVML_VALUE_TYPE_UNSIGNED_INT, newer
