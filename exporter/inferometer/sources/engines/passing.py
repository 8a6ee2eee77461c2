# SPDX-License-Identifier: Apache-2.0
"""Passes families of a page on as they are: which, what is read of them, and what is withheld and why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.config import Passthrough
from inferometer.model import Instrument, Reading
from inferometer.sources.engines.dialect import Kind
from inferometer.sources.engines.dialects import BACKENDS
from inferometer.sources.engines.families import families_of
from inferometer.sources.engines.family import Role, bases
from inferometer.sources.engines.gather import Draft, Labels
from inferometer.sources.engines.page import Layout
from inferometer.sources.engines.values import Buckets, Doubt, DoubtError, Identity, Number, buckets

FAMILIES, SERIES, VALUES = catalog.WITHHELD  # what a limit dropped is counted by

_ENGINES = tuple(dict.fromkeys(prefix for dialect in BACKENDS for prefix in dialect.prefixes))
_MAX_LABELS = 64  # of one series; vLLM's longest has about 40
_MAX_NAME = 128  # characters of a label's name
_MAX_VALUE = 256  # and of its value


class Level(NamedTuple):
    """A gauge of any unit: below zero, too."""

    identity: Identity
    slot: int

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots of all values that it looks at."""
        return (self.slot,)

    def read(self, values: Sequence[float]) -> Reading:
        """Read it.

        Raises:
            DoubtError: NOT_FINITE.
        """
        if not isfinite(value := values[self.slot]):
            raise DoubtError(Doubt.NOT_FINITE)
        return Reading(self.identity.subject, self.identity.metric, self.identity.attributes, value)


Verbatim = Level | Number | Buckets


class Passing(NamedTuple):
    """How to read what is passed on of pages of one layout.

    `names` are the families, `refused` pairs the others that are asked for with the reason, for people. `withheld` counts
    by limit.
    """

    outputs: tuple[Verbatim, ...] = ()
    names: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    withheld: Mapping[str, int] = MappingProxyType({})

    def without(self, unbelieved: int) -> Mapping[str, int]:
        """Give what is withheld of a page of which so many values are not believed, by limit."""
        return MappingProxyType({**self.withheld, VALUES: unbelieved}) if unbelieved else self.withheld


class _Part(NamedTuple):
    """What is one family on our own pages: as its samples are named, and as they are told."""

    name: str
    instrument: Instrument


class _Wanted(NamedTuple):
    """A family that is asked for and can be passed on, as the page declares it; a summary is told in several parts."""

    declared: str
    parts: tuple[_Part, ...]


_Drafts = Mapping[tuple[_Part, Labels], Draft]


def find_passing(layout: Layout, kind: Kind, settings: Passthrough, subject: str) -> Passing:
    """Find what is passed on of pages of `layout`, from a page of this kind; `subject` becomes the readings' subject.

    Families come in the page's order, whole or not at all, until `settings.max_series` is spent.
    """
    if not settings.allow:
        return Passing()
    wanted, refused = _wanted(layout, kind, settings)
    outputs: list[Verbatim] = []
    names: list[str] = []
    withheld = Counter({FAMILIES: len(refused)})
    left = settings.max_series
    for family, drafts in _gather(layout, wanted):
        found, unsaid = _build(drafts, subject)
        cost = sum(map(_cost, found))
        withheld[SERIES] += unsaid
        if cost > left:
            withheld[SERIES] += cost
            refused[family.declared] = f"its {cost} series are more than engines.passthrough.max_series leaves"
            continue
        left -= cost
        outputs += found
        names.append(family.declared)
    return Passing(tuple(outputs), tuple(names), tuple(refused.items()), MappingProxyType(+withheld))


def _wanted(layout: Layout, kind: Kind, settings: Passthrough) -> tuple[list[_Wanted], dict[str, str]]:
    """Find the families that are asked for; and why others that are cannot be passed on, by their names."""
    sampled = {series.name for series in layout.series}
    wanted: list[_Wanted] = []
    refused: dict[str, str] = {}
    for declared in families_of(layout):
        name = declared if declared in sampled or declared + "_total" not in sampled else declared + "_total"
        if not _is_asked_for((declared, name), settings):
            continue
        type_ = layout.types.get(declared, "untyped")
        parts = _parts(name, type_)
        if not parts:
            refused[declared] = f"{type_}, which cannot be told by OTLP alike"
        elif catalog.is_reserved(name):
            refused[declared] = "names that begin so are taken"
        elif not all(catalog.is_passable(*part) for part in parts):
            refused[declared] = (
                f"Prometheus would name it {catalog.prometheus_name(name, '', parts[0].instrument)} by OTLP"
            )
        elif kind is Kind.ROUTER and name.startswith(_ENGINES):
            refused[declared] = "a router's word of engines, which have it themselves"
        else:
            wanted.append(_Wanted(declared, parts))
    return wanted, refused


