# SPDX-License-Identifier: Apache-2.0
"""The source while the driver is to be left alone: every sampler ends, and everything is found anew afterwards."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fakenvml.driver import Driver, read_until, wait_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.app import foreground
from inferometer.config import Nvidia as Settings
from inferometer.config import Release as ReleaseSettings
from inferometer.config import Seconds
from inferometer.model import DeviceReport, Reason, Trouble
from inferometer.sources.devices import samplers, watch
from inferometer.sources.devices.child import Child
from inferometer.sources.devices.nvidia import Nvidia
from inferometer.sources.devices.release import Pause, Release

HEALTHY = Node((Gpu("GPU-0"), Gpu("GPU-1", minor=1, mig=1, instances=(Instance("MIG-1"),))))
HANG = Fault("hang", "gpu1", "nvmlDeviceGetTotalEnergyConsumption")

OpenOne = Callable[..., tuple[Nvidia, Release]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the file that an operator makes."""
    return tmp_path / "release"


@pytest.fixture
def opened(driver: Driver, file: Path) -> Iterator[OpenOne]:
    """Open sources that obey the file, and whose processes are seen to be gone when the test ends."""
    sources: list[Nvidia] = []

    def open_one(deadline: float = 10.0, kill_after: float = 60.0, annotation: str = "") -> tuple[Nvidia, Release]:
        release = Release(ReleaseSettings(file=str(file), annotation=annotation))
        settings_of_all = Settings(
            library=str(driver.library), deadline=Seconds(deadline), kill_after=Seconds(kill_after)
        )
        sources.append(Nvidia(settings_of_all, period=1.0, release=release))
        return sources[-1], release

    yield open_one
    for source in sources:
        source.close()
    wait_until(lambda: not children())


def children() -> set[int]:
    """Give the processes of this test that live."""
    return {p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE}


def trouble_of(source: Nvidia) -> Trouble:
    """Read once; it must be a trouble."""
    with pytest.raises(Trouble) as caught:
        source.read()
    return caught.value


def whole(report: DeviceReport) -> bool:
    """Tell whether both GPUs have readings."""
    return {"GPU-0", "GPU-1"} <= {reading.subject for reading in report.readings}


def test_what_is_waited_for_is_less_than_a_second() -> None:
    """From a signal or a file to closed handles: the looks at both, and the time for nvmlShutdown before it is killed."""
    assert foreground._GLANCE + samplers.ASKED < 1
    assert watch.GLANCE + samplers.ASKED < 1


def test_while_the_file_is_there_nobody_holds_the_driver(driver: Driver, opened: OpenOne, file: Path) -> None:
    """The sampler shuts NVML down and ends without a read; when the file is gone the next read starts another."""
    driver.is_now(HEALTHY)
    source, _ = opened()
    assert whole(source.read())
    (pid,) = children()

    file.touch()
    wait_until(lambda: not children())

    assert (pid, "nvmlShutdown", "system") in driver.calls()
    trouble = trouble_of(source)
    assert (trouble.reason, str(file) in trouble.message) == (Reason.RELEASED, True)
    assert "Remove it" in trouble.remedy
    assert not children()

    file.unlink()
    assert whole(source.read())


def test_a_driver_that_is_to_be_left_alone_is_not_opened(driver: Driver, opened: OpenOne, file: Path) -> None:
    """An agent that starts while the file is there makes no call at all."""
    driver.is_now(HEALTHY)
    file.touch()

    assert trouble_of(opened()[0]).reason is Reason.RELEASED

    assert driver.calls() == []


def test_a_read_under_way_is_not_waited_for(driver: Driver, opened: OpenOne) -> None:
    """A pause that is asked for in the middle of a slow read ends the sampler, and the read with it."""
    driver.is_now(replace(HEALTHY, faults=(Fault("slow", "*", "nvmlDeviceGetUUID", 5000),)))
    source, release = opened(deadline=30.0)
    told: list[Trouble] = []
    reading = threading.Thread(target=lambda: told.append(trouble_of(source)))
    reading.start()
    wait_until(lambda: any(call == "nvmlInitWithFlags" for _, call, _ in driver.calls()))

    release.pause.begin("the test wants it", 30)
    reading.join(60)

    assert [trouble.reason for trouble in told] == [Reason.RELEASED]
    wait_until(lambda: not children())


def test_a_sampler_that_hangs_is_killed(driver: Driver, opened: OpenOne, file: Path) -> None:
    """A call that does not return keeps no handle; the probe of another GPU ends as well."""
    driver.is_now(HEALTHY)
    source, _ = opened(deadline=0.5, kill_after=0.3)
    read_until(source, whole)
    driver.is_now(replace(HEALTHY, faults=(HANG,)))
    wait_until(lambda: bool(source.read()) and len(children()) == 2)  # a sampler and the probe, which hangs

    file.touch()
    wait_until(lambda: not children())
    assert trouble_of(source).reason is Reason.RELEASED

    driver.is_now(HEALTHY)
    file.unlink()
    assert not read_until(source, whole).unresponsive


