# SPDX-License-Identifier: Apache-2.0
"""A snapshot as dcgm-exporter's page: its names, units and labels, for what was built upon them.

A device has one series of each name, and a pod's labels where that pod alone holds it: so every sum, mean and maximum is that
of the devices. Source: NVIDIA/dcgm-exporter internal/pkg/rendermetrics and internal/pkg/transformation.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Attribute, Holding, Metric, Role, Snapshot
from inferometer.views.dcgm_fields import FIELDS, FREE, MEBIBYTES, XID
from inferometer.views.prometheus_text import braced, label
from inferometer.views.sayable import sayable

# The attribute that tells the series of one device apart, of every metric that the page is made of.
_SPLIT: Mapping[Metric, Attribute | None] = {
    **{field.metric: field.where[0] if field.where else None for field in FIELDS},
    **{field.instance: None for field in FIELDS if field.instance},
    catalog.GPU_MEMORY_LIMIT: None,
    catalog.MIG_MEMORY_LIMIT: None,
    catalog.XID_EVENTS: None,
    catalog.XID_LAST_TIME: catalog.XID_CODE,
}
_MEMORY = (
    (catalog.GPU_MEMORY_LIMIT, catalog.GPU_MEMORY_USAGE, catalog.GPU_MEMORY_RESERVED),
    (catalog.MIG_MEMORY_LIMIT, catalog.MIG_MEMORY_USAGE, catalog.MIG_MEMORY_RESERVED),
)

Values = Mapping[tuple[Metric, str], Mapping[str, float]]  # by metric and device, and by the attribute that tells apart


class _Device(NamedTuple):
    """A device of the page: its labels as they are written, and whether it is a GPU whose instances tell what they can."""

    uuid: str
    labels: str
    is_instance: bool
    is_divided: bool


def render(snapshot: Snapshot) -> bytes:
    """Give the page in text format 0.0.4. The same snapshot gives the same bytes."""
    values = _values(snapshot)
    devices = list(_devices(snapshot))
    lines: list[str] = []
    for field in FIELDS:
        where = field.where[1] if field.where else ""
        found: dict[str, float] = {}
        for device in devices:
            metric = field.instance if device.is_instance else field.metric
            if metric is None or (device.is_divided and field.instance):
                continue
            value = values.get((metric, device.uuid), {}).get(where)
            if value is not None:
                found[device.labels] = value * field.times
        lines += _family((field.name, field.kind, field.text), found)
    lines += _family(FREE, {d.labels: free for d in devices if (free := _free(values, d)) is not None})
    lines += _family(XID, {d.labels: code for d in devices if (code := _last_xid(values, d)) is not None})
    return "".join(lines).encode("utf-8", "replace")


def _values(snapshot: Snapshot) -> Values:
    values: dict[tuple[Metric, str], dict[str, float]] = {}
    for metric, attributes, value, *_ in sayable(snapshot.points):
        if metric not in _SPLIT or not isinstance(value, float | int):
            continue
        split = _SPLIT[metric]
        told = dict(zip(metric.keys, attributes, strict=True))
        series = values.setdefault((metric, told[catalog.HW_ID.key] or ""), {})
        series[(told[split.key] or "") if split else ""] = value
    return values


def _free(values: Values, device: _Device) -> float | None:
    """Give what neither processes nor the driver have; NVML's `free` is the same difference."""
    if device.is_divided:
        return None
    limit, used, reserved = (values.get((metric, device.uuid), {}).get("") for metric in _MEMORY[device.is_instance])
    return None if limit is None or used is None else (limit - used - (reserved or 0.0)) * MEBIBYTES


def _last_xid(values: Values, device: _Device) -> float | None:
    """Give the newest XID's code, 0 where XIDs are told and there was none; None where nobody says which it was."""
    times = values.get((catalog.XID_LAST_TIME, device.uuid), {})
    if "" in times:
        return None
    if times:
        return float(max(times, key=lambda code: (times[code], int(code))))
    events = values.get((catalog.XID_EVENTS, device.uuid), {})
    return 0.0 if events and not any(events.values()) else None


def _devices(snapshot: Snapshot) -> Iterator[_Device]:
    """Describe NVIDIA's GPUs and their instances, as far as they are one thing to dcgm-exporter.

    It knows no compute instances: a GPU instance that is divided into several has no series here.
    """
    described = {p.metric: p.metric.keys for p in snapshot.points if p.metric in (catalog.GPU_INFO, catalog.MIG_INFO)}
    infos = [
        dict(zip(described[p.metric], p.attributes, strict=True)) for p in snapshot.points if p.metric in described
    ]
    nvidia = {device.uuid for device in snapshot.devices if device.details.get(catalog.HW_VENDOR.key) == "NVIDIA"}
    gpus = {told["hw.id"]: told for told in infos if told["hw.id"] in nvidia}
    instances = [told for told in infos if told.get("hw.parent") in gpus]
    parts = Counter((told["hw.parent"], told["gpu.mig.gpu_instance.id"]) for told in instances)
    divided = {parent for parent, _ in parts}
    holders = _holders(snapshot.holdings)
    node = dict(snapshot.node.attributes)
    host = node.get("k8s.node.name") or node.get("host.name") or ""
    for told in (*gpus.values(), *instances):
        uuid = told["hw.id"] or ""
        parent = told.get("hw.parent")
        if parent and parts[parent, told["gpu.mig.gpu_instance.id"]] > 1:
            continue
        gpu = gpus[parent or uuid]
        said = {
            "gpu": gpu["gpu.index"],
            "UUID": gpu["hw.id"],
            "pci_bus_id": _bus(gpu["gpu.pci.address"] or ""),
            "device": f"nvidia{gpu['gpu.index']}" if gpu["gpu.index"] else None,
            "modelName": gpu["hw.model"],
            "GPU_I_PROFILE": told["gpu.mig.profile"] if parent else None,
            "GPU_I_ID": told["gpu.mig.gpu_instance.id"] if parent else None,
            "Hostname": host,
            "DCGM_FI_DRIVER_VERSION": gpu["hw.driver_version"],
            **holders.get(uuid, {}),
            "inferometer_simulated": "true" if snapshot.simulated else None,
        }
        labels = braced([label(name, value) for name, value in said.items() if value])
        yield _Device(uuid, labels, bool(parent), uuid in divided)


def _holders(holdings: tuple[Holding, ...]) -> dict[str, dict[str, str]]:
    """Give the labels of the pod that alone holds a device, by device; the container's only where it is one."""
    of_device: dict[str, list[Holding]] = {}
    for holding in holdings:
        if holding.role is Role.OWNER:
            of_device.setdefault(holding.device, []).append(holding)
    labels: dict[str, dict[str, str]] = {}
    for device, several in of_device.items():
        if len({holding.owner.key for holding in several}) == 1:
            containers = {holding.container for holding in several}
            owner = several[0].owner
            container = containers.pop() if len(containers) == 1 else ""
            labels[device] = {"container": container, "namespace": owner.namespace, "pod": owner.pod}
    return labels


def _bus(address: str) -> str:
    """Write a PCI address as DCGM does: a domain of eight digits, in capitals."""
    domain, colon, rest = address.partition(":")
    return f"{domain:0>8}:{rest}".upper() if colon else ""


def _family(about: tuple[str, str, str], found: Mapping[str, float]) -> Iterator[str]:
    """Write a family; one that nobody has is not there."""
    name, kind, text = about
    if found:
        yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in found.items():
        exact = round(value, 9)  # 0.57 is 57 %, and not a hair less
        yield f"{name}{labels} {int(exact) if exact.is_integer() else exact!r}\n"
