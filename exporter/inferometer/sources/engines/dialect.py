# SPDX-License-Identifier: Apache-2.0
"""What an engine's dialect is: how its page is recognised, and which of its families mean which metric. Data only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from inferometer.model import Instrument, Metric


class Kind(StrEnum):
    """What emits a page."""

    ENGINE = "engine"  # runs the model; its series may be mapped
    ROUTER = "router"  # speaks for engines that have pages of their own: mapping it would count everything twice
    UNKNOWN = "unknown"


class Sign(NamedTuple):
    """Evidence on a page: a series whose name starts so, with all of these labels and none of those.

    A name alone proves little: routers re-export the names of the engines behind them.
    """

    prefix: str
    labels: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


def sign(prefix: str, *labels: str, without: Iterable[str] = ()) -> Sign:
    """Write a sign."""
    return Sign(prefix, frozenset(labels), frozenset(without))


class Role(StrEnum):
    """What a sample is to its family."""

    VALUE = "value"
    BUCKET = "bucket"
    COUNT = "count"
    SUM = "sum"
    CREATED = "created"


@dataclass(frozen=True, slots=True)
class Family:
    """One thing an engine says, and the metric that it is.

    Args:
        names: the family's names without the dialect's prefix, newest first; where a page has several, the first counts.
        metric: what it means. Its instrument is the type that the page must declare, if it declares one.
        fixed: attributes that the name itself says, e.g. the direction of the tokens.
        labels: this family's own labels, label name to attribute key.
        since: families (without prefix) whose presence tells that the engine is new enough to have this one; empty: all
            versions have it.
        versions: the same for people.
    """

    names: tuple[str, ...]
    metric: Metric
    fixed: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    since: tuple[str, ...] = ()
    versions: str = ""


class Place(NamedTuple):
    """Where a sample belongs: the index of its family, the index of the name it goes by (0 is best), its role."""

    family: int
    rank: int
    role: Role


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One engine or router, as its page shows it.

    Args:
        name: one of the names that `check engine` answers with.
        kind: engine or router.
        signs: any one of them is enough.
        model_label: the label that names a model.
        hosts: this page may re-export what another engine says, which then is the backend.
        backend: what runs behind the page when no other engine shows; empty: the page does not tell.
        version: (sample prefix, label) that tells the version of what emits the page.
        prefixes: what precedes the names of `families`.
        families: what is mapped.
        labels: labels that every mapped family may carry, label name to attribute key.
        required: labels without which a series is not this engine's own.
        foreign: labels with which a series is somebody else's.
        port: the port it listens on unless told otherwise.
        path: the path of its page.
    """

    name: str
    signs: tuple[Sign, ...]
    kind: Kind = Kind.ENGINE
    model_label: str = "model_name"
    hosts: bool = False
    backend: str = ""
    version: tuple[str, str] | None = None
    prefixes: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    required: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    port: int = 8000
    path: str = "/metrics"
    places: Mapping[str, Place] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", _places(self.prefixes, self.families))


def bases(name: str, instrument: Instrument) -> tuple[str, str]:
    """Give the family name that text pages declare, and the one that OpenMetrics does (a counter's lacks `_total`)."""
    return name, name.removesuffix("_total") if instrument is Instrument.COUNTER else name


def _places(prefixes: tuple[str, ...], families: tuple[Family, ...]) -> dict[str, Place]:
    """Work out every sample name that counts. Prefixes are ranked after names."""
    places: dict[str, Place] = {}
    for index, family in enumerate(families):
        names = [prefix + name for name in family.names for prefix in prefixes]
        for rank, name in enumerate(names):
            samples = {name: Role.VALUE}
            if family.metric.instrument is Instrument.HISTOGRAM:
                samples = {name + "_bucket": Role.BUCKET, name + "_count": Role.COUNT, name + "_sum": Role.SUM}
            samples[bases(name, family.metric.instrument)[1] + "_created"] = Role.CREATED
            places |= {sample: Place(index, rank, role) for sample, role in samples.items()}
    return places
