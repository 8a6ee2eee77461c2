# SPDX-License-Identifier: Apache-2.0
"""What reading costs the driver: its calls, summed over all samplers, and the fields as it says itself.

Nobody needs that at every sample: what was given stands for a period, as the very same values.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from inferometer.sources.devices import calls, tables


def _tiers() -> dict[int, str]:
    """Give the tier of each field; where several rows have one, the slowest."""
    ways = [(way.field, row.tier) for row in calls.ROWS for way in row.ways if way.field]
    found: dict[int, str] = {}
    for field, tier in sorted(ways, key=lambda pair: calls.TIERS.index(pair[1])):
        found.update(dict.fromkeys(field if isinstance(field, tuple) else (field,), tier))
    return found


_TIERS = _tiers()


_NEARLY = 0.95  # of a period: samples come by a clock of the agent's, now and then some milliseconds early


class _Fields(NamedTuple):
    """The latencies of some GPUs' fields, as they were given, and until when they are given again."""

    gpus: Sequence[str]
    until: float
    seconds: Mapping[str, float]


class Costs:
    """The sums since this was made, and the newest latencies of each GPU.

    `lives` are seconds for which a tier's latencies count, or the medium tier's, with which they are told, if that is longer;
    `period` is how long what was given is given again.
    """

    def __init__(self, lives: Mapping[str, float], period: float) -> None:
        self._lives = {field: max(lives[tier], lives[calls.MEDIUM]) for field, tier in _TIERS.items()}
        self._period = _NEARLY * period
        self._sums: dict[int, tuple[int, int]] = {}
        self._latencies: dict[
            str, dict[int, tuple[float, float]]
        ] = {}  # GPU -> field -> when (monotonic), microseconds
        self._calls: Mapping[str, tuple[int, float]] = MappingProxyType({})
        self._calls_until = 0.0  # monotonic
        self._fields = _Fields((), 0.0, MappingProxyType({}))

    def add(self, told: Sequence[Sequence[int]]) -> None:
        """Add what calls have cost: the number of each, how often it was made, the microseconds.

        Raises IndexError, TypeError or ValueError for what the sampler would never send.
        """
        for call, count, microseconds in told:
            if not (0 <= call < len(tables.CALLS) and count >= 0 and microseconds >= 0):
                raise ValueError(f"{call}, {count}, {microseconds} are no costs of a call")
            known = self._sums.get(call, (0, 0))
            self._sums[call] = known[0] + count, known[1] + microseconds

    def take(self, gpu: str, latencies: Iterable[tuple[int, float]], at: float) -> None:
        """Take the microseconds that the driver says each field took, read at a monotonic time.

        Raises TypeError or ValueError for what the sampler would never send.
        """
        told = dict(latencies)
        if not isfinite(sum(told.values())):
            raise ValueError("a latency is no number")
        self._latencies.setdefault(gpu, {}).update(zip(told, zip(repeat(at), told.values()), strict=False))

    def calls(self, now: float) -> Mapping[str, tuple[int, float]]:
        """Give how often each call was made, and the seconds that it took in all, as of a period ago at most."""
        if now >= self._calls_until:
            sums = sorted(self._sums.items())
            self._calls = MappingProxyType({tables.CALLS[call]: (count, spent / 1e6) for call, (count, spent) in sums})
            self._calls_until = now + self._period
        return self._calls

    def fields(self, gpus: Iterable[str], now: float) -> Mapping[str, float]:
        """Give the seconds that each field took on the slowest of some GPUs; forget what does not count any more."""
        gpus = tuple(gpus)
        if gpus != self._fields.gpus or now >= self._fields.until:
            self._fields = self._find(gpus, now)
        return self._fields.seconds

    def _find(self, gpus: Sequence[str], now: float) -> _Fields:
        slowest: dict[int, float] = {}
        again, lives = now + self._period, self._lives
        for gpu, told in list(self._latencies.items()):
            counts, lapsed = gpu in gpus, []
            for field, (at, spent) in told.items():
                until = at + lives.get(field, 0.0)
                if now >= until:
                    lapsed.append(field)
                elif counts and spent > slowest.get(field, -1.0):
                    slowest[field] = spent
                    again = min(again, until)
            for field in lapsed:
                del told[field]
            if not told:
                del self._latencies[gpu]
        seconds = {calls.FIELDS[field]: spent / 1e6 for field, spent in sorted(slowest.items())}
        return _Fields(gpus, again, MappingProxyType(seconds))
