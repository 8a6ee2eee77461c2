# SPDX-License-Identifier: Apache-2.0
"""One thread that sees to many reads that need no waiting for: all are asked first, then the answers are read in a row."""

import logging
import select
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Protocol

log = logging.getLogger(__name__)

_PATIENCE = (
    0.1  # seconds after the last question, or answer, in which the next answer comes, or is waited for elsewhere
)
_EACH = 0.01  # seconds that each answer may add to that in all, however they trickle in


class Seat(Protocol):
    """One read that is due."""

    @property
    def moment(self) -> float:
        """Seconds after the tick at which it is to be asked."""

    def ask(self) -> int | None:
        """Ask; give the descriptor that tells when something comes, or None where it has to be read with patience."""

    def take(self) -> bool:
        """Read what has come, without waiting; tell whether that is all that can be done here."""

    def hand_over(self) -> None:
        """Leave it to a thread of its own."""


class Crew:
    """Asks each at its moment, and reads what they answered when all have been asked.

    To wake a thread for each question and each answer costs more than to read the answer: each time the processor has
    forgotten how that is done. Whoever has not answered then, or otherwise than expected, is handed over: nobody waits
    here for anybody.
    """

    def __init__(self) -> None:
        self._batches: SimpleQueue[tuple[float, Sequence[Seat]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="crew", daemon=True)
        self._thread.start()

    def start(self, began: float, seats: Sequence[Seat]) -> None:
        """See to what is due at a tick that began then (monotonic)."""
        self._batches.put((began, seats))

    def close(self) -> None:
        """End the thread, after what it has begun."""
        self._batches.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, but not for ever."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            began, left = batch[0], set(batch[1])
            try:
                self._see_to(began, left)
            except Exception:
                log.exception("a defect of ours while reading many sources")
            for seat in left:
                seat.hand_over()
            del batch, left  # until the next tick nothing is held on to

    def _see_to(self, began: float, left: set[Seat]) -> None:
        """Ask and read; take those out of `left` with whom nothing is left to be done."""
        poll, waiting = select.poll(), dict[int, Seat]()
        for seat in sorted(left, key=lambda each: each.moment):
            time.sleep(max(0.0, began + seat.moment - time.monotonic()))
            descriptor = seat.ask()
            if descriptor is None or descriptor < 0:  # one that was closed meanwhile
                left.remove(seat)
                seat.hand_over()
            else:
                poll.register(descriptor, select.POLLIN)
                waiting[descriptor] = seat
        until = time.monotonic() + _PATIENCE
        end = until + _EACH * len(waiting)
        while waiting:
            # Who is due at the next tick does not wait for the answers of this one.
            rest = max(0.0, min(until, end) - time.monotonic()) if self._batches.empty() else 0.0
            done = False
            for descriptor, _ in poll.poll(rest * 1000):
                seat = waiting[descriptor]
                if seat.take():  # after a defect in another it must not be read once more
                    done = True
                    poll.unregister(descriptor)
                    left.remove(waiting.pop(descriptor))
            if done:
                until = time.monotonic() + _PATIENCE
            elif not rest:  # who was there when time was up has been read
                return
