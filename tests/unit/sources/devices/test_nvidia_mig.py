# SPDX-License-Identifier: Apache-2.0
"""What the source reads of MIG: instances, what they share, and a mode that changes."""

from dataclasses import replace

from fakenvml.driver import Driver, Open
from fakenvml.fakenvml import GIB, Instance, Node
from readouts import NO_PROCESSES, SHARED, WHOLE, refused, values


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
        "NVML_GPM_METRIC_GR0_CTXSW_ACTIVE_PCT",
        "NVML_GPM_METRIC_GR0_CTXSW_REQUESTS",
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


def test_what_an_instance_told_while_it_was_alone_is_taken_back(driver: Driver, opened: Open) -> None:
    """A second compute instance comes into its GPU instance between two reads of the medium tier: nothing is told on."""
    twins = (Instance("MIG-1111", gi=2, ci=0), Instance("MIG-2222", gi=2, ci=1))
    driver.is_now(Node((replace(SHARED, instances=twins[:1]),)))
    source = opened()
    for _ in range(2):  # the second time of the fast tier alone
        assert "gpu.mig.memory.bar1.usage" in values(source.read(), "MIG-1111")

    driver.is_now(Node((replace(SHARED, instances=twins),)))
    assert values(source.read(), "MIG-1111") == NO_PROCESSES


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
