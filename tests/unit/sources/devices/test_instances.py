# SPDX-License-Identifier: Apache-2.0
"""MIG instances that are made anew as others, what several share, and profile names where the driver does not give them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fakenvml.driver import Driver, Open, Tuned
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.config import Seconds
from inferometer.sources.devices.instances import profile_name

A100_40, A100_80, H100_80, H200, A30 = 40_960 << 20, 81_920 << 20, 81_559 << 20, 143_771 << 20, 24_576 << 20


@pytest.mark.parametrize(
    ("gpu_memory", "slices", "compute", "megabytes", "name"),
    [
        (A100_40, 1, 1, 4_864, "1g.5gb"),
        (A100_40, 7, 7, 40_192, "7g.40gb"),
        (A100_80, 3, 3, 40_192, "3g.40gb"),
        (H100_80, 1, 1, 9_984, "1g.10gb"),
        (H100_80, 2, 2, 20_096, "2g.20gb"),
        (H100_80, 3, 1, 40_448, "1c.3g.40gb"),
        (H200, 1, 1, 16_384, "1g.18gb"),
        (H200, 3, 3, 71_680, "3g.71gb"),
        (A30, 2, 2, 11_968, "2g.12gb"),
    ],
)
def test_profiles_are_named_as_nvidia_names_them(
    gpu_memory: int, slices: int, compute: int, megabytes: int, name: str
) -> None:
    """Slices and memory in eighths of the GPU's give the name that nvidia-smi and the device plugin use."""
    attributes = SimpleNamespace(
        gpuInstanceSliceCount=slices, computeInstanceSliceCount=compute, memorySizeMB=megabytes
    )

    assert profile_name(attributes, gpu_memory) == name


def test_the_same_identifier_in_another_place_is_described_anew(driver: Driver, tuned: Tuned) -> None:
    """An instance that ended and came back between two reads, with the ids it had, is known by its new place."""
    first = Instance("MIG-a", gi=7, placement=0)
    driver.is_now(Node((Gpu("GPU-a", mig=1, instances=(first,)),)))
    source = tuned(medium_period=Seconds(0.001))
    assert source.read().devices[1].placement == 0

    driver.is_now(Node((Gpu("GPU-a", mig=1, instances=(replace(first, placement=3),)),)))
    assert source.read().devices[1].placement == 3


def test_a_description_that_fails_once_is_no_other_instance(driver: Driver, tuned: Tuned) -> None:
    """What an instance is stays known when it cannot be asked again, and the call that failed is told."""
    node = Node((Gpu("GPU-a", mig=1, instances=(Instance("MIG-a", placement=2),)),))
    driver.is_now(node)
    source = tuned(medium_period=Seconds(0.001))
    assert source.read().devices[1].placement == 2

    driver.is_now(replace(node, faults=(Fault("error", "*", "nvmlGpuInstanceGetInfo", 999),)))
    report = source.read()

    assert report.devices[1].placement == 2
    assert ("MIG-a", "nvmlGpuInstanceGetInfo") in {(told.device, told.call) for told in report.failed}


def test_what_describes_is_refused_once(driver: Driver, tuned: Tuned) -> None:
    """A call that is refused each time an instance is described stands once among what is not supported."""
    driver.is_now(
        Node(
            (Gpu("GPU-a", mig=1, instances=(Instance("MIG-a"),)),),
            faults=(Fault("error", "*", "nvmlDeviceGetGpuInstanceById", 4),),
        )
    )
    source = tuned(medium_period=Seconds(0.001))

    for _ in range(3):
        told = [complaint.call for complaint in source.read().unsupported]
        assert told.count("nvmlDeviceGetGpuInstanceById") == 1


def test_what_compute_instances_share_is_told_once(driver: Driver, opened: Open) -> None:
    """However many values a call has that is not asked for, each instance names it once for a metric."""
    twins = (Instance("MIG-a", gi=2, ci=0), Instance("MIG-b", gi=2, ci=1))
    driver.is_now(Node((Gpu("GPU-a", mig=1, instances=twins),)))

    told = opened().read().unsupported

    assert len(told) == len(set(told))
