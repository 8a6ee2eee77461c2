# SPDX-License-Identifier: Apache-2.0
"""GPUs other than the H100 that `Gpu` is, and one that answers everything."""

from dataclasses import replace

from fakenvml.defaults import FIELDS, nvlink4, nvlink5
from fakenvml.fakenvml import GIB, Gpu, Instance, Process, Vgpu

# Fields that only Hopper and newer count.
_SINCE_HOPPER = (197, 198, 269, 270, 271)


def a100(uuid: str, instances: tuple[Instance | None, ...] = (), mig: int = 0) -> Gpu:
    """Give an A100 SXM: no GPM, NVLink 3, no fabric, no margin."""
    return Gpu(
        uuid,
        instances=instances,
        mig=mig,
        name="NVIDIA A100-SXM4-80GB",
        vbios="92.00.45.00.03",
        board_part="692-2G506-0210-002",
        architecture=7,
        compute="8.0",
        margin=None,
        power_limit=400_000,
        power_management_limit=400_000,
        power_default_limit=400_000,
        power_min_limit=100_000,
        power_max_limit=400_000,
        pcie_generation=4,
        pcie_generation_max=4,
        pcie_generation_gpu_max=4,
        nvlinks=12,
        nvlink_version=4,
        c2c=None,
        fabric=None,
        sram=None,
        gpm_supported=0,
        gpm={},
        fields={id_: value for id_, value in FIELDS.items() if id_ not in _SINCE_HOPPER} | nvlink4(12),
    )


def blackwell(uuid: str) -> Gpu:
    """Give a GB200: NVLink 5, whose links count packets, bytes and errors, C2C, and a place in a rack."""
    return Gpu(
        uuid,
        name="NVIDIA GB200",
        vbios="97.00.B9.00.10",
        board_part="692-2G548-0200-000",
        architecture=10,
        compute="10.0",
        memory_numa=2,
        platform="0123456789abcdef 1820325191233 12 4 1 1 2",
        memory_total=186 * GIB,
        power_limit=1_200_000,
        power_management_limit=1_200_000,
        power_default_limit=1_200_000,
        power_max_limit=1_200_000,
        nvlink_version=7,
        c2c=1,
        cc_memory_total=0,
        cc_memory_used=0,
        fields=FIELDS
        | nvlink5(18)
        | {170: 10, 303: 1, 304: 0, 305: 767, 306: 0, 307: 0}
        | {(171, link): 1 for link in range(10)}
        | {(172, link): 45_000 for link in range(10)}
        | {(field, link): 0 for field in (231, 232, 233) for link in range(10)},
    )


def t4(uuid: str) -> Gpu:
    """Give a T4: no MIG, no NVLink, no GPM, retired pages instead of remapped rows, an old board."""
    without = {142, 143, 144, 145, 193, 194, 195, 196, *_SINCE_HOPPER}
    return Gpu(
        uuid,
        name="Tesla T4",
        vbios="90.04.84.00.06",
        board_part="900-2G183-0000-001",
        brand=2,
        architecture=6,
        compute="7.5",
        memory_total=16 * GIB,
        memory_used=4 * GIB,
        memory_temperature=None,
        bar1_total=256 << 20,
        jpeg=None,
        ofa=None,
        margin=None,
        remapped=None,
        remapped_v2=None,
        row_histogram=None,
        sram=None,
        retired={0: (0x1234, 0x5678), 1: ()},
        retired_pending=0,
        power_instant=None,
        power_limit=70_000,
        power_management_limit=70_000,
        power_default_limit=70_000,
        power_min_limit=60_000,
        power_max_limit=70_000,
        threshold={0: 96, 1: 93, 3: 85},
        fans=None,
        pcie_generation=3,
        pcie_generation_max=3,
        pcie_generation_gpu_max=3,
        nvlinks=0,
        nvlink_version=None,
        c2c=None,
        fabric=None,
        mig=None,
        mig_max=None,
        mig_profiles={},
        gpm_supported=0,
        gpm={},
        fields={id_: value for id_, value in FIELDS.items() if id_ not in without},
    )


def every(uuid: str) -> Gpu:
    """Give a GPU that no one sells: it has everything at once, so that every call has an answer."""
    return replace(
        blackwell(uuid),
        fans=2,
        fan={0: 40, 1: 45},
        retired={0: (0x1234, 0x5678), 1: (0x9ABC,)},
        retired_pending=1,
        virtualization=3,
        cc_memory_total=8 * GIB,
        cc_memory_used=1 * GIB,
        nvlink={(3, "state"): 0, (4, "error.0"): 17},
        fields=blackwell(uuid).fields | nvlink4(18),
        samples={type_: (10 + type_, 20 + type_) for type_ in range(10)},
        processes=(
            Process("compute", 4242, 3 * GIB, sm=61, mem=21, enc=1, dec=2, jpg=3, ofa=4),
            Process("graphics", 4343, None, sm=7),
            Process("mps", 4444, 1 * GIB, sm=9),
        ),
        vgpus=(Vgpu(3251634000, "vgpu-uuid-1", sm=11, mem=12, enc=13, dec=14, jpg=15, ofa=16),),
        vgpu_type={(1105, "name"): "NVIDIA A40-4Q", (1105, "memory"): 4 * GIB},
    )
