# SPDX-License-Identifier: Apache-2.0
"""GPUs that NVIDIA's device plugin time-slices (case 3 of the identity matrix)."""

from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, RESOURCE, allocatable, device_plugin
from e2e.kube import wait
from e2e.node import Node
from e2e.pods import container, pod
from e2e.scenes import Space, agreed
from e2e.truth import listed, plugin_devices
from whole.pages import values

REPLICAS = 4


@pytest.fixture(scope="module", autouse=True)
def _plugin(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    with device_plugin(node, gpus, REPLICAS):
        yield


def test_each_gpu_is_offered_as_often_as_it_is_sliced(node: Node) -> None:
    """Eight GPUs of four replicas are 32 devices of the kubelet's."""
    wait("all replicas", lambda: allocatable(node) == str(REPLICAS * len(GPUS)))


def test_pods_on_one_gpu_are_its_owners_each_by_its_own_uid(node: Node, agent: Agent, space: Space) -> None:
    """Twenty pods on eight GPUs: every replica's holder is told, with the GPU and not the replica."""
    uids = space.start(*(pod(f"p{i}", container(resources={RESOURCE: 1})) for i in range(20)))

    held = agreed(node, agent, 20)

    assert {h.uid for h in held} == {*uids.values()}
    assert {h.device for h in held} == {gpu.uuid for gpu in GPUS}
    assert max(Counter(h.device for h in held).values()) > 1
    assert any(
        "::" in i for p in listed(node).pod_resources for c in p.containers for d in c.devices for i in d.device_ids
    )


def test_a_pod_with_several_replicas_of_one_gpu_holds_it_once(node: Node, agent: Agent, space: Space) -> None:
    """All 32 replicas in one container are eight GPUs with one owner each."""
    space.start(pod("greedy", container(resources={RESOURCE: REPLICAS * len(GPUS)})))

    assert len({h.device for h in agreed(node, agent, len(GPUS))}) == len(GPUS)


def test_nobody_on_a_shared_gpu_is_told_as_its_only_owner(node: Node, agent: Agent, space: Space) -> None:
    """What the whole GPU uses is nobody's own while several pods hold it."""
    space.start(*(pod(f"p{i}", container(resources={RESOURCE: 1})) for i in range(2 * len(GPUS))))
    held = agreed(node, agent, 2 * len(GPUS))

    owners = Counter(h.device for h in held)
    told = values(agent.page(), "gpu_owner_memory_usage_bytes", "hw_id", "k8s_pod_uid", "attribution")
    exclusive = {device for device, _, attribution in told if attribution == "exclusive"}
    assert len(plugin_devices(node)) == 2 * len(GPUS)
    assert exclusive <= {device for device, count in owners.items() if count == 1}
