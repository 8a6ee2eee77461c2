# SPDX-License-Identifier: Apache-2.0
"""A small node for the goldens: a whole GPU with its owner, a MIG instance and an engine with a histogram."""

from inferometer import catalog
from inferometer.model import Histogram, Metric, Point, Resource, Snapshot, Value

AT = 1_790_000_000.123
NODE = Resource.of(
    {"service.name": "inferometer", "service.instance.id": "node-1", "k8s.node.name": "node-1", "host.name": "node-1"}
)
POD = Resource.of(
    {"service.name": "chat", "k8s.pod.uid": "c0ffee", "k8s.pod.name": "chat-0", "k8s.namespace.name": "serving"}
)

GPU = {"hw.id": "GPU-1", "gpu.index": "0"}
MIG = {"hw.id": "MIG-1", "gpu.index": "1", "hw.parent": "GPU-2", "gpu.mig.profile": "1g.12gb"}
OWNER = {
    "k8s.namespace.name": "serving",
    "k8s.pod.name": "chat-0",
    "k8s.pod.uid": "c0ffee",
    "inferometer.team": 'the "A" team\\',
}
ENGINE = {
    **OWNER,
    "gen_ai.provider.name": "vllm",
    "gen_ai.operation.name": "text_completion",
    "gen_ai.request.model": "llama\n70b",
}


def point(
    metric: Metric,
    attributes: dict[str, str],
    value: Value,
    *,
    at: float = AT,
    start: float | None = None,
    resource: Resource = NODE,
) -> Point:
    """Put attributes in the metric's order; what a metric does not have is an error."""
    assert set(attributes) <= set(metric.keys)
    return Point(metric, tuple(attributes.get(key) for key in metric.keys), value, at, start, resource)


def snapshot(*points: Point, node: Resource = NODE) -> Snapshot:
    return Snapshot(at=AT + 1, steady=0.0, node=node, points=points)


SNAPSHOT = snapshot(
    point(catalog.GPU_UTILIZATION, {**GPU, "hw.gpu.task": "general"}, 0.25),
    point(catalog.GPU_MEMORY_USAGE, GPU, 85_899_345_920.0),
    point(catalog.ENERGY, {**GPU, "hw.type": "gpu"}, 1234567.8901, start=AT - 3600),
    point(catalog.STATUS, {**GPU, "hw.type": "gpu", "hw.state": "ok"}, 1.0),
    point(catalog.STATUS, {**GPU, "hw.type": "gpu", "hw.state": "failed"}, 0.0),
    point(catalog.GPU_DEVICES, {}, 2),
    point(catalog.MIG_MEMORY_USAGE, MIG, 1e9),
    point(catalog.OWNER_INFO, {**GPU, **OWNER, catalog.ROLE.key: "owner"}, 1.0),
    point(catalog.OWNER_MEMORY_USAGE, {**GPU, **OWNER, catalog.ATTRIBUTION.key: "exclusive"}, 1.5e10),
    point(
        catalog.TIME_TO_FIRST_TOKEN,
        ENGINE,
        Histogram((0.001, 0.25, 1.0, 2_500_000.0), (1, 0, 41, 0, 2), 33.3),
        at=AT - 0.5,
        start=AT - 86_400,
        resource=POD,
    ),
    point(catalog.TOKENS, {**ENGINE, "gen_ai.token.type": "input"}, 12.0, at=AT - 0.5, resource=POD),
    point(
        catalog.SOURCE_UP,
        {"inferometer.source.name": "engine", "inferometer.source.instance": "serving/chat-0:8000"},
        1.0,
    ),
)
