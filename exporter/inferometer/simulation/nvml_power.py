# SPDX-License-Identifier: Apache-2.0
"""NVML's power, energy, heat, clocks and throttling of simulated GPUs. No instance has any of its own."""
# ruff: noqa: N802  # the names are NVML's

from inferometer.simulation.nvml_codes import (
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_TEMPERATURE_GPU,
    NVML_TEMPERATURE_THRESHOLD_GPU_MAX,
    NVML_TEMPERATURE_THRESHOLD_MEM_MAX,
    NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
    NVMLError,
    nvmlTemperature_v1,
)
from inferometer.simulation.nvml_handles import Handle, read_whole

# Degrees Celsius.
_THRESHOLDS = {
    NVML_TEMPERATURE_THRESHOLD_SHUTDOWN: 92,
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: 89,
    NVML_TEMPERATURE_THRESHOLD_MEM_MAX: 95,
    NVML_TEMPERATURE_THRESHOLD_GPU_MAX: 87,
}
# The bits of nvmlClocksEventReasons.
_REASONS = {"idle": 0x1, "sw_power_cap": 0x4}


def nvmlDeviceGetPowerUsage(handle: Handle) -> int:
    """Milliwatts, the mean over the last second."""
    return int(read_whole(handle)["average_power"])


def nvmlDeviceGetEnforcedPowerLimit(handle: Handle) -> int:
    """Milliwatts."""
    return int(read_whole(handle)["power_limits"][3])


def nvmlDeviceGetPowerManagementDefaultLimit(handle: Handle) -> int:
    """Milliwatts."""
    return int(read_whole(handle)["power_limits"][2])


def nvmlDeviceGetPowerManagementLimitConstraints(handle: Handle) -> list[int]:
    """The lowest and the highest that may be set, in milliwatts."""
    return list(read_whole(handle)["power_limits"][:2])


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


def nvmlDeviceGetTemperatureThreshold(handle: Handle, threshold: int) -> int:
    """Degrees Celsius."""
    read_whole(handle)
    if threshold not in _THRESHOLDS:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return _THRESHOLDS[threshold]


def nvmlDeviceGetMarginTemperature(handle: Handle) -> int:
    """Degrees below the highest temperature of operation."""
    return _THRESHOLDS[NVML_TEMPERATURE_THRESHOLD_GPU_MAX] - int(read_whole(handle)["temperature"])


def nvmlDeviceGetNumFans(device: Handle) -> int:
    """The server cools it."""
    read_whole(device)
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def nvmlDeviceGetFanSpeed_v2(handle: Handle, fan: int) -> int:
    """As nvmlDeviceGetNumFans."""
    del fan
    return nvmlDeviceGetNumFans(handle)


def nvmlDeviceGetClockInfo(handle: Handle, type: int) -> int:  # noqa: A002  # pynvml's own name
    """Megahertz of one domain."""
    return _domain(read_whole(handle)["clocks"], type)


def nvmlDeviceGetMaxClockInfo(handle: Handle, type: int) -> int:  # noqa: A002  # pynvml's own name
    """Megahertz of one domain at most."""
    return _domain(read_whole(handle)["highest_clocks"], type)


def _domain(clocks: list[int], domain: int) -> int:
    if not 0 <= domain < len(clocks):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return clocks[domain]


def nvmlDeviceGetPerformanceState(handle: Handle) -> int:
    """P0: an H100 has no other."""
    read_whole(handle)
    return 0


def nvmlDeviceGetCurrentClocksEventReasons(handle: Handle) -> int:
    """Why the clocks are not higher now, as a mask."""
    return sum(_REASONS[reason] for reason in read_whole(handle)["reasons"])


nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetCurrentClocksEventReasons  # noqa: N816  # NVML's own name
