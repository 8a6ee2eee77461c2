# SPDX-License-Identifier: Apache-2.0
"""GPUs that are left out: by the configuration, or by the driver."""

import pytest

from fakenvml.driver import Driver, Tuned
from fakenvml.fakenvml import Fault, Gpu, Node

FIRST = Gpu("GPU-aaaa", pci="00000000:3B:00.0")
SECOND = Gpu("GPU-bbbb", pci="00000001:5E:00.0", minor=1)
NODE = Node((FIRST, SECOND), trace=True)


@pytest.mark.parametrize("name", ["GPU-bbbb", "gpu-BBBB", "0001:5e:00.0", "00000001:5E:00.0"])
def test_a_gpu_that_is_named_is_not_read(driver: Driver, tuned: Tuned, name: str) -> None:
    """By whichever of its names: it is no device, has no readings, and is asked for who it is, once."""
    driver.is_now(NODE)
    source = tuned(exclude=(name,))

    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert [device.uuid for device in report.devices] == ["GPU-aaaa"]
        assert {reading.subject for reading in report.readings} == {"GPU-aaaa"}
        assert dict(report.excluded) == {"GPU-bbbb": "NVIDIA H100 80GB HBM3"}
        assert dict(report.unresponsive) == {}
    asked = [call for _, call, subject in driver.calls() if subject == "gpu1"]
    assert len(asked) == len(set(asked))
    assert set(asked) <= {
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetPciInfo_v3",
        "nvmlDeviceGetName",
    }


@pytest.mark.parametrize("name", ["3b:00.0", "0000:3b:00.0"])
def test_an_address_without_a_domain_is_in_the_first(driver: Driver, tuned: Tuned, name: str) -> None:
    """`3b:00.0` is `0000:3b:00.0`."""
    driver.is_now(NODE)

    assert set(tuned(exclude=(name,)).read().excluded) == {"GPU-aaaa"}


def test_a_name_that_no_gpu_has_leaves_all(driver: Driver, tuned: Tuned) -> None:
    """A name of another node's GPU costs nothing here."""
    driver.is_now(NODE)

    report = tuned(exclude=("GPU-none", "0009:3b:00.0")).read()

    assert [device.uuid for device in report.devices] == ["GPU-aaaa", "GPU-bbbb"]
    assert dict(report.excluded) == {}


def test_what_the_driver_leaves_out_is_told(driver: Driver, tuned: Tuned) -> None:
    """GPUs that the driver does not show are named by it; it is asked when the GPUs are counted anew."""
    driver.is_now(Node((FIRST, SECOND), excluded=(("00000000:5E:00.0", "GPU-gone"),), trace=True))
    source = tuned()

    for _ in range(3):
        assert dict(source.read().excluded) == {"GPU-gone": ""}
    assert [call for _, call, _ in driver.calls()].count("nvmlGetExcludedDeviceCount") == 1

    driver.is_now(Node((FIRST,), excluded=(("00000000:5E:00.0", "GPU-gone"), ("00000000:5F:00.0", "GPU-bbbb"))))
    assert set(source.read().excluded) == {"GPU-gone", "GPU-bbbb"}


@pytest.mark.parametrize("call", ["nvmlGetExcludedDeviceCount", "nvmlGetExcludedDeviceInfoByIndex"])
@pytest.mark.parametrize(
    ("kind", "number"), [("error", 13), ("error", 999), ("error", 15), ("absurd", 0), ("absurd", 2)]
)
def test_a_driver_that_does_not_tell_costs_nothing(
    driver: Driver, tuned: Tuned, call: str, kind: str, number: int
) -> None:
    """A driver that cannot say what it leaves out is read as always."""
    faults = (Fault(kind, "*", call, number),)
    driver.is_now(Node((FIRST,), excluded=(("00000000:5E:00.0", "GPU-gone"),), faults=faults))

    report = tuned().read()

    assert [device.uuid for device in report.devices] == ["GPU-aaaa"]
    assert report.readings
