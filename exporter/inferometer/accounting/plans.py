# SPDX-License-Identifier: Apache-2.0
"""Which attributes the series of each metric, and resources, do without."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from inferometer.catalog import is_told
from inferometer.model import Metric, Point, Resource

Thinned = tuple[Metric, tuple[str | None, ...]]  # what tells a series apart


class Thin(NamedTuple):
    """What becomes of the series of one metric: `keeps` says which attributes stay.

    `describes` says that those which go only describe what others tell, so that no two series become one.
    """

    keeps: tuple[bool, ...]
    describes: bool

    def thinned(self, attributes: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """Give attributes without those that go."""
        return tuple([value if kept else None for value, kept in zip(attributes, self.keeps, strict=True)])


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the series of each metric that does without some of its attributes; `keys` are all that any does without."""

    thins: Mapping[Metric, Thin] = field(default_factory=lambda: MappingProxyType({}))
    keys: frozenset[str] = frozenset()

    @classmethod
    def of(cls, dropped: Mapping[Metric, frozenset[str]]) -> "Plan":
        """Make a plan of the keys that each metric does without."""
        thins = {
            metric: Thin(
                tuple(key not in keys for key in metric.keys),
                all(is_told(key, [kept for kept in metric.keys if kept not in keys]) for key in keys),
            )
            for metric, keys in dropped.items()
        }
        return cls(thins, frozenset().union(*dropped.values()))

    def hidden(self, point: Point) -> set[str]:
        """Give the values of a point that some series do without."""
        pairs = zip(point.metric.keys, point.attributes, strict=True)
        return {value for key, value in pairs if value and key in self.keys}

    def clean(self, resource: Resource, values: Iterable[str]) -> Resource:
        """Give a resource that says nothing which some series do without: a backend would join it to them again.

        `values` are those that its points have of what is dropped. A name of the service that holds one of them becomes a UUID
        made of it: it still tells services apart, and is the same after a restart.
        """
        hidden = {*values, *(value for key, value in resource.attributes if key in self.keys)}
        if not hidden:
            return resource
        return Resource.of(
            {
                key: _disguised(value) if key.startswith("service.") and _holds(value, hidden) else value
                for key, value in resource.attributes
                if key not in self.keys
            }
        )


_SPACE = "9a0a3ad0-1f0c-5d6b-8a51-6a2f6d1c7b0e"  # of our disguises, and of nothing else


def _disguised(value: str) -> str:
    from uuid import UUID, uuid5  # noqa: PLC0415  # 0.2 MiB that is only paid where something is hidden

    return str(uuid5(UUID(_SPACE), value))


def _holds(name: str, values: Iterable[str]) -> bool:
    """Tell whether a name has one of these values in it, as a part of its own: `NAMESPACE.POD.CONTAINER`, `HOST:PORT`."""
    return any(re.search(rf"(?<![\w-]){re.escape(value)}(?![\w-])", name) for value in values)
