# SPDX-License-Identifier: Apache-2.0
"""How a device is divided: alone, by what claims consume, in equal parts; the rest is nobody's and the parts are the whole."""

from dataclasses import replace

import pytest

from frames import CONTEXT, frames, gpu, instance
from inferometer import catalog
from inferometer.join import join
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    Frames,
    Grant,
    Metric,
    Pod,
    PooledDevice,
    Process,
    Reading,
    Snapshot,
    Value,
    Whereabouts,
)

GB = 1e9
DRIVER = "gpu.nvidia.com"
A, B = Pod("uid-a", "ns", "a", "Running"), Pod("uid-b", "ns", "b", "Running")
GENERAL = (("hw.gpu.task", "general"),)


def plugin(device: Device, pod: Pod, replica: str | None = None) -> Allocation:
    return Allocation(pod.namespace, pod.name, "main", device.uuid, "nvidia.com/gpu", replica)


def dra(pod: Pod, claim: str, share: str = "", container: str = "main") -> Allocation:
    named = Claim("ns", claim, DRIVER, "n1", "gpu-0", uid=f"uid-{claim}", request=None, share_id=share or None)
    return Allocation(pod.namespace, pod.name, container, "gpu-0", claim=named)


def consuming(claim: str, memory: float, share: str = "") -> AllocatedClaim:
    grant = Grant("r", DRIVER, "n1", "gpu-0", share_id=share or None, consumed={"memory": memory})
    return AllocatedClaim("ns", claim, f"uid-{claim}", (grant,))


POOLED = PooledDevice(DRIVER, "n1", "gpu-0", "gpu", uuid="GPU-0", capacity={"memory": 80 * GB}, shared=True)


def by_owner(snapshot: Snapshot, metric: Metric) -> dict[tuple[str | None, str | None], Value]:
    """Give a metric's values by pod and attribution."""
    keys = metric.keys.index("k8s.pod.name"), metric.keys.index("attribution")
    found = {}
    for point in snapshot.points:
        if point.metric is metric:
            key = point.attributes[keys[0]], point.attributes[keys[1]]
            assert key not in found
            found[key] = point.value
    return found


def sharing(*processes: Process, places: list[Whereabouts] | None = None) -> Frames:
    """Give a GPU that two pods share by time-slicing, busy at 0.6 and with 30 GB in use, with these processes."""
    device = gpu(0)
    readings = [
        Reading("GPU-0", catalog.GPU_UTILIZATION, GENERAL, 0.6),
        Reading("GPU-0", catalog.GPU_SM_ACTIVITY, (), 0.3),
        Reading("GPU-0", catalog.GPU_MEMORY_USAGE, (), 30 * GB),
        Reading("GPU-0", catalog.GPU_MEMORY_LIMIT, (), 80 * GB),
        Reading("GPU-0", catalog.POWER, (), 400.0),
        Reading("GPU-0", catalog.GPU_PROCESSES, (("gpu.process.type", "compute"),), float(len(processes))),
    ]
    return frames(
        devices=[device],
        readings=readings,
        processes=processes,
        places=places,
        allocations=[plugin(device, A, "0"), plugin(device, B, "1")],
        pods=[A, B],
    )


def test_what_several_claims_consume_is_their_part() -> None:
    """Pods whose claims consume capacity have their part of the device, and what nobody was granted is nobody's."""
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[
                Reading("GPU-0", catalog.GPU_MEMORY_LIMIT, (), 80 * GB),
                Reading("GPU-0", catalog.GPU_UTILIZATION, GENERAL, 0.8),
            ],
            allocations=[dra(A, "one", "s1"), dra(B, "two", "s2")],
            pods=[A, B],
            claims=[consuming("one", 20 * GB, "s1"), consuming("two", 40 * GB, "s2")],
            slices=[POOLED],
        ),
        CONTEXT,
    )

    assert by_owner(snapshot, catalog.OWNER_MEMORY_LIMIT) == {
        ("a", "capacity"): 20 * GB,
        ("b", "capacity"): 40 * GB,
        (None, "none"): 20 * GB,
    }
    assert by_owner(snapshot, catalog.OWNER_UTILIZATION) == {
        ("a", "capacity"): pytest.approx(0.2),
        ("b", "capacity"): pytest.approx(0.4),
        (None, "none"): pytest.approx(0.2),
    }


def test_one_claim_that_consumes_a_part_has_no_more_than_that() -> None:
    """A pod that is alone on a device but was granted a quarter of it has a quarter of its time."""
    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[dra(A, "one")],
            pods=[A],
            claims=[consuming("one", 20 * GB)],
            slices=[POOLED],
        ),
        CONTEXT,
    )

    assert [(s.fraction, s.attribution.value) for s in snapshot.shares] == [(0.25, "capacity"), (0.75, "none")]


