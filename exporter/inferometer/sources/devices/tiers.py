# SPDX-License-Identifier: Apache-2.0
"""What the slower tiers said: kept between their reads, until two of their periods after it."""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import NamedTuple

from inferometer.model import Reading
from inferometer.sources.devices import calls
from inferometer.sources.devices.layout import Layout, Said, say_at


class _Told(NamedTuple):
    """What a device said in one read of a tier, until a monotonic time."""

    until: float
    said: Said


class _Given(NamedTuple):
    """What counts of some devices before a monotonic time, if nothing is taken."""

    devices: Collection[str]
    until: float
    readings: tuple[Reading, ...]


_NOTHING = _Given((), 0.0, ())


class Slower:
    """The newest readings of each device and slower tier. `periods` are the tiers', in seconds."""

    def __init__(self, periods: Mapping[str, float]) -> None:
        self._lives = {tier: 2 * period for tier, period in periods.items()}
        self._told: dict[tuple[str, str], _Told] = {}
        self._given = _NOTHING

    def take(self, layout: Layout, numbers: list[float], at: float, stamp: float) -> None:
        """Take a GPU's numbers, read at a monotonic time and at Unix seconds `stamp`; what came late is as good."""
        for key, part in layout.slower.items():
            if life := self._lives.get(key[1]):
                before = self._told.get(key)
                self._told[key] = _Told(at + life, say_at(part, numbers, stamp, before and before.said))
                self._given = _NOTHING

    def readings(self, devices: Collection[str], now: float) -> tuple[Reading, ...]:
        """Give what still counts of some devices, the very same while that does not change; forget what does not count."""
        if devices is not self._given.devices or now >= self._given.until:
            self._told = {key: told for key, told in self._told.items() if now < told.until}
            until = min((told.until for told in self._told.values()), default=now)
            there = (self._told.get((device, tier)) for tier in calls.TIERS for device in devices)
            readings = tuple(chain.from_iterable(told.said.readings for told in there if told))
            self._given = _Given(devices, until, readings)
        return self._given.readings

    def forget(self) -> None:
        """Forget everything: the driver may be another one."""
        self._told, self._given = {}, _NOTHING
