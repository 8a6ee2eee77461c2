# SPDX-License-Identifier: Apache-2.0
"""dcgm-exporter's default counters, each with the metric of ours that says the same, and in what unit.

Source: NVIDIA/dcgm-exporter etc/default-counters.csv and DCGM's field identifiers (dcgm_fields.h).
"""

from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Attribute, Metric


class Field(NamedTuple):
    """One of their counters: its name, its type, and what it means.

    It is `metric`, and on a MIG instance `instance`, where an instance has it, `times` what we say. `where` is the attribute
    value that it is about, of a metric that has several series per device.
    """

    name: str
    kind: str
    text: str
    metric: Metric
    instance: Metric | None = None
    where: tuple[Attribute, str] | None = None
    times: float = 1.0


_PERCENT = 100.0
_MEGAHERTZ = 1e-6
_MEBIBYTES = 1 / (1 << 20)
_MILLIJOULES = 1000.0

_BUSY = catalog.GPU_UTILIZATION

FIELDS = (
    Field(
        "DCGM_FI_DEV_SM_CLOCK",
        "gauge",
        "SM clock frequency (in MHz).",
        catalog.GPU_CLOCK_FREQUENCY,
        where=(catalog.GPU_CLOCK, "sm"),
        times=_MEGAHERTZ,
    ),
    Field(
        "DCGM_FI_DEV_MEM_CLOCK",
        "gauge",
        "Memory clock frequency (in MHz).",
        catalog.GPU_CLOCK_FREQUENCY,
        where=(catalog.GPU_CLOCK, "memory"),
        times=_MEGAHERTZ,
    ),
    Field(
        "DCGM_FI_DEV_MEMORY_TEMP",
        "gauge",
        "Memory temperature (in C).",
        catalog.TEMPERATURE,
        where=(catalog.HW_SENSOR, "memory"),
    ),
    Field(
        "DCGM_FI_DEV_GPU_TEMP",
        "gauge",
        "GPU temperature (in C).",
        catalog.TEMPERATURE,
        where=(catalog.HW_SENSOR, "core"),
    ),
    Field("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", catalog.POWER),
    Field(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Energy since the driver was loaded (in mJ).",
        catalog.ENERGY,
        times=_MILLIJOULES,
    ),
    Field("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe packets sent again.", catalog.PCIE_REPLAYS),
    Field(
        "DCGM_FI_DEV_GPU_UTIL",
        "gauge",
        "GPU utilization (in %).",
        _BUSY,
        where=(catalog.HW_GPU_TASK, "general"),
        times=_PERCENT,
    ),
    Field("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory activity (in %).", catalog.GPU_MEMORY_ACTIVITY, times=_PERCENT),
    Field(
        "DCGM_FI_DEV_ENC_UTIL",
        "gauge",
        "Encoder utilization (in %).",
        _BUSY,
        where=(catalog.HW_GPU_TASK, "encoder"),
        times=_PERCENT,
    ),
    Field(
        "DCGM_FI_DEV_DEC_UTIL",
        "gauge",
        "Decoder utilization (in %).",
        _BUSY,
        where=(catalog.HW_GPU_TASK, "decoder"),
        times=_PERCENT,
    ),
    Field(
        "DCGM_FI_DEV_FB_USED",
        "gauge",
        "Memory used (in MiB).",
        catalog.GPU_MEMORY_USAGE,
        catalog.MIG_MEMORY_USAGE,
        times=_MEBIBYTES,
    ),
    Field(
        "DCGM_FI_DEV_FB_RESERVED",
        "gauge",
        "Memory that the driver keeps (in MiB).",
        catalog.GPU_MEMORY_RESERVED,
        catalog.MIG_MEMORY_RESERVED,
        times=_MEBIBYTES,
    ),
    Field(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for uncorrectable errors.",
        catalog.GPU_ROW_REMAPS,
        where=(catalog.ERROR_TYPE, "uncorrected"),
    ),
    Field(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for correctable errors.",
        catalog.GPU_ROW_REMAPS,
        where=(catalog.ERROR_TYPE, "corrected"),
    ),
    Field(
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
        "gauge",
        "Whether a row could not be remapped.",
        catalog.GPU_ROW_REMAP_FAILURE,
    ),
    Field(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gauge",
        "Ratio of time that the graphics engine was active.",
        catalog.GPU_GRAPHICS_ACTIVITY,
        catalog.MIG_GRAPHICS_ACTIVITY,
    ),
    Field(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "gauge",
        "Ratio of cycles that the tensor pipes were active.",
        catalog.GPU_TENSOR_ACTIVITY,
        catalog.MIG_TENSOR_ACTIVITY,
    ),
    Field(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "gauge",
        "Ratio of cycles that the memory interface was active.",
        catalog.GPU_DRAM_ACTIVITY,
        catalog.MIG_DRAM_ACTIVITY,
    ),
    Field(
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "gauge",
        "Bytes per second sent over PCIe.",
        catalog.PCIE_THROUGHPUT,
        where=(catalog.DIRECTION, "transmit"),
    ),
    Field(
        "DCGM_FI_PROF_PCIE_RX_BYTES",
        "gauge",
        "Bytes per second received over PCIe.",
        catalog.PCIE_THROUGHPUT,
        where=(catalog.DIRECTION, "receive"),
    ),
)

# What is made of more than one of ours.
FREE = ("DCGM_FI_DEV_FB_FREE", "gauge", "Memory free (in MiB).")
XID = ("DCGM_FI_DEV_XID_ERRORS", "gauge", "The last XID since the agent was started, 0 without one.")
MEBIBYTES = _MEBIBYTES

# Default counters that are absent, with the reason; docs/dcgm.md says it too.
ABSENT = (
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",  # declared a counter, but a rate: whatever it were here, half its queries would be wrong
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS",  # not read
)
