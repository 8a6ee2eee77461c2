# SPDX-License-Identifier: Apache-2.0
"""How every GPU is, by the rules that hold for what was read of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from inferometer import catalog, xid_catalog
from inferometer.join.laid import find_moved
from inferometer.join.memo import Recall
from inferometer.join.rules import OK, RULES, STATES, Facts, Numbers, Pair, Rule
from inferometer.join.sheet import Sheet
from inferometer.join.wiring import find_wired
from inferometer.model import Device, DeviceReport, Metric, Reading, Value, Xid

XID_WINDOW = 600.0  # seconds that an XID counts for: a table, unlike the driver, does not say when it is over

Seen = tuple[str, Metric, tuple[Pair, ...], Value]  # a reading without its times

READ = frozenset(metric for rule in RULES for metric in rule.when.reads)


def causes(facts: Facts) -> tuple[Rule, ...]:
    """Give every rule that holds, in the table's order."""
    return tuple(rule for rule in RULES if rule.when.holds(facts))


def worst(rules: Iterable[Rule]) -> str:
    """Give the state that they mean together."""
    return max((rule.state for rule in rules), key=STATES.index, default=OK)


def examine(
    report: DeviceReport, readings: Sequence[Reading], xids: Iterable[Xid], now: float, recall: Recall
) -> Mapping[str, tuple[Rule, ...]]:
    """Find, for every physical GPU by its UUID, the rules that hold. `now` is Unix seconds, as the XIDs' `at`.

    What the rules look at, the report's `readings` of `READ`, seldom changes: then it is recalled what they said.
    """
    gpus = recall.of("gpus", report.devices, lambda: [device for device in report.devices if not device.is_instance])
    seen = _seen(readings, recall)
    recent = _recent(gpus, xids, now)
    looked_at = (seen, gpus, set(report.unresponsive), recent, report.linked)
    return recall.of("examined", looked_at, lambda: _examine(*looked_at))


def _seen(readings: Sequence[Reading], recall: Recall) -> Sequence[Seen]:
    """Give readings without their times, the same object where only those are others than before."""
    before: tuple[Sequence[Reading], Sequence[Seen]] | None = recall.before("seen")
    seen = None
    if before is not None and len(before[0]) == len(readings):
        olds, seen = before
        if any(readings[place][:4] != olds[place][:4] for place in find_moved(readings, olds)):
            seen = None
    seen = [reading[:4] for reading in readings] if seen is None else seen
    recall.note("seen", (readings, seen))
    return seen


def _examine(
    readings: Iterable[Seen],
    gpus: Sequence[Device],
    silent: Collection[str],
    recent: Mapping[str, Collection[str]],
    linked: Mapping[str, frozenset[str]],
) -> Mapping[str, tuple[Rule, ...]]:
    numbers = _by_gpu(gpus, readings)
    wired = find_wired(gpus, numbers, linked)
    return {
        gpu.uuid: causes(
            Facts(
                gpu.uuid in silent,
                numbers[gpu.uuid],
                frozenset(recent[gpu.uuid]),
                wired.get(gpu.uuid, frozenset()),
            )
        )
        for gpu in gpus
    }


def _by_gpu(gpus: Iterable[Device], readings: Iterable[Seen]) -> Mapping[str, Numbers]:
    """Sort what the rules look at by GPU."""
    sorted_: dict[str, dict[Metric, list[tuple[tuple[Pair, ...], float]]]] = {gpu.uuid: {} for gpu in gpus}
    for subject, metric, attributes, value in readings:
        if subject in sorted_ and isinstance(value, (int, float)):
            sorted_[subject].setdefault(metric, []).append((attributes, value))
    return sorted_


def _recent(gpus: Iterable[Device], xids: Iterable[Xid], now: float) -> Mapping[str, set[str]]:
    """Give the severities of each GPU's newest XIDs; NVML names the GPU by its UUID, the kernel's log by its PCI address."""
    found: dict[str, set[str]] = {gpu.uuid: set() for gpu in gpus}
    names = {name: gpu.uuid for gpu in gpus for name in (gpu.uuid, _slot(gpu.pci_address or "")) if name}
    for xid in xids:
        uuid = names.get(xid.device or _slot(xid.pci_address))
        if uuid is not None and abs(now - xid.at) < XID_WINDOW:
            found[uuid].add(xid_catalog.entry(xid.code).severity)
    return found


def _slot(address: str) -> str:
    """Leave the function out of a PCI address: older drivers do not write it in the kernel's log."""
    return address.partition(".")[0].lower()


def put_health(sheet: Sheet, attributes: Mapping[str, str | None], rules: Iterable[Rule]) -> None:
    """Put a GPU's state and all its causes; `attributes` name the GPU."""
    held = tuple(rules)
    state = worst(held)
    for possible in catalog.HW_STATE.values:
        told = {**attributes, catalog.HW_TYPE.key: "gpu", catalog.HW_STATE.key: possible}
        sheet.put(catalog.STATUS, told, 1.0 if possible == state else 0.0)
    for rule in held:
        told = {**attributes, catalog.HW_STATE.key: rule.state, catalog.HEALTH_CAUSE.key: rule.cause}
        sheet.put(catalog.GPU_HEALTH_CAUSE, told, 1.0)
