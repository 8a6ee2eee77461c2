# SPDX-License-Identifier: Apache-2.0
"""Properties of what pods and processes say of themselves: whatever it is, it is bounded and never an error."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from frames import CONTEXT, frames
from inferometer.join import join
from inferometer.join.declared import MOST, declared, is_part, is_reservation
from inferometer.join.workloads import QUEUES, RULES, queue_of, workload_of
from inferometer.model import Allocation, Device, Pod
from inferometer.sources.identity.cgroup_paths import Place, depth, paths, place

UID = "7f1a6c9e-2b63-4d0f-9b1e-0c5a4d3e2f10"
ID = "c0ffee" + "0" * 58

DEVICES = st.sampled_from(["GPU-a", "GPU-b", "GPU-a[1-0]", "", "a b"])
NUMBERS = st.one_of(
    st.sampled_from(["0", "1", "50", "100", "101", "1e400", "nan", "-3", "0.5", ""]), st.text(max_size=4)
)
LISTS = st.one_of(
    st.lists(
        st.lists(st.tuples(DEVICES, st.just("NVIDIA"), NUMBERS, NUMBERS).map(",".join), max_size=3).map(":".join),
        max_size=4,
    ).map(lambda parts: ";".join([*parts, ""])),
    st.text(max_size=30),
    st.text(alphabet=",:;G0", max_size=600),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.sampled_from(["MIG-a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["containerIndex", "deviceIndex", "migUUID"]), inner, max_size=3)
    ),
    max_leaves=12,
).map(json.dumps)
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "gpu-fraction": NUMBERS,
        "gpu-memory": NUMBERS,
        "gpu-sm-percentage": NUMBERS,
        "gpu-fraction-container-name": st.sampled_from(["a", "b", "x"]),
        "run.ai/reserve_for_gpu_index": DEVICES,
        "hami.io/vgpu-devices-allocated": LISTS,
        "hami.io/mlu-devices-allocated": LISTS,
        "hami.io/vgpu-mig-allocations": JSON | st.text(max_size=20),
        "volcano.sh/vgpu-ids-new": LISTS,
    },
)
LABELS = st.dictionaries(
    st.sampled_from(["runai-gpu-group", "runai-gpu-group/g", "x"]), st.sampled_from(["g", "h", ""])
)
NAMES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3).map(tuple)


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    def pod(number: int) -> Pod:
        namespace, name = draw(st.sampled_from([("kai-resource-reservation", "gpu-reservation-1"), ("ml", "p")]))
        return Pod(
            f"uid-{number}",
            namespace,
            name,
            labels=draw(LABELS),
            annotations=draw(ANNOTATIONS),
            containers=draw(NAMES),
            init_containers=draw(NAMES),
        )

    return [pod(number) for number in range(draw(st.integers(0, 4)))]


@given(pods())
def test_declared(there: list[Pod]) -> None:
    """Parts are within their bounds, of pods and containers that are there, once each; reservations have none by KAI."""
    by_uid = {pod.uid: pod for pod in there}
    shares = declared(there)
    assert len({(s.pod, s.container, s.device, s.source) for s in shares}) == len(shares) <= MOST * len(there)
    for share in shares:
        pod = by_uid[share.pod]
        assert share.container in {"", *pod.containers, *pod.init_containers}
        assert share.device
        assert share.device.isascii()
        assert share.weight is None or 0 < share.weight <= 1
        assert share.cores is None or 0 < share.cores <= 1
        assert share.memory is None or share.memory >= 0
        assert not (share.source == "kai" and is_reservation(pod.namespace, pod.name))
    # A pod's word is about itself: without the others, HAMi's and Volcano's parts are the same.
    alone = [share for pod in there for share in declared([pod]) if share.source != "kai"]
    assert [share for share in shares if share.source != "kai"] == alone


CARDS = [f"GPU-{number}c395b7a-a7e6-d90f-1ced-d96e8dd68288" for number in range(3)]
KEPT = "kai-resource-reservation"


@st.composite
def shared_nodes(draw: st.DrawFn) -> tuple[list[Allocation], list[Pod] | None]:
    """A node of three cards: some given as a whole, some in parts, some kept by KAI; with the pods that can be read."""
    allocations, listed = [], []
    for number in range(draw(st.integers(0, 4))):
        card, kind = draw(st.sampled_from(CARDS)), draw(st.sampled_from(["whole", "part", "kept"]))
        namespace, name = (KEPT, f"gpu-reservation-{number}") if kind == "kept" else ("ml", f"p{number}")
        allocations.append(Allocation(namespace, name, "a", f"{card}-1" if kind == "part" else card, "nvidia.com/gpu"))
        told = draw(
            st.sampled_from([{}, {"hami.io/vgpu-devices-allocated": f"{draw(st.sampled_from(CARDS))},N,1,1:;"}])
        )
        pod = Pod(f"uid-{number}", namespace, name, "Running", annotations=told, labels=draw(LABELS), containers=("a",))
        if draw(st.booleans()):
            listed.append(pod)
    return allocations, draw(st.sampled_from([None, listed]))


@given(shared_nodes())
def test_no_card_is_free_that_somebody_may_have(node: tuple[list[Allocation], list[Pod] | None]) -> None:
    """Law 1: a card that is kept for others, or of which somebody has a part that nobody tells, is never nobody's."""
    allocations, pods = node
    cards = [Device(card, number, minor=number) for number, card in enumerate(CARDS)]
    snapshot = join(frames(devices=cards, allocations=allocations, pods=pods), CONTEXT)
    owned = {holding.device for holding in snapshot.holdings} | {
        share.device for share in snapshot.shares if share.owner is not None
    }
    free = {share.device for share in snapshot.shares} - owned
    declaring = {pod.uid for pod in pods or () if pod.annotations}
    found = {(pod.namespace, pod.name): pod.uid for pod in pods or ()}

    assert not free & {a.device for a in allocations if a.namespace == KEPT}
    if any(is_part(a) and found.get((a.namespace, a.pod)) not in declaring for a in allocations):
        assert not free


