# SPDX-License-Identifier: Apache-2.0
"""The vGPUs that a GPU of a virtualisation host carries, in the sampler child: whose they are, and what each uses.

Source: the comments of `nvmlDeviceGetActiveVgpus` and `nvmlDeviceGetVgpuInstancesUtilizationInfo` in `nvml.h` (CUDA 13.3).
"""

import ctypes
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.subject import Complaint, Mark

METRIC = "gpu.vgpu.info"
MEMORY = "gpu.vgpu.memory.usage"
LIMIT = "gpu.vgpu.memory.limit"
UTILIZATION = "gpu.vgpu.utilization"
_MOST = 256  # of one GPU; no type allows as many
_MOST_MEMORY = 1 << 48  # bytes
_LIST = "nvmlDeviceGetActiveVgpus"
# The newer one came with driver 550, and has the last two tasks.
_WAYS = ("nvmlDeviceGetVgpuInstancesUtilizationInfo", "nvmlDeviceGetVgpuUtilization")
_TASKS = (
    ("general", "smUtil"),
    ("encoder", "encUtil"),
    ("decoder", "decUtil"),
    ("jpeg", "jpgUtil"),
    ("ofa", "ofaUtil"),
)
_NONE_NEWER = 6  # NOT_FOUND
_LATEST = 1 << 56  # microseconds: a time stamp beyond the year 4000 is none

Told = dict[str, Any]


