# SPDX-License-Identifier: Apache-2.0
"""What KAI, HAMi and Volcano declare of pods' parts of devices."""

import json
from dataclasses import replace

import pytest

from inferometer.join.declared import MOST, Share, declared, is_part, is_reservation
from inferometer.model import Allocation, Claim, Pod

GPU, OTHER = "GPU-4c395b7a-a7e6-d90f-1ced-d96e8dd68288", "GPU-00000000-1111-2222-3333-444444444444"
MIB = 1 << 20


def pod(
    uid: str = "u",
    *,
    labels: dict[str, str] | None = None,
    containers: tuple[str, ...] = ("main",),
    init: tuple[str, ...] = (),
    namespace: str = "ml",
    name: str = "",
    **annotations: str,
) -> Pod:
    """A pod; `__` in an annotation's name is `/`, `_` is `-`."""
    named = {key.replace("__", "/").replace("_", "-"): value for key, value in annotations.items()}
    return Pod(
        uid,
        namespace,
        name or uid,
        labels=labels or {},
        annotations=named,
        containers=containers,
        init_containers=init,
    )


def hami(told: str, **others: object) -> Pod:
    return Pod("u", "ml", "p", annotations={"hami.io/vgpu-devices-allocated": told}, **others)  # type: ignore[arg-type]  # a pod's other fields


def reservation(group: str, device: str = "", uid: str = "r") -> Pod:
    annotations = {"run.ai/reserve_for_gpu_index": device} if device else {}
    return Pod(
        uid,
        "kai-resource-reservation",
        f"gpu-reservation-{uid}",
        labels={"runai-gpu-group": group},
        annotations=annotations,
    )


# --- KAI: pkg/common/constants/constants.go -----------------------------------------------------------------------


def test_kai_fractions() -> None:
    """Pods with the label of a reservation's group share its GPU; the reservation itself has no part."""
    a = pod("a", labels={"runai-gpu-group": "g"}, gpu_fraction="0.5")
    b = pod("b", labels={"runai-gpu-group": "g"}, gpu_memory="2000", gpu_sm_percentage="25")
    stranger = pod("c", labels={"runai-gpu-group": "elsewhere"}, gpu_fraction="0.5")

    assert declared([a, reservation("g", GPU), b, stranger]) == (
        Share("a", "main", GPU, "kai", weight=0.5),
        Share("b", "main", GPU, "kai", memory=2000 * MIB, cores=0.25),
    )


def test_kai_on_several_devices() -> None:
    """A pod with fractions of several devices has a label for each."""
    two = pod(
        "a",
        labels={"runai-gpu-group/g": "g", "runai-gpu-group/h": "h", "runai-gpu-group/x": "h"},
        gpu_fraction="0.25",
        gpu_fraction_num_devices="2",
    )

    assert [(s.device, s.weight) for s in declared([two, reservation("g", GPU), reservation("h", OTHER, "s")])] == [
        (GPU, 0.25),
        (OTHER, 0.25),
    ]


def test_the_kubelets_word_counts_more_than_the_annotation() -> None:
    """What the kubelet says that the reservation pod holds is exact; the annotation stands in where it says nothing."""
    sharing = pod("a", labels={"runai-gpu-group": "g"}, gpu_fraction="0.5")

    assert [s.device for s in declared([sharing, reservation("g", GPU)], {"r": OTHER})] == [OTHER]
    assert [s.device for s in declared([sharing, reservation("g")], {"r": OTHER})] == [OTHER]
    assert declared([sharing, reservation("g")]) == ()


def test_reservations_that_contradict_one_another() -> None:
    """Two reservations of one group on different devices are no answer."""
    sharing = pod("a", labels={"runai-gpu-group": "g"}, gpu_fraction="0.5")

    assert declared([sharing, reservation("g", GPU), reservation("g", OTHER, "s")]) == ()


def test_only_kais_namespace_reserves() -> None:
    """A user's pod that carries the annotation and the name takes no GPU from anybody."""
    liar = Pod(
        "l",
        "ml",
        "gpu-reservation-1",
        labels={"runai-gpu-group": "g"},
        annotations={"run.ai/reserve_for_gpu_index": GPU},
        containers=("main",),
    )

    assert declared([liar, pod("a", labels={"runai-gpu-group": "g"}, gpu_fraction="0.5")]) == ()
    assert not is_reservation(liar.namespace, liar.name)
    assert is_reservation(reservation("g").namespace, reservation("g").name)


@pytest.mark.parametrize(
    ("named", "container"),
    [
        ("", "main"),  # the first of spec.containers, behind restartable init containers
        ("side", "side"),
        ("setup", "setup"),  # an init container
        ("nobody", ""),
    ],
)
def test_kai_container(named: str, container: str) -> None:
    """The fraction is the named container's, or the first one's."""
    annotations = {"gpu_fraction_container_name": named} if named else {}
    sharing = pod(
        "a",
        labels={"runai-gpu-group": "g"},
        containers=("proxy", "main", "side"),
        init=("setup", "proxy"),
        gpu_fraction="0.5",
        **annotations,
    )

    assert [s.container for s in declared([sharing, reservation("g", GPU)])] == [container]


@pytest.mark.parametrize("fraction", ["", "0", "-1", "1.5", "nan", "inf", "half", "1e400", "0." + "1" * 500])
def test_a_fraction_that_is_none(fraction: str) -> None:
    """A fraction that cannot be one declares nothing; that the pod shares the GPU is known where KAI has noted it."""
    labels = {"runai-gpu-group": "g"}
    sharing = pod("a", labels=labels, gpu_fraction=fraction, received_resource_type="Fraction")
    alone = pod("b", labels=labels, gpu_fraction=fraction)
    regular = pod("c", labels=labels, received_resource_type="Regular")

    assert declared([sharing, alone, regular, reservation("g", GPU)]) == (Share("a", "main", GPU, "kai"),)


