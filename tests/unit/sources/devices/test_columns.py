# SPDX-License-Identifier: Apache-2.0
"""Members of many structures at once are what ctypes itself reads, one by one."""

import ctypes
from typing import Any, ClassVar

import pynvml  # noqa: TID251  # its structure is what a driver fills; no driver is asked here
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.devices import codes
from inferometer.sources.devices.columns import row


class Odd(ctypes.Structure):
    """Members of every width, with gaps between them."""

    _fields_: ClassVar[list[tuple[str, Any]]] = [
        ("small", ctypes.c_ubyte),
        ("wide", ctypes.c_longlong),
        ("short", ctypes.c_short),
        ("long", ctypes.c_ulong),
        ("real", ctypes.c_double),
        ("last", ctypes.c_uint),
    ]


NAMES = ("small", "wide", "short", "long", "real", "last")


def test_members_are_those_that_ctypes_reads() -> None:
    """Whatever stands between them."""
    array = (Odd * 3)(*(Odd(i, -i, -3, 1 << 31, i / 2, 0xFFFF_FFFF) for i in range(3)))

    assert row(array, NAMES, 3) == tuple(getattr(odd, name) for odd in array for name in NAMES)
    assert row(array, ("wide", "real"), 2) == (0, 0.0, -1, 0.5)
    assert row(array, NAMES, 0) == ()


@given(st.integers(0, 9), st.binary(min_size=8, max_size=8), st.sampled_from([0, 3, 999]), st.integers(0, 1 << 40))
def test_a_field_is_what_it_is_one_by_one(kind: int, value: bytes, code: int, spent: int) -> None:
    """Every type of value, with any bits in it, and every return code."""
    array = (pynvml.c_nvmlFieldValue_t * 2)()
    array[1].valueType, array[1].nvmlReturn, array[1].latencyUsec = kind, code, spent
    ctypes.memmove(ctypes.addressof(array[1]) + type(array[1]).value.offset, value, 8)

    assert repr(codes.values_of(array)) == repr(codes.values_of(list(array)))  # a NaN is not equal to itself


@given(st.lists(st.tuples(st.integers(0, 1 << 63), st.binary(min_size=8, max_size=8)), max_size=5), st.integers(-1, 7))
def test_a_sample_is_what_it_is_one_by_one(told: list[tuple[int, bytes]], kind: int) -> None:
    """Every type of value, with any bits in it, of any number of samples."""
    array = (pynvml.c_nvmlSample_t * len(told))()
    for sample, (at, value) in zip(array, told, strict=True):
        sample.timeStamp = at
        ctypes.memmove(ctypes.addressof(sample) + type(sample).sampleValue.offset, value, 8)

    assert repr(codes.samples_of(kind, array)) == repr(codes.samples_of(kind, list(array)))
