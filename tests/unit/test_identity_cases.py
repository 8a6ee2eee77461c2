# SPDX-License-Identifier: Apache-2.0
"""The cases in which a pod can have a device, each under its number of docs/identity.md: who owns it, and how that is known."""

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
    Grant,
    Pod,
    PooledDevice,
    Process,
    Reading,
    Snapshot,
    Whereabouts,
)

NVIDIA, EXAMPLE = "gpu.nvidia.com", "gpu.example.com"
GB = 1e9


def pod(name: str, **more: object) -> Pod:
    return Pod(f"uid-{name}", "ns", name, "Running", **more)  # type: ignore[arg-type]  # fields of Pod


def daemon_of(namespace: str, name: str) -> Pod:
    return Pod(f"uid-{name}", namespace, name, "Running", owner_kind="DaemonSet", owner_name=name.rpartition("-")[0])


def plugin(name: str, device: str, *, replica: str | None = None, resource: str = "nvidia.com/gpu") -> Allocation:
    return Allocation("ns", name, "main", device, resource, replica)


def by_claim(
    name: str, device: str, claim: str = "c", *, driver: str = NVIDIA, container: str = "main", share: str | None = None
) -> Allocation:
    named = Claim("ns", claim, driver, "n1", device, uid=f"uid-{claim}", share_id=share)
    return Allocation("ns", name, container, device, claim=named)


def claim(*grants: Grant, name: str = "c", groups: tuple[str, ...] = ()) -> AllocatedClaim:
    return AllocatedClaim("ns", name, f"uid-{name}", grants, groups=groups)


def grant(
    device: str, request: str = "r", *, driver: str = NVIDIA, admin: bool = False, share: str | None = None
) -> Grant:
    return Grant(request, driver, "n1", device, admin=admin, share_id=share)


def owners(snapshot: Snapshot) -> set[tuple[str, str, float, str]]:
    """Give who has what part of which device, and how that is known."""
    return {
        (s.device, s.owner.pod, round(s.fraction, 6), s.attribution.value)
        for s in snapshot.shares
        if s.owner is not None
    }


def gpus(snapshot: Snapshot) -> dict[str | None, float]:
    """Give how many GPUs there are, by state."""
    state = catalog.GPU_DEVICES.keys.index(catalog.GPU_STATE.key)
    points = (p for p in snapshot.points if p.metric is catalog.GPU_DEVICES)
    return {p.attributes[state]: p.value for p in points if isinstance(p.value, float) and p.value}


def infos(snapshot: Snapshot) -> list[dict[str, str]]:
    """Give every holding as gpu.owner.info tells it."""
    return [
        {k: v for k, v in zip(p.metric.keys, p.attributes, strict=True) if v is not None}
        for p in snapshot.points
        if p.metric is catalog.OWNER_INFO
    ]


def test_case_01_a_whole_gpu_by_the_device_plugin() -> None:
    """One owner, exclusive, with its UID."""
    snapshot = join(frames(devices=[gpu(0)], allocations=[plugin("a", "GPU-0")], pods=[pod("a")]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "a", 1.0, "exclusive")}
    assert [(i["k8s.pod.uid"], i["role"]) for i in infos(snapshot)] == [("uid-a", "owner")]


def test_case_02_a_mig_instance_by_the_device_plugin() -> None:
    """The instance has the owner, by its UUID; its GPU has none."""
    mig = instance(0, 1)
    allocations = [plugin("a", mig.uuid, resource="nvidia.com/mig-1g.12gb")]

    snapshot = join(frames(devices=[gpu(0, mig_enabled=True), mig], allocations=allocations, pods=[pod("a")]), CONTEXT)

    assert owners(snapshot) == {(mig.uuid, "a", 1.0, "mig")}


def test_case_03_time_slicing() -> None:
    """Every holder of a replica is an owner once, however many replicas it has, with an equal part that says so."""
    replicas = [plugin("a", "GPU-0", replica=str(i)) for i in range(3)] + [plugin("b", "GPU-0", replica="7")]

    snapshot = join(frames(devices=[gpu(0)], allocations=replicas, pods=[pod("a"), pod("b")]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "a", 0.5, "equal"), ("GPU-0", "b", 0.5, "equal")}
    assert len(infos(snapshot)) == 2


