# SPDX-License-Identifier: Apache-2.0
"""The join: what stands in a snapshot, and what does not."""

from dataclasses import replace

from frames import CONTEXT, NOW, busy, failed, frame, frames, gpu, instance, memory
from inferometer import catalog
from inferometer.join import join
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    DeviceReport,
    EngineReport,
    Frames,
    Grant,
    Metric,
    Pod,
    PooledDevice,
    Reading,
    Reason,
    Snapshot,
    Target,
    Unsupported,
    Value,
)

GB = 1e9


def values(snapshot: Snapshot, metric: Metric) -> dict[frozenset[tuple[str, str]], Value]:
    """Give a metric's values by their attributes; a series that stands twice fails the test."""
    found: dict[frozenset[tuple[str, str]], Value] = {}
    for point in snapshot.points:
        if point.metric is metric:
            attributes = frozenset((k, v) for k, v in zip(metric.keys, point.attributes, strict=True) if v is not None)
            assert attributes not in found, f"{metric.name} stands twice with {sorted(attributes)}"
            found[attributes] = point.value
    return found


def only(snapshot: Snapshot, metric: Metric) -> dict[str, str]:
    """Give the attributes of a metric's one series."""
    (attributes,) = values(snapshot, metric)
    return dict(attributes)


def held(device: Device, pod: str = "a", container: str = "main", replica: str | None = None) -> Allocation:
    return Allocation("ns", pod, container, device.uuid, "nvidia.com/gpu", replica)


POD_A = Pod(
    "uid-a",
    "ns",
    "a",
    "Running",
    "10.0.0.1",
    {"team": "search", "pod-template-hash": "7f9"},
    {"cost-center": "42"},
    "ReplicaSet",
    "chat-7f9",
)
POD_B = Pod("uid-b", "ns", "b", "Running")


def test_a_whole_gpu_has_its_owner_with_workload_team_and_cost_centre() -> None:
    """A GPU that one pod holds alone carries that pod's whole identity on gpu.owner.* and nothing of it elsewhere."""
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[memory(device, 40 * GB), busy(device, 0.5)],
            allocations=[held(device)],
            pods=[POD_A],
        ),
        CONTEXT,
    )

    identity = {
        "hw.id": "GPU-0",
        "gpu.index": "0",
        "k8s.namespace.name": "ns",
        "k8s.pod.name": "a",
        "k8s.pod.uid": "uid-a",
        "k8s.container.name": "main",
        "k8s.workload.kind": "Deployment",
        "k8s.workload.name": "chat",
        "inferometer.team": "search",
        "inferometer.cost_center": "42",
    }
    assert only(snapshot, catalog.OWNER_INFO) == {**identity, "role": "owner"}
    assert only(snapshot, catalog.OWNER_MEMORY_USAGE) == {**identity, "attribution": "exclusive"}
    assert list(values(snapshot, catalog.OWNER_MEMORY_USAGE).values()) == [40 * GB]
    assert list(values(snapshot, catalog.OWNER_UTILIZATION).values()) == [0.5]
    assert only(snapshot, catalog.GPU_MEMORY_USAGE) == {"hw.id": "GPU-0", "gpu.index": "0"}


def test_a_shared_gpu_has_owners_but_no_value_is_copied_onto_them() -> None:
    """Two pods on one time-sliced GPU are both on gpu.owner.info; each has a labelled half of its use, and nobody all of it."""
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[memory(device, 40 * GB), busy(device, 0.5)],
            allocations=[held(device, "a", replica="0"), held(device, "b", replica="3")],
            pods=[POD_A, POD_B],
        ),
        CONTEXT,
    )

    assert len(values(snapshot, catalog.OWNER_INFO)) == 2
    for metric, each in ((catalog.OWNER_MEMORY_USAGE, 20 * GB), (catalog.OWNER_UTILIZATION, 0.25)):
        found = {(dict(k)["k8s.pod.uid"], dict(k)["attribution"]): v for k, v in values(snapshot, metric).items()}
        assert found == {("uid-a", "equal"): each, ("uid-b", "equal"): each}
    assert not snapshot.tenures


def test_several_replicas_of_one_pod_are_one_holding() -> None:
    """Seven time-slice replicas in one container are one series, with the pod alone on the device."""
    device = gpu(0)

    snapshot = join(
        frames(devices=[device], allocations=[held(device, replica=str(i)) for i in range(7)], pods=[POD_A]), CONTEXT
    )

    assert [h.replicas for h in snapshot.holdings] == [7]
    assert len(values(snapshot, catalog.OWNER_INFO)) == 1
    assert len(snapshot.tenures) == 1


