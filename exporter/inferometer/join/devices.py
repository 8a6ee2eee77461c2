# SPDX-License-Identifier: Apache-2.0
"""Devices and their owners on the points: what each device does, and whose it is."""

from collections.abc import Mapping, Sequence

from inferometer import catalog
from inferometer.join.attributes import device_attributes
from inferometer.join.draft import Draft
from inferometer.join.health import put_health
from inferometer.join.laid import Said
from inferometer.join.layout import Layout, Named
from inferometer.join.owned import Owned
from inferometer.join.reports import Told
from inferometer.join.rules import Rule
from inferometer.join.sheet import Sheet
from inferometer.model import Device


def put_measured(draft: Draft, told: Told) -> Layout:
    """Put what each device does, with its own identity only (law 6); gives how that is laid out."""
    devices = told.report.devices

    def name() -> Named:
        return {uuid: {**attributes, **_HW, **draft.common} for uuid, attributes in _named(devices).items()}

    named = draft.recall.of(("named", told.source), devices, name)
    return draft.put_readings(("readings", told.source), [Said(named, told.report.readings, told.at, draft.node)])


def put_devices(draft: Draft, told: Told, health: Mapping[str, tuple[Rule, ...]], age: float) -> None:
    """Put what each device is and how it is. `health` has the rules that hold for each GPU; `age` is how old the report is."""
    source, report = told.source, told.report
    draft.say(("infos", source), _put_infos, report.devices, report.details, at=told.at)
    draft.say(("health", source), _put_health, report.devices, health, at=told.at)
    gpus = draft.recall.of(("gpus", source), report.devices, lambda: _gpus(report.devices))
    names = draft.names(
        source, catalog.GPU_READING_AGE, report.devices, lambda: [device_attributes(d.uuid, d) for d in gpus]
    )
    ages = [age + report.unresponsive.get(device.uuid, 0.0) for device in gpus]
    draft.say_column(source, catalog.GPU_READING_AGE, names, ages)


_HW: Mapping[str, str | None] = {catalog.HW_TYPE.key: "gpu"}
_IN_FABRIC = {catalog.FABRIC_CLUSTER.key, catalog.FABRIC_CLIQUE.key}


def _named(devices: Sequence[Device]) -> Named:
    return {device.uuid: device_attributes(device.uuid, device) for device in devices}


def _gpus(devices: Sequence[Device]) -> list[Device]:
    """Give the GPUs, each once: the driver may list one twice."""
    return list({device.uuid: device for device in devices if not device.is_instance}.values())


def _put_infos(sheet: Sheet, devices: Sequence[Device], details: Mapping[str, str]) -> None:
    named = _named(devices)
    for device in devices:
        attributes = named[device.uuid]
        if device.is_instance:
            sheet.put(catalog.MIG_INFO, {**attributes, **_instance_details(device)}, 1.0)
            continue
        sheet.put(catalog.GPU_INFO, {**attributes, **details, **device.details}, 1.0)
        if _IN_FABRIC & device.details.keys():
            sheet.put(catalog.FABRIC_INFO, {**attributes, **device.details}, 1.0)


def _put_health(sheet: Sheet, devices: Sequence[Device], health: Mapping[str, tuple[Rule, ...]]) -> None:
    named = _named(devices)
    for device in devices:
        if not device.is_instance:
            put_health(sheet, named[device.uuid], health[device.uuid])


def _instance_details(device: Device) -> dict[str, str | None]:
    numbers = {
        catalog.MIG_GI.key: device.gpu_instance,
        catalog.MIG_CI.key: device.compute_instance,
        catalog.MIG_PLACEMENT.key: device.placement,
        catalog.MIG_SMS.key: device.multiprocessors,
    }
    return {key: None if number is None else str(number) for key, number in numbers.items()}


def put_owners(sheet: Sheet, owned: Owned) -> None:
    """Put who holds what, once for each holding."""
    for attributes in owned.infos:
        sheet.put_aligned(catalog.OWNER_INFO, attributes, 1.0)
    if owned.ownership.level != "none":
        sheet.put(catalog.OWNER_UNRESOLVED, {}, float(owned.ownership.unresolved))
