# SPDX-License-Identifier: Apache-2.0
"""Every AMD SMI call that is made, as data: which metric it feeds, and in what unit.

Imported by the sampler child too, so it imports nothing but the standard library. The calls are those of the Python package
`amdsmi`, by their names there; facts are AMD's, from the comments of `amdsmi.h` and from that package (ROCm 6.1 to 7.0).
"""

from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.calls.shapes import (
    FAST,
    MEDIUM,
    SLOW,
    Fact,
    Handle,
    Quantity,
    Raw,
    Row,
    Way,
    celsius,
    mega,
    milli,
    percent,
    watts,
)

Smi = Any  # `binding.Smi`, which answers like the package

# What the package says where the GPU has no such thing; and what the library does, where the package has overlooked it.
_NOTHING = (None, "N/A", "", 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
_NOTHING_IN_16_BITS = (*_NOTHING, 0xFFFF)


def _watts(raw: float) -> float:
    return watts(raw * 1000)


def _microwatts(raw: float) -> float:
    return watts(raw / 1000)


def _microjoules(raw: float) -> float:
    return milli(raw / 1000)


def _given(*raw: Any) -> Raw:
    """Give the numbers among answers. Raises RefusedError where there is none at all."""
    found = tuple(None if answer in _NOTHING else float(answer) for answer in raw)
    if all(number is None for number in found):
        raise codes.RefusedError("not_supported")
    return found


def _short(raw: Any) -> Any:
    """Give an answer of 16 bits, in which all bits set mean that there is none."""
    return None if raw in _NOTHING_IN_16_BITS else raw


def _activity(smi: Smi, handle: Handle) -> Raw:
    # `mm_activity` is left out: one engine decodes and encodes, and the convention's tasks tell these apart.
    told = smi.amdsmi_get_gpu_activity(handle)
    return _given(_short(told["gfx_activity"]), _short(told["umc_activity"]))


def _bytes(smi: Smi, handle: Handle) -> Raw:
    vram = smi.AmdSmiMemoryType.VRAM
    return _given(smi.amdsmi_get_gpu_memory_usage(handle, vram), smi.amdsmi_get_gpu_memory_total(handle, vram))


def _mebibytes(smi: Smi, handle: Handle) -> Raw:
    told = smi.amdsmi_get_gpu_vram_usage(handle)
    return tuple(
        number * (1 << 20) if number is not None else None for number in _given(told["vram_used"], told["vram_total"])
    )


def _power(smi: Smi, handle: Handle) -> Raw:
    """Give watts: the average, which MI300 and newer do not have, else what is drawn now."""
    told = smi.amdsmi_get_power_info(handle)
    # `socket_power` came with ROCm 7; `power_limit` is never read, its unit was changed.
    ways = (_short(told.get(key)) for key in ("average_socket_power", "current_socket_power", "socket_power"))
    return _given(next((watts for watts in ways if watts is not None), None))


def _caps(smi: Smi, handle: Handle) -> Raw:
    """Give microwatts, which they are in Linux whatever the version; 0 where there is none."""
    told = smi.amdsmi_get_power_cap_info(handle)
    others = (told[key] or None for key in ("default_power_cap", "min_power_cap", "max_power_cap"))
    return _given(told["power_cap"] or None, *others)


def _energy(smi: Smi, handle: Handle) -> Raw:
    """Give microjoules. The counter was called `power` up to ROCm 6.2."""
    told = smi.amdsmi_get_energy_count(handle)
    counted = told["energy_accumulator"] if "energy_accumulator" in told else told["power"]
    return _given(counted * told["counter_resolution"])


def _temperature(sensor: str, metric: str = "CURRENT") -> Way:
    def read(smi: Smi, handle: Handle) -> Raw:
        which = getattr(smi.AmdSmiTemperatureType, sensor)
        return _given(smi.amdsmi_get_temp_metric(handle, which, getattr(smi.AmdSmiTemperatureMetric, metric)))

    return Way("amdsmi_get_temp_metric", read)


def _clock(domain: str, clock: str) -> Row:
    def read(smi: Smi, handle: Handle) -> Raw:
        told = smi.amdsmi_get_clock_info(handle, getattr(smi.AmdSmiClkType, clock))
        # `cur_clk` up to ROCm 6.1; an engine that sleeps has 0, which is so, but none has a highest clock of 0.
        return _given(told["clk"] if "clk" in told else told["cur_clk"], told["max_clk"] or None)

    attributes = (("gpu.clock.domain", domain),)
    return Row(
        (Quantity("gpu.clock.frequency", attributes, mega), Quantity("gpu.clock.frequency.max", attributes, mega)),
        (Way("amdsmi_get_clock_info", read),),
    )


def _ecc(smi: Smi, handle: Handle) -> Raw:
    # All blocks of the GPU together. Errors that are deferred are neither: they show when their data is used.
    told = smi.amdsmi_get_gpu_total_ecc_count(handle)
    return _given(told["correctable_count"], told["uncorrectable_count"])


def _sensor(location: str, *ways: Way) -> Row:
    return Row((Quantity("hw.temperature", (("hw.sensor_location", location),), celsius),), ways)


ROWS: tuple[Row, ...] = (
    Row(
        (
            Quantity("hw.gpu.utilization", (("hw.gpu.task", "general"),), percent),
            Quantity("gpu.memory.activity", scale=percent),
        ),
        (Way("amdsmi_get_gpu_activity", _activity),),
    ),
    Row(
        (Quantity("hw.gpu.memory.usage"), Quantity("hw.gpu.memory.limit")),
        (Way("amdsmi_get_gpu_memory_usage", _bytes), Way("amdsmi_get_gpu_vram_usage", _mebibytes)),
    ),
    Row((Quantity("hw.power", scale=_watts),), (Way("amdsmi_get_power_info", _power),), FAST),
    Row(
        (
            Quantity("gpu.power.limit", scale=_microwatts),
            Quantity("gpu.power.limit.default", scale=_microwatts),
            Quantity("gpu.power.limit.minimum", scale=_microwatts),
            Quantity("gpu.power.limit.maximum", scale=_microwatts),
        ),
        (Way("amdsmi_get_power_cap_info", _caps),),
        SLOW,
    ),
    Row((Quantity("hw.energy", scale=_microjoules),), (Way("amdsmi_get_energy_count", _energy),)),
    # The hottest spot of the die, which is what lowers the clocks; its edge where that is all there is.
    _sensor("core", _temperature("HOTSPOT"), _temperature("EDGE")),
    _sensor("memory", _temperature("VRAM")),
    _clock("graphics", "GFX"),
    _clock("memory", "MEM"),
    _clock("video", "VCLK0"),
    Row(
        (
            Quantity("hw.errors", (("error.type", "corrected"),)),
            Quantity("hw.errors", (("error.type", "uncorrected"),)),
        ),
        (Way("amdsmi_get_gpu_total_ecc_count", _ecc),),
        MEDIUM,
    ),
)


# --- what describes ---------------------------------------------------------------------------------------------------


def _text(attribute: str, function: str, key: str) -> Fact:
    def read(smi: Smi, handle: Handle) -> str:
        answer = getattr(smi, function)(handle)[key]
        return "" if answer in _NOTHING else codes.text(str(answer))

    return Fact(attribute, function, read)


def _firmware(smi: Smi, handle: Handle) -> str:
    """Give the VBIOS's version; where that is not told, its part number is what AMD's own tools show."""
    told = smi.amdsmi_get_gpu_vbios_info(handle)
    return next((codes.text(told[key]) for key in ("version", "part_number") if told[key] not in _NOTHING), "")


FACTS: tuple[Fact, ...] = (
    _text("hw.model", "amdsmi_get_gpu_asic_info", "market_name"),
    _text("hw.serial_number", "amdsmi_get_gpu_board_info", "product_serial"),
    Fact("hw.firmware_version", "amdsmi_get_gpu_vbios_info", _firmware),
    _text("hw.driver_version", "amdsmi_get_gpu_driver_info", "driver_version"),
    _text("gpu.architecture", "amdsmi_get_gpu_asic_info", "target_graphics_version"),
    _text("gpu.board.part_number", "amdsmi_get_gpu_board_info", "model_number"),
)

# --- where the child is -----------------------------------------------------------------------------------------------

# The calls of the walk through the GPUs, for which there is no row.
WALK: tuple[str, ...] = (
    "amdsmi_init",
    "amdsmi_get_processor_handles",
    "amdsmi_get_gpu_device_uuid",
    "amdsmi_get_gpu_device_bdf",
    "amdsmi_get_gpu_kfd_info",
    "amdsmi_shut_down",
)
CALLS: tuple[str, ...] = tuple(
    dict.fromkeys((*WALK, *(way.call for row in ROWS for way in row.ways), *(fact.call for fact in FACTS)))
)
# Positions and numbers go on after those of NVIDIA, so that a frame means the same whoever made it: see `tables`.
QUANTITIES: tuple[tuple[Quantity, Row], ...] = tuple((quantity, row) for row in ROWS for quantity in row.gives)
NUMBER: dict[str, int] = {call: len(calls.CALLS) + i for i, call in enumerate(CALLS)}
TABLE: tuple[tuple[int, Row], ...] = tuple(
    (len(calls.QUANTITIES) + sum(len(row.gives) for row in ROWS[:i]), row) for i, row in enumerate(ROWS)
)
