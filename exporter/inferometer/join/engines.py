# SPDX-License-Identifier: Apache-2.0
"""Engines on the points, with the identity of the pod that serves them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

from inferometer import catalog
from inferometer.join.balances import find_balances
from inferometer.join.blindness import put_blindness
from inferometer.join.context import Context
from inferometer.join.draft import Draft
from inferometer.join.laid import Said
from inferometer.join.layout import VALUE
from inferometer.join.pods import Pods
from inferometer.join.serving import Served, engine_attributes, engine_resource, find_served, put_served, whose
from inferometer.join.shapes import cost, find_shape, first_tokens
from inferometer.join.sheet import Sheet
from inferometer.join.starting import Told, find_starting
from inferometer.join.valid import good
from inferometer.model import (
    Balance,
    Engine,
    EngineReport,
    Exemplar,
    Frames,
    Metric,
    Start,
    Target,
    count_series,
)


class Engines(NamedTuple):
    """What there is of engines besides points.

    `doubts` are the series of their pages that were not believed, or not told apart, as `Snapshot.drops`; `left_out` counts
    the series that were left out for the limit's sake.
    """

    engines: tuple[Engine, ...]
    balances: tuple[Balance, ...]
    starting: tuple[Start, ...] | None
    doubts: tuple[tuple[str, int, int], ...]
    left_out: int
    exemplars: Mapping[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]]


# What is dropped of pages by limits is counted from the start.
_LIMITS = (*dict.fromkeys(catalog.OPEN.values()), "unfoldable", *catalog.WITHHELD)


def put_engines(draft: Draft, frames: Frames, pods: Pods, context: Context) -> Engines:
    """Put what the engines say."""
    balances: list[Balance] = []
    doubts = [(limit, 0, 0) for limit in _LIMITS]
    left_out = 0
    taken = draft.series
    served: list[Served] = []
    reports: dict[str, Told] = {}
    read: list[Said] = []
    passed: list[Said] = []  # last: the limit is first for what is read
    exemplars: dict[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]] = {}
    for frame in good(frames, "engine", EngineReport):
        report = cast("EngineReport", frame.value)
        each = find_served(report, pods, context, draft.common, draft.recall)
        shape = find_shape(report, each, draft.recall)
        number = cost(report.readings, shape)
        if taken + number > context.max_series:
            left_out += number
            continue
        doubts += [(f"page_{doubt}", frame.sequence, number) for doubt, number in report.dropped.items()]
        doubts += [
            (limit, frame.sequence, number) for limit, number in (*report.folded.items(), *report.withheld.items())
        ]

        instance = report.target.instance
        served.append(each)
        taken += number + each.series
        read.append(Said(each.named, report.readings, frame.at, each.resource))
        if report.passed:
            passed.append(Said(each.named, report.passed, frame.at, each.resource))
        for (metric, added), several in report.exemplars.items():
            get = {**each.named[instance], **dict(added)}.get
            exemplars.setdefault((metric, tuple([get(key) or None for key in metric.keys])), several)
        reports[instance] = Told(each, first_tokens(report.readings, shape), frame.at)
        balances += find_balances(report, shape, frame.at, each.resource)
    # Apart by how often they are scraped: what is said together is said again until all of it was read since the last tick.
    apart: dict[float, tuple[list[Served], list[float]]] = {}
    for each, said in zip(served, read, strict=True):
        alike, ats = apart.setdefault(each.engine.target.period, ([], []))
        alike.append(each)
        ats.append(said.at)
    for period, (alike, ats) in apart.items():
        draft.say(("engines", period), partial(_put_served, ats=ats), tuple(alike))
    if read:
        draft.put_readings("engines read", read)
    left_out += sum(_put_passed(draft, said, context.max_series) for said in passed)
    if unread := _unread(frames):
        moments = [at for *_, at in unread]
        answers = tuple([(target, answer) for target, answer, _ in unread])
        draft.say("unread", partial(_put_unread, ats=moments, context=context), answers, pods)
    starting = find_starting(frames, pods, reports, context.node, draft.common, draft.recall)
    engines = tuple([each.engine for each in served])
    return Engines(engines, tuple(balances), starting, tuple(doubts), left_out, exemplars)


def _put_served(sheet: Sheet, served: Sequence[Served], ats: Sequence[float]) -> None:
    for each, at in zip(served, ats, strict=True):
        put_served(sheet, each, at)


def _put_passed(draft: Draft, said: Said, most: int) -> int:
    """Put what an engine is passed on where all of it has room; give how many series were left out."""
    number = count_series(list(map(VALUE, said.readings)))
    if draft.series + number > most:
        return number
    draft.put_readings(("passed", *said.named), [said])
    return 0


def _unread(frames: Frames) -> list[tuple[Target, str, float]]:
    """Give the engines that answer, but not with a page that can be read, with what they answer and when."""
    read = {frame.instance for frame in frames.good if frame.source == "engine"}
    found = []
    for outcome in frames.outcomes:
        if outcome.trouble is None or not outcome.trouble.answer or outcome.source != "engine":
            continue
        target = frames.targets.get(outcome.instance)
        if target is not None and outcome.instance not in read:
            found.append((target, outcome.trouble.answer, outcome.at))
    return found


def _put_unread(
    sheet: Sheet, unread: Sequence[tuple[Target, str]], pods: Pods, ats: Sequence[float], context: Context
) -> None:
    """Put their blindness."""
    for (target, answer), at in zip(unread, ats, strict=True):
        report = EngineReport(target, target.engine or "unknown", "", "unknown", "", (), ())
        pod, owner = whose(target, pods)
        resource = engine_resource(report, owner, pod, context)
        put_blindness(sheet, engine_attributes(report, owner), answer, at, resource)
