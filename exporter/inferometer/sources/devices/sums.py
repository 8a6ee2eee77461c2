# SPDX-License-Identifier: Apache-2.0
"""What the driver counts only from one read to the next, added up: a counter that outlives samplers, as all counters do."""

from inferometer.sources.devices.layout import Layout

_MOST_GPUS = 256  # more than a node has, and those that were replaced


class Sums:
    """The sums since the agent began, by GPU UUID and place in the table. What happened while nobody read is missing."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[int, float]] = {}

    def add(self, gpu: str, layout: Layout, numbers: list[float]) -> None:
        """Add what a GPU's frame tells, of whichever sample, and put the sums in its place: each frame is taken once."""
        if not layout.sums:
            return
        sums = self._sums.setdefault(gpu, {})
        for place, slot in layout.sums:
            numbers[place] = sums[slot] = sums.get(slot, 0.0) + numbers[place]
        if len(self._sums) > _MOST_GPUS:
            del self._sums[next(iter(self._sums))]
