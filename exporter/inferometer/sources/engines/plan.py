# SPDX-License-Identifier: Apache-2.0
"""Works out once per layout what a page's series mean, so that each further page only needs its values read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Instrument, Metric
from inferometer.sources.engines.build import Output, Speaker, build, key_of
from inferometer.sources.engines.dialect import Dialect, is_anyones
from inferometer.sources.engines.families import families_of
from inferometer.sources.engines.family import Family, Role, bases
from inferometer.sources.engines.gather import Draft, Key, Labels, gather
from inferometer.sources.engines.page import Layout
from inferometer.sources.engines.recognise import Recognition
from inferometer.sources.engines.values import Doubt

_TYPES = {Instrument.GAUGE: "gauge", Instrument.COUNTER: "counter", Instrument.HISTOGRAM: "histogram"}
_UNTYPED = ("untyped", "unknown")


class Plan(NamedTuple):
    """How to read the pages of one layout.

    `mapped` pairs family names with metric names, `unmapped` are the other families, `unknown` those of them that the
    dialect has never heard of. `missing` are families that an engine of the page's age should have. `dropped` counts
    by doubt. `balanced` says that who had a first token and is in no other count hung up. `named` are the values of the
    attributes in `catalog.OPEN`, each once.
    """

    outputs: tuple[Output, ...] = ()
    mapped: tuple[tuple[str, str], ...] = ()
    unmapped: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: Mapping[str, int] = MappingProxyType({})
    balanced: bool = False
    named: tuple[tuple[str, str], ...] = ()

    def without(self, doubts: Sequence[Doubt]) -> Mapping[str, int]:
        """Count by doubt the series of a page that are dropped, of which these were not believed as they stood there."""
        return MappingProxyType(Counter(doubts) + Counter(self.dropped)) if doubts else self.dropped


class _Part(NamedTuple):
    """What one dialect makes of a page: the names that its families go by, the outputs, the doubts."""

    names: Mapping[int, str]
    outputs: Sequence[Output]
    doubts: Sequence[Doubt]


def compile_plan(layout: Layout, page: Recognition, subject: str) -> Plan:
    """Plan how to read pages of `layout` that are what `page` says; `subject` becomes the readings' subject.

    Where a host shows what the engine behind it says, the engine is read first, and of the host what the engine does
    not say itself.
    """
    on_page = families_of(layout)
    outputs: dict[tuple[Metric, Labels], Output | None] = {}  # None: seen twice
    mapped: dict[tuple[str, str], None] = {}
    missing: dict[str, None] = {}
    doubts: list[Doubt] = []
    for dialect in page.dialects:
        said = frozenset(metric for metric, _ in outputs)
        models = frozenset(page.models) if dialect.narrow and len(page.dialects) > 1 else None
        speaker = Speaker(subject, page.backend or page.engine, page.engine, dialect, layout)
        part = _part(speaker, gather(layout, dialect, models), said)
        doubts += part.doubts
        for output in part.outputs:
            key = key_of(output)
            if key in outputs:
                doubts += [Doubt.AMBIGUOUS] * (1 if outputs[key] is None else 2)
            outputs[key] = None if key in outputs else output
        mapped |= {(name, dialect.families[i].metric.name): None for i, name in part.names.items()}
        missing |= dict.fromkeys(_missing(on_page, dialect, part.names))
    read = [output for output in outputs.values() if output is not None]
    unmapped = sorted(on_page.keys() - {name for name, _ in mapped})
    return Plan(
        tuple(read),
        tuple(mapped),
        tuple(unmapped),
        tuple(
            name for name in unmapped if not is_anyones(name) and not any(_knows(each, name) for each in page.dialects)
        ),
        tuple(missing),
        MappingProxyType(Counter(doubts)),
        any(_is_balanced(each, on_page) for each in page.dialects),
        _named(page, read),
    )


def _named(page: Recognition, outputs: Sequence[Output]) -> tuple[tuple[str, str], ...]:
    """Give the values that a page names, of attributes whose values are nobody's closed set."""
    pairs = dict.fromkeys((catalog.MODEL.key, model) for model in page.models)
    for output in outputs:
        pairs |= {pair: None for pair in output.identity.attributes if pair[0] in catalog.OPEN}
    return tuple(pairs)


