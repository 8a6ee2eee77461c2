# SPDX-License-Identifier: Apache-2.0
"""Units as exponents of base units, so that a query's unit follows from the metrics in it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# The catalogue's derived units; every other symbol, and every `{annotation}`, is a base unit of its own.
_DERIVED = {"W": (("J", 1), ("s", -1)), "Hz": (("s", -1),), "1": ()}


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of powers, such as joules to the 1 and seconds to the -1: what a watt is."""

    powers: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, powers: Iterable[tuple[str, int]]) -> "Unit":
        """Add up the exponents of equal symbols."""
        total: dict[str, int] = {}
        for symbol, power in powers:
            total[symbol] = total.get(symbol, 0) + power
        return cls(frozenset((symbol, power) for symbol, power in total.items() if power))

    @classmethod
    def parse(cls, text: str) -> "Unit":
        """Read a unit in the catalogue's spelling, and quotients of it: `W`, `By/s`, `{token}/J`."""
        powers: list[tuple[str, int]] = []
        for place, symbol in enumerate(text.split("/")):
            sign = 1 if place == 0 else -1
            powers += [(base, sign * power) for base, power in _DERIVED.get(symbol, ((symbol, 1),))]
        return cls.of(powers)

    def __mul__(self, other: "Unit") -> "Unit":
        return Unit.of((*self.powers, *other.powers))

    def __truediv__(self, other: "Unit") -> "Unit":
        return Unit.of((*self.powers, *((symbol, -power) for symbol, power in other.powers)))

    @property
    def is_count(self) -> bool:
        """Tell whether it only counts things: no unit, or annotations above the line only."""
        return all(re.fullmatch(r"\{\w+\}", symbol) and power == 1 for symbol, power in self.powers)

    def __str__(self) -> str:
        def joined(sign: int) -> str:
            found = sorted((symbol, abs(power)) for symbol, power in self.powers if power * sign > 0)
            return ".".join(symbol if power == 1 else f"{symbol}{power}" for symbol, power in found)

        above, below = joined(1), joined(-1)
        return (above or "1") + (f"/{below}" if below else "")


ONE = Unit()
PER_SECOND = Unit.parse("1/s")
