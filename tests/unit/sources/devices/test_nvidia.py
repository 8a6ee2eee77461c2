# SPDX-License-Identifier: Apache-2.0
"""What the source reads from a driver that behaves: values, identity, MIG, what is unsupported, GPUs that come and go."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Open, read_until, wait_until
from fakenvml.fakenvml import GIB, Fault, Gpu, Instance, Node
from inferometer.model import Device, DeviceReport, Reason, Trouble, Unsupported

WHOLE = Gpu("GPU-aaaa", minor=3)
SHARED = Gpu(
    "GPU-bbbb",
    minor=1,
    pci="00000001:5E:00.0",
    mig=1,
    utilization=None,
    instances=(
        Instance("MIG-1111", gi=7, placement=0, memory_used=2 * GIB),
        None,
        Instance(
            "MIG-2222",
            name="NVIDIA H100 80GB HBM3 MIG 3g.40gb",
            gi=2,
            ci=0,
            profile_id=9,
            placement=4,
            memory_total=40 * GIB,
            memory_used=33 * GIB,
            memory_reserved=64 << 20,
        ),
    ),
)


# What an H100 does not support, as `test_models` shows it.
USUAL = {
    tuple(line.removeprefix("GPU-h100 has no ").split(": "))
    for line in (Path(__file__).parents[3] / "golden/devices/h100.golden").read_text().splitlines()
    if " has no " in line
}


NO_PROCESSES = {f"gpu.processes/{kind}": 0.0 for kind in ("compute", "graphics", "mps")}


def refused(report: DeviceReport, *devices: str) -> set[tuple[str, ...]]:
    """Give what devices do not support beyond what is usual: metric, call and reason."""
    found: set[tuple[str, ...]] = {
        (u.metric, u.call, u.reason) for u in report.unsupported if not devices or u.device in devices
    }
    return found - USUAL


def values(report: DeviceReport, uuid: str) -> dict[str, float]:
    """Give a device's readings by metric and attribute values."""
    found = {}
    for reading in report.readings:
        if reading.subject == uuid:
            key = "/".join([reading.metric.name, *(value for _, value in reading.attributes)])
            assert key not in found
            assert isinstance(reading.value, float)
            found[key] = reading.value
    return found


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


def test_mig_instances_stand_after_their_gpu(driver: Driver, opened: Open) -> None:
    """Instances follow their GPU in the order of their MIG indexes, holes left out, with what a DRA name is made of."""
    driver.is_now(Node((WHOLE, SHARED)))

    report = opened().read()

    assert [d.uuid for d in report.devices] == ["GPU-aaaa", "GPU-bbbb", "MIG-1111", "MIG-2222"]
    gpu, small, large = report.devices[1:]
    assert (gpu.mig_enabled, gpu.details["gpu.mig.mode"], gpu.pci_address) == (True, "enabled", "0001:5e:00.0")
    assert (small.parent, small.index, small.minor, small.profile, small.pci_address) == (
        "GPU-bbbb",
        1,
        1,
        "1g.10gb",
        "0001:5e:00.0",
    )
    assert (large.profile, large.gpu_instance, large.compute_instance, large.profile_id, large.placement) == (
        "3g.40gb",
        2,
        0,
        9,
        4,
    )
    assert values(report, "MIG-2222") == {
        "gpu.mig.memory.usage": 33.0 * GIB,
        "gpu.mig.memory.limit": 40.0 * GIB,
        "gpu.mig.memory.reserved": 64.0 * (1 << 20),
        "gpu.mig.memory.bar1.usage": 1.0 * (1 << 20),
        "gpu.mig.memory.bar1.limit": 16.0 * GIB,
        **NO_PROCESSES,
    }


def test_the_profile_comes_from_attributes_where_the_name_lacks_it(driver: Driver, opened: Open) -> None:
    """An instance whose name does not tell its profile gets it from its slices and memory."""
    driver.is_now(Node((replace(SHARED, instances=(Instance("MIG-1111", name="NVIDIA H100"),)),)))

    assert opened().read().devices[1].profile == "1g.10gb"


