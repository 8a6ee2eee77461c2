# SPDX-License-Identifier: Apache-2.0
"""The thread that empties the spool into the receiver: one request after another, with retries, at a limited rate."""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from inferometer.model import Reason, Trouble
from inferometer.push.answer import Verdict
from inferometer.push.parts import count_points, halve, split
from inferometer.push.sender import Sender
from inferometer.push.settings import Settings
from inferometer.push.spool import Spool
from inferometer.push.told import Told
from inferometer.push.waiting import Waiting

log = logging.getLogger(__name__)

OUT_OF_ORDER = "out_of_order"  # the receiver has newer samples of these series already

_FIRST_WAIT = (
    1.0  # seconds before the first retry, doubled for each one after it (OTLP specification: exponential, jittered)
)
_LONGEST_WAIT = 30.0
_LONGEST_SILENCE = 600.0  # whatever a receiver asks for
_LEAST_REQUEST = 64 * 1024  # no receiver's limit is below this

# How Prometheus names it (prometheus/prometheus storage/interface.go, ErrOutOfOrderSample and its like), and Mimir and
# VictoriaMetrics after it.
_LATE = re.compile(r"out[ -]of[ -](order|bounds)|too old sample|duplicate sample", re.IGNORECASE)


class _Rest(NamedTuple):
    """What has still to be sent of a request, in order."""

    waiting: Waiting
    parts: list[bytes]