def _is_balanced(dialect: Dialect, on_page: Mapping[str, None]) -> bool:
    elsewhere = (prefix + name for prefix in dialect.prefixes for name in dialect.unbalanced)
    return dialect.balanced and not any(name in on_page for name in elsewhere)


def _part(speaker: Speaker, drafts: Mapping[Key, Draft], said: frozenset[Metric]) -> _Part:
    """Work out what one dialect makes of a page on which the metrics in `said` are read already."""
    dialect, layout = speaker.dialect, speaker.layout
    ranks = _ranks(layout, dialect, drafts)
    told = {dialect.families[family].called(dialect.prefixes)[rank] for family, rank, _ in drafts}
    names: dict[int, str] = {}
    outputs: list[Output] = []
    doubts: list[Doubt] = []
    for index, rank in ranks.items():
        family = dialect.families[index]
        if family.metric in said and not family.beside:
            continue
        if any(prefix + name in told for prefix in dialect.prefixes for name in family.unless):
            continue
        names[index] = _name(layout, family, dialect, rank)
        series = [(labels, draft) for (i, r, labels), draft in drafts.items() if (i, r) == (index, rank)]
        declared = layout.types.get(names[index], "untyped")
        if declared in (_TYPES[family.metric.instrument], *family.types, *_UNTYPED):
            outputs += build(speaker, family, series, doubts)
        else:
            doubts += [Doubt.TYPE] * len(series)
    return _Part(names, outputs, doubts)


def _ranks(layout: Layout, dialect: Dialect, drafts: Mapping[Key, Draft]) -> dict[int, int]:
    """Choose, for each family on the page, the name it is read by: the newest that has series, else that is declared."""
    ranks: dict[int, int] = {}
    for family, rank, _ in drafts:
        ranks[family] = min(rank, ranks.get(family, rank))
    sampled = {series.name for series in layout.series}
    for sample, places in dialect.places.items():
        for family, rank, role in places:
            if family not in ranks and role in (Role.VALUE, Role.COUNT) and sample not in sampled:
                base = sample.removesuffix("_count") if role is Role.COUNT else sample
                if any(name in layout.types for name in bases(base, dialect.families[family].metric.instrument)):
                    ranks[family] = rank
    return dict(sorted(ranks.items()))


def _name(layout: Layout, family: Family, dialect: Dialect, rank: int) -> str:
    """Give a family's name as the page declares it."""
    name = family.called(dialect.prefixes)[rank]
    candidates = (*bases(name, family.metric.instrument), name.removesuffix("_sum"))  # a histogram's sum is a counter
    return next((base for base in candidates if base in layout.types), name)


def _knows(dialect: Dialect, name: str) -> bool:
    """Tell whether a dialect has heard of a family: it maps it, would if nothing better were there, or leaves it out."""
    return any(each in dialect.places for each in (name, name + "_total", name + "_count")) or dialect.knows(name)


def _missing(on_page: Mapping[str, None], dialect: Dialect, names: Mapping[int, str]) -> Iterator[str]:
    """Name the families that an engine of this page's age has and the page lacks."""
    if dialect.partial or not dialect.prefixes:
        return
    prefix = next((p for p in dialect.prefixes for name in on_page if name.startswith(p)), dialect.prefixes[0])
    there = {base for name in on_page for base in (name, name + "_total")}
    for i, family in enumerate(dialect.families):
        first = (prefix if family.prefixed else "") + family.names[0]
        due = not family.since or any(prefix + marker in there for marker in family.since)
        told = i in names or any(name in there for name in family.called(dialect.prefixes))
        if due and not told and not family.optional and not any(prefix + name in there for name in family.unless):
            yield first
