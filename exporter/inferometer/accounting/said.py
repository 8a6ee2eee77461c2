# SPDX-License-Identifier: Apache-2.0
"""What the fold says of its own: while it has not changed its points stay the very same ones, and are said again after a while."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from inferometer.model import SAID_AGAIN, Group, Point, groups_of


class Said(NamedTuple):
    """Points, by metric, that were made at `at` (Unix seconds) of `parts`: of equal ones the same points would be made now."""

    parts: tuple[object, ...]
    at: float
    groups: tuple[Group, ...]


class Saying:
    """What is said while one snapshot is made; `said` is that, by a name of each part, for the next one."""

    def __init__(self, before: Mapping[str, Said], at: float) -> None:
        self._before = before
        self._at = at
        self.said: dict[str, Said] = {}
        self.groups: list[Group] = []

    def say(self, name: str, parts: tuple[object, ...], make: Callable[[], Iterable[Point]]) -> tuple[Group, ...]:
        """Say what `make` makes of `parts`, unless that is what was said last, less than `SAID_AGAIN` ago; give it."""
        known = self._before.get(name)
        if known is None or known.parts != parts or self._at - known.at >= SAID_AGAIN:
            known = Said(parts, self._at, groups_of(list(make())))
        self.said[name] = known
        self.groups += known.groups
        return known.groups