def test_two_containers_of_one_pod_share_one_value_without_a_container_name() -> None:
    """What differs between a pod's containers on one device is absent from the pod's value."""
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[memory(device, GB)],
            allocations=[held(device, container="one"), held(device, container="two")],
            pods=[POD_A],
        ),
        CONTEXT,
    )

    assert len(values(snapshot, catalog.OWNER_INFO)) == 2
    assert "k8s.container.name" not in only(snapshot, catalog.OWNER_MEMORY_USAGE)


def test_a_gpu_in_mig_mode_has_no_owner_and_its_instances_have() -> None:
    """An allocation of a GPU in MIG mode is unresolved; one of an instance carries parent and profile."""
    parent, child = gpu(0, mig_enabled=True), instance(0, 1)

    snapshot = join(
        frames(
            devices=[parent, child],
            readings=[memory(parent, 9 * GB), memory(child, GB)],
            allocations=[held(parent, "b"), held(child, "a")],
            pods=[POD_A, POD_B],
        ),
        CONTEXT,
    )

    owner = only(snapshot, catalog.OWNER_MEMORY_USAGE)
    assert (owner["hw.id"], owner["hw.parent"], owner["gpu.mig.profile"], owner["attribution"]) == (
        "MIG-0-1",
        "GPU-0",
        "1g.12gb",
        "mig",
    )
    assert list(values(snapshot, catalog.OWNER_MEMORY_USAGE).values()) == [GB]
    assert list(values(snapshot, catalog.OWNER_UNRESOLVED).values()) == [1.0]


def claimed(device: str, pod: str, uid: str = "claim-uid") -> Allocation:
    claim = Claim("ns", "claim", "gpu.nvidia.com", "n1", device, uid)
    return Allocation("ns", pod, "main", device, claim=claim)


def test_dra_device_names_are_resolved_by_minor_number_and_by_placement() -> None:
    """`gpu-<minor>` is a GPU, and `gpu-<minor>-mig-<profile>-<profile id>-<start>` the instance at that placement."""
    whole = replace(gpu(0), minor=5)
    parent = replace(gpu(1, mig_enabled=True), minor=3)
    child = instance(1, 4)

    snapshot = join(
        frames(
            devices=[whole, parent, child],
            allocations=[claimed("gpu-5", "a"), claimed("gpu-3-mig-1g12gb-19-4", "b")],
            pods=[POD_A, POD_B],
        ),
        CONTEXT,
    )

    assert {h.owner.pod: h.device for h in snapshot.holdings} == {"a": "GPU-0", "b": "MIG-1-4"}


def test_a_claim_holder_is_marked_as_declared_until_the_claim_is_read() -> None:
    """Admin access stands only in the claim: its holder's role is unknown and its values say how they are known."""
    device = gpu(0)

    snapshot = join(
        frames(devices=[device], readings=[memory(device, GB)], allocations=[claimed("gpu-0", "a")], pods=[POD_A]),
        CONTEXT,
    )

    info = only(snapshot, catalog.OWNER_INFO)
    assert (info["role"], info["k8s.resourceclaim.name"], info["k8s.resourceclaim.uid"]) == (
        "unknown",
        "claim",
        "claim-uid",
    )
    assert only(snapshot, catalog.OWNER_MEMORY_USAGE)["attribution"] == "declared"


def read_claim(
    uid: str = "claim-uid", *, name: str = "claim", admin: bool = False, device: str = "gpu-0"
) -> AllocatedClaim:
    return AllocatedClaim("ns", name, uid, (Grant("gpus", "gpu.nvidia.com", "n1", device, admin),))


def test_a_claim_that_was_read_makes_its_holder_the_owner_with_the_request() -> None:
    """With the claim known the holder owns, and the request that the device answers is named."""
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[memory(device, GB)],
            allocations=[claimed("gpu-0", "a")],
            pods=[POD_A],
            claims=[read_claim()],
        ),
        CONTEXT,
    )

    info = only(snapshot, catalog.OWNER_INFO)
    assert (info["role"], info["k8s.resourceclaim.request"]) == ("owner", "gpus")
    assert only(snapshot, catalog.OWNER_MEMORY_USAGE)["attribution"] == "exclusive"


