# SPDX-License-Identifier: Apache-2.0
"""The fold of XIDs: first seen at 0, counted once, kept while the GPU is there and a while longer, bounded."""

from collections.abc import Iterable
from dataclasses import replace

from frames import CONTEXT, NOW, frames, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import SAID_AGAIN, DeviceReport, Frames, KernelReport, Point, Snapshot, Sxid, Unsupported, Xid
from inferometer.xid_catalog import ALERTED
from reported import (
    by_kernel,
    by_nvml,
    counters,
    counts,
    dropped,
    labels,
    number,
    of_switch,
    points,
    totals,
    with_address,
)

RULES = Rules(linger=300.0, max_codes=3, max_sxids=2, same_xid=10.0)


def tick(
    passed: float,
    *xids: Xid,
    devices: Iterable[int] = (0, 1),
    sxids: tuple[Sxid, ...] = (),
    lost: int | None = None,
) -> Frames:
    """Give what both tellers say, the kernel's log only where it has something to say."""
    log = tuple(xid for xid in xids if xid.teller == "kernel")
    kernel = KernelReport(log, sxids, lost or 0) if log or sxids or lost is not None else None
    events = [xid for xid in xids if xid.teller == "nvml"]
    return frames(devices=[with_address(i) for i in devices], xids=events, kernel=kernel, passed=passed)


