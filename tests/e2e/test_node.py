# SPDX-License-Identifier: Apache-2.0
"""The node itself: it is real, it is of the versions that tools/ pins, and the machine does not notice it."""

from pathlib import Path

from e2e.kube import wait
from e2e.node import ADDRESS, NAME, Node
from integration.programs import BUILD


def test_the_node_is_ready_and_of_the_pinned_version(node: Node) -> None:
    """One node, ready, whose kubelet is the release that tools/kubernetes/go.mod names."""
    wait("the node to be ready", node.is_ready)
    (found,) = node.api.list("Node")
    info = found["status"]["nodeInfo"]
    pinned = (BUILD.parent / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    assert found["metadata"]["name"] == NAME
    assert {"type": "InternalIP", "address": ADDRESS} in found["status"]["addresses"]
    assert f"k8s.io/kubernetes {info['kubeletVersion']} " in pinned
    assert info["containerRuntimeVersion"].startswith("containerd://2.")


def test_the_api_server_is_of_the_kubelets_version(node: Node) -> None:
    """They are built together."""
    (found,) = node.api.list("Node")
    assert node.api.ask("GET", "/version")["gitVersion"] == found["status"]["nodeInfo"]["kubeletVersion"]


def test_what_the_kubelet_sets_is_set_for_the_node_alone(node: Node) -> None:
    """A kubelet makes a kernel panic reboot the machine in ten seconds: the machine of a test keeps its own setting."""
    inside = (node.scratch / "settings" / "kernel" / "panic").read_text().strip()
    outside = Path("/proc/sys/kernel/panic").read_text().strip()
    assert inside == "10"
    assert outside == node.settings_before["kernel/panic"]


def test_the_nodes_files_are_not_the_machines(node: Node) -> None:
    """The kubelet's folder is in the node's scratch folder."""
    assert (node.kubelet_folder / "pod-resources" / "kubelet.sock").is_socket()
    assert str(node.scratch) not in Path("/proc/self/mountinfo").read_text()