def test_admin_access_is_not_ownership() -> None:
    """A monitoring pod with admin access to a GPU neither owns it nor takes it from its owner."""
    owned, free = gpu(0), gpu(1)
    watching = [
        replace(claimed(name, "b", "watch"), claim=Claim("ns", "watch", "gpu.nvidia.com", "n1", name, "watch"))
        for name in ("gpu-0", "gpu-1")
    ]
    watch = AllocatedClaim(
        "ns", "watch", "watch", tuple(Grant("all", "gpu.nvidia.com", "n1", n, admin=True) for n in ("gpu-0", "gpu-1"))
    )

    snapshot = join(
        frames(
            devices=[owned, free],
            readings=[memory(owned, GB), memory(free, 0.0)],
            allocations=[claimed("gpu-0", "a"), *watching],
            pods=[POD_A, POD_B],
            claims=[read_claim(), watch],
        ),
        CONTEXT,
    )

    assert {(h.owner.pod, h.device): h.role.value for h in snapshot.holdings} == {
        ("a", "GPU-0"): "owner",
        ("b", "GPU-0"): "admin",
        ("b", "GPU-1"): "admin",
    }
    assert {dict(k).get("k8s.pod.name"): v for k, v in values(snapshot, catalog.OWNER_MEMORY_USAGE).items()} == {
        "a": GB,
        None: 0.0,
    }


def test_a_later_claim_of_the_same_name_says_nothing_about_this_one() -> None:
    """The claim that was read has another UID than the node's: the role stays unknown."""
    snapshot = join(
        frames(devices=[gpu(0)], allocations=[claimed("gpu-0", "a")], pods=[POD_A], claims=[read_claim("another-uid")]),
        CONTEXT,
    )

    assert only(snapshot, catalog.OWNER_INFO)["role"] == "unknown"


def test_without_pods_the_owner_is_namespace_and_name() -> None:
    """No pod source: the UID is absent, the level says so, and values still have their owner."""
    device = gpu(0)

    snapshot = join(frames(devices=[device], readings=[memory(device, GB)], allocations=[held(device)]), CONTEXT)

    owner = only(snapshot, catalog.OWNER_MEMORY_USAGE)
    assert owner["k8s.pod.name"] == "a"
    assert "k8s.pod.uid" not in owner
    level = {dict(k)["inferometer.identity.level"]: v for k, v in values(snapshot, catalog.IDENTITY_LEVEL).items()}
    assert level == {"none": 0.0, "name": 1.0, "partial": 0.0, "uid": 0.0}


def test_a_pod_that_the_pod_source_does_not_show_yet_owns_no_values() -> None:
    """What a holding seen before its pod does is nobody's yet, so that nothing is spent under a name that changes next tick."""
    device = gpu(0)

    snapshot = join(
        frames(devices=[device], readings=[memory(device, GB)], allocations=[held(device)], pods=[POD_B]), CONTEXT
    )

    assert len(values(snapshot, catalog.OWNER_INFO)) == 1
    (used,) = values(snapshot, catalog.OWNER_MEMORY_USAGE)
    assert dict(used) == {"hw.id": "GPU-0", "gpu.index": "0", "attribution": "none"}


def test_a_pod_that_has_ended_holds_nothing() -> None:
    """Kubelets before 1.34 still list completed pods; their phase tells."""
    device = gpu(0)

    snapshot = join(
        frames(devices=[device], allocations=[held(device)], pods=[replace(POD_A, phase="Succeeded")]), CONTEXT
    )

    assert not snapshot.holdings


def test_ownership_goes_on_without_a_driver() -> None:
    """With NVML failing, who holds which UUID is still told."""
    snapshot = join(
        frames(allocations=[held(gpu(0))], pods=[POD_A], troubles=[failed("nvidia", Reason.TIMEOUT)]), CONTEXT
    )

    assert only(snapshot, catalog.OWNER_INFO)["hw.id"] == "GPU-0"
    assert not values(snapshot, catalog.GPU_DEVICES)


def test_an_instance_by_claim_has_its_holder_without_a_driver_too() -> None:
    """While the driver does not answer an instance is known by the UUID that is published of it; else it is gone."""
    name = "gpu-0-mig-1g12gb-19-3"
    held = Allocation("ns", "a", "main", name, claim=Claim("ns", "c", "gpu.nvidia.com", "n1", name, "uid-c"))
    published = PooledDevice("gpu.nvidia.com", "n1", name, "mig", uuid="MIG-x", parent_uuid="GPU-0")

    blind = join(frames(allocations=[held], pods=[], slices=[published]), CONTEXT)
    seen = join(frames(devices=[gpu(0, mig_enabled=True)], allocations=[held], pods=[], slices=[published]), CONTEXT)

    assert [h.device for h in blind.holdings] == ["MIG-x"]
    assert seen.holdings == ()


