# SPDX-License-Identifier: Apache-2.0
"""NVML's event sets for simulated GPUs: what happened since a GPU was registered, each event once."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace
from typing import Any

from inferometer.simulation.nvml_codes import (
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_ERROR_TIMEOUT,
    NVMLError,
    nvmlEventTypeXidCriticalError,
)
from inferometer.simulation.nvml_handles import Handle, read_at, read_either, read_node

_WHOLE = 0xFFFF_FFFF  # no instance is meant


class EventSet:
    """What a set records: GPU index to the number of the newest event that was delivered, or that came too early."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.free = False


def nvmlEventSetCreate() -> EventSet:
    """A set that records nothing yet."""
    return EventSet()


def nvmlDeviceGetSupportedEventTypes(handle: Handle) -> int:
    """A mask of event types: XIDs, of whole GPUs."""
    read_either(handle)
    return nvmlEventTypeXidCriticalError if handle.instance is None else 0


def nvmlDeviceRegisterEvents(handle: Handle, eventTypes: int, eventSet: EventSet) -> None:
    """Record a GPU's events from now on."""
    if eventTypes & ~nvmlDeviceGetSupportedEventTypes(handle):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    eventSet.seen[handle.gpu] = max((number for number, _ in read_at(handle.gpu)["xids"]), default=0)


def nvmlEventSetWait_v2(eventSet: EventSet, timeoutms: int) -> SimpleNamespace:
    """The next event. It never waits, whatever the timeout: Timeout where there is none now."""
    del timeoutms
    if eventSet.free:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    for index, seen in eventSet.seen.items():
        for number, code in read_at(index)["xids"]:
            if number > seen:
                eventSet.seen[index] = number
                return SimpleNamespace(
                    device=Handle(index),
                    eventType=nvmlEventTypeXidCriticalError,
                    eventData=code,
                    gpuInstanceId=_WHOLE,
                    computeInstanceId=_WHOLE,
                )
    raise NVMLError(NVML_ERROR_TIMEOUT)


nvmlEventSetWait = nvmlEventSetWait_v2  # noqa: N816  # NVML's own name


def nvmlEventSetFree(eventSet: EventSet) -> None:
    """Let go of a set."""
    eventSet.free = True


# --- of the whole system: the driver is never unbound from a simulated GPU --------------------------------------------


def nvmlSystemEventSetCreate(version: int) -> EventSet:
    """A set that records nothing yet."""
    del version
    read_node()
    return EventSet()


def nvmlSystemRegisterEvents(version: int, eventTypes: int, setHandle: EventSet) -> None:
    """Record what happens to the driver from now on."""
    del version, eventTypes
    if setHandle.free:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)


def nvmlSystemEventSetWait(
    version: int, setHandle: EventSet, timeoutMs: int, eventData: Any, eventDataSize: int
) -> list[dict[str, int]]:
    """What happened: nothing. It never waits, whatever the timeout."""
    del version, timeoutMs, eventData, eventDataSize
    if setHandle.free:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    raise NVMLError(NVML_ERROR_TIMEOUT)


def nvmlSystemEventSetFree(version: int, setHandle: EventSet) -> None:
    """Let go of a set."""
    del version
    setHandle.free = True
