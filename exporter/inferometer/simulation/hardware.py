# SPDX-License-Identifier: Apache-2.0
"""Simulated GPUs: how load becomes power, energy, heat, clocks, throttling and traffic."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from inferometer.simulation.activity import IDLE, Meters, Shares, add_up
from inferometer.simulation.health import LINKS, Health

MIB = 1 << 20
NAME = "Simulated H100 80GB HBM3"
MEMORY = 81559 * MIB
RESERVED = 567 * MIB
POWER_LIMIT = 700_000  # milliwatts; the default and the highest that an administrator may set
LOWEST_POWER_LIMIT = 200_000
IDLE_POWER = 71_000
SLICES = 7  # compute slices that MIG divides a GPU into
MEMORY_SLICES = 8
MULTIPROCESSORS = 132
BOOST_CLOCK = 1980  # megahertz, the highest
IDLE_CLOCK = 345
MEMORY_CLOCK = 2619
VIDEO_CLOCK = 1545
AMBIENT = 27.0  # degrees Celsius at the inlet
XIDS = 50  # of a GPU's XIDs, the newest are in its registers: a driver's queue is not endless either
SAMPLES = 64  # of power and utilisation, which the driver keeps
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
    power_limit: int = POWER_LIMIT  # milliwatts, as an administrator has set it
    instances: tuple[InstanceSpec, ...] = ()


class Gpu:
    """A GPU at work. Every reading is an integer in NVML's own unit, so that what is published is what is booked."""

    def __init__(self, spec: GpuSpec, random: Random) -> None:
        self.spec = spec
        self.power = IDLE_POWER  # milliwatts, the mean over the last step
        self.utilization = 0  # percent
        self.sm_clock = IDLE_CLOCK  # megahertz
        self.used: dict[str, int] = {i.uuid: 0 for i in spec.instances} or {spec.uuid: 0}
        self.lost = False
        self.hung = False
        self.health = Health()
        self.xids: deque[tuple[int, int]] = deque(maxlen=XIDS)  # number and code
        self.xid_counts: Counter[int] = Counter()  # by code
        self.throttled: Counter[str] = Counter()  # milliseconds, by reason
        self.reasons: tuple[str, ...] = ("idle",)  # why the clocks are not higher now
        self.meters = {uuid: Meters() for uuid in (spec.uuid, *(i.uuid for i in spec.instances))}
        self.link_bytes = [0] * LINKS  # received over each NVLink; as much was sent
        self.samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)  # power and utilisation of the newest steps
        self._random = random
        self._microjoules = spec.driver_joules * 1_000_000
        self._second: deque[tuple[int, int]] = deque()  # power and milliseconds of the steps of the last second
        self._spent = 0  # milliseconds of those
        self._busy = 0.0
        self._draw = float(IDLE_POWER)
        self._heat = PER_WATT * IDLE_POWER / 1000
        self._memory_heat = self._heat

    @property
    def energy(self) -> int:
        """Millijoules since the driver was loaded: the exact integral of `power`."""
        return self._microjoules // 1000

    @property
    def average_power(self) -> int:
        """Milliwatts, the mean over the last second."""
        if not self._second:
            return self.power
        return sum(power * milliseconds for power, milliseconds in self._second) // self._spent

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
        limit = self.spec.power_limit
        wanted = IDLE_POWER + (POWER_LIMIT - IDLE_POWER) * min(effort, 1.0) * self._random.uniform(0.985, 1.015)
        self._draw += (wanted - self._draw) * (1 - math.exp(-seconds / 0.6))
        self.power = min(round(self._draw), limit)
        self._microjoules += self.power * milliseconds
        self._second.append((self.power, milliseconds))
        self._spent += milliseconds
        while self._spent > max(1000, milliseconds):
            self._spent -= self._second.popleft()[1]
        heat = PER_WATT * self.power / 1000
        self._heat += (heat - self._heat) * (1 - math.exp(-seconds / 20))
        self._memory_heat += (heat - self._memory_heat) * (1 - math.exp(-seconds / 45))
        self._busy += (min(busy, 1.0) - self._busy) * (1 - math.exp(-seconds / 0.5))
        self.utilization = round(100 * self._busy)
        self.samples.append((self.power, self.utilization))
        self._clock(milliseconds)

    def meter(
        self, milliseconds: int, shares: Mapping[str, Shares], pcie: Sequence[int] = (0, 0), nvlink: int = 0
    ) -> None:
        """Meter what the parts did in one step: of the GPU, or of its instances, by UUID; and the bytes that it moved."""
        up = [link for link in range(LINKS) if link not in self.health.links_down]
        each = nvlink // len(up) if up else 0
        for link in up:
            self.link_bytes[link] += each
        instances = self.spec.instances
        for instance in instances:
            self.meters[instance.uuid].add(milliseconds, shares.get(instance.uuid, IDLE))
        own = shares.get(self.spec.uuid, IDLE)
        if instances:
            own = add_up(
                (shares.get(i.uuid, IDLE), i.multiprocessors / MULTIPROCESSORS, i.memory_slices / MEMORY_SLICES)
                for i in instances
            )
        self.meters[self.spec.uuid].add(milliseconds, own, (*pcie, each * len(up)))

    def _clock(self, milliseconds: int) -> None:
        """Set the clock, and account for why it is not higher."""
        limit = self.spec.power_limit
        if self._busy <= 0.005:
            self.sm_clock, self.reasons = IDLE_CLOCK, ("idle",)
            self.throttled["low_utilization"] += milliseconds
            return
        boost = BOOST_CLOCK - 15 * max(0, (self.power - 560_000) // 20_000)
        capped = self._draw > limit
        self.sm_clock = int(boost * (limit / self._draw) ** (1 / 3)) // 15 * 15 if capped else boost
        self.reasons = ("sw_power_cap",) if capped else ()
        if capped:
            self.throttled["sw_power_cap"] += milliseconds
