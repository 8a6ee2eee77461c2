# SPDX-License-Identifier: Apache-2.0
"""AMD GPUs: the real package amdsmi, in the real sampler child, on a libamd_smi.so that is built here."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from fakeamdsmi.build import build
from fakeamdsmi.fakeamdsmi import GIB, MI300X, Fault, Gpu, write
from fakenvml.driver import children, close_all, wait_until
from inferometer.config import Amd as Settings
from inferometer.config import Release as Releasing
from inferometer.config import Seconds
from inferometer.model import DeviceReport, Reason, Trouble
from inferometer.sources.devices.amd.source import Amd
from inferometer.sources.devices.release import Release
from readouts import values

pytestmark = pytest.mark.skipif(find_spec("amdsmi") is None, reason="the Python package amdsmi is not installed")

FIRST = Gpu("2cff74a1-0000-1000-8019-0a5a9bfb1b45", "0000:0C:00.0")
SECOND = Gpu("8aff74a1-0000-1000-803f-c0ffee000001", "0000:22:00.0", {"hotspot": 64, "energy": 4_000_000_000})
LOST_CODE, UNKNOWN, NO_PERMISSION, NOT_LOADED = 31, 0xFFFF_FFFF, 10, 34  # amdsmi_status_t


class Open(Protocol):
    """Opens a source with some of the keys of `devices.amd`."""

    def __call__(self, **settings: object) -> Amd: ...


@pytest.fixture(scope="module")
def rocm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library once, where ROCm would have it."""
    return build(tmp_path_factory.mktemp("rocm")).parents[1]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give what changes the library's answers."""
    text = tmp_path / "node.txt"
    monkeypatch.setenv("FAKEAMDSMI", str(text))
    return lambda *gpus, faults=(): write(text, *gpus, faults=faults)


@pytest.fixture
def opened(rocm: Path) -> Iterator[Open]:
    """Open sources that are closed, and whose processes are seen to be gone, when the test ends."""
    sources: list[Amd] = []

    def open_source(**settings: object) -> Amd:
        patient = Settings(rocm=str(rocm), deadline=Seconds(10), kill_after=Seconds(60))
        source = Amd(replace(patient, **settings), 30.0, Release(Releasing(file="")))  # type: ignore[arg-type]  # whatever the test wants
        sources.append(source)
        return source

    before = children()
    yield open_source
    close_all(sources, before)


def until(source: Amd, holds: Callable[[DeviceReport], bool]) -> DeviceReport:
    """Read, as the poller does, until a report is as wanted; a trouble is no report."""
    found: list[DeviceReport] = []

    def is_so() -> bool:
        try:
            report = source.read()
        except Trouble:
            return False
        found.append(report)
        return holds(report)

    wait_until(is_so)
    return found[-1]


EXPECTED = {
    "hw.gpu.utilization/general": 0.83,
    "gpu.memory.activity": 0.41,
    "hw.gpu.memory.usage": 150.0 * GIB,
    "hw.gpu.memory.limit": 192.0 * GIB,
    "hw.power": 612.0,
    "gpu.power.limit": 750.0,
    "gpu.power.limit.default": 750.0,
    "gpu.power.limit.maximum": 750.0,
    "hw.energy": 31_000.0,
    "hw.temperature/core": 71.0,
    "hw.temperature/memory": 58.0,
    "gpu.clock.frequency/graphics": 2.1e9,
    "gpu.clock.frequency.max/graphics": 2.1e9,
    "gpu.clock.frequency/memory": 0.9e9,
    "gpu.clock.frequency.max/memory": 1.3e9,
    "gpu.clock.frequency/video": 29e6,
    "gpu.clock.frequency.max/video": 2.11e9,
    "hw.errors/corrected": 3.0,
    "hw.errors/uncorrected": 1.0,
}


def test_a_gpu_is_read_value_by_value(node: Callable[..., None], opened: Open) -> None:
    """Every value of an AMD GPU arrives in base units, once, under the names that NVIDIA's have."""
    node(FIRST)

    report = opened().read()

    assert values(report, FIRST.uuid) == pytest.approx(EXPECTED)
    assert not report.unsupported
    assert not report.failed


def test_what_describes_a_gpu_stands_in_its_details(node: Callable[..., None], opened: Open) -> None:
    """Vendor, model, serial number, firmware, driver and address are the GPU's own, the address as the kernel writes it."""
    node(FIRST)

    (device,) = opened().read().devices

    assert device.uuid == FIRST.uuid
    assert device.pci_address == "0000:0c:00.0"
    assert dict(device.details) == {
        "hw.vendor": "AMD",
        "hw.model": "AMD Instinct MI300X",
        "hw.serial_number": "PCB012345-0001",
        "hw.firmware_version": "022.040.003.041.000001",
        "hw.driver_version": "6.12.12",
        "gpu.architecture": "gfx942",
        "gpu.board.part_number": "102-G30211-00",
        "gpu.pci.address": "0000:0c:00.0",
    }


