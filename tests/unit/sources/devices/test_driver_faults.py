# SPDX-License-Identifier: Apache-2.0
"""What the source makes of a driver that hangs, crashes or loses a GPU: the fault costs that GPU and nothing else."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from fakenvml.driver import Driver, Open, read_until, wait_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.model import DeviceReport, Reason, Trouble, Unsupported
from inferometer.sources.devices import backoff, calls
from inferometer.sources.devices.child import Child
from inferometer.sources.devices.nvidia import Nvidia

GPUS = (Gpu("GPU-0", minor=0), Gpu("GPU-1", minor=1, mig=1, instances=(Instance("MIG-1"),)), Gpu("GPU-2", minor=2))
HEALTHY = Node(GPUS)
HANG = Fault("hang", "gpu1", "nvmlDeviceGetTotalEnergyConsumption")


def speaking(report: DeviceReport) -> set[str]:
    """Give the devices that have readings."""
    return {reading.subject for reading in report.readings}


def only_gpu_1_is_silent(report: DeviceReport) -> bool:
    """Tell whether GPU 1 and its instance have no readings, and all others have."""
    return set(report.unresponsive) == {"GPU-1"} and speaking(report) == {"GPU-0", "GPU-2"}


def children() -> set[int]:
    """Give the processes of this test that live."""
    return {p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE}


def only_child(source: Nvidia) -> int:
    """Read until everything is read by the one process that is there; give it."""
    read_until(source, lambda report: len(speaking(report)) == 4 and len(children()) == 1)
    (child,) = children()
    return child


def test_a_gpu_that_hangs_is_unresponsive_and_the_others_are_read(driver: Driver, opened: Open) -> None:
    """While one GPU's call hangs, the others are read at every sample; its age grows, and it is still a known device."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6)
    read_until(source, lambda report: len(speaking(report)) == 4)

    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    first = read_until(source, only_gpu_1_is_silent)
    second = read_until(source, only_gpu_1_is_silent)

    for report in (first, second):
        assert [d.uuid for d in report.devices] == ["GPU-0", "GPU-1", "MIG-1", "GPU-2"]
    assert second.unresponsive["GPU-1"] > first.unresponsive["GPU-1"] > 0


def test_a_gpu_that_answers_late_is_read_again(driver: Driver, opened: Open) -> None:
    """When the call returns after all, the GPU is read again by the same child."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6)
    read_until(source, lambda report: len(speaking(report)) == 4)
    before = children()
    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    read_until(source, only_gpu_1_is_silent)

    driver.is_now(HEALTHY)

    assert not read_until(source, lambda report: len(speaking(report)) == 4).unresponsive
    assert children() == before


def test_two_gpus_that_hang_cost_two(driver: Driver, opened: Open) -> None:
    """Each GPU that hangs leaves one worker behind; the last one is still read."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6)
    read_until(source, lambda report: len(speaking(report)) == 4)

    driver.is_now(replace(HEALTHY, faults=(Fault("hang", "gpu0", "nvmlDeviceGetUUID"), HANG)))

    report = read_until(source, lambda report: speaking(report) == {"GPU-2"})
    assert set(report.unresponsive) == {"GPU-0", "GPU-1"}


def test_a_stuck_child_is_killed_and_the_probe_brings_the_gpu_back(driver: Driver, opened: Open) -> None:
    """Past kill_after a new child goes on without the GPU; once a probe has read it, it is read again."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6, kill_after=0.5)
    stuck = only_child(source)

    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    wait_until(lambda: bool(source.read()) and not psutil.pid_exists(stuck))
    read_until(source, only_gpu_1_is_silent)

    driver.is_now(HEALTHY)
    report = read_until(source, lambda report: len(speaking(report)) == 4)
    assert not report.unresponsive
    assert report.restarts["hang"] >= 1  # more of them on a machine that stalls
    assert {cause for cause, count in report.restarts.items() if count} == {"hang"}
    wait_until(lambda: bool(source.read()) and len(children()) == 1)


def test_a_probe_that_hangs_is_killed(driver: Driver, opened: Open) -> None:
    """While the GPU still hangs, probes end and the others are read: no process is left over."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6, kill_after=0.2)
    read_until(source, lambda report: len(speaking(report)) == 4)
    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    seen = children()

    def many_were_started() -> bool:
        seen.update(children())
        assert speaking(source.read()) <= {"GPU-0", "GPU-2"}
        return len(seen) >= 4  # the first, its successor, and two probes

    wait_until(many_were_started)
    assert len(children()) <= 3


