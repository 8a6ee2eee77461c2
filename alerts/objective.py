# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # _key is a dataclass field specifier, not a shared default value
"""Service level objectives on a latency: `slo.yaml` becomes checked values, or every error that it holds."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from alerts import bounds
from inferometer import catalog
from inferometer.config import ConfigError, Problem, Seconds
from inferometer.config.document import Document, Path, read_file
from inferometer.config.keys import dotted
from inferometer.config.loader import build_as
from inferometer.config.quantities import UnfitError, parse_seconds
from inferometer.model import Instrument, Metric


def _key(default: Any, text: str, **facts: Any) -> Any:
    """Declare a key of the file, as the agent's configuration does."""
    metadata = {"text": text, **facts}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Objective:
    """So many of the requests are to be quicker than a threshold, over a window."""

    name: str = _key(
        "",
        "Name, the label `slo` of everything that it makes.",
        required=True,
        pattern="[a-z][a-z0-9-]{0,62}",
        form="lower-case letters, digits and hyphens, a letter first",
    )
    description: str = _key("", "What it promises, for the person who is woken.", required=True)
    metric: str = _key(catalog.TIME_TO_FIRST_TOKEN.name, "A histogram of the catalogue, in seconds.")
    threshold: Seconds = _key(Seconds(0), "What a good request stays within.", required=True, minimum=0.001)
    objective: str = _key(
        "99%",
        "Share of good requests.",
        required=True,
        pattern=r"[0-9]{1,2}(\.[0-9]{1,4})?%",
        form="a percentage below 100, such as 99% or 99.5%",
    )
    window: Literal["30d", "28d"] = _key("30d", "Time that the share is promised over.")
    match: Mapping[str, str] = _key({}, "Attributes that select the requests, with a regular expression for each.")
    by: tuple[str, ...] = _key(
        (catalog.NAMESPACE.key, catalog.MODEL.key), "Attributes with an error budget for each of their values."
    )
    engine: str = _key("", "The engine whose bucket bounds the threshold must be among.")
    bounds: tuple[str, ...] = _key((), "Its bounds, where it was started with others than its own.")
    min_requests: int = _key(50, "Fewer requests than this in the long window raise no alert.", minimum=1)

    @property
    def entry(self) -> Metric:
        """The metric's entry in the catalogue."""
        return catalog.BY_NAME[self.metric]

    @property
    def budget(self) -> Decimal:
        """The share of requests that may be slow."""
        return 1 - Decimal(self.objective.removesuffix("%")) / 100

    @property
    def hours(self) -> int:
        """Length of the window."""
        return int(self.window.removesuffix("d")) * 24

    @property
    def selector(self) -> Mapping[str, str]:
        """The regular expressions by Prometheus label."""
        return {key.replace(".", "_"): pattern for key, pattern in self.match.items()}

    @property
    def kept(self) -> tuple[str, ...]:
        """The Prometheus labels of `by`."""
        return tuple(key.replace(".", "_") for key in self.by)


@dataclass(frozen=True, slots=True)
class Objectives:
    """The whole file."""

    slos: tuple[Objective, ...] = _key((), "The objectives.", required=True)


def load(path: str, *, page: str | None = None) -> tuple[Objective, ...]:
    """Read and check a file of objectives.

    Args:
        path: of the file.
        page: an agent's /metrics page; the thresholds are then held against the bounds that are really there.

    Raises:
        ConfigError: everything that is wrong, each with file, line and key.
    """
    document = read_file(path)
    objectives = build_as(Objectives, document).slos if not document.problems else ()
    if not document.problems:  # what did not fit has been replaced by a default, which is not to be blamed
        for index, objective in enumerate(objectives):
            at: Path = ("slos", index)
            for key, message in _faults(objective, objectives[:index], page):
                document.problems.append(_problem(document, (*at, *key), message))
    if document.problems:
        raise ConfigError(document.problems)
    return objectives


def _problem(document: Document, path: Path, message: str) -> Problem:
    return Problem(document.place(path), dotted(path), message)


