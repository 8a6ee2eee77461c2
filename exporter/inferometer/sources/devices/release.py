# SPDX-License-Identifier: Apache-2.0
"""Whether the driver is to be left alone now: an operator's file, a node's annotation, or a pause that was asked for."""

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from inferometer import config as configuration

_ANNOTATION_LASTS = 60.0  # seconds that the node's last answer counts; after that nobody is known to want anything


class Will(NamedTuple):
    """Why the driver is left alone, and what ends it."""

    why: str
    ends: str


class Pause:
    """A time for which the driver is left alone, because somebody asked once. It outlives the source that obeys it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._asked = ("", 0.0, 0.0)  # why, until when (monotonic), for how many seconds

    def begin(self, why: str, seconds: float) -> None:
        """Begin a pause, or begin it anew; whoever waits is woken. A later end that was asked for before stays."""
        until = time.monotonic() + seconds
        with self._lock:
            if until >= self._asked[1]:
                self._asked = why, until, seconds
        self.wake()

    def now(self) -> Will | None:
        """Give why there is a pause now."""
        why, until, seconds = self._asked
        if time.monotonic() >= until:
            return None
        return Will(why, f"The GPUs are read again after {seconds:g} s")

    def wake(self) -> None:
        """Wake whoever waits, to look again."""
        with self._lock:
            waiting = tuple(self._waiting)
        for wake in waiting:
            wake()

    def add(self, wake: Callable[[], None]) -> None:
        """Have somebody who waits woken, from now on."""
        with self._lock:
            self._waiting.append(wake)

    def remove(self, wake: Callable[[], None]) -> None:
        """Wake somebody no more."""
        with self._lock:
            self._waiting.remove(wake)


class Release:
    """What is wanted of the driver's users now, from all who may say so. May be asked by any thread."""

    def __init__(self, settings: configuration.Release, pause: Pause | None = None) -> None:
        self.pause = Pause() if pause is None else pause
        self._settings = settings
        self._annotated = (False, 0.0)  # what the node says, and until when that counts (monotonic)
        self._heard = threading.Event()  # whether the node was asked at all
        if not settings.annotation:
            self._heard.set()

    @property
    def file(self) -> str:
        """The file that an operator makes; empty: none."""
        return self._settings.file

    def now(self) -> Will | None:
        """Give why the driver is to be left alone now; None: it is not."""
        file, annotation = self._settings.file, self._settings.annotation
        if file and os.path.exists(file):  # noqa: PTH110  # at each read: Path costs three times as much
            return Will(f"the file {file} is there", "Remove it, and the GPUs are read again")
        wanted, until = self._annotated
        if wanted and time.monotonic() < until:
            ends = "Remove the annotation, and the GPUs are read again"
            return Will(f"the node's annotation {annotation} is true", ends)
        return self.pause.now()

    def annotated(self, wanted: bool | None, lasting: float = _ANNOTATION_LASTS) -> None:
        """Take what the node says; None where it could not be asked: what it said last counts for as long as it lasts."""
        if wanted is not None:
            self._annotated = wanted, time.monotonic() + lasting
        self._heard.set()
        if wanted:
            self.pause.wake()

    def wait_for_node(self, timeout: float) -> None:
        """Wait until the node was asked once, where it is: an agent that is restarted must not touch the driver first."""
        self._heard.wait(timeout)

    def unbound(self) -> None:
        """Begin a pause, since the driver is being unbound from a GPU."""
        self.pause.begin("the driver is being unbound from a GPU", self._settings.pause)
