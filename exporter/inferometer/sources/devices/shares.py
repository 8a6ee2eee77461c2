# SPDX-License-Identifier: Apache-2.0
"""How much of a GPU's time each process kept the SMs busy, in the sampler child.

Source: the comments of `nvmlDeviceGetProcessUtilization` and `nvmlDeviceGetProcessesUtilizationInfo` in `nvml.h` (CUDA 13.3):
they give a sample for each process that used anything, newer than a time stamp in microseconds, and NOT_FOUND where none did.
While MIG is on they are not supported.
"""

from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.subject import Complaint, Mark

METRIC = "gpu.process.utilization"
_IDLE = (0, 6)  # the binding raises SUCCESS, too, where there are no samples; NOT_FOUND
HIGHEST_PID = 1 << 22  # PID_MAX_LIMIT in `include/linux/threads.h`
_LATEST = 1 << 56  # microseconds: a time stamp beyond the year 4000 is none, and must not become the newest


class Shares:
    """The newest sample that was seen of one GPU. A call that it refuses is not made again."""

    def __init__(self, nvml: calls.Nvml, mark: Mark, uuid: str) -> None:
        self._nvml = nvml
        self._mark = mark
        self._uuid = uuid
        self._seen: int | None = None
        self._refused: list[Complaint] = []

    @property
    def unsupported(self) -> list[Complaint]:
        """The calls that it refused, where it refused all."""
        return self._refused if len(self._refused) == len(calls.SHARES) else []

    def read(self, handle: calls.Handle, failed: list[Complaint]) -> dict[int, float | None] | None:
        """Give the share of each process that used anything since the read before, averaged over its samples.

        None where that is not known: at the first read, whose samples may be of any age, and where the call failed. A share
        is None where the driver told nothing that could be one. Raises LostError and GoneError.
        """
        for call in calls.SHARES[len(self._refused) :]:
            self._mark(call)
            try:
                samples = _checked(self._ask(call, handle))
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                if reason in codes.REFUSED:
                    self._refused.append((self._uuid, METRIC, call, reason))
                    continue
                failed.append((self._uuid, METRIC, call, reason))
                return None
            since = self._seen
            self._seen = max((int(sample.timeStamp) for sample in samples), default=since or 0)
            return None if since is None else _average([sample for sample in samples if since < sample.timeStamp])
        return None

    def _ask(self, call: str, handle: calls.Handle) -> list[Any]:
        try:
            return list(getattr(self._nvml, call)(handle, self._seen or 0))
        except self._nvml.NVMLError as error:
            if error.value not in _IDLE:
                raise
            return []


def _checked(samples: list[Any]) -> list[Any]:
    """Give the samples. Raises ValueError where one is of no time, or no process: a process without one would seem idle."""
    for sample in samples:
        if not (0 <= sample.timeStamp < _LATEST and 0 <= sample.pid <= HIGHEST_PID):
            raise ValueError(f"a sample of process {sample.pid} at {sample.timeStamp}")
    return samples


def _average(samples: list[Any]) -> dict[int, float | None]:
    told: dict[int, list[float]] = {}
    for sample in samples:
        values = told.setdefault(int(sample.pid), [])
        if 0 <= sample.smUtil <= 100:
            values.append(sample.smUtil / 100)
    return {pid: sum(values) / len(values) if values else None for pid, values in told.items()}
