# SPDX-License-Identifier: Apache-2.0
"""What owners use of devices, on the points: each device's values, divided among those who have a stake in it (law 3)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.attributes import device_attributes, owner_attributes
from inferometer.join.draft import Draft
from inferometer.join.laid import Laid, begin, fill, find_moved
from inferometer.join.layout import Layout, Name, arrange
from inferometer.join.ownership import Ownership
from inferometer.join.pods import Pods
from inferometer.join.shares import Division, as_attributed, rest_of
from inferometer.join.sheet import Sheet
from inferometer.join.work import Work
from inferometer.model import Attribution, Device, Metric, Reading, Resource

_GENERAL = ((catalog.HW_GPU_TASK.key, "general"),)
# What is divided by the time that processes keep the SMs busy, ...
_BY_BUSY: Mapping[tuple[Metric, tuple[tuple[str, str], ...]], Metric] = {
    (catalog.GPU_UTILIZATION, _GENERAL): catalog.OWNER_UTILIZATION,
    (catalog.GPU_SM_ACTIVITY, ()): catalog.OWNER_SM_ACTIVITY,
    (catalog.MIG_SM_ACTIVITY, ()): catalog.OWNER_SM_ACTIVITY,
    (catalog.GPU_TENSOR_ACTIVITY, ()): catalog.OWNER_TENSOR_ACTIVITY,
    (catalog.MIG_TENSOR_ACTIVITY, ()): catalog.OWNER_TENSOR_ACTIVITY,
    (catalog.GPU_DRAM_ACTIVITY, ()): catalog.OWNER_DRAM_ACTIVITY,
    (catalog.MIG_DRAM_ACTIVITY, ()): catalog.OWNER_DRAM_ACTIVITY,
}
# ... by the memory that they have, ...
_BY_MEMORY: Mapping[Metric, Metric] = {
    catalog.GPU_MEMORY_USAGE: catalog.OWNER_MEMORY_USAGE,
    catalog.MIG_MEMORY_USAGE: catalog.OWNER_MEMORY_USAGE,
}
# ... by what was granted, ...
_BY_GRANT: Mapping[Metric, Metric] = {
    catalog.GPU_MEMORY_LIMIT: catalog.OWNER_MEMORY_LIMIT,
    catalog.MIG_MEMORY_LIMIT: catalog.OWNER_MEMORY_LIMIT,
}
# ... and not at all: who has the GPU alone has it, else nobody.
_ALONE: Mapping[Metric, Metric] = {catalog.POWER: catalog.OWNER_POWER}
READ = frozenset({metric for metric, _ in _BY_BUSY} | _BY_MEMORY.keys() | _BY_GRANT.keys() | _ALONE.keys())

_UNDIVIDED: Mapping[Metric, Metric] = {**_BY_MEMORY, **_BY_GRANT, **_ALONE}

Part = tuple[tuple[str | None, ...], float]  # attributes, and the part of the value


def put_uses(
    draft: Draft,
    readings: Sequence[Reading],
    layouts: tuple[Layout, ...],
    devices: tuple[Device, ...],
    divisions: Mapping[str, Division],
    work: Mapping[str, Work],
    at: float,
) -> None:
    """Put each value's parts: the owners' and, where not all of it is theirs, the rest.

    `readings` are those of `READ`, laid out by `layouts`; one without a time of its own was read at `at`.
    """
    plan = draft.recall.of("uses", (layouts, devices, divisions), lambda: _plan(readings, devices, divisions, draft))
    before: Laid | None = draft.recall.before("used")
    laid = None
    if before is not None and before.layout is plan.whole:
        laid = fill(before, readings, (at,), find_moved(readings, before.readings))
    if laid is None:
        laid = begin(plan.whole, readings, (at,))
    draft.recall.note("used", laid)
    draft.put_columns(laid.columns, laid.repeated)
    if plan.divided:
        told = tuple([readings[place] for place in plan.divided])
        draft.say("divided", _put_divided, told, devices, divisions, work, at, at=at)


class _Plan(NamedTuple):
    """Which readings are an owner's, or nobody's, as they are, and the places of those to be divided."""

    whole: Layout
    divided: tuple[int, ...]


def _plan(
    readings: Sequence[Reading], listed: Sequence[Device], divisions: Mapping[str, Division], draft: Draft
) -> _Plan:
    """Sort readings by what is to be done with them."""
    devices = {device.uuid: device for device in listed}
    found: dict[Metric, dict[Name, tuple[int, Resource]]] = {}
    divided: list[int] = []
    repeats: list[int] = []
    for place, reading in enumerate(readings):
        device = devices.get(reading.subject)
        metric = _UNDIVIDED.get(reading.metric) or _BY_BUSY.get((reading.metric, reading.attributes))
        if device is None or metric is None or not isinstance(reading.value, float):
            continue
        division = divisions.get(reading.subject)
        if division is None and (metric is not catalog.OWNER_POWER or not device.mig_enabled):
            continue
        whole = _whole(reading, device, division, draft.common)
        series = found.setdefault(metric, {})
        if whole is None:
            divided.append(place)
        elif whole in series:
            repeats.append(place)
        else:
            series[whole] = place, draft.node
    there = {metric: series for metric, series in found.items() if series}
    return _Plan(arrange(readings, there, repeats=repeats), tuple(divided))


def _whole(reading: Reading, device: Device, division: Division | None, common: Mapping[str, str]) -> Name | None:
    """Give who has all of a value, or nobody's attributes; None where it is to be divided."""
    sole = division.sole if division else None
    if sole and sole.fraction == 1.0:
        return sole.attributes
    if reading.metric in _ALONE:
        return (division.rest if division else rest_of(device, 1.0, common)).attributes
    return division.rest.attributes if division and not division.shares and division.rest.fraction == 1.0 else None


