# SPDX-License-Identifier: Apache-2.0
"""Whole GPUs from NVIDIA's device plugin (cases 1 and 3 of the identity matrix)."""

from collections.abc import Iterator

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, RESOURCE, allocatable, device_plugin
from e2e.kube import eventually
from e2e.node import Node
from e2e.pods import container, pod
from e2e.scenes import Space, agreed, device_series
from e2e.truth import plugin_devices, told
from whole.pages import values

UUIDS = {gpu.uuid for gpu in GPUS}


@pytest.fixture(scope="module", autouse=True)
def _plugin(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    with device_plugin(node, gpus):
        yield


def test_the_node_has_eight_gpus(node: Node) -> None:
    """The device plugin reads them from the driver's library, and the kubelet publishes them."""
    assert allocatable(node) == "8"


def test_a_pod_with_one_gpu_owns_it_from_its_start_to_its_end(node: Node, agent: Agent, space: Space) -> None:
    """The kubelet names a GPU; the agent says which pod, by UID and container, and nothing after the pod is gone."""
    assert agreed(node, agent, 0) == set()

    uid = space.start(pod("one", container(resources={RESOURCE: 1})))["one"]

    (device,) = (found for found in plugin_devices(node) if found[0] == space.name)
    (held,) = agreed(node, agent, 1)
    assert device[:3] == (space.name, "one", "main")
    assert device[3] in UUIDS
    assert (held.device, held.namespace, held.pod, held.uid, held.container) == (
        device[3],
        space.name,
        "one",
        uid,
        "main",
    )

    space.stop("one")
    assert agreed(node, agent, 0) == set()


def test_containers_of_a_pod_own_gpus_of_their_own(node: Node, agent: Agent, space: Space) -> None:
    """Three GPUs of two containers are three holdings, each with its container."""
    space.start(pod("two", container("left", resources={RESOURCE: 1}), container("right", resources={RESOURCE: 2})))

    held = agreed(node, agent, 3)
    assert sorted(h.container or "" for h in held) == ["left", "right", "right"]
    assert len({h.device for h in held}) == 3


def test_the_same_name_with_a_new_uid_is_a_new_owner(node: Node, agent: Agent, space: Space) -> None:
    """A pod that was deleted and made again is another one, on the page as in the API server."""
    uids = []
    for _ in range(3):
        uids.append(space.start(pod("again", container(resources={RESOURCE: 1})))["again"])
        (held,) = agreed(node, agent, 1)
        assert held.uid == uids[-1]
        space.stop("again")
    assert len(set(uids)) == 3


def test_a_full_node_is_told_whole(node: Node, agent: Agent, space: Space) -> None:
    """Eight pods that start together own eight GPUs, and half of them own half of these once the others end."""
    pods = [pod(f"p{i}", container(resources={RESOURCE: 1})) for i in range(8)]
    space.start(*pods)
    assert {held.device for held in agreed(node, agent, 8)} == UUIDS

    space.stop(*(f"p{i}" for i in range(0, 8, 2)))
    assert {held.pod for held in agreed(node, agent, 4)} == {"p1", "p3", "p5", "p7"}


def test_pods_that_come_and_go_do_not_touch_a_device(node: Node, agent: Agent, space: Space) -> None:
    """The set of device series is the same before, while and after a pod holds the device."""
    before = device_series(agent)
    space.start(pod("guest", container(resources={RESOURCE: 4})))
    agreed(node, agent, 4)
    during = device_series(agent)
    space.stop("guest")
    agreed(node, agent, 0)

    assert len({dict(labels)["hw_id"] for _, labels in before}) == 8
    assert before == during == device_series(agent)


def test_each_owner_has_its_gpus_memory_once(node: Node, agent: Agent, space: Space) -> None:
    """What an exclusive owner uses is what its device says it uses."""
    space.start(pod("alone", container(resources={RESOURCE: 1})))
    (held,) = agreed(node, agent, 1)

    def check() -> None:
        page = agent.page()
        of_owner = values(page, "gpu_owner_memory_usage_bytes", "hw_id", "k8s_pod_uid", "attribution")
        of_device = values(page, "hw_gpu_memory_usage_bytes", "hw_id")
        assert {key: value for key, value in of_owner.items() if key[1]} == {
            (held.device, held.uid, "exclusive"): of_device[(held.device,)]
        }
        assert told(page) == {held}

    eventually(check)
