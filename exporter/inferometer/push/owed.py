# SPDX-License-Identifier: Apache-2.0
"""The ends of series that a receiver has not heard of, to be told again."""

from collections.abc import Sequence

from inferometer.model import Point

_MOST = 10_000  # ends whose message was lost, that are kept
_TELLINGS = 5  # of an end that is refused: a receiver that takes none must not be asked for ever


class Owed:
    """The last points of series that have ended, of whose end nobody has heard. For one thread at a time."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._refused: dict[tuple[object, ...], int] = {}  # how often the end of a series was

    def owe(self, ended: Sequence[Point], *, refused: bool) -> None:
        """Note that ends were not heard; one that was refused again and again is let be."""
        again = {(point.metric, point.attributes, point.resource): point for point in ended}
        if refused:
            for series in again:
                self._refused[series] = self._refused.pop(series, 0) + 1
            again = {series: point for series, point in again.items() if self._refused[series] < _TELLINGS}
            while len(self._refused) > _MOST:
                del self._refused[next(iter(self._refused))]
        self._points += list(again.values())[: _MOST - len(self._points)]

    def take(self) -> tuple[Point, ...]:
        """Give them, once."""
        points, self._points = tuple(self._points), []
        return points
