# SPDX-License-Identifier: Apache-2.0
"""Tells which engine a page is from, and what runs behind it, by the shape of its labels."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inferometer.sources.engines.dialect import Dialect, Kind, Sign
from inferometer.sources.engines.dialects import BACKENDS, BY_NAME, DIALECTS
from inferometer.sources.engines.page import Layout

UNKNOWN = "unknown"
_MAX_MODELS = 64  # a page that names more is not believed to the end
_MAX_NAME = 256  # characters of a model's name
_NO_MODELS = frozenset({"", "unknown_model"})  # Dynamo's word for models that nobody serves

Shape = tuple[str, frozenset[str]]  # a sample's name, and the names of its labels


class Recognition(NamedTuple):
    """What a page is: `engine` emits it, `backend` runs behind it (empty: it does not tell), `dialect` maps it."""

    engine: str
    backend: str
    kind: Kind
    version: str
    models: tuple[str, ...]
    dialect: Dialect | None


def recognise(layout: Layout, insisted: str = "") -> Recognition:
    """Say what a page is. `insisted` is the engine that an operator names: it wins over what the page looks like."""
    shapes = {(series.name, frozenset(name for name, _ in series.labels)) for series in layout.series}
    shapes |= {(family, frozenset()) for family in layout.types}
    speaker = next((d for d in DIALECTS if _shows(d.signs, shapes)), None)
    if insisted in BY_NAME and (speaker is None or speaker.name != insisted):
        speaker = BY_NAME[insisted]
    if speaker is None:
        return Recognition(UNKNOWN, "", Kind.UNKNOWN, "", (), None)
    behind = next((d for d in BACKENDS if _shows(d.signs, shapes)), None) if speaker.hosts else speaker
    kind = speaker.kind
    if behind is None and speaker.name == "ray":
        kind = Kind.UNKNOWN  # a Ray node without an engine on it
    return Recognition(
        speaker.name,
        (behind.backend or behind.name if speaker.hosts else speaker.backend) if behind else speaker.backend,
        kind,
        _version(layout, speaker),
        tuple(_models(layout, (behind or speaker).model_label)),
        behind if kind is Kind.ENGINE else None,
    )


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


def _models(layout: Layout, label: str) -> Iterator[str]:
    found = {value for s in layout.series for name, value in s.labels if name == label} - _NO_MODELS
    return iter(sorted(v for v in found if len(v) <= _MAX_NAME)[:_MAX_MODELS])