def run(*ticks: Frames) -> list[Snapshot]:
    state, snapshots = State(), []
    for frames_now in ticks:
        state, snapshot = account(state, join(frames_now, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def counter(snapshot: Snapshot, code: int) -> Point:
    """Give a code's counter of the first GPU."""
    found = (p for p in points(snapshot, catalog.XID_ERRORS) if labels(p)["gpu.xid.code"] == str(code))
    return next(p for p in found if labels(p)["hw.id"] == "GPU-0")


def test_what_alerts_name_and_the_total_stand_at_zero_from_the_first_snapshot() -> None:
    """The first snapshot that shows a GPU has all of them, of GPUs only, with the start of the counting."""
    mig = frames(devices=[with_address(0), instance(0, 0)])

    (only,) = run(mig)

    assert counters(only) == {("GPU-0", code): 0.0 for code in ALERTED}
    assert totals(only) == {"GPU-0": 0.0}
    assert {p.start for p in points(only, catalog.XID_ERRORS)} == {NOW}


def without_events(told: Frames) -> Frames:
    """Give the same of a driver that refuses XID events of the first GPU."""
    refused = Unsupported("GPU-0", "gpu.xid.errors", "nvmlDeviceGetSupportedEventTypes", "not_supported")
    good = tuple(
        replace(f, value=replace(f.value, unsupported=(refused,))) if isinstance(f.value, DeviceReport) else f
        for f in told.good
    )
    return replace(told, outcomes=good, good=good)


def test_a_gpu_whose_xids_nobody_tells_has_no_zero() -> None:
    """Without NVML's events and the kernel's log no 0 is known; from the first record of either on there is one, and it stays."""
    unheard, heard, hiccup = run(
        without_events(tick(0)), without_events(tick(5, lost=0)), without_events(tick(10, by_nvml(1, device=1)))
    )

    assert totals(unheard) == {"GPU-1": 0.0}
    assert {gpu for gpu, _ in counters(unheard)} == {"GPU-1"}
    assert totals(heard) == {"GPU-0": 0.0, "GPU-1": 0.0}
    assert totals(hiccup) == {"GPU-0": 0.0, "GPU-1": 1.0}


def test_a_code_that_stands_counts_at_once() -> None:
    """What is there at 0 shows an XID in the snapshot that first sees it; GPUs and codes are told apart."""
    *_, last = run(tick(0), tick(5, by_nvml(1), by_nvml(2, times=4), by_nvml(3, 48, device=1)))

    assert counts(last) == {("GPU-0", 79): 5.0, ("GPU-1", 48): 1.0}
    assert totals(last) == {"GPU-0": 5.0, "GPU-1": 1.0}
    assert labels(counter(last, 79)) == {
        "hw.id": "GPU-0",
        "gpu.index": "0",
        "gpu.xid.code": "79",
        "gpu.xid.severity": "fatal",
    }


def test_xids_of_the_first_snapshot_are_seen_as_an_increase() -> None:
    """A GPU that is first seen with an XID has 0 there, and the count in the next snapshot."""
    first, second = run(tick(0, by_nvml(1)), tick(5, by_nvml(1)))

    assert (counter(first, 79).value, totals(first)["GPU-0"]) == (0.0, 0.0)
    assert (counter(second, 79).value, totals(second)["GPU-0"]) == (1.0, 1.0)


def test_the_first_of_any_other_code_is_seen_as_an_increase() -> None:
    """The snapshot that first sees a code has it at 0, the next one has the count, with what came in both."""
    told = by_nvml(1, 31), by_nvml(2, 31), by_nvml(3, 31)
    none, born, counted, still, again = run(
        tick(0), tick(5, *told[:2]), tick(10, *told), tick(15, *told), tick(10 + SAID_AGAIN, *told)
    )

    assert ("GPU-0", 31) not in counters(none)
    assert [counter(s, 31).value for s in (born, counted, still)] == [0.0, 3.0, 3.0]
    assert [totals(s)["GPU-0"] for s in (none, born, counted, still)] == [0.0, 0.0, 3.0, 3.0]
    assert {counter(s, 31).start for s in (born, counted, still)} == {NOW}
    assert [counter(s, 31).at for s in (born, counted, still)] == [NOW + 5, NOW + 10, NOW + 10]
    assert counter(again, 31).at == NOW + 10 + SAID_AGAIN


def test_an_event_is_counted_once_however_often_it_is_told() -> None:
    """The same events in many ticks, or in a report that comes again, are the same events."""
    told = (by_nvml(4), by_nvml(5, device=1), by_kernel(9, 48))

    *_, last = run(*(tick(5.0 * i, *told) for i in range(5)))

    assert counts(last) == {("GPU-0", 79): 1.0, ("GPU-1", 79): 1.0, ("GPU-0", 48): 1.0}


def test_counts_outlive_the_source_and_its_reports() -> None:
    """While the driver is away, or a new sampler knows nothing of before, the counts stand."""
    *_, away, anew = run(tick(0, by_nvml(1)), tick(5), frames(passed=10), tick(15, by_nvml(9)))

    assert counts(away) == {("GPU-0", 79): 1.0}
    assert counts(anew) == {("GPU-0", 79): 2.0}


def test_a_gpu_that_is_gone_takes_its_counts_after_the_linger() -> None:
    """They stand, frozen, for the linger, and then end; when the GPU is back they go on, and what is new counts one later."""
    _, gone, still, over, back, later = run(
        tick(0, by_nvml(1)),
        tick(5, devices=[1]),
        tick(300, devices=[1]),
        tick(306, devices=[1]),
        tick(400, by_nvml(2)),
        tick(405),
    )

    assert counts(gone) == counts(still) == {("GPU-0", 79): 1.0}
    assert counter(still, 79).at == NOW + 5
    assert {device for device, _ in counters(over)} == set(totals(over)) == {"GPU-1"}
    assert {labels(p)["gpu.xid.code"] for p in points(over, catalog.XID_INFO)} == {str(code) for code in ALERTED}
    assert (counter(back, 79).value, counter(back, 79).start) == (1.0, NOW)
    assert (counter(later, 79).value, totals(later)["GPU-0"]) == (2.0, 2.0)


def test_the_log_tells_of_a_gpu_that_is_long_gone() -> None:
    """Its counters come back for a linger, with their last value first: an increase can be seen; then they end again."""
    _, away, told, counted, over = run(
        tick(0, by_nvml(1)),
        tick(5, devices=[1]),
        tick(400, by_kernel(1, at=400.0), devices=[1]),
        tick(405, devices=[1]),
        tick(800, devices=[1]),
    )

    assert counts(away) == counts(told) == {("GPU-0", 79): 1.0}
    assert counts(counted) == {("GPU-0", 79): 2.0}
    assert {device for device, _ in counters(over)} == {"GPU-1"}


def test_codes_beyond_the_limit_are_dropped_and_stand_in_the_total() -> None:
    """A GPU has counters of so many codes besides those that stand; the others count as dropped, other GPUs are untouched."""
    told = (*(by_nvml(i, 1000 + i) for i in range(1, 6)), by_nvml(6, 79), by_nvml(7, 9, device=1), by_nvml(8, 1005))

    *_, last = run(tick(0), tick(5, *told), tick(10, *told))

    assert counts(last) == {
        **{("GPU-0", 1000 + i): 1.0 for i in (1, 2, 3)},
        ("GPU-0", 79): 1.0,
        ("GPU-1", 9): 1.0,
    }
    assert totals(last) == {"GPU-0": 7.0, "GPU-1": 1.0}
    assert dropped(last) == 3.0


def test_events_that_were_pushed_out_before_they_were_counted_are_dropped_and_counted() -> None:
    """Each teller's numbers are consecutive, its SXIDs' among them: a gap is what the report could not hold."""
    *_, last = run(
        tick(0, by_nvml(7), by_kernel(1, 48)),
        tick(5, by_nvml(12), by_nvml(13), by_kernel(4, 48), sxids=(of_switch(3),)),
        tick(10),
    )

    assert dropped(last) == 4.0 + 1.0


def test_when_the_newest_was_is_absent_until_there_was_one() -> None:
    """The newest of the code, by whichever teller, and no time of a code that was never told."""
    first, second = run(tick(0), tick(9, by_nvml(1, at=3.0), by_nvml(2, at=7.0), by_kernel(1, 31, at=8.5)))

    assert points(first, catalog.XID_LAST_TIME) == []
    newest = {labels(p)["gpu.xid.code"]: p.value for p in points(second, catalog.XID_LAST_TIME)}
    assert newest == {"79": NOW + 7.0, "31": NOW + 8.5}


def test_every_code_with_a_counter_is_described_once_a_node() -> None:
    """Mnemonic, severity and action stand once, however many GPUs there are; an unknown code has no mnemonic."""
    *_, last = run(tick(0), tick(5, by_nvml(1, 31), by_nvml(2, 999), by_nvml(3, 31, device=1)))

    described = {labels(p)["gpu.xid.code"]: labels(p) for p in points(last, catalog.XID_INFO)}
    assert set(described) == {str(code) for code in (*ALERTED, 31, 999)}
    assert len(points(last, catalog.XID_INFO)) == len(described)
    assert described["31"] == {
        "gpu.xid.code": "31",
        "gpu.xid.mnemonic": "FIFO_ERROR_MMU_ERR_FLT",
        "gpu.xid.severity": "application",
        "gpu.xid.action": "restart_app",
    }
    assert described["999"] == {"gpu.xid.code": "999", "gpu.xid.severity": "unknown", "gpu.xid.action": "unknown"}


def test_sxids_are_first_seen_at_zero_by_switch_code_and_fatality() -> None:
    """Each counts once, in the snapshot after its first; what is too much is dropped and counted."""
    told = (of_switch(1), of_switch(2, fatal=False), of_switch(3), of_switch(4, 9, switch=1))
    born, counted, more = run(
        tick(0, sxids=told), tick(5, sxids=told), tick(10, sxids=(*told, of_switch(5, fatal=False)))
    )

    def of(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
        return {tuple(labels(p).values()): number(p) for p in points(snapshot, catalog.SXID_ERRORS)}

    fatal, other = ("0000:c0:00.0", "20034", "fatal"), ("0000:c0:00.0", "20034", "warning")
    assert of(born) == {fatal: 0.0, other: 0.0}
    assert of(counted) == {fatal: 2.0, other: 1.0}
    assert of(more) == {fatal: 2.0, other: 2.0}
    assert dropped(more) == 1.0


def test_lost_records_of_the_kernels_log_are_counted_where_it_is_read() -> None:
    """Absent without the log; its count since the start where there is one, also while it cannot be read, and after a reload."""
    none, first, more, away, anew = run(tick(0), tick(5, lost=2), tick(10, lost=7), tick(15), tick(20, lost=1))

    assert dropped(none, "kernel_log") is None
    assert [dropped(s, "kernel_log") for s in (first, more, away, anew)] == [2.0, 7.0, 7.0, 8.0]
