# SPDX-License-Identifier: Apache-2.0
"""Whether this process stood still for a moment: what was tried then says nothing of what was tried."""

import threading
import time
from types import TracebackType
from typing import Self

_APART = 0.05  # seconds between two beats
_LATE = 0.25  # seconds after which one is missing


class Pulse:
    """A thread that beats all the time, and notes when it could not."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._beat = time.monotonic()
        self._stood = -1.0  # when it last noted that it could not beat, monotonic
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def stood_since(self, began: float) -> bool:
        """Tell whether the process stood still since then (monotonic seconds)."""
        return self._stood >= began or _is_late(time.monotonic() - self._beat)

    def _run(self) -> None:
        while not self._ending.wait(_APART):
            now = time.monotonic()
            if _is_late(now - self._beat):
                self._stood = now
            self._beat = now


def _is_late(passed: float) -> bool:
    return passed > _APART + _LATE
