# SPDX-License-Identifier: Apache-2.0
"""The limits on what engines name: models and reasons that come beyond them are one, `other`, whose counters never fall.

First come stay. A value has series of its own, or has none, until it has been gone from the node for the linger: so no count
ever moves from one series to another.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, departed, keep_departed
from inferometer.accounting.sums import Adding, Sums
from inferometer.model import EngineReport, Frame, Frames

Name = tuple[str, str]  # the key of an attribute, and a value


class Place(NamedTuple):
    """Whether a value has series of its own; `ended` is monotonic seconds: since when no engine names it."""

    own: bool
    ended: float | None = None


class Page(NamedTuple):
    """An engine's newest page: what it says, when it was read (Unix seconds), and what becomes of it.

    `whole` says that all of its series were believed. `ended` is monotonic seconds: since when there is none.
    """

    at: float
    report: EngineReport | None
    told: EngineReport | None
    whole: bool
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The values that engines name, their newest pages, by instance, and the sums of what has no series of its own.

    `named` is what each page names: while that is the same, so are the places, as long as nobody of them has gone.
    """

    places: Mapping[Name, Place] = field(default_factory=lambda: MappingProxyType({}))
    named: tuple[tuple[Name, ...], ...] | None = None
    pages: Mapping[str, Page] = field(default_factory=lambda: MappingProxyType({}))
    sums: Sums = field(default_factory=Sums)


def cap(state: State, frames: Frames, rules: Rules) -> tuple[State, Frames, int]:
    """Fold what each page says of values beyond the limits; give also how much the limit on what ended made us forget."""
    reports = [(i, frame, frame.value) for i, frame in enumerate(frames.good) if isinstance(frame.value, EngineReport)]
    named = tuple([report.named for _, _, report in reports])
    places, excess = state.places, 0
    if named != state.named:
        places, excess = _admit(places, _in_turn(named), rules, frames.steady)
    others = frozenset(name for name, place in places.items() if not place.own)
    adding = Adding(state.sums)
    pages: dict[str, Page] = {}
    good = list(frames.good)
    for i, frame, report in reports:
        page = state.pages.get(frame.instance)
        if page is None or page.told is None or page.report is not report:
            page = Page(frame.at, report, _fold(report, frame, page, others, adding), not report.dropped)
        pages[frame.instance] = page
        if page.told is not report:
            good[i] = replace(frame, value=page.told)
    added, forgotten = adding.ended(pages, frames.steady, rules)
    emptied = {name: page._replace(report=None, told=None) for name, page in state.pages.items() if name not in pages}
    kept, unseen = keep_departed(emptied, pages, frames.steady, rules)
    is_everybody_there = all(place.ended is None for place in places.values())
    after = State(places, named if is_everybody_there else None, {**pages, **kept}, added)
    if all(page.told is page.report for page in pages.values()):
        return after, frames, excess + forgotten + unseen
    return after, replace(frames, good=tuple(good)), excess + forgotten + unseen


def _in_turn(pages: Iterable[Iterable[Name]]) -> dict[Name, None]:
    """Give the values that pages name, each once: the first of each engine, then the second, so that none comes before all.

    Of engines that are first seen together, as at the agent's start, one with many models does not leave the others without.
    """
    turns: list[tuple[int, Name]] = []
    for named in pages:
        count: Counter[str] = Counter()
        for name in named:
            if name[1] != catalog.OTHER:
                turns.append((count[name[0]], name))
                count[name[0]] += 1
    turns.sort(key=itemgetter(0))
    return dict.fromkeys(name for _, name in turns)


def _admit(
    before: Mapping[Name, Place], named: Iterable[Name], rules: Rules, steady: float
) -> tuple[dict[Name, Place], int]:
    """Give each value its place: one that is new has series of its own while there is room for its kind."""
    places = {name: before.get(name) for name in named}
    gone = dict(departed(before, places, steady))
    mine = {name: place for name, place in gone.items() if place.own and steady - (place.ended or 0.0) <= rules.linger}
    others, excess = keep_departed({name: place for name, place in gone.items() if not place.own}, (), steady, rules)
    taken = Counter(key for key, _ in mine)
    taken.update(key for (key, _), place in places.items() if place and place.own)
    now: dict[Name, Place] = {}
    for name, place in places.items():
        key = name[0]
        own = place.own if place else taken[key] < _most(key, rules)
        taken[key] += own and place is None
        now[name] = Place(own)
    return {**now, **mine, **others}, excess


def _most(key: str, rules: Rules) -> int:
    return rules.max_models if catalog.OPEN[key] == "models" else rules.max_reasons


def _fold(
    report: EngineReport, frame: Frame[object], page: Page | None, others: frozenset[Name], adding: Adding
) -> EngineReport:
    """Give what a page says with its values beyond the limits made one, those of `others`; the report itself where it has none."""
    beyond = others.intersection(report.named) if others else others
    if not beyond and not adding.knows(frame.instance):
        return report
    since = page.at if page is not None else None
    told = adding.add(frame.instance, report.readings, beyond, frame.at, since, whole=page is not None and page.whole)
    folded = Counter(report.folded) + Counter(catalog.OPEN[key] for key, _ in beyond)
    if told.left_out:
        folded["unfoldable"] = told.left_out
    models = dict.fromkeys(catalog.OTHER if (catalog.MODEL.key, model) in beyond else model for model in report.models)
    return replace(report, models=tuple(models), readings=told.readings, folded=MappingProxyType(folded))
