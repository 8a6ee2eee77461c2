# SPDX-License-Identifier: Apache-2.0
"""MIG profile names, where the driver does not put them into the instance's name."""

from types import SimpleNamespace

import pytest

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
