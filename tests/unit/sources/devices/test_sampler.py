# SPDX-License-Identifier: Apache-2.0
"""The sampler as a process: its commands, its frames, and its end."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakenvml.driver import Driver, wait_until
from fakenvml.fakenvml import Fault, Gpu, Node
from inferometer.sources.devices import calls
from inferometer.sources.devices.child import Child

TWO = Node((Gpu("GPU-0"), Gpu("GPU-1")))
Start = Callable[..., Child]


@pytest.fixture
def start(driver: Driver) -> Iterator[Start]:
    """Start samplers, and see that they are gone."""
    started: list[Child] = []

    def start_one(**settings: Any) -> Child:
        child = Child(
            **{
                "nvml": "pynvml",
                "argument": "",
                "library": str(driver.library),
                "patience": 0.2,
                "processes": False,
                **settings,
            }
        )
        started.append(child)
        return child

    yield start_one
    for child in started:
        child.kill()
        wait_until(lambda child=child: child.exit_status() is not None)  # type: ignore[misc]  # bound now
        child.release()


def until_done(child: Child) -> list[dict[str, Any]]:
    """Give the frames of a sample, `done` included."""
    frames = []
    for frame in child.frames(time.monotonic() + 20):
        frames.append(frame)
        if "done" in frame or "fatal" in frame:
            break
    return frames


def answers(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what is told before an answer, because it has changed."""
    return [frame for frame in frames if {"numbers", "done", "lost"} & frame.keys()]


def test_a_sample_is_a_frame_for_each_gpu_and_an_end(driver: Driver, start: Start) -> None:
    """Each GPU has a frame with the number of the sample; the last frame counts the GPUs."""
    driver.is_now(TWO)
    child = start()

    child.ask("sample 5")
    frames = until_done(child)
    *gpus, done = answers(frames)
    about = [(frame["n"], frame["gpu"], frame["about"]["uuid"]) for frame in frames if "about" in frame]
    (version,) = (frame["driver"] for frame in frames if "driver" in frame)

    assert about == [(5, 0, "GPU-0"), (5, 1, "GPU-1")]
    assert [(frame["n"], frame["gpu"]) for frame in gpus] == [(5, 0), (5, 1)]
    assert (done["n"], done["done"]) == (5, 2)
    assert version == {"hw.driver_version": "575.57.08", "gpu.cuda.version": "12.9"}


def test_gpus_are_skipped_or_asked_alone(driver: Driver, start: Start) -> None:
    """A skipped GPU is not touched by any call, and neither is any other GPU than the one that is asked alone."""
    driver.is_now(replace(TWO, trace=True))
    child = start()

    child.ask("sample 1 skip 1")
    assert [frame.get("gpu") for frame in answers(until_done(child))] == [0, None]
    child.ask("sample 2 only 0")
    assert [frame.get("gpu") for frame in answers(until_done(child))] == [0, None]

    assert {subject for _, _, subject in driver.calls()} == {"system", "gpu0"}


def test_the_newest_command_counts(driver: Driver, start: Start) -> None:
    """Of commands that wait together only the last is obeyed."""
    driver.is_now(TWO)
    child = start()

    child.ask("sample 1\nsample 2\nsample 3")

    assert {frame["n"] for frame in until_done(child)} == {3}


def test_the_page_names_the_call_under_way(driver: Driver, start: Start) -> None:
    """While a call hangs, the agent sees which one on which GPU, and since when; afterwards it sees none."""
    driver.is_now(
        replace(
            TWO,
            faults=(
                Fault("hang", "gpu1", "nvmlDeviceGetPowerUsage"),
                Fault("error", "*", "nvmlDeviceGetFieldValues", 3),
            ),
        )
    )
    child = start()
    began = time.monotonic()
    child.ask("sample 1")

    wait_until(lambda: child.busy().get(2, (0, 0.0))[0] == calls.NUMBER["nvmlDeviceGetPowerUsage"])
    assert began <= child.busy()[2][1] <= time.monotonic()

    driver.is_now(TWO)
    until_done(child)
    assert child.busy() == {}


