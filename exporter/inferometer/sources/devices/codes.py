# SPDX-License-Identifier: Apache-2.0
"""What NVML's return codes mean to the sampler: refused for good, failed this time, GPU lost, driver gone.

Source: the comments of `nvmlReturn_t` in `nvml.h` (CUDA 13.3).
"""

from collections.abc import Mapping, Sequence
from ctypes import Array, sizeof
from functools import lru_cache
from math import isfinite
from struct import Struct
from typing import Any

from inferometer.sources.devices.columns import row

NAMES = {
    1: "uninitialized",
    2: "invalid_argument",
    3: "not_supported",
    4: "no_permission",
    6: "not_found",
    7: "insufficient_size",
    9: "driver_not_loaded",
    10: "timeout",
    11: "irq_issue",
    12: "library_not_found",
    13: "function_not_found",
    15: "gpu_is_lost",
    16: "reset_required",
    17: "operating_system",
    18: "lib_rm_version_mismatch",
    19: "in_use",
    20: "memory",
    21: "no_data",
    25: "argument_version_mismatch",
    26: "deprecated",
    27: "not_ready",
    28: "gpu_not_found",
    29: "invalid_state",
    999: "unknown",
}

# What a device, a driver or our permissions will go on refusing: not asked again in this device generation.
REFUSED = frozenset({"not_supported", "no_permission", "function_not_found", "argument_version_mismatch", "deprecated"})
# A driver that does not know a field calls it an invalid argument.
REFUSED_FIELD = REFUSED | {"invalid_argument"}
# There is no MIG instance at this index: a hole, not an error.
HOLE = frozenset({"not_found", "invalid_argument"})
LOST = "gpu_is_lost"
# The whole library is of no more use, if it is so: only a new process, with the library of the driver that is there then,
# helps. A call about one GPU may say so for that GPU alone: see `explain`.
GONE = frozenset({"uninitialized", "driver_not_loaded", "lib_rm_version_mismatch"})


class LostError(Exception):
    """The GPU answers no more: it fell off the bus, or needs a reset."""


class GoneError(Exception):
    """The driver is gone, or is another than the library that is loaded. The text is the reason."""


class RefusedError(Exception):
    """An answer that means that there is none, as a state "not supported"; the text is the reason, one of `REFUSED`."""


class FieldError(Exception):
    """A field's own return code, by its name."""


# Answers that mean "no value" in NVML: all bits set, in 32 and in 64; and what that is as a signed number.
NO_VALUE = 0xFFFF_FFFF
_NO_VALUE = frozenset({NO_VALUE, 0xFFFF_FFFF_FFFF_FFFF, -1})
# Reads a member of a structure ten times as fast as the binding's own way, which looks for texts to decode; and sets one.
member = object.__getattribute__
put = object.__setattr__
# The members of the union `nvmlValue_t`, by `nvmlValueType_t`.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_LETTERS = ("d", "I", "L", "Q", "q", "i", "H")
_LAYOUTS = tuple(map(Struct, _LETTERS))  # C's own sizes: a long is as long as it is there
_FIELD = ("latencyUsec", "valueType", "nvmlReturn", "value")  # of `nvmlFieldValue_t`, in their order


def is_value(raw: float) -> bool:
    """Tell numbers from NVML's "no value" and from NaN and infinities."""
    return raw not in _NO_VALUE and isfinite(raw)


def value_of(answer: Any) -> float | str:
    """Give a field's value (`nvmlFieldValue_t`), or the name of its return code."""
    if code := member(answer, "nvmlReturn"):
        return name(code)
    return union_of(int(member(answer, "valueType")), member(answer, "value"))


def values_of(told: Any) -> tuple[list[float | str], Sequence[int]]:
    """Give each field's value, or the name of its return code; and the microseconds that each took the driver."""
    if not isinstance(told, Array):
        return [value_of(answer) for answer in told], tuple(member(answer, "latencyUsec") for answer in told)
    structure: Any = told._type_
    members = row(told, _FIELD, len(told))
    spent, kinds, returned = members[::4], members[1::4], members[2::4]
    if not any(returned) and (numbers := _numbers(structure, "value", kinds)):  # nearly always
        return list(map(float, numbers.unpack_from(told))), spent
    values = zip(kinds, returned, members[3::4], strict=True)
    return [name(code) if code else _number(kind, value) for kind, code, value in values], spent