def test_utilization_is_not_asked_while_mig_is_on(driver: Driver, opened: Open) -> None:
    """With MIG on, what the driver would refuse is not asked at all, and named."""
    driver.is_now(Node((SHARED,), trace=True))

    report = opened().read()

    assert not any(name.startswith("hw.gpu.utilization") for name in values(report, "GPU-bbbb"))
    off = {call for _, call, reason in refused(report, "GPU-bbbb") if reason == "not_while_mig_is_enabled"}
    assert off == {
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetEncoderUtilization",
        "nvmlDeviceGetDecoderUtilization",
        "nvmlDeviceGetJpgUtilization",
        "nvmlDeviceGetOfaUtilization",
        "nvmlDeviceGetSamples",
        "nvmlDeviceGetProcessesUtilizationInfo",
    }
    assert "nvmlDeviceGetUtilizationRates" not in {call for _, call, _ in driver.calls()}


def test_memory_that_compute_instances_share_is_nobodys_alone(driver: Driver, opened: Open) -> None:
    """Two compute instances of one GPU instance see the same memory: it is not told twice, and the reason is named."""
    twins = (Instance("MIG-1111", gi=2, ci=0), Instance("MIG-2222", gi=2, ci=1), Instance("MIG-3333", gi=5))
    driver.is_now(Node((replace(SHARED, instances=twins),)))
    source = opened()

    report = source.read()

    assert values(report, "MIG-1111") == values(report, "MIG-2222") == NO_PROCESSES
    assert values(report, "MIG-3333")["gpu.mig.memory.usage"] == 1.0 * GIB
    assert {u.device for u in report.unsupported if u.reason == "shared_by_compute_instances"} == {
        "MIG-1111",
        "MIG-2222",
    }

    driver.is_now(Node((replace(SHARED, instances=twins[:1]),)))
    assert values(source.read(), "MIG-1111")["gpu.mig.memory.usage"] == 1.0 * GIB


def test_the_same_identifier_with_another_shape_is_described_anew(driver: Driver, opened: Open) -> None:
    """An instance that was made anew under the same UUID is not taken for the one before."""
    driver.is_now(Node((SHARED,)))
    source = opened()
    assert source.read().devices[1].profile == "1g.10gb"

    larger = replace(SHARED.instances[0], name="NVIDIA H100 80GB HBM3 MIG 2g.20gb", gi=3, profile_id=14, placement=4)  # type: ignore[type-var]  # not a hole
    driver.is_now(Node((replace(SHARED, instances=(larger,)),)))

    now = source.read().devices[1]
    assert (now.uuid, now.profile, now.gpu_instance, now.profile_id, now.placement) == ("MIG-1111", "2g.20gb", 3, 14, 4)


def test_mig_mode_may_change(driver: Driver, opened: Open) -> None:
    """When MIG is switched on, instances appear and what it disables is named; when it is switched off, all is back."""
    driver.is_now(Node((replace(WHOLE, uuid="GPU-bbbb"),)))
    source = opened()
    assert "hw.gpu.utilization/general" in values(source.read(), "GPU-bbbb")

    driver.is_now(Node((SHARED,)))
    report = source.read()
    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert "hw.gpu.utilization/general" not in values(report, "GPU-bbbb")

    driver.is_now(Node((replace(WHOLE, uuid="GPU-bbbb"),)))
    report = source.read()
    assert [d.uuid for d in report.devices] == ["GPU-bbbb"]
    assert "hw.gpu.utilization/general" in values(report, "GPU-bbbb")
    assert refused(report) == set()


def test_unsupported_is_found_once_and_named(driver: Driver, opened: Open) -> None:
    """A call that a device refuses is asked once, is named in every report, and costs no other value."""
    driver.is_now(Node((replace(WHOLE, utilization=None, energy=None, memory_temperature=None, mig=None),), trace=True))
    source = opened()

    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert refused(report) == {
            ("hw.gpu.utilization", "nvmlDeviceGetUtilizationRates", "not_supported"),
            ("gpu.memory.activity", "nvmlDeviceGetUtilizationRates", "not_supported"),
            ("hw.energy", "nvmlDeviceGetTotalEnergyConsumption", "not_supported"),
            ("hw.temperature", "NVML_FI_DEV_MEMORY_TEMP", "not_supported"),
            ("gpu.info", "nvmlDeviceGetMigMode", "not_supported"),
        }
        assert values(report, "GPU-aaaa")["hw.temperature/core"] == 61.0
    asked = Counter(call for _, call, _ in driver.calls())
    assert asked["nvmlDeviceGetUtilizationRates"] == 1
    assert asked["nvmlDeviceGetTemperatureV"] == 3


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


