# SPDX-License-Identifier: Apache-2.0
"""Whom an XID hit: the one pod that held the GPU or instance alone from one snapshot to the next, and nobody else."""

from collections.abc import Mapping
from dataclasses import replace

from frames import CONTEXT, NOW, frames, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Allocation, Device, Frames, KernelReport, Pod, Snapshot, Xid
from reported import by_kernel, by_nvml, counts, labels, number, points, with_address

RULES = Rules(linger=300.0, same_xid=10.0)
POD, OTHER = Pod("uid-a", "ns", "a", "Running"), Pod("uid-b", "ns", "b", "Running")
MIG = (replace(with_address(0), mig_enabled=True), instance(0, 0), instance(0, 1))


def tick(
    passed: float, *xids: Xid, held: Mapping[str, tuple[Pod, ...]], devices: tuple[Device, ...] = (with_address(0),)
) -> Frames:
    """Give one snapshot's frames: who holds what, and what both tellers say."""
    return frames(
        devices=devices,
        xids=[xid for xid in xids if xid.teller == "nvml"],
        kernel=KernelReport(tuple(xid for xid in xids if xid.teller == "kernel")),
        allocations=[Allocation(p.namespace, p.name, "main", device) for device, pods in held.items() for p in pods],
        pods=[POD, OTHER],
        passed=passed,
    )