def test_a_label_without_its_scheduler() -> None:
    """The group's label is for anybody to write; the pod of a scheduler without fractions has none."""
    written = pod("a", labels={"runai-gpu-group": "g"}, gpu_fraction="0.5")

    assert declared([replace(written, scheduler="default-scheduler"), reservation("g", GPU)]) == ()
    assert len(declared([replace(written, scheduler="my-kai"), reservation("g", GPU)])) == 1


@pytest.mark.parametrize(
    ("device", "is_one"),
    [
        (f"{GPU}-0", True),  # HAMi, Volcano
        (f"{GPU}-memory-1023", True),  # Volcano, before 2024
        (GPU, False),
        ("GPU-0", False),
        ("nvidia0/gi3", False),
        (f"x{GPU}-0", False),
    ],
)
def test_the_kubelets_ids_of_parts(device: str, is_one: bool) -> None:
    """A part is known by its id: the card's UUID and more; a device by claim is none, whatever it is called."""
    assert is_part(Allocation("ml", "p", "main", device)) is is_one
    claim = Claim("ml", "c", "d", "n1", device)
    assert not is_part(Allocation("ml", "p", "main", device, claim=claim))


# --- HAMi and Volcano: pkg/device/devices.go, EncodePodSingleDevice -----------------------------------------------


def test_hami_containers_without_devices_keep_their_place() -> None:
    """Parts are those of the containers, one after the other, empty ones too."""
    told = f"{GPU},NVIDIA,3000,30:;;{OTHER},NVIDIA,1000,10:;"

    assert declared([hami(told, containers=("a", "b", "c"))]) == (
        Share("u", "a", GPU, "hami", memory=3000 * MIB, cores=0.3),
        Share("u", "c", OTHER, "hami", memory=1000 * MIB, cores=0.1),
    )


def test_hami_counts_init_containers() -> None:
    """All init containers come first; what an older scheduler wrote without them is told by its length."""
    there = {"containers": ("proxy", "main"), "init_containers": ("setup", "proxy")}

    assert [s.container for s in declared([hami(f";;{GPU},NVIDIA,1,1:;", **there)])] == ["main"]
    assert [s.container for s in declared([hami(f"{GPU},NVIDIA,1,1:;;;", **there)])] == ["setup"]
    assert [s.container for s in declared([hami(f"{GPU},NVIDIA,1,1:;", **there)])] == ["main"]
    assert [s.container for s in declared([hami(f"{GPU},NVIDIA,1,1:;;", **there)])] == [""]


def test_hami_slots_of_one_device_add_up() -> None:
    """Two slots of one container on one device are one part."""
    told = f"{GPU},NVIDIA,1000,60:{GPU},NVIDIA,500,60:{OTHER},NVIDIA,0,0:;"

    assert declared([hami(told, containers=("main",))]) == (
        Share("u", "main", GPU, "hami", memory=1500 * MIB, cores=1.0),
        Share("u", "main", OTHER, "hami"),
    )


def mig(*allocations: dict[str, object], told: str = f"{GPU},NVIDIA,8000,0:{OTHER},NVIDIA,100,0:;") -> Pod:
    annotations = {"hami.io/vgpu-devices-allocated": told, "hami.io/vgpu-mig-allocations": json.dumps(allocations)}
    return Pod("u", "ml", "p", annotations=annotations, containers=("main",))


def test_hami_instances() -> None:
    """A device that is given as a MIG instance is the instance, and one that is not made yet is nothing."""
    made = {"containerIndex": 0, "deviceIndex": 0, "gpuUUID": GPU, "migUUID": "MIG-a", "gpuInstanceID": 6}
    whole = Share("u", "main", OTHER, "hami", memory=100 * MIB)

    assert declared([mig(made)]) == (Share("u", "main", "MIG-a", "hami"), whole)
    assert declared([mig({**made, "migUUID": ""})]) == (whole,)
    assert declared([mig(told=f"{GPU}[1-0],NVIDIA,8000,0:;")]) == ()  # an older version's template


def test_hamis_other_vendors_and_volcano() -> None:
    """Other vendors have annotations of their own in the same form; so has Volcano."""
    told = Pod(
        "u",
        "ml",
        "p",
        containers=("main",),
        annotations={
            "hami.io/mlu-devices-allocated": "MLU-1,MLU,1000,0:;",
            "hami.io/vgpu-node": "n1",
            "volcano.sh/vgpu-ids-new": f"{GPU},NVIDIA,1126,50:;",
        },
    )

    assert declared([told]) == (
        Share("u", "main", "MLU-1", "hami", memory=1000 * MIB),
        Share("u", "main", GPU, "volcano", memory=1126 * MIB, cores=0.5),
    )


@pytest.mark.parametrize(
    "told", ["", ";", ":;:", ",,,", "x", f"{GPU}", f"{GPU},a,b", f"{GPU},a,b,c,d", "a b,NVIDIA,1,1", "é,NVIDIA,1,1"]
)
def test_lists_that_say_nothing(told: str) -> None:
    """What has not the form of a list declares nothing."""
    assert declared([hami(told, containers=("main",))]) == ()


def test_bounded() -> None:
    """A pod declares no more parts than the limit."""
    told = "".join(f"GPU-{i},NVIDIA,1,1:" for i in range(2 * MOST))

    assert len(declared([hami(told, containers=("main",))])) == MOST