def test_a_sampler_that_cannot_be_killed_is_named(
    driver: Driver, opened: OpenOne, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stuck in the kernel holds the driver still, and that is said."""
    driver.is_now(HEALTHY)
    source, _ = opened(deadline=0.5)
    read_until(source, whole)
    driver.is_now(replace(HEALTHY, faults=(Fault("hang", "*", "*"),)))
    (pid,) = children()
    spared: list[Child] = []

    def says_so() -> bool:
        try:
            source.read()
        except Trouble as trouble:
            return f"hold it still (processes {pid})" in trouble.message
        return False

    with monkeypatch.context() as patch:
        # A process in an uninterruptible call cannot be had without a broken driver: here the signal is not sent, and the
        # sampler's own alarm comes too late.
        patch.setattr(Child, "kill", lambda child: spared.append(child))  # noqa: PLW0108  # a builtin is no method
        patch.setattr(Child, "end", lambda _: None)
        file.touch()
        wait_until(says_so)
    for child in spared:
        child.kill()
    wait_until(lambda: "processes" not in trouble_of(source).message)


def test_a_pause_ends_by_itself_and_begins_anew(driver: Driver, opened: OpenOne) -> None:
    """Asked for twice, it lasts from the second time on; then the GPUs are read again without anybody's doing."""
    driver.is_now(HEALTHY)
    source, release = opened()
    assert whole(source.read())

    release.pause.begin("the test wants it", 600)
    assert trouble_of(source).reason is Reason.RELEASED
    release.pause.begin("the test wants it again", 1200)
    assert "again" in trouble_of(source).message
    release.pause.begin("a shorter one", 1)
    assert "again" in trouble_of(source).message

    source, release = opened()
    release.pause.begin("the test wants it", 0.2)
    read_until(source, whole)


def test_what_is_over_before_the_next_read_is_no_failure(driver: Driver, opened: OpenOne, file: Path) -> None:
    """A file that is made and removed between two reads costs a sampler, and not a reading."""
    driver.is_now(HEALTHY)
    source, _ = opened()
    assert whole(source.read())
    before = children()

    file.touch()
    wait_until(lambda: not children())
    file.unlink()

    assert whole(source.read())
    assert before.isdisjoint(children())


def test_a_pause_outlives_the_source(driver: Driver) -> None:
    """A configuration that is read again makes a new source, which leaves the driver alone as the old one did."""
    driver.is_now(HEALTHY)
    pause = Pause()
    pause.begin("the test wants it", 600)
    source = Nvidia(Settings(library=str(driver.library)), period=1.0, release=Release(ReleaseSettings(file=""), pause))

    assert trouble_of(source).message == "the NVIDIA driver is left alone: the test wants it"
    source.close()


def test_instances_that_changed_meanwhile_are_found_anew(driver: Driver, opened: OpenOne, file: Path) -> None:
    """What MIG is configured to while the driver is left alone is what is read afterwards, and nothing of before."""
    driver.is_now(HEALTHY)
    source, _ = opened()
    assert [d.uuid for d in source.read().devices] == ["GPU-0", "GPU-1", "MIG-1"]

    file.touch()
    wait_until(lambda: not children())
    driver.is_now(Node((Gpu("GPU-0", mig=1, instances=(Instance("MIG-7"), Instance("MIG-8"))), Gpu("GPU-1", minor=1))))
    trouble_of(source)
    file.unlink()

    assert [d.uuid for d in source.read().devices] == ["GPU-0", "MIG-7", "MIG-8", "GPU-1"]


def test_the_node_is_asked_before_the_driver_is_opened(driver: Driver, opened: OpenOne) -> None:
    """Where an annotation may forbid it, the first read waits until the node was asked once."""
    driver.is_now(HEALTHY)
    source, release = opened(annotation="example.com/release")
    told: list[Trouble] = []
    reading = threading.Thread(target=lambda: told.append(trouble_of(source)))
    reading.start()

    release.annotated(True)
    reading.join(60)

    assert "the node's annotation example.com/release is true" in told[0].message
    assert driver.calls() == []
    release.annotated(None)  # could not be asked: what it said last counts
    assert trouble_of(source).reason is Reason.RELEASED
    release.annotated(False)
    assert whole(source.read())


def test_what_the_node_said_long_ago_does_not_count(driver: Driver, opened: OpenOne) -> None:
    """An API server that answers no more leaves the driver alone for a minute, not for ever."""
    driver.is_now(HEALTHY)
    source, release = opened(annotation="example.com/release")

    release.annotated(True, lasting=0)

    assert whole(source.read())