def test_a_call_that_fails_costs_only_itself(driver: Driver, opened: Open) -> None:
    """A call that fails this time is told, its value is absent, and it is asked again the next time."""
    fault = Fault("error", "gpu0", "nvmlDeviceGetTotalEnergyConsumption", 999)
    driver.is_now(Node((WHOLE,), faults=(fault,)))
    source = opened()

    report = source.read()
    assert report.failed == (Unsupported("GPU-aaaa", "hw.energy", fault.call, "unknown"),)
    assert refused(report) == set()
    assert "hw.energy" not in values(report, "GPU-aaaa")
    assert values(report, "GPU-aaaa")["hw.power"] == 345.6

    driver.is_now(Node((WHOLE,)))
    report = source.read()
    assert report.failed == ()
    assert values(report, "GPU-aaaa")["hw.energy"] == 123456.789


def test_what_is_no_value_is_absent(driver: Driver, opened: Open) -> None:
    """All bits set mean that there is no value, and 200 % is no utilization: neither is published."""
    driver.is_now(Node((replace(WHOLE, power_instant=0xFFFF_FFFF, utilization=200, memory_utilization=50),)))

    report = opened().read()

    assert "gpu.power.instant" not in values(report, "GPU-aaaa")
    assert "hw.gpu.utilization/general" not in values(report, "GPU-aaaa")
    assert [u.metric for u in report.failed] == ["hw.gpu.utilization", "gpu.memory.activity"]


def test_power_falls_back_to_the_function(driver: Driver, opened: Open) -> None:
    """Where the field of average power is refused, the function is asked in the same read, and nothing is missing."""
    fields = {key: value for key, value in WHOLE.fields.items() if key != 185}
    driver.is_now(Node((replace(WHOLE, fields=fields, power=333_000),)))

    report = opened().read()

    assert values(report, "GPU-aaaa")["hw.power"] == 333.0
    assert (refused(report), report.failed) == (set(), ())


