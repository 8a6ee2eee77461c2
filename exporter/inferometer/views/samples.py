# SPDX-License-Identifier: Apache-2.0
"""Plain samples, from a snapshot or from the page that another agent serves: what the table is made of."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Histogram, Snapshot

Labels = Mapping[str, str]


class Series(NamedTuple):
    """A series: its Prometheus name and its labels in the order of their names."""

    name: str
    labels: tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """A value and when it was read, in seconds of any clock that only goes forward."""

    value: float
    at: float


Samples = Mapping[Series, Sample]

# What the table needs, and nothing else: a page can hold tens of thousands of series.
NEEDED = frozenset(
    (
        catalog.AGENT_INFO,
        catalog.GPU_INFO,
        catalog.MIG_INFO,
        catalog.OWNER_INFO,
        catalog.OWNER_TIME,
        catalog.GPU_HEALTH_CAUSE,
        catalog.GPU_UTILIZATION,
        catalog.GPU_SM_ACTIVITY,
        catalog.MIG_SM_ACTIVITY,
        catalog.POWER,
        catalog.ENERGY,
        catalog.ENGINE_INFO,
        catalog.TOKENS,
        catalog.SOURCE_UP,
    )
)
_NAMES = frozenset(metric.prometheus for metric in NEEDED)

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)\Z")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def samples(snapshot: Snapshot) -> Samples:
    """Give a snapshot's samples that the table needs, each with the read time of its own frame."""
    found = {}
    for point in snapshot.points:
        if point.metric.prometheus in _NAMES and not isinstance(point.value, Histogram):
            pairs = zip(point.metric.attributes, point.attributes, strict=True)
            labels = tuple(sorted((attribute.label, value) for attribute, value in pairs if value))
            found[Series(point.metric.prometheus, labels)] = Sample(float(point.value), point.at)
    return found


def parse(page: str, at: float, names: frozenset[str] = _NAMES) -> Samples:
    """Read the samples of some names, those that the table needs, back from a page of ours, read at `at`.

    Lines of other families, and lines that are not ours at all, are passed over.
    """
    found = {}
    for line in page.splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in names:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = tuple(sorted((name, _ESCAPE.sub(_unescape, text)) for name, text in _LABEL.findall(match[2] or "")))
        found[Series(match[1], labels)] = Sample(value, at)
    return found


def _unescape(match: re.Match[str]) -> str:
    """Undo one escape of the text format: of a backslash, a quote or a line feed."""
    return "\n" if match[1] == "n" else match[1]
