# SPDX-License-Identifier: Apache-2.0
"""Devices and their owners on the points: what each device does, and whose it is."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.attributes import device_attributes
from inferometer.join.draft import Draft
from inferometer.join.health import put_health
from inferometer.join.owned import Owned
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
    draft.put_readings(own, report.readings, at)


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


def put_owners(draft: Draft, owned: Owned) -> None:
    """Put who holds what, once for each holding."""
    for attributes in owned.infos:
        draft.put_aligned(catalog.OWNER_INFO, attributes, 1.0)
    if owned.ownership.level != "none":
        draft.put(catalog.OWNER_UNRESOLVED, {}, float(owned.ownership.unresolved))
