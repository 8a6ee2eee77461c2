# SPDX-License-Identifier: Apache-2.0
"""The entries of the books: what a simulated device, engine or pod is at this moment, frozen and in base units."""

from types import MappingProxyType
from typing import TYPE_CHECKING

from inferometer.simulation.activity import METERS, PARTS, PPM
from inferometer.simulation.engine import Engine
from inferometer.simulation.hardware import MEMORY, MEMORY_CLOCK, RESERVED, VIDEO_CLOCK, Gpu, InstanceSpec
from inferometer.simulation.ledger import DeviceLedger, EngineLedger, PodLedger

if TYPE_CHECKING:
    from inferometer.simulation.world import LivePod


def gpu_entry(gpu: Gpu) -> DeviceLedger:
    """Book a GPU."""
    spec, health = gpu.spec, gpu.health
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
        power=gpu.average_power / 1000,
        power_now=gpu.power / 1000,
        power_limit=spec.power_limit / 1000,
        joules=gpu.energy / 1000,
        utilization=None if spec.instances else gpu.utilization / 100,
        temperature=float(gpu.temperature),
        memory_temperature=float(gpu.memory_temperature),
        clocks=MappingProxyType({name: value * 1e6 for name, value in megahertz.items()}),
        lost=gpu.lost,
        hung=gpu.hung,
        xids=MappingProxyType(dict(gpu.xid_counts)),
        worked=_worked(gpu, spec.uuid),
        throttled=MappingProxyType({reason: spent / 1000 for reason, spent in gpu.throttled.items()}),
        reasons=gpu.reasons,
        pcie_bytes=(_meter(gpu, "pcie_rx"), _meter(gpu, "pcie_tx")),
        link_bytes=tuple(moved // 1024 * 1024 for moved in gpu.link_bytes),
        links_down=frozenset(health.links_down),
        errors=MappingProxyType(dict(health.errors)),
        remapped=MappingProxyType(dict(health.remapped)),
        remap_pending=health.remap_pending,
        recovery_action=health.action,
    )


def instance_entry(gpu: Gpu, instance: InstanceSpec) -> DeviceLedger:
    """Book a MIG instance."""
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
        worked=_worked(gpu, instance.uuid),
    )


def _worked(gpu: Gpu, uuid: str) -> MappingProxyType[str, float]:
    meters = gpu.meters[uuid].now
    return MappingProxyType({part: meter / PPM / 1000 for part, meter in zip(PARTS, meters, strict=False)})


def _meter(gpu: Gpu, flow: str) -> int:
    return gpu.meters[gpu.spec.uuid].now[METERS.index(flow)]


def engine_entry(pod: "LivePod", engine: Engine) -> EngineLedger:
    """Book a pod's engine."""
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


def pod_entry(pod: "LivePod") -> PodLedger:
    """Book a pod."""
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
        pid=pod.pid,
    )
