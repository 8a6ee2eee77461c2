# SPDX-License-Identifier: Apache-2.0
"""What the test's libamd_smi.so answers, as values: an MI300X by default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GIB = 1 << 30
# What the library knows of an MI300X: activity in percent, power in watts, caps in microwatts, energy in steps of 15.5
# microjoules, clocks now and at most in megahertz.
MI300X: Mapping[str, object] = {
    "partition": 0,
    "market_name": "AMD Instinct MI300X",
    "gfx_version": "0x942",
    "model_number": "102-G30211-00",
    "product_serial": "PCB012345-0001",
    "driver_version": "6.12.12",
    "vbios_version": "022.040.003.041.000001",
    "gfx_activity": 83,
    "umc_activity": 41,
    "used_bytes": 150 * GIB,
    "total_bytes": 192 * GIB,
    "socket_power": 612,
    "current_power": 612,
    "cap": 750_000_000,
    "cap_default": 750_000_000,
    "cap_maximum": 750_000_000,
    "energy": 2_000_000_000,
    "hotspot": 71,
    "vram": 58,
    "gfx_clock": "2100 2100",
    "mem_clock": "900 1300",
    "video_clock": "29 2110",
    "corrected": 3,
    "uncorrected": 1,
}


@dataclass(frozen=True)
class Gpu:
    """A GPU. `values` replace those of an MI300X; None takes one away."""

    uuid: str
    bdf: str = "0000:0c:00.0"
    values: Mapping[str, object] = field(default_factory=dict)

    def lines(self, index: int) -> list[str]:
        told = {"uuid": self.uuid, "bdf": self.bdf, **MI300X, **self.values}
        return [f"{index} {key} {value}" for key, value in told.items() if value is not None]


@dataclass(frozen=True)
class Fault:
    """What a call does instead of answering: `error` with a code, `hang`, `crash`, `slow` by milliseconds. GPU -1: of no GPU."""

    kind: str
    call: str
    gpu: int = -1
    number: int = 0

    def line(self) -> str:
        return f"fault {self.gpu if self.gpu >= 0 else '-'} {self.call} {self.kind} {self.number}"


def write(text: Path, *gpus: Gpu, faults: tuple[Fault, ...] = ()) -> None:
    """Change what the library answers, at once."""
    lines = [f"gpus {len(gpus)}", *(line for i, gpu in enumerate(gpus) for line in gpu.lines(i))]
    new = text.with_suffix(".new")
    new.write_text("\n".join([*lines, *(fault.line() for fault in faults), ""]))
    new.replace(text)