def test_a_share_that_two_containers_have_counts_once() -> None:
    """Two containers of one pod that name the same claim have its share together, not each."""
    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[dra(A, "one"), dra(A, "one", container="side")],
            pods=[A],
            claims=[consuming("one", 20 * GB)],
            slices=[POOLED],
        ),
        CONTEXT,
    )

    assert [s.fraction for s in snapshot.shares] == [0.25, 0.75]


def test_more_than_all_of_it_is_never_given_out() -> None:
    """Claims that say that they consume more than there is are scaled to what there is."""
    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[dra(A, "one", "s1"), dra(B, "two", "s2")],
            pods=[A, B],
            claims=[consuming("one", 80 * GB, "s1"), consuming("two", 80 * GB, "s2")],
            slices=[POOLED],
        ),
        CONTEXT,
    )

    assert [s.fraction for s in snapshot.shares] == [0.5, 0.5, 0.0]


def test_processes_tell_who_uses_what_of_a_shared_gpu() -> None:
    """Time and memory are each pod's own processes'; what the host's processes and the driver use is nobody's."""
    processes = [
        Process("GPU-0", 11, "compute", int(10 * GB), 0.3),
        Process("GPU-0", 12, "compute", int(5 * GB), 0.1),
        Process("GPU-0", 13, "compute", int(1 * GB), 0.1),
    ]
    places = [Whereabouts(11, "uid-a", "c1"), Whereabouts(12, "uid-b"), Whereabouts(13, host=True)]

    snapshot = join(sharing(*processes, places=places), CONTEXT)

    assert by_owner(snapshot, catalog.OWNER_MEMORY_USAGE) == {
        ("a", "process"): 10 * GB,
        ("b", "process"): 5 * GB,
        (None, "none"): 15 * GB,
    }
    assert by_owner(snapshot, catalog.OWNER_UTILIZATION) == {
        ("a", "process"): pytest.approx(0.3),
        ("b", "process"): pytest.approx(0.1),
        (None, "none"): pytest.approx(0.2),
    }
    assert by_owner(snapshot, catalog.OWNER_SM_ACTIVITY) == {
        ("a", "process"): pytest.approx(0.18),
        ("b", "process"): pytest.approx(0.06),
        (None, "none"): pytest.approx(0.06),
    }
    # A pod that shares all of the memory has no limit of its own; the power of a shared GPU is nobody's yet.
    assert by_owner(snapshot, catalog.OWNER_MEMORY_LIMIT) == {}
    assert by_owner(snapshot, catalog.OWNER_POWER) == {(None, "none"): 400.0}
    (host,) = [p for p in snapshot.points if p.metric is catalog.OWNER_UNALLOCATED]
    assert (host.value, host.attributes[-3]) == (1.0, "host")


def test_processes_that_say_more_than_the_gpu_are_scaled_to_it() -> None:
    """Shares of SM time that add up to more than the GPU was busy are each less by as much: the sum is the GPU's."""
    processes = [Process("GPU-0", 11, "compute", 0, 0.9), Process("GPU-0", 12, "compute", 0, 0.3)]
    places = [Whereabouts(11, "uid-a"), Whereabouts(12, "uid-b")]

    found = by_owner(join(sharing(*processes, places=places), CONTEXT), catalog.OWNER_UTILIZATION)

    assert found[("a", "process")] == pytest.approx(0.45)
    assert found[("b", "process")] == pytest.approx(0.15)
    assert found[(None, "none")] == pytest.approx(0.0)


@pytest.mark.parametrize(
    "places",
    [None, [], [Whereabouts(12, "uid-b")]],
    ids=["no cgroups are read", "none is known", "one is not known"],
)
def test_without_knowing_every_process_the_parts_are_equal_and_say_so(places: list[Whereabouts] | None) -> None:
    """If it cannot be told whose each process is, use is divided equally, labelled as what it is."""
    processes = [Process("GPU-0", 11, "compute", 0, 0.9), Process("GPU-0", 12, "compute", 0, 0.3)]

    found = by_owner(join(sharing(*processes, places=places), CONTEXT), catalog.OWNER_UTILIZATION)

    assert found == {("a", "equal"): pytest.approx(0.3), ("b", "equal"): pytest.approx(0.3)}


def test_while_pods_are_not_read_processes_tell_of_nobody() -> None:
    """A cgroup names a pod by its UID, which nobody has then: no pod is said to use nothing."""
    processes = [Process("GPU-0", 1, "compute", 10, 0.2), Process("GPU-0", 2, "compute", 20, 0.4)]
    seen = sharing(*processes, places=[Whereabouts(1, "uid-a"), Whereabouts(2, "uid-b")])
    blind = replace(seen, good=tuple(frame for frame in seen.good if frame.source != "pods"))

    assert by_owner(join(seen, CONTEXT), catalog.OWNER_UTILIZATION)["a", "process"] == pytest.approx(0.2)
    assert by_owner(join(blind, CONTEXT), catalog.OWNER_UTILIZATION) == {
        ("a", "equal"): pytest.approx(0.3),
        ("b", "equal"): pytest.approx(0.3),
    }


