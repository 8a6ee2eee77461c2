# SPDX-License-Identifier: Apache-2.0
"""XIDs by NVML's events, through the real nvidia-ml-py: each once, whatever the driver, the GPUs and the sampler do."""

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Open, read_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node, Xid
from inferometer.model import DeviceReport, Unsupported
from inferometer.sources.devices import events

GPUS = (Gpu("GPU-0", minor=0), Gpu("GPU-1", minor=1, mig=1, instances=(Instance("MIG-1"),)), Gpu("GPU-2", minor=2))
NODE = Node(GPUS)
METRIC = "gpu.xid.errors"


def counted(report: DeviceReport) -> Counter[tuple[str, int]]:
    """Give how often each GPU had each XID, all told."""
    counts: Counter[tuple[str, int]] = Counter()
    for xid in report.events:
        counts[xid.device, xid.code] += xid.times
    return counts


def complaints(report: DeviceReport) -> list[Unsupported]:
    return [u for u in (*report.unsupported, *report.failed) if u.metric == METRIC]


def gpus_that_speak(report: DeviceReport) -> set[str]:
    return {reading.subject for reading in report.readings} - {"MIG-1"}


def test_an_event_has_its_gpu_its_code_and_its_instance(driver: Driver, opened: Open) -> None:
    """Events of one kind stand as one row; the whole GPU is told apart from an instance of it."""
    driver.is_now(NODE)
    source = opened()
    assert source.read().events == ()

    driver.is_now(
        replace(NODE, xids=(Xid(0, 79, 1), Xid(1, 31, 1, (7, 0)), Xid(0, 13, 2), Xid(1, 31, 2), Xid(0, 13, 3)))
    )
    told = source.read().events

    assert [(x.device, x.code, x.gpu_instance, x.compute_instance, x.times) for x in told] == [
        ("GPU-0", 79, None, None, 1),
        ("GPU-0", 13, None, None, 2),
        ("GPU-1", 31, 7, 0, 1),
        ("GPU-1", 31, None, None, 1),
    ]
    assert [x.number for x in told] == list(range(told[0].number, told[0].number + 4))


def test_an_event_keeps_its_number_in_later_reports(driver: Driver, opened: Open) -> None:
    """A report that nobody looked at loses nothing: the next one tells its events again, as the same ones."""
    driver.is_now(NODE)
    source = opened()
    source.read()
    driver.is_now(replace(NODE, xids=(Xid(2, 48, 1),)))

    first, second = source.read().events, source.read().events
    driver.is_now(replace(NODE, xids=(Xid(2, 48, 1), Xid(2, 48, 2))))
    third = source.read().events

    assert first == second == third[:1]
    assert [x.number for x in third] == [first[0].number, first[0].number + 1]


def test_what_was_before_the_agent_is_not_counted(driver: Driver, opened: Open) -> None:
    """The driver repeats nothing to latecomers, and so neither do we."""
    driver.is_now(replace(NODE, xids=(Xid(0, 79, 1),)))
    source = opened()

    source.read()

    assert source.read().events == ()


def test_a_new_sampler_counts_on_and_nothing_twice(driver: Driver, opened: Open) -> None:
    """Killed and started again, the sampler registers anew: old events stay told once, new ones come."""
    driver.is_now(NODE)
    source = opened()
    source.read()
    driver.is_now(replace(NODE, xids=(Xid(0, 31, 1),)))
    before = source.read().events
    (pid,) = [p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]

    os.kill(pid, signal.SIGKILL)
    assert source.read().events == before
    driver.is_now(replace(NODE, xids=(Xid(0, 31, 1), Xid(0, 31, 2))))

    assert counted(source.read()) == {("GPU-0", 31): 2}
    assert counted(source.read()) == {("GPU-0", 31): 2}