WORDS = st.sampled_from(["", "a", "vllm-7d", "7d", "llminferenceservice", "RayJob", "node-1"])
KEYS = [rule.key for rule in RULES] + [rule.sign[0] for rule in RULES if rule.sign[0]] + list(QUEUES)


@given(
    st.dictionaries(st.sampled_from([*KEYS, "pod-template-hash"]), WORDS | st.text(max_size=5)),
    st.sampled_from(["", "ReplicaSet", "Node", "Job", "StatefulSet", "RayCluster", "X"]),
    WORDS,
    WORDS.filter(bool),
)
def test_workloads(labels: dict[str, str], kind: str, owner: str, name: str) -> None:
    """A workload has a kind if it has a name, and is never made of nothing."""
    pod = Pod("u", "ml", name, labels=labels, owner_kind=kind, owner_name=owner)
    told_kind, told_name = workload_of(pod)
    assert told_kind or not told_name or told_name == owner
    assert told_kind == kind or told_name
    assert queue_of(pod) in {"", *labels.values()}


SEGMENTS = st.sampled_from(
    [
        *("", "..", "kubepods", "burstable", "docker", "init.scope", "system.slice"),
        *(f"pod{UID}", f"kubepods-pod{UID.replace('-', '_')}.slice", ID, f"cri-containerd-{ID}.scope"),
        *(f"crio-{ID}.scope", f"crio-conmon-{ID}.scope", f"docker-{ID}.scope", "pod", f"x{ID}"),
    ]
)
CGROUPS = st.lists(
    st.tuples(st.sampled_from(["0::", "1:cpu:", "x:"]), st.lists(SEGMENTS, max_size=6).map("/".join)).map("/".join),
    max_size=4,
).map("\n".join)


@given(CGROUPS | st.text(max_size=80), st.integers(0, 3), st.booleans())
def test_any_cgroup(told: str, own_depth: int, private: Any) -> None:
    """Any lines are a place: a container of a pod, the host, or unknown; never a pod of the host's."""
    found = place(paths(told), own_depth=own_depth, private=private)
    assert found.pod_uid in {"", UID}
    assert found.container_id in {"", ID}
    assert not found.host or found == Place(host=True)
    assert bool(found.pod_uid) == bool(depth(paths(told)))
    assert private or found.host or found.pod_uid
