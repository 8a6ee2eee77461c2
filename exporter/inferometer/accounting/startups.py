# SPDX-License-Identifier: Apache-2.0
"""How long engines took from being scheduled to their first token: absent beats wrong.

A phase is told where both of its ends are known. That the pod became ready for the first time, and that the first token was
the first, only who saw it before can tell: an agent that starts later claims neither. A container that was restarted has no
times any more.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.accounting.said import Saying
from inferometer.model import Histogram, Point, Snapshot, Start

BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)  # seconds
_START, _LOAD, _FIRST_TOKEN = catalog.STARTUP_PHASE.values
_ZERO = Histogram(BOUNDS, (0,) * (len(BOUNDS) + 1), 0.0)
_DURATION_PHASE = catalog.STARTUP_DURATION.keys.index(catalog.STARTUP_PHASE.key)
_LATEST_PHASE = catalog.STARTUP_LATEST.keys.index(catalog.STARTUP_PHASE.key)

_PAGE = Start._fields.index("first")  # what comes before it is of the pod and its container

_Attributes = tuple[str | None, ...]
_Phases = Mapping[str, float]


class Startup(NamedTuple):
    """One engine: its phases in seconds, and those that its model's histogram has.

    `seen` says that it was seen before its pod was ready, `silent` that its page was seen before the first token, `over` that
    its container was restarted: nothing more is told of its start.
    """

    start: Start
    phases: _Phases = MappingProxyType({})
    entered: frozenset[str] = frozenset()
    seen: bool = False
    silent: bool = False
    over: bool = False


class Series(NamedTuple):
    """One series of the histogram. `start` and `at` are Unix seconds; `ended` is monotonic seconds, as everywhere."""

    value: Histogram
    start: float
    at: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The engines that are there, and the histograms of their models."""

    engines: Mapping[tuple[str, str], Startup] = field(default_factory=lambda: MappingProxyType({}))
    series: Mapping[_Attributes, Series] = field(default_factory=lambda: MappingProxyType({}))


def follow(state: State, snapshot: Snapshot, rules: Rules) -> tuple[State, int]:
    """Go on with one snapshot; give also how many series of models that are gone the limit dropped.

    A histogram is there, at 0, one snapshot before its first value. While pods cannot be read nothing changes.
    """
    if snapshot.starting is None:
        return state, 0
    engines: dict[tuple[str, str], Startup] = {}
    series: dict[_Attributes, Series] = {}
    models: set[_Attributes] = set()
    for start in snapshot.starting:
        startup = _next(state.engines.get(start.engine), start)
        has_news = startup.seen and not startup.phases.keys() <= startup.entered
        if start.model is not None and (has_news or start.model not in models):
            models.add(start.model)
            startup = _enter(startup, start.model, state.series, series, snapshot.at)
        engines[start.engine] = startup
    staying, excess = keep_departed(state.series, series, snapshot.steady, rules)
    return State(engines, {**series, **staying}), excess


def say(saying: Saying, state: State, snapshot: Snapshot) -> None:
    """Say the histograms, and the phases of each engine that has a page."""
    # While a model is there its histogram is said at any time, after that as it was when it was last.
    told = [(key, each.value, each.start, each.ended) for key, each in state.series.items()]
    saying.say(
        "startup histograms",
        (told, snapshot.node),
        lambda: [
            Point(catalog.STARTUP_DURATION, key, each.value, each.at, each.start, snapshot.node)
            for key, each in state.series.items()
        ],
    )
    latest = [
        Point(catalog.STARTUP_LATEST, _with(latest, _LATEST_PHASE, phase), seconds, start.at, None, start.resource)
        for start, phases, _, _, _, over in state.engines.values()
        if phases and not over and (latest := start.latest) is not None
        for phase, seconds in phases.items()
    ]
    saying.say("startups", (latest,), lambda: latest)


def _next(known: Startup | None, start: Start) -> Startup:
    if known is None:
        known = Startup(start)
    elif start.first and known.start.first and start[:_PAGE] == known.start[:_PAGE]:
        return Startup(start, *known[1:])  # as nearly always: a page more, of an engine that has long been there
    if known.over or (known.start.started and start.started != known.start.started):
        return known._replace(start=start, over=True)
    # A pod that was ready once, and is not now, has not been unready since before its container started.
    first_time = not start.ready and (not start.started or 0 < start.unready <= start.started)
    seen = known.seen or first_time
    phases = dict(known.phases)
    if start.started and 0 < start.scheduled <= start.started:
        phases[_START] = start.started - start.scheduled
    if seen and start.started and _LOAD not in phases and start.ready >= start.started:
        phases[_LOAD] = start.ready - start.started
    silent = known.silent or start.first == 0
    if silent and start.first and not known.start.first and _FIRST_TOKEN not in phases and _LOAD in phases:
        ready = start.started + phases[_LOAD]
        if start.at >= ready:
            phases[_FIRST_TOKEN] = start.at - ready
    return Startup(start, phases, known.entered, seen, silent)


def _enter(
    startup: Startup,
    model: _Attributes,
    before: Mapping[_Attributes, Series],
    now: dict[_Attributes, Series],
    at: float,
) -> Startup:
    """Enter an engine's new phases in the histograms of its model; of one that was not seen to start, none."""
    entered = set(startup.entered)
    for phase in catalog.STARTUP_PHASE.values:
        key = _with(model, _DURATION_PHASE, phase)
        known = now.get(key) or before.get(key)
        if known is None:
            now[key] = Series(_ZERO, at, at)
            continue
        value = known.value
        if startup.seen and phase in startup.phases and phase not in entered:
            value = _observe(value, startup.phases[phase])
            entered.add(phase)
        now[key] = Series(value, known.start, at)
    return startup._replace(entered=frozenset(entered))


def _observe(histogram: Histogram, seconds: float) -> Histogram:
    counts = list(histogram.counts)
    counts[bisect_left(histogram.bounds, seconds)] += 1
    return Histogram(histogram.bounds, tuple(counts), histogram.sum + seconds)


def _with(attributes: _Attributes, place: int, phase: str) -> _Attributes:
    return (*attributes[:place], phase, *attributes[place + 1 :])
