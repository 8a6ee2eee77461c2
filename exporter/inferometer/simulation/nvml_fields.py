# SPDX-License-Identifier: Apache-2.0
"""NVML's field values of simulated GPUs: each with its own return code."""
# ruff: noqa: N802, N803  # the names are NVML's

import time
from types import SimpleNamespace
from typing import Any

from inferometer.simulation.activity import METERS
from inferometer.simulation.health import LINKS
from inferometer.simulation.nvml_codes import (
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_FI_DEV_MEMORY_TEMP,
    NVML_FI_DEV_POWER_AVERAGE,
    NVML_FI_DEV_POWER_INSTANT,
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
    NVML_SUCCESS,
    NVML_VALUE_TYPE_UNSIGNED_INT,
    NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
    NVMLError,
)
from inferometer.simulation.nvml_handles import Handle, read_whole

_SPEED = 26_562  # MB/s of one NVLink
_ALL_LINKS = 0xFFFF_FFFF  # as a scope
_WIDE = 1 << 32

# The ids are those of `nvml.h`. A path into a GPU's registers:
_PATHS: dict[int, tuple[str | int, ...]] = {
    NVML_FI_DEV_MEMORY_TEMP: ("memory_temperature",),
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: ("energy",),
    NVML_FI_DEV_POWER_AVERAGE: ("average_power",),
    NVML_FI_DEV_POWER_INSTANT: ("power",),
    187: ("power_limits", 0),  # the least and the most that may be set, the default, what is in force
    188: ("power_limits", 1),
    189: ("power_limits", 2),
    190: ("power_limits", 3),
    142: ("health", "remapped", 0),  # rows for corrected and uncorrected errors, pending, failed
    143: ("health", "remapped", 1),
    144: ("health", "remapped", 2),
    145: ("health", "remapped", 3),
    197: ("meters", 1, METERS.index("pcie_tx")),
    198: ("meters", 1, METERS.index("pcie_rx")),
    230: ("health", "action"),
}
# Nanoseconds throttled, by reason; one that never was is 0.
_THROTTLE = {
    74: "sw_power_cap",
    75: "thermal",
    76: "sync_boost",
    77: "board_limit",
    78: "low_utilization",
    79: "reliability",
    269: "sw_thermal",
    270: "hw_thermal",
    271: "hw_power_brake",
}
# What never happens here: PCIe replays, recoveries and errors. There are no chip-to-chip links.
_ZERO = frozenset({94, 169, 170, *range(173, 184)})
_LINK_COUNT = 91
# By link, as the scope.
_LINK_STATE, _LINK_SPEED = 165, 164
_LINK_KIBIBYTES = (138, 139, 140, 141)  # sent and received, without and with what the protocol adds
_LINK_ERRORS = (161, 162, 163)
# With an id for each of the links 0 to 11: CRC of flits and of data, replays, recoveries, ECC; and the speed.
_BY_LINK = {
    first + i % 6 if i < 6 else sixth + i % 6: i
    for first, sixth in ((32, 96), (39, 102), (46, 108), (53, 114), (148, 154), (84, 132))
    for i in range(12)
}
_SPEEDS = frozenset((*range(84, 90), *range(132, 138)))


def nvmlDeviceGetFieldValues(handle: Handle, fieldIds: list[Any]) -> list[SimpleNamespace]:
    """Several fields at once, each with its own return code. An entry is a field id, or (field id, scope)."""
    gpu, now = read_whole(handle), int(time.time() * 1e6)
    return [_entry(gpu, now, *(entry if isinstance(entry, tuple) else (entry, 0))) for entry in fieldIds]


def _entry(gpu: dict[str, Any], now: int, field: int, scope: int) -> SimpleNamespace:
    try:
        value, result = _read(gpu, field, scope), NVML_SUCCESS
    except NVMLError as error:
        value, result = 0, error.value
    wide = field == NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION or value >= _WIDE
    return SimpleNamespace(
        fieldId=field,
        scopeId=scope,
        timestamp=now,
        latencyUsec=1,
        valueType=NVML_VALUE_TYPE_UNSIGNED_LONG_LONG if wide else NVML_VALUE_TYPE_UNSIGNED_INT,
        nvmlReturn=result,
        value=SimpleNamespace(dVal=0.0, uiVal=value, ulVal=value, ullVal=value, sllVal=value, siVal=value, usVal=0),
    )


def _read(gpu: dict[str, Any], field: int, scope: int) -> int:
    if path := _PATHS.get(field):
        found: Any = gpu
        for key in path:
            found = found[key]
        return int(found)
    if reason := _THROTTLE.get(field):
        return int(gpu["throttled"].get(reason, 0))
    if field in _ZERO:
        return 0
    if field == _LINK_COUNT:
        return LINKS
    if field in _BY_LINK:
        _up(gpu, _BY_LINK[field])
        return _SPEED if field in _SPEEDS else 0
    return _read_link(gpu, field, scope)


def _read_link(gpu: dict[str, Any], field: int, scope: int) -> int:
    """Read a field whose scope is a link, or in some all of them."""
    if field in _LINK_KIBIBYTES:
        links: list[int] = gpu["links"]
        # Of 32 bytes that are sent, one is the protocol's.
        moved = sum(links) if scope == _ALL_LINKS else links[_up(gpu, scope)]
        return moved // 1024 if field in _LINK_KIBIBYTES[:2] else moved * 33 // 32 // 1024
    if field == _LINK_STATE:
        if not 0 <= scope < LINKS:
            raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
        return int(scope not in gpu["health"]["down"])
    if field == _LINK_SPEED:
        _up(gpu, scope)
        return _SPEED
    if field in _LINK_ERRORS:
        _up(gpu, scope)
        return 0
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def _up(gpu: dict[str, Any], link: int) -> int:
    """Give a link that is up: one that is down counts nothing."""
    if not 0 <= link < LINKS:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    if link in gpu["health"]["down"]:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return link
