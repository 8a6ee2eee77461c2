# SPDX-License-Identifier: Apache-2.0
"""How long a sampler that gave up is left alone: twice as long each time, so that a node without a driver costs nothing."""

import time

from inferometer.model import Trouble

_FIRST = 1.0  # seconds
_LONGEST = 60.0
APART = 60.0  # seconds between two failures of which each may be mended at once


class Backoff:
    """The wait before the next start, and the trouble that is told meanwhile."""

    def __init__(self, first: float = _FIRST, longest: float = _LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._delay = 0.0
        self._until = 0.0
        self._trouble: Trouble | None = None
        self._skipped = -APART

    def may_skip(self) -> bool:
        """Tell whether what failed now may be tried again without a wait: not when it failed within the last minute, too."""
        before, self._skipped = self._skipped, time.monotonic()
        return self._skipped - before >= APART

    def failed(self, trouble: Trouble) -> Trouble:
        """Note a failure, and give it back."""
        self._delay = min(self._longest, self._delay * 2 or self._first)
        self._until = time.monotonic() + self._delay
        self._trouble = trouble.bare()
        return trouble

    def succeeded(self) -> None:
        """Forget what failed."""
        self._delay = 0.0
        self._trouble = None

    def check(self) -> None:
        """Raise the last trouble again while the wait is not over."""
        if self._trouble is not None and time.monotonic() < self._until:
            # A new one each time: an exception that is raised again and again would gather tracebacks.
            raise self._trouble.bare()
