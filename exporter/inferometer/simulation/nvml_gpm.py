# SPDX-License-Identifier: Apache-2.0
"""NVML's GPM of simulated GPUs and GPU instances: the exact mean of what the meters counted between two samples."""
# ruff: noqa: N802, N803  # the names are NVML's

from types import SimpleNamespace
from typing import Any

from inferometer.simulation.activity import FLOWS, METERS, PARTS, PPM
from inferometer.simulation.nvml_codes import (
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    NVML_ERROR_INVALID_ARGUMENT,
    NVML_ERROR_NOT_FOUND,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_GPM_METRICS_GET_VERSION,
    NVML_SUCCESS,
    NVMLError,
)
from inferometer.simulation.nvml_handles import Handle, read_node, read_whole
from inferometer.simulation.nvml_structures import c_nvmlGpmMetricsGet_t

_MEBI = 1 << 20
_KNOWN = 248  # ids of CUDA 12.9 end here: a query with a higher one is refused as a whole
_SWITCHING, _SWITCHES = 174, 172  # the share of time, and how often the engine was asked to, between the two samples
_SWITCH = 100  # such switches are made in a millisecond that is spent in nothing else
_UNUSED = frozenset({6, 8, 9, 11, 30, 40, 50})  # tensor DFMA, DMMA, IMMA; FP64; decoder, JPEG, OFA: inference uses none
_METER_OF = {
    **{number: METERS.index(part) for part, number in PARTS.items()},
    **{number: METERS.index(flow) for flow, numbers in FLOWS.items() for number in numbers},
}


class Sample:
    """A sample of a GPU, or GPU instance: the meters, with the simulation's milliseconds, and where the last advance began."""

    __slots__ = ("at", "before", "began", "meters", "of")

    def __init__(self) -> None:
        self.of: tuple[int, int | None] | None = None
        self.at = self.began = 0
        self.meters: list[int] = []
        self.before: list[int] = []


def nvmlGpmQueryDeviceSupport(device: Handle) -> SimpleNamespace:
    """Hopper has it; an instance is sampled through its GPU."""
    read_whole(device)
    return SimpleNamespace(version=1, isSupportedDevice=1)


def nvmlGpmSampleAlloc() -> Sample:
    """Room for a sample."""
    return Sample()


def nvmlGpmSampleFree(gpmSample: Sample) -> None:
    """Let go of a sample."""
    gpmSample.of = None


def nvmlGpmSampleGet(device: Handle, gpmSample: Sample) -> None:
    """Sample a whole GPU."""
    _take(gpmSample, (device.gpu, None), read_whole(device)["meters"])


def nvmlGpmMigSampleGet(device: Handle, gpuInstanceId: int, gpmSample: Sample) -> None:
    """Sample a GPU instance."""
    for instance in read_whole(device)["instances"]:
        if instance["gpu_instance"] == gpuInstanceId:
            _take(gpmSample, (device.gpu, gpuInstanceId), instance["meters"])
            return
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def _take(sample: Sample, of: tuple[int, int | None], meters: list[list[int]]) -> None:
    clock = read_node()["clock"]
    sample.of, sample.at, sample.began = of, clock["now"], clock["before"]
    sample.before, sample.meters = meters


def nvmlGpmMetricsGet(metricsGet: c_nvmlGpmMetricsGet_t) -> c_nvmlGpmMetricsGet_t:
    """The means between two samples: percent, and MiB/s of what flows; and how often what is counted happened.

    Between two samples while time stood still it is the mean over the last time that it moved: a node that is advanced by
    hand is asked again and again, and says the same.
    """
    older, newer = metricsGet.sample1, metricsGet.sample2
    if metricsGet.version != NVML_GPM_METRICS_GET_VERSION:
        raise NVMLError(NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    asked = [metricsGet.metrics[i] for i in range(metricsGet.numMetrics)]
    if older.of is None or older.of != newer.of or any(metric.metricId >= _KNOWN for metric in asked):
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    moved = newer.at > older.at
    milliseconds = newer.at - (older.at if moved else newer.began)
    first = older.meters if moved else newer.before
    for metric in asked:
        if metric.metricId == _SWITCHES and newer.of[1] is None:
            metric.nvmlReturn, metric.value = NVML_SUCCESS, float(_switches(newer) - _switches(older))
        else:
            _answer(metric, newer, first, milliseconds)
    return metricsGet


def _switches(sample: Sample) -> int:
    """Count the switches until a sample."""
    return sample.meters[_METER_OF[_SWITCHING]] * _SWITCH // PPM


def _answer(metric: Any, newer: Sample, first: list[int], milliseconds: int) -> None:
    number = metric.metricId
    meter = _METER_OF.get(number)
    whole = newer.of is not None and newer.of[1] is None
    if number in _UNUSED or (meter is not None and (whole or meter < len(PARTS))):
        metric.nvmlReturn, metric.value = NVML_SUCCESS, 0.0
        if meter is not None and milliseconds > 0:
            spent = newer.meters[meter] - first[meter]
            metric.value = spent / milliseconds * (100 / PPM if meter < len(PARTS) else 1000 / _MEBI)
    else:
        metric.nvmlReturn, metric.value = NVML_ERROR_NOT_SUPPORTED, 0.0
