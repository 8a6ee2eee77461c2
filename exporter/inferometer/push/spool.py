# SPDX-License-Identifier: Apache-2.0
"""The spool: what could not be sent yet, oldest first, on disk or else in memory, within its limits."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from inferometer import config
from inferometer.model import Point, Reason, SpoolState, Trouble
from inferometer.push.disk import Disk, Found, room
from inferometer.push.owed import Owed
from inferometer.push.record import read
from inferometer.push.waiting import Waiting

log = logging.getLogger(__name__)

Clock = Callable[[], float]

# Why requests are dropped, counted from 0 on so that the first loss is an increase; receivers have further ones.
REASONS = ("size", "memory", "age", "corrupt", "rejected", "out_of_order", "too_large")

_DISK_PAUSE = 30.0  # seconds after which a disk that failed is tried again


class Spool:
    """A queue of requests. Its front may be on disk, its back is in memory; threads may share it.

    While the receiver takes what it is sent, nothing is written: a request waits in memory for the moment that it takes to
    send it. As soon as one was not taken, or the next push comes while one is under way, all that waits is written to disk,
    so that a crash loses at most the push that was under way. Where there is no disk it waits in memory, compressed.
    """

    def __init__(self, settings: config.Spool, clock: Clock = time.time, steady: Clock = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._lock = threading.RLock()
        self._queue: deque[Waiting] = deque()
        self._disk: Disk | None = None
        self._disk_due = 0.0  # monotonic: when the disk is tried again
        self._disk_fails = False
        self._closed = False
        self._well = True
        self._push = self._number = self._parts = 0
        self._in_memory = 0  # bytes of records
        self._dropped: dict[str, tuple[int, int]] = dict.fromkeys(REASONS, (0, 0))
        self._owed = Owed()

    @property
    def state(self) -> SpoolState:
        """What waits, where, and what was dropped. Takes no lock: it may be asked for while the disk hangs."""
        disk, oldest = self._disk, 0.0
        with suppress(IndexError):
            oldest = max(0.0, self._steady() - self._queue[0].since)
        on_disk = bool(self._settings.directory) and disk is not None and not self._disk_fails
        return SpoolState(
            storage="disk" if on_disk else "memory",
            requests=len(self._queue),
            age=oldest,
            usage={"memory": self._in_memory, **({"disk": disk.used} if disk else {})},
            limit={
                "memory": int(self._settings.memory),
                **({"disk": int(self._settings.max_size)} if self._settings.directory else {}),
            },
            dropped=dict(self._dropped),
        )

    @property
    def parts(self) -> int:
        """How many requests the newest push had."""
        return self._parts

    def put(self, requests: Sequence[bytes], ended: tuple[Point, ...] = ()) -> None:
        """Add the requests of one push at the end. `ended` are the series that they say the end of."""
        with self._lock:
            self._open()
            self._drop_old()
            behind = bool(self._queue) or not self._well
            self._push += 1
            self._parts = len(requests)
            now, steady = self._clock(), self._steady()
            for i, request in enumerate(requests, 1):
                last = i == len(requests)
                waiting = Waiting(self._push, last, now, steady, body=request, ended=ended if last else ())
                self._queue.append(waiting)
            if behind:
                self.keep()

    def take(self) -> tuple[Waiting, bytes] | None:
        """Give the next request to send, with its body; None where nothing waits. It stays until `done`."""
        with self._lock:
            self._drop_old()
            while (waiting := self._next()) is not None:
                try:
                    body = self._load(waiting)
                except (OSError, ValueError):
                    self._drop(waiting, "corrupt")
                    continue
                waiting.held = True
                return waiting, body
            return None

    def done(self, waiting: Waiting) -> None:
        """Forget a request: it was taken, or refused for good."""
        with self._lock:
            if not self._closed:
                self._forget(waiting)
                self._well = self._well or not self._queue

    def put_back(self, waiting: Waiting) -> None:
        """Leave a request where it was, as it was not taken."""
        with self._lock:
            waiting.held, waiting.tried = False, True
            self._well = False
            self.keep()

    def keep(self) -> None:
        """Bring all that waits in memory to the disk; where that is not possible, within the memory's limit."""
        with self._lock:
            for waiting in [waiting for waiting in self._queue if waiting.number is None]:
                if waiting.packed is None:
                    self._in_memory += len(waiting.pack())
                if self._open():
                    self._save(waiting)
            self._shrink()

    def count(self, reason: str, requests: int, points: int) -> None:
        """Count what was lost."""
        with self._lock:
            before = self._dropped.get(reason, (0, 0))
            self._dropped[reason] = (before[0] + requests, before[1] + points)

    def owe(self, waiting: Waiting, *, refused: bool = False) -> None:
        """Note that the ends of series that a request told were not heard; one that is refused again and again is let be."""
        with self._lock:
            self._owed.owe(waiting.ended, refused=refused)

    def take_owed(self) -> tuple[Point, ...]:
        """Give the ends of series that have to be told again, once."""
        with self._lock:
            return self._owed.take()

    def leave(self) -> tuple[Waiting, ...]:
        """Give what waits in memory once this is closed, for another spool; nothing where its disk hangs."""
        if not self._lock.acquire(blocking=False):
            return ()
        try:
            return tuple([each for each in self._queue if each.packed is not None]) if self._closed else ()
        finally:
            self._lock.release()

    def adopt(self, left: Sequence[Waiting]) -> None:
        """Take over what another spool left, ahead of the first `put`."""
        with self._lock:
            for each in left:
                self._in_memory += len(each.pack())
                self._queue.append(replace(each, push=0, held=False, tried=True, begun=False))
            self._well = self._well and not left
            self._shrink()

    def close(self) -> None:
        """Bring what waits to the disk and let go of it."""
        with self._lock:
            if not self._closed:
                self._disk_due = 0.0
                self.keep()
                self._closed = True
                if self._disk:
                    self._disk.close()

    # --- one at a time, under the lock ---

    def _next(self) -> Waiting | None:
        if not self._queue:
            return None
        if self._settings.order == "fresh-first":
            if begun := next((w for w in self._queue if w.begun), None):
                return begun
            newest = [w for w in list(self._queue)[-self._parts :] if w.push == self._push and not w.tried]
            if newest:
                return newest[0]
        return self._queue[0]

    def _load(self, waiting: Waiting) -> bytes:
        if waiting.body is not None:
            return waiting.body
        if waiting.packed is not None:
            return read(waiting.packed)[1]
        if self._disk is None or waiting.number is None:
            raise ValueError("nothing is kept of it")
        return read(self._disk.load(waiting.number))[1]

    def _open(self) -> bool:
        """Open the disk if there is one and it is time to; say whether it can be used."""
        if self._closed or not self._settings.directory:
            return False
        if self._disk_fails and self._steady() < self._disk_due:
            return False
        if self._disk is None:
            try:
                disk = Disk(Path(self._settings.directory))
                found = disk.find()
            except Trouble as trouble:
                self._fail(trouble)
                return False
            self._disk = disk
            self._take_over(disk, found)
            self._recover()
        return True

    def _take_over(self, disk: Disk, found: Sequence[Found]) -> None:
        """Put what the agent before has left in front, and what it left unreadable down as lost."""
        now, steady = self._clock(), self._steady()
        unreadable = disk.torn + sum(record.head is None for record in found)
        if unreadable:
            self.count("corrupt", unreadable, 0)
        older = [
            Waiting(
                0, head.last, head.at, steady - max(0.0, now - head.at), number=number, tried=True, counted=head.points
            )
            for number, head in found
            if head is not None
        ]
        self._queue.extendleft(reversed(older))
        self._number = max((number for number, _ in found), default=0)
        self._well = self._well and not older
        while disk.used > self._settings.max_size and self._evict():  # the limit may have become less
            pass
        if older:
            log.info("%d OTLP requests of the agent before wait in %s.", len(older), self._settings.directory)

    def _save(self, waiting: Waiting) -> None:
        """Bring a request to the disk, after room was made for it; if that fails it stays in memory."""
        disk, record = self._disk, waiting.packed
        if disk is None or record is None:
            return
        disk.tidy()
        limit = self._settings.max_size
        if room(len(record)) > limit:
            self._drop(waiting, "size")
            return
        while disk.used + room(len(record)) > limit:
            before = disk.used
            if not self._evict():
                self._drop(waiting, "size")
                return
            if disk.used == before:  # it does not remove: it would not write either
                self._fail(Trouble(Reason.REFUSED, f"Nothing can be removed from {self._settings.directory}"))
                return
        try:
            disk.save(self._number + 1, record)
        except Trouble as trouble:
            self._fail(trouble)
            return
        self._number += 1
        waiting.number, waiting.packed = self._number, None
        self._in_memory -= len(record)
        self._recover()

    def _recover(self) -> None:
        if self._disk_fails:
            self._disk_fails = False
            log.info("The spool in %s can be used again.", self._settings.directory)

    def _fail(self, trouble: Trouble) -> None:
        """Do without the disk for a while; say so once."""
        if not self._disk_fails:
            log.warning("%s Until then what cannot be sent waits in memory.", trouble.told())
        self._disk_fails = True
        self._disk_due = self._steady() + _DISK_PAUSE

    def _evict(self) -> bool:
        """Drop the oldest that is on disk and not being sent; say whether there was one."""
        for waiting in self._queue:
            if waiting.number is not None and not waiting.held:
                self._drop(waiting, "size")
                return True
        return False

    def _shrink(self) -> None:
        """Keep what waits in memory within its limit."""
        for waiting in [w for w in self._queue if w.packed is not None and not w.held]:
            if self._in_memory <= self._settings.memory:
                return
            self._drop(waiting, "memory")

    def _drop_old(self) -> None:
        oldest = self._steady() - self._settings.max_age
        while self._queue and self._queue[0].since < oldest and not self._queue[0].held:
            self._drop(self._queue[0], "age")

    def _drop(self, waiting: Waiting, reason: str) -> None:
        self.count(reason, 1, waiting.points)
        self.owe(waiting)
        self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        with suppress(ValueError):
            self._queue.remove(waiting)
        if waiting.packed is not None:
            self._in_memory -= len(waiting.packed)
            waiting.packed = None
        if waiting.number is not None and self._disk is not None:
            self._disk.remove(waiting.number)
            waiting.number = None
