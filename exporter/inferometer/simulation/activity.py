# SPDX-License-Identifier: Apache-2.0
"""What the parts of a simulated GPU do at a load, metered in whole numbers, so that the average over any interval is exact.

The sampler child imports this module for its names, so it imports nothing but the standard library.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

PPM = 1_000_000

# The parts, with NVML's GPM metric ids (`nvmlGpmMetricId_t` in `nvml.h`, CUDA 12.9). Inference uses no others.
PARTS: dict[str, int] = {
    "graphics": 1,
    "sm": 2,
    "occupancy": 3,
    "integer": 4,
    "tensor": 5,
    "hmma": 7,
    "dram": 10,
    "fp32": 12,
    "fp16": 13,
    "context_switch": 174,
}
# What goes over the links, in bytes, with the GPM ids of the rates. All-reduce sends as much as it receives.
FLOWS: dict[str, tuple[int, ...]] = {"pcie_rx": (21,), "pcie_tx": (20,), "nvlink": (60, 61)}
METERS = (*PARTS, *FLOWS)

# What a busy second is of each part: while it computes a prompt, and while it decodes, which waits for memory.
_PREFILL = (1.0, 0.96, 0.22, 0.08, 0.62, 0.62, 0.28, 0.06, 0.02)
_DECODE = (1.0, 0.85, 0.38, 0.12, 0.09, 0.09, 0.78, 0.05, 0.03)
_SWITCHING = 0.004  # of the time, for each load more than one that take turns on a device


class Load(NamedTuple):
    """What one pod does to a device: its share of the time that it is busy, and that it computes prompts."""

    busy: float
    prefill: float


Shares = tuple[int, ...]  # of the time, in millionths, one for each of `PARTS`
IDLE: Shares = (0,) * len(PARTS)


def combine(loads: Sequence[Load]) -> Shares:
    """Give the shares of a device whose loads take turns, whatever the others do."""
    busy = [load for load in loads if load.busy > 0]
    if not busy:
        return IDLE
    idle = [1.0] * len(_DECODE)
    for load in busy:
        share = min(load.busy, 1.0)
        prefill = min(load.prefill, share)
        for i, (computing, decoding) in enumerate(zip(_PREFILL, _DECODE, strict=True)):
            idle[i] *= 1 - (prefill * computing + (share - prefill) * decoding)
    switching = _SWITCHING * (len(busy) - 1) * (1 - idle[0])
    return (*(round(PPM * (1 - x)) for x in idle), round(PPM * switching))


def add_up(parts: Iterable[tuple[Shares, float, float]]) -> Shares:
    """Give the shares of a GPU from those of its instances, each with its part of the multiprocessors and of the memory."""
    total = [0.0] * len(PARTS)
    memory = list(PARTS).index("dram")
    for shares, multiprocessors, bandwidth in parts:
        for i, share in enumerate(shares):
            total[i] += share * (bandwidth if i == memory else multiprocessors)
    return tuple(round(x) for x in total)


class Meters:
    """The integrals of one device since the beginning: parts in millionths times milliseconds, flows in bytes."""

    def __init__(self) -> None:
        self.now = [0] * len(METERS)
        self.before = list(self.now)  # when time last stood still

    def mark(self) -> None:
        """Remember where an advance begins."""
        self.before = list(self.now)

    def add(self, milliseconds: int, shares: Shares, flows: Sequence[int] = ()) -> None:
        """Meter one step."""
        self.now = [
            *(meter + share * milliseconds for meter, share in zip(self.now, shares, strict=False)),
            *(meter + flow for meter, flow in zip(self.now[len(PARTS) :], flows or (0,) * len(FLOWS), strict=True)),
        ]
