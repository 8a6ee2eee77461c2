# SPDX-License-Identifier: Apache-2.0
"""What a GPU, or a MIG instance, computes: utilisation, and the activity of its parts by GPM."""

from inferometer.sources.devices.calls.shapes import MEDIUM, Handle, Nvml, Quantity, Raw, Row, Way, call, gpm, percent


def _rates(nvml: Nvml, handle: Handle) -> Raw:
    rates = nvml.nvmlDeviceGetUtilizationRates(handle)
    return rates.gpu, rates.memory


def _task(task: str, function: str) -> Row:
    return Row(
        (Quantity("hw.gpu.utilization", (("hw.gpu.task", task),), percent),),
        (call(function),),
        MEDIUM,
        without_mig=True,
    )


UTILIZATION: tuple[Row, ...] = (
    Row(
        (
            Quantity("hw.gpu.utilization", (("hw.gpu.task", "general"),), percent),
            Quantity("gpu.memory.activity", scale=percent),
        ),
        (Way("nvmlDeviceGetUtilizationRates", _rates),),
        without_mig=True,
    ),
    Row(
        (Quantity("gpu.utilization.max", scale=percent),),
        (Way("nvmlDeviceGetSamples", samples="NVML_GPU_UTILIZATION_SAMPLES"),),
        without_mig=True,
    ),
    _task("encoder", "nvmlDeviceGetEncoderUtilization"),
    _task("decoder", "nvmlDeviceGetDecoderUtilization"),
    _task("jpeg", "nvmlDeviceGetJpgUtilization"),
    _task("ofa", "nvmlDeviceGetOfaUtilization"),
)

# GPM's pipes: the attribute's value, and the ids of its share of time and of its cycles.
_PIPES = (
    ("integer", 4, "INTEGER_UTIL", 257, "INTEGER_CYCLES_ACTIVE"),
    ("tensor_dfma", 6, "DFMA_TENSOR_UTIL", 254, "DFMA_CYCLES_ACTIVE"),
    ("tensor_hmma", 7, "HMMA_TENSOR_UTIL", 252, "HMMA_CYCLES_ACTIVE"),
    ("tensor_dmma", 8, "DMMA_TENSOR_UTIL", 251, "DMMA_CYCLES_ACTIVE"),
    ("tensor_imma", 9, "IMMA_TENSOR_UTIL", 253, "IMMA_CYCLES_ACTIVE"),
    ("fp64", 11, "FP64_UTIL", 258, "FP64_CYCLES_ACTIVE"),
    ("fp32", 12, "FP32_UTIL", 259, "FP32_CYCLES_ACTIVE"),
    ("fp16", 13, "FP16_UTIL", 260, "FP16_CYCLES_ACTIVE"),
)


def activity(root: str) -> tuple[Row, ...]:
    """Give the rows of GPM's shares of time, for `gpu` or `gpu.mig`."""

    def row(metric: str, number: int, name: str, *attributes: tuple[str, str]) -> Row:
        return Row((Quantity(f"{root}.{metric}", attributes, percent),), (gpm(number, name),), architecture="hopper")

    return (
        row("graphics.activity", 1, "GRAPHICS_UTIL"),
        row("sm.activity", 2, "SM_UTIL"),
        row("sm.occupancy", 3, "SM_OCCUPANCY"),
        row("tensor.activity", 5, "ANY_TENSOR_UTIL"),
        row("dram.activity", 10, "DRAM_BW_UTIL"),
        *(row("pipe.activity", number, name, ("gpu.pipe", pipe)) for pipe, number, name, _, _ in _PIPES),
    )


def _cycles(metric: str, number: int, name: str, *attributes: tuple[str, str]) -> Row:
    return Row((Quantity(metric, attributes),), (gpm(number, name),), architecture="hopper")


def _switches(raw: float) -> float:
    """Keep how many switches there were between two reads. Raises ValueError for what no engine does in ten minutes."""
    if not 0 <= raw < 1e9:
        raise ValueError(f"{raw:g} is no number of switches")
    return float(raw)


# In newer drivers only (the ids are those of CUDA 12.9 and 13.2). Engine 0 is the only one that computes; in MIG mode each
# instance has one of its own, and what engine 0 does is not what the GPU does. The switches are those between the two
# samples, as nvidia-ml-py 13.615 says of the ids below 248; `sums` adds them up.
CYCLES: tuple[Row, ...] = (
    Row(
        (Quantity("gpu.context_switch.activity", scale=percent),),
        (gpm(174, "GR0_CTXSW_ACTIVE_PCT"),),
        architecture="hopper",
        without_mig=True,
    ),
    Row(
        (Quantity("gpu.context_switches", scale=_switches),),
        (gpm(172, "GR0_CTXSW_REQUESTS"),),
        architecture="hopper",
        without_mig=True,
    ),
    _cycles("gpu.sm.cycles.elapsed", 248, "SM_CYCLES_ELAPSED"),
    _cycles("gpu.sm.cycles.active", 249, "SM_CYCLES_ACTIVE"),
    *(_cycles("gpu.pipe.cycles", number, name, ("gpu.pipe", pipe)) for pipe, _, _, number, name in _PIPES),
)