def test_case_04_mps() -> None:
    """The MPS daemon that holds the GPU for its clients is no owner of it, whether its pod can be read or not."""
    daemon = daemon_of("gpu-operator", "nvidia-device-plugin-mps-control-daemon-x7k2p")
    clients = [plugin("a", "GPU-0", replica="0"), plugin("b", "GPU-0", replica="1")]
    held = [*clients, Allocation(daemon.namespace, daemon.name, "main", "GPU-0", "nvidia.com/gpu")]

    for pods in ([pod("a"), pod("b"), daemon], None):
        snapshot = join(frames(devices=[gpu(0)], allocations=held, pods=pods), CONTEXT)
        assert {owner for _, owner, _, _ in owners(snapshot)} == {"a", "b"}


@pytest.mark.parametrize(
    "told",
    [
        {"namespace": "ns", "owner_kind": "DaemonSet"},  # the right name and owner, in anybody's namespace
        {"namespace": "gpu-operator", "owner_kind": "ReplicaSet"},  # the right place, and no node's own daemon
        {"namespace": "gpu-operator"},
    ],
)
def test_case_04b_a_name_makes_no_pod_infrastructure(told: dict[str, str]) -> None:
    """A pod with the name of a daemon is an owner like any other, unless it is what a cluster's operators run on each node."""
    user = replace(pod("nvidia-device-plugin-mps-control-daemon-mine"), **told)  # type: ignore[arg-type]  # fields of Pod
    held = [Allocation(user.namespace, user.name, "main", "GPU-0", "nvidia.com/gpu")]

    snapshot = join(frames(devices=[gpu(0)], allocations=held, pods=[user]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", user.name, 1.0, "exclusive")}


def test_case_04c_the_namespaces_of_infrastructure_are_the_operators_to_name() -> None:
    """A node agent of a namespace that is configured owns nothing, of one that is not it does."""
    agent = daemon_of("platform", "gpu-warmer-1")
    held = [Allocation(agent.namespace, agent.name, "main", "GPU-0", "nvidia.com/gpu")]
    seen = frames(devices=[gpu(0)], allocations=held, pods=[agent])

    assert owners(join(seen, CONTEXT)) == {("GPU-0", agent.name, 1.0, "exclusive")}
    assert owners(join(seen, replace(CONTEXT, infrastructure=("platform",)))) == set()


def test_case_04d_the_drivers_daemon_of_a_claim() -> None:
    """What NVIDIA's DRA driver starts for a claim with MPS is a Deployment, and no owner."""
    name = "mps-control-daemon-7f1a6c9e-2b63-4d0f-9b1e-0c5a4d3e2f10-abcde"
    daemon = replace(daemon_of("nvidia-dra-driver-gpu", f"{name}-6f9c-x"), owner_kind="ReplicaSet", owner_name=name)

    snapshot = working(Process("GPU-0", 7, "compute", 1), Whereabouts(7, daemon.uid), daemon)

    assert unallocated(snapshot) == []


def test_case_05_gke_ids() -> None:
    """GKE's plugin names GPUs by their minor number, and instances by their GPU instance."""
    parent = Device("GPU-3", 1, minor=3, mig_enabled=True)
    mig = Device("MIG-x", 1, minor=3, parent="GPU-3", profile="1g.10gb", gpu_instance=7, compute_instance=0)
    devices = [Device("GPU-0", 0, minor=5), parent, mig]
    held = [plugin("a", "nvidia5"), plugin("b", "nvidia3/gi7"), plugin("c", "nvidia3/gi7/vgpu2")]

    snapshot = join(frames(devices=devices, allocations=held, pods=[pod("a"), pod("b"), pod("c")]), CONTEXT)

    assert owners(snapshot) == {
        ("GPU-0", "a", 1.0, "exclusive"),
        ("MIG-x", "b", 0.5, "equal"),
        ("MIG-x", "c", 0.5, "equal"),
    }


def test_case_06_a_whole_gpu_by_claim() -> None:
    """The holding has the claim, its request, and what the driver gave it; the device is found by its minor number."""
    device = Device("GPU-z", 0, minor=4)

    snapshot = join(
        frames(
            devices=[device],
            allocations=[by_claim("a", "gpu-4")],
            pods=[pod("a")],
            claims=[claim(grant("gpu-4", "gpu"))],
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {("GPU-z", "a", 1.0, "exclusive")}
    (info,) = infos(snapshot)
    assert info["k8s.resourceclaim.uid"] == "uid-c"
    assert info["k8s.resourceclaim.request"] == "gpu"
    assert (info["k8s.resourceclaim.driver"], info["k8s.resourceclaim.pool"], info["k8s.resourceclaim.device"]) == (
        NVIDIA,
        "n1",
        "gpu-4",
    )


def test_case_07_two_requests_of_one_claim_in_two_containers() -> None:
    """The kubelet shows both devices in both containers; each has the one whose request it names, the pod has both."""
    both = pod(
        "a",
        claims={"gpus": "c"},
        claim_requests=(("first", "gpus", "one"), ("second", "gpus", "two")),
    )
    shown = [by_claim("a", device, container=name) for name in ("first", "second") for device in ("gpu-0", "gpu-1")]

    snapshot = join(
        frames(
            devices=[gpu(0), gpu(1)],
            allocations=shown,
            pods=[both],
            claims=[claim(grant("gpu-0", "one"), grant("gpu-1", "two"))],
        ),
        CONTEXT,
    )

    assert {(h.container, h.device) for h in snapshot.holdings} == {("first", "GPU-0"), ("second", "GPU-1")}
    assert {owner[:2] for owner in owners(snapshot)} == {("GPU-0", "a"), ("GPU-1", "a")}


def test_case_07b_a_device_whose_request_nobody_names() -> None:
    """The kubelet's own file may not name a device's request: then the container that the kubelet shows has it."""
    user = pod("a", claims={"gpus": "c"}, claim_requests=(("first", "gpus", "one"),))
    nameless = replace(claim(grant("gpu-0", "")), complete=False)

    snapshot = join(
        frames(
            devices=[gpu(0)], allocations=[by_claim("a", "gpu-0", container="first")], pods=[user], claims=[nameless]
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {("GPU-0", "a", 1.0, "declared")}


def test_case_08_a_claim_that_two_pods_share() -> None:
    """Both are owners, with equal parts that say so."""
    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-0"), by_claim("b", "gpu-0")],
            pods=[pod("a"), pod("b")],
            claims=[claim(grant("gpu-0"))],
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {("GPU-0", "a", 0.5, "equal"), ("GPU-0", "b", 0.5, "equal")}


def test_case_09_a_dynamic_mig_instance_by_claim() -> None:
    """A MIG device that is published without a UUID is found by its GPU, profile and placement; a static one by its UUID."""
    dynamic, static = instance(0, 3, profile_id=19), instance(1, 0)
    published = PooledDevice(NVIDIA, "n1", "gpu-1-mig-static", "mig", uuid=static.uuid, parent_uuid="GPU-1")

    snapshot = join(
        frames(
            devices=[gpu(0, mig_enabled=True), dynamic, gpu(1, mig_enabled=True), static],
            allocations=[by_claim("a", "gpu-0-mig-1g12gb-19-3"), by_claim("b", "gpu-1-mig-static", "d")],
            pods=[pod("a"), pod("b")],
            claims=[claim(grant("gpu-0-mig-1g12gb-19-3")), claim(grant("gpu-1-mig-static"), name="d")],
            slices=[published],
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {(dynamic.uuid, "a", 1.0, "mig"), (static.uuid, "b", 1.0, "mig")}


def test_case_10_consumable_capacity() -> None:
    """Several claims have the same device: each pod's part is what its claim consumes of it."""
    published = PooledDevice(NVIDIA, "n1", "gpu-0", "gpu", uuid="GPU-0", capacity={"memory": 80 * GB}, shared=True)

    def consuming(name: str, memory: float) -> AllocatedClaim:
        return claim(Grant("r", NVIDIA, "n1", "gpu-0", share_id=f"s-{name}", consumed={"memory": memory}), name=name)

    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-0", "ca", share="s-ca"), by_claim("b", "gpu-0", "cb", share="s-cb")],
            pods=[pod("a"), pod("b")],
            claims=[consuming("ca", 20 * GB), consuming("cb", 30 * GB)],
            slices=[published],
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {("GPU-0", "a", 0.25, "capacity"), ("GPU-0", "b", 0.375, "capacity")}
    assert {i["k8s.resourceclaim.share"] for i in infos(snapshot)} == {"s-ca", "s-cb"}


def test_case_11_a_prioritized_list() -> None:
    """The request keeps both of its parts, and a container that names the main one has the device."""
    chosen = pod("a", claims={"gpus": "c"}, claim_requests=(("main", "gpus", "big"),))

    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-0")],
            pods=[chosen],
            claims=[claim(grant("gpu-0", "big/second-choice"))],
        ),
        CONTEXT,
    )

    assert [i["k8s.resourceclaim.request"] for i in infos(snapshot)] == ["big/second-choice"]
    assert owners(snapshot) == {("GPU-0", "a", 1.0, "exclusive")}


def test_case_12_an_extended_resource_that_dra_serves() -> None:
    """Of a claim that was made for extended resources each container has its own request's device."""
    served = pod(
        "a", extended_claim="c", extended_requests=(("one", "container-0-request-0"), ("two", "container-1-request-0"))
    )
    shown = [by_claim("a", device, container=name) for name in ("one", "two") for device in ("gpu-0", "gpu-1")]
    grants = (grant("gpu-0", "container-0-request-0"), grant("gpu-1", "container-1-request-0"))

    snapshot = join(
        frames(devices=[gpu(0), gpu(1)], allocations=shown, pods=[served], claims=[claim(*grants)]), CONTEXT
    )

    assert {(h.container, h.device) for h in snapshot.holdings} == {("one", "GPU-0"), ("two", "GPU-1")}


def test_case_13_admin_access() -> None:
    """Who only looks is told as admin and owns nothing; where it is not known, who holds everything is no owner either."""
    watching = [by_claim("w", f"gpu-{i}", "w") for i in range(2)]
    known = claim(grant("gpu-0", admin=True), grant("gpu-1", admin=True), name="w")

    told = join(frames(devices=[gpu(0), gpu(1)], allocations=watching, pods=[pod("w")], claims=[known]), CONTEXT)
    untold = join(frames(devices=[gpu(0), gpu(1)], allocations=watching, pods=[pod("w")]), CONTEXT)

    assert {i["role"] for i in infos(told)} == {"admin"}
    assert {i["role"] for i in infos(untold)} == {"unknown"}
    assert owners(told) == owners(untold) == set()


def test_case_13b_the_agent_is_never_an_owner() -> None:
    """The pod that this agent runs in owns nothing, whatever it holds and however."""
    held = [plugin("agent", "GPU-0")]

    snapshot = join(
        frames(devices=[gpu(0)], allocations=held, pods=[pod("agent")]), replace(CONTEXT, itself=("ns", "agent"))
    )

    assert owners(snapshot) == set()
    assert {i["role"] for i in infos(snapshot)} == {"admin"}


@pytest.mark.parametrize("whole", [0, 1])
def test_case_13c_who_holds_every_instance_in_an_unknown_role_owns_none(whole: int) -> None:
    """In MIG mode all that can be held are instances: who holds them all, and every whole GPU, is no owner either."""
    devices = [gpu(0, mig_enabled=True), instance(0, 0), instance(0, 1), *(gpu(1 + i) for i in range(whole))]
    names = [
        f"gpu-{d.index}-mig-1g12gb-19-{d.placement}" if d.is_instance else f"gpu-{d.index}"
        for d in devices
        if not d.mig_enabled
    ]

    every = join(frames(devices=devices, allocations=[by_claim("w", n) for n in names], pods=[pod("w")]), CONTEXT)
    some = join(frames(devices=devices, allocations=[by_claim("w", n) for n in names[1:]], pods=[pod("w")]), CONTEXT)

    assert owners(every) == set()
    assert len(owners(some)) == 1 + whole


def test_case_14_a_claim_of_a_pod_group() -> None:
    """A claim that is reserved for a PodGroup is its pods', as the kubelet and the pods say."""
    members = [pod("a", claims={"gpu": "c"}, group="gang"), pod("b", claims={"gpu": "c"}, group="gang")]

    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-0"), by_claim("b", "gpu-0")],
            pods=members,
            claims=[claim(grant("gpu-0"), groups=("gang",))],
        ),
        CONTEXT,
    )

    assert {owner[1] for owner in owners(snapshot)} == {"a", "b"}


def test_case_15_kai_fractions() -> None:
    """The reservation pod is hidden; the pods of its group have the fractions that they declare."""
    group = {"runai-gpu-group": "g1"}
    keeper = Pod("uid-keeper", "kai-resource-reservation", "gpu-reservation-0123456789abcdef", "Running", labels=group)
    fractions = [
        pod(n, labels=group, annotations={"gpu-fraction": f, "received-resource-type": "Fraction"})
        for n, f in (("a", "0.5"), ("b", "0.25"))
    ]
    held = [Allocation(keeper.namespace, keeper.name, "main", "GPU-0", "nvidia.com/gpu")]

    snapshot = join(frames(devices=[gpu(0)], allocations=held, pods=[keeper, *fractions]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "a", 0.5, "declared"), ("GPU-0", "b", 0.25, "declared")}
    assert {i["k8s.pod.name"] for i in infos(snapshot)} == {"a", "b"}


@pytest.mark.parametrize("pods", [None, []])
def test_case_15b_a_reservation_whose_pods_are_not_read(pods: list[Pod] | None) -> None:
    """The reservation pod is hidden while no pod can be read too; whose its GPU is nobody knows then, so it is not nobody's."""
    held = [
        Allocation("kai-resource-reservation", "gpu-reservation-0123456789abcdef", "main", "GPU-0", "nvidia.com/gpu")
    ]

    snapshot = join(frames(devices=[gpu(0)], allocations=held, pods=pods), CONTEXT)

    assert infos(snapshot) == []
    assert snapshot.shares == ()
    assert gpus(snapshot) == {"held": 1.0}


def test_case_15c_a_label_alone_makes_no_owner() -> None:
    """A pod that writes a group's label on itself has no part of its GPU, nor is the GPU then nobody's."""
    group = {"runai-gpu-group": "g1"}
    keeper = Pod("uid-keeper", "kai-resource-reservation", "gpu-reservation-0123456789abcdef", "Running", labels=group)
    held = [Allocation(keeper.namespace, keeper.name, "main", "GPU-0", "nvidia.com/gpu")]
    liars = [
        pod("bare", labels=group),
        pod("elsewhere", labels=group, annotations={"gpu-fraction": "0.5"}, scheduler="default-scheduler"),
    ]
    sharing = pod("a", labels=group, annotations={"gpu-fraction": "0.5"}, scheduler="kai-scheduler")

    without = join(frames(devices=[gpu(0)], allocations=held, pods=[keeper, *liars]), CONTEXT)
    beside = join(frames(devices=[gpu(0)], allocations=held, pods=[keeper, *liars, sharing]), CONTEXT)

    assert without.shares == ()
    assert owners(beside) == {("GPU-0", "a", 0.5, "declared")}


def test_case_16_hami_and_volcano() -> None:
    """The card that the scheduler chose counts, not the id that the kubelet has, with the part of memory that it declares."""
    hami = pod("a", containers=("main",), annotations={"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,20480,30:;"})
    volcano = pod("b", containers=("main",), annotations={"volcano.sh/vgpu-ids-new": "GPU-1,NVIDIA,40960,30:;"})
    limit = Reading("GPU-1", catalog.GPU_MEMORY_LIMIT, (), float(80 << 30))

    snapshot = join(
        frames(
            devices=[gpu(0), gpu(1)],
            readings=[limit],
            allocations=[plugin("a", "GPU-0", replica="0")],
            pods=[hami, volcano],
        ),
        CONTEXT,
    )

    assert owners(snapshot) == {("GPU-1", "a", 0.25, "declared"), ("GPU-1", "b", 0.5, "declared")}


def test_case_16b_two_containers_of_one_pod() -> None:
    """What the scheduler gave to two containers on one card is the pod's together."""
    both = pod(
        "a",
        containers=("x", "y"),
        annotations={"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,20480,30:;GPU-1,NVIDIA,40960,30:;"},
    )
    limit = Reading("GPU-1", catalog.GPU_MEMORY_LIMIT, (), float(80 << 30))

    snapshot = join(frames(devices=[gpu(1)], readings=[limit], allocations=[], pods=[both]), CONTEXT)

    assert owners(snapshot) == {("GPU-1", "a", 0.75, "declared")}


def test_case_16c_an_annotation_takes_no_gpu_from_its_holder() -> None:
    """What the kubelet gave as a whole stays its holder's, whatever a pod declares of that GPU or instead of its own."""
    liar = pod("l", containers=("main",), annotations={"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,1,1:;"})
    other = pod("o", containers=("main",), annotations={"volcano.sh/vgpu-ids-new": "GPU-1,NVIDIA,1,1:;"})
    held = [plugin("l", "GPU-0"), plugin("a", "GPU-1")]

    snapshot = join(frames(devices=[gpu(0), gpu(1)], allocations=held, pods=[liar, other, pod("a")]), CONTEXT)
    unread = join(frames(devices=[gpu(0), gpu(1)], allocations=held, pods=[liar, other]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "l", 1.0, "exclusive"), ("GPU-1", "a", 1.0, "exclusive")}
    assert owners(unread) == {("GPU-0", "l", 1.0, "exclusive")}


@pytest.mark.parametrize("replica", [None, "1"])
@pytest.mark.parametrize(
    ("device", "named"),
    [(gpu(0), "GPU-0"), (gpu(0), "nvidia0"), (replace(gpu(0), pci_address="0000:3b:00.0"), "0000:3b:00.0")],
    ids=["nvidia", "gke", "amd"],
)
def test_case_16e_nobody_hides_behind_an_annotation(device: Device, named: str, replica: str | None) -> None:
    """A pod that declares a card which is not here still has the one that the kubelet names, in whatever form."""
    liar = pod("l", containers=("main",), annotations={"hami.io/vgpu-devices-allocated": "GPU-9,NVIDIA,1,1:;"})

    snapshot = join(frames(devices=[device], allocations=[plugin("l", named, replica=replica)], pods=[liar]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "l", 1.0, "exclusive")}


def test_case_16f_an_annotation_takes_no_gpu_from_a_claim() -> None:
    """What a claim gave stays its owner's, whatever another pod declares of that GPU; who only looks keeps it from nobody."""
    other = pod("o", containers=("main",), annotations={"hami.io/vgpu-devices-allocated": "GPU-0,NVIDIA,1,50:;"})

    def owned(*, admin: bool) -> object:
        seen = frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-0")],
            pods=[pod("a"), other],
            claims=[claim(grant("gpu-0", admin=admin))],
        )
        return owners(join(seen, CONTEXT))

    assert owned(admin=False) == {("GPU-0", "a", 1.0, "exclusive")}
    assert owned(admin=True) == {("GPU-0", "o", 0.5, "declared")}


@pytest.mark.parametrize("pods", [None, [], [pod("a", containers=("main",))]])
def test_case_16d_a_part_of_nobody_knows_which_card(pods: list[Pod] | None) -> None:
    """While what HAMi or Volcano declared cannot be read, the kubelet's ids tell that some card is shared: none is free."""
    first, second, third = (replace(gpu(n), uuid=f"GPU-{n}c395b7a-a7e6-d90f-1ced-d96e8dd68288") for n in range(3))
    held = [
        plugin("a", f"{first.uuid}-3"),
        Allocation("ns", "a", "main", f"{first.uuid}-memory-17", "volcano.sh/vgpu-memory"),
        plugin("b", third.uuid),
    ]

    snapshot = join(frames(devices=[first, second, third], allocations=held, pods=pods), CONTEXT)

    assert {share.device for share in snapshot.shares} <= {third.uuid}
    assert gpus(snapshot) == {"held": 1.0, "unknown": 2.0}


def test_case_16e_a_process_on_a_card_that_may_be_its_own() -> None:
    """Who may have a part of a card is no intruder there."""
    card = "GPU-0c395b7a-a7e6-d90f-1ced-d96e8dd68288"
    process, place = Process(card, 7, "compute", 1), Whereabouts(7, "uid-a")
    seen = frames(
        devices=[replace(gpu(0), uuid=card)],
        readings=[Reading(card, catalog.GPU_PROCESSES, (("gpu.process.type", "compute"),), 1.0)],
        processes=[process],
        places=[place],
        allocations=[plugin("a", f"{card}-3")],
        pods=[pod("a")],
    )

    assert unallocated(join(seen, CONTEXT)) == []


def test_case_17_a_gpu_that_is_passed_through() -> None:
    """A GPU that a virtual machine has is held, by what its driver publishes of it, though nobody here can see what it does."""
    published = PooledDevice(NVIDIA, "n1", "gpu-vfio-0", "vfio", uuid="GPU-vfio", pci_address="0000:41:00.0")

    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("vm", "gpu-vfio-0")],
            pods=[pod("vm", runtime_class="kata-qemu-nvidia-gpu")],
            claims=[claim(grant("gpu-vfio-0"))],
            slices=[published],
        ),
        CONTEXT,
    )

    (info,) = infos(snapshot)
    assert (info["hw.id"], info["role"], info["inferometer.telemetry"]) == ("GPU-vfio", "owner", "unavailable")


