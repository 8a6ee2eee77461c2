# SPDX-License-Identifier: Apache-2.0
"""The simulated world: pods that hold GPUs, engines that load them, and the books; no I/O, no threads, no clock."""

import math
from dataclasses import dataclass, field
from random import Random

from inferometer.simulation import scenario
from inferometer.simulation.activity import Load, combine
from inferometer.simulation.books import engine_entry, gpu_entry, instance_entry, pod_entry
from inferometer.simulation.engine import WAVE, Engine
from inferometer.simulation.hardware import SLICES, Gpu, InstanceSpec
from inferometer.simulation.ledger import DeviceLedger, HoldingLedger, Ledger
from inferometer.simulation.scenario import ClaimSpec, Place, PodSpec

_PIDS = range((1 << 22) - 4096, 1 << 22)  # the last that Linux gives (PID_MAX_LIMIT), so hardly ever another process's

# Bytes of a busy second: over NVLink between tensor-parallel GPUs, each way, and over PCIe, received and sent.
_NVLINK_PREFILL, _NVLINK_DECODE = 45e9, 3.5e9
_PCIE_RECEIVED, _PCIE_SENT = 60e6, 9e6


@dataclass(slots=True, eq=False)
class LivePod:
    """A pod that runs. `created` is in Unix seconds, `began` in the simulation's; `port` is its engine's, or 0.

    `pid` is its one process; `busy` the share of the last step in which its kernels ran.
    """

    spec: PodSpec
    uid: str
    pid: int
    created: float
    began: float
    engine: Engine | None
    port: int = 0
    up: bool = True
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A ResourceClaim that exists."""

    spec: ClaimSpec
    uid: str


@dataclass(slots=True)
class World:
    """All state of the node. The same seed and the same calls give the same world.

    Args:
        seed: of every random choice.
        step: milliseconds of one step.
    """

    seed: int
    step: int
    gpus: tuple[Gpu, ...] = field(init=False)
    claims: dict[str, Claim] = field(init=False)
    pods: dict[str, LivePod] = field(init=False)
    driver_loaded: bool = True
    steps: int = 0
    moved_at: int = 0  # the step at which the last advance began
    _lives: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.gpus = tuple(Gpu(spec, self._random(f"gpu/{spec.index}")) for spec in scenario.gpus(self.seed))
        self.claims = {c.key: Claim(c, scenario.new_uuid(self._random(f"claim/{c.key}"))) for c in scenario.CLAIMS}
        self.pods = {}

    @property
    def now(self) -> float:
        """Seconds of simulated time since the beginning."""
        return self.steps * self.step / 1000

    def _random(self, name: str) -> Random:
        return Random(f"{self.seed}/{name}")  # noqa: S311  # a simulation wants a repeatable source

    # --- what happens ---------------------------------------------------------------------------------------------

    def start(self, key: str, created: float) -> LivePod:
        """Start a pod of the scenario, with a UID it never had. Raises KeyError, and ValueError if it runs already."""
        spec = next((p for p in scenario.PODS if p.key == key), None)
        if spec is None:
            raise KeyError(f"no pod {key!r} in the scenario: {', '.join(p.key for p in scenario.PODS)}")
        if key in self.pods:
            raise ValueError(f"{key} runs already")
        life = self._lives[key] = self._lives.get(key, 0) + 1
        random = self._random(f"pod/{key}/{life}")
        uid = scenario.new_uuid(random)
        engine = Engine(spec.engine, random, self.now) if spec.engine else None
        pod = LivePod(spec, uid, self._new_pid(key, life), created, self.now, engine)
        self.pods[key] = pod
        self._fill(spec, spec.memory)
        return pod

    def end(self, key: str) -> LivePod:
        """End a pod: its holdings and its memory go with it. Raises KeyError."""
        pod = self.pods.pop(key)
        self._fill(pod.spec, -pod.spec.memory)
        return pod

    def advance(self, steps: int = 1) -> None:
        """Let some steps pass at once."""
        for gpu in self.gpus:
            for meters in gpu.meters.values():
                meters.mark()
        self.moved_at = self.steps
        for _ in range(steps):
            self._step()

    def _step(self) -> None:
        self.steps += 1
        idle = [1.0] * len(self.gpus)
        effort = [0.0] * len(self.gpus)
        pcie = [[0, 0] for _ in self.gpus]
        nvlink = [0] * len(self.gpus)
        loads: dict[str, list[Load]] = {}
        for pod in self.pods.values():
            load, drawn = self._work(pod)
            places = self.places(pod.spec)
            for place in places:
                instance = self.instance(place)
                share = instance.slices / SLICES if instance else 1.0
                idle[place.gpu] *= max(0.0, 1 - load.busy * share)
                effort[place.gpu] += drawn * share
                loads.setdefault(self.uuid(place), []).append(load)
                pcie[place.gpu][0] += self._bytes(load.busy * _PCIE_RECEIVED)
                pcie[place.gpu][1] += self._bytes(load.busy * _PCIE_SENT)
                if pod.engine and len(places) > 1:
                    decode = load.busy - load.prefill
                    nvlink[place.gpu] += self._bytes(load.prefill * _NVLINK_PREFILL + decode * _NVLINK_DECODE)
        shares = {uuid: combine(together) for uuid, together in loads.items()}
        for gpu in self.gpus:
            index = gpu.spec.index
            gpu.step(self.step, 1 - idle[index], effort[index])
            gpu.meter(self.step, shares, pcie[index], nvlink[index])

    def _work(self, pod: LivePod) -> tuple[Load, float]:
        """Let a pod work for one step: its load, and the share of the full power that it takes."""
        seconds = self.step / 1000
        if pod.engine:
            work = pod.engine.advance(self.now)
            load, drawn = Load(work.busy / seconds, work.prefill / seconds), work.effort / seconds
        else:
            wave = 1 + 0.5 * math.sin(2 * math.pi * self.now / WAVE)
            busy, drawn = pod.spec.duty * wave, pod.spec.effort * wave
            load = Load(busy, busy / 2)
        pod.busy = min(load.busy, 1.0)
        return load, drawn

    def _bytes(self, per_second: float) -> int:
        return round(per_second * self.step / 1000)

    def _new_pid(self, key: str, life: int) -> int:
        random = self._random(f"pid/{key}/{life}")
        taken = {pod.pid for pod in self.pods.values()}
        return random.choice([pid for pid in _PIDS if pid not in taken])

    def _fill(self, spec: PodSpec, memory: int) -> None:
        for place in self.places(spec):
            self.gpus[place.gpu].used[self.uuid(place)] += memory

    # --- who holds what -------------------------------------------------------------------------------------------

    def places(self, spec: PodSpec) -> tuple[Place, ...]:
        """The devices of a pod, each once."""
        found: dict[Place, None] = {}
        for container in spec.containers:
            for hold in container.plugin:
                found.update(dict.fromkeys(hold.places))
            for key in container.claims:
                found.update((place, None) for _, place in self.claims[key].spec.results)
        return tuple(found)

    def instance(self, place: Place) -> InstanceSpec | None:
        """The MIG instance of a place, None for a whole GPU."""
        if place.instance is None:
            return None
        return next(i for i in self.gpus[place.gpu].spec.instances if i.index == place.instance)

    def uuid(self, place: Place) -> str:
        """The UUID of a place."""
        instance = self.instance(place)
        return instance.uuid if instance else self.gpus[place.gpu].spec.uuid

    def device_name(self, place: Place) -> str:
        """The DRA device name of a place."""
        return scenario.device_name(self.gpus[place.gpu].spec, self.instance(place))

    # --- the books ------------------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Everything as of now."""
        devices: list[DeviceLedger] = []
        for gpu in self.gpus:
            devices.append(gpu_entry(gpu))
            devices += (instance_entry(gpu, instance) for instance in gpu.spec.instances)
        pods = self.pods.values()
        return Ledger(
            at=self.now,
            devices=tuple(devices),
            engines=tuple(engine_entry(pod, pod.engine) for pod in pods if pod.engine),
            holdings=tuple(entry for pod in pods for entry in self._holdings(pod)),
            pods=tuple(pod_entry(pod) for pod in pods),
        )

    def _holdings(self, pod: LivePod) -> list[HoldingLedger]:
        spec = pod.spec
        found = []
        for container in spec.containers:
            who = (spec.namespace, spec.name, pod.uid, container.name)
            for hold in container.plugin:
                slots = max(1, len(hold.replicas))
                found += [HoldingLedger(self.uuid(p), *who, hold.resource, slots) for p in hold.places]
            for key in container.claims:
                claim = self.claims[key]
                whose = (claim.spec.namespace, claim.spec.name, claim.uid)
                found += [
                    HoldingLedger(self.uuid(p), *who, "", 1, *whose, request) for request, p in claim.spec.results
                ]
        return found
