# SPDX-License-Identifier: Apache-2.0
"""Readings that come of more than one sample, or of a label: sums, products, the newest of several series."""

from collections.abc import Sequence
from math import isfinite, prod
from typing import NamedTuple

from inferometer.model import Histogram, Instrument, Reading
from inferometer.sources.engines.values import Buckets, Doubt, DoubtError, Identity


class OffError(Exception):
    """The value stands for none: the engine has what it would count turned off."""


class Total(NamedTuple):
    """Samples added up and brought to our unit: `per` of the page's units make one of ours."""

    identity: Identity
    parts: tuple[int, ...]
    per: float
    off: frozenset[float]

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots of all values that it looks at."""
        return (*self.parts, *self.identity.created)

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            DoubtError: NOT_FINITE, OUT_OF_RANGE.
            OffError: each sample says that it is off.
        """
        told = [values[slot] for slot in self.parts if values[slot] not in self.off]
        if not told:
            raise OffError
        identity = self.identity
        value = identity.believe(sum(told) / self.per)
        start = identity.start(values) if identity.metric.instrument is Instrument.COUNTER else None
        return Reading(identity.subject, identity.metric, identity.attributes, value, start)


class Merged(NamedTuple):
    """Histograms of the same bounds added up."""

    identity: Identity
    parts: tuple[Buckets, ...]

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots of all values that it looks at."""
        return tuple([slot for part in self.parts for slot in part.slots] + list(self.identity.created))

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            DoubtError: what any of its parts raises.
        """
        identity = self.identity
        read = [value for part in self.parts if isinstance(value := part.read(values).value, Histogram)]
        counts = tuple(map(sum, zip(*[each.counts for each in read], strict=True)))
        whole = Histogram(self.parts[0].bounds, counts, sum(each.sum for each in read))
        return Reading(identity.subject, identity.metric, identity.attributes, whole, identity.start(values))


class Product(NamedTuple):
    """Gauges multiplied with one another."""

    identity: Identity
    slots: tuple[int, ...]

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            DoubtError: NOT_FINITE, OUT_OF_RANGE.
        """
        identity = self.identity
        value = identity.believe(prod(values[slot] for slot in self.slots))
        return Reading(identity.subject, identity.metric, identity.attributes, value)


class Constant(NamedTuple):
    """A number that a label holds."""

    identity: Identity
    number: float
    slots: tuple[int, ...] = ()

    def read(self, _: Sequence[float]) -> Reading:
        """Read it."""
        identity = self.identity
        return Reading(identity.subject, identity.metric, identity.attributes, self.number)


class Latest(NamedTuple):
    """The number of that series whose value, a Unix time, is the newest. `choices` pairs slots with numbers."""

    identity: Identity
    choices: tuple[tuple[int, float], ...]

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots of all values that it looks at."""
        return tuple([slot for slot, _ in self.choices])

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            OffError: no series has a time yet.
        """
        times = [(values[slot], number) for slot, number in self.choices if isfinite(values[slot]) and values[slot] > 0]
        if not times:
            raise OffError
        identity = self.identity
        return Reading(identity.subject, identity.metric, identity.attributes, max(times)[1])


def merged(identity: Identity, parts: Sequence[Buckets]) -> Merged:
    """Add histograms up.

    Raises:
        DoubtError: AMBIGUOUS: their bounds differ, and none may be bent to another's.
    """
    if len({part.bounds for part in parts}) > 1:
        raise DoubtError(Doubt.AMBIGUOUS)
    return Merged(identity, tuple(parts))


def listed(text: str) -> float:
    """Count the items of a comma-separated list."""
    return float(sum(1 for item in text.split(",") if item.strip()))


def number(text: str) -> float | None:
    """Read a number that a label holds; None for a word such as `None`."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 and "_" not in text else None