def test_case_17a_a_gpu_that_is_passed_through_and_not_published() -> None:
    """Without the right to read what its driver publishes it is held under what the kubelet calls it."""
    snapshot = join(
        frames(devices=[gpu(0)], allocations=[by_claim("vm", "gpu-vfio-0")], pods=[pod("vm")], claims=[]), CONTEXT
    )

    assert [(i["hw.id"], i["inferometer.telemetry"]) for i in infos(snapshot)] == [
        (f"{NVIDIA}/n1/gpu-vfio-0", "unavailable")
    ]


def test_case_17b_devices_of_other_drivers() -> None:
    """A device of a driver without an NVML device is held under what that driver names it by."""
    snapshot = join(
        frames(
            devices=[gpu(0)],
            allocations=[by_claim("a", "gpu-2", driver=EXAMPLE)],
            pods=[pod("a")],
            claims=[claim(grant("gpu-2", driver=EXAMPLE))],
            slices=[PooledDevice(EXAMPLE, "n1", "gpu-2", uuid="gpu-18db0e85")],
        ),
        CONTEXT,
    )

    (info,) = infos(snapshot)
    assert (info["hw.id"], info["inferometer.telemetry"]) == ("gpu-18db0e85", "unavailable")


def test_case_17c_a_partition_is_not_its_gpu() -> None:
    """A partition of an AMD GPU is published with the GPU's address; whoever has one has not the GPU."""
    amd = "gpu.amd.com"
    partitions = [
        PooledDevice(amd, "n1", f"gpu-{i}", "amdgpu-partition", pci_address="0000:83:00.0", profile="cpx_nps4")
        for i in (1, 2)
    ]

    snapshot = join(
        frames(
            devices=[Device("AMD-0", 0, pci_address="0000:83:00.0")],
            allocations=[by_claim("a", "gpu-1", driver=amd), by_claim("b", "gpu-2", "d", driver=amd)],
            pods=[pod("a"), pod("b")],
            slices=partitions,
        ),
        CONTEXT,
    )

    assert owners(snapshot) == set()
    assert {i["hw.id"] for i in infos(snapshot)} == {f"{amd}/n1/gpu-1", f"{amd}/n1/gpu-2"}