def test_without_a_driver_nobodys_time_is_counted() -> None:
    """A device that the driver does not show has holders and no tenure: its series must not split in two."""
    snapshot = join(frames(allocations=[held(instance(0, 1))], pods=[POD_A]), CONTEXT)

    assert len(snapshot.holdings) == 1
    assert snapshot.tenures == ()


def test_no_driver_is_zero_devices_and_a_failing_one_is_silence() -> None:
    """A node without a driver reports 0 GPUs; a driver that hangs reports none of its numbers."""
    without = join(frames(troubles=[failed("nvidia", Reason.MISSING)]), CONTEXT)
    hanging = join(frames(troubles=[failed("nvidia", Reason.TIMEOUT)]), CONTEXT)

    assert list(values(without, catalog.GPU_DEVICES).values()) == [0.0]
    assert not values(hanging, catalog.GPU_DEVICES)


def test_an_unresponsive_gpu_is_reported_with_its_age_and_no_reading() -> None:
    """hw.status says failed and gpu.reading.age how long; the other GPU goes on."""
    good, bad = gpu(0), gpu(1)

    snapshot = join(frames(devices=[good, bad], readings=[memory(good, GB)], unresponsive={bad.uuid: 12.0}), CONTEXT)

    failed_gpus = [
        dict(k)["hw.id"]
        for k, v in values(snapshot, catalog.STATUS).items()
        if dict(k)["hw.state"] == "failed" and v == 1.0
    ]
    ages = {dict(k)["hw.id"]: v for k, v in values(snapshot, catalog.GPU_READING_AGE).items()}
    assert failed_gpus == ["GPU-1"]
    assert ages == {"GPU-0": 0.0, "GPU-1": 12.0}
    assert only(snapshot, catalog.GPU_MEMORY_USAGE)["hw.id"] == "GPU-0"


def test_a_reading_of_a_device_that_is_not_listed_is_left_out() -> None:
    """A device that vanished while it was read contributes nothing."""
    snapshot = join(frames(devices=[gpu(0)], readings=[memory(gpu(1), GB)]), CONTEXT)

    assert not values(snapshot, catalog.GPU_MEMORY_USAGE)


def engine(
    instance: str = "ns/a:8000", *, pod: str = "a", uid: str = "uid-a", url: str = "http://10.0.0.1:8000/metrics"
) -> EngineReport:
    target = Target(instance, url, namespace="ns" if pod else "", pod=pod, pod_uid=uid, container="main" if pod else "")
    readings = (
        Reading(
            instance, catalog.REQUESTS_RUNNING, (("gen_ai.request.model", "m"), ("inference.engine.rank", "0")), 3.0
        ),
    )
    return EngineReport(target, "vllm", "vllm", "engine", "0.32.0", ("m",), readings)


def test_an_engine_of_a_pod_carries_the_pods_identity_and_never_a_claim() -> None:
    """An engine's values join to gpu.owner.* by the pod UID."""
    snapshot = join(frames(pods=[POD_A], engines=[engine()]), CONTEXT)

    running = only(snapshot, catalog.REQUESTS_RUNNING)
    assert running["k8s.pod.uid"] == "uid-a"
    assert running["k8s.workload.name"] == "chat"
    assert running["gen_ai.provider.name"] == "vllm"
    assert running["server.port"] == "8000"
    assert "server.address" not in running
    (found,) = snapshot.engines
    assert dict(found.resource.attributes)["service.name"] == "chat"
    assert dict(found.resource.attributes)["service.instance.id"] == "ns.a.main"


def test_an_engine_without_a_pod_is_told_apart_by_its_address() -> None:
    """A configured target has its host and port, and a service of its own."""
    report = engine("10.1.1.1:9000", pod="", uid="", url="http://10.1.1.1:9000/metrics")

    snapshot = join(frames(engines=[report]), CONTEXT)

    running = only(snapshot, catalog.REQUESTS_RUNNING)
    assert (running["server.address"], running["server.port"]) == ("10.1.1.1", "9000")
    assert "k8s.pod.name" not in running