def _parts(name: str, type_: str) -> tuple[_Part, ...]:
    """Find how both routes can tell a family of this type by its own names; nothing: they cannot.

    By OTLP a counter whose name lacks `_total` would gain one in Prometheus, and a sum that may fall gains nothing. Of a
    summary, which no value of ours is, each sample is told as what it is: levels by quantile, and two sums.
    Source: prometheus/otlptranslator v1, `metric_namer.go`.
    """
    match type_:
        case "gauge":
            return (_Part(name, Instrument.GAUGE),)
        case "histogram":
            return (_Part(name, Instrument.HISTOGRAM),)
        case "counter":
            is_named_so = catalog.is_passable(name, Instrument.COUNTER)
            return (_Part(name, Instrument.COUNTER if is_named_so else Instrument.UPDOWNCOUNTER),)
        case "summary":
            sums = (_Part(name + end, Instrument.UPDOWNCOUNTER) for end in ("_sum", "_count"))
            return (_Part(name, Instrument.GAUGE), *sums)
        case _:
            return ()


def _is_asked_for(names: Sequence[str], settings: Passthrough) -> bool:
    def match(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return match(settings.allow) and not match(settings.deny)


def _gather(layout: Layout, wanted: Sequence[_Wanted]) -> Iterator[tuple[_Wanted, _Drafts]]:
    """Gather the slots of each family's series by their labels."""
    places: dict[str, tuple[_Wanted, _Part, Role]] = {}
    for family in wanted:
        for part in family.parts:
            for sample, role in _samples(part).items():
                places.setdefault(sample, (family, part, role))
    found: dict[_Wanted, dict[tuple[_Part, Labels], Draft]] = {family: {} for family in wanted}
    for slot, (name, labels) in enumerate(layout.series):
        if name not in places:
            continue
        family, part, role = places[name]
        le, bare = "", labels
        if role is Role.BUCKET:
            le = next((value for label, value in labels if label == "le"), "")
            bare = tuple([pair for pair in labels if pair[0] != "le"])
        found[family].setdefault((part, bare), Draft()).note(role, slot, le)
    yield from found.items()


def _samples(part: _Part) -> dict[str, Role]:
    name, instrument = part
    created = {bases(name, instrument)[1] + "_created": Role.CREATED}
    match instrument:
        case Instrument.HISTOGRAM:
            return {name + "_bucket": Role.BUCKET, name + "_count": Role.COUNT, name + "_sum": Role.SUM, **created}
        case Instrument.COUNTER:
            return {name: Role.VALUE, **created}
        case _:  # without a start: what may fall has no resets
            return {name: Role.VALUE}


def _build(drafts: _Drafts, subject: str) -> tuple[list[Verbatim], int]:
    """Build what reads a family's series; give it, and how many series cannot be passed on."""
    outputs: list[Verbatim] = []
    unsaid = 0
    for (part, labels), draft in drafts.items():
        if draft.is_empty:  # nothing but a date
            continue
        try:
            outputs.append(_output(part, _attributes(labels), draft, subject))
        except DoubtError:
            unsaid += max(1, len(draft.bounds) + 2 if draft.bounds else 1)
    return outputs, unsaid


def _attributes(labels: Labels) -> Labels:
    """Give a series' own labels by the names that they have beside the engine's identity, sorted; empty ones are none.

    Raises:
        DoubtError: TOO_LONG, or there are too many.
    """
    said = {name: value for name, value in labels if value}
    if len(said) > _MAX_LABELS or any(len(name) > _MAX_NAME or len(value) > _MAX_VALUE for name, value in said.items()):
        raise DoubtError(Doubt.TOO_LONG)
    called = catalog.own_labels(tuple(said))
    return tuple(sorted((called[name], value) for name, value in said.items()))


def _output(part: _Part, attributes: Labels, draft: Draft, subject: str) -> Verbatim:
    """Build what reads one series.

    Raises:
        DoubtError: INCOMPLETE.
    """
    metric = catalog.verbatim(*part, tuple([label for label, _ in attributes]))
    identity = Identity(subject, metric, attributes, () if draft.created is None else (draft.created,))
    if part.instrument is Instrument.HISTOGRAM:
        return buckets(identity, draft.bounds, draft.count, draft.sum)
    if draft.value is None:
        raise DoubtError(Doubt.INCOMPLETE)
    return Level(identity, draft.value) if part.instrument is Instrument.GAUGE else Number(identity, draft.value)


def _cost(output: Verbatim) -> int:
    """Count the series of an output, as `series_of` counts those of its value."""
    return len(output.bounds) + 3 if isinstance(output, Buckets) else 1
