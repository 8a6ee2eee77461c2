# SPDX-License-Identifier: Apache-2.0
"""When the tiers of one GPU are due, in the sampler child."""

import time
from collections.abc import Callable, Collection, Mapping

from inferometer.sources.devices import calls

_SLACK = 0.25  # seconds: samples come by a clock of the agent's, now and then some milliseconds early
_MOST_SLACK = 0.25  # of a period


class Turns:
    """The tiers' next times. A period is counted from when a read begins: one that is a multiple of the agent's is kept."""

    def __init__(self, periods: Mapping[str, float], index: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._periods = periods  # of the slower tiers, in seconds; the others are always due
        self._index = index
        self._clock = clock
        self._next: dict[str, float] = {}  # by the clock
        self._began = 0.0

    def begin_anew(self) -> None:
        """Have all tiers due: it is another GPU, or another mode of it."""
        self._next = {}

    def due(self) -> Collection[str]:
        """Give the tiers to read now: a read begins."""
        self._began = now = self._clock()
        return [tier for tier in calls.TIERS if now >= self._next.get(tier, 0.0)]

    def have_read(self, tiers: Collection[str]) -> None:
        """Say when tiers that were read are due again.

        Of the slow tier the first time is shorter, so that the GPUs take turns: one such read may take long. The medium tier
        of all GPUs is read together: whoever has to do with a metric is then bothered once a period, and not once for each GPU.
        """
        for tier, period in self._periods.items():
            if tier in tiers:
                first = tier == calls.SLOW and tier not in self._next
                wait = period * (1 - self._index % 8 / 16) if first else period
                self._next[tier] = self._began + wait - min(_SLACK, _MOST_SLACK * period)