def run(*ticks: Frames) -> list[Snapshot]:
    state, snapshots = State(), []
    for frames_now in ticks:
        state, snapshot = account(state, join(frames_now, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def hits(snapshot: Snapshot) -> dict[tuple[str, str, str], float]:
    """Give the owners' counters by pod UID, device and severity."""
    return {
        (labels(p)["k8s.pod.uid"], labels(p)["hw.id"], labels(p)["gpu.xid.severity"]): number(p)
        for p in points(snapshot, catalog.OWNER_XID_ERRORS)
    }


def hit(snapshot: Snapshot) -> dict[tuple[str, str, str], float]:
    return {key: value for key, value in hits(snapshot).items() if value}


HELD = {"GPU-0": (POD,)}


def test_an_owners_counters_stand_at_zero_in_the_first_snapshot_of_the_holding() -> None:
    """One for each severity that can hit an owner, with all that a holding's values carry (law 6)."""
    (only,) = run(tick(0, held=HELD))

    severities = ("application", "warning", "reset", "fatal")
    assert hits(only) == {("uid-a", "GPU-0", severity): 0.0 for severity in severities}
    first = points(only, catalog.OWNER_XID_ERRORS)[0]
    time = points(only, catalog.OWNER_TIME)[0]
    assert labels(first) == {**labels(time), "gpu.xid.severity": "application"}
    assert first.start == time.start == NOW


def test_an_xid_hits_who_held_the_gpu_at_both_ends() -> None:
    """By its severity; what is only told for information, and what nobody knows, is nobody's."""
    told = (by_nvml(1, 31, at=6), by_nvml(2, 79, at=6, times=2), by_nvml(3, 154, at=6), by_nvml(4, 999, at=6))
    *_, last = run(tick(0, held=HELD), tick(5, held=HELD), tick(10, *told, held=HELD))

    assert hit(last) == {("uid-a", "GPU-0", "application"): 1.0, ("uid-a", "GPU-0", "fatal"): 2.0}


def test_what_was_before_the_holding_or_around_its_ends_is_nobodys() -> None:
    """The interval in which a holding begins or ends, a shared GPU, and an old line that is told late."""
    shared = {"GPU-0": (POD, OTHER)}
    *_, last = run(
        tick(0, held={}),
        tick(5, by_nvml(1, at=4), held=HELD),  # begins
        tick(10, by_kernel(1, at=-60), by_nvml(2, 48, at=9, late=60), held=HELD),  # told late
        tick(15, by_nvml(3, at=14), held={}),  # has ended
        tick(20, by_nvml(4, at=19), held=shared),
        tick(25, by_nvml(5, at=24), held=shared),
        tick(30, held=shared),
    )

    assert counts(last) == {("GPU-0", 79): 5.0, ("GPU-0", 48): 1.0}
    assert hit(last) == {}


def test_what_both_tell_hits_its_owner_once() -> None:
    """The second teller's is the same XID."""
    *_, last = run(tick(0, held=HELD), tick(5, by_kernel(1, at=4), held=HELD), tick(10, by_nvml(1, at=9), held=HELD))

    assert hit(last) == {("uid-a", "GPU-0", "fatal"): 1.0}


def test_an_xid_of_an_instance_hits_the_instances_owner() -> None:
    """By its GPU instance, and compute instance where it is named; one of the whole GPU in MIG mode is nobody's."""
    held = {"MIG-0-0": (POD,), "MIG-0-1": (OTHER,)}
    told = (
        replace(by_nvml(1, 94, at=6), gpu_instance=7),
        replace(by_kernel(1, 31, at=6), gpu_instance=8, compute_instance=0),
        replace(by_nvml(2, 13, at=6), gpu_instance=8, compute_instance=3),
        replace(by_nvml(3, 69, at=6), gpu_instance=5),
        by_nvml(4, 95, at=6),
    )
    *_, last = run(
        tick(0, held=held, devices=MIG), tick(5, held=held, devices=MIG), tick(10, *told, held=held, devices=MIG)
    )

    assert hit(last) == {("uid-a", "MIG-0-0", "warning"): 1.0, ("uid-b", "MIG-0-1", "application"): 1.0}


def test_two_compute_instances_of_one_gpu_instance_are_not_guessed_at() -> None:
    """Where the XID names only the GPU instance, and two pods have a part of it, it is nobody's."""
    second = replace(instance(0, 0), uuid="MIG-0-0b", compute_instance=1)
    devices, held = (MIG[0], instance(0, 0), second), {"MIG-0-0": (POD,), "MIG-0-0b": (OTHER,)}
    told = replace(by_nvml(1, 94, at=6), gpu_instance=7)
    *_, last = run(tick(0, held=held, devices=devices), tick(10, told, held=held, devices=devices))

    assert hit(last) == {}


def test_the_teller_that_knows_the_instance_gives_the_owner() -> None:
    """What one told of the whole GPU has its owner when the other names the instance; it counts once."""
    held = {"MIG-0-0": (POD,)}
    *_, before, after, last = run(
        tick(0, held=held, devices=MIG),
        tick(5, by_nvml(1, 94, at=4), held=held, devices=MIG),
        tick(10, replace(by_kernel(1, 94, at=3), gpu_instance=7), held=held, devices=MIG),
        tick(15, held=held, devices=MIG),
    )

    assert hit(before) == {}
    assert hit(after) == hit(last) == {("uid-a", "MIG-0-0", "warning"): 1.0}
    assert counts(last) == {("GPU-0", 94): 1.0}


def test_an_owners_counters_freeze_and_end_with_its_time() -> None:
    """They stay for the linger, and come back with their counts when the holding does."""
    begin = (tick(0, held=HELD), tick(5, by_nvml(1, at=4), held=HELD))
    *_, frozen, back = run(*begin, tick(10, held={}), tick(15, held=HELD))
    *_, over = run(*begin, tick(10, held={}), tick(311, held={}))

    assert hit(frozen) == hit(back) == {("uid-a", "GPU-0", "fatal"): 1.0}
    assert {p.at for p in points(frozen, catalog.OWNER_XID_ERRORS)} == {NOW + 5}
    assert hits(over) == {}


def test_without_identity_sources_the_gpus_counters_are_the_same() -> None:
    """Nobody is hit, and the device's series have no owner's part in them (law 6)."""
    *_, last = run(frames(devices=[with_address(0)]), frames(devices=[with_address(0)], xids=[by_nvml(1)], passed=5))

    assert counts(last) == {("GPU-0", 79): 1.0}
    assert points(last, catalog.OWNER_XID_ERRORS) == []
