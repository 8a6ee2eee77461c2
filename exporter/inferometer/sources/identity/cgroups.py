# SPDX-License-Identifier: Apache-2.0
"""Whose the processes on the GPUs are, by their cgroups: a container of a pod, or the host's own."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from inferometer import config
from inferometer.model import Binding, Clock, Whereabouts
from inferometer.sources.identity.cgroup_paths import Place, place
from inferometer.sources.identity.proc import View, cgroups, life, view

MOST = 20_000  # processes; a GPU has room for a few dozen
_SLACK = 1.0  # seconds that a process may seem to be younger than the list that it is in

BINDINGS: tuple[Binding, ...] = ()  # whose a process is says who uses a device: attributes of the join's metrics


class _Known(NamedTuple):
    began: float
    place: Place


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Cgroups:
    """The whereabouts of the processes that `aim` names: a `model.Source[tuple[Whereabouts, ...]]`.

    A process is known by its number and its beginning, so that a number that is used again is another process. One that
    has ended, or began after the list in which it was seen, is left out.
    """

    name = "cgroups"
    instance = ""
    deadline = 2.0

    def __init__(
        self,
        config: config.Processes,
        period: float,
        *,
        own: str = "/proc",
        clock: Clock = time.time,
        since_boot: Clock = _since_boot,
    ) -> None:
        self.period = period
        self.dropped = 0  # processes of the newest `aim` beyond the limit
        self._proc = config.proc.rstrip("/")
        self._own = own
        self._clock = clock
        self._since_boot = since_boot
        self._lock = threading.Lock()
        self._wanted: Mapping[int, tuple[float | None, float]] = {}  # process -> when it was seen, Unix and since boot
        # Of the reading thread alone:
        self._view: View | None = None
        self._known: dict[int, _Known] = {}

    def aim(self, seen: Mapping[int, float | None]) -> bool:
        """Say which processes are on the GPUs, and when each was seen there, in Unix seconds; gives whether there are new ones."""
        # Soon after it was seen, so that a clock that is set later changes nothing.
        ahead = self._since_boot() - self._clock()
        wanted = {
            pid: before
            if (before := self._wanted.get(pid)) and before[0] == at
            else (at, float("inf") if at is None else at + ahead + _SLACK)
            for pid, at in sorted(seen.items())[:MOST]
        }
        self.dropped = len(seen) - len(wanted)
        with self._lock:
            new = bool(wanted.keys() - self._wanted.keys())
            self._wanted = wanted
        return new

    def read(self) -> tuple[Whereabouts, ...]:
        """Give where each process is, in the order of their numbers; one whose cgroup tells nothing of pods is the host's.

        One without pod, container and host is in the agent's own container.

        Raises:
            Trouble: what `proc.view` raises: without hostPID the agent sees no other processes than its own.
        """
        with self._lock:
            wanted = self._wanted
        sight = self._view = self._view or view(self._proc)
        known = {}
        for pid, (_, latest) in wanted.items():
            if found := self._find(pid, latest, sight):
                known[pid] = found
        self._known = known
        return tuple(Whereabouts(pid, *found.place) for pid, found in known.items())

    def close(self) -> None:
        """Nothing is held."""

    def _find(self, pid: int, latest: float, sight: View) -> _Known | None:
        # The driver may number processes as we do or as the node does: a number that is both is nobody's.
        if sight.foreign and Path(f"{self._own}/{pid}").exists():
            return None
        now = life(self._proc, pid)
        if now is None or now.began > latest:
            return None
        known = self._known.get(pid)
        if known and known.began == now.began:
            return known
        found = cgroups(self._proc, pid)
        after = life(self._proc, pid)  # it may have ended meanwhile, and its number be used again
        if not found or after is None or after.ending or after.began != now.began:
            return None
        return _Known(now.began, place(found, own_depth=sight.own_depth, private=sight.private))
