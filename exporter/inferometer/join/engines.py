# SPDX-License-Identifier: Apache-2.0
"""Engines on the points, with the identity of the pod that serves them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from inferometer import catalog
from inferometer.join.attributes import owner_attributes
from inferometer.join.balances import find_balances
from inferometer.join.blindness import blindness, put_blindness, put_drift
from inferometer.join.context import Context
from inferometer.join.draft import Draft
from inferometer.join.laid import Named
from inferometer.join.objectives import MEASURED_BY, Measured, complain, measure, put_objectives
from inferometer.join.pods import Pods
from inferometer.join.services import describe_service
from inferometer.join.starting import Told, find_starting
from inferometer.join.valid import good
from inferometer.model import (
    Balance,
    Engine,
    EngineReport,
    Exemplar,
    Frames,
    Metric,
    Owner,
    Pod,
    Reading,
    Resource,
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
    engines: list[Engine] = []
    balances: list[Balance] = []
    doubts = [(limit, 0, 0) for limit in _LIMITS]
    left_out = 0
    reports: dict[str, Told] = {}
    passed: list[tuple[Named, Sequence[Reading], float, Resource]] = []  # last: the limit is first for what is read
    exemplars: dict[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]] = {}
    for frame in good(frames, "engine", EngineReport):
        report = cast("EngineReport", frame.value)
        cost = count_series([reading.value for reading in report.readings])
        if draft.series + cost > context.max_series:
            left_out += cost
            continue
        doubts += [(f"page_{doubt}", frame.sequence, number) for doubt, number in report.dropped.items()]
        doubts += [
            (limit, frame.sequence, number) for limit, number in (*report.folded.items(), *report.withheld.items())
        ]

        target = report.target
        pod, owner = _whose(target, pods)
        resource = _engine_resource(report, owner, pod, context)
        attributes = _engine_attributes(report, owner)
        measured = tuple(measure(context.objectives, report, owner.namespace if owner else target.namespace))
        engines.append(_engine(report, owner, resource, measured))
        described = {
            **attributes,
            catalog.ENGINE_KIND.key: report.kind,
            catalog.ENGINE_BACKEND.key: report.backend,
            catalog.ENGINE_VERSION.key: report.version,
            catalog.MODEL.key: report.models[0] if len(report.models) == 1 else None,
            **report.details,
        }
        draft.put(catalog.ENGINE_INFO, described, 1.0, at=frame.at, resource=resource)
        if report.kind != "router":
            put_blindness(draft, attributes, blindness(report), frame.at, resource)
        put_drift(draft, report, attributes, frame.at, resource)
        named = {target.instance: {**attributes, **draft.common}}
        put_objectives(draft, measured, attributes, frame.at, resource)
        draft.put_readings(named, report.readings, frame.at, resource)
        if report.passed:
            passed.append((named, report.passed, frame.at, resource))
        for (metric, added), several in report.exemplars.items():
            get = {**named[target.instance], **dict(added)}.get
            exemplars.setdefault((metric, tuple([get(key) or None for key in metric.keys])), several)
        reports[target.instance] = Told(report, frame.at, attributes, resource)
        balances += find_balances(report, named[target.instance], frame.at, resource)
    left_out += sum(_put_passed(draft, *each, context.max_series) for each in passed)
    _put_unread(draft, frames, pods, context)
    starting = find_starting(frames, pods, reports, context.node, draft.common)
    return Engines(tuple(engines), tuple(balances), starting, tuple(doubts), left_out, exemplars)


def _engine(report: EngineReport, owner: Owner | None, resource: Resource, measured: Iterable[Measured]) -> Engine:
    return Engine(
        report.target,
        report.engine,
        report.backend,
        report.kind,
        report.version,
        report.models,
        owner,
        resource,
        "" if report.kind == "router" else blindness(report),
        report.missing,
        () if report.kind == "unknown" else report.unknown,
        tuple(
            (MEASURED_BY[each.objective.metric].name, each.state, text) for each in measured if (text := complain(each))
        ),
    )


def _put_passed(
    draft: Draft, named: Named, readings: Sequence[Reading], at: float, resource: Resource, most: int
) -> int:
    """Put what an engine is passed on where all of it has room; give how many series were left out."""
    cost = count_series([reading.value for reading in readings])
    if draft.series + cost > most:
        return cost
    draft.put_readings(named, readings, at, resource)
    return 0


def _put_unread(draft: Draft, frames: Frames, pods: Pods, context: Context) -> None:
    """Put the blindness of engines that answer, but not with a page that can be read."""
    read = {frame.instance for frame in good(frames, "engine", EngineReport)}
    for outcome in frames.outcomes:
        target = frames.targets.get(outcome.instance) if outcome.source == "engine" else None
        answer = outcome.trouble.answer if outcome.trouble else ""
        if target is None or not answer or outcome.instance in read:
            continue
        unread = EngineReport(target, target.engine or "unknown", "", "unknown", "", (), ())
        pod, owner = _whose(target, pods)
        attributes = _engine_attributes(unread, owner)
        put_blindness(draft, attributes, answer, outcome.at, _engine_resource(unread, owner, pod, context))


def _whose(target: Target, pods: Pods) -> tuple[Pod | None, Owner | None]:
    if not target.pod and not target.pod_uid:
        return None, None
    return pods.serving(target), pods.owner(target.namespace, target.pod, target.pod_uid)


def _engine_attributes(report: EngineReport, owner: Owner | None) -> dict[str, str | None]:
    """Name an engine on a point: by its pod, or by its address where no pod is known."""
    address, port = _host_and_port(report.target)
    return {
        **(owner_attributes(owner) if owner else {catalog.SERVER_ADDRESS.key: address}),
        catalog.CONTAINER.key: report.target.container,
        catalog.SERVER_PORT.key: port,
        catalog.PROVIDER.key: report.backend or report.engine,
    }


def _host_and_port(target: Target) -> tuple[str, str]:
    parts = urlsplit(target.url)
    return parts.hostname or "", str(parts.port or (443 if parts.scheme == "https" else 80))


def _engine_resource(report: EngineReport, owner: Owner | None, pod: Pod | None, context: Context) -> Resource:
    """Describe the service that an engine is; what we know of node and pod stands over what annotations say."""
    target = report.target
    inherited = {k: v for k, v in context.node.attributes if not k.startswith("service.")}
    if owner is None:
        name = report.backend or report.engine
        return Resource.of({**inherited, "service.name": name, "service.instance.id": target.instance})
    return Resource.of(
        {
            **describe_service(pod, owner, target.container),
            **inherited,
            "k8s.namespace.name": owner.namespace,
            "k8s.pod.name": owner.pod,
            "k8s.pod.uid": owner.uid,
            "k8s.container.name": target.container,
        }
    )
