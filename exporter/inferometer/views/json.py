# SPDX-License-Identifier: Apache-2.0
"""A snapshot and the catalogue as JSON documents. Each carries a `schema` number, raised when a field changes its meaning."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from inferometer import catalog
from inferometer.model import Binding, Claim, Device, Engine, Histogram, Holding, Owner, Point, Snapshot, SourceHealth
from inferometer.views.sayable import sayable

SCHEMA = 1


def dump(document: Mapping[str, Any]) -> str:
    """Write a document with its schema number first. ASCII only, so that no terminal or pipe can spoil it."""
    return json.dumps({"schema": SCHEMA, **document}, indent=2, allow_nan=False)


def snapshot(newest: Snapshot) -> dict[str, Any]:
    """Give everything that a snapshot knows; what is unknown is left out.

    Shape: `{at, simulated, node: {attribute: value}, devices, holdings, engines, sources, metrics: [{name, prometheus,
    unit, instrument, points: [{attributes, value, at, start?}]}]}`. A histogram's value is
    `{bounds, counts, count, sum}`, with one count per bucket. Times are Unix seconds.
    """
    return {
        "at": newest.at,
        "simulated": newest.simulated,
        "node": dict(newest.node.attributes),
        "devices": [_device(d) for d in newest.devices],
        "holdings": [_holding(h) for h in newest.holdings],
        "engines": [_engine(e) for e in newest.engines],
        "sources": [_source(s) for s in newest.sources],
        "metrics": _metrics(sayable(newest.points)),
    }


def metrics(bindings: Iterable[Binding]) -> dict[str, Any]:
    """Give the catalogue, each metric with the calls and fields that it is read from."""
    found = list(bindings)
    return {
        "metrics": [
            {
                "name": m.name,
                "prometheus": m.prometheus,
                "unit": m.unit,
                "instrument": m.instrument.value,
                "attributes": list(catalog.keys_of(m)),
                "stability": m.stability.value,
                "aggregation": m.aggregation.value,
                "description": m.description,
                "sources": [_binding(b) for b in found if b.metric == m.name],
            }
            for m in catalog.METRICS
        ]
    }


def _binding(binding: Binding) -> dict[str, Any]:
    return {
        "source": binding.source,
        "call": binding.call,
        "attributes": dict(binding.attributes),
        "architecture": binding.architecture,
        "mig": binding.mig,
    }


def _metrics(points: Iterable[Point]) -> list[dict[str, Any]]:
    """Group points by metric, in the order in which they come."""
    grouped: dict[str, dict[str, Any]] = {}
    for point in points:
        metric = point.metric
        group = grouped.setdefault(
            metric.name,
            {
                "name": metric.name,
                "prometheus": metric.prometheus,
                "unit": metric.unit,
                "instrument": metric.instrument.value,
                "points": [],
            },
        )
        group["points"].append(
            _known(
                attributes={k: v for k, v in zip(metric.keys, point.attributes, strict=True) if v is not None},
                value=_value(point),
                at=point.at,
                start=point.start,
            )
        )
    return list(grouped.values())


def _value(point: Point) -> Any:
    value = point.value
    if not isinstance(value, Histogram):
        return value
    return {"bounds": list(value.bounds), "counts": list(value.counts), "count": value.observations, "sum": value.sum}


def _device(device: Device) -> dict[str, Any]:
    return _known(
        id=device.uuid,
        index=device.index,
        parent=device.parent,
        mig_enabled=device.mig_enabled,
        profile=device.profile,
        gpu_instance=device.gpu_instance,
        compute_instance=device.compute_instance,
        placement=device.placement,
        minor=device.minor,
        pci_address=device.pci_address,
        details=dict(device.details),
    )


def _holding(holding: Holding) -> dict[str, Any]:
    return _known(
        device=holding.device,
        owner=_owner(holding.owner),
        container=holding.container,
        role=holding.role.value,
        replicas=holding.replicas,
        claim=_claim(holding.claim) if holding.claim else None,
    )


def _owner(owner: Owner) -> dict[str, Any]:
    return _known(
        namespace=owner.namespace,
        pod=owner.pod,
        uid=owner.uid,
        workload_kind=owner.workload_kind,
        workload_name=owner.workload_name,
        team=owner.team,
        cost_center=owner.cost_center,
    )


def _claim(claim: Claim) -> dict[str, Any]:
    return _known(
        namespace=claim.namespace,
        name=claim.name,
        uid=claim.uid,
        request=claim.request,
        driver=claim.driver,
        pool=claim.pool,
        device=claim.device,
    )


def _engine(engine: Engine) -> dict[str, Any]:
    """Describe an engine; its URL and headers stay out, since they can hold secrets."""
    return _known(
        instance=engine.target.instance,
        engine=engine.engine,
        backend=engine.backend or None,
        kind=engine.kind,
        version=engine.version or None,
        models=list(engine.models),
        owner=_owner(engine.owner) if engine.owner else None,
    )


def _source(source: SourceHealth) -> dict[str, Any]:
    return _known(
        source=source.source,
        instance=source.instance or None,
        up=source.up,
        age=source.age,
        took=source.took,
        reason=source.reason or None,
        message=source.message or None,
        remedy=source.remedy or None,
    )


def _known(**fields: Any) -> dict[str, Any]:
    """Leave out what is unknown: absent beats null, too."""
    return {name: value for name, value in fields.items() if value is not None}
