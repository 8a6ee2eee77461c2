# SPDX-License-Identifier: Apache-2.0
"""Works out once per layout what a page's series mean, so that each further page only needs its values read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Instrument, Metric, Reading
from inferometer.sources.engines.dialect import Dialect, Family, Role, bases
from inferometer.sources.engines.families import families_of
from inferometer.sources.engines.page import Layout
from inferometer.sources.engines.recognise import Recognition
from inferometer.sources.engines.values import Buckets, Doubt, DoubtError, Identity, Number, buckets

_OPERATION = catalog.OPERATION.values[0]  # an engine's page does not split by operation: a documented constant
_MAX_LABEL = 256  # characters of a label value that becomes an attribute
_TYPES = {Instrument.GAUGE: "gauge", Instrument.COUNTER: "counter", Instrument.HISTOGRAM: "histogram"}
_UNTYPED = ("untyped", "unknown")

Labels = tuple[tuple[str, str], ...]


class Plan(NamedTuple):
    """How to read the pages of one layout. `mapped` pairs family names with metric names; `dropped` counts by doubt."""

    outputs: tuple[Number | Buckets, ...] = ()
    mapped: tuple[tuple[str, str], ...] = ()
    unmapped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: Mapping[str, int] = MappingProxyType({})

    def read(self, values: Sequence[float]) -> tuple[tuple[Reading, ...], Mapping[str, int]]:
        """Read a page's values; give the readings, and how many series were dropped for which doubt."""
        readings: list[Reading] = []
        doubts: list[Doubt] = []
        for output in self.outputs:
            try:
                readings.append(output.read(values))
            except DoubtError as error:
                doubts.append(error.doubt)
        return tuple(readings), MappingProxyType(Counter(doubts) + Counter(self.dropped)) if doubts else self.dropped


@dataclass(slots=True)
class _Draft:
    """The slots of one series (of one histogram, counter or gauge) while a layout is gone through."""

    value: int | None = None
    bounds: list[tuple[str, int]] = field(default_factory=list)
    count: int | None = None
    sum: int | None = None
    created: int | None = None

    def note(self, role: Role, slot: int, le: str) -> None:
        match role:
            case Role.VALUE:
                self.value = slot
            case Role.BUCKET:
                self.bounds.append((le, slot))
            case Role.COUNT:
                self.count = slot
            case Role.SUM:
                self.sum = slot
            case Role.CREATED:
                self.created = slot

    @property
    def is_empty(self) -> bool:
        """Whether nothing but a `_created` was found."""
        return self.value is None and self.count is None and self.sum is None and not self.bounds


def compile_plan(layout: Layout, page: Recognition, subject: str) -> Plan:
    """Plan how to read pages of `layout` that are what `page` says; `subject` becomes the readings' subject."""
    on_page = families_of(layout)
    dialect = page.dialect
    if dialect is None or not dialect.families:
        return Plan(unmapped=tuple(sorted(on_page)))
    drafts = _draft(layout, dialect)
    ranks = _ranks(layout, dialect, drafts)
    names = {i: _name(layout, family, dialect, ranks[i]) for i, family in enumerate(dialect.families) if i in ranks}
    outputs, doubts = _outputs(
        layout, page, dialect, subject, {k: d for k, d in drafts.items() if ranks.get(k[0]) == k[1]}, names
    )
    return Plan(
        tuple(outputs),
        tuple((name, dialect.families[i].metric.name) for i, name in names.items()),
        tuple(sorted(on_page.keys() - set(names.values()))),
        tuple(_missing(on_page, dialect, names)),
        MappingProxyType(Counter(doubts)),
    )


_Key = tuple[int, int, Labels]  # family, rank of its name, labels without `le`


