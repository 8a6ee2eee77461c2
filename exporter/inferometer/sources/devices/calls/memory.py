# SPDX-License-Identifier: Apache-2.0
"""A device's memory: how full it is, what ECC found in it, and what was taken out of use."""

from collections.abc import Callable
from ctypes import byref
from itertools import product

from inferometer.sources.devices import codes
from inferometer.sources.devices.calls.shapes import (
    MEDIUM,
    SLOW,
    Handle,
    Nvml,
    Quantity,
    Raw,
    Row,
    Way,
    call,
    field,
    flag,
    small,
)


def _memory_v2(nvml: Nvml, handle: Handle) -> Raw:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)
    return codes.member(memory, "used"), codes.member(memory, "total"), codes.member(memory, "reserved")


def _memory_v1(nvml: Nvml, handle: Handle) -> Raw:
    # Version 1 counts what the driver reserves as used and does not say how much that is: only the size can be told.
    return None, nvml.nvmlDeviceGetMemoryInfo(handle).total, None


FRAMEBUFFER = (
    Way("nvmlDeviceGetMemoryInfo_v2", _memory_v2),  # driver 510 and newer
    Way("nvmlDeviceGetMemoryInfo", _memory_v1),
)


def _bar1(nvml: Nvml, handle: Handle) -> Raw:
    memory = nvml.nvmlDeviceGetBAR1MemoryInfo(handle)
    return memory.bar1Used, memory.bar1Total


BAR1 = (Way("nvmlDeviceGetBAR1MemoryInfo", _bar1),)

# --- errors -----------------------------------------------------------------------------------------------------------

_CORRECTED, _UNCORRECTED = "NVML_MEMORY_ERROR_TYPE_CORRECTED", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"
_TYPES = (("corrected", _CORRECTED), ("uncorrected", _UNCORRECTED))
_DRAM = ("dram", "NVML_MEMORY_LOCATION_DRAM")
_SRAM = ("sram", "NVML_MEMORY_LOCATION_SRAM")  # Ampere and newer; it has in it what older GPUs tell apart
_PARTS = (
    ("l1_cache", "NVML_MEMORY_LOCATION_L1_CACHE"),
    ("l2_cache", "NVML_MEMORY_LOCATION_L2_CACHE"),
    ("register_file", "NVML_MEMORY_LOCATION_REGISTER_FILE"),
    ("texture_memory", "NVML_MEMORY_LOCATION_TEXTURE_MEMORY"),
    ("texture_shared_memory", "NVML_MEMORY_LOCATION_TEXTURE_SHM"),
    ("cbu", "NVML_MEMORY_LOCATION_CBU"),
)
_PLACES = (_DRAM, _SRAM, *_PARTS)


def _errors(counter: str, places: tuple[tuple[str, str], ...]) -> Callable[[Nvml, Handle], Raw]:
    """Give a reader of all `_TYPES` x `_PLACES` that asks for some places only.

    A place that the device does not count is None; if it counts none, or no SRAM where that is asked for, the first refusal is raised.
    """
    pairs = enumerate(product(_TYPES, _PLACES))
    wanted = [(i, kind[1], place[1]) for i, (kind, place) in pairs if place in places]

    def read(nvml: Nvml, handle: Handle) -> Raw:
        counts: list[float | None] = [None] * (len(_TYPES) * len(_PLACES))
        refusal: Exception | None = None
        for i, kind, place in wanted:
            try:
                which = (getattr(nvml, kind), getattr(nvml, counter), getattr(nvml, place))
                counts[i] = nvml.nvmlDeviceGetMemoryErrorCounter(handle, *which)
            except nvml.NVMLError as error:
                if codes.name(error.value) not in codes.REFUSED:
                    raise
                refusal = refusal or error
        if refusal is None:
            return counts
        # An older GPU counts no SRAM: the next way asks for its parts. An instance counts what is uncorrected only.
        decisive = {_SRAM} & set(places) or set(places)
        counted = (
            count for count, (_, place) in zip(counts, product(_TYPES, _PLACES), strict=True) if place in decisive
        )
        if all(count is None for count in counted):
            raise refusal
        return counts

    return read


def errors(metric: str, counter: str) -> Row:
    """Give the row of ECC errors: `counter` names what NVML counts from, the loading of the driver or the GPU's birth."""
    return Row(
        tuple(
            Quantity(metric, (("error.type", kind), ("gpu.memory.location", place)))
            for kind, _ in _TYPES
            for place, _ in _PLACES
        ),
        (
            Way("nvmlDeviceGetMemoryErrorCounter", _errors(counter, (_DRAM, _SRAM))),
            Way("nvmlDeviceGetMemoryErrorCounter", _errors(counter, (_DRAM, *_PARTS))),
        ),
        SLOW if counter.endswith("AGGREGATE_ECC") else MEDIUM,
    )