def test_the_next_way_is_taken_where_the_first_is_not_supported(node: Callable[..., None], opened: Open) -> None:
    """An older GPU tells its average power, the temperature of its edge, and its memory in MiB."""
    older = {
        "socket_power": None,
        "current_power": None,
        "average_power": 250,
        "hotspot": None,
        "edge": 44,
        "used_bytes": None,
        "total_mib": 65_520,
        "used_mib": 12,
    }
    node(replace(FIRST, values=older))

    found = values(opened().read(), FIRST.uuid)

    assert found["hw.power"] == 250.0
    assert found["hw.temperature/core"] == 44.0
    assert found["hw.gpu.memory.limit"] == 65_520.0 * (1 << 20)
    assert found["hw.gpu.memory.usage"] == 12.0 * (1 << 20)


@pytest.mark.parametrize("answer", [0xFFFF, 0xFFFF_FFFF])
def test_all_bits_set_is_no_value(node: Callable[..., None], opened: Open, answer: int) -> None:
    """What AMD SMI says for "there is none" never becomes a number, whichever its width, and is told as unsupported."""
    none = {"socket_power": answer, "current_power": answer, "gfx_activity": answer, "umc_activity": answer}
    node(replace(FIRST, values=none))

    report = opened().read()

    gone = {"hw.power", "hw.gpu.utilization/general", "gpu.memory.activity"}
    assert values(report, FIRST.uuid) == pytest.approx({k: v for k, v in EXPECTED.items() if k not in gone})
    assert {(u.metric, u.call, u.reason) for u in report.unsupported} == {
        ("hw.power", "amdsmi_get_power_info", "not_supported"),
        ("hw.gpu.utilization", "amdsmi_get_gpu_activity", "not_supported"),
        ("gpu.memory.activity", "amdsmi_get_gpu_activity", "not_supported"),
    }


def test_what_fails_this_once_costs_only_itself(node: Callable[..., None], opened: Open) -> None:
    """A call that fails is named, the others' values stand, and it is asked again."""
    node(FIRST, faults=(Fault("error", "amdsmi_get_energy_count", 0, UNKNOWN),))
    source = opened()

    report = source.read()

    assert values(report, FIRST.uuid) == pytest.approx({k: v for k, v in EXPECTED.items() if k != "hw.energy"})
    assert [(f.metric, f.call) for f in report.failed] == [("hw.energy", "amdsmi_get_energy_count")]
    node(FIRST)
    until(source, lambda report: "hw.energy" in values(report, FIRST.uuid))


def test_what_needs_a_right_is_told_and_asked_once(node: Callable[..., None], opened: Open) -> None:
    """A call that is not permitted is listed as unsupported with that reason."""
    node(FIRST, faults=(Fault("error", "amdsmi_get_gpu_total_ecc_count", 0, NO_PERMISSION),))

    report = opened().read()

    assert {(u.metric, u.call, u.reason) for u in report.unsupported} == {
        ("hw.errors", "amdsmi_get_gpu_total_ecc_count", "no_permission")
    }


def test_only_the_first_partition_tells_of_a_gpu(node: Callable[..., None], opened: Open) -> None:
    """Partitions share power and memory: what the driver says of the GPU stands once."""
    node(FIRST, replace(SECOND, values={"partition": 1}))

    report = opened().read()

    assert values(report, FIRST.uuid) == pytest.approx(EXPECTED)
    assert values(report, SECOND.uuid) == {}
    assert {u.reason for u in report.unsupported} == {"told_by_the_first_partition"}
    assert [device.details["hw.model"] for device in report.devices] == [MI300X["market_name"]] * 2


def test_a_gpu_that_hangs_costs_only_itself(node: Callable[..., None], opened: Open) -> None:
    """While a call of one GPU hangs it is unresponsive and the other is read; then it answers again, and counters go on."""
    node(FIRST, SECOND)
    source = opened(deadline=Seconds(0.5), kill_after=Seconds(1))
    until(source, lambda report: len(values(report, FIRST.uuid)) == len(EXPECTED))

    node(FIRST, SECOND, faults=(Fault("hang", "amdsmi_get_temp_metric", 0),))
    silent = until(source, lambda report: FIRST.uuid in report.unresponsive and bool(values(report, SECOND.uuid)))

    assert values(silent, FIRST.uuid) == {}
    assert values(silent, SECOND.uuid) == pytest.approx(
        {**EXPECTED, "hw.temperature/core": 64.0, "hw.energy": 62_000.0}
    )
    node(FIRST, SECOND)
    until(source, lambda report: not report.unresponsive and "hw.power" in values(report, FIRST.uuid))


