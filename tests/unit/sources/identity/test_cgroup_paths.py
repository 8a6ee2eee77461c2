# SPDX-License-Identifier: Apache-2.0
"""Whose a process is by `/proc/<pid>/cgroup`, in the forms that kubelets and runtimes give it."""

import pytest

from inferometer.sources.identity.cgroup_paths import Place, depth, paths, place

UID = "7f1a6c9e-2b63-4d0f-9b1e-0c5a4d3e2f10"
OTHER = "00000000-aaaa-bbbb-cccc-111111111111"
MANIFEST = "35a4bd1e1c2a4d6f8e9b0c1d2e3f4a5b"
ID = "c0ffee" + "0" * 58
OUTER = "beef" + "1" * 60
UNDER = UID.replace("-", "_")
POD_SLICE = f"kubepods-burstable-pod{UNDER}.slice"

OURS = Place(UID, ID)
HOST = Place(host=True)


@pytest.mark.parametrize(
    ("told", "whose"),
    [
        # cgroupfs: the kubelet's own names, by QoS class; a guaranteed pod has no level of its own.
        (f"0::/kubepods/burstable/pod{UID}/{ID}", OURS),
        (f"0::/kubepods/besteffort/pod{UID}/{ID}", OURS),
        (f"0::/kubepods/pod{UID}/{ID}", OURS),
        # systemd with containerd; `-` is written `_`.
        (f"0::/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/cri-containerd-{ID}.scope", OURS),
        (f"0::/kubepods.slice/kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope", OURS),
        # A kubelet with a cgroup root of its own.
        (f"0::/k.slice/k-kubepods.slice/k-kubepods-burstable-pod{UNDER}.slice/cri-containerd-{ID}.scope", OURS),
        # CRI-O, also with crun's child; with cgroupfs; its monitor is the runtime's, not the container's.
        (f"0::/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-{ID}.scope", OURS),
        (f"0::/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-{ID}.scope/container", OURS),
        (f"0::/kubepods/burstable/pod{UID}/crio-{ID}", OURS),
        (f"0::/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-conmon-{ID}.scope", Place(UID)),
        # cri-dockerd.
        (f"0::/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/docker-{ID}.scope", OURS),
        # containerd that is told systemd while runc is not.
        (f"0::/system.slice/containerd.service/{POD_SLICE}:cri-containerd:{ID}", OURS),
        # kind: the node is a container itself, its id stands before the pod.
        (f"0::/docker/{OUTER}/kubelet/kubepods/burstable/pod{UID}/{ID}", OURS),
        (f"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope", OURS),
        # A container that makes cgroups of its own: systemd or another runtime in it.
        (f"0::/kubepods/pod{UID}/{ID}/init.scope", OURS),
        (f"0::/kubepods/pod{UID}/{ID}/docker/{OUTER}", OURS),
        # Static pods are named by the hash of their manifest.
        (f"0::/kubepods/burstable/pod{MANIFEST}/{ID}", Place(MANIFEST, ID)),
        (
            f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{MANIFEST}.slice/crio-{ID}.scope",
            Place(MANIFEST, ID),
        ),
        # What is in the pod and in no container of it.
        (f"0::/kubepods/burstable/pod{UID}", Place(UID)),
        # The cgroup was removed, its last process is ending.
        (f"0::/kubepods/pod{UID}/{ID} (deleted)", OURS),
        # The host's: services, users, Slurm's steps, containers that are not Kubernetes'.
        ("0::/", HOST),
        ("0::/init.scope", HOST),
        ("0::/user.slice/user-1000.slice/session-3.scope", HOST),
        ("0::/system.slice/slurmstepd.scope/job_17/step_0/user/task_0", HOST),
        (f"0::/docker/{OUTER}", HOST),
        (f"0::/system.slice/docker-{OUTER}.scope", HOST),
        (f"0::/machine.slice/libpod-{OUTER}.scope", HOST),
        (f"0::/machine.slice/machine-libpod_pod_{OUTER}.slice/libpod-{OUTER}.scope", HOST),
    ],
)
def test_forms(told: str, whose: Place) -> None:
    """Pod and container are found in every form, and nothing is a pod that is none."""
    assert place(paths(told)) == whose


def test_v1_and_hybrid_name_it_in_some_lines() -> None:
    """With cgroup v1 there is a line for each controller, some of them at the root; the one that knows most counts."""
    told = (
        f"12:pids:/kubepods/burstable/pod{UID}/{ID}\n"
        f"11:memory:/kubepods/burstable/pod{UID}/{ID}\n"
        "3:net_cls,net_prio:/\n"
        f"1:name=systemd:/system.slice/containerd.service/kubepods/burstable/pod{UID}\n"
        "0::/system.slice/containerd.service\n"
    )

    assert place(paths(told)) == OURS
    assert place(tuple(reversed(paths(told)))) == OURS


@pytest.mark.parametrize(
    ("told", "whose"),
    [
        (f"0::/../../{POD_SLICE}/cri-containerd-{ID}.scope", OURS),
        (f"0::/../../../kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope", OURS),
        (f"0::/../../pod{UID}/{ID}", OURS),
        # Containers of the reader's own pod: what they share with it is not told.
        (f"0::/../cri-containerd-{ID}.scope", Place(container_id=ID)),
        (f"0::/../../crio-{ID}.scope/container", Place(container_id=ID)),
        (f"0::/../{ID}", Place(container_id=ID)),
        # The reader's own container.
        ("0::/", Place()),
        ("0::/init.scope", Place()),
        ("0::/../../../../init.scope", HOST),
        ("0::/../../../..", HOST),
        (f"0::/../../../../system.slice/docker-{OUTER}.scope", HOST),
    ],
)
def test_private_namespace(told: str, whose: Place) -> None:
    """In a cgroup namespace of its own the reader sees the others' paths from its own container."""
    assert place(paths(told), private=True) == whose


def test_a_node_in_a_pod() -> None:
    """Of a pod in a pod, the outer node's reader means the outer one, and the inner node's the inner one."""
    told = f"0::/kubepods/pod{OTHER}/{OUTER}/kubelet/kubepods/burstable/pod{UID}/{ID}"

    assert place(paths(told)) == Place(OTHER, OUTER)
    assert place(paths(told), own_depth=1) == Place(OTHER, OUTER)
    assert place(paths(told), own_depth=2) == OURS
    assert depth(paths(told)) == 2


def test_what_is_no_line_is_left_out() -> None:
    """Lines of another form are no cgroups."""
    assert paths("nonsense\n0::/a\n\n1:b\n2:c:/d:e") == ("/a", "/d:e")