@pytest.mark.parametrize("types", [None, 0x1])
def test_a_gpu_without_xid_events_is_named_once_and_loses_nothing_else(
    driver: Driver, opened: Open, types: int | None
) -> None:
    """A GPU that has no events, or not these, is listed; its values and the others' XIDs are there."""
    driver.is_now(replace(NODE, gpus=(replace(GPUS[0], event_types=types), *GPUS[1:]), trace=True))
    source = opened()
    source.read()
    driver.is_now(
        replace(
            NODE, gpus=(replace(GPUS[0], event_types=types), *GPUS[1:]), xids=(Xid(0, 13, 1), Xid(2, 13, 1)), trace=True
        )
    )

    for report in (source.read(), source.read()):
        assert complaints(report) == [Unsupported("GPU-0", METRIC, "nvmlDeviceGetSupportedEventTypes", "not_supported")]
        assert gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}
        assert counted(report) == {("GPU-2", 13): 1}
    asked = Counter(driver.calls())[(driver.calls()[-1][0], "nvmlDeviceGetSupportedEventTypes", "gpu0")]
    # A refusal is believed; an answer without them may have been a slip.
    assert asked == (1 if types is None else 3)


def test_an_answer_without_xid_events_may_have_been_a_slip(driver: Driver, opened: Open) -> None:
    """A mask that lacks the bit once costs the XIDs until the next read, and no longer."""
    driver.is_now(replace(NODE, gpus=(replace(GPUS[0], event_types=0), *GPUS[1:])))
    source = opened()
    assert complaints(source.read())

    driver.is_now(NODE)
    assert not complaints(source.read())
    driver.is_now(replace(NODE, xids=(Xid(0, 13, 1),)))
    assert counted(source.read()) == {("GPU-0", 13): 1}


@pytest.mark.parametrize("symbol", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait_v2"])
def test_a_library_without_the_symbol_loses_the_xids_only(
    driver: Driver, opened: Open, tmp_path: Path, symbol: str
) -> None:
    """What the driver lacks is named for each GPU, once, and every value is there."""
    old = tmp_path / "old"
    old.mkdir()
    driver.is_now(NODE)
    source = opened(library=build(old, without=[symbol]))
    source.read()

    report = source.read()

    assert complaints(report) == [Unsupported(gpu.uuid, METRIC, symbol, "function_not_found") for gpu in GPUS]
    assert gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}


def test_a_registration_that_fails_is_tried_again(driver: Driver, opened: Open) -> None:
    """A failure that need not last is told and costs no value; its set, which may be of no use, is let go."""
    driver.is_now(replace(NODE, faults=(Fault("error", "gpu2", "nvmlDeviceRegisterEvents", 999),), trace=True))
    source = opened()

    report = source.read()
    assert report.failed == (Unsupported("GPU-2", METRIC, "nvmlDeviceRegisterEvents", "unknown"),)
    assert gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}
    assert "nvmlEventSetFree" in {call for _, call, _ in driver.calls()}

    driver.is_now(NODE)
    assert source.read().failed == ()
    driver.is_now(replace(NODE, xids=(Xid(2, 95, 1),)))
    assert counted(source.read()) == {("GPU-2", 95): 1}


def test_an_event_set_that_fails_is_made_anew(driver: Driver, opened: Open) -> None:
    """A failure to take events is told for each GPU; as soon as it is over, new sets tell what happens from then on."""
    driver.is_now(NODE)
    source = opened()
    source.read()

    driver.is_now(replace(NODE, faults=(Fault("error", "system", "nvmlEventSetWait_v2", 999),), trace=True))
    report = source.read()
    assert complaints(report) == [Unsupported(gpu.uuid, METRIC, "nvmlEventSetWait_v2", "unknown") for gpu in GPUS]
    assert gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}

    driver.is_now(replace(NODE, trace=True))
    assert source.read().failed == ()
    driver.is_now(replace(NODE, xids=(Xid(1, 94, 1),)))
    assert counted(source.read()) == {("GPU-1", 94): 1}


def test_a_storm_is_taken_in_bounded_parts_and_starves_no_other_gpu(driver: Driver, opened: Open) -> None:
    """One read takes at most so many events, of every GPU its share; later reads take the rest."""
    driver.is_now(NODE)
    source = opened()
    source.read()
    storm = tuple(Xid(0, 31, number) for number in range(1, 2501))
    driver.is_now(replace(NODE, xids=(*storm, Xid(2, 79, 1))))

    first = counted(source.read())
    assert first["GPU-2", 79] == 1
    assert first.total() <= events.MOST

    assert counted(read_until(source, lambda report: counted(report).total() >= 2501)) == {
        ("GPU-0", 31): 2500,
        ("GPU-2", 79): 1,
    }


