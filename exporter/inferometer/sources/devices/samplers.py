# SPDX-License-Identifier: Apache-2.0
"""All sampler processes of one source, and the thread that ends every one of them at once when the driver is to be left alone.

A read that is under way is not waited for: its sampler is asked to close NVML, and killed when it does not in time. What
the kernel closes for a dead process is closed as well. Only a process that is stuck inside the kernel keeps its handles.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from inferometer.sources.devices.child import Child
from inferometer.sources.devices.release import Release, Will
from inferometer.sources.devices.watch import Watch
from inferometer.sources.devices.words import Words

log = logging.getLogger(__name__)

# Together below a second with `watch.GLANCE`, from the wish to closed handles.
ASKED = 0.4  # seconds for nvmlShutdown
_KILLED = 0.3  # seconds that a killed process may take before it counts as stuck


class Samplers:
    """Starts samplers, and knows those that may live."""

    def __init__(self, make: Callable[[], Child], release: Release, words: Words) -> None:
        self._source = words.source
        self._make = make
        self._release = release
        self._lock = threading.Lock()
        self._living: list[Child] = []
        self._ended: list[Child] = []  # the last time
        self._stuck: list[Child] = []
        self._watch: Watch | None = None
        self._closed = False

    def start(self) -> Child:
        """Start one. Raises Trouble (CRASHED) where that cannot be."""
        child = self._make()
        with self._lock:
            self._living = [*_alive(self._living), child]
            if self._watch is None:
                self._watch = Watch(self._release.file)
                self._release.pause.add(self._watch.wake)
                name = f"{self._source} release"
                threading.Thread(target=self._obey, args=[self._watch], name=name, daemon=True).start()
        if self._release.now() is not None:  # asked for meanwhile: it has opened nothing yet
            child.end()
            self._watch.wake()
        return child

    def has_ended(self, child: Child) -> bool:
        """Tell whether a sampler was ended on purpose, even if nobody wants the driver left alone any more."""
        with self._lock:
            return child in self._ended

    @property
    def stuck(self) -> tuple[int, ...]:
        """The processes that were killed to let go of the driver and are still there."""
        with self._lock:
            self._stuck = _alive(self._stuck)
            return tuple(child.pid for child in self._stuck)

    def close(self) -> None:
        """Look no more. The samplers are their owners' to end."""
        self._closed = True
        if self._watch is not None:
            self._watch.wake()

    def _obey(self, watch: Watch) -> None:
        while not self._closed:
            watch.begin()
            if (will := self._release.now()) is not None:
                self._end_all(will)
            watch.wait()
        self._release.pause.remove(watch.wake)
        watch.close()

    def _end_all(self, will: Will) -> None:
        """End whatever lives, within a second."""
        with self._lock:
            living, self._living = _alive(self._living), []
            self._ended = living or self._ended
        if not living:
            return
        began = time.monotonic()
        for child in living:
            child.end()
        for child in _wait(living, ASKED):
            child.kill()
        stuck = _wait(living, _KILLED)
        if stuck:
            with self._lock:
                self._stuck = stuck
            pids = ", ".join(str(child.pid) for child in stuck)
            log.warning(
                "%s: %s, but the driver is still held by samplers stuck in it (processes %s)",
                self._source,
                will.why,
                pids,
            )
        else:
            log.info("%s: %s: let go of the driver within %.2f s", self._source, will.why, time.monotonic() - began)


def _alive(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.exit_status() is None]


def _wait(children: Sequence[Child], seconds: float) -> list[Child]:
    """Wait for processes to end; give those that do not."""
    until = time.monotonic() + seconds
    while (alive := _alive(children)) and time.monotonic() < until:
        time.sleep(0.01)
    return alive
