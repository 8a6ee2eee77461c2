# SPDX-License-Identifier: Apache-2.0
"""Sums over series that come and go, by what each grew: so that they never fall, whoever goes, and whatever is reset."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from inferometer import catalog
from inferometer.accounting.growth import Part, bounds_of, growth, nothing, plus
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.model import Aggregation, Histogram, Instrument, Metric, Reading, Value

Attributes = tuple[tuple[str, str], ...]
Key = tuple[str, Metric, Attributes]  # instance, metric, attributes

_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


class Total(NamedTuple):
    """A sum. `start` is Unix seconds, when it was 0, None where the engine had such a series itself and does not tell.

    `ended` is monotonic seconds: since when no part of it is there.
    """

    value: Value
    start: float | None
    ended: float | None = None


E = TypeVar("E", Total, Part)


class Told(NamedTuple):
    """The readings of a page with sums in place of their parts; `left_out` counts the parts that cannot be added up."""

    readings: tuple[Reading, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of counters and histograms, and their parts."""

    totals: Mapping[Key, Total] = field(default_factory=lambda: MappingProxyType({}))
    parts: Mapping[Key, Part] = field(default_factory=lambda: MappingProxyType({}))


class Adding:
    """The next state while it is made, page by page."""

    def __init__(self, state: Sums) -> None:
        self._before = state
        self._totals: dict[Key, Total] = {}
        self._parts: dict[Key, Part] = {}
        self._read: set[str] = set()  # instances whose page is a new one
        self._known = {instance for instance, _, _ in state.totals}

    def knows(self, instance: str) -> bool:
        """Tell whether there is a sum of an instance."""
        return instance in self._known

    def add(
        self,
        instance: str,
        readings: Sequence[Reading],
        beyond: Collection[tuple[str, str]],
        at: float,
        since: float | None,
        *,
        whole: bool,
    ) -> Told:
        """Add up the readings that have an attribute in `beyond`, a page's that was read at `at`.

        `since` is when the page before was read, None where this is the first; `whole` says that the page before said all
        it had to say: a series that it lacks is new, and has grown since. Else what it had before is nobody's.
        """
        self._read.add(instance)
        groups: dict[Key, list[Reading]] = {}
        keys = [(instance, each.metric, _folded(each.attributes, beyond)) for each in readings]
        sums = {key for key, each in zip(keys, readings, strict=True) if key[2] is not each.attributes}
        alone: list[Reading] = []
        for key, reading in zip(keys, readings, strict=True):
            # What the engine itself calls `other` is a part too, where there are others.
            if key in sums or key in self._before.totals:
                groups.setdefault(key, []).append(reading)
            else:
                alone.append(reading)
        left_out = 0
        for key, parts in groups.items():
            if key[1].instrument in _CUMULATIVE:
                total, unlike = self._grow(key, parts, at, since, whole=whole)
                left_out += unlike
                self._totals[key] = total
                alone.append(Reading(*key, total.value, total.start))
            elif (value := _level(key[1], parts)) is not None:
                alone.append(Reading(*key, value))
            else:
                left_out += len(parts)
        return Told(tuple(alone), left_out)

    def ended(self, instances: Collection[str], steady: float, rules: Rules) -> tuple[Sums, int]:
        """Give the state after all pages; also how many series that are gone the limit made us forget.

        `instances` are those that have a page: what a page that was read before says is still there.
        """

        def is_there(key: Key) -> bool:
            return key[0] in instances and key[0] not in self._read

        totals, excess = _age(self._before.totals, self._totals, is_there, steady, rules)
        parts, more = _age(self._before.parts, self._parts, is_there, steady, rules)
        return Sums(totals, parts), excess + more

    def _grow(
        self, key: Key, readings: Sequence[Reading], at: float, since: float | None, *, whole: bool
    ) -> tuple[Total, int]:
        """Add to a sum what its parts have grown; give it, and how many have other bounds than it has.

        Histograms of other bounds cannot be added to it (law 7). Where all have others, the engine has: a new sum begins.
        """
        known = self._before.totals.get(key)
        if known is None or all(bounds_of(each.value) != bounds_of(known.value) for each in readings):
            began: float | None = at if since is None else since
            if whole and known is None:  # the series that the engine itself calls so goes on as the sum
                began = next((each.start for each in readings if each.attributes == key[2]), began)
            known = Total(nothing(readings[0].value), began)
        value, unlike = known.value, 0
        for reading in readings:
            part = (key[0], key[1], reading.attributes)
            before = self._before.parts.get(part)
            since_new = reading.value if whole else None  # a series that the page before lacked
            grown = growth(before, reading.value, reading.start) if before else since_new
            self._parts[part] = Part(reading.value, at, reading.start)
            if bounds_of(reading.value) != bounds_of(value):
                unlike += 1
            elif grown is not None:
                value = plus(value, grown)
        return Total(value, known.start), unlike


def _age(
    before: Mapping[Key, E], now: Mapping[Key, E], is_there: Callable[[Key], bool], steady: float, rules: Rules
) -> tuple[dict[Key, E], int]:
    """Give what is there, and for the linger what was; also how much of that the limit made us forget."""
    there = {key: each for key, each in before.items() if each.ended is None and is_there(key)}
    kept, excess = keep_departed(before, {**there, **now}, steady, rules)
    return {**there, **now, **kept}, excess


def _folded(attributes: Attributes, beyond: Collection[tuple[str, str]]) -> Attributes:
    if not any(pair in beyond for pair in attributes):
        return attributes
    return tuple([(pair[0], catalog.OTHER) if pair in beyond else pair for pair in attributes])


def _level(metric: Metric, readings: Sequence[Reading]) -> float | None:
    """Give what several gauges are together, as the catalogue says; None where they cannot be one: ratios and means."""
    values = [each.value for each in readings if not isinstance(each.value, Histogram)]
    if metric.aggregation is Aggregation.SUM:
        return sum(values)
    return max(values) if metric.aggregation is Aggregation.MAX else None
