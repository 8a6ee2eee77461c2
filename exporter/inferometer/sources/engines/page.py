# SPDX-License-Identifier: Apache-2.0
"""Reads Prometheus text and OpenMetrics pages, and remembers one page per target so that the next costs a tenth."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from weakref import WeakValueDictionary

from inferometer.model import Exemplar, Reason, Trouble
from inferometer.sources.engines import syntax
from inferometer.sources.engines.exemplars import NONE, Known, read_exemplar
from inferometer.sources.engines.replay import Recipe, Replay

_OPENMETRICS = "application/openmetrics-text"
_LINES_PER_SAMPLE = 4  # HELP, TYPE, the sample and a blank line is the most that any exporter writes
_LONGEST_LINE = 16 << 10  # characters; recorded pages have none of more than about a thousand
_REMEDY = "Open the URL and look: `inferometer check engine URL` says what it is."


class Series(NamedTuple):
    """What a sample's line says before its value: its name, and its labels sorted by name."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Write it as the format does, cut to what an error message can hold."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return (f"{self.name}{{{labels}}}" if labels else self.name)[:200]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Layout:
    """A page without its values. Compared by identity: pages of one layout have the same series in the same places.

    `series[i]` is what `Page.values[i]` belongs to. `types` holds the `# TYPE` lines, family name to type, and
    `conflicting` where a page gives one family two types. `known` has the series by what precedes their values.
    """

    series: tuple[Series, ...]
    types: Mapping[str, str]
    keys: list[str] = field(repr=False)  # per line: what precedes the value; empty for a line that has none
    slots: list[int] = field(repr=False)  # per line: the index of its value
    known: Mapping[str, Series] = field(default_factory=dict, repr=False)
    recipes: list[Recipe] = field(default_factory=list, repr=False)  # how such pages were last read again; one at most


# The layouts in use, by the hash of their keys: the replicas of one server have the same, and keep it once.
_in_use: WeakValueDictionary[int, Layout] = WeakValueDictionary()


class Page(NamedTuple):
    """One page: `values[i]` is the value of `layout.series[i]` as it was written, NaN and infinities included.

    `exemplars` has those of the samples that have one, by the same index.
    """

    layout: Layout
    values: Sequence[float]
    exemplars: Known = NONE


