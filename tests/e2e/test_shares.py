# SPDX-License-Identifier: Apache-2.0
"""Shares and parts of GPUs by claims (cases 9 and 10 of the identity matrix), with the example driver of Kubernetes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, claim_driver
from e2e.kube import wait
from e2e.node import Node
from e2e.pods import container, device_class, pod, request, template
from e2e.scenes import Space, agreed
from e2e.truth import NVIDIA, told
from fakenvml.fakenvml import GIB
from whole.pages import values

EXAMPLE = "gpu.example.com"


def share(name: str, memory: str, compute: str) -> dict[str, object]:
    """Give a template of a claim for so much of the first GPU."""
    first = [{"cel": {"expression": f"device.attributes['{NVIDIA}'].index == 0"}}]
    asked = {"requests": {"memory": memory, "compute": compute}}
    return template(name, request("share", NVIDIA, selectors=first, capacity=asked))


@contextmanager
def sharing(node: Node, space: Space) -> Iterator[dict[tuple[str | None, ...], float]]:
    """Run two pods on the first GPU; gives the limits of memory that they ought to have: 60 and 20 GiB of its 80."""
    with claim_driver(node, NVIDIA, "--gpu-allow-multiple-allocations"), classed(node, NVIDIA):
        space.make(share("large", "60Gi", "75"), share("small", "20Gi", "25"))
        pods = [pod(name, container(claims=[{"name": "g"}]), templates={"g": name}) for name in ("large", "small")]
        uids = space.start(*pods)
        first = GPUS[0].uuid
        yield {(first, uids["large"], "capacity"): 60 * GIB, (first, uids["small"], "capacity"): 20 * GIB}
        space.empty()


@contextmanager
def classed(node: Node, driver: str) -> Iterator[None]:
    """Let claims ask for the devices of a driver by its name."""
    node.api.create(device_class(driver, f"device.driver == '{driver}'"))
    yield
    node.api.delete("DeviceClass", driver)


@pytest.fixture
def shares(node: Node, space: Space) -> Iterator[dict[tuple[str | None, ...], float]]:
    """Two pods with shares of one GPU, and the limits that they ought to have."""
    with sharing(node, space) as limits:
        yield limits


def limits(agent: Agent) -> dict[tuple[str | None, ...], float]:
    """Give the owners' limits of memory of the first GPU, as the agent tells them."""
    told = values(agent.page(), "gpu_owner_memory_limit_bytes", "hw_id", "k8s_pod_uid", "attribution")
    return {key: limit for key, limit in told.items() if key[0] == GPUS[0].uuid and key[1]}


@pytest.mark.usefixtures("shares")
def test_holders_of_shares_of_a_gpu_are_its_owners(node: Node, agent: Agent, space: Space) -> None:
    """Two claims have the same device, each with its share: two holdings, told apart by claim."""
    results = [space.claim_of(name)["status"]["allocation"]["devices"]["results"][0] for name in ("large", "small")]
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


@pytest.mark.xfail(
    strict=True, raises=TimeoutError, reason="a pool that its driver changes is read again after ten minutes"
)
def test_a_driver_that_begins_to_share_its_gpus_is_noticed(node: Node, new_agent: Agent, space: Space) -> None:
    """The agent knows the pool from before its devices could be shared: shares are told all the same."""
    with claim_driver(node, NVIDIA), classed(node, NVIDIA):
        space.make(template("whole", request("gpu", NVIDIA)))
        space.start(pod("whole", container(claims=[{"name": "g"}]), templates={"g": "whole"}))
        agreed(node, new_agent, 1)
        space.empty()
    with sharing(node, space) as wanted:
        agreed(node, new_agent, 2)
        for _ in range(50):
            if limits(new_agent) == wanted:
                return
            time.sleep(0.1)
    raise TimeoutError("the shares are not told within ten periods")


def test_partitions_of_another_driver_are_held_by_their_pods(node: Node, agent: Agent, space: Space) -> None:
    """Two partitions and a whole device of the example driver: the agent tells who holds them, though NVML knows none."""
    with claim_driver(node, EXAMPLE, "--num-devices=2", "--gpu-partitions=4"), classed(node, EXAMPLE):
        part = [{"cel": {"expression": f"has(device.attributes['{EXAMPLE}'].partition)"}}]
        full = [{"cel": {"expression": f"has(device.attributes['{EXAMPLE}'].full)"}}]
        try:
            space.make(
                template("part", request("gpu", EXAMPLE, selectors=part)),
                template("full", request("gpu", EXAMPLE, selectors=full)),
            )
            uids = space.start(
                pod("one", container(claims=[{"name": "g"}]), templates={"g": "part"}),
                pod("two", container(claims=[{"name": "g"}]), templates={"g": "part"}),
                pod("all", container(claims=[{"name": "g"}]), templates={"g": "full"}),
            )
            claims = {name: space.claim_of(name)["metadata"]["uid"] for name in uids}
            wanted = {(uids[name], claims[name]) for name in uids}
            wait("the holders", lambda: {(h.uid, h.claim_uid) for h in told(agent.page())} == wanted)
        finally:
            space.empty()