def test_a_process_that_nothing_allows_is_a_finding() -> None:
    """A pod's process on a GPU that nothing allocated to the pod is told with the pod, and is not its owner."""
    intruder = Pod("uid-c", "evil", "c", "Running")
    processes = [Process("GPU-0", 11, "compute", int(GB), 0.1), Process("GPU-0", 66, "compute", int(9 * GB), 0.2)]
    device = gpu(0)

    snapshot = join(
        frames(
            devices=[device],
            readings=[
                Reading("GPU-0", catalog.GPU_MEMORY_USAGE, (), 10 * GB),
                Reading("GPU-0", catalog.GPU_PROCESSES, (("gpu.process.type", "compute"),), 2.0),
            ],
            processes=processes,
            places=[Whereabouts(11, "uid-a"), Whereabouts(66, "uid-c")],
            allocations=[plugin(device, A)],
            pods=[A, intruder],
        ),
        CONTEXT,
    )

    (found,) = [p for p in snapshot.points if p.metric is catalog.OWNER_UNALLOCATED]
    told = dict(zip(found.metric.keys, found.attributes, strict=True))
    assert (found.value, told["k8s.pod.name"], told["inferometer.process.place"]) == (1.0, "c", "pod")
    assert {h.owner.pod for h in snapshot.holdings} == {"a"}


def test_an_instance_that_is_shared_is_divided_too() -> None:
    """Time-sliced MIG: two pods on one instance have equal parts of its activity; its GPU has no owner."""
    parent, mig = gpu(0, mig_enabled=True), instance(0, 0)

    snapshot = join(
        frames(
            devices=[parent, mig],
            readings=[Reading(mig.uuid, catalog.MIG_SM_ACTIVITY, (), 0.5), Reading("GPU-0", catalog.POWER, (), 300.0)],
            allocations=[plugin(mig, A, "0"), plugin(mig, B, "1")],
            pods=[A, B],
        ),
        CONTEXT,
    )

    assert by_owner(snapshot, catalog.OWNER_SM_ACTIVITY) == {("a", "equal"): 0.25, ("b", "equal"): 0.25}
    assert by_owner(snapshot, catalog.OWNER_POWER) == {(None, "none"): 300.0}
    assert {s.device for s in snapshot.shares} == {mig.uuid}


def test_what_nobody_holds_is_nobodys() -> None:
    """A free GPU's use stands with the attribution none, so that the sum over owners is the sum over devices."""
    snapshot = join(
        frames(
            devices=[gpu(0)], readings=[Reading("GPU-0", catalog.GPU_MEMORY_USAGE, (), GB)], allocations=[], pods=[]
        ),
        CONTEXT,
    )

    assert by_owner(snapshot, catalog.OWNER_MEMORY_USAGE) == {(None, "none"): GB}
    assert [(s.fraction, s.owner) for s in snapshot.shares] == [(1.0, None)]


def test_without_an_identity_source_nothing_is_anybodys_or_nobodys() -> None:
    """While the kubelet does not answer nobody can say that a GPU is idle: nothing of gpu.owner stands."""
    devices = [gpu(0), gpu(1, mig_enabled=True), instance(1, 0)]
    readings = [Reading("GPU-0", catalog.GPU_MEMORY_USAGE, (), GB), Reading("GPU-1", catalog.POWER, (), 300.0)]

    snapshot = join(frames(devices=devices, readings=readings), CONTEXT)

    assert not [p for p in snapshot.points if p.metric.name.startswith("gpu.owner.")]
    assert snapshot.shares == ()


def test_what_one_claim_consumes_counts_once_however_many_pods_have_it() -> None:
    """Pods that share a claim have equal parts of what it consumes, and no limit of their own; another claim's part is whole."""
    c = Pod("uid-c", "ns", "c", "Running")

    snapshot = join(
        frames(
            devices=[gpu(0)],
            readings=[Reading("GPU-0", catalog.GPU_MEMORY_LIMIT, (), 80 * GB)],
            allocations=[dra(A, "one", "s1"), dra(B, "one", "s1"), dra(c, "two", "s2")],
            pods=[A, B, c],
            claims=[consuming("one", 40 * GB, "s1"), consuming("two", 20 * GB, "s2")],
            slices=[POOLED],
        ),
        CONTEXT,
    )

    assert [(s.owner and s.owner.pod, s.fraction, s.attribution.value) for s in snapshot.shares] == [
        ("a", 0.25, "equal"),
        ("b", 0.25, "equal"),
        ("c", 0.25, "capacity"),
        (None, 0.25, "none"),
    ]
    assert by_owner(snapshot, catalog.OWNER_MEMORY_LIMIT) == {}