def test_an_engine_that_answers_and_tells_nothing_is_blind() -> None:
    """Up but blind has a name: a page of no known engine, or a known one whose statistics are off; a router is neither."""
    seeing = engine("ns/a:8000")
    silent = replace(engine("ns/b:8000", pod="b", uid="uid-b"), readings=(), missing=("vllm:prompt_tokens_total",))
    stranger = replace(
        engine("h:1", pod="", uid="", url="http://h:1/"), engine="unknown", backend="", kind="unknown", readings=()
    )
    router = replace(engine("h:2", pod="", uid="", url="http://h:2/"), kind="router", readings=())
    unmapped = replace(engine("h:3", pod="", uid="", url="http://h:3/"), engine="sglang", backend="sglang", readings=())

    snapshot = join(frames(pods=[POD_A, POD_B], engines=[seeing, silent, stranger, router, unmapped]), CONTEXT)

    blind = {
        (dict(k).get("k8s.pod.name"), dict(k)["server.port"]): v
        for k, v in values(snapshot, catalog.ENGINE_BLIND).items()
    }
    assert blind == {("a", "8000"): 0.0, ("b", "8000"): 1.0, (None, "1"): 1.0, (None, "3"): 0.0}


def test_an_engine_that_would_exceed_the_series_limit_is_left_out_and_counted() -> None:
    """The limit drops whole engines, names itself, and leaves the rest alone."""
    snapshot = join(
        frames(devices=[gpu(0)], readings=[memory(gpu(0), GB)], engines=[engine()]), replace(CONTEXT, max_series=3)
    )

    assert not snapshot.engines
    assert snapshot.dropped["pages"] == 1
    assert values(snapshot, catalog.GPU_MEMORY_USAGE)


def test_a_series_stands_once_when_two_targets_or_devices_cannot_be_told_apart() -> None:
    """One port with two paths, or an instance that the driver lists twice: the first stands, the rest is counted."""
    first, second = (
        engine(f"h:9000/{path}", pod="", uid="", url=f"http://h:9000/{path}") for path in ("metrics", "other")
    )
    parent, child = gpu(0, mig_enabled=True), instance(0, 0)
    alone = join(frames(devices=[parent, child], readings=[memory(child, GB)], engines=[first]), CONTEXT)

    both = join(
        frames(
            devices=[parent, child, child], readings=[memory(child, GB), memory(child, 2 * GB)], engines=[first, second]
        ),
        CONTEXT,
    )

    of_ours = {metric for metric in catalog.METRICS if metric.name.startswith("inferometer.")}
    told = [p for p in both.points if p.metric not in of_ours]
    assert told == [p for p in alone.points if p.metric not in of_ours]
    assert alone.dropped["repeated"] == 0
    assert both.dropped["repeated"] > 0


def test_a_driver_call_that_failed_this_once_is_counted_and_loses_only_itself() -> None:
    """The device's other readings stand, and the failure is in the snapshot by name."""
    device = gpu(0)
    report = DeviceReport((device,), (memory(device, GB),), failed=(Unsupported("GPU-0", "hw.power", "call", "why"),))

    snapshot = join(Frames(NOW, 0.0, good=(frame("nvidia", report),), ages={("nvidia", ""): 0.0}), CONTEXT)

    assert ("driver_call", 1, 1) in snapshot.drops
    assert [f.metric for f in snapshot.failed] == ["hw.power"]
    assert values(snapshot, catalog.GPU_MEMORY_USAGE)


def test_every_source_has_its_health_and_a_failed_one_only_that() -> None:
    """A source that fails is down with its reason; what it said before is not repeated."""
    snapshot = join(frames(devices=[gpu(0)], troubles=[failed("podresources", Reason.TIMEOUT)]), CONTEXT)

    up = {dict(k)["inferometer.source.name"]: v for k, v in values(snapshot, catalog.SOURCE_UP).items()}
    assert up == {"nvidia": 1.0, "podresources": 0.0}
    assert not values(snapshot, catalog.OWNER_INFO)
    assert [(f[0], f[3]) for f in snapshot.failures] == [("podresources", Reason.TIMEOUT)]


def test_the_simulation_marks_every_series() -> None:
    """What is simulated says so on every point."""
    snapshot = join(
        frames(devices=[gpu(0)], allocations=[held(gpu(0))], pods=[POD_A], engines=[engine()]),
        replace(CONTEXT, simulated=True),
    )

    assert snapshot.points
    assert all(point.attributes[-1] == "true" for point in snapshot.points)


def test_points_carry_the_read_time_of_their_own_frame() -> None:
    """A snapshot is newer than what it shows, and says so."""
    snapshot = join(frames(devices=[gpu(0)], readings=[memory(gpu(0), GB)], passed=3.0), CONTEXT)

    (point,) = [p for p in snapshot.points if p.metric is catalog.GPU_MEMORY_USAGE]
    assert point.at == NOW + 3.0