def _draft(layout: Layout, dialect: Dialect) -> dict[_Key, _Draft]:
    """Gather the slots of every series of the dialect's own."""
    drafts: dict[_Key, _Draft] = {}
    own: dict[Labels, bool] = {}
    places = dialect.places
    for slot, (name, labels) in enumerate(layout.series):
        place = places.get(name)
        if place is None:
            continue
        le = ""
        if place.role is Role.BUCKET:
            le = next((value for label, value in labels if label == "le"), "")
            labels = tuple([pair for pair in labels if pair[0] != "le"])  # noqa: PLW2901  # the series without its bucket
        if labels not in own:
            present = {label for label, _ in labels}
            own[labels] = dialect.required <= present and not (dialect.foreign & present)
        if own[labels]:
            drafts.setdefault((place.family, place.rank, labels), _Draft()).note(place.role, slot, le)
    return {key: draft for key, draft in drafts.items() if not draft.is_empty}


def _ranks(layout: Layout, dialect: Dialect, drafts: Mapping[_Key, _Draft]) -> dict[int, int]:
    """Choose, for each family on the page, the name it is read by: the newest that has series, else that is declared."""
    ranks: dict[int, int] = {}
    for family, rank, _ in drafts:
        ranks[family] = min(rank, ranks.get(family, rank))
    sampled = {series.name for series in layout.series}
    for sample, (family, rank, role) in dialect.places.items():
        if family not in ranks and role in (Role.VALUE, Role.COUNT) and sample not in sampled:
            base = sample.removesuffix("_count") if role is Role.COUNT else sample
            if any(name in layout.types for name in bases(base, dialect.families[family].metric.instrument)):
                ranks[family] = rank
    return dict(sorted(ranks.items()))


def _name(layout: Layout, family: Family, dialect: Dialect, rank: int) -> str:
    """Give a family's name as the page declares it."""
    name = [prefix + name for name in family.names for prefix in dialect.prefixes][rank]
    return next((base for base in bases(name, family.metric.instrument) if base in layout.types), name)


def _outputs(
    layout: Layout,
    page: Recognition,
    dialect: Dialect,
    subject: str,
    drafts: Mapping[_Key, _Draft],
    names: Mapping[int, str],
) -> tuple[list[Number | Buckets], list[Doubt]]:
    doubts: list[Doubt] = []
    outputs: dict[tuple[Metric, Labels], Number | Buckets | None] = {}  # None: seen twice
    for (index, _, labels), draft in sorted(drafts.items(), key=lambda item: item[0][0]):
        family = dialect.families[index]
        try:
            declared = layout.types.get(names[index], "untyped")
            if declared != _TYPES[family.metric.instrument] and declared not in _UNTYPED:
                raise DoubtError(Doubt.TYPE)
            attributes = _attributes(page.backend or page.engine, dialect, family, dict(labels))
            identity = Identity(subject, family.metric, attributes, draft.created)
            if draft.value is not None:
                output: Number | Buckets = Number(identity, draft.value)
            else:
                output = buckets(identity, draft.bounds, draft.count, draft.sum)
        except DoubtError as error:
            doubts.append(error.doubt)
            continue
        key = (family.metric, attributes)
        if key in outputs:
            doubts += [Doubt.AMBIGUOUS] * (1 if outputs[key] is None else 2)
            outputs[key] = None
        else:
            outputs[key] = output
    return [output for output in outputs.values() if output is not None], doubts


def _attributes(provider: str, dialect: Dialect, family: Family, labels: Mapping[str, str]) -> Labels:
    """Give a series' attributes in its metric's order. Labels that mean nothing to us are left out."""
    found = {catalog.PROVIDER.key: provider, catalog.OPERATION.key: _OPERATION, **dict(family.fixed)}
    for label, attribute in (*dialect.labels, *family.labels):
        value = labels.get(label, "")
        if len(value) > _MAX_LABEL:
            raise DoubtError(Doubt.TOO_LONG)
        if value:
            found[attribute] = value
    return tuple([(key, found[key]) for key in family.metric.keys if key in found])


def _missing(on_page: Iterable[str], dialect: Dialect, names: Mapping[int, str]) -> Iterator[str]:
    """Name the families that an engine of this page's age has and the page lacks."""
    prefix = next((p for p in dialect.prefixes for name in on_page if name.startswith(p)), dialect.prefixes[0])
    for i, family in enumerate(dialect.families):
        due = not family.since or any(prefix + marker in on_page for marker in family.since)
        if i not in names and due:
            yield prefix + family.names[0]
