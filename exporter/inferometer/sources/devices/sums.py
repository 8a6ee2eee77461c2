# SPDX-License-Identifier: Apache-2.0
"""What the driver counts only from one read to the next, added up: a counter that outlives samplers, as all counters do."""

from typing import Any

from inferometer import catalog
from inferometer.sources.devices import tables

_MOST_GPUS = 256  # more than a node has, and those that were replaced

_SLOTS = frozenset(
    i for i, (quantity, _) in enumerate(tables.QUANTITIES) if quantity.metric == catalog.GPU_CONTEXT_SWITCHES.name
)


class Sums:
    """The sums since the agent began, by GPU UUID and place in the table. What happened while nobody read is missing."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[int, float]] = {}

    def take(self, frame: dict[str, Any]) -> None:
        """Add what a GPU's frame tells, of whichever sample, and put the sum in its place: each frame is taken once.

        Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send.
        """
        found = [told for told in frame["values"] if told[0] in _SLOTS]
        if not found:
            return
        sums = self._sums.setdefault(str(frame["uuid"]), {})
        for told in found:
            told[1] = sums[told[0]] = sums.get(told[0], 0.0) + float(told[1])
        if len(self._sums) > _MOST_GPUS:
            del self._sums[next(iter(self._sums))]
