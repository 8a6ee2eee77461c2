# SPDX-License-Identifier: Apache-2.0
"""Shares and parts of GPUs by claims (cases 10 and 17b of the identity matrix): NVIDIA's driver, and the example driver."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, example_driver
from e2e.kube import wait
from e2e.node import Node
from e2e.nvidia import GPU_CLASS, NVIDIA, claim_driver
from e2e.pods import container, device_class, pod, request, template
from e2e.scenes import Space, agreed
from fakenvml.fakenvml import GIB
from whole.pages import values

EXAMPLE = "gpu.example.com"
OF_EXAMPLE = f"device.driver == '{EXAMPLE}'"
SHARING = "--consumable-shares=memory"  # of NVIDIA's driver: a claim has so much of a GPU's memory


def share(name: str, memory: str) -> dict[str, object]:
    """Give a template of a claim for so much of the first GPU."""
    first = [{"cel": {"expression": f"device.attributes['{NVIDIA}'].uuid == '{GPUS[0].uuid}'"}}]
    return template(name, request("share", NVIDIA, selectors=first, capacity={"requests": {"memory": memory}}))


@contextmanager
def sharing(node: Node, gpus: dict[str, str], space: Space) -> Iterator[dict[tuple[str | None, ...], float]]:
    """Run two pods on the first GPU; gives the limits of memory that they ought to have: 60 and 20 GiB of its 80."""
    with claim_driver(node, gpus, SHARING, gates=("ConsumableShares",)), classed(node, NVIDIA, GPU_CLASS), space:
        space.make(share("large", "60Gi"), share("small", "20Gi"))
        # One after the other: kube-scheduler 1.37 counts a share twice while it is in flight and known already, and two of the
        # large one are more than the GPU has. The small pod would then not be tried again for five minutes.
        large, small = (pod(n, container(claims=[{"name": "g"}]), templates={"g": n}) for n in ("large", "small"))
        uids = space.start(large) | space.start(small)
        first = GPUS[0].uuid
        yield {(first, uids["large"], "capacity"): 60 * GIB, (first, uids["small"], "capacity"): 20 * GIB}


@contextmanager
def classed(node: Node, name: str, selector: str) -> Iterator[None]:
    """Let claims ask for devices by the name of a class."""
    node.api.create(device_class(name, selector))
    try:
        yield
    finally:
        node.api.delete("DeviceClass", name)


@pytest.fixture
def shares(node: Node, gpus: dict[str, str], space: Space) -> Iterator[dict[tuple[str | None, ...], float]]:
    """Two pods with shares of one GPU, and the limits that they ought to have."""
    with sharing(node, gpus, space) as limits:
        yield limits


def limits(agent: Agent) -> dict[tuple[str | None, ...], float]:
    """Give the owners' limits of memory of the first GPU, as the agent tells them."""
    told = values(agent.page(), "gpu_owner_memory_limit_bytes", "hw_id", "k8s_pod_uid", "attribution")
    return {key: limit for key, limit in told.items() if key[0] == GPUS[0].uuid and key[1]}


@pytest.mark.usefixtures("shares")
def test_holders_of_shares_of_a_gpu_are_its_owners(node: Node, agent: Agent, space: Space) -> None:
    """Two claims have the same device, each with its share: two holdings, told apart by claim."""
    results = [space.result_of(name) for name in ("large", "small")]
    assert {r["device"] for r in results} == {"gpu-0"}
    assert len({r["shareID"] for r in results}) == 2
    assert [r["consumedCapacity"]["memory"] for r in results] == ["60Gi", "20Gi"]

    held = agreed(node, agent, 2)
    assert {(h.device, h.pod) for h in held} == {(GPUS[0].uuid, "large"), (GPUS[0].uuid, "small")}


def test_a_share_of_a_gpu_has_its_part_of_what_the_gpu_gives(
    shares: dict[tuple[str | None, ...], float], new_agent: Agent
) -> None:
    """The limit of each holder's memory is what its claim consumed."""
    wait("the limits", lambda: limits(new_agent) == shares)


def test_a_driver_that_begins_to_share_its_gpus_is_noticed(
    node: Node, gpus: dict[str, str], new_agent: Agent, space: Space
) -> None:
    """The agent knows the pool from before its devices could be shared: shares are told all the same."""
    with claim_driver(node, gpus), classed(node, NVIDIA, GPU_CLASS), space:
        space.make(template("whole", request("gpu", NVIDIA)))
        space.start(pod("whole", container(claims=[{"name": "g"}]), templates={"g": "whole"}))
        agreed(node, new_agent, 1)
    with sharing(node, gpus, space) as wanted:
        agreed(node, new_agent, 2)
        wait("the shares to be told", lambda: limits(new_agent) == wanted)


def test_shares_of_another_driver_are_held_by_their_pods(node: Node, agent: Agent, space: Space) -> None:
    """Two claims on one device of the example driver: the agent tells both holders, though NVML knows no such device."""
    options = ("--num-devices=1", "--gpu-allow-multiple-allocations")
    with example_driver(node, EXAMPLE, *options), classed(node, EXAMPLE, OF_EXAMPLE), space:
        asked = {"requests": {"memory": "20Gi", "compute": "25"}}
        space.make(template("share", request("gpu", EXAMPLE, capacity=asked)))
        uids = space.start(*(pod(n, container(claims=[{"name": "g"}]), templates={"g": "share"}) for n in ("a", "b")))
        held_by_claims(agent, space, uids)
        assert len({space.result_of(name)["shareID"] for name in uids}) == 2


def test_partitions_of_another_driver_are_held_by_their_pods(node: Node, agent: Agent, space: Space) -> None:
    """Two partitions and a whole device of the example driver: the agent tells who holds them, though NVML knows none."""
    options = ("--num-devices=2", "--gpu-partitions=4")
    with example_driver(node, EXAMPLE, *options), classed(node, EXAMPLE, OF_EXAMPLE), space:
        part = [{"cel": {"expression": f"has(device.attributes['{EXAMPLE}'].partition)"}}]
        full = [{"cel": {"expression": f"has(device.attributes['{EXAMPLE}'].full)"}}]
        space.make(
            template("part", request("gpu", EXAMPLE, selectors=part)),
            template("full", request("gpu", EXAMPLE, selectors=full)),
        )
        uids = space.start(
            pod("one", container(claims=[{"name": "g"}]), templates={"g": "part"}),
            pod("two", container(claims=[{"name": "g"}]), templates={"g": "part"}),
            pod("all", container(claims=[{"name": "g"}]), templates={"g": "full"}),
        )
        held_by_claims(agent, space, uids)


def held_by_claims(agent: Agent, space: Space, uids: Mapping[str, str]) -> None:
    """Wait until the holders are these pods, each by its own claim, of the device that the claim's status names."""
    devices = {uid: space.result_of(name) for name, uid in uids.items()}
    claims = {uid: space.claim_of(name)["metadata"]["uid"] for name, uid in uids.items()}
    wanted = {(uid, claims[uid], EXAMPLE, device["device"], device.get("shareID")) for uid, device in devices.items()}
    what = ("driver", "device", "share")
    labels = ("k8s_pod_uid", "k8s_resourceclaim_uid", *(f"k8s_resourceclaim_{name}" for name in what))
    wait("the holders", lambda: {*values(agent.page(), "gpu_owner_info", *labels)} == wanted)