def _put_divided(
    sheet: Sheet,
    readings: Sequence[Reading],
    listed: Sequence[Device],
    divisions: Mapping[str, Division],
    work: Mapping[str, Work],
    at: float,
) -> None:
    devices = {device.uuid: device for device in listed}
    for reading in readings:
        device = devices.get(reading.subject)
        if device is None or not isinstance(reading.value, float):
            continue
        for metric, attributes, value in _parts(reading, reading.value, device, divisions, work, sheet.common):
            sheet.put_aligned(metric, attributes, value, at=reading.at or at)


def _parts(
    reading: Reading,
    value: float,
    device: Device,
    divisions: Mapping[str, Division],
    work: Mapping[str, Work],
    common: Mapping[str, str],
) -> Iterator[tuple[Metric, tuple[str | None, ...], float]]:
    division, done = divisions.get(reading.subject), work.get(reading.subject)
    parts: Iterator[Part]
    if (metric := _BY_BUSY.get((reading.metric, reading.attributes))) and division:
        known = done if done and done.busy_known else None
        if known and reading.metric is not catalog.GPU_UTILIZATION:
            # Activity is divided as the time is that processes kept the SMs busy.
            total = known.all_busy or 1.0
            parts = _divided(division, value, {uid: value * busy / total for uid, busy in known.busy.items()}, value)
        else:
            parts = _divided(division, value, known.busy if known else None, known.all_busy if known else 0.0)
    elif (metric := _BY_MEMORY.get(reading.metric)) and division:
        known = done if done and done.memory_known else None
        parts = _divided(division, value, known.memory if known else None, known.all_memory if known else 0.0)
    elif (metric := _BY_GRANT.get(reading.metric)) and division:
        parts = _granted(division, value)
    elif (metric := _ALONE.get(reading.metric)) and (division or device.mig_enabled):
        alone = division.sole if division else None
        rest = division.rest if division else rest_of(device, 1.0, common)
        owned = alone is not None and alone.fraction == 1.0
        parts = iter([((alone if owned and alone else rest).attributes, value)])
    else:
        return
    for attributes, part in parts:
        yield metric, attributes, part


def _divided(division: Division, value: float, used: Mapping[str, float] | None, total: float) -> Iterator[Part]:
    """Divide a value by what processes used; where that is not known, as the time is divided.

    Whoever has a device alone has all that it does. Where processes used more together than the device says, each one's
    part is less by as much: parts and rest are the value, always.
    """
    if not division.shares:
        yield division.rest.attributes, value
        return
    sole = division.sole
    if sole and sole.fraction == 1.0:
        yield sole.attributes, value
        return
    scale = min(1.0, value / total) if total > 0 else 1.0
    rest = value
    for share in division.shares:
        if used is None:
            attributes, part = share.attributes, value * share.fraction
        else:
            attributes = as_attributed(share, Attribution.PROCESS)
            part = used.get(share.owner.uid or "", 0.0) * scale if share.owner else 0.0
        part = min(part, rest)
        rest -= part
        yield attributes, part
    if used is not None or division.rest.fraction > 0:
        yield division.rest.attributes, max(0.0, rest)


def _granted(division: Division, value: float) -> Iterator[Part]:
    """Divide what there is by what was granted; pods that share a part of it without limits have no limit of their own."""
    if any(share.attribution is Attribution.EQUAL for share in division.shares):
        return
    for share in (*division.shares, division.rest):
        if share.fraction > 0:
            yield share.attributes, value * share.fraction


def put_intruders(
    sheet: Sheet, listed: Sequence[Device], ownership: Ownership, work: Mapping[str, Work], pods: Pods
) -> None:
    """Put how many processes use a device that nothing allocated to their pods, and how many are the host's own.

    What nobody has may have been given to an init container, which the kubelet does not list.
    """
    if ownership.level == "none":
        return
    allowed = {(holding.device, holding.owner.uid) for holding in ownership.holdings}
    held = ownership.stakes.keys()
    devices = {device.uuid: device for device in listed}
    for uuid, done in work.items():
        named = device_attributes(uuid, devices.get(uuid))
        for uid, (pod, number) in done.pods.items():
            if uuid in ownership.veiled or pods.is_infrastructure(pod.namespace, pod.name):
                continue  # who may be there cannot be known, or is everybody's servant
            found = number - (0 if uuid in held else done.early.get(uid, 0))
            if found and (uuid, uid) not in allowed:
                owner = owner_attributes(pods.owner(pod.namespace, pod.name, uid))
                sheet.put(catalog.OWNER_UNALLOCATED, {**named, **owner, catalog.PROCESS_PLACE.key: "pod"}, float(found))
        if done.host:
            sheet.put(catalog.OWNER_UNALLOCATED, {**named, catalog.PROCESS_PLACE.key: "host"}, float(done.host))
