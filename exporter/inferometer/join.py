# SPDX-License-Identifier: Apache-2.0
"""The join: frames of the three worlds become one Snapshot. Pure: no I/O, no clock, no state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, cast
from urllib.parse import urlsplit

from inferometer import __version__, catalog
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Device,
    DeviceReport,
    Engine,
    EngineReport,
    Frame,
    Frames,
    Metric,
    Owner,
    Pod,
    Point,
    Reason,
    Resource,
    Snapshot,
    SourceHealth,
    Target,
    Value,
    series_of,
)
from inferometer.ownership import (
    Claims,
    Ownership,
    Pods,
    device_attributes,
    find_owners,
    holding_attributes,
    owner_attributes,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """What the join must know that no frame tells. `node` is the resource of everything that is not an engine's."""

    node: Resource
    team_keys: tuple[str, ...] = ()
    cost_center_keys: tuple[str, ...] = ()
    max_series: int = 50_000
    simulated: bool = False


def join(frames: Frames, context: Context) -> Snapshot:
    """Make the snapshot of one tick, without the counters of our own: `accounting.account` adds those.

    A value appears once (law 2), with its device's identity only (law 6); whose it is stands on `gpu.owner.*`.
    """
    draft = _Draft(frames.now, context)
    devices = _good(frames, "nvidia", DeviceReport)
    report = devices[0].value if devices else None
    allocations = _items(frames, "podresources", Allocation)
    pods = Pods(_items(frames, "pods", Pod), context.team_keys, context.cost_center_keys)
    claims = Claims(_items(frames, "claims", AllocatedClaim))
    ownership = find_owners(report.devices if report else None, allocations, pods, claims, draft.common)

    if report is not None:
        _put_devices(draft, report, devices[0].at)
    elif any(f.source == "nvidia" and f.trouble and f.trouble.reason is Reason.MISSING for f in frames.outcomes):
        draft.put(catalog.GPU_DEVICES, {}, 0.0)  # no driver is an answer, not a failure
    _put_owners(draft, ownership, report, devices[0].at if devices else frames.now)
    engines, dropped = _put_engines(draft, frames, pods, context)
    health = tuple(_health(outcome, frames) for outcome in frames.outcomes)
    _put_agent(draft, health, ownership.level)

    return Snapshot(
        at=frames.now,
        steady=frames.steady,
        node=context.node,
        devices=report.devices if report else (),
        holdings=ownership.holdings,
        tenures=ownership.tenures,
        engines=engines,
        sources=health,
        failures=tuple((f.source, f.instance, f.sequence, f.trouble.reason) for f in frames.outcomes if f.trouble),
        dropped=MappingProxyType(
            {
                **frames.dropped,
                **dropped,
                "repeated": draft.repeated,
                "driver_call": len(report.failed) if report else 0,
            }
        ),
        exports=frames.exports,
        unsupported=report.unsupported if report else (),
        failed=report.failed if report else (),
        points=draft.points(),
        simulated=context.simulated,
    )