def _faults(objective: Objective, others: tuple[Objective, ...], page: str | None) -> Iterator[tuple[Path, str]]:
    """Find what cannot be right in one objective: (key, sentence) for each."""
    if any(objective.name == other.name for other in others):
        yield ("name",), f"{objective.name} stands twice"
    if "{{" in objective.description:
        yield ("description",), "holds {{, with which a template of Prometheus begins; write it in words"
    if objective.budget == 1:
        yield ("objective",), "promises nothing: it must be above 0%"
    metric = catalog.BY_NAME.get(objective.metric)
    if metric is None:
        yield ("metric",), f"no metric is named {objective.metric}; {_nearest(objective.metric, _latencies())}"
    elif metric.name not in _latencies():
        yield ("metric",), f"{metric.name} is no histogram of seconds; those are {', '.join(_latencies())}"
    else:
        yield from _unknown_keys(objective, metric)
        yield from _unmeasurable(objective, metric, page)


def _latencies() -> list[str]:
    return [m.name for m in catalog.METRICS if m.instrument is Instrument.HISTOGRAM and m.unit == "s"]


def _unknown_keys(objective: Objective, metric: Metric) -> Iterator[tuple[Path, str]]:
    """Hold the attributes of `match` and `by` against the metric's."""
    for key, pattern in objective.match.items():
        if key not in metric.keys:
            yield ("match", key), f"{metric.name} has no attribute {key}; {_nearest(key, metric.keys)}"
        try:
            re.compile(pattern)
        except re.error as error:
            yield ("match", key), f"is no regular expression: {error}"
        else:
            if found := _NOT_RE2.search(pattern):
                yield (
                    ("match", key),
                    f"has {found[0]}, which Prometheus does not know: its regular expressions are RE2's",
                )
    for index, key in enumerate(objective.by):
        if key not in metric.keys:
            yield ("by", index), f"{metric.name} has no attribute {key}; {_nearest(key, metric.keys)}"


def _unmeasurable(objective: Objective, metric: Metric, page: str | None) -> Iterator[tuple[Path, str]]:
    """Hold the threshold against the bounds: those of a page, else those in the file, else the engine's own."""
    engine, threshold = objective.engine, float(objective.threshold)
    if engine and engine not in bounds.DEFAULTS:
        yield ("engine",), f"the bounds of {engine} are not known; {_nearest(engine, list(bounds.DEFAULTS))}"
        return
    try:
        told = tuple(sorted(float(parse_seconds(bound)) for bound in objective.bounds))
    except UnfitError as error:
        yield ("bounds",), f"each {error}"
        return
    known = bounds.DEFAULTS.get(engine, {}).get(metric)
    if page is not None:
        found = list(bounds.read_page(page, metric, objective.selector))
        if not found:
            yield ("match",), f"the page has no {metric.prometheus}_bucket that this selects; is it an agent's page?"
        candidates = [(theirs, whose) for whose, theirs in found]
    elif told:
        candidates = [(told, "the bounds given")]
    elif known is not None:
        candidates = [(known.bounds, f"{engine}'s own")]
    else:
        what = f"{engine} has no known bounds for {metric.name}" if engine else "the engine's bounds are not known"
        yield ("threshold",), f"cannot be checked, for {what}; give {'' if engine else 'engine or '}bounds"
        return
    for theirs, whose in candidates:
        refusal = bounds.refuse(threshold, theirs, whose, engine=engine, metric=metric)
        if refusal:
            yield ("threshold",), refusal


# What Python's regular expressions have and RE2's have not: looking around, conditions, atoms, references back.
_NOT_RE2 = re.compile(r"\(\?(?:<?[=!]|P=|\(|>|#)|(?<!\\)(?:\\\\)*\\[1-9]|[*+?}]\+")


def _nearest(name: str, valid: "list[str] | tuple[str, ...]") -> str:
    near = difflib.get_close_matches(name, valid, 1, 0.0)
    return f"the nearest is {near[0]}" if near else "there is none"
