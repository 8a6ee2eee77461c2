# SPDX-License-Identifier: Apache-2.0
"""The processes on one GPU or on each of its MIG instances, in the sampler child: what for, how much memory, how busy.

Source: the comments of `nvmlDeviceGetComputeRunningProcesses_v3` in `nvml.h` (CUDA 13.3). The lists are the dearest calls
of all, some milliseconds each.
"""

from collections.abc import Sequence
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.shares import HIGHEST_PID, Shares
from inferometer.sources.devices.shares import METRIC as SHARE
from inferometer.sources.devices.subject import WITH_MIG, Complaint, Mark

METRIC = "gpu.processes"
NAMELESS = "process_id_0"  # the reason where an entry of a list is left out
MOST = 4096  # of one GPU and its instances; a GPU has room for a few dozen
_MOST_MEMORY = 1 << 48  # bytes

Told = dict[str, Any]


class Processes:
    """The processes of one generation of a GPU. A call that a device refuses is not made again."""

    def __init__(self, nvml: calls.Nvml, mark: Mark, uuid: str, *, mig: bool) -> None:
        self._nvml = nvml
        self._mark = mark
        self._shares = None if mig else Shares(nvml, mark, uuid)
        self._mig = [(uuid, SHARE, calls.SHARES[0], WITH_MIG)] if mig else []
        self._refused: dict[tuple[str, str], Complaint] = {}  # by device and call

    @property
    def unsupported(self) -> list[Complaint]:
        """What the devices do not tell, with the calls that they refused."""
        return [*self._refused.values(), *self._mig, *(self._shares.unsupported if self._shares else [])]

    def read(self, devices: Sequence[tuple[str, calls.Handle]], failed: list[Complaint]) -> list[Told]:
        """Give each device's `kinds` that were read, and its `processes`: pid, kind, memory in bytes, share of SM time.

        `devices` are the GPU, or its instances while MIG is on, by UUID. Raises LostError and GoneError.
        """
        present = {uuid for uuid, _ in devices}
        self._refused = {key: complaint for key, complaint in self._refused.items() if key[0] in present}
        room = MOST
        told = []
        for uuid, handle in devices:
            kinds, found = self._lists(uuid, handle, room, failed)
            shares = self._shares.read(handle, failed) if self._shares and kinds else None
            rows = [
                (pid, kind, memory, None if shares is None else shares.get(pid, 0.0))
                for pid, (kind, memory) in found.items()
            ]
            room -= len(rows)
            told.append({"device": uuid, "kinds": kinds, "processes": rows})
        return told

    def _lists(
        self, uuid: str, handle: calls.Handle, room: int, failed: list[Complaint]
    ) -> tuple[list[str], dict[int, tuple[str, int | None]]]:
        """Read a device's lists; one that fails costs those behind it, which may have its processes too."""
        kinds: list[str] = []
        found: dict[int, tuple[str, int | None]] = {}
        for kind, call in calls.LISTS:
            if (uuid, call) in self._refused:
                continue
            self._mark(call)
            try:
                listed, nameless = _checked(getattr(self._nvml, call)(handle))
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                if reason in codes.REFUSED:
                    self._refused[uuid, call] = (uuid, METRIC, call, reason)
                    continue
                failed.append((uuid, METRIC, call, reason))
                break
            if nameless:
                failed.append((uuid, METRIC, call, NAMELESS))
            if len(found.keys() | listed.keys()) > room:
                failed.append((uuid, METRIC, call, f"more than {MOST} processes"))
                break
            for pid, memory in listed.items():
                first, known = found.get(pid, (kind, None))
                found[pid] = first, memory if known is None else known
            kinds.append(kind)
        return kinds, found


def _checked(listed: Any) -> tuple[dict[int, int | None], int]:
    """Give the memory of each process of a list, and how many have the id 0: they cannot be seen from here, and are left out.

    Raises ValueError for a process id that cannot be: the list is no good then.
    """
    found: dict[int, int | None] = {}
    nameless = 0
    for process in listed:
        pid, memory = int(process.pid), process.usedGpuMemory
        if not 0 <= pid <= HIGHEST_PID:
            raise ValueError(f"{pid} is no process")
        if not pid:
            nameless += 1
            continue
        found[pid] = int(memory) if memory is not None and 0 <= memory < _MOST_MEMORY else None
    return found, nameless
