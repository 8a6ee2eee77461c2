# SPDX-License-Identifier: Apache-2.0
"""Tells which engine a page is from, and what runs behind it, by the shape of its labels."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import EMPTY
from inferometer.sources.engines.dialect import Dialect, Kind, Sign
from inferometer.sources.engines.dialects import BACKENDS, BY_NAME, DIALECTS, LIKE_VLLM
from inferometer.sources.engines.family import Family, FromLabels, Newest
from inferometer.sources.engines.page import Layout

UNKNOWN = "unknown"
_MAX_MODELS = 64  # a page that names more is not believed to the end
_MAX_NAME = 256  # characters of a model's name
_NOTHING = frozenset({"", "None", "none", "null"})  # how a page says that there is no such thing
_NO_MODELS = frozenset({"", "unknown_model"})  # Dynamo's word for models that nobody serves

Shape = tuple[str, frozenset[str]]  # a sample's name, and the names of its labels


class Recognition(NamedTuple):
    """What a page is: `engine` emits it, `backend` runs behind it (empty: it does not tell), `dialects` map it.

    Of several dialects the first is that of the engine behind. `details` are attributes of the engine's info.
    """

    engine: str
    backend: str
    kind: Kind
    version: str
    models: tuple[str, ...]
    dialects: tuple[Dialect, ...]
    details: Mapping[str, str] = EMPTY


def recognise(layout: Layout, insisted: str = "") -> Recognition:
    """Say what a page is. `insisted` is the engine that an operator names: it wins over what the page looks like."""
    shapes = {(series.name, frozenset(name for name, _ in series.labels)) for series in layout.series}
    shapes |= {(family, frozenset()) for family in layout.types}
    speaker = next((d for d in DIALECTS if _shows(d.signs, shapes)), None)
    if insisted in BY_NAME and (speaker is None or speaker.name != insisted):
        speaker = BY_NAME[insisted]
    if speaker is None:
        return Recognition(UNKNOWN, "", Kind.UNKNOWN, "", (), ())
    behind = next((d for d in BACKENDS if _shows(d.signs, shapes)), None) if speaker.hosts else speaker
    kind = speaker.kind
    if behind is None and speaker.name == "ray":
        kind = Kind.UNKNOWN  # a Ray node without an engine on it
    dialects = (behind, speaker) if behind and behind is not speaker else (speaker,)
    return Recognition(
        speaker.name,
        (behind.backend or behind.name if speaker.hosts else speaker.backend) if behind else speaker.backend,
        kind,
        _version(layout, speaker),
        tuple(_models(layout, speaker, behind)),
        dialects if kind is not Kind.UNKNOWN else (),
        _details(layout, dialects),
    )


def likely(layout: Layout) -> tuple[tuple[str, str], ...]:
    """Pair the families of an unknown engine's page with the metrics that other engines mean by such names.

    Nothing is read by this: the same name may mean another thing or unit, and somebody has to look.
    """
    pairs = [
        (name, family.metric.name)
        for name, kind in layout.types.items()
        if (family := _LIKELY.get(_bare(name))) is not None and kind == family.metric.instrument.value
    ]
    return tuple(dict.fromkeys(pairs))


def _bare(name: str) -> str:
    """Give a family's name without what looks like its engine's, and without a counter's suffix."""
    rest = name.partition(":")[2] or name
    known = rest if rest.removesuffix("_total") in _LIKELY else rest.partition("_")[2]
    return known.removesuffix("_total")


# What the engines' families are called, without prefix and suffix.
_LIKELY: dict[str, Family] = {
    name.removesuffix("_total"): family
    for dialect in reversed(LIKE_VLLM)
    for family in reversed(dialect.families)
    for name in family.names
    if not isinstance(family.how, Newest | FromLabels)
}


def _shows(signs: Iterable[Sign], shapes: set[Shape]) -> bool:
    return any(
        name.startswith(sign.prefix) and sign.labels <= labels and not (sign.without & labels)
        for sign in signs
        for name, labels in shapes
    )


def _version(layout: Layout, dialect: Dialect) -> str:
    """Read the version of what emits the page, where it tells it. `python_info` and model versions are not it."""
    if dialect.version is None:
        return ""
    prefix, label = dialect.version
    return next(
        (value for s in layout.series if s.name.startswith(prefix) for name, value in s.labels if name == label), ""
    )[:_MAX_NAME]


def _details(layout: Layout, dialects: Iterable[Dialect]) -> Mapping[str, str]:
    """Read what the page tells of the engine itself, besides its version."""
    details: dict[str, str] = {}
    for dialect in dialects:
        told = {
            fact.attribute: value[:_MAX_NAME]
            for fact in dialect.facts
            for series in layout.series
            if series.name == fact.sample
            for label, value in series.labels
            if label == fact.label and value not in _NOTHING
        }
        rank = next((label.name for label in dialect.labels if label.attribute == catalog.RANK.key), None)
        ranks = {value for series in layout.series for label, value in series.labels if label == rank}
        told |= {catalog.TOKEN_TIMING.key: dialect.timing.value} if dialect.timing else {}
        told |= {catalog.DATA_PARALLEL.key: str(len(ranks))} if ranks else {}
        details = told | details  # what the engine behind says counts before its host's word
    return MappingProxyType(details)


def _models(layout: Layout, speaker: Dialect, behind: Dialect | None) -> Iterator[str]:
    """Name the models; of a host with models of its own around the engine's, only those that the engine speaks of."""
    label = (behind or speaker).model_label
    prefixes = tuple(sign.prefix for sign in behind.signs) if behind and speaker.narrow else ("",)
    told = (s for s in layout.series if s.name.startswith(prefixes))
    found = {value for s in told for name, value in s.labels if name == label} - _NO_MODELS
    return iter(sorted(v for v in found if len(v) <= _MAX_NAME)[:_MAX_MODELS])