def _sram(nvml: Nvml, handle: Handle) -> Raw:
    status = nvml.c_nvmlEccSramErrorStatus_v1_t()
    status.version = nvml.nvmlEccSramErrorStatus_v1
    nvml.nvmlDeviceGetSramEccErrorStatus(handle, byref(status))  # the binding passes on what it is given
    return (
        status.aggregateUncBucketL2,
        status.aggregateUncBucketSm,
        status.aggregateUncBucketPcie,
        status.aggregateUncBucketMcu,
        status.aggregateUncBucketOther,
        status.bThresholdExceeded,
    )


def _banks(nvml: Nvml, handle: Handle) -> Raw:
    banks = nvml.nvmlDeviceGetRowRemapperHistogram(handle)
    return banks.max, banks.high, banks.partial, banks.low, banks.none


def _remapped(position: int) -> Way:
    return Way("nvmlDeviceGetRemappedRows", lambda nvml, handle: (nvml.nvmlDeviceGetRemappedRows(handle)[position],))


def _retired(cause: str) -> Way:
    def read(nvml: Nvml, handle: Handle) -> Raw:
        return (len(nvml.nvmlDeviceGetRetiredPages(handle, getattr(nvml, cause))),)

    return Way("nvmlDeviceGetRetiredPages", read)


def _pages(cause: str, constant: str, number: int, name: str) -> Row:
    return Row(
        (Quantity("gpu.memory.retired_pages", (("gpu.retirement.cause", cause),)),),
        (field(number, name), _retired(constant)),
        SLOW,
    )


def _rows(metric: str, position: int, name: str, *attributes: tuple[str, str]) -> Row:
    scale = small if metric.endswith("remaps") else flag
    return Row(
        (Quantity(metric, attributes, scale),),
        (field(142 + position, name), _remapped(position)),
        SLOW,
        architecture="ampere",
    )


GPU: tuple[Row, ...] = (
    Row(
        (Quantity("hw.gpu.memory.usage"), Quantity("hw.gpu.memory.limit"), Quantity("gpu.memory.reserved")),
        FRAMEBUFFER,
    ),
    Row((Quantity("gpu.memory.bar1.usage"), Quantity("gpu.memory.bar1.limit")), BAR1, MEDIUM),
    errors("hw.errors", "NVML_VOLATILE_ECC"),
    errors("gpu.ecc.errors.lifetime", "NVML_AGGREGATE_ECC"),
    Row(
        (
            *(
                Quantity("gpu.sram.errors.lifetime", (("gpu.sram.unit", unit),))
                for unit in ("l2", "sm", "pcie", "microcontroller", "other")
            ),
            Quantity("gpu.sram.threshold_exceeded", scale=flag),
        ),
        (Way("nvmlDeviceGetSramEccErrorStatus", _sram),),  # for a privileged user
        SLOW,
        architecture="ampere",
    ),
    # Pages before Ampere, rows since.
    _pages("single_bit", "NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS", 29, "RETIRED_SBE"),
    _pages("double_bit", "NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR", 30, "RETIRED_DBE"),
    Row(
        (Quantity("gpu.memory.retired_pages.pending", scale=flag),),
        (field(31, "RETIRED_PENDING"), call("nvmlDeviceGetRetiredPagesPendingStatus")),
        SLOW,
    ),
    _rows("gpu.memory.row_remaps", 0, "REMAPPED_COR", ("error.type", "corrected")),
    _rows("gpu.memory.row_remaps", 1, "REMAPPED_UNC", ("error.type", "uncorrected")),
    _rows("gpu.memory.row_remap.pending", 2, "REMAPPED_PENDING"),
    _rows("gpu.memory.row_remap.failure", 3, "REMAPPED_FAILURE"),
    Row(
        tuple(
            Quantity("gpu.memory.row_remap.banks", (("gpu.row_remap.availability", spare),), small)
            for spare in ("max", "high", "partial", "low", "none")
        ),
        (Way("nvmlDeviceGetRowRemapperHistogram", _banks),),
        SLOW,
        architecture="ampere",
    ),
)

# Memory belongs to the GPU instance: see `instances.Instances`.
INSTANCE: tuple[Row, ...] = (
    Row(
        (Quantity("gpu.mig.memory.usage"), Quantity("gpu.mig.memory.limit"), Quantity("gpu.mig.memory.reserved")),
        FRAMEBUFFER,
        architecture="ampere",
    ),
    Row(
        (Quantity("gpu.mig.memory.bar1.usage"), Quantity("gpu.mig.memory.bar1.limit")),
        BAR1,
        MEDIUM,
        architecture="ampere",
    ),
    errors("gpu.mig.errors", "NVML_VOLATILE_ECC")._replace(architecture="ampere"),
)
