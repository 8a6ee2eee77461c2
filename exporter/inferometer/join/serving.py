# SPDX-License-Identifier: Apache-2.0
"""Who serves an engine and how it is named on points: what its pages say alike, from one to the next."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from inferometer import catalog
from inferometer.join.attributes import owner_attributes
from inferometer.join.blindness import blindness, put_blindness, put_drift
from inferometer.join.context import Context
from inferometer.join.layout import Named
from inferometer.join.memo import Recall
from inferometer.join.objectives import MEASURED_BY, Measured, complain, measure, put_objectives
from inferometer.join.pods import Pods
from inferometer.join.services import describe_service
from inferometer.join.sheet import Sheet
from inferometer.model import Engine, EngineReport, Histogram, Owner, Pod, Resource, Target

Attributes = Mapping[str, str | None]


class Served(NamedTuple):
    """An engine with its pod's identity. `attributes` name it on its points, as `named` does with those of all points.

    `info` are the attributes of its info, and `series` is how many it has that its page does not say.
    """

    engine: Engine
    attributes: Attributes
    named: Named
    info: Attributes
    resource: Resource
    measured: tuple[Measured, ...]
    series: int


def find_served(
    report: EngineReport, pods: Pods, context: Context, common: Mapping[str, str], recall: Recall
) -> Served:
    """Find who serves an engine; what its page says of itself seldom changes, and then it is the same as before."""
    bounds: tuple[object, ...] = ()
    if context.objectives:
        bounds = tuple(
            [(r.metric, r.attributes, r.value.bounds) for r in report.readings if isinstance(r.value, Histogram)]
        )
    about = (report.engine, report.backend, report.kind, report.version, report.models, report.details)
    lacks = (not report.readings, report.missing, report.unknown)
    told = (report.target, *about, *lacks, bounds, pods)
    return recall.of(("served", report.target.instance), told, lambda: _served(report, pods, context, common))


def _served(report: EngineReport, pods: Pods, context: Context, common: Mapping[str, str]) -> Served:
    target = report.target
    pod, owner = whose(target, pods)
    resource = engine_resource(report, owner, pod, context)
    attributes = engine_attributes(report, owner)
    measured = tuple(measure(context.objectives, report, owner.namespace if owner else target.namespace))
    info = {
        **attributes,
        catalog.ENGINE_KIND.key: report.kind,
        catalog.ENGINE_BACKEND.key: report.backend,
        catalog.ENGINE_VERSION.key: report.version,
        catalog.MODEL.key: report.models[0] if len(report.models) == 1 else None,
        **report.details,
    }
    named = {target.instance: {**attributes, **common}}
    served = Served(_engine(report, owner, resource, measured), attributes, named, info, resource, measured, 0)
    sheet = Sheet(0.0, common, resource)
    put_served(sheet, served, 0.0)
    return served._replace(series=sum(column.series for column in sheet.part().columns.values()))


def put_served(sheet: Sheet, served: Served, at: float) -> None:
    """Put what an engine is, whether it tells anything, and what is asked of it; its page was read at `at`."""
    engine, attributes, resource = served.engine, served.attributes, served.resource
    sheet.put(catalog.ENGINE_INFO, served.info, 1.0, at=at, resource=resource)
    if engine.kind != "router":
        put_blindness(sheet, attributes, engine.blind, at, resource)
    put_drift(sheet, engine, attributes, at, resource)
    put_objectives(sheet, served.measured, attributes, at, resource)


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


def whose(target: Target, pods: Pods) -> tuple[Pod | None, Owner | None]:
    """Find the pod that serves a target, and describe it as an owner; without its object only its name is known."""
    if not target.pod and not target.pod_uid:
        return None, None
    return pods.serving(target), pods.owner(target.namespace, target.pod, target.pod_uid)


def engine_attributes(report: EngineReport, owner: Owner | None) -> dict[str, str | None]:
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


def engine_resource(report: EngineReport, owner: Owner | None, pod: Pod | None, context: Context) -> Resource:
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
