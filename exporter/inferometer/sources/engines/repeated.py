# SPDX-License-Identifier: Apache-2.0
"""Reads the outputs of one layout page after page: what rests on samples that stand still is not read again."""

from collections.abc import Callable, Sequence
from itertools import compress
from operator import itemgetter, ne
from typing import Any, NamedTuple, Protocol

from inferometer.model import Reading
from inferometer.sources.engines.combined import OffError
from inferometer.sources.engines.values import Doubt, DoubtError


class Readable(Protocol):
    """What gives one reading of a page's values."""

    @property
    def slots(self) -> tuple[int, ...]:
        """The indices of all the values that it looks at."""

    def read(self, values: Sequence[float], /) -> Reading:
        """Read it. Raises DoubtError and OffError."""


class Told(NamedTuple):
    """The readings of a page, and why others are not believed."""

    readings: tuple[Reading, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class Repeated:
    """Reads pages of one layout one after another.

    What an output tells depends on the values in its slots alone. Where these are what they were, its reading is the
    very same object, and a page on which all of them are gives the very same `Told`: nobody after has to look at it.
    """

    def __init__(self, outputs: Sequence[Readable]) -> None:
        self._outputs = outputs
        self._picks = [_picker(output.slots) for output in outputs]
        self._nothing: list[Any] = [None] * len(outputs)
        self._raw = self._nothing  # what each output was read from
        self._read: list[Reading | Doubt | None] = [None] * len(outputs)
        self._told = Told()

    def read(self, values: Sequence[float]) -> Told:
        """Read a page's values."""
        raw = [pick(values) for pick in self._picks]
        if raw == self._raw:
            return self._told
        before, self._raw = self._raw, self._nothing  # until all are read: a defect in one leaves the others half new
        for i in compress(range(len(raw)), map(ne, raw, before)):
            try:
                self._read[i] = self._outputs[i].read(values)
            except DoubtError as error:
                self._read[i] = error.doubt
            except OffError:
                self._read[i] = None
        self._raw = raw
        doubts = tuple([each for each in self._read if isinstance(each, Doubt)])
        self._told = Told(
            tuple([each for each in self._read if isinstance(each, Reading)]),
            self._told.doubts if doubts == self._told.doubts else doubts,
        )
        return self._told


def _picker(slots: tuple[int, ...]) -> Callable[[Sequence[float]], Any]:
    return itemgetter(*slots) if slots else _nothing


def _nothing(_: Sequence[float]) -> tuple[()]:
    return ()