class _Draft:
    """Collects the points of one snapshot by metric."""

    def __init__(self, now: float, context: Context) -> None:
        self.now = now
        self._node = context.node
        self.common = {catalog.SIMULATED.key: "true"} if context.simulated else {}
        self._points: dict[Metric, dict[tuple[str | None, ...], Point]] = {}
        self.series = 0
        self.repeated = 0

    def put(
        self,
        metric: Metric,
        attributes: Mapping[str, str | None],
        value: Value,
        *,
        at: float | None = None,
        start: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point; an empty attribute value counts as absent."""
        get = {**attributes, **self.common}.get
        self.put_aligned(
            metric, tuple([get(key) or None for key in metric.keys]), value, at=at, start=start, resource=resource
        )

    def put_aligned(
        self,
        metric: Metric,
        attributes: tuple[str | None, ...],
        value: Value,
        *,
        at: float | None = None,
        start: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point whose attributes are aligned with the metric's.

        A series that is there already stays as it is (law 2): two targets may be one engine, or one port with two paths,
        and a page that says a series twice is no page to Prometheus.
        """
        points = self._points.setdefault(metric, {})
        if attributes in points:
            self.repeated += series_of(value)
            return
        at = self.now if at is None else at
        points[attributes] = Point(metric, attributes, value, at, start, resource or self._node)
        self.series += series_of(value)

    def points(self) -> tuple[Point, ...]:
        """Give all points, in the catalogue's order of metrics."""
        return tuple(point for metric in catalog.METRICS for point in self._points.get(metric, {}).values())


# --- frames -------------------------------------------------------------------------------------------------------


def _good(frames: Frames, source: str, kind: type[T]) -> list[Frame[T]]:
    """Give a source's valid frames."""
    return [cast("Frame[T]", f) for f in frames.good if f.source == source and isinstance(f.value, kind)]


def _items(frames: Frames, source: str, kind: type[T]) -> tuple[T, ...] | None:
    """Give what a source that answers with a list said; None if it has nothing valid to say."""
    for frame in _good(frames, source, tuple):
        return tuple(item for item in frame.value or () if isinstance(item, kind))
    return None


def _health(outcome: Frame[object], frames: Frames) -> SourceHealth:
    read = frames.newest_good.get((outcome.source, outcome.instance))
    trouble = outcome.trouble
    return SourceHealth(
        source=outcome.source,
        instance=outcome.instance,
        up=trouble is None,
        age=None if read is None else max(0.0, frames.now - read),
        took=outcome.took,
        reason=trouble.reason if trouble else "",
        message=trouble.message if trouble else "",
        remedy=trouble.remedy if trouble else "",
    )


# --- devices and owners -------------------------------------------------------------------------------------------


def _put_devices(draft: _Draft, report: DeviceReport, at: float) -> None:
    named = {device.uuid: device_attributes(device.uuid, device) for device in report.devices}
    for device in report.devices:
        attributes = named[device.uuid]
        if device.is_instance:
            draft.put(catalog.MIG_INFO, {**attributes, **_instance_details(device)}, 1.0, at=at)
            continue
        draft.put(catalog.GPU_INFO, {**attributes, **report.details, **device.details}, 1.0, at=at)
        silent_for = report.unresponsive.get(device.uuid)
        state = "ok" if silent_for is None else "failed"
        for possible in catalog.HW_STATE.values:
            draft.put(
                catalog.STATUS, {**attributes, **_HW, catalog.HW_STATE.key: possible}, float(possible == state), at=at
            )
        draft.put(catalog.GPU_READING_AGE, attributes, max(0.0, draft.now - at) + (silent_for or 0.0))
    draft.put(catalog.GPU_DEVICES, {}, float(sum(not d.is_instance for d in report.devices)), at=at)
    for reading in report.readings:
        if reading.subject in named:  # a device that went while it was read contributes nothing
            attributes = {**named[reading.subject], **_HW, **dict(reading.attributes)}
            draft.put(reading.metric, attributes, reading.value, at=at, start=reading.start)


_HW: Mapping[str, str | None] = {catalog.HW_TYPE.key: "gpu"}


def _instance_details(device: Device) -> dict[str, str | None]:
    numbers = {
        catalog.MIG_GI.key: device.gpu_instance,
        catalog.MIG_CI.key: device.compute_instance,
        catalog.MIG_PLACEMENT.key: device.placement,
    }
    return {key: None if number is None else str(number) for key, number in numbers.items()}


# What a sole owner's use is read from: the device's own readings, by the metric that carries them.
_OWNED = {
    (catalog.GPU_MEMORY_USAGE, ()): catalog.OWNER_MEMORY_USAGE,
    (catalog.MIG_MEMORY_USAGE, ()): catalog.OWNER_MEMORY_USAGE,
    (catalog.GPU_UTILIZATION, ((catalog.HW_GPU_TASK.key, "general"),)): catalog.OWNER_UTILIZATION,
}


def _put_owners(draft: _Draft, ownership: Ownership, report: DeviceReport | None, at: float) -> None:
    devices = {device.uuid: device for device in report.devices} if report else {}
    for holding in ownership.holdings:
        attributes = holding_attributes(holding, devices.get(holding.device))
        draft.put(catalog.OWNER_INFO, {**attributes, catalog.ROLE.key: holding.role.value}, 1.0)
    if ownership.level != "none":
        draft.put(catalog.OWNER_UNRESOLVED, {}, float(ownership.unresolved))
    tenures = {tenure.device: tenure for tenure in ownership.tenures}
    for reading in report.readings if report else ():
        metric = _OWNED.get((reading.metric, reading.attributes))
        tenure = tenures.get(reading.subject)
        if metric is not None and tenure is not None:
            draft.put_aligned(metric, tenure.attributes, reading.value, at=at)


# --- engines ------------------------------------------------------------------------------------------------------


def _put_engines(
    draft: _Draft, frames: Frames, pods: Pods, context: Context
) -> tuple[tuple[Engine, ...], dict[str, int]]:
    """Add the engines' points; give the engines, and what was left out: for the limit's sake, or not believed."""
    engines, dropped = [], {"series": 0}
    for frame in _good(frames, "engine", EngineReport):
        report = cast("EngineReport", frame.value)
        cost = sum(series_of(reading.value) for reading in report.readings)
        if draft.series + cost > context.max_series:
            dropped["series"] += cost
            continue
        for doubt, number in report.dropped.items():
            dropped[f"page_{doubt}"] = dropped.get(f"page_{doubt}", 0) + number
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
        for reading in report.readings:
            draft.put(
                reading.metric,
                {**attributes, **dict(reading.attributes)},
                reading.value,
                at=frame.at,
                start=reading.start,
                resource=resource,
            )
    return tuple(engines), dropped


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


# --- the agent ----------------------------------------------------------------------------------------------------


def _put_agent(draft: _Draft, health: Iterable[SourceHealth], level: str) -> None:
    draft.put(catalog.AGENT_INFO, {catalog.VERSION.key: __version__}, 1.0)
    for source in health:
        attributes = {catalog.SOURCE.key: source.source, catalog.SOURCE_INSTANCE.key: source.instance}
        draft.put(catalog.SOURCE_UP, attributes, float(source.up))
        draft.put(catalog.SOURCE_DURATION, attributes, source.took)
        if source.age is not None:
            draft.put(catalog.SOURCE_AGE, attributes, source.age)
    for possible in catalog.LEVEL.values:
        draft.put(catalog.IDENTITY_LEVEL, {catalog.LEVEL.key: possible}, float(possible == level))
