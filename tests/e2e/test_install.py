# SPDX-License-Identifier: Apache-2.0
"""The chart with its defaults, installed by Helm: who holds what, by the page of the DaemonSet's pod."""

from collections.abc import Callable
from functools import partial

import pytest

from e2e.census import census
from e2e.drivers import GPUS, RESOURCE, device_plugin
from e2e.helm import Release
from e2e.installed_agent import GPUS_FOLDER, Installed, values_on
from e2e.kube import eventually, wait
from e2e.node import NAME, Node
from e2e.nvidia import NVIDIA, a_class, claim_driver
from e2e.pods import claim, container, pod, request
from e2e.prometheus import scraping
from e2e.scenes import Space, agreed
from fakenvml.fakenvml import Node as Gpus
from whole.pages import values

# What containers may write to without a disk behind it; under the first version of control groups their folders' folder.
IN_MEMORY = {"/dev", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"} | {
    f"/proc/{name}"
    for name in ("interrupts", "keys", "timer_list")  # which are /dev/null
}
OF_EVERY_POD = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
UUIDS = {gpu.uuid for gpu in GPUS}


_BEFORE: list[set[tuple[str, str, str]]] = []  # what there was before the release, for the last test


@pytest.fixture(scope="module", name="release")
def _release(node: Node, make_release: Callable[[str], Release]) -> Release:
    release = make_release("defaults")
    for kind, name in (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")):
        wait("the namespace's own objects", partial(node.api.get, kind, name, release.name))
    _BEFORE.append(census(node))
    release.install(values_on(node))
    return release


@pytest.fixture(scope="module")
def installed(node: Node, release: Release) -> Installed:
    """The agent of that release."""
    return Installed(node, release.name)


def test_every_gpu_and_every_source_is_there(installed: Installed) -> None:
    """Eight GPUs through the runtime class, without holding one; the kubelet and its pods answer."""

    def check() -> None:
        page = installed.page()
        assert {uuid for (uuid,) in values(page, "gpu_info", "hw_id")} == UUIDS
        assert set(values(page, "inferometer_source_up", "inferometer_source_name").values()) == {1.0}

    eventually(check)


def test_pods_with_whole_gpus_come_and_go(node: Node, gpus: dict[str, str], installed: Installed, space: Space) -> None:
    """The owners that it tells are the kubelet's, by UID and container, and end with their pods."""
    with device_plugin(node, gpus):
        space.start(*(pod(f"p{i}", container(resources={RESOURCE: 2})) for i in range(3)))
        assert {held.pod for held in agreed(node, installed, 6)} == {"p0", "p1", "p2"}
        space.stop("p0", "p1")
        assert {held.pod for held in agreed(node, installed, 2)} == {"p2"}
        space.empty()
        assert agreed(node, installed, 0) == set()


def test_pods_with_claims_come_and_go(
    node: Node, gpus: dict[str, str], installed: Installed, make_space: Callable[..., Space]
) -> None:
    """A claim that two pods share has two owners of one GPU; who watches all GPUs by a claim is told apart."""
    owned, watched = make_space(), make_space(admin=True)
    with claim_driver(node, gpus), a_class(node):
        owned.make(claim("shared", request("gpu", NVIDIA)))
        watched.make(claim("all", request("all", NVIDIA, adminAccess=True, allocationMode="All")))
        owned.start(*(pod(name, container(claims=[{"name": "g"}]), claims={"g": "shared"}) for name in ("a", "b")))
        watched.start(pod("watcher", container(claims=[{"name": "g"}]), claims={"g": "all"}))
        held = agreed(node, installed, 10)
        assert {h.pod for h in held if h.role == "owner"} == {"a", "b"}
        assert {h.device for h in held if h.role == "admin"} == UUIDS
        owned.empty()
        watched.empty()
        assert agreed(node, installed, 0) == set()


def test_helm_test_passes(release: Release) -> None:
    """The chart's own test finds the agent by its Service's name, and what it tells of owners."""
    assert "Phase:          Succeeded" in release.test()


def test_prometheus_scrapes_it(node: Node, gpus: dict[str, str], release: Release, space: Space) -> None:
    """A Prometheus that finds the pod by the API server has its owners, and names the target by the node."""
    with device_plugin(node, gpus), scraping(node, release.name) as prometheus:
        uid = space.start(pod("seen", container(resources={RESOURCE: 1})))["seen"]
        owners = f'gpu_owner_info{{k8s_pod_uid="{uid}", role="owner"}}'
        ((labels, value),) = wait("Prometheus to have the owner", lambda: prometheus.query(owners))
        assert (labels["instance"], labels["k8s_pod_name"], value) == (NAME, "seen", 1.0)
        wait("a scrape in time", lambda: prometheus.targets() == [("up", "")])
        # Once at each moment: an agent's counters and its gauges add up.
        sums = wait("the GPUs", lambda: [value for _, value in prometheus.query("sum(gpu_devices)")])
        assert sums == [8.0]
        space.empty()


def test_it_may_do_nothing(installed: Installed) -> None:
    """Without any capability or way to one, behind a seccomp filter, each process; none but its own are seen."""
    inside = installed.inside()
    assert {process["Name"] for process in inside["processes"]} == {"inferometer", "python3"}  # the agent, its sampler
    for process in inside["processes"]:
        assert {process[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2")
        assert set(process["Uid"].split()) == {"0"}  # the kubelet's socket is root's


def test_it_sees_of_the_node_what_it_reads(installed: Installed) -> None:
    """Two folders of the kubelet's, one for its own switch, all read-only, and what NVIDIA's runtime adds."""
    inside = installed.inside()
    own = {"/etc/inferometer", "/run/inferometer", "/var/run/secrets/kubernetes.io/serviceaccount"}
    of_kubelet = {"/var/lib/kubelet/pod-resources", "/var/lib/kubelet/pods-api"}
    of_driver = {f"/usr/lib64/lib{name}.so.{Gpus.driver}" for name in ("cuda", "nvidia-ml")} | {"/usr/bin/nvidia-smi"}
    beyond = {
        mount.replace("/run/secrets", "/var/run/secrets").replace("/var/var", "/var")  # one is the other in most images
        for mount in inside["mounts"]
        if mount != "/" and not mount.startswith(("/proc", "/sys", "/dev")) and mount not in OF_EVERY_POD
    }
    assert beyond == own | of_kubelet | of_driver | {GPUS_FOLDER}
    assert {*inside["writable"]} - IN_MEMORY == {"/etc/hosts", "/dev/termination-log"}  # files of Kubernetes' own
    ordinary = {"null", "zero", "full", "random", "urandom", "tty", "pts/ptmx"}
    of_gpus = {"nvidiactl", "nvidia-uvm", *(f"nvidia{gpu.minor}" for gpu in GPUS)}
    assert {*inside["devices"]} <= {f"/dev/{name}" for name in ordinary | of_gpus}


def test_an_upgrade_and_a_rollback_change_the_pod_and_keep_the_page(installed: Installed, release: Release) -> None:
    """Other values are another pod, one at a time; the first revision is there again after a rollback."""
    first = installed.pod["metadata"]
    release.upgrade(values_on(release.node, podLabels={"colour": "blue"}))
    second = installed.pod["metadata"]
    assert (second["uid"] != first["uid"], second["labels"]["colour"]) == (True, "blue")
    release.roll_back(1)
    assert "colour" not in installed.pod["metadata"]["labels"]
    assert [status for _, _, status in release.history()] == ["superseded", "superseded", "deployed"]
    wait("the page", lambda: {uuid for (uuid,) in values(installed.page(), "gpu_info", "hw_id")} == UUIDS)


def test_uninstalling_leaves_nothing(node: Node, release: Release) -> None:
    """Of all objects of the cluster none is left; on the node one empty folder is."""
    release.uninstall()
    wait("its objects to be gone", lambda: not {each for each in census(node) - _BEFORE[0] if not _is_of_tests(*each)})
    listed = node.finish(("find", "/run/inferometer", "/var/lib/inferometer", "/etc/inferometer"))
    assert listed.stdout.split() == ["/run/inferometer"]


def _is_of_tests(_: str, namespace: str, name: str) -> bool:
    """Whether an object is of a test's namespace, or that."""
    return (namespace or name).startswith("test-")
