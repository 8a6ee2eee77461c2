# SPDX-License-Identifier: Apache-2.0
"""A thread for one read that has to be waited for, while it is needed."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

Errand = Callable[[], None]


class Hand:
    """A thread for one source. It is there from its first errand until it is let go, and does one after the other.

    For one caller at a time. A thread costs 70 KiB, most of them its stack.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._errands: SimpleQueue[Errand | None] | None = None  # there is one with a thread; None is its last errand
        self._thread: threading.Thread | None = None

    def do(self, errand: Errand) -> None:
        """Have something done, after what was asked for before. Raises RuntimeError where there are no more threads."""
        if self._errands is None:
            errands: SimpleQueue[Errand | None] = SimpleQueue()
            thread = threading.Thread(target=_do, args=(errands,), name=self._name, daemon=True)
            thread.start()
            self._errands, self._thread = errands, thread
        self._errands.put(errand)

    def let_go(self) -> None:
        """End the thread after what was asked for; another errand makes another."""
        if self._errands is not None:
            self._errands.put(None)
            self._errands = None

    def join(self, timeout: float) -> None:
        """Wait for the last thread to end, but not for ever."""
        if self._thread is not None:
            self._thread.join(timeout)


def _do(errands: SimpleQueue[Errand | None]) -> None:
    while (errand := errands.get()) is not None:
        errand()