def test_two_unkillable_children_are_the_end(driver: Driver, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """When two children are killed and still there, no third is started, and the trouble says so; when one goes, NVML is back."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.5, kill_after=0.3)
    read_until(source, lambda report: len(speaking(report)) == 4)
    hangs = (Fault("hang", "*", "nvmlDeviceGetCount_v2"), Fault("hang", "*", "nvmlInitWithFlags"))
    driver.is_now(replace(HEALTHY, faults=hangs))
    spared: list[Child] = []

    def has_given_up() -> bool:
        try:
            source.read()
        except Trouble as trouble:
            return trouble.reason is Reason.TIMEOUT and "cannot be killed" in trouble.message
        return False

    with monkeypatch.context() as patch:
        # A process in an uninterruptible call cannot be had without a broken driver: here the signal is not sent.
        patch.setattr(Child, "kill", lambda child: spared.append(child))  # noqa: PLW0108  # a builtin is no method
        wait_until(has_given_up)
        alive = children()
        assert has_given_up()
    assert len(spared) == 2
    assert alive == children() == {child.pid for child in spared}

    driver.is_now(HEALTHY)
    for child in spared:
        child.kill()
    read_until(source, lambda report: len(speaking(report)) == 4)


def test_a_library_that_hangs_leaves_every_gpu_unresponsive(driver: Driver, opened: Open) -> None:
    """When not even the count is answered, the devices that are known stay, without readings."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6)
    read_until(source, lambda report: len(speaking(report)) == 4)

    driver.is_now(replace(HEALTHY, faults=(Fault("hang", "*", "nvmlDeviceGetCount_v2"),)))

    report = read_until(source, lambda report: not report.readings)
    assert [d.uuid for d in report.devices] == ["GPU-0", "GPU-1", "MIG-1", "GPU-2"]
    assert set(report.unresponsive) == {"GPU-0", "GPU-1", "GPU-2"}


def test_a_library_that_hangs_at_start_is_a_timeout(driver: Driver, opened: Open) -> None:
    """When nothing has ever been read, a library that does not answer is told as such."""
    driver.is_now(replace(HEALTHY, faults=(Fault("hang", "*", "nvmlInitWithFlags"),)))

    with pytest.raises(Trouble) as caught:
        opened(deadline=0.3).read()

    assert caught.value.reason is Reason.TIMEOUT


CRASH = Fault("crash", "gpu1", "nvmlDeviceGetClockInfo")


def test_a_crash_costs_its_gpu_and_no_other_gpu_a_single_read(
    driver: Driver, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is named, a new child reads the others in the same period, and a probe brings the GPU back."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    (crashed,) = children()

    driver.is_now(replace(HEALTHY, faults=(CRASH,)))
    report = source.read()
    assert only_gpu_1_is_silent(report)
    assert report.unresponsive["GPU-1"] > 0
    assert (
        Unsupported("GPU-1", "gpu.info", "nvmlDeviceGetClockInfo of GPU 1", "paused_after_hang_or_crash")
        in report.failed
    )
    assert report.restarts["crash"] == 1
    assert crashed not in children()
    ended = "nvidia: the NVML sampler ended in nvmlDeviceGetClockInfo of GPU 1: killed by SIGSEGV. It is started again."
    assert [record.getMessage() for record in caplog.records].count(ended) == 1

    driver.is_now(HEALTHY)
    report = read_until(source, lambda report: len(speaking(report)) == 4)
    assert report.restarts["crash"] == 1
    assert not report.failed


def test_a_crash_beside_a_hang_is_not_waited_for_as_the_hang_is(driver: Driver, opened: Open) -> None:
    """What has been under way for long hung, and did not crash: the GPU that did comes back while the other hangs on."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6, kill_after=60.0)
    read_until(source, lambda report: len(speaking(report)) == 4)
    hang = Fault("hang", "gpu0", "nvmlDeviceGetUUID")
    driver.is_now(replace(HEALTHY, faults=(hang,)))
    read_until(source, lambda report: set(report.unresponsive) == {"GPU-0"})

    driver.is_now(replace(HEALTHY, faults=(hang, CRASH)))
    read_until(source, lambda report: report.restarts["crash"] == 1 and "GPU-1" in report.unresponsive)
    driver.is_now(replace(HEALTHY, faults=(hang,)))

    report = read_until(source, lambda report: set(report.unresponsive) == {"GPU-0"})
    assert "GPU-1" in speaking(report)
    assert report.restarts["crash"] == 1


def test_a_second_crash_within_a_minute_is_waited_for(
    driver: Driver, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is mended at once; then the source is in trouble, which names the call, until its back-off is over."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    driver.is_now(replace(HEALTHY, faults=(CRASH, replace(CRASH, subject="gpu2"))))

    troubles = []
    now = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: now))
        for _ in range(2):
            with pytest.raises(Trouble) as caught:
                source.read()
            troubles.append(caught.value)

    assert {trouble.reason for trouble in troubles} == {Reason.CRASHED}
    told = "the NVML sampler ended in nvmlDeviceGetClockInfo of GPU 2: killed by SIGSEGV"
    assert {trouble.message for trouble in troubles} == {told}
    assert not children()
    report = read_until(source, lambda report: bool(report.readings))
    assert speaking(report) == {"GPU-0"}
    assert set(report.unresponsive) == {"GPU-1", "GPU-2"}


def test_a_child_that_is_killed_by_others_is_replaced(driver: Driver, opened: Open) -> None:
    """The kernel's out-of-memory killer, say: a new child reads all GPUs in the same period, and none is blamed."""
    driver.is_now(HEALTHY)
    source = opened(deadline=10.0)
    source.read()
    (pid,) = children()

    os.kill(pid, signal.SIGKILL)

    report = source.read()
    assert len(speaking(report)) == 4
    assert report.restarts["crash"] == 1


def test_a_child_that_is_killed_within_a_call_blames_no_gpu(driver: Driver, opened: Open) -> None:
    """Where it was is where it happened to be."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    (pid,) = children()
    driver.is_now(replace(HEALTHY, faults=(HANG,), trace=True))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(source.read)
        wait_until(lambda: ("nvmlDeviceGetTotalEnergyConsumption", "gpu1") in {call[1:] for call in driver.calls()})
        os.kill(pid, signal.SIGKILL)
        driver.is_now(HEALTHY)  # before the next one has started
        report = reading.result()

    assert report.restarts["crash"] == 1
    assert len(speaking(report)) == 4
    assert not report.failed


@pytest.mark.parametrize("reason", [Reason.MALFORMED, Reason.TOO_LARGE])
def test_a_child_that_makes_no_sense_is_replaced_at_once(
    driver: Driver, opened: Open, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    """A driver that has overwritten the sampler's memory, say: the next one reads all GPUs in the same period."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    (garbled,) = children()
    frames = Child.frames

    def frames_of(child: Child, until: float) -> Iterator[dict[str, Any]]:
        # A sampler of ours sends none; `test_child` has a process that does.
        if child.pid == garbled:
            raise Trouble(reason, "what is no frame")
        yield from frames(child, until)

    monkeypatch.setattr(Child, "frames", frames_of)
    report = source.read()

    assert len(speaking(report)) == 4
    assert not report.unresponsive
    assert (report.restarts["garbage"], report.restarts["crash"]) == (1, 0)
    wait_until(lambda: bool(source.read()) and garbled not in children())


def test_a_child_that_is_stopped_outside_of_a_call_is_replaced(driver: Driver, opened: Open) -> None:
    """A sampler that says nothing for too long is killed although it is in no call, and no GPU is left out for it."""
    driver.is_now(HEALTHY)
    source = opened(deadline=0.6, kill_after=1.5)
    child = only_child(source)

    os.kill(child, signal.SIGSTOP)
    read_until(source, lambda report: not speaking(report))
    read_until(source, lambda report: len(speaking(report)) == 4)

    assert child not in children()


def test_a_lost_gpu_is_let_go_and_comes_back(driver: Driver, opened: Open) -> None:
    """A GPU that is lost is unresponsive, nobody holds it open, and it is read again when it is back."""
    driver.is_now(HEALTHY)
    source = opened(kill_after=0.3)
    holder = only_child(source)

    driver.is_now(replace(HEALTHY, faults=(Fault("error", "gpu2", "*", 15),)))

    def only_gpu_2_is_lost(report: DeviceReport) -> bool:
        return set(report.unresponsive) == {"GPU-2"} and speaking(report) == {"GPU-0", "GPU-1", "MIG-1"}

    read_until(source, only_gpu_2_is_lost)
    read_until(source, lambda report: holder not in children() and only_gpu_2_is_lost(report))

    driver.is_now(HEALTHY)
    assert not read_until(source, lambda report: len(speaking(report)) == 4).unresponsive


@pytest.mark.parametrize("value", ["field.186", "gpm.2"])
@pytest.mark.parametrize("code", [1, 9, 18])
def test_one_value_of_a_batch_speaks_for_no_driver(driver: Driver, opened: Open, value: str, code: int) -> None:
    """A field or metric whose own code says that the driver is gone costs itself: the driver has just answered all others."""
    driver.is_now(replace(HEALTHY, faults=(Fault("error", "gpu0", value, code),)))
    source = opened()
    source.read()

    time.sleep(0.11)  # for GPM's second sample
    report = source.read()

    assert len(speaking(report)) == 4
    names = {"field.186": "gpu.power.instant", "gpm.2": "gpu.sm.activity"}
    assert {(told.device, told.metric) for told in report.failed} == {("GPU-0", names[value])}


GONE = pytest.mark.parametrize(
    "code", [1, 9, 18], ids=["uninitialized", "driver_not_loaded", "lib_rm_version_mismatch"]
)


@GONE
def test_one_call_of_one_gpu_speaks_for_no_driver(driver: Driver, opened: Open, code: int) -> None:
    """That a call about one GPU says that the driver is gone costs what the call feeds, and the same child reads on."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    before = children()

    driver.is_now(replace(HEALTHY, faults=(replace(CRASH, kind="error", number=code),)))
    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert len(speaking(report)) == 4
        assert {(told.device, told.metric) for told in report.failed} == {("GPU-1", "gpu.clock.frequency")}
    assert children() == before


@GONE
@pytest.mark.parametrize("call", ["*", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID"])
def test_a_gpu_that_says_that_the_driver_is_gone_is_silent_alone(
    driver: Driver, opened: Open, call: str, code: int
) -> None:
    """Whatever it is asked: the others are read at every sample by the same child, and it is back with its first answer."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()
    before = children()

    driver.is_now(replace(HEALTHY, faults=(Fault("error", "gpu1", call, code),)))
    for _ in range(3):
        assert only_gpu_1_is_silent(source.read())
    driver.is_now(HEALTHY)

    assert len(speaking(source.read())) == 4
    assert children() == before


@GONE
def test_a_gpu_that_answers_nothing_but_its_name_is_silent(driver: Driver, opened: Open, code: int) -> None:
    """A library that still knows the UUID by heart, while every question to the driver fails, has not answered for it."""
    driver.is_now(HEALTHY)
    asked = {call for call in calls.CALLS[1:] if call not in (*calls.WALK, *calls.EVENTS, *calls.UNBIND)}
    faults = tuple(Fault("error", "gpu0", call, code) for call in (*asked, calls.FIELDS_CALL, "nvmlGpmSampleGet"))
    source = opened()
    source.read()

    driver.is_now(replace(HEALTHY, faults=faults))

    report = source.read()
    assert set(report.unresponsive) == {"GPU-0"}
    assert speaking(report) == {"GPU-1", "MIG-1", "GPU-2"}


@GONE
@pytest.mark.parametrize("gpus", [1, 3])
def test_a_driver_that_is_gone_for_every_gpu_is_gone(driver: Driver, opened: Open, gpus: int, code: int) -> None:
    """A library that counts GPUs by heart while none of them answers is given up, and another process opens it anew."""
    healthy = Node(GPUS[:gpus])
    driver.is_now(healthy)
    source = opened()
    whole = speaking(source.read())
    before = children()

    driver.is_now(replace(healthy, faults=tuple(Fault("error", f"gpu{i}", "*", code) for i in range(gpus))))
    with pytest.raises(Trouble):
        source.read()
    driver.is_now(healthy)

    read_until(source, lambda report: speaking(report) == whole)
    assert not children() & before


@GONE
def test_a_library_that_says_so_itself_is_gone_at_once(driver: Driver, opened: Open, code: int) -> None:
    """One GPU's call that says so, while the library confirms it, is believed."""
    driver.is_now(HEALTHY)
    source = opened()
    source.read()

    driver.is_now(replace(HEALTHY, faults=(Fault("error", "*", "*", code),)))

    with pytest.raises(Trouble):
        source.read()


def test_faults_are_logged_once_when_they_begin_and_end(
    driver: Driver, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A GPU that falls silent is logged once with the call that it hangs in, and once when it answers again."""
    driver.is_now(HEALTHY)
    source = opened(deadline=3.0)  # a machine that stalls for two seconds must not make another call the one that hangs
    read_until(source, lambda report: len(speaking(report)) == 4)
    caplog.set_level("INFO")
    caplog.clear()

    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    read_until(source, only_gpu_1_is_silent)
    for _ in range(3):
        source.read()
    driver.is_now(HEALTHY)
    read_until(source, lambda report: len(speaking(report)) == 4)

    begun, ended = [message for r in caplog.records if (message := r.getMessage()).startswith("nvidia: GPU 1 ")]
    assert "GPU 1 (GPU-1) is unresponsive" in begun
    assert "nvmlDeviceGetTotalEnergyConsumption of GPU 1" in begun
    assert "GPU 1 answers again" in ended
