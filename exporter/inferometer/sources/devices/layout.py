# SPDX-License-Identifier: Apache-2.0
"""How the numbers of a GPU's frames lie: what each of them is, found out when the sampler tells it, and not at each read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import ne
from typing import Any, NamedTuple

from inferometer import catalog
from inferometer.catalog import BY_NAME
from inferometer.model import Metric, Reading
from inferometer.sources.devices import calls, tables

_SLOTS = tuple(
    (BY_NAME[quantity.metric], quantity.attributes, row.tier, row.each) for quantity, row in tables.QUANTITIES
)
_READING = tuple.__new__  # what Reading() does: this runs for every value that is read

Attributes = tuple[tuple[str, str], ...]


class Names(NamedTuple):
    """What some numbers are, in their order: whose, and of what."""

    subjects: tuple[str, ...]
    metrics: tuple[Metric, ...]
    attributes: tuple[Attributes, ...]


class Part(NamedTuple):
    """The numbers of one tier: their places among all, and what they are."""

    places: tuple[int, ...]
    names: Names

    def pick(self, numbers: list[float]) -> list[float]:
        """Give this part of a frame's numbers."""
        # Places only rise, so as many as there are numbers are all of them.
        return numbers if len(numbers) == len(self.places) else list(map(numbers.__getitem__, self.places))


class Layout(NamedTuple):
    """How the numbers lie when some tiers are read together.

    The fast tier is one part for a GPU and its instances, and the others are one for each device. `sums` are the places of
    what the driver counts from read to read, with their places in the table, and `links` those of the states of the GPU's
    NVLinks, with the links' numbers.
    """

    size: int
    fast: Part
    slower: Mapping[tuple[str, str], Part]  # by device and tier
    sums: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, str], ...]


class Said(NamedTuple):
    """What some numbers were, and the readings that were made of them."""

    names: Names
    numbers: Sequence[float]
    readings: tuple[Reading, ...]


def lay_out(told: Any, devices: Sequence[str], known: Iterable[Layout] = ()) -> Layout:
    """Read a layout of some devices, the GPU first. Names that are those of `known` layouts are the very same.

    Raises IndexError, TypeError or ValueError for what the sampler would never send.
    """
    fast: list[_Name] = []
    slower: dict[tuple[str, str], list[_Name]] = {}
    sums, links = [], []
    place = 0
    for number, (uuid, (tiers, names)) in enumerate(zip(devices, told, strict=True)):
        own = {
            tier: slower.setdefault((uuid, tier), []) for tier in tiers if tier in calls.TIERS and tier != calls.FAST
        }
        for slot, *index in names:
            if slot < 0:
                raise ValueError(f"{slot} is no place in the table")
            metric, attributes, tier, each = _SLOTS[slot]
            if each is not None:
                attributes = _numbered(slot, int(index[0]))
            name = place, uuid, metric, attributes
            if tier == calls.FAST:
                fast.append(name)
            elif tier in own:
                own[tier].append(name)
            if number == 0 and metric is catalog.GPU_CONTEXT_SWITCHES:
                sums.append((place, slot))
            if number == 0 and metric is catalog.NVLINK_UP:
                links.append((place, str(int(index[0]))))
            place += 1
    same = [names for layout in known for names in _names(layout)]
    return Layout(
        place,
        _part(fast, same),
        {key: _part(found, same) for key, found in slower.items()},
        tuple(sums),
        tuple(links),
    )


def say(part: Part, numbers: list[float], before: Said | None) -> Said:
    """Give the readings of a part that have the time of their frame; what is as it was `before` is not made again."""
    names, found = part.names, part.pick(numbers)
    if before is None or before.names is not names:
        return Said(names, found, _readings(names, found, None))
    olds = before.numbers
    if found == olds:
        return before
    subjects, metrics, attributes = names
    readings = list(before.readings)
    for i in compress(range(len(found)), map(ne, found, olds)):
        readings[i] = _READING(Reading, (subjects[i], metrics[i], attributes[i], found[i], None, None))
    return Said(names, found, tuple(readings))


def say_at(part: Part, numbers: list[float], stamp: float, before: Said | None) -> Said:
    """Give the readings of a part that were read at Unix seconds `stamp`.

    A number that is what it was `before` is the very same one, so that nobody writes it anew.
    """
    names, found = part.names, part.pick(numbers)
    if before is not None and len(before.numbers) == len(found):
        olds, news = before.numbers, found
        found = list(olds)
        if news != olds:
            for i in compress(range(len(news)), map(ne, news, olds)):
                found[i] = news[i]
    return Said(names, found, _readings(names, found, stamp))


def _readings(names: Names, numbers: Sequence[float], stamp: float | None) -> tuple[Reading, ...]:
    rows = zip(names.subjects, names.metrics, names.attributes, numbers, repeat(None), repeat(stamp), strict=False)
    return tuple(map(_READING, repeat(Reading), rows))


_Name = tuple[int, str, Metric, Attributes]  # with its place


def _part(found: Sequence[_Name], same: Iterable[Names]) -> Part:
    places, *columns = zip(*found, strict=True) if found else ((), (), (), ())
    names = Names(*columns)
    return Part(places, next((known for known in same if known == names), names))


def _names(layout: Layout) -> Iterator[Names]:
    return (part.names for part in (layout.fast, *layout.slower.values()))


@lru_cache(4096)  # the same at every read, of every device
def _numbered(slot: int, index: int) -> Attributes:
    """Give the attributes of a row that is read for each link or fan."""
    _, attributes, _, each = _SLOTS[slot]
    return attributes if each is None else (*attributes, (each.attribute, str(index)))