def test_a_sample_does_not_wait_for_what_hangs_since_an_earlier_one(driver: Driver, start: Start) -> None:
    """A GPU that hangs keeps one sample from its end; the next one ends with all the other GPUs."""
    driver.is_now(replace(TWO, faults=(Fault("hang", "gpu0", "nvmlDeviceGetUUID"),)))
    child = start()
    child.ask("sample 1")
    frames = child.frames(time.monotonic() + 20)
    while "numbers" not in (first := next(frames)):
        pass
    assert first["gpu"] == 1

    child.ask("sample 2")

    assert [(frame["n"], frame.get("gpu"), frame.get("done")) for frame in answers(until_done(child))] == [
        (2, 1, None),
        (2, None, 2),
    ]


def threads(child: Child) -> int:
    return len(list(Path(f"/proc/{child.pid}/task").iterdir()))


def test_a_spare_worker_ends_when_one_is_enough(driver: Driver, start: Start) -> None:
    """While a GPU is slow another worker reads the others; afterwards the child has as many threads as before."""
    driver.is_now(TWO)
    patient, child = start(patience=60.0, hears_unbind=False), start(patience=0.05, hears_unbind=False)
    for each in (patient, child):
        each.ask("sample 1")
        until_done(each)
    before = threads(patient)

    driver.is_now(replace(TWO, faults=(Fault("hang", "gpu0", "nvmlDeviceGetUUID"),)))
    child.ask("sample 2")
    assert next(child.frames(time.monotonic() + 20))["gpu"] == 1
    assert threads(child) == before + 1
    driver.is_now(TWO)
    until_done(child)

    wait_until(lambda: threads(child) == before)


def test_the_end_of_input_ends_it_and_shuts_nvml_down(driver: Driver, start: Start) -> None:
    """A child whose agent is gone, however that came, closes NVML and exits."""
    driver.is_now(TWO)
    child = start()
    child.ask("sample 1")
    until_done(child)

    child.end()

    wait_until(lambda: child.exit_status() == 0)
    assert [call for _, call, _ in driver.calls()] == ["nvmlInitWithFlags", "nvmlShutdown"]


def test_the_end_of_input_ends_it_while_a_call_hangs(driver: Driver, start: Start) -> None:
    """Even with a call that never returns, a child does not outlive its agent."""
    driver.is_now(replace(TWO, faults=(Fault("hang", "gpu0", "nvmlDeviceGetUUID"), Fault("hang", "*", "nvmlShutdown"))))
    child = start()
    child.ask("sample 1")
    wait_until(lambda: 1 in child.busy())

    child.end()

    wait_until(lambda: child.exit_status() == -signal.SIGALRM)


def test_a_signal_to_the_terminal_is_not_for_it(driver: Driver, start: Start) -> None:
    """The child has a session of its own: Ctrl-C reaches the agent, which ends the child in order."""
    driver.is_now(TWO)
    child = start()

    assert os.getsid(child.pid) == child.pid
    assert os.getpgid(child.pid) != os.getpgid(0)


def test_what_the_driver_prints_is_no_frame(driver: Driver, start: Start, tmp_path: Path) -> None:
    """The descriptor of standard output is standard error's: a library that prints cannot break the frames."""
    driver.is_now(TWO)
    child = start()
    child.ask("sample 1")
    until_done(child)

    descriptors = Path(f"/proc/{child.pid}/fd")
    assert (descriptors / "1").readlink() == (descriptors / "2").readlink()


def test_it_is_small(driver: Driver, start: Start) -> None:
    """The child costs little more memory of its own than a Python that has imported nvidia-ml-py."""
    driver.is_now(TWO)
    child = start()
    child.ask("sample 1")
    until_done(child)

    assert psutil.Process(child.pid).memory_full_info().uss < 24 << 20


def test_a_binding_that_is_missing_is_told_on_standard_error(driver: Driver, start: Start) -> None:
    """A module that cannot be imported ends the child; its last words say why."""
    driver.is_now(TWO)
    child = start(nvml="no_such_binding")
    child.ask("sample 1")

    with pytest.raises(EOFError):
        until_done(child)

    assert child.how_it_ended() == "exit status 1, ModuleNotFoundError: No module named 'no_such_binding'"
