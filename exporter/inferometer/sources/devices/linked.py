# SPDX-License-Identifier: Apache-2.0
"""Which NVLinks of each GPU have been up since the agent began: one that is down now leads somewhere, and is broken."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from inferometer import catalog
from inferometer.sources.devices import calls, tables

_MOST_GPUS = 256  # more than a node has, and those that were replaced

_SLOT = next(i for i, (quantity, _) in enumerate(tables.QUANTITIES) if quantity.metric == catalog.NVLINK_UP.name)


class Linked:
    """The numbers of the links that were up, by GPU UUID. They outlive samplers: a driver that is loaded anew moves no cable."""

    def __init__(self) -> None:
        self._links: dict[str, frozenset[str]] = {}

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take a GPU's frame, of whichever sample.

        Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send.
        """
        if calls.MEDIUM not in frame["tiers"]:
            return
        uuid = str(frame["uuid"])
        known = self._links.get(uuid, frozenset())
        up = {str(int(index[0])) for slot, value, *index in frame["values"] if slot == _SLOT and value == 1}
        if not up <= known:
            self._links[uuid] = known | up
            if len(self._links) > _MOST_GPUS:
                del self._links[next(iter(self._links))]

    @property
    def now(self) -> Mapping[str, frozenset[str]]:
        """What is known now, as a value."""
        return MappingProxyType(dict(self._links))