def test_a_gpu_that_is_lost_has_told_why(driver: Driver, opened: Open) -> None:
    """The XID of a GPU that falls off the bus arrives although the GPU does not answer any more."""
    driver.is_now(NODE)
    source = opened()
    source.read()

    driver.is_now(replace(NODE, faults=(Fault("error", "gpu2", "*", 15),), xids=(Xid(2, 79, 1),)))
    report = source.read()

    assert set(report.unresponsive) == {"GPU-2"}
    assert counted(report) == {("GPU-2", 79): 1}


def test_a_gpu_that_hangs_has_told_why(driver: Driver, opened: Open) -> None:
    """Events are taken by a job of their own, which goes on while a GPU's hangs."""
    driver.is_now(NODE)
    source = opened(deadline=0.6)
    read_until(source, lambda report: not report.unresponsive)

    driver.is_now(
        replace(NODE, faults=(Fault("hang", "gpu1", "nvmlDeviceGetUUID"),), xids=(Xid(1, 119, 1),)),
    )

    assert counted(
        read_until(source, lambda report: set(report.unresponsive) == {"GPU-1"} and bool(report.events))
    ) == {("GPU-1", 119): 1}


def test_events_that_hang_cost_only_the_xids(driver: Driver, opened: Open) -> None:
    """The GPUs are read all the while; the sampler is replaced, asks for no events for a while, and then does again."""
    driver.is_now(NODE)
    source = opened(deadline=0.6, kill_after=0.5)
    read_until(source, lambda report: not report.unresponsive)

    driver.is_now(replace(NODE, faults=(Fault("hang", "system", "nvmlEventSetWait_v2"),)))
    hangs = [Unsupported("every GPU", METRIC, "nvmlEventSetWait_v2", "timeout")]

    def all_speak(report: DeviceReport) -> bool:
        return gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}

    read_until(source, lambda report: all_speak(report) and complaints(report) == hangs)
    read_until(
        source, lambda report: all_speak(report) and {u.reason for u in report.failed} == {"paused_after_hang_or_crash"}
    )

    driver.is_now(NODE)
    read_until(source, lambda report: not report.failed)
    driver.is_now(replace(NODE, xids=(Xid(0, 13, 1),)))
    read_until(source, lambda report: counted(report) == {("GPU-0", 13): 1})


def test_events_that_crash_the_sampler_cost_only_the_xids(
    driver: Driver, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is named, no GPU is blamed, and the next sampler reads all of them."""
    driver.is_now(NODE)
    source = opened()
    source.read()

    driver.is_now(replace(NODE, faults=(Fault("crash", "system", "nvmlEventSetWait_v2"),)))
    report = source.read()

    assert "the NVML sampler ended in nvmlEventSetWait_v2: killed by SIGSEGV" in caplog.text
    assert ("nvmlEventSetWait_v2", "paused_after_hang_or_crash") in {(u.call, u.reason) for u in report.failed}
    assert gpus_that_speak(report) == {"GPU-0", "GPU-1", "GPU-2"}


def test_event_sets_are_made_anew_with_the_gpus_and_freed_before_the_library(driver: Driver, opened: Open) -> None:
    """A GPU that goes takes no other's events along; what was made is freed, in order."""
    driver.is_now(replace(NODE, trace=True))
    source = opened()
    source.read()
    two = Node(GPUS[:2], trace=True)

    driver.is_now(replace(two, xids=(Xid(0, 31, 1),)))
    assert counted(source.read()) == {("GPU-0", 31): 1}
    driver.is_now(replace(two, xids=(Xid(0, 31, 1), Xid(1, 31, 1))))
    assert counted(source.read()) == {("GPU-0", 31): 1, ("GPU-1", 31): 1}
    source.close()

    calls = [call for _, call, _ in driver.calls()]
    assert calls.count("nvmlEventSetCreate") == calls.count("nvmlEventSetFree") == 5
    assert calls[-3:] == ["nvmlEventSetFree", "nvmlEventSetFree", "nvmlShutdown"]
