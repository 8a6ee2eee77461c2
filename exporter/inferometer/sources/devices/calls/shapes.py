# SPDX-License-Identifier: Apache-2.0
"""The shape of the table of calls: rows, what they give, and the ways to read them."""

from collections.abc import Callable, Sequence
from math import nextafter
from typing import Any, NamedTuple

Nvml = Any  # the module `pynvml`, or what stands in for it
Handle = Any  # an opaque device handle of that module
Mark = Callable[[str], None]  # says which call is entered

Raw = Sequence[float | None]

# How often a row is read: at each period, and at the longer ones of `devices.nvidia.medium_period` and `slow_period`.
FAST, MEDIUM, SLOW = TIERS = ("fast", "medium", "slow")


def count(raw: float) -> float:
    """Keep a count, or a size. Raises ValueError for what is none: negative, or with one of the two highest of 64 bits set."""
    if not 0 <= raw < 1 << 62:
        raise ValueError(f"{raw:g} is no count")
    return float(raw)


class Quantity(NamedTuple):
    """One value that a row gives: the metric, the attributes that this value adds, and its scale.

    A scale raises ValueError for what cannot be: absent beats wrong.
    """

    metric: str
    attributes: tuple[tuple[str, str], ...] = ()
    scale: Callable[[float], float] = count


class Way(NamedTuple):
    """One way to read a row: exactly one of a function of the device, a field id, a GPM metric id, or a sampling type.

    All fields of a device are asked in one call, and all GPM metrics in another. `read` takes the index too in a row that is
    read for each link or fan; `field` is then one id, with the index as its scope, or one id for each index. `samples` names
    the constant of a kind of the driver's own samples: the way gives the highest since the read before. What is read is a
    number, which `decode` turns into the raw numbers of the row's quantities, in their order; None where there is none.
    `arguments` are those of a function that answers one number, behind the handle: see `call`.
    """

    call: str
    read: Callable[..., Raw] | None = None
    field: int | tuple[int, ...] = 0
    gpm: int = 0
    samples: str = ""
    decode: Callable[[float], Raw] | None = None
    arguments: tuple[str | int, ...] | None = None


class Each(NamedTuple):
    """What a row is read once for: the attribute that numbers it, and how many there are.

    `number` tells by one call or several, each of which it marks first; `call` is the one that a complaint names.
    """

    attribute: str
    call: str
    number: Callable[[Nvml, Handle, Mark], int]


class Row(NamedTuple):
    """What is read from a GPU or a MIG instance: the first of `ways` that the device supports counts."""

    gives: tuple[Quantity, ...]
    ways: tuple[Way, ...]
    tier: str = FAST
    architecture: str = ""  # the first that has it; empty: all
    without_mig: bool = False  # the driver refuses it while MIG is on, for the GPU and for its instances
    each: Each | None = None


class Fact(NamedTuple):
    """What only describes. `read` returns "" where the device has none. One that `changes` is read again in the slow tier."""

    attribute: str
    call: str
    read: Callable[[Nvml, Handle], str]
    changes: bool = False


# --- scales and decoders: from what NVML answers to the unit of the metric ---------------------------------------------


def small(raw: float) -> float:
    """Keep a count of 32 bits. Raises ValueError as `count`."""
    return count(raw * 2**32) / 2**32


def watts(raw: float) -> float:
    """Milliwatts to watts. Raises ValueError for what no board draws, 100 kW."""
    if not 0 <= raw < 1e8:
        raise ValueError(f"{raw:g} mW is no power")
    return raw / 1000


def milli(raw: float) -> float:
    """Millijoules to joules."""
    return count(raw) / 1000


def micro(raw: float) -> float:
    """Microseconds to seconds."""
    return count(raw) / 1e6


def nano(raw: float) -> float:
    """Nanoseconds to seconds."""
    return count(raw) / 1e9


def mega(raw: float) -> float:
    """Megahertz to hertz, megabytes per second to bytes per second. Raises ValueError from 100 THz or TB/s on."""
    if not 0 <= raw < 1e8:
        raise ValueError(f"{raw:g} is no frequency, and no speed")
    return raw * 1e6


def mebi(raw: float) -> float:
    """MiB per second to bytes per second."""
    return count(raw * (1 << 20))


def celsius(raw: float) -> float:
    """Keep a temperature, or a difference of two. Raises ValueError for what no chip is ever at."""
    if not -200 <= raw <= 300:
        raise ValueError(f"{raw:g} is no temperature")
    return float(raw)


def percent(raw: float) -> float:
    """Percent to a ratio. Raises ValueError for what is no percentage: absent beats wrong."""
    if not 0 <= raw <= 100:
        raise ValueError(f"{raw} is no percentage")
    return raw / 100


def flag(raw: float) -> float:
    """Keep 0 and 1. Raises ValueError for anything else."""
    if raw not in (0, 1):
        raise ValueError(f"{raw} is neither 0 nor 1")
    return float(raw)


def kibi(raw: float) -> Raw:
    """KiB to bytes, as a decoder."""
    return (raw * 1024,)


# The decoders and scales that only divide a number within bounds, which is all but always what they are given: the highest such
# number, and by what. Zero is the lowest. The sampler does that without a call.
DIVISIONS: dict[tuple[Callable[[float], Raw] | None, Callable[[float], float]], tuple[float, float]] = {
    (None, count): (nextafter(1 << 62, 0), 1.0),
    (None, small): (nextafter(1 << 30, 0), 1.0),
    (None, watts): (nextafter(1e8, 0), 1e3),
    (None, milli): (nextafter(1 << 62, 0), 1e3),
    (None, micro): (nextafter(1 << 62, 0), 1e6),
    (None, nano): (nextafter(1 << 62, 0), 1e9),
    (None, celsius): (300.0, 1.0),
    (None, percent): (100.0, 100.0),
    (None, mebi): (nextafter(1 << 42, 0), 1 / (1 << 20)),
    (kibi, count): (nextafter(1 << 52, 0), 1 / 1024),
}


def one_of(count: int, first: int = 0) -> Callable[[float], Raw]:
    """Give a decoder of an enumeration: 1 for the state that it is in, 0 for the others. Raises ValueError for a state unknown here."""

    def decode(raw: float) -> Raw:
        state = int(raw) - first
        if not 0 <= state < count:
            raise ValueError(f"{raw:g} is no known state")
        return tuple(float(i == state) for i in range(count))

    return decode


# --- short names of common rows and ways ------------------------------------------------------------------------------


def call(function: str, *arguments: str | int) -> Way:
    """Give the way of a call that answers one number; a text argument names a constant of the module."""

    def read(nvml: Nvml, handle: Handle) -> Raw:
        given = [getattr(nvml, a) if isinstance(a, str) else a for a in arguments]
        return (first(getattr(nvml, function)(handle, *given)),)

    return Way(function, read, arguments=arguments)


def first(answer: Any) -> float:
    """Give the number in an answer: the calls for encoders and the like answer [utilization, sampling period]."""
    number: float = answer[0] if answer.__class__ is list else answer
    return number


def field(number: int | tuple[int, ...], name: str, decode: Callable[[float], Raw] | None = None) -> Way:
    """Give the way of a field: `name` is NVML's, without NVML_FI_DEV_."""
    return Way(f"NVML_FI_DEV_{name}", field=number, decode=decode)


def gpm(number: int, name: str) -> Way:
    """Give the way of a GPM metric: `name` is NVML's, without NVML_GPM_METRIC_."""
    return Way(f"NVML_GPM_METRIC_{name}", gpm=number)
