# SPDX-License-Identifier: Apache-2.0
"""Waits until a file may have come: woken by the kernel where it tells of that, and else looking twice a second.

The directories on the way are watched, too, so that one that is made, removed or replaced later is noticed. What the kernel
does not tell of is a file system that is mounted over one of them.
"""

import os
import select
import threading
import time

from inferometer.sources.devices.inotify import CAME, GONE, LEFT, Inotify

GLANCE = 0.5  # seconds between two looks; each wakes a processor
CALM = 0.5  # seconds before a look that others, who come and go there, have caused
_AGAIN = 30.0  # seconds after the kernel could not be asked to tell


class Watch:
    """For one thread to wait in, and for any to wake it. An empty path is no file: then only a wake ends the waiting."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path) if path else ""  # noqa: PTH100  # of a name only
        self._inotify: Inotify | None = None
        self._awaited: frozenset[str] = (
            frozenset()
        )  # the names on the way, while it is watched: to leave, or to come first
        self._again = 0.0  # monotonic
        self._lock = threading.Lock()  # of the descriptor: none is written to when it is another's by now
        try:
            self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:  # no descriptors are left
            self._woken = -1

    def wake(self) -> None:
        """End the waiting, or the next one."""
        with self._lock:
            if self._woken >= 0:
                os.eventfd_write(self._woken, 1)

    def begin(self) -> None:
        """Watch from now on, if that can be: to be called before each look at the file, which is followed by `wait`."""
        if self._awaited or not self._path or time.monotonic() < self._again:
            return
        try:
            self._awaited = self._follow(Inotify())
        except OSError:
            self._forget()
            self._again = time.monotonic() + _AGAIN

    def wait(self) -> None:
        """Wait until the file may have come since `begin`, or until woken."""
        is_told = bool(self._awaited) or not self._path
        told = self._poll(None if is_told and self._woken >= 0 else GLANCE)
        if told and not self._has_come():
            self._poll(CALM, only_woken=True)  # they wake nobody more often than looking does
            self._has_come()

    def close(self) -> None:
        """Let go of everything. No thread may wait any more."""
        self._forget()
        with self._lock:
            if self._woken >= 0:
                os.close(self._woken)
            self._woken = -1

    def _follow(self, inotify: Inotify) -> frozenset[str]:
        """Watch all directories on the way, as far as there are any; give the names of which news is to come. Raises OSError."""
        self._inotify = inotify
        directory, *names = "/", *self._path.strip("/").split("/")
        for i, name in enumerate(names):
            below = os.path.join(directory, name)  # noqa: PTH118  # each costs three times as much with pathlib
            if os.path.islink(below):  # noqa: PTH114  # as above
                raise OSError(f"{below} leads elsewhere")
            is_way = i + 1 < len(names)
            if not (is_way and os.path.isdir(below)):  # noqa: PTH112  # as above
                inotify.watch(directory, CAME | GONE)
                if is_way and os.path.isdir(below):  # noqa: PTH112  # as above
                    raise OSError(f"{below} came between the two")
                return frozenset(names[: i + 1])
            # A directory that somebody is still in says only when they leave that it was removed; the one above says it at once.
            inotify.watch(directory, GONE | LEFT)
            directory = below
        raise OSError(f"{self._path} is no file")

    def _has_come(self) -> bool:
        """Take what was told; tell whether it concerns the way to the file. Then that has to be watched anew."""
        if self._inotify is None:
            return False
        told = list(self._inotify.events())
        if not any(lost or name in self._awaited for lost, name in told):
            return False
        self._forget()
        return True

    def _forget(self) -> None:
        self._awaited = frozenset()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _poll(self, seconds: float | None, *, only_woken: bool = False) -> bool:
        """Wait; tell whether the kernel has told something of a directory."""
        poll = select.poll()
        if self._woken >= 0:
            poll.register(self._woken, select.POLLIN)
        if self._inotify is not None and not only_woken:
            poll.register(self._inotify.descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._woken in ready:
            os.eventfd_read(self._woken)
        return bool(ready - {self._woken})
