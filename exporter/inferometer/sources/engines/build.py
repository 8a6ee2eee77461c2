# SPDX-License-Identifier: Apache-2.0
"""Builds what reads each series of a family: one output for each set of attributes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Metric
from inferometer.sources.engines.combined import Constant, Latest, Merged, Product, Total, listed, merged, number
from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.family import (
    ANY,
    AS_IT_IS,
    Family,
    FromLabels,
    Newest,
    Sample,
    Times,
)
from inferometer.sources.engines.gather import Draft, Labels
from inferometer.sources.engines.page import Layout
from inferometer.sources.engines.values import Buckets, Doubt, DoubtError, Identity, Number, buckets

_OPERATION = catalog.OPERATION.values[0]  # an engine's page does not split by operation: a documented constant
_MAX_LABEL = 256  # characters of a label value that becomes an attribute

Output = Number | Buckets | Total | Merged | Product | Constant | Latest
Series = tuple[Labels, Draft]
Factors = Mapping[Labels, int]  # slots by labels


class Speaker(NamedTuple):
    """Who says what is read: the `subject` of the readings, the engine's name and the page's host's, dialect, layout."""

    subject: str
    provider: str
    host: str
    dialect: Dialect
    layout: Layout


def build(speaker: Speaker, family: Family, series: Iterable[Series], doubts: list[Doubt]) -> list[Output]:
    """Build what reads the series of one family; what is not believed is noted in `doubts`, once for each series."""
    groups: dict[Labels, list[Series]] = {}
    for labels, draft in series:
        try:
            attributes = _attributes(speaker, family, dict(labels))
        except DoubtError as error:
            doubts.append(error.doubt)
            continue
        if attributes is not None:
            groups.setdefault(attributes, []).append((labels, draft))
    outputs: list[Output] = []
    factors = _factors(speaker, family)
    for attributes, members in groups.items():
        chosen = _lowest(family, members)
        try:
            output = _output(speaker, family, attributes, chosen, factors)
        except DoubtError as error:
            doubts += [error.doubt] * len(chosen)
            continue
        if output is not None:
            outputs.append(output)
    return outputs


def _attributes(speaker: Speaker, family: Family, labels: Mapping[str, str]) -> Labels | None:
    """Give a series' attributes in its metric's order, None where it is not read. Other labels are left out."""
    # What a host counts beside its engine is its own under either name, also before the engine has said a word.
    provider = speaker.host if family.beside else speaker.provider
    found = {catalog.PROVIDER.key: provider, catalog.OPERATION.key: _OPERATION, **dict(family.fixed)}
    for label in (*speaker.dialect.labels, *family.labels):
        value = label.translate(labels.get(label.name, ""))
        if value is None:
            return None
        if len(value) > _MAX_LABEL:
            raise DoubtError(Doubt.TOO_LONG)
        if value:
            found[label.attribute] = value
    return tuple([(key, found[key]) for key in family.metric.keys if key in found])


def _lowest(family: Family, members: list[Series]) -> list[Series]:
    """Of series that ranks repeat, keep that of the lowest rank."""
    if not family.lowest or len(members) == 1:
        return members
    best: dict[Labels, tuple[tuple[float, ...], Series]] = {}
    for labels, draft in members:
        said = dict(labels)
        rank = tuple([value if (value := number(said.get(name, ""))) is not None else -1.0 for name in family.lowest])
        rest = _without(labels, frozenset(family.lowest))
        if rest not in best or rank < best[rest][0]:
            best[rest] = (rank, (labels, draft))
    return [each for _, each in best.values()]


def _output(
    speaker: Speaker, family: Family, attributes: Labels, members: Sequence[Series], factors: Factors
) -> Output | None:
    """Build what reads the series that have the same attributes, None where they tell nothing.

    Raises:
        DoubtError: AMBIGUOUS: several series, and nothing says that they are parts of one; INCOMPLETE.
    """
    drafts = [draft for _, draft in members]
    created = tuple([draft.created for draft in drafts if draft.created is not None])
    identity = Identity(speaker.subject, family.metric, attributes, created if len(created) == len(drafts) else ())
    if isinstance(family.how, Newest):
        return _latest(identity, family.how, members)
    if len(members) > 1 and not _are_parts(family, [labels for labels, _ in members]):
        raise DoubtError(Doubt.AMBIGUOUS)
    if isinstance(family.how, FromLabels):
        return _from_labels(identity, family.how, dict(members[0][0]))
    if isinstance(family.how, Times):
        return _product(identity, family, members, factors)
    return _samples(identity, family.how, drafts)


def _samples(identity: Identity, how: Sample, drafts: Sequence[Draft]) -> Output:
    slots = [draft.value for draft in drafts if draft.value is not None]
    if not slots:
        parts = [buckets(identity, draft.bounds, draft.count, draft.sum, how.per) for draft in drafts]
        return parts[0] if len(parts) == 1 else merged(identity, parts)
    if len(slots) == 1 and how == AS_IT_IS:
        return Number(identity, slots[0])
    return Total(identity, tuple(slots), how.per, how.off)


def _are_parts(family: Family, series: Sequence[Labels]) -> bool:
    """Tell whether series may be added up: they differ in labels only that say so."""
    differing = set(chain(*series)) - set(series[0]).intersection(*series)
    translated = {label.name for label in family.labels if label.values}
    return family.added is ANY or {name for name, _ in differing} <= family.added | translated


def _from_labels(identity: Identity, how: FromLabels, said: Mapping[str, str]) -> Constant | None:
    for names in how.choices:
        factors = [factor for name in names if (factor := number(said.get(name, ""))) is not None]
        if len(factors) == len(names):
            value = 1.0
            for factor in factors:
                value *= factor
            return Constant(identity, value)
    return None


def _latest(identity: Identity, how: Newest, members: Sequence[Series]) -> Latest | None:
    choices = []
    for labels, draft in members:
        text = dict(labels).get(how.label, "")
        value = listed(text) if how.listed else number(text)
        if draft.value is not None and value is not None:
            choices.append((draft.value, value))
    return Latest(identity, tuple(choices)) if choices else None


def _product(identity: Identity, family: Family, members: Sequence[Series], factors: Factors) -> Product | None:
    """Pair a series with that of the other gauge that has the same labels, but for those that conditions name."""
    labels, draft = members[0]
    slot = factors.get(_without(labels, _free(family)))
    return Product(identity, (draft.value, slot)) if slot is not None and draft.value is not None else None


def _factors(speaker: Speaker, family: Family) -> Factors:
    """Find what a family's series are to be multiplied by: the slots of the other gauge."""
    if not isinstance(family.how, Times):
        return {}
    names = {prefix + family.how.name for prefix in speaker.dialect.prefixes}
    free = _free(family)
    factors: dict[Labels, int] = {}
    for slot, (name, labels) in enumerate(speaker.layout.series):
        if name in names:
            said = dict(labels)
            if all(said.get(label, "") in values for label, values in family.how.conditions):
                factors[_without(labels, free)] = slot
    return factors


def _free(family: Family) -> frozenset[str]:
    """Name the labels in which a product's factors may differ."""
    other = family.how.conditions if isinstance(family.how, Times) else ()
    return frozenset(condition.label for condition in (*family.conditions, *other))


def _without(labels: Labels, free: frozenset[str]) -> Labels:
    return tuple([pair for pair in labels if pair[0] not in free])


def key_of(output: Output) -> tuple[Metric, Labels]:
    """Give what must stand once on a page: a metric and its attributes."""
    return output.identity.metric, output.identity.attributes
