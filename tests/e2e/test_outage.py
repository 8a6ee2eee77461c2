# SPDX-License-Identifier: Apache-2.0
"""What goes away while pods run: the kubelet, the API server's answer to it, the device plugin."""

from collections.abc import Iterator

import pytest

from e2e.agent import Agent
from e2e.drivers import RESOURCE, allocatable, device_plugin
from e2e.kube import wait
from e2e.node import Node
from e2e.pods import container, pod
from e2e.scenes import Space, agreed, device_series
from e2e.truth import listed, told
from whole.pages import values


@pytest.fixture(autouse=True)
def _plugin(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    with device_plugin(node, gpus):
        yield


def test_a_kubelet_that_dies_and_comes_back_changes_no_device(node: Node, agent: Agent, space: Space) -> None:
    """Killed with -9 and started again: device series are the same throughout, owners end after the grace and return."""
    space.start(pod("steady", container(resources={RESOURCE: 2})))
    before, devices = agreed(node, agent, 2), device_series(agent)

    node.kill_kubelet()
    try:
        with pytest.raises(ConnectionError):
            listed(node)
        seen = []

        def unknown() -> bool:
            seen.append(device_series(agent))
            return values(agent.page(), "inferometer_source_up", "inferometer_source_name")[("podresources",)] == 0

        wait("the agent to miss the kubelet", unknown)
        wait("the owners to end", lambda: unknown() and not told(agent.page()))
    finally:
        node.start_kubelet()
    wait("the node to be ready", node.is_ready)
    wait("the device plugin to register again", lambda: allocatable(node) == "8")

    assert agreed(node, agent, 2) == before
    seen.append(device_series(agent))
    assert [s for s in seen if s != devices] == []


def test_a_pod_deleted_while_the_kubelet_is_away_is_no_owner_when_it_is_back(
    node: Node, agent: Agent, space: Space
) -> None:
    """The kubelet comes back to a pod that was deleted meanwhile, and to one that was not."""
    space.start(pod("stays", container(resources={RESOURCE: 1})), pod("goes", container(resources={RESOURCE: 1})))
    agreed(node, agent, 2)

    node.kill_kubelet()
    try:
        node.api.delete("Pod", "goes", space.name)
    finally:
        node.start_kubelet()
    wait("the node to be ready", node.is_ready)

    (held,) = agreed(node, agent, 1)
    assert held.pod == "stays"
