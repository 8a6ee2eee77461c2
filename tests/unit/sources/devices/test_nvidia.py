# SPDX-License-Identifier: Apache-2.0
"""What the source reads from a driver that behaves: values, identity, and when each is read."""

from collections import Counter
from dataclasses import replace

from fakenvml.driver import Driver, Open
from fakenvml.fakenvml import GIB, Node
from inferometer.model import Device
from readouts import SHARED, WHOLE, refused, values


def test_a_whole_gpu_is_read_value_by_value(driver: Driver, opened: Open) -> None:
    """Every value of a GPU arrives exactly, in base units, once."""
    driver.is_now(Node((WHOLE,)))

    report = opened().read()

    found = values(report, "GPU-aaaa")
    expected = {
        "hw.gpu.utilization/general": 0.87,
        "hw.gpu.utilization/encoder": 0.03,
        "hw.gpu.utilization/decoder": 0.05,
        "hw.gpu.memory.usage": 20.0 * GIB,
        "hw.gpu.memory.limit": 80.0 * GIB,
        "gpu.memory.reserved": 512.0 * (1 << 20),
        "hw.power": 345.6,
        "gpu.power.instant": 351.234,
        "hw.energy": 123456.789,
        "hw.temperature/core": 61.0,
        "hw.temperature/memory": 71.0,
        "gpu.clock.frequency/graphics": 1.98e9,
        "gpu.clock.frequency/sm": 1.965e9,
        "gpu.clock.frequency/memory": 2.619e9,
        "gpu.clock.frequency/video": 1.545e9,
        "gpu.power.limit": 700.0,
        "gpu.throttle.time/sw_power_cap": 5.0,
        "gpu.throttle.active/sw_power_cap": 1.0,
        "gpu.nvlink.io/transmit/3": (1 << 20) * 1024.0 * 1003,
        "hw.errors/corrected/dram": 2.0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert (refused(report), report.failed, dict(report.unresponsive)) == (set(), (), {})


def test_a_gpu_is_described(driver: Driver, opened: Open) -> None:
    """A GPU has its index, minor number, PCI address as the kernel writes it, and all that gpu.info tells."""
    driver.is_now(Node((WHOLE,)))

    report = opened().read()

    details = {
        "hw.vendor": "NVIDIA",
        "hw.model": "NVIDIA H100 80GB HBM3",
        "hw.serial_number": "1650522000001",
        "hw.driver_version": "575.57.08",
        "hw.firmware_version": "96.00.61.00.01",
        "gpu.cuda.version": "12.9",
        "gpu.pci.address": "0000:3b:00.0",
        "gpu.minor": "3",
        "gpu.numa.node": "0",
        "gpu.architecture": "hopper",
        "gpu.compute_capability": "9.0",
        "gpu.mig.mode": "disabled",
        "gpu.mig.mode.pending": "disabled",
        "gpu.board.part_number": "692-2G520-0200-000",
        "gpu.ecc.mode": "enabled",
        "gpu.compute_mode": "default",
        "gpu.persistence_mode": "enabled",
        "gpu.virtualization_mode": "none",
        "gpu.fabric.cluster.uuid": "01020304-0506-0708-090a-0b0c0d0e0f10",
        "gpu.fabric.clique": "17",
    }
    assert report.devices == (Device("GPU-aaaa", index=0, minor=3, pci_address="0000:3b:00.0", details=details),)
    assert report.details == {"hw.driver_version": "575.57.08", "gpu.cuda.version": "12.9"}


def test_slower_tiers_are_read_at_their_own_periods(driver: Driver, opened: Open) -> None:
    """What changes slowly is asked once in its period and stands in every report meanwhile, with the time it was read."""
    driver.is_now(Node((WHOLE,), trace=True))
    source = opened()

    reports = [source.read() for _ in range(3)]

    asked = Counter(call for _, call, _ in driver.calls())
    assert asked["nvmlDeviceGetMemoryInfo_v2"] == 3
    assert asked["nvmlDeviceGetCurrPcieLinkWidth"] == asked["nvmlDeviceGetMaxPcieLinkWidth"] == 1
    for report in reports:
        width = next(r for r in report.readings if r.metric.name == "gpu.pcie.link.width")
        assert (width.value, width.at is None) == (16.0, False)
        assert next(r for r in report.readings if r.metric.name == "hw.power").at is None
    assert len({r.at for report in reports for r in report.readings if r.metric.name == "gpu.pcie.link.width"}) == 1


def test_what_describes_is_read_once(driver: Driver, opened: Open) -> None:
    """Names, serial numbers and placements are read once, not at every sample."""
    driver.is_now(Node((SHARED,), trace=True))
    source = opened()

    for _ in range(3):
        source.read()

    asked = Counter((call, subject) for _, call, subject in driver.calls())
    for call in ("nvmlDeviceGetSerial", "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetMemoryAffinity"):
        assert asked[call, "gpu0"] == 1
    assert asked["nvmlGpuInstanceGetInfo", "gpu0.mig0"] == 1
    assert asked["nvmlDeviceGetMemoryInfo_v2", "gpu0.mig0"] == 3


def test_another_gpu_in_the_slot_is_probed_anew(driver: Driver, opened: Open) -> None:
    """What one GPU refused is asked again of the GPU that takes its place."""
    driver.is_now(Node((replace(WHOLE, encoder=None),)))
    source = opened()
    assert refused(source.read()) == {("hw.gpu.utilization", "nvmlDeviceGetEncoderUtilization", "not_supported")}

    driver.is_now(Node((replace(WHOLE, uuid="GPU-cccc"),)))

    report = source.read()
    assert (report.devices[0].uuid, refused(report)) == ("GPU-cccc", set())
