# SPDX-License-Identifier: Apache-2.0
"""The simulated world: pods that hold GPUs, engines that load them, and the books; no I/O, no threads, no clock."""

import math
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType

from inferometer.simulation import scenario
from inferometer.simulation.engine import WAVE, Engine
from inferometer.simulation.hardware import (
    MEMORY,
    MEMORY_CLOCK,
    POWER_LIMIT,
    RESERVED,
    SLICES,
    VIDEO_CLOCK,
    Gpu,
    GpuSpec,
    InstanceSpec,
)
from inferometer.simulation.ledger import DeviceLedger, EngineLedger, HoldingLedger, Ledger, PodLedger
from inferometer.simulation.scenario import ClaimSpec, Place, PodSpec


@dataclass(slots=True, eq=False)
class LivePod:
    """A pod that runs. `created` is in Unix seconds, `began` in the simulation's; `port` is its engine's, or 0."""

    spec: PodSpec
    uid: str
    created: float
    began: float
    engine: Engine | None
    port: int = 0
    up: bool = True


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
        pod = LivePod(spec, uid, created, self.now, engine)
        self.pods[key] = pod
        self._fill(spec, spec.memory)
        return pod

    def end(self, key: str) -> LivePod:
        """End a pod: its holdings and its memory go with it. Raises KeyError."""
        pod = self.pods.pop(key)
        self._fill(pod.spec, -pod.spec.memory)
        return pod

    def advance(self) -> None:
        """Let one step pass."""
        self.steps += 1
        now, seconds = self.now, self.step / 1000
        idle = [1.0] * len(self.gpus)
        effort = [0.0] * len(self.gpus)
        for pod in self.pods.values():
            if pod.engine:
                work = pod.engine.advance(now)
                busy, drawn = work.busy / seconds, work.effort / seconds
            else:
                wave = 1 + 0.5 * math.sin(2 * math.pi * now / WAVE)
                busy, drawn = pod.spec.duty * wave, pod.spec.effort * wave
            for place in self.places(pod.spec):
                instance = self.instance(place)
                share = instance.slices / SLICES if instance else 1.0
                idle[place.gpu] *= max(0.0, 1 - busy * share)
                effort[place.gpu] += drawn * share
        for gpu in self.gpus:
            gpu.step(self.step, 1 - idle[gpu.spec.index], effort[gpu.spec.index])

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
            devices.append(_gpu_entry(gpu))
            devices += (_instance_entry(gpu, instance) for instance in gpu.spec.instances)
        pods = self.pods.values()
        return Ledger(
            at=self.now,
            devices=tuple(devices),
            engines=tuple(_engine_entry(pod, pod.engine) for pod in pods if pod.engine),
            holdings=tuple(entry for pod in pods for entry in self._holdings(pod)),
            pods=tuple(_pod_entry(pod) for pod in pods),
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


def _pod_entry(pod: LivePod) -> PodLedger:
    spec = pod.spec
    alone = spec.kind == "Pod"  # nothing owns it
    return PodLedger(
        key=spec.key,
        namespace=spec.namespace,
        name=spec.name,
        uid=pod.uid,
        workload_kind="" if alone else spec.kind,
        workload_name="" if alone else spec.workload,
        team=spec.team,
        cost_center=spec.cost_center,
    )


def _gpu_entry(gpu: Gpu) -> DeviceLedger:
    spec: GpuSpec = gpu.spec
    megahertz = {"graphics": gpu.sm_clock, "sm": gpu.sm_clock, "memory": MEMORY_CLOCK, "video": VIDEO_CLOCK}
    return DeviceLedger(
        uuid=spec.uuid,
        index=spec.index,
        minor=spec.minor,
        parent=None,
        profile=None,
        memory_used=gpu.memory_used,
        memory_total=MEMORY,
        memory_reserved=RESERVED,
        power=gpu.power / 1000,
        power_limit=POWER_LIMIT / 1000,
        joules=gpu.energy / 1000,
        utilization=None if spec.instances else gpu.utilization / 100,
        temperature=float(gpu.temperature),
        memory_temperature=float(gpu.memory_temperature),
        clocks=MappingProxyType({name: value * 1e6 for name, value in megahertz.items()}),
        lost=gpu.lost,
        hung=gpu.hung,
        xids=MappingProxyType(dict(gpu.xid_counts)),
    )


def _instance_entry(gpu: Gpu, instance: InstanceSpec) -> DeviceLedger:
    return DeviceLedger(
        uuid=instance.uuid,
        index=gpu.spec.index,
        minor=gpu.spec.minor,
        parent=gpu.spec.uuid,
        profile=instance.profile,
        memory_used=gpu.used[instance.uuid],
        memory_total=instance.memory,
        memory_reserved=instance.reserved,
        lost=gpu.lost,
        hung=gpu.hung,
    )


def _engine_entry(pod: LivePod, engine: Engine) -> EngineLedger:
    tally = engine.tally
    return EngineLedger(
        namespace=pod.spec.namespace,
        pod=pod.spec.name,
        pod_uid=pod.uid,
        container=pod.spec.containers[0].name,
        port=pod.port,
        model=engine.spec.model,
        prompt_tokens=tally.prompt_tokens,
        cached_prompt_tokens=tally.cached_prompt_tokens,
        generation_tokens=tally.generation_tokens,
        arrived=tally.arrived,
        finished=MappingProxyType(dict(tally.finished)),
        aborted=tally.aborted,
        running=len(engine.running),
        waiting=len(engine.waiting),
        preemptions=tally.preemptions,
        kv_utilization=engine.kv_utilization,
        histograms=MappingProxyType({name: h.freeze() for name, h in tally.histograms.items()}),
        up=pod.up,
    )
