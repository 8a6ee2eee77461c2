# SPDX-License-Identifier: Apache-2.0
"""How a GPU is: each rule by an example, through the join."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from frames import CONTEXT, NOW, frames, gpu
from inferometer import catalog
from inferometer.join import join
from inferometer.join.rules import RULES, STATES, Rule
from inferometer.model import Device, DeviceReport, KernelReport, Metric, Reading, Snapshot, Xid

GPU = Device("GPU-0", 0, minor=0, pci_address="0000:3b:00.0")
Numbers = Sequence[tuple[Metric, dict[str, str], float]]


def state(snapshot: Snapshot, uuid: str = "GPU-0") -> str:
    """Give the one state that is 1."""
    (held,) = (
        told["hw.state"]
        for p in snapshot.points
        if p.metric is catalog.STATUS and p.value == 1.0
        for told in [dict(zip(p.metric.keys, p.attributes, strict=True))]
        if told["hw.id"] == uuid
    )
    assert held is not None
    return held


def causes(snapshot: Snapshot) -> set[tuple[str | None, str | None]]:
    keys = [catalog.HEALTH_CAUSE.key, catalog.HW_STATE.key]
    told = (dict(zip(p.metric.keys, p.attributes, strict=True)) for p in snapshot.points if p.metric is CAUSE)
    return {(t[keys[0]], t[keys[1]]) for t in told}


CAUSE = catalog.GPU_HEALTH_CAUSE


def examine(numbers: Numbers, *, xids: Sequence[Xid] = (), kernel: Sequence[Xid] = ()) -> Snapshot:
    """Join what is read of a GPU whose NVLinks 0 and 1 have been up before."""
    readings = [Reading("GPU-0", metric, tuple(attributes.items()), value) for metric, attributes, value in numbers]
    log = KernelReport(tuple(kernel)) if kernel else None
    seen = frames(devices=[GPU], readings=readings, xids=xids, kernel=log)
    linked = {"GPU-0": frozenset({"0", "1"})}
    good = [
        replace(frame, value=replace(frame.value, linked=linked)) if isinstance(frame.value, DeviceReport) else frame
        for frame in seen.good
    ]
    return join(replace(seen, good=tuple(good)), CONTEXT)


ECC = {"error.type": "uncorrected", "gpu.memory.location": "sram"}

EXAMPLES: dict[str, Numbers] = {
    "reset_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "gpu_reset"}, 1)],
    "drain_and_reset_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "drain_and_reset"}, 1)],
    "bus_reset_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "bus_reset"}, 1)],
    "node_reboot_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "node_reboot"}, 1)],
    "system_reboot_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "system_reboot"}, 1)],
    "row_remap_failure": [(catalog.GPU_ROW_REMAP_FAILURE, {}, 1)],
    "drain_p2p_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "drain_p2p"}, 1)],
    "imex_recovery_required": [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "recover_imex_domain"}, 1)],
    "row_remap_pending": [(catalog.GPU_ROW_REMAP_PENDING, {}, 1)],
    "page_retirement_pending": [(catalog.GPU_RETIRED_PENDING, {}, 1)],
    "uncorrected_memory_errors": [(catalog.HW_ERRORS, ECC, 1)],
    "hw_thermal": [
        (catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "hw_thermal"}, 1),
        (catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "hw_slowdown"}, 1),
    ],
    "hw_power_brake": [(catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "hw_power_brake"}, 1)],
    "hw_slowdown": [(catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "hw_slowdown"}, 1)],
    "pcie_width": [(catalog.PCIE_WIDTH, {}, 8), (catalog.PCIE_WIDTH_MAX, {}, 16)],
    "nvlink_down": [
        (catalog.NVLINK_UP, {"gpu.nvlink.link": "0"}, 1),
        (catalog.NVLINK_UP, {"gpu.nvlink.link": "1"}, 0),
    ],
    "c2c_link_down": [(catalog.C2C_UP, {"gpu.c2c.link": "0"}, 0), (catalog.C2C_UP, {"gpu.c2c.link": "1"}, 1)],
    **{
        f"fabric_{condition}": [(catalog.GPU_FABRIC_CONDITION, {"gpu.fabric.condition": condition}, 1)]
        for condition in catalog.FABRIC_CONDITION.values
    },
    "sram_threshold": [(catalog.GPU_SRAM_THRESHOLD, {}, 1)],
    "no_spare_rows": [(catalog.GPU_ROW_REMAP_BANKS, {"gpu.row_remap.availability": "none"}, 1)],
    "retired_pages": [
        (catalog.GPU_RETIRED_PAGES, {"gpu.retirement.cause": "single_bit"}, 60),
        (catalog.GPU_RETIRED_PAGES, {"gpu.retirement.cause": "double_bit"}, 4),
    ],
}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.cause in EXAMPLES], ids=lambda rule: rule.cause)
def test_each_rule_holds_for_its_example_alone(rule: Rule) -> None:
    """What is read makes one cause, and the state that the table says."""
    snapshot = examine(EXAMPLES[rule.cause])

    assert causes(snapshot) == {(rule.cause, rule.state)}
    assert state(snapshot) == rule.state


def test_every_rule_has_an_example_and_a_name_in_the_catalogue() -> None:
    """A rule that nobody has seen hold is no rule; the attribute's closed set is the table's causes."""
    assert {rule.cause for rule in RULES} == {*EXAMPLES, "unresponsive", "xid"}
    assert tuple(rule.cause for rule in RULES) == catalog.HEALTH_CAUSE.values
    assert {rule.state for rule in RULES} <= set(catalog.HW_STATE.values) == set(STATES)
    assert all(rule.source and rule.when.reads for rule in RULES)


def test_a_healthy_gpu_that_tells_everything_is_ok() -> None:
    """Corrected errors, an idle clock, the driver's verdict "none", remapped rows and links of no use are no cause."""
    snapshot = examine(
        [
            (catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "none"}, 1),
            (catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "gpu_reset"}, 0),
            (catalog.HW_ERRORS, {"error.type": "corrected", "gpu.memory.location": "dram"}, 7),
            (catalog.HW_ERRORS, ECC, 0),
            (catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "idle"}, 1),
            (catalog.GPU_THROTTLE_ACTIVE, {"gpu.throttle.reason": "sw_power_cap"}, 1),
            (catalog.GPU_ROW_REMAPS, {"error.type": "uncorrected"}, 2),
            (catalog.GPU_ROW_REMAP_BANKS, {"gpu.row_remap.availability": "low"}, 3),
            (catalog.GPU_RETIRED_PAGES, {"gpu.retirement.cause": "double_bit"}, 63),
            (catalog.NVLINK_UP, {"gpu.nvlink.link": "0"}, 1),
            (catalog.NVLINK_UP, {"gpu.nvlink.link": "2"}, 0),
            (catalog.PCIE_WIDTH, {}, 16),
            (catalog.PCIE_WIDTH_MAX, {}, 16),
            (catalog.PCIE_GENERATION, {}, 1),
            (catalog.PCIE_GENERATION_MAX, {}, 5),
        ]
    )

    assert causes(snapshot) == set()
    assert state(snapshot) == "ok"


