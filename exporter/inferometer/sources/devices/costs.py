# SPDX-License-Identifier: Apache-2.0
"""What reading costs the driver: its calls, summed over all samplers, and the fields as it says itself."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from inferometer.sources.devices import calls, tables


def _tiers() -> dict[int, str]:
    """Give the tier of each field; where several rows have one, the slowest."""
    ways = [(way.field, row.tier) for row in calls.ROWS for way in row.ways if way.field]
    found: dict[int, str] = {}
    for field, tier in sorted(ways, key=lambda pair: calls.TIERS.index(pair[1])):
        found.update(dict.fromkeys(field if isinstance(field, tuple) else (field,), tier))
    return found


_TIERS = _tiers()


class Costs:
    """The sums since this was made, and the newest latencies of each GPU. `lives` are seconds for which a tier's count."""

    def __init__(self, lives: Mapping[str, float]) -> None:
        self._lives = {field: lives[tier] for field, tier in _TIERS.items()}
        self._sums: dict[int, tuple[int, int]] = {}
        self._latencies: dict[str, dict[int, tuple[float, float]]] = {}  # GPU -> field -> until when, microseconds

    def add(self, told: Sequence[Sequence[int]]) -> None:
        """Add what calls have cost: the number of each, how often it was made, the microseconds.

        Raises IndexError, TypeError or ValueError for what the sampler would never send.
        """
        for call, count, microseconds in told:
            if not (0 <= call < len(tables.CALLS) and count >= 0 and microseconds >= 0):
                raise ValueError(f"{call}, {count}, {microseconds} are no costs of a call")
            known = self._sums.get(call, (0, 0))
            self._sums[call] = known[0] + count, known[1] + microseconds

    def take(self, gpu: str, latencies: Sequence[Sequence[float]], at: float) -> None:
        """Take the microseconds that the driver says each field took, read at a monotonic time.

        Raises TypeError or ValueError for what the sampler would never send.
        """
        known = self._latencies.setdefault(gpu, {})
        for field, microseconds in latencies:
            if life := self._lives.get(int(field)):
                known[int(field)] = at + life, float(microseconds)

    @property
    def calls(self) -> Mapping[str, tuple[int, float]]:
        """How often each call was made, and the seconds that it took in all."""
        return MappingProxyType(
            {tables.CALLS[call]: (count, spent / 1e6) for call, (count, spent) in sorted(self._sums.items())}
        )

    def fields(self, gpus: Collection[str], now: float) -> Mapping[str, float]:
        """Give the seconds that each field took on the slowest of some GPUs; forget what does not count any more."""
        slowest: dict[int, float] = {}
        for gpu, known in list(self._latencies.items()):
            lapsed = [field for field, (until, _) in known.items() if now >= until]
            for field in lapsed:
                del known[field]
            if not known:
                del self._latencies[gpu]
            elif gpu in gpus:
                for field, (_, spent) in known.items():
                    if spent >= slowest.get(field, 0.0):
                        slowest[field] = spent
        return MappingProxyType({calls.FIELDS[field]: spent / 1e6 for field, spent in sorted(slowest.items())})
