# SPDX-License-Identifier: Apache-2.0
"""What the source remembers of NVLinks: which have been up, whatever becomes of the sampler and the driver."""

import os
import signal
from dataclasses import replace

import psutil
import pytest

from fakenvml.defaults import Fields, nvlink4
from fakenvml.driver import Driver, Tuned, read_until
from fakenvml.fakenvml import Gpu, Node
from inferometer import catalog
from inferometer.model import DeviceReport
from inferometer.sources.devices import calls
from inferometer.sources.devices.layout import lay_out
from inferometer.sources.devices.linked import Linked


def node(*states: int) -> Node:
    """Give one GPU whose links are in these states (`NVML_NVLINK_STATE_*`)."""
    fields = dict(nvlink4(len(states)))
    fields |= {(165, link): state for link, state in enumerate(states)}
    return Node((Gpu("GPU-0", nvlinks=len(states), fields=fields),))


def up(report: DeviceReport) -> dict[str, float]:
    """Give the links as they are told."""
    return {
        dict(reading.attributes)["gpu.nvlink.link"]: float(str(reading.value))
        for reading in report.readings
        if reading.metric is catalog.NVLINK_UP
    }


def test_a_link_that_sleeps_is_up_and_one_without_traffic_is_not(driver: Driver, tuned: Tuned) -> None:
    """Asleep it wakes by itself; with its traffic disabled it carries nothing."""
    driver.is_now(node(0, 1, 2, 3))

    report = read_until(tuned(), lambda report: bool(up(report)))

    assert up(report) == {"0": 0.0, "1": 1.0, "2": 1.0, "3": 0.0}
    assert report.linked == {"GPU-0": frozenset({"1", "2"})}


def test_what_was_up_is_remembered_when_the_sampler_is_another(driver: Driver, tuned: Tuned) -> None:
    """A crash, and with it all that the sampler knew, forgets no link."""
    driver.is_now(node(1, 1, 0))
    source = tuned(medium_period=0.1)
    read_until(source, lambda report: bool(up(report)))
    driver.is_now(node(1, 0, 0))
    read_until(source, lambda report: up(report).get("1") == 0.0)

    for child in psutil.Process().children():
        os.kill(child.pid, signal.SIGKILL)
    report = read_until(source, lambda report: report.restarts["crash"] == 1 and bool(up(report)))

    assert report.linked == {"GPU-0": frozenset({"0", "1"})}


def test_the_memory_of_links_is_bounded() -> None:
    """GPUs that are replaced again and again are forgotten in the end."""
    linked = Linked()
    slot = next(i for i, (quantity, _) in enumerate(calls.QUANTITIES) if quantity.metric == catalog.NVLINK_UP.name)
    layout = lay_out([(["fast", "medium"], [(slot, 0), (slot, 1)])], ["GPU"])
    for number in range(300):
        linked.take(f"GPU-{number}", layout, [1.0, 0.0])

    assert len(linked.now) == 256
    assert linked.now["GPU-299"] == frozenset({"0"}) and "GPU-0" not in linked.now
    known = linked.now
    linked.take("GPU-299", layout, [0.0, 0.0])
    assert linked.now is known


def errors(report: DeviceReport) -> set[str]:
    """Name the links that have a counter of replays."""
    told = (dict(reading.attributes) for reading in report.readings if reading.metric is catalog.NVLINK_ERRORS)
    return {attributes["gpu.nvlink.link"] for attributes in told if attributes["error.type"] == "malformed_packet"}


@pytest.mark.parametrize(("has", "least"), [(1, 1), (None, 9)])
def test_what_a_link_refused_is_asked_for_again(driver: Driver, tuned: Tuned, has: int | None, least: int) -> None:
    """Soon where another link tells it, as one may have come up; where none does, after ten counts of the links."""
    whole = node(1, 1).gpus[0]
    one: Fields = {} if has is None else {(206, has): 5}
    driver.is_now(Node((replace(whole, fields={**whole.fields, **one}),)))
    source = tuned()
    first = errors(source.read())
    driver.is_now(Node((replace(whole, fields={**whole.fields, (206, 0): 3, (206, 1): 5}),)))

    reads = 1
    while errors(source.read()) == first and reads < 1_000:  # the links are counted at some of the reads
        reads += 1

    assert first == ({"1"} if has else set())
    assert errors(source.read()) == {"0", "1"}
    assert least <= reads < 1_000
