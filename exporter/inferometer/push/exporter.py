# SPDX-License-Identifier: Apache-2.0
"""The push: a thread that sends the newest snapshot every interval, and costs an outage nothing but resolution."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inferometer import config
from inferometer.model import Reason, Snapshot, Trouble
from inferometer.push.answer import Verdict
from inferometer.push.changes import find_ended, find_fresh
from inferometer.push.opening import open_sender
from inferometer.push.sender import Sender
from inferometer.push.settings import Settings, resolve
from inferometer.push.temporality import DELTAS, Said, as_deltas

log = logging.getLogger(__name__)

Encode = Callable[..., tuple[bytes, ...]]  # (snapshot, *, max_bytes, ended, deltas) -> requests
Newest = Callable[[], Snapshot | None]

SUCCESS = "success"
PARTIAL = "partial"  # the receiver took the push, but not every point of it

_FIRST_WAIT = (
    1.0  # seconds before the first retry, doubled for each one after it (OTLP specification: exponential, jittered)
)
_LONGEST_WAIT = 30.0
_LONGEST_SILENCE = 600.0  # whatever a receiver asks for
_LEAST_REQUEST = 64 * 1024  # no receiver's limit is below this


class _Outcome(NamedTuple):
    """How one push ended: None is success."""

    reason: Reason | None
    message: str = ""
    rejected: int = 0


class Push:
    """Pushes the newest snapshot from a thread of its own. Without an endpoint it does nothing.

    A push that fails is dropped: counters are cumulative, so the next one brings what was missed, at the newest time.
    A point that the last successful push had already, of the same read, is not sent again. A series that it had and the
    newest snapshot lacks is ended once, by its points in `ended`.

    Args:
        config: the file's keys; the OTEL_* variables in `environ` stand over them.
        encode: `(snapshot, *, max_bytes, ended, deltas)` to ExportMetricsServiceRequests of at most `max_bytes` each.
        newest: the newest snapshot, None before the first.
    """

    def __init__(self, config: config.Otlp, environ: Mapping[str, str], encode: Encode, newest: Newest) -> None:
        self.settings, self.troubles = resolve(config, environ)
        self._encode = encode
        self._newest = newest
        self._max_request = self.settings.max_request if self.settings else 0
        self._outcomes: dict[str, int] = {}
        self._sender: Sender | None = None
        self._sent: Snapshot | None = None
        self._said = Said(time.time())
        self._failing_since: float | None = None  # monotonic
        self._silent_until = 0.0  # monotonic; the receiver asked for it
        self._refusing = False
        self._stopping = threading.Event()
        self._exporting = threading.Lock()
        self._thread = threading.Thread(target=self._push_for_ever, name="otlp push", daemon=True)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Pushes since the start by outcome: `success`, `partial`, or the Reason that the push failed for."""
        return dict(self._outcomes)

    def start(self) -> None:
        """Say which settings cannot be used, and start to push if there is an endpoint."""
        for trouble in self.troubles:
            log.warning("%s", trouble.told())
        if self.settings is not None:
            log.info("Pushing OTLP to %s every %g s.", self.settings.place, self.settings.interval)
            self._thread.start()

    def flush(self, deadline: float) -> bool:
        """Push what is new now, within `deadline` seconds; say whether all that is known has arrived."""
        if self.settings is None:
            return True
        until = time.monotonic() + deadline
        if not self._exporting.acquire(timeout=max(0.0, deadline)):
            return False
        try:
            return self._export(self.settings, min(until, time.monotonic() + self.settings.timeout))
        finally:
            self._exporting.release()

    def close(self, deadline: float = 2.0) -> None:
        """End the thread, push a last time within `deadline` seconds, and hang up."""
        until = time.monotonic() + deadline
        self._stopping.set()  # a retry that waits gives up, and leaves the rest of the time to the last push
        self.flush(deadline)
        sender = self._sender
        if sender is not None:
            sender.close()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))

    def _push_for_ever(self) -> None:
        settings = self.settings
        if settings is None:
            return
        while self._newest() is None:
            if self._stopping.wait(min(1.0, settings.interval)):
                return
        due = time.monotonic()
        while not self._stopping.is_set():
            with self._exporting:
                self._export(settings, time.monotonic() + settings.timeout)
            # On the grid of the first push; where one took longer than the interval, the missed ones are left out.
            due += settings.interval * max(1, -(-(time.monotonic() - due) // settings.interval))
            self._stopping.wait(max(due, self._silent_until) - time.monotonic())

    def _export(self, settings: Settings, until: float) -> bool:
        """Push the newest snapshot once, unless it has arrived already; count the outcome and log its changes."""
        snapshot = self._newest()
        if snapshot is None or snapshot is self._sent:
            return True
        try:
            outcome = self._deliver(settings, snapshot, until)
        except Trouble as trouble:
            outcome = _Outcome(trouble.reason, trouble.told())
        except Exception as error:
            log.debug("The push failed by a defect.", exc_info=True)
            outcome = _Outcome(Reason.INTERNAL, repr(error))
        if outcome.reason is None:
            self._sent = snapshot
        elif self._sender is not None:
            self._sender.close()
            self._sender = None
        self._count(outcome)
        self._report(settings, outcome)
        return outcome.reason is None

    def _deliver(self, settings: Settings, snapshot: Snapshot, until: float) -> _Outcome:
        """Encode and send. A request that is too large for the receiver is split smaller, once a push, and so from then on."""
        ended, fresh = find_ended(self._sent, snapshot), find_fresh(self._sent, snapshot)
        told, said = as_deltas(self._said, fresh, settings.temporality)
        deltas = DELTAS[settings.temporality]
        for last in (False, True):
            rejected, message = 0, ""
            for request in self._encode(told, max_bytes=self._max_request, ended=ended, deltas=deltas):
                verdict = self._send(settings, request, until)
                if verdict.reason is not None:
                    break
                rejected, message = rejected + verdict.rejected, verdict.message or message
            else:
                self._said = said
                return _Outcome(None, message, rejected)
            if verdict.reason is not Reason.TOO_LARGE or last or self._max_request <= _LEAST_REQUEST:
                break
            self._max_request = max(_LEAST_REQUEST, self._max_request // 2)
        return _Outcome(verdict.reason, verdict.message)

    def _send(self, settings: Settings, request: bytes, until: float) -> Verdict:
        """Send one request, with retries, until it is taken, refused for good, or there is no time for another try."""
        if self._sender is None:
            self._sender = open_sender(settings)
        packed = self._sender.pack(request)
        wait = _FIRST_WAIT
        verdict = Verdict(Reason.TIMEOUT, f"no answer within {settings.timeout:g} s")
        while (left := until - time.monotonic()) > 0:
            verdict = self._sender.send(packed, left)
            if verdict.reason is None or not verdict.retry:
                return verdict
            pause = wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, no secret
            if verdict.wait is not None:
                pause = min(verdict.wait, _LONGEST_SILENCE)
                self._silent_until = time.monotonic() + pause
            if time.monotonic() + pause >= until or self._stopping.wait(pause):
                return verdict
            wait = min(2 * wait, _LONGEST_WAIT)
        return verdict

    def _count(self, outcome: _Outcome) -> None:
        key = outcome.reason or (PARTIAL if outcome.rejected else SUCCESS)
        self._outcomes[str(key)] = self._outcomes.get(str(key), 0) + 1

    def _report(self, settings: Settings, outcome: _Outcome) -> None:
        """Log once when pushing fails and once when it recovers, and once when the receiver starts to refuse points."""
        now = time.monotonic()
        if outcome.reason is not None:
            if self._failing_since is None:
                self._failing_since = now
                log.warning("OTLP push to %s fails (%s): %s", settings.place, outcome.reason, outcome.message)
            else:
                log.debug("OTLP push to %s still fails (%s): %s", settings.place, outcome.reason, outcome.message)
            return
        if self._failing_since is not None:
            log.info("OTLP push to %s works again, after %.0f s.", settings.place, now - self._failing_since)
            self._failing_since = None
        refusing = bool(outcome.rejected or outcome.message)
        if refusing and not self._refusing:
            text = "%s took a push without %d of its points: %s"
            log.warning(text, settings.place, outcome.rejected, outcome.message or "it gives no reason")
        self._refusing = refusing