def test_what_is_not_read_is_no_cause() -> None:
    """A width without the greatest width, and a GPU of which nothing is read, are ok."""
    assert state(examine([(catalog.PCIE_WIDTH, {}, 8)])) == "ok"
    assert state(examine([])) == "ok"


def test_all_causes_stand_and_the_worst_state_wins() -> None:
    """Somebody who mends the one sees what is left."""
    snapshot = examine([*EXAMPLES["sram_threshold"], *EXAMPLES["hw_thermal"], *EXAMPLES["row_remap_failure"]])

    assert causes(snapshot) == {
        ("sram_threshold", "predicted_failure"),
        ("hw_thermal", "degraded"),
        ("row_remap_failure", "failed"),
    }
    assert state(snapshot) == "failed"


def test_an_unresponsive_gpu_has_failed_and_the_other_has_not() -> None:
    """The cause stands on the GPU that is silent."""
    snapshot = join(frames(devices=[gpu(0), gpu(1)], unresponsive={"GPU-1": 12.0}), CONTEXT)

    assert causes(snapshot) == {("unresponsive", "failed")}
    assert (state(snapshot), state(snapshot, "GPU-1")) == ("ok", "failed")


def test_an_xid_is_a_cause_for_ten_minutes_whoever_told_it() -> None:
    """79 is fatal, 31 the application's own; the kernel's log names a GPU by its address, with its function or without."""
    lost = Xid(1, 79, NOW - 599, "nvml", "GPU-0")

    assert causes(examine([], xids=[lost])) == {("xid", "failed")}
    for address in ("0000:3b:00", "0000:3B:00.0"):
        assert causes(examine([], kernel=[Xid(1, 79, NOW - 5, "kernel", pci_address=address)])) == {("xid", "failed")}
    assert not causes(examine([], kernel=[Xid(1, 79, NOW - 5, "kernel", pci_address="0000:5e:00")]))
    assert not causes(examine([], xids=[Xid(1, 31, NOW, "nvml", "GPU-0")]))
    assert not causes(examine([], xids=[Xid(1, 79, NOW - 601, "nvml", "GPU-0")]))


def test_the_drivers_word_that_nothing_is_to_be_done_outranks_the_xid() -> None:
    """Where the driver gives a verdict, the table of XIDs says nothing of health."""
    verdict = [(catalog.GPU_RECOVERY_ACTION, {"gpu.recovery.action": "none"}, 1.0)]

    assert state(examine(verdict, xids=[Xid(1, 79, NOW, "nvml", "GPU-0")])) == "ok"
