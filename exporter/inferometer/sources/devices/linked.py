# SPDX-License-Identifier: Apache-2.0
"""Which NVLinks of each GPU have been up since the agent began: one that is down now leads somewhere, and is broken."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from inferometer.sources.devices.layout import Layout

_MOST_GPUS = 256  # more than a node has, and those that were replaced


class Linked:
    """The numbers of the links that were up, by GPU UUID. They outlive samplers: a driver that is loaded anew moves no cable."""

    def __init__(self) -> None:
        self.now: Mapping[str, frozenset[str]] = MappingProxyType({})  # the very same until one more has been up

    def take(self, gpu: str, layout: Layout, numbers: Sequence[float]) -> None:
        """Take what a GPU's frame tells, of whichever sample."""
        known = self.now.get(gpu, frozenset())
        up = {link for place, link in layout.links if numbers[place] == 1}
        if not up <= known:
            links = {**self.now, gpu: known | up}
            if len(links) > _MOST_GPUS:
                del links[next(iter(links))]
            self.now = MappingProxyType(links)
