# SPDX-License-Identifier: Apache-2.0
"""Pods that come and go at random, with every kind of holding at once: the agent never says what is not so."""

import random
from collections.abc import Iterator

import pytest

from e2e.agent import Agent
from e2e.drivers import RESOURCE, device_plugin
from e2e.kube import eventually
from e2e.node import Node
from e2e.nvidia import NVIDIA, claim_driver
from e2e.pods import claim, container, device_class, pod, request, template
from e2e.scenes import Space, agreed
from e2e.truth import true

STEPS = 8
SEED = 20261121


@pytest.fixture(autouse=True)
def _drivers(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    """The device plugin time-slices, and NVIDIA's driver of claims offers the same GPUs: holders of both kinds on one GPU."""
    with device_plugin(node, gpus, replicas=4), claim_driver(node, gpus):
        node.api.create(device_class(NVIDIA, f"device.driver == '{NVIDIA}'"))
        yield
        node.api.delete("DeviceClass", NVIDIA)


def test_a_pod_that_has_done_its_work_holds_nothing(node: Node, agent: Agent, space: Space) -> None:
    """Its object stays in the API server; its GPU is free."""
    done = pod("done", {**container(resources={RESOURCE: 1}), "args": ["end"]})
    done["spec"]["restartPolicy"] = "Never"
    space.make(done)
    space.await_phase("done", "Succeeded")

    assert agreed(node, agent, 0) == set()


def test_random_changes_are_followed(node: Node, agent: Agent, space: Space) -> None:
    """At each step pods of three kinds start and end; within some periods the holdings are exactly the true ones."""
    chance = random.Random(SEED)
    space.make(claim("shared", request("gpu", NVIDIA)), template("own", request("gpu", NVIDIA)))
    running: list[str] = []
    for step in range(STEPS):
        ending = [name for name in running if chance.random() < 0.4]
        starting = [
            chance.choice(
                [
                    pod(f"plugin-{step}-{i}", container(resources={RESOURCE: chance.randint(1, 3)})),
                    pod(f"shared-{step}-{i}", container(claims=[{"name": "g"}]), claims={"g": "shared"}),
                ]
            )
            for i in range(chance.randint(1, 3))
        ]
        if sum(name.startswith("own") for name in running) < 4:
            starting.append(pod(f"own-{step}", container(claims=[{"name": "g"}]), templates={"g": "own"}))
        if sum(name.startswith("plugin") for name in running) > 8:
            ending = [name for name in running if name.startswith("plugin")]
        space.stop(*ending)
        space.start(*starting)
        running = [name for name in running if name not in ending] + [p["metadata"]["name"] for p in starting]
        agreed(node, agent, len(eventually(lambda: true(node))))
