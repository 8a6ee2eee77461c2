# SPDX-License-Identifier: Apache-2.0
"""Simulated GPUs: how load becomes power, energy, heat and clocks."""

import math
from collections import Counter, deque
from dataclasses import dataclass
from random import Random

MIB = 1 << 20
NAME = "Simulated H100 80GB HBM3"
MEMORY = 81559 * MIB
RESERVED = 567 * MIB
POWER_LIMIT = 700_000  # milliwatts
IDLE_POWER = 71_000
SLICES = 7  # compute slices that MIG divides a GPU into
MEMORY_CLOCK = 2619  # megahertz
VIDEO_CLOCK = 1545
AMBIENT = 27.0  # degrees Celsius at the inlet
XIDS = 50  # of a GPU's XIDs, the newest are in its registers: a driver's queue is not endless either
PER_WATT = 0.066  # degrees Celsius above ambient per watt, when it has settled


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """A MIG instance. `index` is its NVML index, `start` the first memory slice of its placement."""

    uuid: str
    index: int
    profile: str
    profile_id: int
    slices: int
    memory_slices: int
    start: int
    gpu_instance: int
    memory: int
    reserved: int
    multiprocessors: int


@dataclass(frozen=True, slots=True)
class GpuSpec:
    """A GPU as it was plugged in. The minor number need not be the index."""

    uuid: str
    index: int
    minor: int
    serial: str
    bus: int
    numa: int
    driver_joules: int  # spent since the driver was loaded, before the simulation began
    instances: tuple[InstanceSpec, ...] = ()


class Gpu:
    """A GPU at work. Every reading is an integer in NVML's own unit, so that what is published is what is booked."""

    def __init__(self, spec: GpuSpec, random: Random) -> None:
        self.spec = spec
        self.power = IDLE_POWER  # milliwatts, the mean over the last step
        self.utilization = 0  # percent
        self.sm_clock = 345  # megahertz
        self.used: dict[str, int] = {i.uuid: 0 for i in spec.instances} or {spec.uuid: 0}
        self.lost = False
        self.hung = False
        self.xids: deque[tuple[int, int]] = deque(maxlen=XIDS)  # number and code
        self.xid_counts: Counter[int] = Counter()  # by code
        self._random = random
        self._microjoules = spec.driver_joules * 1_000_000
        self._busy = 0.0
        self._draw = float(IDLE_POWER)
        self._heat = PER_WATT * IDLE_POWER / 1000
        self._memory_heat = self._heat

    @property
    def energy(self) -> int:
        """Millijoules since the driver was loaded: the exact integral of `power`."""
        return self._microjoules // 1000

    @property
    def temperature(self) -> int:
        """Core temperature, degrees Celsius."""
        return round(AMBIENT + self._heat)

    @property
    def memory_temperature(self) -> int:
        """Memory temperature, degrees Celsius."""
        return round(AMBIENT + 6 + self._memory_heat)

    @property
    def memory_used(self) -> int:
        """Bytes in use by processes, all instances together."""
        return sum(self.used.values())

    def fail(self, code: int) -> None:
        """Report an XID."""
        self.xid_counts[code] += 1
        self.xids.append((self.xid_counts.total(), code))

    def step(self, milliseconds: int, busy: float, effort: float) -> None:
        """Work for one step at this load: the shares of the time that it was busy, and of the full power that it took."""
        seconds = milliseconds / 1000
        wanted = IDLE_POWER + (POWER_LIMIT - IDLE_POWER) * min(effort, 1.0) * self._random.uniform(0.985, 1.015)
        self._draw += (wanted - self._draw) * (1 - math.exp(-seconds / 0.6))
        self.power = min(round(self._draw), POWER_LIMIT)
        self._microjoules += self.power * milliseconds
        heat = PER_WATT * self.power / 1000
        self._heat += (heat - self._heat) * (1 - math.exp(-seconds / 20))
        self._memory_heat += (heat - self._memory_heat) * (1 - math.exp(-seconds / 45))
        self._busy += (min(busy, 1.0) - self._busy) * (1 - math.exp(-seconds / 0.5))
        self.utilization = round(100 * self._busy)
        boost = 1980 - 15 * max(0, (self.power - 560_000) // 20_000)
        self.sm_clock = boost if self._busy > 0.005 else 345
