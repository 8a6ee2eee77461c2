# SPDX-License-Identifier: Apache-2.0
"""Devices and their owners on the points: what each device does, and whose it is."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.draft import Draft
from inferometer.join.health import put_health
from inferometer.join.ownership import Ownership, device_attributes, holding_attributes
from inferometer.join.rules import Rule
from inferometer.model import Device, DeviceReport


def put_devices(
    draft: Draft, report: DeviceReport, health: Mapping[str, tuple[Rule, ...]], at: float, age: float
) -> None:
    """Put what each device is, does and how it is, with its own identity only (law 6).

    `health` has the rules that hold for each GPU; `at` is when the report was read, `age` how long ago.
    """
    named = {device.uuid: device_attributes(device.uuid, device) for device in report.devices}
    for device in report.devices:
        attributes = named[device.uuid]
        if device.is_instance:
            draft.put(catalog.MIG_INFO, {**attributes, **_instance_details(device)}, 1.0, at=at)
            continue
        draft.put(catalog.GPU_INFO, {**attributes, **report.details, **device.details}, 1.0, at=at)
        if _IN_FABRIC & device.details.keys():
            draft.put(catalog.FABRIC_INFO, {**attributes, **device.details}, 1.0, at=at)
        put_health(draft, attributes, health[device.uuid], at)
        draft.put(catalog.GPU_READING_AGE, attributes, age + report.unresponsive.get(device.uuid, 0.0))
    own = {uuid: {**attributes, **_HW, **draft.common} for uuid, attributes in named.items()}
    for subject, metric, added, value, start, read_at in report.readings:  # thousands: unpacked, and aligned here
        if subject in own:  # a device that went while it was read contributes nothing
            get = ({**own[subject], **dict(added)} if added else own[subject]).get
            draft.put_aligned(
                metric, tuple([get(key) or None for key in metric.keys]), value, at=read_at or at, start=start
            )


_HW: Mapping[str, str | None] = {catalog.HW_TYPE.key: "gpu"}
_IN_FABRIC = {catalog.FABRIC_CLUSTER.key, catalog.FABRIC_CLIQUE.key}


def _instance_details(device: Device) -> dict[str, str | None]:
    numbers = {
        catalog.MIG_GI.key: device.gpu_instance,
        catalog.MIG_CI.key: device.compute_instance,
        catalog.MIG_PLACEMENT.key: device.placement,
        catalog.MIG_SMS.key: device.multiprocessors,
    }
    return {key: None if number is None else str(number) for key, number in numbers.items()}


# What a sole owner's use is read from: the device's own readings, by the metric that carries them.
_OWNED = {
    (catalog.GPU_MEMORY_USAGE, ()): catalog.OWNER_MEMORY_USAGE,
    (catalog.MIG_MEMORY_USAGE, ()): catalog.OWNER_MEMORY_USAGE,
    (catalog.GPU_UTILIZATION, ((catalog.HW_GPU_TASK.key, "general"),)): catalog.OWNER_UTILIZATION,
    (catalog.GPU_SM_ACTIVITY, ()): catalog.OWNER_SM_ACTIVITY,
    (catalog.MIG_SM_ACTIVITY, ()): catalog.OWNER_SM_ACTIVITY,
}


def put_owners(draft: Draft, ownership: Ownership, report: DeviceReport | None, at: float) -> None:
    """Put who holds what, and the use of the devices that one pod holds alone, once per pod and device (law 2)."""
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
            draft.put_aligned(metric, tenure.attributes, reading.value, at=reading.at or at)
