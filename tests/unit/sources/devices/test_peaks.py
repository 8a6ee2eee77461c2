# SPDX-License-Identifier: Apache-2.0
"""Peaks between two reads, from the samples that the driver takes by itself."""

from dataclasses import replace

from fakenvml.driver import Driver, Open, read_until
from fakenvml.fakenvml import Fault, Gpu, Node
from inferometer import catalog
from inferometer.model import DeviceReport


def peaks(report: DeviceReport) -> list[object]:
    """Give the highest power, where there is one."""
    return [reading.value for reading in report.readings if reading.metric is catalog.GPU_POWER_MAX]


def test_a_time_stamp_that_is_none_costs_no_later_peak(driver: Driver, opened: Open) -> None:
    """A driver that answers with every bit set is not asked from then on for what is newer than the end of time."""
    node = Node((Gpu("GPU-a"),))
    driver.is_now(node)
    source = opened()
    source.read()

    driver.is_now(replace(node, faults=(Fault("absurd", "gpu0", "nvmlDeviceGetSamples", 0),)))
    assert peaks(source.read()) == []

    driver.is_now(Node((Gpu("GPU-a", samples={0: (345_000, 512_000)}),)))
    assert peaks(read_until(source, lambda report: bool(peaks(report)))) == [512.0]
