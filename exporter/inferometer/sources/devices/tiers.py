# SPDX-License-Identifier: Apache-2.0
"""What the slower tiers said: kept between their reads, until two of their periods after it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from inferometer.model import Reading
from inferometer.sources.devices import calls, report


class _Told(NamedTuple):
    """What a device said in one read of a tier, at a monotonic time."""

    at: float
    readings: Sequence[Reading]


_NOTHING = _Told(0.0, ())


class Slower:
    """The newest readings of each device and slower tier. `periods` are the tiers', in seconds."""

    def __init__(self, periods: Mapping[str, float]) -> None:
        self._lives = {tier: 2 * period for tier, period in periods.items()}
        self._told: dict[tuple[str, str], _Told] = {}

    def take(self, frame: Mapping[str, Any], at: float, stamp: float) -> None:
        """Take a GPU's frame, read at a monotonic time and at Unix seconds `stamp`; one that came late is as good.

        Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send.
        """
        for told in (frame, *frame["instances"]):
            for tier in told["tiers"]:
                if tier in self._lives:
                    device = str(told["uuid"])
                    before = self._told.get((device, tier), _NOTHING).readings
                    self._told[device, tier] = _Told(at, report.readings(device, told["values"], tier, stamp, before))

    def readings(self, devices: Collection[str], now: float) -> Iterable[Reading]:
        """Give what still counts of some devices; forget what does not count any more."""
        self._told = {key: told for key, told in self._told.items() if now - told.at < self._lives[key[1]]}
        there = (self._told.get((device, tier)) for tier in calls.TIERS for device in devices)
        return chain.from_iterable(told.readings for told in there if told)

    def forget(self) -> None:
        """Forget everything: the driver may be another one."""
        self._told = {}
