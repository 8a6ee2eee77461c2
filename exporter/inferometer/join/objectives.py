# SPDX-License-Identifier: Apache-2.0
"""Objectives held against the bounds that engines really have: between two bounds a histogram tells nothing (law 7)."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.config import Objective
from inferometer.join.sheet import Sheet
from inferometer.model import EngineReport, Histogram, Metric, Resource

MEASURED_BY: Mapping[str, Metric] = MappingProxyType(
    {
        "ttft": catalog.TIME_TO_FIRST_TOKEN,
        "tpot": catalog.TIME_PER_OUTPUT_TOKEN,
        "itl": catalog.INTER_TOKEN_LATENCY,
        "e2e": catalog.REQUEST_DURATION,
    }
)
EXACT, BETWEEN, BEYOND, UNMEASURED = catalog.SLO_STATE.values
_LOWER, _UPPER = catalog.SLO_SIDE.values
_ROUNDING = 1e-9  # of a threshold: far more than arithmetic adds to a bound, far less than anybody means


class Place(NamedTuple):
    """Where a threshold lies among bounds: the next ones that are not above and not below it, in seconds."""

    lower: float | None
    upper: float | None

    @property
    def state(self) -> str:
        """One of `inference.slo.state`."""
        if self.lower is None or self.upper is None:
            return BEYOND
        return EXACT if self.lower == self.upper else BETWEEN


def place(threshold: float, bounds: Sequence[float]) -> Place:
    """Find a threshold among ascending finite bounds, all in seconds.

    A bound that an engine has computed, such as 0.30000000000000004, is the one that it is meant to be.
    """
    near = abs(threshold) * _ROUNDING
    at = bisect_left(bounds, threshold - near)
    upper = bounds[at] if at < len(bounds) else None
    if upper is not None and upper <= threshold + near:
        return Place(upper, upper)
    return Place(bounds[at - 1] if at else None, upper)


class Measured(NamedTuple):
    """An objective on one histogram of an engine; `attributes` are those that the engine's page adds.

    `place` is None where the page has no such histogram of the model, or, where it names none, of any.
    """

    objective: Objective
    attributes: tuple[tuple[str, str], ...]
    place: Place | None

    @property
    def state(self) -> str:
        """One of `inference.slo.state`."""
        return self.place.state if self.place else UNMEASURED


def measure(objectives: Sequence[Objective], report: EngineReport, namespace: str) -> Iterator[Measured]:
    """Hold the objectives that are for an engine against its histograms, each once; routers have none."""
    if report.kind != "engine":
        return
    mine = [each for each in objectives if fnmatchcase(namespace, each.namespace)]
    if not mine:
        return
    told: set[tuple[Metric, str]] = set()
    for reading in report.readings:
        if not isinstance(reading.value, Histogram):
            continue
        model = next((value for key, value in reading.attributes if key == catalog.MODEL.key), "")
        told.add((reading.metric, model))
        for objective in mine:
            if reading.metric is MEASURED_BY[objective.metric] and fnmatchcase(model, objective.model):
                yield Measured(objective, reading.attributes, place(objective.threshold, reading.value.bounds))
    yield from _unmeasured(mine, report.models, told)


def _unmeasured(
    objectives: Sequence[Objective], models: Sequence[str], told: Collection[tuple[Metric, str]]
) -> Iterator[Measured]:
    """Give the objectives that are for a model, or an engine that names none, of which the page has no histogram."""
    for objective in objectives:
        metric = MEASURED_BY[objective.metric]
        if (metric, "") in told:  # of all of its models
            continue
        for model in models or ("",):
            if (metric, model) not in told and fnmatchcase(model, objective.model):
                yield Measured(objective, ((catalog.MODEL.key, model),) if model else (), None)


def put_objectives(
    sheet: Sheet, measured: Sequence[Measured], named: Mapping[str, str | None], at: float, resource: Resource
) -> None:
    """Put thresholds and the bounds next to them; `named` has the engine's attributes."""
    for each in measured:
        objective, where = each.objective, each.place
        told = {
            **named,
            **dict(each.attributes),
            catalog.SLO_NAME.key: objective.name,
            catalog.SLO_METRIC.key: objective.metric,
            catalog.SLO_STATE.key: each.state,
        }
        sheet.put(catalog.SLO_THRESHOLD, told, float(objective.threshold), at=at, resource=resource)
        for side, bound in ((_LOWER, where.lower), (_UPPER, where.upper)) if where else ():
            if bound is not None:
                sheet.put(catalog.SLO_BOUND, {**told, catalog.SLO_SIDE.key: side}, bound, at=at, resource=resource)


def complain(measured: Measured) -> str:
    """Say in one sentence why a threshold cannot be measured; empty where it can."""
    objective, attributes, where = measured
    model = dict(attributes).get(catalog.MODEL.key, "")
    whose = MEASURED_BY[objective.metric].name + (f" of {model}" if model else "")
    told = f"objective {objective.name}: {_seconds(objective.threshold)}"
    if where is None:
        return f"{told} cannot be told, the page has no {whose}"
    if where.lower is None and where.upper is None:
        return f"{told} cannot be told, {whose} has no finite bound"
    if where.lower is None:
        return f"{told} lies below {_seconds(where.upper)}, the lowest bound of {whose}"
    if where.upper is None:
        return f"{told} lies above {_seconds(where.lower)}, the highest bound of {whose}"
    if where.state == EXACT:
        return ""
    return f"{told} lies between the bounds {_seconds(where.lower)} and {_seconds(where.upper)} of {whose}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{float(value):.12g} s"