def test_a_call_that_crashes_is_named_and_survived(node: Callable[..., None], opened: Open) -> None:
    """The library's crash ends the child alone: the call is named, the other GPU is read on, and this one comes back."""
    node(FIRST, SECOND, faults=(Fault("crash", "amdsmi_get_clock_info", 1),))
    source = opened()

    report = source.read()

    assert "amdsmi_get_clock_info of GPU 1" in {complaint.call for complaint in report.failed}
    assert report.restarts["crash"] == 1
    assert values(report, FIRST.uuid) == pytest.approx(EXPECTED)
    node(FIRST, SECOND)
    until(source, lambda report: "hw.power" in values(report, SECOND.uuid))


def test_a_gpu_that_is_gone_is_unresponsive_until_it_is_back(node: Callable[..., None], opened: Open) -> None:
    """A GPU that the driver does not find is lost: it keeps its identity, without values, and is read when it is back."""
    node(FIRST, SECOND)
    source = opened(kill_after=Seconds(0.2))
    source.read()

    node(FIRST, SECOND, faults=(Fault("error", "amdsmi_get_gpu_device_uuid", 1, LOST_CODE),))
    report = until(source, lambda report: SECOND.uuid in report.unresponsive)

    assert [device.uuid for device in report.devices] == [FIRST.uuid, SECOND.uuid]
    assert values(report, SECOND.uuid) == {}
    node(FIRST, SECOND)
    until(source, lambda report: "hw.power" in values(report, SECOND.uuid))


def test_a_gpu_that_says_that_the_driver_is_gone_is_silent_alone(node: Callable[..., None], opened: Open) -> None:
    """What one GPU says of the driver is believed only where no other GPU says otherwise."""
    node(FIRST, SECOND)
    source = opened()
    source.read()

    node(FIRST, SECOND, faults=(Fault("error", "amdsmi_get_gpu_device_uuid", 1, NOT_LOADED),))
    report = source.read()
    assert set(report.unresponsive) == {SECOND.uuid}
    assert values(report, FIRST.uuid) == pytest.approx(EXPECTED)

    gone = (Fault("error", "amdsmi_get_gpu_device_uuid", index, NOT_LOADED) for index in (0, 1))
    node(FIRST, SECOND, faults=tuple(gone))
    with pytest.raises(Trouble):
        source.read()


def test_a_gpu_that_is_excluded_is_counted_and_not_read(node: Callable[..., None], opened: Open) -> None:
    """A GPU that is left out by its PCI address has no readings, and its model is told."""
    node(FIRST, SECOND)

    report = opened(exclude=("22:00.0",)).read()

    assert [device.uuid for device in report.devices] == [FIRST.uuid]
    assert dict(report.excluded) == {SECOND.uuid: "AMD Instinct MI300X"}


def test_a_node_without_the_driver_says_so(node: Callable[..., None], opened: Open) -> None:
    """AMD SMI that finds no driver is nothing that is wrong: the source is missing, with what to do."""
    node(faults=(Fault("error", "amdsmi_init", number=NOT_LOADED),))

    with pytest.raises(Trouble) as caught:
        opened().read()

    assert caught.value.reason is Reason.MISSING
    assert caught.value.message == "the amdgpu kernel driver is not loaded"


def test_a_library_that_does_not_fit_the_package_says_so(
    node: Callable[..., None], opened: Open, tmp_path: Path
) -> None:
    """A library that lacks a function that the package asks for is named as another version, with the function."""
    other = build(tmp_path / "older", without="amdsmi_get_gpu_fan_speed").parents[1]

    with pytest.raises(Trouble) as caught:
        opened(rocm=str(other)).read()

    assert caught.value.reason is Reason.REJECTED
    assert "amdsmi_get_gpu_fan_speed" in caught.value.message


def test_costs_are_counted_by_amd_smis_own_names(node: Callable[..., None], opened: Open) -> None:
    """The calls that were made are counted, each by its name in the package."""
    node(FIRST, SECOND)
    source = opened(medium_period=1e-6)
    source.read()

    report = source.read()

    assert report.calls["amdsmi_get_gpu_activity"][0] == 4
    assert all(call.startswith("amdsmi_") for call in report.calls)
