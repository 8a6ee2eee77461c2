# SPDX-License-Identifier: Apache-2.0
"""Clusters that lack what the chart asks for, or forbid it: an event, a line of the log or Helm's own words say what to do."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from charts import of_kind
from e2e.agent import running
from e2e.drivers import GPUS
from e2e.helm import HelmError, Release
from e2e.installed_agent import Installed, values_on
from e2e.kube import wait
from e2e.node import Node
from e2e.nvidia import NVIDIA, a_class, claim_driver
from e2e.pods import claim, container, pod, request
from e2e.scenes import Space
from e2e.truth import told
from whole.pages import values

MakeRelease = Callable[..., Release]


def socket_in(folder: str) -> dict[str, Any]:
    """Configure a kubelet whose PodResources socket is in a folder of the node's."""
    return {"identity": {"podresources": {"socket": f"{folder}/pod-resources/kubelet.sock"}}}


def warnings_in(node: Node, namespace: str) -> list[str]:
    """Give what the events of a namespace warn of."""
    events = node.api.ask("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return [event["message"] for event in events if event["type"] == "Warning"]


@pytest.mark.parametrize(
    ("name", "labels", "more", "said"),
    [
        pytest.param(
            "no-runtime-class",
            {},
            {"gpuAccess": {"runtimeClassName": "absent"}},
            'RuntimeClass "absent" not found',
            id="runtime class",
        ),
        pytest.param(
            "no-host-path",
            {"pod-security.kubernetes.io/enforce": "baseline"},
            {},
            'violates PodSecurity "baseline:latest": hostPath volumes (volumes "pod-resources",',
            id="pod security",
        ),
        pytest.param(
            "no-kubelet",
            {},
            {"config": socket_in("/var/lib/absent")},
            "hostPath type check failed, /var/lib/absent/pod-resources is not a directory",
            id="kubelet's directory",
        ),
    ],
)
def test_what_forbids_the_pod_is_told_in_an_event(
    node: Node, make_release: MakeRelease, name: str, labels: Mapping[str, str], more: dict[str, Any], said: str
) -> None:
    """Nothing runs, and nothing is started over and over; the notes name the command or the object that is missing."""
    release = make_release(name, labels)
    notes = release.install(values_on(node, **more), "--wait=hookOnly", "--timeout=20s")
    wait("the event", lambda: [message for message in warnings_in(node, name) if said in message])
    states = [state for pod in node.api.list("Pod", name) for state in pod["status"].get("containerStatuses", ())]
    assert [state for state in states if state["restartCount"] or state["ready"]] == []
    assert f"kubectl label namespace {name} pod-security.kubernetes.io/enforce=privileged" in notes
    release.uninstall()


def test_without_the_prometheus_operator_its_objects_are_refused(node: Node, make_release: MakeRelease) -> None:
    """Helm says which kind the cluster does not know, and installs nothing."""
    release = make_release("no-operator")
    with pytest.raises(HelmError, match=r"no monitoring\.coreos\.com/v1/PodMonitor: install the Prometheus operator"):
        release.install(values_on(node, podMonitor={"enabled": True}))
    accounts = wait("the namespace's own account", lambda: node.api.list("ServiceAccount", release.name))
    assert [each["metadata"]["name"] for each in accounts] == ["default"]


def test_an_empty_directory_of_the_kubelets_is_a_line_of_the_log(node: Node, make_release: MakeRelease) -> None:
    """The agent runs and tells of its GPUs; owners are missing, and log and check say which socket is."""
    node.finish(("mkdir", "-p", "/var/lib/empty/pod-resources"))
    release = make_release("empty-kubelet")
    release.install(values_on(node, config=socket_in("/var/lib/empty")))
    installed = Installed(node, release.name)
    socket = "/var/lib/empty/pod-resources/kubelet.sock"
    remedy = "mount the directory of the kubelet's socket; without Kubernetes, disable identity.podresources"
    found = installed.found("podresources")
    assert (found["reason"], found["remedy"]) == (f"{socket}: no such socket", remedy)
    wait("the log to say so", lambda: f"{socket}: no such socket" in installed.log())
    wait("its GPUs", lambda: len(values(installed.page(), "gpu_info", "hw_id")) == len(GPUS))

    # A second agent on the node is another release whose nodes overlap: each knows of the other.
    second = make_release("second")
    second.install(values_on(node))
    other = f"{release.name}/{installed.pod['metadata']['name']}"
    known, said = Installed(node, second.name), f"another agent runs on this node: {other}"
    wait("the other agent to be told of", lambda: said in known.found("pods")["reason"])


@pytest.fixture
def claimed(node: Node, gpus: dict[str, str], space: Space) -> Iterator[str]:
    """A pod with a GPU by a claim; gives its UID."""
    with claim_driver(node, gpus), a_class(node), space:
        space.make(claim("one", request("gpu", NVIDIA)))
        yield space.start(pod("one", container(claims=[{"name": "g"}]), claims={"g": "one"}))["one"]


def test_a_cluster_without_claims_does_without_them(
    node: Node, account: str, gpus: dict[str, str], make_release: MakeRelease
) -> None:
    """Access by a claim is refused with the ways that are left; the agent asks for no claim and complains of none."""
    release = make_release("no-claims", {"resource.kubernetes.io/admin-access": "true"})
    off = ",".join(f"resource.k8s.io/{version}=false" for version in ("v1", "v1beta1", "v1beta2"))
    with node.serving(444, off):
        with pytest.raises(HelmError, match=r"serves none of resource\.k8s\.io/v1, v1beta2 and v1beta1"):
            release.render(values_on(node, gpuAccess={"mode": "dra"}), "https://127.0.0.1:444")
        assert of_kind(release.render(values_on(node), "https://127.0.0.1:444"), "DaemonSet")
        with running(node, account, gpus, name="without-claims", server="https://127.0.0.1:444") as agent:
            wait("the agent's GPUs", lambda: values(agent.page(), "gpu_info", "hw_id"))
    said = node.namespaces.log_file("without-claims").read_text()
    assert not [line for line in said.splitlines() if "WARNING" in line and ("claims: " in line or "slices: " in line)]


def test_a_cluster_with_claims_of_an_earlier_version_only_is_told_of(
    node: Node, account: str, gpus: dict[str, str], make_release: MakeRelease, claimed: str
) -> None:
    """The chart's claim is of the version that is served; the agent reads others' by v1, and says that it is missing."""
    release = make_release("earlier-claims", {"resource.kubernetes.io/admin-access": "true"})
    only = "resource.k8s.io/v1=false,resource.k8s.io/v1beta2=false,resource.k8s.io/v1beta1=true"
    with node.serving(445, only):
        made = release.render(values_on(node, gpuAccess={"mode": "dra"}), "https://127.0.0.1:445")
        assert {each["apiVersion"] for each in of_kind(made, "ResourceClaimTemplate")} == {"resource.k8s.io/v1beta1"}
        with running(node, account, gpus, name="earlier-claims", server="https://127.0.0.1:445") as agent:
            wait("the claim's holder", lambda: [(h.uid, h.role) for h in told(agent.page())] == [(claimed, "unknown")])
            said = node.namespaces.log_file("earlier-claims")
            missing = "claims: https://127.0.0.1:445: resource.k8s.io/v1 is not served. Claims are read by that version"
            wait("the log to say so", lambda: missing in said.read_text())
