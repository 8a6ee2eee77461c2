# SPDX-License-Identifier: Apache-2.0
"""Who uses one GPU, in the sampler child: its processes and vGPUs, in the slow tier, one frame for each read.

This is a job of its own, behind those of all GPUs: the driver takes longest for these lists, and one that hangs costs only
them, and not what the GPU itself tells.
"""

import time
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.gpu import Seen
from inferometer.sources.devices.processes import Processes
from inferometer.sources.devices.subject import Complaint, Mark
from inferometer.sources.devices.turns import Turns
from inferometer.sources.devices.vgpus import Vgpus


class Users:
    """The users of the GPU at one NVML index. What it refuses is found once per generation: UUID and modes."""

    def __init__(self, nvml: calls.Nvml, index: int, mark: Mark, period: float, *, with_processes: bool) -> None:
        self._nvml = nvml
        self._index = index
        self._mark = mark
        self._turns = Turns({calls.SLOW: period}, index)
        self._with_processes = with_processes
        self._generation: tuple[str, bool, bool] | None = None
        self._devices: set[str] = set()
        self._processes: Processes | None = None
        self._vgpus: Vgpus | None = None

    def is_due(self, seen: Seen | None) -> bool:
        """Tell whether a GPU that was read is to be asked: when it is time, and when there are devices that never were."""
        if seen is None or not (self._with_processes or seen.hosts_vgpus):
            return False
        if calls.SLOW in self._turns.due() or _generation(seen) != self._generation:
            return True
        return not self._devices.issuperset(uuid for uuid, _ in seen.devices)

    def read(self, seen: Seen) -> dict[str, Any]:
        """Read them. Raises LostError where the GPU is lost, GoneError where the driver is."""
        try:
            return self._read(seen)
        finally:
            self._turns.have_read((calls.SLOW,))
            self._devices = {uuid for uuid, _ in seen.devices}

    def _read(self, seen: Seen) -> dict[str, Any]:
        if _generation(seen) != self._generation:
            self._generation = _generation(seen)
            self._processes = (
                Processes(self._nvml, self._mark, seen.uuid, mig=seen.mig) if self._with_processes else None
            )
            self._vgpus = Vgpus(self._nvml, self._mark, seen.uuid) if seen.hosts_vgpus else None
        failed: list[Complaint] = []
        frame: dict[str, Any] = {"users": self._index, "uuid": seen.uuid, "at": time.time(), "steady": time.monotonic()}
        frame["devices"] = self._processes.read(self._present(seen), failed) if self._processes else []
        frame["vgpus"] = self._vgpus.read(seen.handle, failed) if self._vgpus else None
        asked = [part for part in (self._processes, self._vgpus) if part is not None]
        return {
            **frame,
            "unsupported": [complaint for part in asked for complaint in part.unsupported],
            "failed": failed,
        }

    def _present(self, seen: Seen) -> list[tuple[str, calls.Handle]]:
        """Leave out instances that went since: a handle dies with its instance, and may come back as another one."""
        present = []
        for uuid, handle in seen.devices:
            self._mark("nvmlDeviceGetUUID")
            try:
                now = self._nvml.nvmlDeviceGetUUID(handle)
            except Exception as error:
                codes.explain(self._nvml, error)
                continue
            if now == uuid:
                present.append((uuid, handle))
        return present


def _generation(seen: Seen) -> tuple[str, bool, bool]:
    return seen.uuid, seen.mig, seen.hosts_vgpus
