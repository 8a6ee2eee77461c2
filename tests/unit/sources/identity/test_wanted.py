# SPDX-License-Identifier: Apache-2.0
"""Which claims are worth knowing: the kubelet's and the pods'."""

from inferometer.model import Allocation, Claim, Pod
from inferometer.sources.identity.wanted import Wanted, claims_wanted


def held(name: str, uid: str | None) -> Allocation:
    return Allocation("ns", "p", "c", "gpu-0", claim=Claim("ns", name, "gpu.nvidia.com", "n1", "gpu-0", uid=uid))


def pod(uid: str, *claims: str, phase: str = "Running", extended: str = "") -> Pod:
    named = {f"g{number}": name for number, name in enumerate(claims)}
    return Pod(uid, "ns", f"pod-{uid}", phase=phase, claims=named, extended_claim=extended)


def test_claims_of_the_kubelet_and_of_pods_are_wanted() -> None:
    """Each once, with the UID and the devices that the kubelet knows and the pods that name it."""
    allocations = [held("a", "uid-a"), held("a", "uid-a"), Allocation("ns", "p", "c", "GPU-1")]
    pods = [pod("1", "a", "b"), pod("2", "a", phase="Pending"), pod("3", extended="e")]

    assert claims_wanted(allocations, pods) == {
        Wanted("ns", "a", "uid-a", frozenset("12"), frozenset({("gpu.nvidia.com", "n1", "gpu-0")})),
        Wanted("ns", "b", None, frozenset("1")),
        Wanted("ns", "e", None, frozenset("3")),
    }


def test_a_pod_that_has_ended_wants_nothing() -> None:
    """Its claim may be gone, or another pod's."""
    assert claims_wanted([], [pod("1", "a", phase="Succeeded"), pod("2", "b", phase="Failed")]) == frozenset()


def test_two_uids_of_one_name_are_none() -> None:
    """While the old claim's pod ends, the API server's word counts, and nobody knows whose the devices are."""
    assert claims_wanted([held("a", "old"), held("a", "new"), held("b", None)], []) == {
        Wanted("ns", "a"),
        Wanted("ns", "b", devices=frozenset({("gpu.nvidia.com", "n1", "gpu-0")})),
    }
