# SPDX-License-Identifier: Apache-2.0
"""What the kubelet said before and leaves out now stands in for what is still so, and for nothing else."""

from dataclasses import replace

from frames import CONTEXT, frames, gpu
from inferometer.join import join
from inferometer.model import AllocatedClaim, Allocation, Claim, Grant, Pod, Snapshot

DRIVER = "gpu.nvidia.com"
HELD = Allocation("ns", "set-0", "main", "gpu-0", claim=Claim("ns", "c", DRIVER, "n1", "gpu-0", uid="uid-c"), kept=True)


def seen(pod: Pod, claim: str) -> Snapshot:
    """Join an answer that was kept with a pod, and with the claim `c` that has this UID now."""
    told = AllocatedClaim("ns", "c", claim, (Grant("r", DRIVER, "n1", "gpu-0"),))
    return join(frames(devices=[gpu(0)], allocations=[HELD], pods=[pod], claims=[told]), CONTEXT)


POD = Pod("uid-new", "ns", "set-0", "Running", claims={"gpu": "c"})


def test_a_pod_keeps_the_device_of_the_claim_that_it_names() -> None:
    """The claim is only missing from the kubelet's cache: the pod has its device."""
    assert [(h.owner.uid, h.claim and h.claim.uid) for h in seen(POD, "uid-c").holdings] == [("uid-new", "uid-c")]


def test_a_pod_that_was_made_again_has_not_what_the_one_of_its_name_had() -> None:
    """Neither if it names another claim, nor if the claim that it names was made again."""
    assert seen(replace(POD, claims={"gpu": "other"}), "uid-c").holdings == ()
    assert seen(POD, "uid-later").holdings == ()
