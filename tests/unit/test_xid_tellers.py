# SPDX-License-Identifier: Apache-2.0
"""NVML and the kernel's log tell most XIDs both: each counts once, and on the right GPU, whatever names it."""

from dataclasses import replace

import pytest

from frames import CONTEXT, NOW, frames, instance
from inferometer.accounting import Rules, State, account
from inferometer.accounting.xids.places import plain
from inferometer.join import join
from inferometer.model import Device, Frames, KernelReport, Snapshot, Xid
from reported import address, by_kernel, by_nvml, counters, counts, dropped, with_address

RULES = Rules(linger=300.0, same_xid=10.0)


def tick(passed: float, *xids: Xid, devices: tuple[Device, ...] = (with_address(0), with_address(1))) -> Frames:
    events = [xid for xid in xids if xid.teller == "nvml"]
    log = KernelReport(tuple(xid for xid in xids if xid.teller == "kernel"))
    return frames(devices=devices, xids=events, kernel=log, passed=passed)


def run(*ticks: Frames) -> list[Snapshot]:
    state, snapshots = State(), []
    for frames_now in ticks:
        state, snapshot = account(state, join(frames_now, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def test_what_both_tell_counts_once_whoever_is_first() -> None:
    """The log first and NVML a period later, the other way round, or both in one snapshot."""
    *_, last = run(
        tick(0),
        tick(5, by_kernel(1, 79, at=3.0), by_nvml(1, 48, at=4.0)),
        tick(10, by_nvml(2, 79, at=9.0), by_kernel(2, 48, at=2.0)),
        tick(15, by_nvml(3, 95, at=14.0), by_kernel(3, 95, at=13.0)),
    )

    assert counts(last) == {("GPU-0", 79): 1.0, ("GPU-0", 48): 1.0, ("GPU-0", 95): 1.0}


def test_what_one_tells_alone_counts_too() -> None:
    """NVML misses some, and the log can be overwritten; another code, GPU or time is another XID."""
    *_, last = run(
        tick(0),
        tick(5, by_kernel(1, 79, at=3.0)),
        tick(10, by_nvml(1, 79, device=1, at=5.0), by_nvml(2, 48, at=5.0)),
        tick(30, by_nvml(3, 79, at=29.0)),
    )

    assert counts(last) == {("GPU-0", 79): 2.0, ("GPU-1", 79): 1.0, ("GPU-0", 48): 1.0}


def test_a_storm_counts_as_often_as_the_one_who_told_more_says() -> None:
    """NVML tells equal ones of a period as one event with a number, the log line by line."""
    lines = [by_kernel(i, 31, at=5.0 + i / 10) for i in range(1, 41)]
    *_, last = run(
        tick(0),
        tick(10, by_nvml(1, 31, at=9.0, times=30), *lines[:10]),
        tick(15, *lines),
        tick(20, *lines, by_nvml(2, 31, at=16.0, times=20)),
    )

    assert counts(last) == {("GPU-0", 31): 50.0}


def test_what_is_kept_for_the_other_teller_is_bounded() -> None:
    """Where one teller alone speaks, what it told is forgotten after a while, and the oldest first where it is much."""
    state = State()
    for second in range(0, 6000, 100):
        told = tuple(by_kernel(second + i, 1000 + i, i % 2, at=float(second)) for i in range(100))
        state, _ = account(state, join(tick(float(second), *told), CONTEXT), Rules(max_codes=200))
        kept = [entry.at - NOW for entries in state.reports.unmatched.values() for entry in entries]
        assert min(kept) >= second - 600
    many = tuple(by_kernel(6000 + i, 1000 + i % 150, at=6000.0 + i) for i in range(5000))
    for passed in (6000.0, 6005.0):
        state, _ = account(state, join(tick(passed, *many), CONTEXT), Rules(max_codes=200))
    assert sum(map(len, state.reports.unmatched.values())) <= 4096


def test_the_oldest_that_fits_is_taken() -> None:
    """Two XIDs whose times overlap: taking the nearest would leave one without its other half."""
    *_, last = run(
        tick(0),
        tick(10, by_kernel(1, at=0.0), by_kernel(2, at=9.0)),
        tick(15, by_nvml(1, at=9.5)),
        tick(25, by_nvml(2, at=23.5)),
    )

    assert counts(last) == {("GPU-0", 79): 2.0}


def test_a_teller_that_was_held_up_tells_nothing_twice() -> None:
    """What the log tells minutes later is held against what NVML told at that time."""
    *_, last = run(tick(0), tick(5, by_nvml(1, at=4.0)), tick(240, by_kernel(1, at=3.0)))

    assert counts(last) == {("GPU-0", 79): 1.0}


def test_events_that_were_not_asked_for_tell_nothing_twice() -> None:
    """After a hang NVML's events are left alone for a while; what waited there was in the log long ago."""
    *_, last = run(tick(0), tick(5, by_kernel(1, 119, at=3.0)), tick(200, by_nvml(1, 119, at=199.0, late=198.0)))
    *_, other = run(tick(0), tick(5, by_kernel(1, 119, at=3.0)), tick(200, by_nvml(1, 119, at=199.0, late=150.0)))

    assert counts(last) == {("GPU-0", 119): 1.0}
    assert counts(other) == {("GPU-0", 119): 2.0}


@pytest.mark.parametrize(
    "written",
    ["0000:3b:00", "0000:3b:00.0", "PCI:0000:3b:00", "PCI:0000:3B:00", "00000000:3B:00.0", "3b:00", "pci:0:3b:0"],
)
def test_one_address_has_many_spellings(written: str) -> None:
    """Case, domain, function and prefix make no difference."""
    assert plain(written) == "0000:3b:00"
    *_, last = run(tick(0), tick(5, replace(by_kernel(1), pci_address=written)))
    assert counts(last) == {("GPU-0", 79): 1.0}


@pytest.mark.parametrize("written", ["", "3b", "0001:3b:00", "0000:3b:00:00", "0000:3b:01", "x" * 1000])
def test_another_address_is_not_this_gpu(written: str) -> None:
    """A domain or device that differs, and what is no address, is no GPU of this node; it is told in the end."""
    *_, waiting, over = run(tick(0), tick(5, replace(by_kernel(1), pci_address=written)), tick(306))

    assert counts(waiting) == {}
    assert (dropped(waiting, "xid_unresolved"), dropped(over, "xid_unresolved")) == (0.0, 1.0)


def test_a_gpu_that_is_lost_has_told_why() -> None:
    """The address is known although the driver no longer shows the GPU, and while the driver is away."""
    one = (with_address(1),)
    *_, lost, away = run(
        tick(0),
        tick(5, by_kernel(1, 79), devices=one),
        frames(kernel=KernelReport((by_kernel(2, 119, at=10.0),)), passed=10),
    )

    assert counts(lost) == {("GPU-0", 79): 1.0}
    assert counts(away) == {("GPU-0", 79): 1.0, ("GPU-0", 119): 1.0}


def test_a_gpu_that_was_gone_for_long_is_seen_as_an_increase_again() -> None:
    """Its counters have ended; an XID in the log has one again, first at 0, under the GPU's index."""
    one = (with_address(1),)
    told = by_kernel(1, 79, at=400.0)
    *_, over, born, counted = run(
        tick(0), tick(5, devices=one), tick(350, devices=one), tick(400, told, devices=one), tick(405, devices=one)
    )

    assert "GPU-0" not in {device for device, _ in counters(over)}
    assert counters(born)["GPU-0", 79] == 0.0
    assert counts(counted) == {("GPU-0", 79): 1.0}


def test_an_xid_of_an_unknown_address_waits_for_its_gpu() -> None:
    """At the start the log may be read before the driver answers: the XID counts when the GPU shows."""
    early = by_kernel(1, 79)
    before, shown, counted = run(frames(kernel=KernelReport((early,))), tick(5, early), tick(10, early))

    assert counts(before) == {}
    assert counters(shown)["GPU-0", 79] == 0.0
    assert counts(counted) == {("GPU-0", 79): 1.0}
    assert dropped(counted, "xid_unresolved") == 0.0


def test_no_more_wait_than_the_limit_and_the_newest_stay() -> None:
    """A log full of lines of no GPU costs a bounded memory, and is told."""
    many = tuple(replace(by_kernel(i, i), pci_address="0000:ff:00") for i in range(1, 301))
    (last,) = run(frames(kernel=KernelReport(many)))

    assert dropped(last, "xid_unresolved") == 44.0


def test_a_gpu_that_takes_another_ones_place_has_its_xids() -> None:
    """After a replacement the address is the new GPU's."""
    new = replace(with_address(0), uuid="GPU-new")
    *_, last = run(tick(0), tick(5, devices=(new,)), tick(10, by_kernel(1, at=9.0), devices=(new,)))

    assert counts(last) == {("GPU-new", 79): 1.0}


def test_an_instance_does_not_take_its_parents_place() -> None:
    """Instances carry their GPU's address; the XIDs are the GPU's."""
    slice_ = replace(instance(0, 0), pci_address=f"{address(0)}.0")
    *_, last = run(*(tick(t, *xids, devices=(with_address(0), slice_)) for t, xids in ((0, ()), (5, (by_kernel(1),)))))

    assert counts(last) == {("GPU-0", 79): 1.0}
