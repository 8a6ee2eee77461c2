# SPDX-License-Identifier: Apache-2.0
"""XIDs as NVML's events tell them, in the sampler child: one event set for each GPU, emptied without ever waiting.

Source: the comments of `nvmlDeviceRegisterEvents` and `nvmlEventSetWait_v2` in `nvml.h` (CUDA 13.3): what happened before
a GPU was registered is not told, and after a failed registration a set may be of no use, which is why no two GPUs share one.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from inferometer.sources.devices import calls, codes, direct, library
from inferometer.sources.devices.subject import Complaint, Mark

METRIC = "gpu.xid.errors"
MOST = 1000  # events taken at once, of all GPUs together; what is more stays with the driver until the next time
_WAIT = "nvmlEventSetWait_v2"
_HIGHEST = 1 << 16  # no XID has a higher number
_WHOLE = 0xFFFF_FFFF  # instead of an instance's id: the event concerns the whole GPU

Row = tuple[str, int, int | None, int | None, int]  # GPU UUID, code, GPU instance, compute instance, how often


class Events:
    """The event sets of one opening of the library. What a GPU refuses is found once, and costs only its own XIDs.

    `watch` is called by the GPUs' jobs, everything else by one job at a time: only that one frees a set, so none is freed
    while another thread is in it.
    """

    def __init__(self, nvml: calls.Nvml, mark: Mark) -> None:
        self._nvml = nvml
        self._mark = mark
        self._sets: dict[str, tuple[Any, Callable[[], Any]]] = {}  # by GPU UUID: the set, and what takes its next event
        self._refused: dict[str, Complaint] = {}

    def watch(self, uuid: str, handle: calls.Handle, mark: Mark, failed: list[Complaint]) -> list[Complaint]:
        """Have a GPU's XIDs recorded from now on, once; give what it refuses.

        Made with the mark of the GPU's own job, so that a call that hangs is that GPU's. Raises LostError and GoneError.
        """
        if uuid in self._refused:
            return [self._refused[uuid]]
        if uuid in self._sets:
            return []
        call, events = "nvmlDeviceGetSupportedEventTypes", None
        try:
            mark(call)
            wanted = self._nvml.nvmlEventTypeXidCriticalError & self._nvml.nvmlDeviceGetSupportedEventTypes(handle)
            if wanted:
                mark(call := "nvmlEventSetCreate")
                events = self._nvml.nvmlEventSetCreate()
                mark(call := "nvmlDeviceRegisterEvents")
                self._nvml.nvmlDeviceRegisterEvents(handle, wanted, events)
                self._sets[uuid] = events, direct.takes(self._nvml, events)
                return []
            # Not refused: an answer without the bit may have been a slip, and asking again costs little.
            return [(uuid, METRIC, call, "not_supported")]
        except Exception as error:
            if events is not None:
                self._free(events, mark)
            reason = codes.explain(self._nvml, error)
        complaint = (uuid, METRIC, call, reason)
        if reason not in codes.REFUSED:
            failed.append(complaint)
            return []
        self._refused[uuid] = complaint
        return [complaint]

    def take(self) -> dict[str, Any] | None:
        """Take what has happened since the last time; None where that is nothing.

        Gives a frame: `events` (each a `Row`, equal ones as one) and `failed`. A GPU's storm leaves room for the others.
        """
        counts: dict[tuple[str, int, int | None, int | None], int] = {}
        failed: list[Complaint] = []
        share = max(1, MOST // max(1, len(self._sets)))
        for uuid, (_, take) in list(self._sets.items()):
            for _ in range(share):
                self._mark(_WAIT)
                try:
                    event = take()
                    if event is None:  # the usual answer
                        break
                    _check(self._nvml, event)
                    row = (
                        uuid,
                        int(event.eventData),
                        _instance(event.gpuInstanceId),
                        _instance(event.computeInstanceId),
                    )
                except Exception as error:
                    self._fail(uuid, library.reason(self._nvml, error), failed)
                    break
                counts[row] = counts.get(row, 0) + 1
        if not counts and not failed:
            return None
        return {"events": [(*row, count) for row, count in counts.items()], "failed": failed}

    def close(self) -> None:
        """Let go of all sets, before the library is closed or the GPUs are others."""
        sets, self._sets, self._refused = self._sets, {}, {}
        for events, _ in sets.values():
            self._free(events, self._mark)

    def _fail(self, uuid: str, reason: str, failed: list[Complaint]) -> None:
        """Note that a set failed. The GPU makes a new one at its next read, unless it is lost or refuses."""
        complaint = (uuid, METRIC, _WAIT, reason)
        if reason in codes.REFUSED:
            self._refused[uuid] = complaint
        else:
            failed.append(complaint)
        if reason != codes.LOST:
            self._free(self._sets.pop(uuid)[0], self._mark)

    def _free(self, events: Any, mark: Mark) -> None:
        mark("nvmlEventSetFree")
        with contextlib.suppress(Exception):
            self._nvml.nvmlEventSetFree(events)


def _check(nvml: Any, event: Any) -> None:
    """Raise ValueError for what is no XID."""
    if not event.eventType & nvml.nvmlEventTypeXidCriticalError or not 0 < event.eventData < _HIGHEST:
        raise ValueError(f"type {event.eventType:#x}, data {event.eventData} is no XID")


def _instance(number: int) -> int | None:
    return None if number == _WHOLE else int(number)
