# SPDX-License-Identifier: Apache-2.0
"""What the devices are held for: the engines that are scraped, and what their pages said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.model.metrics import Metric, no_words
from inferometer.model.values import Exemplar, Reading


@dataclass(frozen=True, slots=True)
class Target:
    """An inference engine's endpoint to scrape. `instance` names it once on this node (`namespace/pod:port` or `host:port`)."""

    instance: str
    url: str
    engine: str = ""  # a dialect the operator insists on; empty: recognise it from the page
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""  # only when it is certain
    headers: Mapping[str, str] = field(default_factory=no_words, repr=False)  # may hold secrets
    credentials: str = ""  # name of the entry of engines.credentials
    period: float = 0.0  # seconds between scrapes; 0 is the agent's own
    deadline: float = 0.0  # seconds that a scrape may take; 0 is that of all engines
    found: str = ""  # how, for people: `image vllm/vllm-openai`


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What one scrape of one target said, normalised.

    `engine` names what emits the page, `backend` what runs behind it, `kind` is engine, router or unknown.
    Every reading's subject is `target.instance`.
    """

    target: Target
    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    readings: tuple[Reading, ...]
    unmapped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # series not believed, by doubt
    unknown: tuple[str, ...] = ()  # of the unmapped, families that no dialect of the page has ever heard of
    details: Mapping[str, str] = field(default_factory=no_words)  # attributes of the engine's info that the page tells
    balanced: bool = False  # who had a first token and is not running, waiting or finished hung up
    named: tuple[
        tuple[str, str], ...
    ] = ()  # what the page says of attributes that anybody can make values for, each once
    folded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # what limits cost, by limit
    passed: tuple[Reading, ...] = ()  # what the page says in its own words, where that is passed on
    withheld: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # what is not, by limit
    exemplars: Mapping[tuple[Metric, tuple[tuple[str, str], ...]], tuple[Exemplar, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )  # of readings, by what tells them apart on a page