def working(process: Process, place: Whereabouts, *pods: Pod, held: tuple[Allocation, ...] = ()) -> Snapshot:
    count = Reading("GPU-0", catalog.GPU_PROCESSES, (("gpu.process.type", "compute"),), 1.0)
    return join(
        frames(
            devices=[gpu(0)], readings=[count], processes=[process], places=[place], allocations=held, pods=list(pods)
        ),
        CONTEXT,
    )


def unallocated(snapshot: Snapshot) -> list[tuple[str | None, str | None, float]]:
    keys = [catalog.OWNER_UNALLOCATED.keys.index(key) for key in ("k8s.pod.name", "inferometer.process.place")]
    return [
        (p.attributes[keys[0]], p.attributes[keys[1]], float(p.value))  # type: ignore[arg-type]  # no histogram
        for p in snapshot.points
        if p.metric is catalog.OWNER_UNALLOCATED
    ]


def test_case_18_an_init_container_on_a_gpu() -> None:
    """A process of an init container of the pod that holds the GPU is the owner's own: no finding."""
    owner = pod("a", container_ids={"c" * 64: "warm-up"}, init_containers=("warm-up",))

    snapshot = working(
        Process("GPU-0", 7, "compute", 1), Whereabouts(7, container_id="c" * 64), owner, held=(plugin("a", "GPU-0"),)
    )

    assert unallocated(snapshot) == []


