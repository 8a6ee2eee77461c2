# SPDX-License-Identifier: Apache-2.0
"""Engines on the points, with the identity of the pod that serves them."""

from typing import cast
from urllib.parse import urlsplit

from inferometer import catalog
from inferometer.join.attributes import owner_attributes
from inferometer.join.context import Context
from inferometer.join.draft import Draft
from inferometer.join.pods import Pods
from inferometer.join.valid import good
from inferometer.model import Engine, EngineReport, Frames, Owner, Pod, Resource, Target, series_of


def put_engines(
    draft: Draft, frames: Frames, pods: Pods, context: Context
) -> tuple[tuple[Engine, ...], tuple[tuple[str, int, int], ...], int]:
    """Put what the engines say.

    Gives the engines; the series of their pages that were not believed, as `Snapshot.drops`; and how many series were
    left out for the limit's sake.
    """
    engines, doubts, left_out = [], [], 0
    for frame in good(frames, "engine", EngineReport):
        report = cast("EngineReport", frame.value)
        cost = sum(series_of(reading.value) for reading in report.readings)
        if draft.series + cost > context.max_series:
            left_out += cost
            continue
        doubts += [(f"page_{doubt}", frame.sequence, number) for doubt, number in report.dropped.items()]

        target = report.target
        pod = pods.find(target.namespace, target.pod, target.pod_uid) if target.pod or target.pod_uid else None
        owner = pods.owner(target.namespace, target.pod, target.pod_uid) if target.pod or target.pod_uid else None
        resource = _engine_resource(report, owner, pod, context)
        attributes = _engine_attributes(report, owner)
        engines.append(
            Engine(target, report.engine, report.backend, report.kind, report.version, report.models, owner, resource)
        )
        described = {
            **attributes,
            catalog.ENGINE_KIND.key: report.kind,
            catalog.ENGINE_BACKEND.key: report.backend,
            catalog.ENGINE_VERSION.key: report.version,
            catalog.MODEL.key: report.models[0] if len(report.models) == 1 else None,
        }
        draft.put(catalog.ENGINE_INFO, described, 1.0, at=frame.at, resource=resource)
        if report.kind != "router":
            draft.put(catalog.ENGINE_BLIND, attributes, float(_is_blind(report)), at=frame.at, resource=resource)
        named = {target.instance: {**attributes, **draft.common}}
        draft.put_readings(named, report.readings, frame.at, resource)
    return tuple(engines), tuple(doubts), left_out


def _is_blind(report: EngineReport) -> bool:
    """Tell whether a page that answers says nothing of its engine; one that we cannot map yet is not blamed for that."""
    return not report.readings and (report.kind == "unknown" or bool(report.missing))


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
    """Describe the service that an engine is.

    `service.*` follows the semantic conventions' order for Kubernetes (non-normative, k8s-attributes): annotation,
    `app.kubernetes.io/instance`, `app.kubernetes.io/name`, workload, pod.
    """
    target = report.target
    inherited = {k: v for k, v in context.node.attributes if not k.startswith("service.")}
    if owner is None:
        name = report.backend or report.engine
        return Resource.of({**inherited, "service.name": name, "service.instance.id": target.instance})
    told = pod.annotations if pod else {}
    labels = pod.labels if pod else {}
    name = (
        told.get("resource.opentelemetry.io/service.name")
        or labels.get("app.kubernetes.io/instance")
        or labels.get("app.kubernetes.io/name")
        or owner.workload_name
        or owner.pod
    )
    identity = ".".join(filter(None, (owner.namespace, owner.pod, target.container)))
    return Resource.of(
        {
            **inherited,
            "service.name": name,
            "service.namespace": told.get("resource.opentelemetry.io/service.namespace") or owner.namespace,
            "service.instance.id": told.get("resource.opentelemetry.io/service.instance.id") or identity,
            "service.version": labels.get("app.kubernetes.io/version"),
            "k8s.namespace.name": owner.namespace,
            "k8s.pod.name": owner.pod,
            "k8s.pod.uid": owner.uid,
            "k8s.container.name": target.container,
        }
    )
