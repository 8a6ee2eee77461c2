# SPDX-License-Identifier: Apache-2.0
"""How often strangers may make us work: so many times a second on average, and so many at once."""

import threading
import time

from inferometer.model import Clock


class Allowance:
    """A bucket of `burst` that fills by `rate` a second. For any number of threads."""

    def __init__(self, rate: float, burst: float, steady: Clock = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._steady = steady
        self._left = burst
        self._filled = steady()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one, if there is one."""
        with self._lock:
            now = self._steady()
            self._left = min(self._burst, self._left + self._rate * max(0.0, now - self._filled))
            self._filled = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
