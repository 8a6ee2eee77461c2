# SPDX-License-Identifier: Apache-2.0
"""What the driver counts from read to read is added up, whatever becomes of the sampler."""

import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from fakenvml.driver import Driver, Open, read_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.model import DeviceReport
from inferometer.sources.devices import calls
from inferometer.sources.devices.layout import lay_out
from inferometer.sources.devices.nvidia import Nvidia
from inferometer.sources.devices.sums import Sums

NODE = Node((Gpu("GPU-a", gpm={172: 300.0, 174: 2.0}),))


def switches(report: DeviceReport) -> list[float]:
    """Give the counter."""
    found = [reading.value for reading in report.readings if reading.metric.name == "gpu.context_switches"]
    return [value for value in found if isinstance(value, float)]


def counted(source: Nvidia) -> list[float]:
    """Read when two samples are far enough apart."""
    time.sleep(0.11)
    return switches(source.read())


def test_switches_are_added_up_from_read_to_read(driver: Driver, opened: Open) -> None:
    """There is no value before there are two samples; then each read adds what it tells."""
    driver.is_now(NODE)
    source = opened()

    assert switches(source.read()) == []
    assert [counted(source) for _ in range(3)] == [[300.0], [600.0], [900.0]]


def test_the_sum_outlives_the_sampler(driver: Driver, opened: Open) -> None:
    """A sampler that is killed takes what it has not told with it, and nothing else."""
    driver.is_now(NODE)
    source = opened()
    source.read()
    assert counted(source) == [300.0]

    (child,) = psutil.Process().children()
    os.kill(child.pid, signal.SIGKILL)

    report = read_until(source, lambda report: bool(switches(report)))
    assert switches(report) == [600.0]
    assert report.restarts["crash"] == 1


@pytest.mark.parametrize("pattern", [0, 1, 2])
def test_garbage_is_not_added(driver: Driver, opened: Open, pattern: int) -> None:
    """One absurd answer would stay in the sum for ever."""
    driver.is_now(NODE)
    source = opened()
    source.read()
    assert counted(source) == [300.0]

    driver.is_now(replace(NODE, faults=(Fault("absurd", "gpu0", "gpm.172", pattern),)))
    assert counted(source) == []
    driver.is_now(NODE)

    assert counted(source) == [600.0]


def test_what_the_engine_of_an_instance_does_is_not_the_gpus(driver: Driver, opened: Open) -> None:
    """In MIG mode there are as many engines as instances, and the first one's switches are not those of the GPU."""
    driver.is_now(Node((replace(NODE.gpus[0], mig=1, instances=(Instance("MIG-1"),)),)))
    source = opened()
    source.read()

    assert counted(source) == []
    (told,) = {u.reason for u in source.read().unsupported if u.metric == "gpu.context_switches"}
    assert told == "not_while_mig_is_enabled"


def test_the_sums_are_bounded() -> None:
    """GPUs that come and go, each with another name, leave only the newest behind."""
    sums = Sums()
    slot = next(i for i, (quantity, _) in enumerate(calls.QUANTITIES) if quantity.metric == "gpu.context_switches")
    layout = lay_out([(["fast"], [(slot,)])], ["GPU"])
    for i in range(1000):
        sums.add(f"GPU-{i}", layout, [1.0])

    newest, oldest = [1.0], [1.0]
    sums.add("GPU-999", layout, newest)
    sums.add("GPU-0", layout, oldest)
    assert (newest, oldest) == ([2.0], [1.0])
