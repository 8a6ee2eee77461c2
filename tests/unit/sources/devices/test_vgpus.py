# SPDX-License-Identifier: Apache-2.0
"""The vGPUs of a virtualisation host: from the driver to the report."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Tuned
from fakenvml.fakenvml import GIB, Fault, Gpu, Node
from fakenvml.fakenvml import Vgpu as Carried
from inferometer.model import DeviceReport, Vgpu

VM = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
TYPES: dict[tuple[int, str], int | str] = {(1105, "name"): "NVIDIA A40-8Q", (1105, "memory"): 8 * GIB}
HOST = Gpu(
    "GPU-aaaa",
    virtualization=3,
    vgpus=(
        Carried(101, "vgpu-1", memory=5 * GIB, sm=11, enc=13, dec=14, jpg=15, ofa=16),
        Carried(102, "vgpu-2", memory=0),
    ),
    vgpu_type=TYPES,
)
OTHER = Gpu("GPU-bbbb")
LIST = "nvmlDeviceGetActiveVgpus"
NEWER = "nvmlDeviceGetVgpuInstancesUtilizationInfo"


def carried(report: DeviceReport) -> dict[str, Vgpu]:
    """Give the vGPUs by UUID, each once, without the time when they were read."""
    assert all(vgpu.at for vgpu in report.vgpus)
    assert len({vgpu.uuid for vgpu in report.vgpus}) == len(report.vgpus)
    return {vgpu.uuid: replace(vgpu, at=None) for vgpu in report.vgpus}


def test_a_vgpu_is_told_with_what_it_uses(driver: Driver, tuned: Tuned) -> None:
    """Type, machine and memory are told at once, also beyond 4 GiB; the shares of time from the second read on."""
    driver.is_now(Node((HOST, OTHER)))
    source = tuned()

    first = carried(source.read())
    driver.is_now(Node((HOST, OTHER)))
    second = carried(source.read())

    vgpu = Vgpu("vgpu-1", "GPU-aaaa", "NVIDIA A40-8Q", VM, memory=5 * GIB, memory_limit=8 * GIB)
    assert first["vgpu-1"] == vgpu
    assert second["vgpu-1"] == replace(
        vgpu, busy={"general": 0.11, "encoder": 0.13, "decoder": 0.14, "jpeg": 0.15, "ofa": 0.16}
    )
    assert second["vgpu-2"].memory == 0
    assert second["vgpu-2"].busy["general"] == 0.0


def test_without_new_samples_there_are_no_shares(driver: Driver, tuned: Tuned) -> None:
    """The driver has nothing new to say: then nothing is said, and nothing has failed."""
    driver.is_now(Node((HOST,)))
    source = tuned()
    source.read()

    report = source.read()

    assert carried(report)["vgpu-1"].busy == {}
    assert report.failed == ()


def test_a_gpu_that_is_no_host_is_not_asked(driver: Driver, tuned: Tuned) -> None:
    """Only a GPU in the mode of a vGPU host is asked for vGPUs; nothing is said to be absent on the others."""
    driver.is_now(Node((OTHER,), trace=True))

    report = tuned().read()

    assert report.vgpus == ()
    assert LIST not in {call for _, call, _ in driver.calls()}
    assert not [told for told in report.unsupported if told.metric.startswith("gpu.vgpu")]


def test_what_is_refused_is_asked_once(driver: Driver, tuned: Tuned) -> None:
    """A host that refuses the list of its vGPUs is named, and asked once."""
    driver.is_now(Node((HOST,), faults=(Fault("error", "gpu0", LIST, 3),), trace=True))
    source = tuned()

    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert [(u.device, u.metric, u.reason) for u in report.unsupported if u.call == LIST] == [
            ("GPU-aaaa", "gpu.vgpu.info", "not_supported")
        ]
    assert Counter(call for _, call, _ in driver.calls())[LIST] == 1


def test_an_older_driver_tells_the_shares_by_its_older_call(driver: Driver, tuned: Tuned, tmp_path: Path) -> None:
    """Where the call of driver 550 is missing, the one before it is made, which knows two tasks less."""
    driver.is_now(Node((HOST,)))
    source = tuned(library=str(build(tmp_path, without=(NEWER,))))
    source.read()
    driver.is_now(Node((HOST,)))

    report = source.read()

    assert carried(report)["vgpu-1"].busy == {"general": 0.11, "encoder": 0.13, "decoder": 0.14}
    assert not [told for told in report.unsupported if told.metric == "gpu.vgpu.utilization"]


@pytest.mark.parametrize("percent", [101, 0xFFFF_FFFF])
def test_what_is_no_share_is_absent(driver: Driver, tuned: Tuned, percent: int) -> None:
    """More than all of the time is no value; the other tasks keep theirs."""
    odd = replace(HOST, vgpus=(Carried(101, "vgpu-1", sm=percent, enc=13),))
    driver.is_now(Node((odd,)))
    source = tuned()
    source.read()
    driver.is_now(Node((odd,)))

    busy = carried(source.read())["vgpu-1"].busy
    assert "general" not in busy
    assert busy["encoder"] == 0.13


@pytest.mark.parametrize("pattern", [0, 1, 2])
@pytest.mark.parametrize(
    "call",
    [
        LIST,
        NEWER,
        "nvmlVgpuInstanceGetUUID",
        "nvmlVgpuInstanceGetVmID",
        "nvmlVgpuInstanceGetType",
        "nvmlVgpuTypeGetName",
        "nvmlVgpuTypeGetFramebufferSize",
        "nvmlVgpuInstanceGetFbUsage",
    ],
)
def test_garbage_is_no_vgpu(driver: Driver, tuned: Tuned, call: str, pattern: int) -> None:
    """What makes no sense is absent, costs nothing else, and is right again when the driver is."""
    garbled = Node((HOST, OTHER), faults=(Fault("absurd", "gpu0", call, pattern),))
    driver.is_now(garbled)
    source = tuned()
    source.read()
    driver.is_now(garbled)

    report = source.read()

    for vgpu in report.vgpus:
        assert vgpu.uuid in ("vgpu-1", "vgpu-2")
        assert vgpu.memory in (None, 0, 5 * GIB)
        assert vgpu.memory_limit in (None, 8 * GIB)
        assert set(vgpu.busy.values()) <= {0.0, 0.11, 0.13, 0.14, 0.15, 0.16}
    assert {r.value for r in report.readings if r.subject == "GPU-bbbb" and r.metric.name == "hw.gpu.memory.limit"} == {
        80.0 * GIB
    }

    driver.is_now(Node((HOST, OTHER)))
    assert carried(source.read())["vgpu-1"].memory == 5 * GIB


def test_an_id_that_is_used_again_is_described_anew(driver: Driver, tuned: Tuned) -> None:
    """Another vGPU under the id of one that went has its own type and machine."""
    driver.is_now(Node((HOST,)))
    source = tuned()
    source.read()
    types = {**TYPES, (7, "name"): "NVIDIA A40-1Q", (7, "memory"): GIB}
    driver.is_now(Node((replace(HOST, vgpus=(Carried(101, "vgpu-9", vm="vm-9", type=7),), vgpu_type=types),)))

    vgpus = carried(source.read())

    assert set(vgpus) == {"vgpu-9"}
    assert (vgpus["vgpu-9"].type, vgpus["vgpu-9"].vm, vgpus["vgpu-9"].memory_limit) == ("NVIDIA A40-1Q", "vm-9", GIB)
