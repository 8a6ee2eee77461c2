# SPDX-License-Identifier: Apache-2.0
"""Reads a page that has the layout of the one before: only the blocks of lines that differ, all of their lines at once."""

from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import accumulate, compress, pairwise
from operator import itemgetter, ne
from typing import NamedTuple

from inferometer.sources.engines.exemplars import Known, part

Read = tuple[list[float], Known]

# What parts a page into blocks: where each family begins, else where each line does.
_SEPARATORS = (b"\n# HELP ", b"\n# TYPE ", b"\n")


class Recipe(NamedTuple):
    """How to read those blocks of a page that differ, put together."""

    differs: list[bool]  # which blocks these are
    lines: int
    ends: bool  # the last of them: it may lack a line end
    comments: Callable[[list[bytes]], tuple[bytes, ...]]  # picks the lines that have no value
    known: tuple[bytes, ...]  # what these say
    samples: Callable[[list[bytes]], tuple[bytes, ...]]  # picks those that have one
    keys: tuple[bytes, ...]  # what precedes it
    fixed: int  # bytes of `known` and `keys`
    runs: tuple[tuple[slice, slice], ...]  # where the values go, and which of those that are read

    def fits(self, lines: list[bytes], text: bytes) -> bool:
        """Tell whether nothing but what the samples say can differ in what is to be read."""
        alike = len(lines) == self.lines and text.endswith(b"\n") is self.ends
        return alike and self.comments(lines) == self.known

    @property
    def slots(self) -> list[int]:
        """Where each of the values goes."""
        return [slot for there, _ in self.runs for slot in range(there.start, there.stop)]


class Replay:
    """A page as it was read, and how to read the next one if nothing has changed in it but values and exemplars.

    `keys` has, per line of the page, what precedes its value, and `slots` the index of that value. Between two pages of
    an engine the same families move: how to read their blocks is worked out when others do. The newest such recipe for
    pages of this layout is `shared`: replicas have the same.
    """

    def __init__(
        self, body: bytes, keys: Sequence[str], slots: Sequence[int], shared: list[Recipe], read: Read
    ) -> None:
        self._separator = next((each for each in _SEPARATORS if each in body), b"\n")
        self._blocks = body.split(self._separator)
        self._keys, self._slots, self._shared = keys, slots, shared
        self._read = read
        self._recipe: Recipe | None = None

    def next(self, body: bytes) -> Read | None:
        """Read the values and exemplars of the page that follows; None if it seems to have another layout."""
        blocks = body.split(self._separator)
        if len(blocks) != len(self._blocks):
            return None
        differs = list(map(ne, blocks, self._blocks))
        if True not in differs:
            return self._read
        recipe = self._recipe
        if recipe is None or recipe.differs != differs:
            recipe = self._recipe = self._work_out(differs)
        read = self._follow(recipe, self._separator.join(compress(blocks, differs)))
        if read is not None:
            self._blocks, self._read = blocks, read
        return read

    def _follow(self, recipe: Recipe, text: bytes) -> Read | None:
        """Read what differs. Each step goes through all the lines at once: a loop over them costs half as much again."""
        lines = BytesIO(text).readlines()
        if not recipe.fits(lines, text):
            return None
        rests = list(map(bytes.removeprefix, recipe.samples(lines), recipe.keys))
        said = b"".join(rests)
        if len(said) + recipe.fixed != len(text):  # a key was not there to be removed
            return None
        before, known = self._read
        try:
            if known or b"#" in said:
                texts, known = part(list(map(bytes.decode, rests)), recipe.slots, known)
                said = "".join(texts).encode()
                found = list(map(float, texts))
            else:
                found = list(map(float, rests))
        except ValueError:  # a timestamp or nonsense: who learns the page tells them apart
            return None
        if b"_" in said:  # Python's own digit separator, not the format's
            return None
        values = before.copy()
        for there, here in recipe.runs:
            values[there] = found[here]
        return values, known

    def _work_out(self, differs: list[bool]) -> Recipe:
        starts = accumulate((block.count(b"\n") + 1 for block in self._blocks), initial=0)
        spans = list(compress(pairwise(starts), differs))
        keys = [key.encode() for start, end in spans for key in self._keys[start:end]]
        text = self._separator.join(compress(self._blocks, differs))
        lines = BytesIO(text).readlines()
        for recipe in self._shared:
            alike = recipe.differs == differs and recipe.fits(lines, text)
            if alike and all(map(bytes.startswith, recipe.samples(lines), recipe.keys)):
                return recipe
        del keys[len(lines) :]  # after a page's last line end there is no line
        comments = [i for i, key in enumerate(keys) if not key]
        known = _picker(comments)(lines)
        total = len(self._read[0])
        runs: list[tuple[slice, slice]] = []
        at = 0
        for start, end in spans:
            first, last = self._slots[start], self._slots[end] if end < len(self._slots) else total
            runs.append((slice(first, last), slice(at, at + last - first)))
            at += last - first
        recipe = Recipe(
            differs,
            len(lines),
            text.endswith(b"\n"),
            _picker(comments),
            known,
            _picker([i for i, key in enumerate(keys) if key]),
            tuple(filter(None, keys)),
            sum(map(len, known)) + sum(map(len, keys)),
            tuple(runs),
        )
        self._shared[:] = [recipe]
        return recipe


def _picker(indexes: Sequence[int]) -> Callable[[list[bytes]], tuple[bytes, ...]]:
    if len(indexes) > 1:
        return itemgetter(*indexes)
    return lambda lines: tuple([lines[i] for i in indexes])
