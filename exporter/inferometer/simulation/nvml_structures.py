# SPDX-License-Identifier: Apache-2.0
"""The structures of NVML that a caller makes and the stand-in fills, with pynvml's names and members."""
# ruff: noqa: N801  # the names are NVML's

import ctypes
from typing import Any, ClassVar

_Member = tuple[str, Any]
_QUERIED = 64  # metrics of one query at most; pynvml has room for all


class c_nvmlGpmMetric_t(ctypes.Structure):
    """One metric of a query, and its answer."""

    _fields_: ClassVar[list[_Member]] = [
        ("metricId", ctypes.c_uint),
        ("nvmlReturn", ctypes.c_uint),
        ("value", ctypes.c_double),
    ]


class c_nvmlGpmMetricsGet_t(ctypes.Structure):
    """A query of the metrics between two samples, `sample1` being the older."""

    _fields_: ClassVar[list[_Member]] = [
        ("version", ctypes.c_uint),
        ("numMetrics", ctypes.c_uint),
        ("sample1", ctypes.py_object),
        ("sample2", ctypes.py_object),
        ("metrics", c_nvmlGpmMetric_t * _QUERIED),
    ]


class c_nvmlGpuFabricInfo_v2_t(ctypes.Structure):
    """Where a GPU is in its NVLink fabric."""

    _fields_: ClassVar[list[_Member]] = [
        ("version", ctypes.c_uint),
        ("clusterUuid", ctypes.c_uint8 * 16),
        ("status", ctypes.c_uint),
        ("cliqueId", ctypes.c_uint32),
        ("state", ctypes.c_uint8),
        ("healthMask", ctypes.c_uint32),
    ]


class c_nvmlEccSramErrorStatus_v1_t(ctypes.Structure):
    """Errors in SRAM."""

    _fields_: ClassVar[list[_Member]] = [
        ("version", ctypes.c_uint),
        *(
            (name, ctypes.c_ulonglong)
            for name in (
                *("aggregateUncParity", "aggregateUncSecDed", "aggregateCor"),
                *("volatileUncParity", "volatileUncSecDed", "volatileCor"),
                *("aggregateUncBucketL2", "aggregateUncBucketSm", "aggregateUncBucketPcie"),
                *("aggregateUncBucketMcu", "aggregateUncBucketOther"),
            )
        ),
        ("bThresholdExceeded", ctypes.c_uint),
    ]


class c_nvmlSystemEventData_v1_t(ctypes.Structure):
    """An event of the whole system."""

    _fields_: ClassVar[list[_Member]] = [("eventType", ctypes.c_ulonglong), ("gpuId", ctypes.c_uint)]


def target(reference: Any) -> Any:
    """Give what `ctypes.byref` refers to."""
    return getattr(reference, "_obj", reference)