@lru_cache(64)
def _numbers(structure: Any, member: str, kinds: tuple[int, ...]) -> Struct | None:
    """Give the layout of the numbers in structures with a `nvmlValue_t` of each of these types; None where one is unknown."""
    if not all(0 <= kind < len(_LAYOUTS) for kind in kinds):
        return None
    before, size = getattr(structure, member).offset, sizeof(structure)
    parts = ((_LETTERS[kind], size - before - _LAYOUTS[kind].size) for kind in kinds)
    return Struct("@" + "".join(f"{before}x{letter}{behind}x" for letter, behind in parts))


def _number(kind: int, value: bytes) -> float | str:
    """Give the number in the bytes of a `nvmlValue_t`."""
    if not 0 <= kind < len(_LAYOUTS):
        return f"malformed: value type {kind}"
    (number,) = _LAYOUTS[kind].unpack_from(value)
    return float(number)


def union_of(kind: int, value: Any) -> float | str:
    """Give the number in a `nvmlValue_t` of a `nvmlValueType_t`."""
    return float(member(value, _MEMBERS[kind])) if 0 <= kind < len(_MEMBERS) else f"malformed: value type {kind}"


def samples_of(kind: int, samples: Any) -> list[tuple[int, float | str]]:
    """Give the time stamp and the value of each sample (`nvmlSample_t`): there may be a hundred of them."""
    structure: Any = samples._type_ if isinstance(samples, Array) else None
    if structure is not None and (number := _numbers(structure, "sampleValue", (kind,))):
        times = row(samples, ("timeStamp",), len(samples))
        return [(at, float(value)) for at, (value,) in zip(times, number.iter_unpack(samples), strict=True)]
    return [(int(member(sample, "timeStamp")), union_of(kind, member(sample, "sampleValue"))) for sample in samples]


def text(answer: str) -> str:
    """Keep a text, or nothing. Raises ValueError for one with control characters."""
    if not answer.isprintable():
        raise ValueError(f"{answer!r} is no text")
    return answer


@lru_cache(256)  # the same few are asked for at each read
def identity(answer: str) -> str:
    """Keep what a device is called. Raises ValueError for nothing, too."""
    if not answer:
        raise ValueError("a device without a name")
    return text(answer)


def switch(answer: int) -> bool:
    """Keep 0 and 1. Raises ValueError for anything else."""
    if answer not in (0, 1):
        raise ValueError(f"{answer} is neither 0 nor 1")
    return bool(answer)


def name(code: int) -> str:
    """Give a return code's name."""
    return NAMES.get(code, f"error_{code}")


def explain(nvml: Any, error: Exception) -> str:
    """Give the reason of a call that raised; what concerns more than this call raises LostError or GoneError.

    That the driver is gone is believed only when the library says so of itself, too: what one call of one GPU says must not
    blind the others.
    """
    if isinstance(error, LostError | GoneError):
        raise error
    if isinstance(error, RefusedError | FieldError):
        reason = str(error)
    elif isinstance(error, getattr(nvml, "NVMLError", ())):  # only NVIDIA's binding has it
        reason = name(getattr(error, "value", 999))
    elif isinstance(error, AttributeError):
        reason = "function_not_found"  # a binding older than this table
    else:
        # Answers that are no such value (a percentage of 250, a name that is not UTF-8), and the binding's own slips.
        return f"malformed: {error!r}"[:200]
    if reason == LOST:
        raise LostError(reason) from error
    # One value of a batch says nothing of a library that has just answered the batch.
    if reason in GONE and not isinstance(error, FieldError) and _is_gone(nvml):
        raise GoneError(reason) from error
    return reason


def _is_gone(nvml: Any) -> bool:
    """Ask the library something that concerns no GPU; tell whether it says that it is of no use.

    The mark of the call that failed stays: should this one hang, it is that call's GPU that is left out.
    """
    try:
        nvml.nvmlDeviceGetCount()
    except Exception as error:
        return name(getattr(error, "value", 0)) in GONE
    return False


def says_gone(frame: Mapping[str, Any]) -> str:
    """Give why a GPU's frame tells nothing at all, where that is because of a driver that it says is gone; else ""."""
    if "lost" in frame:
        return str(frame["lost"]) if frame["lost"] in GONE else ""
    if "values" not in frame or frame["values"] or any(told["values"] for told in frame["instances"]):
        return ""
    return next((reason for _, _, _, reason in frame["failed"] if reason in GONE), "")
