# SPDX-License-Identifier: Apache-2.0
"""The tests' own libnvidia-ml.so.1, as a driver of claims divides its GPUs: through the real nvidia-ml-py."""

from pathlib import Path
from typing import Any

import pytest

from fakenvml.asking import ask
from fakenvml.build import build
from fakenvml.fakenvml import Gpu, Instance, Node
from fakenvml.models import t4

DIVIDED = Gpu("GPU-0", mig=1, instances=(None, Instance("MIG-1", gi=7, placement=2)))
D = "n.nvmlDeviceGetHandleByIndex(0)"
SMALL, MIDDLE = 19, 14  # ids of the profiles of one and of two slices


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library once."""
    return build(tmp_path_factory.mktemp("nvml"))


def answers(tmp_path: Path, library: Path, gpu: Gpu, *expressions: str) -> list[Any]:
    """Ask, with `g` for the GPU; what an expression names with := is there for the next."""
    return ask(tmp_path, library, Node((gpu,)), [f"(g := {D}) and None", *expressions])[1:]


def placed(profile: int, start: int, size: int) -> str:
    """Say that an instance is to be made at a place."""
    placement = f"n.c_nvmlGpuInstancePlacement_t({start}, {size})"
    return f"n.nvmlDeviceCreateGpuInstanceWithPlacement(g, {profile}, byref({placement}))"


def test_a_gpu_says_what_it_can_be_divided_into(tmp_path: Path, library: Path) -> None:
    """The profiles have their ids and sizes, and the places where an instance can begin."""
    assert answers(
        tmp_path,
        library,
        DIVIDED,
        "n.nvmlDeviceGetGpuInstanceProfileInfo(g, 1, version=1)",
        "n.nvmlDeviceGetGpuInstanceProfileInfo(g, 5, version=1)",
        "n.nvmlDeviceGetGpuInstanceProfileInfo(g, 18, version=1)",
        "(count := ctypes.c_uint(9)) and (places := (n.c_nvmlGpuInstancePlacement_t * 9)()) and None",
        f"n.nvmlDeviceGetGpuInstancePossiblePlacements(g, {MIDDLE}, places, byref(count))",
        "[(place.start, place.size) for place in places[:count.value]]",
    ) == [[MIDDLE, 0, 2, 3, 32, 2, 2, 0, 2, 0, 20096], "error 3", "error 2", None, 0, [[0, 2], [2, 2], [4, 2]]]


def test_a_gpu_without_mig_cannot_be_divided(tmp_path: Path, library: Path) -> None:
    """It has no profiles."""
    said = answers(
        tmp_path, library, t4("GPU-0"), "n.nvmlDeviceGetGpuInstanceProfileInfo(g, 0, version=1)", placed(19, 0, 1)
    )
    assert said == ["error 3", "error 3"]


def test_an_instance_has_one_compute_instance(tmp_path: Path, library: Path) -> None:
    """It has all of the slices; the device of it is the MIG device."""
    assert answers(
        tmp_path,
        library,
        DIVIDED,
        "(i := n.nvmlDeviceGetGpuInstanceById(g, 7)) and None",
        "(c := n.nvmlGpuInstanceGetComputeInstanceById(i, 0)) and None",
        "n.nvmlGpuInstanceGetComputeInstanceById(i, 1)",
        "n.nvmlGpuInstanceGetComputeInstanceProfileInfo(i, 0, 0, version=1)",
        "n.nvmlGpuInstanceGetComputeInstanceProfileInfo(i, 1, 0, version=1)",
        "(info := n.nvmlComputeInstanceGetInfo_v2(c)) and [info.id, info.profileId, info.placement.size]",
        "n.nvmlDeviceGetUUID(info.device)",
    ) == [None, None, "error 6", [0, 1, 1, 16, 0, 0, 0, 0, 0], "error 3", [0, 0, 1], "MIG-1"]


def test_an_instance_is_made_and_destroyed(tmp_path: Path, library: Path) -> None:
    """It is there for everyone once its compute instance is, under a UUID of its own; and the mode goes when all are gone."""
    said = answers(
        tmp_path,
        library,
        Gpu("GPU-0"),
        placed(SMALL, 0, 1),  # not in MIG mode
        "n.nvmlDeviceSetMigMode(g, 1)",
        f"(i := {placed(MIDDLE, 2, 2)}) and None",
        "n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0)",
        "(c := n.nvmlGpuInstanceCreateComputeInstance(i, 1)) and None",
        "(m := n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0)) and n.nvmlDeviceGetName(m)",
        "n.nvmlDeviceGetMemoryInfo(m).total",
        "(u := n.nvmlDeviceGetUUID(m))[:4]",
        placed(SMALL, 3, 1),  # taken
        f"(j := {placed(SMALL, 4, 1)}) and None",
        "n.nvmlGpuInstanceDestroy(i)",  # its compute instance is there
        "n.nvmlDeviceSetMigMode(g, 0)",
        "n.nvmlComputeInstanceDestroy(c)",
        "n.nvmlGpuInstanceDestroy(i)",
        "n.nvmlGpuInstanceDestroy(j)",
        "n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0)",
        "n.nvmlDeviceSetMigMode(g, 0)",
        "n.nvmlDeviceGetMigMode(g)",
    )
    assert said == [
        *("error 3", 0, None, "error 6", None, "NVIDIA H100 80GB HBM3 MIG 2g.20gb", 20096 << 20, "MIG-"),
        *("error 23", None, "error 19", "error 19", 0, 0, 0, "error 6", 0, [0, 0]),
    ]


def test_an_instance_that_is_made_again_has_another_uuid(tmp_path: Path, library: Path) -> None:
    """The place is the same, the instance is not."""
    make = [f"(i := {placed(SMALL, 0, 1)}) and None", "(c := n.nvmlGpuInstanceCreateComputeInstance(i, 0)) and None"]
    tell = "n.nvmlDeviceGetUUID(n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0))"
    gone = ["n.nvmlComputeInstanceDestroy(c)", "n.nvmlGpuInstanceDestroy(i)"]
    said = answers(tmp_path, library, Gpu("GPU-0", mig=1), *make, tell, *gone, *make, tell)
    assert said[2] != said[-1]
