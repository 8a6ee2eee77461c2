# SPDX-License-Identifier: Apache-2.0
"""Who uses the GPUs, as the sampler told: kept between its reads; and how long a list that hangs the driver is spared."""

import math
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from inferometer import catalog
from inferometer.model import Process, Reading, Reason, Trouble, Unsupported, Vgpu
from inferometer.sources.devices import calls, report, troubles
from inferometer.sources.devices.backoff import Backoff
from inferometer.sources.devices.whereabouts import USERS

_SHORTEST = 2.0  # seconds
_LONGEST_FACTOR = 20
_KINDS = catalog.PROCESS_TYPE.values


class _Told(NamedTuple):
    """What a GPU said of its users at a monotonic time."""

    at: float
    processes: tuple[Process, ...]
    vgpus: tuple[Vgpu, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...]


class Occupancy:
    """The newest that each GPU said of its users, which counts for `life` seconds.

    A call that hangs or crashes the sampler costs only this GPU's users: they are not asked for at least `pause` seconds,
    and longer each time.
    """

    def __init__(self, life: float, pause: float) -> None:
        self._life = life
        self._pause = max(pause, _SHORTEST)
        self._told: dict[str, _Told] = {}  # by UUID: an index may become another GPU's
        # As it was given: of which devices, and until when that is the same if nothing is told.
        self._given: tuple[Collection[str], float, Occupied] | None = None
        self._failed: list[Unsupported] = []
        self._blamed: dict[int, tuple[Backoff, str]] = {}

    @property
    def spared(self) -> list[int]:
        """The GPUs whose users are not asked for now, by NVML index."""
        return [index for index, (backoff, _) in self._blamed.items() if not _may(backoff)]

    def blame(self, index: int, call: int) -> None:
        """Spare a GPU's users for a while: this call hung, or crashed the sampler."""
        backoff, _ = self._blamed.get(index) or (Backoff(self._pause, _LONGEST_FACTOR * self._pause), "")
        backoff.failed(Trouble(Reason.TIMEOUT, troubles.PAUSED))
        self._blamed[index] = backoff, _name(call)

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take a frame of `users`, of whichever sample.

        Raises KeyError, TypeError or ValueError for what the sampler would never send.
        """
        index, gpu, at, stamp = int(frame["users"]), str(frame["uuid"]), float(frame["steady"]), float(frame["at"])
        running: list[Process] = []
        counts: list[Reading] = []
        for told in frame["devices"]:
            device = str(told["device"])
            here = [_process(device, row, stamp) for row in told["processes"]]
            running += here
            for kind in told["kinds"]:
                number = float(sum(process.kind == kind for process in here))
                counts.append(
                    Reading(device, catalog.GPU_PROCESSES, ((catalog.PROCESS_TYPE.key, kind),), number, at=stamp)
                )
        carried = [_vgpu(gpu, told, stamp) for told in frame["vgpus"] or ()]
        refused = report.complaints(frame["unsupported"])
        failed = report.complaints(frame["failed"])
        self._told[gpu] = _Told(at, tuple(running), tuple(carried), tuple(counts), refused)
        self._given = None
        self._failed += failed
        self._blamed.pop(index, None)

    def forget(self) -> None:
        """Forget who was there: the driver may be another one."""
        self._told, self._given = {}, None

    def of(self, devices: Collection[str], now: float) -> "Occupied":
        """Give what still counts of some devices, the very same while that does not change; forget what does not count."""
        if self._given is None or devices is not self._given[0] or now >= self._given[1]:
            self._told = {gpu: told for gpu, told in self._told.items() if now - told.at < self._life}
            until = min((told.at for told in self._told.values()), default=math.inf) + self._life
            self._given = devices, until, self._find(devices)
        return self._given[2]

    def _find(self, devices: Collection[str]) -> "Occupied":
        told = [self._told[device] for device in devices if device in self._told]
        if not told:
            return NOBODY
        return Occupied(
            processes=tuple(process for each in told for process in each.processes if process.device in devices),
            vgpus=tuple(vgpu for each in told for vgpu in each.vgpus),
            readings=tuple(reading for each in told for reading in each.readings if reading.subject in devices),
            unsupported=tuple(
                complaint for each in told for complaint in each.unsupported if complaint.device in devices
            ),
        )

    def failed(self, under_way: Mapping[int, tuple[int, float]], gpus: Mapping[int, str]) -> Iterable[Unsupported]:
        """Give the calls that failed since this was last asked, once, and those that hang or are spared for it.

        `gpus` are the UUIDs by NVML index.
        """
        failed, self._failed = self._failed, []
        yield from failed
        for index, uuid in gpus.items():
            if USERS + index in under_way:
                call = _name(under_way[USERS + index][0])
                yield Unsupported(uuid, _metric(call), call, "timeout")
            elif index in self._blamed:
                call = self._blamed[index][1]
                yield Unsupported(uuid, _metric(call), call, troubles.PAUSED)


class Occupied(NamedTuple):
    """Who uses some devices."""

    processes: tuple[Process, ...]
    vgpus: tuple[Vgpu, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...]


NOBODY = Occupied((), (), (), ())


def _process(device: str, row: Any, stamp: float) -> Process:
    pid, kind, memory, busy = row
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no kind of process")
    return Process(
        device,
        int(pid),
        kind,
        memory=None if memory is None else int(memory),
        busy=None if busy is None else float(busy),
        at=stamp,
    )


def _vgpu(parent: str, told: Mapping[str, Any], stamp: float) -> Vgpu:
    memory, limit = told["memory"], told["limit"]
    return Vgpu(
        uuid=str(told["uuid"]),
        parent=parent,
        type=str(told["type"] or ""),
        vm=str(told["vm"] or ""),
        memory=None if memory is None else int(memory),
        memory_limit=None if limit is None else int(limit),
        busy=MappingProxyType({str(task): float(share) for task, share in told["busy"].items()}),
        at=stamp,
    )


def _may(backoff: Backoff) -> bool:
    try:
        backoff.check()
    except Trouble:
        return False
    return True


def _name(call: int) -> str:
    return calls.CALLS[call] if call < len(calls.CALLS) else ""


def _metric(call: str) -> str:
    return (catalog.VGPU_INFO if call in calls.VGPUS else catalog.GPU_PROCESSES).name