class Vgpus:
    """The vGPUs of one generation of a GPU. A call that it refuses is not made again."""

    def __init__(self, nvml: calls.Nvml, mark: Mark, parent: str) -> None:
        self._nvml = nvml
        self._mark = mark
        self._parent = parent
        self._refused: dict[str, Complaint] = {}  # by call
        self._described: dict[tuple[int, str], Told] = {}  # by id and UUID: ids are used again
        self._seen: int | None = None

    @property
    def unsupported(self) -> list[Complaint]:
        """What the GPU does not tell, with the calls that it refused."""
        return [told for call, told in self._refused.items() if call not in _WAYS or self._refused.keys() >= set(_WAYS)]

    def read(self, handle: calls.Handle, failed: list[Complaint]) -> list[Told] | None:
        """Give each vGPU with its `busy` by task; None where the list cannot be had. Raises LostError and GoneError."""
        ids = self._ask(METRIC, _LIST, failed, handle)
        if ids is None:
            return None
        if len(ids) > _MOST:
            failed.append((self._parent, METRIC, _LIST, f"more than {_MOST} vGPUs"))
            return None
        busy = self._busy(handle, failed) if ids else {}
        found: dict[str, Told] = {}
        described = {}
        for id_ in map(int, ids):
            uuid = self._ask(METRIC, "nvmlVgpuInstanceGetUUID", failed, id_)
            if not uuid or uuid in found:  # it went meanwhile, or has no name
                continue
            told = self._described.get((id_, uuid)) or self._describe(id_, failed)
            if all(told.values()):
                described[id_, uuid] = told  # else it is asked again: an empty answer may have been a slip
            found[uuid] = {
                "uuid": uuid,
                **told,
                "memory": self._ask(MEMORY, "nvmlVgpuInstanceGetFbUsage", failed, id_, function=self._used),
                "busy": busy.get(id_, {}),
            }
        self._described = described
        return list(found.values())

    def _describe(self, id_: int, failed: list[Complaint]) -> Told:
        type_ = self._ask(METRIC, "nvmlVgpuInstanceGetType", failed, id_)
        named = type_ is not None
        return {
            "vm": self._ask(METRIC, "nvmlVgpuInstanceGetVmID", failed, id_, function=self._machine),
            "type": self._ask(METRIC, "nvmlVgpuTypeGetName", failed, type_, function=self._type) if named else None,
            "limit": self._ask(LIMIT, "nvmlVgpuTypeGetFramebufferSize", failed, type_, function=self._size)
            if named
            else None,
        }

    def _ask(
        self,
        metric: str,
        call: str,
        failed: list[Complaint],
        subject: Any,
        function: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Make a call; None where it is refused, where it fails, and for a vGPU that is no more."""
        if call in self._refused:
            return None
        self._mark(call)
        try:
            return (function or getattr(self._nvml, call))(subject)
        except Exception as error:
            reason = codes.explain(self._nvml, error)
            if reason in codes.REFUSED:
                self._refused[call] = (self._parent, metric, call, reason)
            elif reason not in codes.HOLE:
                failed.append((self._parent, metric, call, reason))
            return None

    # --- what the binding does not give as it is ------------------------------------------------------------------------

    def _machine(self, id_: int) -> str:
        vm, _ = self._nvml.nvmlVgpuInstanceGetVmID(id_)
        return _text(vm)

    def _type(self, type_: int) -> str:
        return _text(self._nvml.nvmlVgpuTypeGetName(type_))

    def _size(self, type_: int) -> int:
        return _bytes(self._nvml.nvmlVgpuTypeGetFramebufferSize(type_))

    def _used(self, id_: int) -> int:
        """Give the bytes that a vGPU uses. The binding's own function has room for 32 of the 64 bits of the answer."""
        used = ctypes.c_ulonglong(0)
        function = self._nvml._nvmlGetFunctionPointer("nvmlVgpuInstanceGetFbUsage")  # noqa: SLF001  # see above
        if code := function(id_, ctypes.byref(used)):
            raise self._nvml.NVMLError(code)
        return _bytes(used.value)

    # --- what each uses ------------------------------------------------------------------------------------------------

    def _busy(self, handle: calls.Handle, failed: list[Complaint]) -> dict[int, dict[str, float]]:
        """Give each vGPU's share of time by task since the read before, averaged; nothing at the first read."""
        for call in _WAYS:
            if call in self._refused:
                continue
            samples = self._ask(UTILIZATION, call, failed, handle, function=partial(self._samples, call))
            if call in self._refused:
                continue
            if samples is None:
                return {}
            since, times = self._seen, [int(sample.timeStamp) for sample in samples if sample.timeStamp < _LATEST]
            self._seen = max(times, default=since or 0)
            if since is None:
                return {}
            return _average([sample for sample in samples if since < sample.timeStamp < _LATEST])
        return {}

    def _samples(self, call: str, handle: calls.Handle) -> list[Any]:
        try:
            return list(getattr(self._nvml, call)(handle, self._seen or 0))
        except self._nvml.NVMLError as error:
            if error.value != _NONE_NEWER:
                raise
            return []


def _average(samples: list[Any]) -> dict[int, dict[str, float]]:
    told: dict[tuple[int, str], list[float]] = {}
    for sample in samples:
        for task, member in _TASKS:
            if (share := _share(getattr(sample, member, None))) is not None:
                told.setdefault((int(sample.vgpuInstance), task), []).append(share)
    busy: dict[int, dict[str, float]] = {}
    for (id_, task), values in told.items():
        busy.setdefault(id_, {})[task] = sum(values) / len(values)
    return busy


def _share(value: Any) -> float | None:
    """Give the ratio of a `nvmlValue_t` in percent; None for what is none.

    The binding does not say of which type the values are. A whole number is told from a double by its bits: as a double, it
    is smaller than any that is normal.
    """
    if value is None:
        return None
    whole, real = int(value.ullVal), float(value.dVal)
    if whole <= 100:
        return whole / 100
    return real / 100 if sys.float_info.min <= real <= 100 else None


def _bytes(number: int) -> int:
    if not 0 <= number < _MOST_MEMORY:
        raise ValueError(f"{number} bytes are no size of a memory")
    return int(number)


def _text(told: str | bytes) -> str:
    return told.decode() if isinstance(told, bytes) else told
