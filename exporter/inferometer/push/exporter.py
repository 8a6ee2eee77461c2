# SPDX-License-Identifier: Apache-2.0
"""The push: a thread that puts the newest snapshot into the spool every interval, and one that sends what is there."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from inferometer import config
from inferometer.model import Snapshot, SpoolState
from inferometer.push.changes import Series, find_ended, find_fresh, mark, part_late, without_returned
from inferometer.push.drain import Drain
from inferometer.push.opening import open_sender
from inferometer.push.settings import Settings, resolve
from inferometer.push.sheet import Sheet
from inferometer.push.spool import Spool
from inferometer.push.temporality import DELTAS, Said, as_deltas
from inferometer.push.told import Told
from inferometer.push.waiting import Waiting

log = logging.getLogger(__name__)

Encode = Callable[..., tuple[bytes, ...]]  # (snapshot, *, max_bytes, ended, deltas, picks) -> requests
Newest = Callable[[], Snapshot | None]

_FOR_THE_PUSH = 0.75  # of the time to end: the last push may take so much of it, the rest is for the disk


class Left(NamedTuple):
    """What a push leaves: where it went, what it had taken, handed on and ended last, and the requests that wait in memory."""

    settings: Settings
    taken: Snapshot | None
    enqueued: Sheet | None
    said: Said
    marked: Mapping[Series, float]
    waiting: tuple[Waiting, ...]


class Push:
    """Pushes the newest snapshot at each interval from threads of its own. Without an endpoint it does nothing.

    A snapshot is encoded once, when its interval comes, and waits in the spool until it is taken, refused, or beyond the
    spool's limits. A point that the snapshot put there before had already, of the same read, is not put there again. A series
    that it had and the newest lacks is ended once, by its points in `ended`.

    Args:
        config: the file's keys; the OTEL_* variables in `environ` stand over them.
        encode: `(snapshot, *, max_bytes, ended, deltas, picks)` to ExportMetricsServiceRequests of at most `max_bytes` each,
            which say the `picks` of the snapshot.
        newest: the newest snapshot, None before the first.
    """

    def __init__(self, config: config.Otlp, environ: Mapping[str, str], encode: Encode, newest: Newest) -> None:
        self.settings, self.troubles = resolve(config, environ)
        self._encode = encode
        self._newest = newest
        self._enqueued: Sheet | None = None  # what changes are found against, and
        self._said = Said(time.time())  # gains
        self._marked: Mapping[Series, float] = {}  # when series were ended
        self._taken: Snapshot | None = None  # what the one that was handed on is of
        self._stopping = threading.Event()
        self._enqueuing = threading.Lock()
        self._thread = threading.Thread(target=self._enqueue_for_ever, name="otlp push", daemon=True)
        self._told = Told(self.settings.place if self.settings else "")
        self._spool = Spool(config.spool)
        self._drain: Drain | None = None
        if self.settings is not None:
            settings = self.settings
            self._drain = Drain(settings, config.spool.rate, self._spool, lambda: open_sender(settings), self._told)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How often pushes ended or had to wait, since the start: `success`, `partial`, or why not."""
        return self._told.outcomes

    @property
    def spool(self) -> SpoolState | None:
        """What waits; None without an endpoint."""
        return self._spool.state if self.settings is not None else None

    def leave(self) -> Left | None:
        """Give what a successor in this process needs, once closed; None without an endpoint, and where a disk hangs."""
        if self.settings is None or not self._enqueuing.acquire(blocking=False):
            return None
        try:
            return Left(self.settings, self._taken, self._enqueued, self._said, self._marked, self._spool.leave())
        finally:
            self._enqueuing.release()

    def follow(self, left: Left | None) -> None:
        """Go on where another push ended, ahead of the start: with what waits, and at the same place with what is new."""
        if left is None:
            return
        if self.settings is None or self._drain is None:
            if left.waiting:  # nothing tells of a spool where nothing is pushed
                log.warning("%d requests that waited to be pushed are dropped: there is no endpoint", len(left.waiting))
            return
        self._spool.adopt(left.waiting)
        self._drain.wake()
        if (self.settings.target, self.settings.temporality) == (left.settings.target, left.settings.temporality):
            self._enqueued, self._said, self._marked, self._taken = left.enqueued, left.said, left.marked, left.taken

    def start(self) -> None:
        """Say which settings cannot be used, and start to push if there is an endpoint."""
        for trouble in self.troubles:
            log.warning("%s", trouble.told())
        if self.settings is not None and self._drain is not None:
            log.info("Pushing OTLP to %s every %g s.", self.settings.place, self.settings.interval)
            self._thread.start()
            self._drain.start()

    def flush(self, deadline: float) -> bool:
        """Push what is new and what waits now, within `deadline` seconds; say whether all that is known has arrived."""
        if self._drain is None:
            return True
        until = time.monotonic() + deadline
        made = self._enqueue()
        return self._drain.flush(until) and made

    def close(self, deadline: float = 2.0) -> None:
        """End the threads, push a last time, leave the rest to the disk and hang up, all of it within `deadline` seconds."""
        if self._drain is None or self._stopping.is_set():
            return
        until = time.monotonic() + deadline
        self._stopping.set()
        self._drain.stop()
        # In a thread of its own: a disk that hangs must not hold up the end of the agent.
        last = threading.Thread(target=self._finish, args=(self._drain, deadline), name="otlp end", daemon=True)
        last.start()
        last.join(deadline)
        self._drain.hang_up()
        self._drain.join(until - time.monotonic())
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))

    def _finish(self, drain: Drain, deadline: float) -> None:
        self.flush(deadline * _FOR_THE_PUSH)
        drain.hang_up()
        self._spool.close()

    def _enqueue_for_ever(self) -> None:
        settings = self.settings
        if settings is None:
            return
        while self._newest() is None:
            if self._stopping.wait(min(1.0, settings.interval)):
                return
        due = time.monotonic()
        while not self._stopping.is_set():
            self._enqueue()
            # On the grid of the first push; where one took longer than the interval, the missed ones are left out.
            due += settings.interval * max(1, -(-(time.monotonic() - due) // settings.interval))
            self._stopping.wait(due - time.monotonic())

    def _enqueue(self) -> bool:
        """Put the newest snapshot into the spool, unless it is there; False where a defect of ours hinders it."""
        drain, settings = self._drain, self.settings
        if drain is None or settings is None:
            return True
        with self._enqueuing:
            newest = self._newest()
            if newest is None or newest is self._taken:
                return True
            try:
                before = self._enqueued
                sheet = Sheet.of(newest, before)
                snapshot = without_returned(newest, sheet, self._marked)
                if snapshot is not newest:
                    sheet = Sheet.of(snapshot, sheet)
                ended = find_ended(before, sheet, self._spool.take_owed())
                told, said = as_deltas(self._said, snapshot, settings.temporality)
                fresh = find_fresh(before, sheet if told is snapshot else Sheet.of(told, sheet))
                *late, rest = part_late(before, fresh)
                encode = partial(
                    self._encode, snapshot, max_bytes=drain.max_request, deltas=DELTAS[settings.temporality]
                )
                requests = [request for part in late for request in encode(picks=part)]
                requests += encode(picks=rest, ended=ended)
                self._spool.put(requests, ended)
            except Exception as error:
                self._told.defective(error)
                return False
            self._enqueued, self._said, self._marked = sheet, said, mark(self._marked, ended, snapshot.at)
            self._taken = newest
        drain.wake()
        return True