class Parser:
    """Parses the pages of one target; its memory is the last good page and so is bounded by `max_samples`.

    Most lines of a page are those of the page before. So a page is compared block by block with the last one, and only
    what differs is looked at: the bytes before each value must be the same, then the value is read. Anything else
    (a line more, a changed comment, another order) makes a new layout, in which series whose bytes before the value are
    known are not parsed again. What these bytes mean depends on nothing else, so both ways give what parsing afresh gives.
    """

    def __init__(self, *, max_samples: int = 20_000) -> None:
        self._max_samples = max_samples
        self._openmetrics = False
        self._layout = Layout((), MappingProxyType({}), [], [])
        self._replay: Replay | None = None

    def parse(self, body: bytes, content_type: str = "") -> Page:
        """Parse one page.

        Raises:
            Trouble: MALFORMED for what is no metrics page (empty, not UTF-8, HTML, a cut-off or invalid line, a series
                twice); TOO_LARGE for more than `max_samples` samples, or a line beyond any engine's. The memory then stays what it was.
        """
        most = _LINES_PER_SAMPLE * (self._max_samples + 1)
        if len(body) > most and body.count(b"\n") > most:
            raise Trouble(
                Reason.TOO_LARGE, f"more lines than {self._max_samples} samples need", "Raise engines.max_samples."
            )
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n")
        openmetrics = content_type.startswith(_OPENMETRICS)
        if self._replay is not None and openmetrics is self._openmetrics:
            read = self._replay.next(body)
            if read is not None:
                return Page(self._layout, *read)
        try:
            lines = body.decode().split("\n")
        except UnicodeDecodeError as error:
            raise malformed(f"the page is not UTF-8 (byte {error.start})") from None
        read = self._learn(lines, openmetrics=openmetrics)
        self._replay = Replay(body, self._layout.keys, self._layout.slots, self._layout.recipes, read)
        return Page(self._layout, *read)

    def _learn(self, lines: list[str], *, openmetrics: bool) -> tuple[list[float], Known]:
        """Read a page of any layout and remember it."""
        memo: dict[str, Series] = {}
        types: dict[str, str] = {}
        values: list[float] = []
        known: dict[int, Exemplar | None] = {}
        keys: list[str] = []
        slots: list[int] = []
        pairs: dict[tuple[str, str], tuple[str, str]] = {}
        for number, line in enumerate(lines, 1):
            slots.append(len(values))
            if len(line) > _LONGEST_LINE:  # its labels would take many times the page's memory
                raise Trouble(Reason.TOO_LARGE, f"line {number} has more than {_LONGEST_LINE} characters", _REMEDY)
            stripped = line.strip(" \t\r")
            if not stripped or stripped[0] == "#":
                keys.append("")
                _note_type(stripped, types)
                continue
            if len(values) == self._max_samples:
                raise Trouble(Reason.TOO_LARGE, f"more than {self._max_samples} samples", "Raise engines.max_samples.")
            try:
                key, series = self._key(line, pairs)
                value, mark, exemplar = line[len(key) :].partition(" # ")
                if mark:
                    known[len(values)] = read_exemplar(exemplar)
                values.append(syntax.number(value))
            except ValueError as error:
                raise malformed(f"line {number} is no sample ({error}): {line[:120]!r}") from None
            if key in memo:
                raise malformed(f"the series {series} stands twice")
            memo[key] = series
            keys.append(key)
        _refuse_partial(lines, values, types, openmetrics=openmetrics)
        if len(set(memo.values())) < len(memo):
            raise malformed(f"the series {Counter(memo.values()).most_common(1)[0][0]} stands twice")
        if keys != self._layout.keys or types != self._layout.types:
            self._layout = _shared(Layout(tuple(memo.values()), MappingProxyType(types), keys, slots, memo))
        self._openmetrics = openmetrics
        return values, known or NONE

    def _key(self, line: str, pairs: dict[tuple[str, str], tuple[str, str]]) -> tuple[str, Series]:
        """Give what precedes a line's value, and the series that it names; `pairs` keeps equal labels once."""
        key = line[: line.rfind("}") + 1 or line.find(" ") + 1]
        series = self._layout.known.get(key)
        if series is None:  # new, or the last brace is an exemplar's
            key = syntax.key(line)
            series = self._layout.known.get(key)
        if series is None:
            name, labels = syntax.series(key)
            series = Series(sys.intern(name), tuple([pairs.setdefault(pair, pair) for pair in sorted(labels.items())]))
        return key, series


def _shared(layout: Layout) -> Layout:
    """Give the layout in use that says the same, or this one, which is in use from now on."""
    name = hash(tuple(layout.keys))
    other = _in_use.get(name)
    if other is not None and (other.keys, other.slots, other.types) == (layout.keys, layout.slots, layout.types):
        return other
    _in_use[name] = layout
    return layout


def malformed(message: str) -> Trouble:
    """Say that a page is not what its protocol promises."""
    return Trouble(Reason.MALFORMED, message, _REMEDY)


def _note_type(line: str, types: dict[str, str]) -> None:
    """Remember a `# TYPE family type` line; any other comment says nothing."""
    words = line.split()
    if len(words) == 4 and words[0] == "#" and words[1] == "TYPE":
        family, kind = words[2].strip('"'), words[3]
        types[family] = kind if types.get(family, kind) == kind else "conflicting"


def _refuse_partial(lines: list[str], values: list[float], types: dict[str, str], *, openmetrics: bool) -> None:
    """Raise unless the page says something, and all of it is there."""
    if not any(map(str.strip, lines)):
        raise malformed("the page is empty")
    if not values and not types:
        raise malformed("the page has no metrics")
    if openmetrics and next(filter(None, map(str.strip, reversed(lines))), "") != "# EOF":
        raise malformed("the page is cut off: OpenMetrics ends with `# EOF`")
