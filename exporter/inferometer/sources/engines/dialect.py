# SPDX-License-Identifier: Apache-2.0
"""What an engine's dialect is: how its page is recognised, and which of its families mean which metric. Data only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from inferometer.sources.engines.family import Family, Label, Place, samples_of


class Kind(StrEnum):
    """What emits a page."""

    ENGINE = "engine"  # runs the model
    ROUTER = "router"  # speaks for engines that have pages of their own, so that adding it to them would count twice
    UNKNOWN = "unknown"


class Timing(StrEnum):
    """When an engine counts tokens."""

    STEP = "step"
    COMPLETION = "completion"
    UNTOLD = ""


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


class Fact(NamedTuple):
    """Something that a label of an info series tells of the engine: sample name, label, attribute of the engine's info."""

    sample: str
    label: str
    attribute: str


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One engine or router, as its page shows it.

    Args:
        name: one of the names that `check engine` answers with.
        kind: engine or router.
        signs: any one of them is enough.
        model_label: the label that names a model.
        hosts: this page may re-export what another engine says, which then is the backend.
        narrow: of such a page, only the models that the backend names are one request each; others are steps of it.
        backend: what runs behind the page when no other engine shows; empty: the page does not tell.
        version: (sample prefix, label) that tells the version of what emits the page.
        facts: what else the page tells of the engine.
        timing: when it counts tokens.
        balanced: each request that had its first token is running, waiting, finished or gone: who is in none of the
            first three hung up.
        unbalanced: families (without prefix) on whose pages that is not so: requests are elsewhere too.
        prefixes: what precedes the names of `families` and `known`.
        families: what is mapped.
        known: families that are known and have no metric of ours; `*` at the end stands for the rest of a name.
        labels: labels that every mapped family may carry.
        required: labels without which a series is not this engine's own.
        foreign: labels with which a series is somebody else's.
        partial: the page has some of the families and need not have any.
        port: the port it listens on unless told otherwise.
        path: the path of its page.
        images: the last parts of its images' names, as `fnmatch` patterns for each part; a mirror's images end alike.
        statistics: what makes the engine show its statistics, where something can hide them.
        other_ports: ports that it listens on in deployments that are well known, the likeliest first.
    """

    name: str
    signs: tuple[Sign, ...]
    kind: Kind = Kind.ENGINE
    model_label: str = "model_name"
    hosts: bool = False
    narrow: bool = False
    backend: str = ""
    version: tuple[str, str] | None = None
    facts: tuple[Fact, ...] = ()
    timing: Timing = Timing.UNTOLD
    balanced: bool = False
    unbalanced: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    known: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    required: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    partial: bool = False
    port: int = 8000
    path: str = "/metrics"
    images: tuple[str, ...] = ()
    statistics: str = ""
    other_ports: tuple[int, ...] = ()
    places: Mapping[str, tuple[Place, ...]] = field(init=False, repr=False)
    heard: tuple[frozenset[str], tuple[str, ...]] = field(init=False, repr=False)  # `known`: whole names, beginnings

    def __post_init__(self) -> None:
        whole = frozenset(name for name in self.known if not name.endswith("*"))
        object.__setattr__(self, "heard", (whole, tuple(name[:-1] for name in self.known if name.endswith("*"))))
        object.__setattr__(self, "places", _places(self.prefixes, self.families))

    def knows(self, name: str) -> bool:
        """Tell whether a family is one that is known and not mapped."""
        if is_anyones(name):
            return True
        exact, beginnings = self.heard
        rests = [name.removeprefix(prefix) for prefix in self.prefixes if name.startswith(prefix)]
        return any(rest in exact or rest.startswith(beginnings) for rest in rests)


def is_anyones(name: str) -> bool:
    """Tell whether a family is one that the Prometheus libraries write for any process or server."""
    return name.startswith(("python_", "process_", "go_", "promhttp_", "http_"))


def _places(prefixes: tuple[str, ...], families: tuple[Family, ...]) -> dict[str, tuple[Place, ...]]:
    """Work out every sample name that counts, and what it may be."""
    places: dict[str, list[Place]] = {}
    for index, family in enumerate(families):
        for rank, name in enumerate(family.called(prefixes)):
            for sample, role in samples_of(name, family).items():
                places.setdefault(sample, []).append(Place(index, rank, role))
    return {sample: tuple(each) for sample, each in places.items()}