def test_symbols_that_an_old_driver_lacks_cost_only_their_values(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """Without newer symbols, older ones are used; what only the newer ones can tell is absent and named."""
    missing = (
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetMigMode",
    )
    old = build(tmp_path, without=missing)
    driver.is_now(Node((WHOLE,)))

    report = opened(library=old).read()

    found = values(report, "GPU-aaaa")
    assert found["hw.gpu.memory.limit"] == 80.0 * GIB
    assert found["hw.temperature/core"] == 61.0
    assert found["hw.power"] == 345.6
    # The old call counts what the driver reserves as used: better absent than wrong.
    assert not {"hw.gpu.memory.usage", "gpu.memory.reserved", "hw.temperature/memory"} & found.keys()
    assert {
        ("hw.gpu.memory.usage", "nvmlDeviceGetMemoryInfo_v2", "function_not_found"),
        ("hw.temperature", "NVML_FI_DEV_MEMORY_TEMP", "function_not_found"),
        ("gpu.info", "nvmlDeviceGetMigMode", "function_not_found"),
    } <= {(u.metric, u.call, u.reason) for u in report.unsupported}
    # What only an older call tells is no complaint.
    assert "nvmlDeviceGetTemperatureV" not in {call for _, call, _ in refused(report)}


def test_gpus_come_and_go(driver: Driver, opened: Open) -> None:
    """A GPU is there from the first read that shows it and gone at the first that does not; none is a normal state."""
    driver.is_now(Node())
    source = opened()
    assert source.read().devices == ()

    driver.is_now(Node((WHOLE, SHARED)))
    assert {d.uuid for d in source.read().devices} == {"GPU-aaaa", "GPU-bbbb", "MIG-1111", "MIG-2222"}

    driver.is_now(Node((SHARED,)))
    report = source.read()
    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert dict(report.unresponsive) == {}


def test_more_gpus_than_a_board_has(driver: Driver, opened: Open) -> None:
    """Sixteen GPUs of seven instances are read in one sample."""
    gpus = tuple(
        Gpu(f"GPU-{i}", minor=i, mig=1, instances=tuple(Instance(f"MIG-{i}-{j}", gi=7 + j) for j in range(7)))
        for i in range(16)
    )
    driver.is_now(Node(gpus))

    report = opened().read()

    assert len(report.devices) == 16 * 8
    assert [d.index for d in report.devices if not d.is_instance] == list(range(16))


def test_a_gpu_that_refuses_a_handle_is_named(driver: Driver, opened: Open) -> None:
    """A GPU that never told its UUID is named by its index; the others are read."""
    driver.is_now(Node((WHOLE, SHARED), faults=(Fault("error", "gpu0", "nvmlDeviceGetHandleByIndex_v2", 4),)))

    report = opened().read()

    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert report.failed == (Unsupported("index 0", "gpu.info", "nvmlDeviceGetHandleByIndex_v2", "no_permission"),)
    assert report.nameless == 1


def test_a_gpu_that_hangs_from_the_first_call_on_is_named(driver: Driver, opened: Open) -> None:
    """An agent that starts when a GPU hangs already knows that there is one; when it answers, it is a GPU as all others."""
    hang = Fault("hang", "gpu0", "nvmlDeviceGetUUID")
    driver.is_now(Node((WHOLE, SHARED), faults=(hang,)))
    source = opened(deadline=0.5)

    report = read_until(source, lambda report: bool(report.nameless))
    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert Unsupported("index 0", "gpu.info", "nvmlDeviceGetUUID of GPU 0", "timeout") in report.failed

    driver.is_now(Node((WHOLE, SHARED)))
    assert read_until(source, lambda report: len(report.devices) == 4).nameless == 0


def test_without_a_library_nothing_is_started(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """A library that is not there is told with a remedy, and no process is started for it; when it comes it is used."""
    absent = tmp_path / "absent" / "libnvidia-ml.so.1"
    driver.is_now(Node((WHOLE,)))
    source = opened(library=absent)

    with pytest.raises(Trouble) as caught:
        source.read()
    assert caught.value.reason is Reason.MISSING
    assert str(absent) in caught.value.message
    assert "devices.nvidia.library" in caught.value.remedy
    assert driver.calls() == []

    absent.parent.mkdir()
    absent.symlink_to(driver.library)
    assert len(source.read().devices) == 1


def test_a_file_that_is_no_library_is_told(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """A library that cannot be loaded is told with the loader's own words, and not tried again at once."""
    broken = tmp_path / "libnvidia-ml.so.1"
    broken.write_text("no library\n")
    source = opened(library=broken)

    for _ in range(2):
        with pytest.raises(Trouble, match="libnvidia-ml") as caught:
            source.read()
        assert caught.value.reason is Reason.MISSING


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, Reason.MISSING),
        (18, Reason.REJECTED),
        (4, Reason.PERMISSION),
        (17, Reason.PERMISSION),
        (999, Reason.REJECTED),
    ],
)
def test_a_driver_that_cannot_be_opened_is_told(driver: Driver, opened: Open, code: int, reason: Reason) -> None:
    """Each way in which NVML refuses to open has its reason and a remedy."""
    driver.is_now(Node((WHOLE,), faults=(Fault("error", "*", "nvmlInitWithFlags", code),)))

    with pytest.raises(Trouble) as caught:
        opened().read()

    assert caught.value.reason is reason
    assert caught.value.remedy


def test_a_driver_that_goes_and_comes_back(driver: Driver, opened: Open) -> None:
    """A driver that is unloaded is a trouble with its reason; the child lets go of it, and a new one reads when it is back."""
    driver.is_now(Node((WHOLE,)))
    source = opened()
    source.read()

    driver.is_now(Node((WHOLE,), faults=(Fault("error", "*", "*", 9),)))
    with pytest.raises(Trouble, match="not loaded") as caught:
        source.read()
    assert caught.value.reason is Reason.MISSING

    driver.is_now(Node((WHOLE,)))
    assert values(read_until(source, lambda report: bool(report.devices)), "GPU-aaaa")["hw.power"] == 345.6
    assert len({pid for pid, call, _ in driver.calls() if call == "nvmlInitWithFlags"}) >= 2


def test_closing_shuts_nvml_down(driver: Driver, opened: Open) -> None:
    """Closing the source ends the child by the end of its standard input, and the child closes NVML."""
    driver.is_now(Node((WHOLE,)))
    source = opened()
    source.read()

    source.close()

    wait_until(lambda: [call for _, call, _ in driver.calls()] == ["nvmlInitWithFlags", "nvmlShutdown"])
    with pytest.raises(Trouble, match="closed"):
        source.read()
