# SPDX-License-Identifier: Apache-2.0
"""GPUs by claims, with NVIDIA's driver of dynamic resource allocation (cases 6, 7, 8, 11, 12 and 13 of the identity matrix)."""

from collections.abc import Callable, Iterator

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, root_of
from e2e.installed import asked_of_smi
from e2e.kube import eventually
from e2e.node import Node
from e2e.nvidia import NVIDIA, a_class, claim_driver
from e2e.pods import claim, container, pod, request, template, time_sliced
from e2e.scenes import Space, agreed
from e2e.truth import listed
from whole.pages import values

RESOURCE = "gpus.example.com/whole"  # what containers ask for without knowing of claims
UUIDS = {gpu.uuid for gpu in GPUS}


@pytest.fixture(scope="module", autouse=True)
def _driver(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    with claim_driver(node, gpus, gates=("TimeSlicingSettings",)), a_class(node, RESOURCE):
        yield


def test_a_claim_made_by_a_template_has_one_owner(node: Node, agent: Agent, space: Space) -> None:
    """The holding has the claim's name and UID and its request; it ends with the pod."""
    space.make(template("one", request("gpu", NVIDIA)))
    uid = space.start(pod("train", container(claims=[{"name": "g"}]), templates={"g": "one"}))["train"]

    made = space.claim_of("train")["metadata"]
    (held,) = agreed(node, agent, 1)
    assert (held.uid, held.claim, held.claim_uid, held.request) == (uid, made["name"], made["uid"], "gpu")

    space.stop("train")
    agreed(node, agent, 0)


def test_a_container_owns_the_devices_of_its_own_request(node: Node, agent: Agent, space: Space) -> None:
    """The kubelet shows both devices of the claim to both containers; only one each is theirs."""
    big = {"cel": {"expression": f"device.capacity['{NVIDIA}'].memory.compareTo(quantity('200Gi')) >= 0"}}
    alternatives = {
        "name": "b",
        "firstAvailable": [
            {"name": "big", "deviceClassName": NVIDIA, "selectors": [big]},
            {"name": "any", "deviceClassName": NVIDIA},
        ],
    }
    space.make(template("two", request("a", NVIDIA), alternatives))
    left, right = (container(f"c-{name}", claims=[{"name": "g", "request": name}]) for name in "ab")
    space.start(pod("both", left, right, templates={"g": "two"}))

    shown = [
        len(d.claim_resources) for p in listed(node).pod_resources for c in p.containers for d in c.dynamic_resources
    ]
    held = agreed(node, agent, 2)
    assert shown == [2, 2]
    assert {(h.container, h.request) for h in held} == {("c-a", "a"), ("c-b", "b/any")}
    assert len({h.device for h in held}) == 2


def test_containers_that_share_a_claim_are_holders_of_one_device(node: Node, agent: Agent, space: Space) -> None:
    """Two containers name the same claim: two holdings, one GPU."""
    space.make(template("one", request("gpu", NVIDIA)))
    space.start(
        pod(
            "pair",
            container("l", claims=[{"name": "g"}]),
            container("r", claims=[{"name": "g"}]),
            templates={"g": "one"},
        )
    )

    held = agreed(node, agent, 2)
    assert {h.container for h in held} == {"l", "r"}
    assert len({h.device for h in held}) == 1


def test_pods_that_share_a_claim_and_start_together_are_its_owners(node: Node, agent: Agent, space: Space) -> None:
    """Four pods, one GPU, four holdings, however often the kubelet repeats the device; then three, then none."""
    names = [f"p{i}" for i in range(4)]
    space.make(claim("shared", request("gpu", NVIDIA)))
    space.start(*(pod(name, container(claims=[{"name": "g"}]), claims={"g": "shared"}) for name in names))

    held = agreed(node, agent, 4)
    assert {h.pod for h in held} == {*names}
    assert len({(h.device, h.claim_uid) for h in held}) == 1

    space.stop("p0")
    assert {h.pod for h in agreed(node, agent, 3)} == {"p1", "p2", "p3"}
    space.stop(*names[1:])
    agreed(node, agent, 0)


def test_who_watches_every_gpu_owns_none(node: Node, agent: Agent, make_space: Callable[..., Space]) -> None:
    """Admin access to all eight is told as such, beside the owner of one of them."""
    owned, watched = make_space(), make_space(admin=True)
    owned.make(template("one", request("gpu", NVIDIA)))
    watched.make(template("all", request("all", NVIDIA, adminAccess=True, allocationMode="All")))
    owned.start(pod("owner", container(claims=[{"name": "g"}]), templates={"g": "one"}))
    watched.start(pod("watcher", container(claims=[{"name": "g"}]), templates={"g": "all"}))

    held = agreed(node, agent, 9)
    assert {h.pod for h in held if h.role == "owner"} == {"owner"}
    assert {h.device for h in held if h.role == "admin"} == UUIDS


def test_a_resource_that_claims_serve_is_held_by_its_claim(node: Node, agent: Agent, space: Space) -> None:
    """A container that asks for two of a resource holds two devices of a claim that the scheduler made."""
    space.start(pod("plain", container(resources={RESOURCE: 2})))

    held = agreed(node, agent, 2)
    (claimed,) = {h.claim for h in held}
    assert claimed is not None
    assert claimed.startswith("plain-extended-resources-")
    assert len({h.device for h in held}) == 2


def test_a_claim_that_is_made_again_under_its_name_is_another_one(node: Node, agent: Agent, space: Space) -> None:
    """The same claim and pod by name, three times: each time the new UIDs are told."""
    seen = set()
    for _ in range(3):
        space.make(claim("again", request("gpu", NVIDIA)))
        space.start(pod("user", container(claims=[{"name": "g"}]), claims={"g": "again"}))
        (held,) = agreed(node, agent, 1)
        seen.add((held.uid, held.claim_uid))
        space.empty()
        agreed(node, agent, 0)
    assert len(seen) == 3


def test_a_claim_that_is_time_sliced_is_held_by_all_who_share_it(node: Node, agent: Agent, space: Space) -> None:
    """The claim's configuration reaches the GPU; three pods on it are its owners, and none has it alone."""
    space.make(time_sliced(claim("sliced", request("gpu", NVIDIA)), NVIDIA, "Long"))
    space.start(*(pod(f"p{i}", container(claims=[{"name": "g"}]), claims={"g": "sliced"}) for i in range(3)))

    held = agreed(node, agent, 3)
    (device,) = {h.device for h in held}
    assert f"compute-policy -i {device} --set-timeslice 3" in asked_of_smi(root_of(node))

    def check() -> None:
        page = agent.page()
        shown = values(page, "gpu_owner_info", "k8s_pod_uid", "gpu_sharing_strategy")
        assert {*shown} == {(h.uid, "time_slicing") for h in held}
        told = values(page, "gpu_owner_time_seconds_total", "hw_id", "k8s_pod_uid", "attribution")
        assert {(device, h.uid, "equal") for h in held} <= {*told}

    eventually(check)
