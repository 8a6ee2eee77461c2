# SPDX-License-Identifier: Apache-2.0
"""The dense node as snapshots: 8 GPUs with 7 MIG instances each, 60 pods, 16 vLLM engines; numbers move, series do not."""

import random
from collections.abc import Iterator
from dataclasses import replace

from inferometer import catalog
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot, Value

AT = 1_790_000_000.0
NODE = Resource.of(
    {"service.name": "inferometer", "service.version": "0.1.0", "k8s.node.name": "gpu-7", "host.name": "gpu-7"}
)

# vLLM's own bounds (vllm/v1/metrics/loggers.py, 0.32).
_LATENCY = (
    0.3,
    0.5,
    0.8,
    1.0,
    1.5,
    2.0,
    2.5,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    120.0,
    240.0,
    480.0,
    960.0,
)
_FIRST = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
)
_EACH = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)

_BOUNDS = {
    catalog.REQUEST_DURATION: _LATENCY,
    catalog.TIME_TO_FIRST_TOKEN: _FIRST,
    catalog.TIME_PER_OUTPUT_TOKEN: _EACH,
}

_MODEL = {
    "gen_ai.provider.name": "vllm",
    "gen_ai.operation.name": "text_completion",
    "gen_ai.request.model": "meta-llama/Llama-3.3-70B-Instruct",
}

LINKS = tuple(map(str, range(18)))  # of an H100

# The attribute that tells several series of one subject apart.
_SPLIT = {
    catalog.GPU_UTILIZATION: (catalog.HW_GPU_TASK.key, ("general", "encoder", "decoder")),
    catalog.TEMPERATURE: (catalog.HW_SENSOR.key, ("core", "memory")),
    catalog.GPU_CLOCK_FREQUENCY: (catalog.GPU_CLOCK.key, ("graphics", "sm", "memory", "video")),
    catalog.STATUS: (catalog.HW_STATE.key, ("ok", "degraded", "failed", "predicted_failure")),
    catalog.TOKENS: (catalog.TOKEN_TYPE.key, ("input", "output")),
    catalog.REQUESTS_FINISHED: (catalog.FINISH_REASON.key, ("stop", "length", "abort", "error", "repetition")),
    **{metric: (catalog.NVLINK.key, LINKS) for metric in catalog.METRICS if catalog.NVLINK in metric.attributes},
}


def snapshots(count: int) -> list[Snapshot]:
    """Give snapshots that follow one another. Each has attribute values of its own objects, as a join would make them."""
    dice = random.Random(7)  # the same node in every run
    first = Snapshot(at=AT, steady=0.0, node=NODE, points=tuple(_points(dice)))
    return [first, *(_moved(first, dice, AT + 5 * (i + 1)) for i in range(count - 1))]


def _points(dice: random.Random) -> Iterator[Point]:
    for metric in catalog.METRICS:
        subjects = _subjects(metric)
        key, values = _SPLIT.get(metric, ("", ("",)))
        for i, subject in enumerate(subjects):
            for value in values:
                yield _point(metric, {**subject, key: value}, dice, _resource(i) if subjects is ENGINES else NODE)


def _subjects(metric: Metric) -> list[dict[str, str]]:
    """Give the attributes of everything that has this metric."""
    name = metric.name
    if name.startswith("gpu.") and catalog.HW_ID not in metric.attributes:
        return [{}]
    if name.startswith("gpu.mig."):
        return INSTANCES
    if name.startswith("gpu.owner."):
        return OWNERS
    if name.startswith("inference.router."):
        return []
    if name.startswith(("gen_ai.", "inference.")):
        return ENGINES
    if name.startswith("inferometer.source."):
        return SOURCES
    return GPUS if catalog.HW_ID in metric.attributes else [{}]


def _gpu(i: int) -> dict[str, str]:
    return {"hw.id": f"GPU-5c0f7a2e-93b1-4d6f-8a57-0000000000{i:02d}", "gpu.index": str(i), "hw.type": "gpu"}


def _instance(i: int) -> dict[str, str]:
    return {
        "hw.id": f"MIG-7d1c2b3a-4e5f-5a6b-9c7d-0000000000{i:02d}",
        "gpu.index": str(i // 7),
        "hw.parent": _gpu(i // 7)["hw.id"],
        "gpu.mig.profile": "1g.18gb",
    }


def _pod(i: int) -> dict[str, str]:
    return {
        "k8s.namespace.name": f"team-{i % 6}",
        "k8s.pod.name": f"chat-{i}-6f9c7d5b8-x2x{i:02d}",
        "k8s.pod.uid": f"0b6f1d3e-2a4c-4e5d-8f70-0000000000{i:02d}",
        "k8s.container.name": "server",
        "k8s.workload.kind": "Deployment",
        "k8s.workload.name": f"chat-{i}",
        "k8s.resourceclaim.namespace": f"team-{i % 6}",
        "k8s.resourceclaim.name": f"chat-{i}-gpu-x2x{i:02d}",
        "k8s.resourceclaim.uid": f"3f0a1d3e-2a4c-4e5d-8f70-0000000000{i:02d}",
        "inferometer.team": f"team-{i % 6}",
        "attribution": "mig",
        "role": "owner",
    }


GPUS = [_gpu(i) for i in range(8)]
INSTANCES = [_instance(i) for i in range(56)]
OWNERS = [{**INSTANCES[i % 56], **_pod(i)} for i in range(60)]
ENGINES = [{**_pod(i), **_MODEL} for i in range(16)]
SOURCES = [
    {catalog.SOURCE.key: "engine", catalog.SOURCE_INSTANCE.key: f"serving/chat-{i}:8000"} for i in range(len(ENGINES))
]


def _resource(i: int) -> Resource:
    pod = _pod(i)
    keys = ("k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.container.name")
    return Resource.of(
        {"service.name": pod["k8s.workload.name"], "k8s.node.name": "gpu-7", **{k: pod[k] for k in keys}}
    )


def _point(metric: Metric, subject: dict[str, str], dice: random.Random, resource: Resource) -> Point:
    start = AT - 86_400 if metric.instrument in (Instrument.COUNTER, Instrument.HISTOGRAM) else None
    return Point(metric, tuple(map(subject.get, metric.keys)), _value(metric, dice), AT, start, resource)


def _value(metric: Metric, dice: random.Random) -> Value:
    if metric.instrument is Instrument.HISTOGRAM:
        bounds = _BOUNDS.get(metric, _EACH)
        counts = tuple(dice.randrange(100_000) for _ in range(len(bounds) + 1))
        return Histogram(bounds, counts, dice.random() * 1e5)
    if metric.unit == "By":
        return float(dice.randrange(1 << 37))
    if metric.unit.startswith("{"):
        return 1.0 if metric.instrument is Instrument.GAUGE else float(dice.randrange(1 << 30))
    return dice.random() * (1.0 if metric.unit == "1" else 1e4)


def _moved(snapshot: Snapshot, dice: random.Random, at: float) -> Snapshot:
    points = (
        p._replace(attributes=(*p.attributes,), value=_value(p.metric, dice), at=at - dice.randrange(3))
        for p in snapshot.points
    )
    return replace(snapshot, at=at, points=tuple(points))
