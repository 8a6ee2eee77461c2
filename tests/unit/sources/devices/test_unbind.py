# SPDX-License-Identifier: Apache-2.0
"""The driver's unbinding from a GPU, heard between two reads, and what becomes of a driver that fails in telling it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Open, read_until, wait_until
from fakenvml.fakenvml import Fault, Gpu, Node
from inferometer.config import Nvidia as Settings
from inferometer.config import Release as ReleaseSettings
from inferometer.config import Seconds
from inferometer.model import DeviceReport, Reason, Trouble
from inferometer.sources.devices import calls
from inferometer.sources.devices.nvidia import Nvidia

HEALTHY = Node((Gpu("GPU-0"), Gpu("GPU-1", minor=1)), trace=True)
UNBIND, BIND = 1, 2

OpenFor = Callable[[float], Nvidia]


@pytest.fixture
def paused(driver: Driver) -> Iterator[OpenFor]:
    """Open a source with a pause of some seconds."""
    sources: list[Nvidia] = []

    def open_for(pause: float) -> Nvidia:
        release = ReleaseSettings(file="", pause=Seconds(pause))
        sources.append(Nvidia(Settings(library=str(driver.library), deadline=Seconds(30), release=release), period=1.0))
        return sources[-1]

    yield open_for
    for source in sources:
        source.close()
    wait_until(lambda: not children())


def children() -> set[int]:
    """Give the processes of this test that live."""
    return {p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE}


def whole(report: DeviceReport) -> bool:
    """Tell whether both GPUs have readings, and none is said to be unresponsive."""
    return {"GPU-0", "GPU-1"} <= {r.subject for r in report.readings} and not report.unresponsive


def tells(driver: Driver, kind: int) -> None:
    """Have the driver tell of a GPU that is bound or unbound."""
    fresh = driver.text.with_suffix(".event")
    fresh.write_text(f"{HEALTHY.text()}system_event {kind} 15104 1\n")
    fresh.replace(driver.text)


def questions(driver: Driver) -> list[tuple[int, str, str]]:
    """Give the calls that were made to hear of it."""
    return [call for call in driver.calls() if call[1] in calls.UNBIND]


def listens(driver: Driver) -> Callable[[], bool]:
    """Give whether the sampler listens by now."""
    return lambda: any(call == "nvmlSystemEventSetWait" for _, call, _ in questions(driver))


def test_the_driver_is_let_go_without_a_read(driver: Driver, paused: OpenFor) -> None:
    """The sampler shuts NVML down and ends by itself; the next read says why, and the GPUs are read again after the pause."""
    driver.is_now(HEALTHY)
    source = paused(5)
    assert whole(source.read())
    (pid,) = children()
    wait_until(listens(driver))

    tells(driver, UNBIND)
    wait_until(lambda: not children())

    assert (pid, "nvmlShutdown", "system") in driver.calls()
    with pytest.raises(Trouble, match="is left alone: the driver is being unbound from a GPU") as caught:
        source.read()
    assert caught.value.reason is Reason.RELEASED
    read_until(source, whole)


def test_a_gpu_that_is_bound_ends_nothing(driver: Driver, paused: OpenFor) -> None:
    """Only the unbinding matters."""
    driver.is_now(HEALTHY)
    source = paused(600)
    assert whole(source.read())
    wait_until(listens(driver))
    before = children()

    tells(driver, BIND)
    asked = len(questions(driver))
    wait_until(lambda: len(questions(driver)) >= asked + 3)

    assert whole(source.read())
    assert children() == before


@pytest.mark.parametrize("call", calls.UNBIND)
def test_a_driver_without_system_events_is_asked_once(tmp_path: Path, driver: Driver, opened: Open, call: str) -> None:
    """A library that lacks one of the calls is read as ever."""
    driver.is_now(HEALTHY)
    source = opened(library=build(tmp_path, without=[call]))

    assert whole(source.read())
    assert whole(source.read())
    assert len(children()) == 1


@pytest.mark.parametrize("call", calls.UNBIND[:3])
def test_a_question_that_hangs_costs_only_its_answer(driver: Driver, opened: Open, call: str) -> None:
    """No GPU is unresponsive for it, the sampler is not killed for it, and ends when it is told to."""
    driver.is_now(replace(HEALTHY, faults=(Fault("hang", "*", call),)))
    source = opened(deadline=20.0, kill_after=0.2)
    assert whole(source.read())
    before = children()
    wait_until(lambda: any(c == call for _, c, _ in driver.calls()))

    for _ in range(3):
        assert whole(source.read())

    assert children() == before


@pytest.mark.parametrize("call", calls.UNBIND[:3])
def test_a_question_that_crashes_the_sampler_is_not_asked_again(
    driver: Driver, opened: Open, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next sampler does not listen, so that the GPUs are read."""
    driver.is_now(replace(HEALTHY, faults=(Fault("crash", "*", call),)))
    source = opened()
    assert whole(source.read())
    wait_until(lambda: not children())

    report = source.read()
    assert whole(report)
    assert report.restarts["crash"] == 1
    assert f"ended in {call}: killed by SIGSEGV" in caplog.text
    before = children()
    asked = questions(driver)
    for _ in range(3):
        assert whole(source.read())

    assert children() == before
    assert questions(driver) == asked
