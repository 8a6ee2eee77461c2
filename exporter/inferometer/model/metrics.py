# SPDX-License-Identifier: Apache-2.0
"""The contract: what a metric is, and where it is read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

EMPTY: Mapping[str, str] = MappingProxyType({})


def no_words() -> Mapping[str, str]:
    """Give the shared empty mapping: dataclasses refuse an unhashable default."""
    return EMPTY


class Instrument(StrEnum):
    """How a metric's values behave, in OpenTelemetry's terms."""

    GAUGE = "gauge"
    COUNTER = "counter"  # monotonic, cumulative
    UPDOWNCOUNTER = "updowncounter"  # additive, may fall
    HISTOGRAM = "histogram"  # explicit bounds, cumulative


class Stability(StrEnum):
    """How far a name can be relied on."""

    CONVENTION = "convention"  # the semantic conventions' own name, at the version the catalogue pins
    PROVISIONAL = "provisional"  # ours, until a convention exists
    VERBATIM = "verbatim"  # an engine's own, passed on as it is


class Aggregation(StrEnum):
    """What may be done across the series of one name."""

    SUM = "sum"
    AVERAGE = "average"
    MAX = "max"
    JOIN = "join"  # an info series: join on it, never add it up


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute key. `values` closes the set where it is closed."""

    key: str
    description: str
    values: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The Prometheus label name: dots become underscores."""
        return self.key.replace(".", "_")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Metric:
    """One entry of the catalogue, or of a family that is passed on. Compared by identity: it is defined once (law 10).

    `attributes` is the order in which a point carries its attribute values.
    """

    name: str
    unit: str
    instrument: Instrument
    attributes: tuple[Attribute, ...]
    stability: Stability
    aggregation: Aggregation
    description: str
    prometheus: str
    keys: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(a.key for a in self.attributes))

    def __repr__(self) -> str:
        return f"<Metric {self.name}>"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a source reads a metric from: a row of the reference page.

    Args:
        metric: the catalogue name.
        call: the API call, field id or scraped family, as its own documentation spells it.
        source: `nvml`, `vllm`, `podresources`, ... or `join`/`accounting`/`agent` for what is computed here.
        attributes: the attribute values this call fills, e.g. `hw.gpu.task=encoder`.
        architecture: the first GPU architecture (or engine version) that has it; empty means all.
        mig: `gpu` (whole GPU only), `instance`, `both`, `not while MIG is on`, or empty where the question has no meaning.
    """

    metric: str
    call: str
    source: str
    attributes: Mapping[str, str] = field(default_factory=no_words)
    architecture: str = ""
    mig: str = ""