def test_case_18b_a_gpu_of_an_init_container_alone() -> None:
    """The kubelet lists no init container that ends, so its process on what nobody has is no finding; on another's GPU it is."""
    owner = pod("a", container_ids={"c" * 64: "warm-up"}, init_containers=("warm-up",), containers=("main",))
    process, place = Process("GPU-0", 7, "compute", 1), Whereabouts(7, "uid-a", "c" * 64)

    alone = working(process, place, owner)
    beside = working(process, place, owner, pod("b"), held=(plugin("b", "GPU-0"),))

    assert unallocated(alone) == []
    assert unallocated(beside) == [("a", "pod", 1.0)]


def test_case_19_a_process_without_an_allocation() -> None:
    """A privileged pod that uses a GPU that nothing gave it is told by name."""
    snapshot = working(Process("GPU-0", 7, "compute", 1), Whereabouts(7, "uid-x"), pod("x"))

    assert unallocated(snapshot) == [("x", "pod", 1.0)]
    assert owners(snapshot) == set()


def test_case_20_a_host_process() -> None:
    """A process of the host itself is the host's."""
    snapshot = working(Process("GPU-0", 7, "compute", 1), Whereabouts(7, host=True), pod("x"))

    assert unallocated(snapshot) == [(None, "host", 1.0)]


def test_case_21_devices_that_the_kubelet_does_not_prepare() -> None:
    """A device whose driver needs nothing of the node stands in the claim only, and is its pod's all the same."""
    user = pod("a", claims={"gpu": "c"}, containers=("main",), claim_requests=(("main", "gpu", ""),))
    skipped = Grant("r", NVIDIA, "n1", "gpu-0", skipped=True)

    snapshot = join(frames(devices=[gpu(0)], allocations=[], pods=[user], claims=[claim(skipped)]), CONTEXT)

    assert owners(snapshot) == {("GPU-0", "a", 1.0, "exclusive")}
    assert [i["k8s.container.name"] for i in infos(snapshot)] == ["main"]


def test_case_21b_what_is_no_gpu_is_no_holding() -> None:
    """A claim for a network card that needs nothing of the node holds no GPU."""
    user = pod("a", claims={"nic": "c"}, containers=("main",), claim_requests=(("main", "nic", ""),))
    card = Grant("r", "dra.net", "n1", "eth1", skipped=True)

    snapshot = join(frames(devices=[gpu(0)], allocations=[], pods=[user], claims=[claim(card)]), CONTEXT)

    assert infos(snapshot) == []