class Drain:
    """Sends what the spool gives. A hanging receiver holds up this thread and nobody else.

    Args:
        make_sender: a sender; called again after each failure. May raise Trouble.
        told: counts the outcomes and logs their changes.
    """

    def __init__(
        self, settings: Settings, rate: int, spool: Spool, make_sender: Callable[[], Sender], told: Told
    ) -> None:
        self.max_request = settings.max_request  # bytes; falls where the receiver takes less
        self._settings = settings
        self._rate = rate
        self._spool = spool
        self._make_sender = make_sender
        self._told = told
        self._sender: Sender | None = None
        self._rest: _Rest | None = None  # of a request that was partly taken
        self._wait = _FIRST_WAIT
        self._not_before = 0.0  # monotonic: after a failure
        self._silent_until = 0.0  # monotonic: the receiver asked for it
        self._pace_until = 0.0  # monotonic: the rate's
        self._refused: str | None = None  # why something of the push in progress was, if it was
        self._rejected = self._refusals = 0
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="otlp drain", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that something waits."""
        self._news.set()

    def stop(self) -> None:
        """End the thread, after what it sends now; a retry that waits gives up."""
        self._stopping.set()
        self._news.set()

    def flush(self, until: float) -> bool:
        """Send what waits, until a failure or the monotonic time `until`; say whether all of it has arrived."""
        if not self._sending.acquire(timeout=max(0.0, until - time.monotonic())):
            return False
        try:
            before = self._refusals
            while max(time.monotonic(), self._silent_until, self._pace_until) < until:
                time.sleep(max(0.0, max(self._silent_until, self._pace_until) - time.monotonic()))
                took = self._send_next(min(until, time.monotonic() + self._settings.timeout))
                if took is None:
                    return self._refusals == before
                if not took:
                    return False
            return False
        finally:
            self._sending.release()

    def hang_up(self) -> None:
        """Close the connection; a request that waits for its answer ends."""
        if self._sender is not None:
            self._sender.close()

    def join(self, timeout: float) -> None:
        """Wait for the thread."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, timeout))

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            took: bool | None = True
            while took is not None and not self._stopping.is_set():
                due = max(self._not_before, self._silent_until, self._pace_until)
                if self._stopping.wait(max(0.0, due - time.monotonic())):
                    return
                with self._sending:
                    took = self._send_next(time.monotonic() + self._settings.timeout)

    def _send_next(self, until: float) -> bool | None:
        """Send the next request: True if it is done with, False if it has to wait, None if there is none."""
        taken = self._spool.take()
        if taken is None:
            return None
        waiting, body = taken
        try:
            verdict = self._send(waiting, body, until)
        except Exception as error:  # a defect of ours in one request must not hold up the others
            log.debug("A request could not be sent, by a defect.", exc_info=True)
            self._refuse(waiting, body, Verdict(Reason.INTERNAL, repr(error)))
            verdict = Verdict(None)
        if verdict.reason is not None:
            self._spool.put_back(waiting)
            self._fail(verdict)
            return False
        self._rest = None
        was_behind = waiting.tried or waiting.number is not None or waiting.packed is not None
        self._spool.done(waiting)
        self._succeed(waiting)
        if was_behind:
            # Twice as fast as it comes in at least, or what waits would never become less.
            pause = min(len(body) / self._rate, self._settings.interval / (2 * max(1, self._spool.parts)))
            self._pace_until = time.monotonic() + pause
        return True

    def _send(self, waiting: Waiting, body: bytes, until: float) -> Verdict:
        """Send a request, in parts that the receiver takes; give the first verdict that is worth waiting for, or success."""
        if self._rest is None or self._rest.waiting is not waiting:
            self._rest = _Rest(waiting, [body])
        parts, begun = self._rest.parts, False
        while parts:
            if len(parts[0]) > self.max_request:
                parts[:1] = split(parts[0], self.max_request)
            verdict = self._try(parts[0], until)
            if verdict.reason is None:
                self._take_note(verdict, parts[0])
            elif verdict.reason is Reason.TOO_LARGE:
                halves = halve(parts[0]) if len(parts[0]) > _LEAST_REQUEST else None
                if halves:
                    self.max_request = max(_LEAST_REQUEST, min(len(parts[0]), self.max_request) // 2)
                    parts[:1] = halves
                    continue
                self._refuse(waiting, parts[0], verdict)
            elif not verdict.retry:
                self._refuse(waiting, parts[0], verdict)
            else:
                if begun:
                    waiting.begun = True
                    waiting.counted = sum(map(count_points, parts))  # the rest, should it be dropped now
                return verdict
            del parts[0]
            begun = True
        return Verdict(None)

    def _try(self, part: bytes, until: float) -> Verdict:
        """Send one part, with retries, until it is taken, refused for good, or there is no time for another try."""
        try:
            if self._sender is None:
                self._sender = self._make_sender()
            packed = self._sender.pack(part)
            verdict = Verdict(Reason.TIMEOUT, f"no answer within {self._settings.timeout:g} s", retry=True)
            while (left := until - time.monotonic()) > 0:
                verdict = self._sender.send(packed, left)
                if not verdict.retry:
                    break
                pause = self._wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, no secret
                if verdict.wait is not None:
                    pause = min(verdict.wait, _LONGEST_SILENCE)
                    self._silent_until = time.monotonic() + pause
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
                self._not_before = time.monotonic() + pause
                if self._not_before >= until or self._stopping.wait(pause):
                    break
        except Trouble as trouble:  # a certificate that cannot be read, say: it may be there the next time
            verdict = Verdict(trouble.reason, trouble.told(), retry=True)
        return verdict

    def _take_note(self, verdict: Verdict, part: bytes) -> None:
        """Count what the receiver took a request without: all of it at the most, whatever it says."""
        self._wait = _FIRST_WAIT
        rejected = min(verdict.rejected, count_points(part)) if verdict.rejected else 0
        if rejected:
            self._rejected += rejected
            late = _LATE.search(verdict.message)
            self._spool.count(OUT_OF_ORDER if late else str(Reason.REJECTED), 0, rejected)
        self._told.partly(rejected, verdict.message)

    def _refuse(self, waiting: Waiting, part: bytes, verdict: Verdict) -> None:
        """Drop what will never be taken; count it and name why."""
        self._wait = _FIRST_WAIT
        late = verdict.reason is Reason.REJECTED and _LATE.search(verdict.message)
        reason = OUT_OF_ORDER if late else str(verdict.reason)
        points = count_points(part)
        self._spool.count(reason, 1, points)
        self._spool.owe(waiting, refused=True)
        self._refused = reason
        self._refusals += 1
        self._told.refused(reason, points, verdict.message)
        self.hang_up()
        self._sender = None

    def _fail(self, verdict: Verdict) -> None:
        now = time.monotonic()
        if self._not_before <= now:
            self._not_before = now + self._wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, no secret
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        self.hang_up()
        self._sender = None
        self._told.failed(str(verdict.reason), verdict.message)

    def _succeed(self, waiting: Waiting) -> None:
        if waiting.last:
            self._told.ended(self._refused, self._rejected)
            self._refused, self._rejected = None, 0
