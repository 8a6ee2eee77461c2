# SPDX-License-Identifier: Apache-2.0
"""This node's pods from the kubelet: its Pods API on a socket, its HTTPS port, and what goes wrong with either."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # status codes for the server side
import pytest

from inferometer import config
from inferometer.model import Pod, Reason, Trouble
from inferometer.sources.identity import pods_kubelet
from inferometer.sources.identity.pods import Pods
from inferometer.sources.identity.projection import project
from kubelet.certificates import Certificates, issue
from kubelet.podresources import Impostor
from kubelet.pods import PodsApi, PodsPort

RECORDED = Path(__file__).parents[3] / "fixtures" / "kubelet" / "api_dra_1.36.json"
STARTING = (grpc.StatusCode.FAILED_PRECONDITION, "Kubelet is initializing")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pods-api.sock"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def port(certificates: Certificates) -> Iterator[PodsPort]:
    with PodsPort(certificates, pod("a"), pod("b")) as served:
        yield served


@contextmanager
def following(settings: config.Pods, period: float = 5.0) -> Iterator[Pods]:
    """A source that tries again soon."""
    source = Pods(settings, "n1", period, environ={})
    source._backoff = (0.02, 0.1)
    with closing(source):
        yield source


def by_socket(path: Path, **more: Any) -> Any:
    return following(config.Pods(source="kubelet_socket", socket=str(path), **more))


def by_port(port: PodsPort, token_file: Path, certificates: Certificates, **more: Any) -> Any:
    token_file.write_text("a-token")
    settings = config.Pods(
        source="kubelet_http",
        kubelet_url=port.url,
        token_file=str(token_file),
        ca_file="",
        kubelet_ca_file=str(certificates.ca),
    )
    return following(replace(settings, **more), 0.05)


def pod(name: str, **metadata: Any) -> Any:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", **metadata},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Running"},
    }


def names(source: Pods) -> list[str]:
    return [pod.name for pod in source.read()]


def eventually(check: Callable[[], bool]) -> None:
    """Poll until `check` holds; a Trouble means not yet."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if check():
                return
        except Trouble:
            pass
        time.sleep(0.01)
    raise AssertionError("it never came true")


def eventual_trouble(source: Pods, reason: Reason) -> Trouble:
    found: list[Trouble] = []

    def fails() -> bool:
        try:
            source.read()
        except Trouble as caught:
            found.append(caught)
            return caught.reason is reason
        return False

    eventually(fails)
    return found[-1]


def recorded_pods() -> list[Any]:
    return [item for item in json.loads(RECORDED.read_bytes())["items"] if item["kind"] == "Pod"]


def test_recorded(path: Path, port: PodsPort, tmp_path: Path, certificates: Certificates) -> None:
    """The pods that a real API server gave are the same by the socket and by the port, with their containers and claims."""
    recorded = recorded_pods()
    expected = tuple(project(item) for item in recorded)
    port.pods = recorded
    with PodsApi(path, *recorded), by_socket(path) as source:
        assert source.read() == expected
    with by_port(port, tmp_path / "token", certificates) as source:
        assert source.read() == expected
    extended, two, watcher = expected
    assert [(container, request) for container, _, request in two.claim_requests] == [("c1", "a"), ("c2", "b")]
    assert {"c1", "c2"} == set(two.container_ids.values())
    assert all(len(container_id) == 64 for container_id in two.container_ids)
    assert two.claims
    assert extended.extended_claim
    assert watcher.claims


def test_claims() -> None:
    """What a pod says of its claims: by name, by template once there is a name, by extended resource, by group."""
    raw = pod("p")
    raw["spec"] |= {
        "runtimeClassName": "kata",
        "schedulerName": "kai-scheduler",
        "schedulingGroup": {"podGroupName": "gang"},
        "resourceClaims": [
            {"name": "own", "resourceClaimName": "shared"},
            {"name": "made", "resourceClaimTemplateName": "template"},
            {"name": "waits", "resourceClaimTemplateName": "template"},
            {"name": "none", "resourceClaimTemplateName": "template"},
        ],
        "initContainers": [{"name": "setup", "resources": {"claims": [{"name": "own"}]}}],
        "containers": [{"name": "c", "resources": {"claims": [{"name": "made", "request": "gpu"}, {"name": "own"}]}}],
    }
    raw["status"] |= {
        "resourceClaimStatuses": [
            {"name": "made", "resourceClaimName": "p-made-x7k2p"},
            {"name": "none", "resourceClaimName": None},
        ],
        "extendedResourceClaimStatus": {
            "resourceClaimName": "p-extended-resources-9z",
            "requestMappings": [{"containerName": "c", "resourceName": "nvidia.com/gpu", "requestName": "container-0"}],
        },
        "containerStatuses": [{"name": "c", "containerID": "containerd://aa"}, {"name": "not-yet", "containerID": ""}],
        "initContainerStatuses": [{"name": "setup", "containerID": "cri-o://bb"}],
        "ephemeralContainerStatuses": [{"name": "debug", "containerID": "docker://cc"}],
    }
    assert project(raw) == Pod(
        "uid-p",
        "ns",
        "p",
        phase="Running",
        containers=("c",),
        init_containers=("setup",),
        container_ids={"aa": "c", "bb": "setup", "cc": "debug"},
        claims={"own": "shared", "made": "p-made-x7k2p"},
        claim_requests=(("setup", "own", ""), ("c", "made", "gpu"), ("c", "own", "")),
        extended_claim="p-extended-resources-9z",
        extended_requests=(("c", "container-0"),),
        runtime_class="kata",
        scheduler="kai-scheduler",
        group="gang",
    )


def test_declarations() -> None:
    """What a scheduler declares of a pod's GPUs is kept though it is long; a manifest is not."""
    told = {"hami.io/vgpu-devices-allocated": "x" * 9000, "volcano.sh/vgpu-ids-new": "y" * 9000, "manifest": "z" * 9000}
    assert set(project(pod("p", annotations=told)).annotations) == set(told) - {"manifest"}


def test_watch(path: Path) -> None:
    """Pods that come, change and go are seen without another list."""
    with PodsApi(path, pod("a")) as api, by_socket(path) as source:
        assert names(source) == ["a"]
        eventually(lambda: len(api.watches) == 1)
        api.put(pod("b"))
        eventually(lambda: names(source) == ["a", "b"])
        api.put(pod("b", labels={"team": "blue"}))
        eventually(lambda: source.read()[1].labels == {"team": "blue"})
        api.delete(pod("a"))
        eventually(lambda: names(source) == ["b"])
        assert api.lists == 1
        before = source.read()
        api.put(pod("b", labels={"team": "blue"}))
        api.put(pod("c"))
        eventually(lambda: names(source) == ["b", "c"])
        assert before[0] == source.read()[0]
        assert source.told == f"by kubelet_socket, {path}"


def test_gone_between_list_and_watch(path: Path) -> None:
    """A pod that goes after the list and before the watch is forgotten when the watch has told of all."""
    with PodsApi(path, pod("a"), pod("b")) as api:
        api.between = lambda: api.lose(pod("a")) if api.lists == 1 else None
        with by_socket(path) as source:
            eventually(lambda: names(source) == ["b"])


def test_lost_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a watch has missed is seen when the next one begins, which is soon."""
    monkeypatch.setattr(pods_kubelet, "WATCH_TIME", 0.2)
    with PodsApi(path, pod("a"), pod("b")) as api, by_socket(path) as source:
        eventually(lambda: names(source) == ["a", "b"])
        eventually(lambda: len(api.watches) >= 1)
        api.lose(pod("a"))
        eventually(lambda: names(source) == ["b"])


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_versions(path: Path, version: str) -> None:
    """Whichever version the kubelet serves is found, and asked for from then on."""
    with PodsApi(path, pod("a"), version=version) as api, by_socket(path) as source:
        assert names(source) == ["a"]
        eventually(lambda: len(api.watches) == 1)


def test_not_served(path: Path) -> None:
    """A kubelet without the API is unsupported, and the remedy names the version."""
    with PodsApi(path, version="v0"), by_socket(path) as source:
        found = eventual_trouble(source, Reason.UNSUPPORTED)
    assert "1.37" in found.remedy
    assert "Pods.ListPods" in found.message


def test_starting(path: Path) -> None:
    """A kubelet that is starting is waited for."""
    with PodsApi(path, pod("a")) as api:
        api.refusal = STARTING
        with by_socket(path) as source:
            assert "initializing" in eventual_trouble(source, Reason.REJECTED).message
            api.refusal = None
            eventually(lambda: names(source) == ["a"])


def test_kubelet_restarts(path: Path) -> None:
    """While the kubelet is away there is a reason, and with its new socket its pods are there again."""
    with by_socket(path) as source:
        assert eventual_trouble(source, Reason.MISSING).remedy.startswith("mount")
        with PodsApi(path, pod("a")):
            eventually(lambda: names(source) == ["a"])
        eventual_trouble(source, Reason.MISSING)
        with PodsApi(path, pod("a"), pod("b")):
            eventually(lambda: names(source) == ["a", "b"])


def test_pods_that_are_none(path: Path) -> None:
    """A pod that cannot be read, or has no UID, is counted and costs no other."""
    with PodsApi(path, b"\xff\xff", b"", pod("a")) as api, by_socket(path) as source:
        assert names(source) == ["a"]
        assert source.malformed >= 2
        before = source.malformed
        eventually(lambda: len(api.watches) == 1)
        api.put(b"\x01")
        api.put(pod("b"))
        eventually(lambda: names(source) == ["a", "b"])
        assert source.malformed > before


@pytest.mark.parametrize("event", [b"\xff", b"\x12\xff"])
def test_bad_event(path: Path, event: bytes) -> None:
    """An event that is none never ends the thread: the pods are listed anew."""
    with PodsApi(path, pod("a")) as api, by_socket(path) as source:
        assert names(source) == ["a"]
        eventually(lambda: len(api.watches) == 1)
        api.send(event)
        eventually(lambda: api.lists == 2)
        eventually(lambda: names(source) == ["a"])


def test_unknown_event(path: Path) -> None:
    """An event of a kind that a later kubelet may send changes nothing."""
    with PodsApi(path, pod("a")) as api, by_socket(path) as source:
        assert names(source) == ["a"]
        eventually(lambda: len(api.watches) == 1)
        api._tell(9, b"")
        api.put(pod("b"))
        eventually(lambda: names(source) == ["a", "b"])
        assert api.lists == 1


@pytest.mark.parametrize(("noise", "hang_up"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", True), (b"", False)])
def test_somebody_else(path: Path, noise: bytes, hang_up: bool) -> None:
    """Whoever else listens there is refused, or given up at the deadline."""
    with closing(Impostor(path, noise, hang_up=hang_up)), by_socket(path, deadline=config.Seconds(0.5)) as source:
        with pytest.raises(Trouble) as caught:
            source.read()
        assert caught.value.reason in {Reason.REFUSED, Reason.TIMEOUT}


def test_too_large(path: Path) -> None:
    """An answer beyond the limit is refused by name, and so are more pods than a node has."""
    large = [pod(f"p{i}", annotations={"a": "x" * 500}) for i in range(50)]
    with PodsApi(path, *large), by_socket(path, max_body=config.Size(5000)) as source:
        assert "max_body" in eventual_trouble(source, Reason.TOO_LARGE).remedy
    with PodsApi(path, *(pod(str(i)) for i in range(5001))), by_socket(path) as source:
        assert "5000" in eventual_trouble(source, Reason.TOO_LARGE).message


def test_close_is_prompt(path: Path) -> None:
    """Closing ends the thread though its watch is silent."""
    with PodsApi(path) as api, by_socket(path) as source:
        assert source.read() == ()
        eventually(lambda: len(api.watches) == 1)
        thread = source._follow("kubelet_socket")._thread
        source.close()
        thread.join(30)
        assert not thread.is_alive()


def test_poll(port: PodsPort, tmp_path: Path, certificates: Certificates) -> None:
    """The HTTPS port is asked at each period, for `/pods` alone, as the service account."""
    with by_port(port, tmp_path / "token", certificates) as source:
        assert names(source) == ["a", "b"]
        first = source.read()
        eventually(lambda: len(port.asked) > 2)
        assert source.read() is first
        port.pods.pop()
        eventually(lambda: names(source) == ["a"])
    assert set(port.asked) == {("/pods", "Bearer a-token")}


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (401, Reason.PERMISSION, "token_file"),
        (403, Reason.PERMISSION, "nodes/pods"),
        (404, Reason.REJECTED, ""),
        (500, Reason.REJECTED, ""),
        (b"<html>", Reason.MALFORMED, "kubelet_url"),
        (b"[]", Reason.MALFORMED, "kubelet_url"),
        (b"{}", Reason.MALFORMED, "kubelet_url"),
        (b'{"kind": "Status", "metadata": {}}', Reason.MALFORMED, "kubelet_url"),
        (b'{"metadata": {}, "items": 3}', Reason.MALFORMED, "kubelet_url"),
        (b"[" * 100_000, Reason.MALFORMED, "kubelet_url"),
    ],
    ids=range(10),
)
def test_bad_poll(
    port: PodsPort, tmp_path: Path, certificates: Certificates, answer: Any, reason: Reason, words: str
) -> None:
    """A refusal or another page is named with its address and what to do, and recovers."""
    port.answer = answer
    with by_port(port, tmp_path / "token", certificates) as source:
        found = eventual_trouble(source, reason)
        assert port.url in found.message
        assert words in found.remedy
        port.answer = None
        eventually(lambda: names(source) == ["a", "b"])


def test_certificate(port: PodsPort, tmp_path: Path, certificates: Certificates) -> None:
    """A certificate of nobody we trust is refused before the token is sent, unless it is not to be checked."""
    (tmp_path / "other").mkdir()
    other = str(issue(tmp_path / "other").ca)
    with by_port(port, tmp_path / "token", certificates, kubelet_ca_file="", ca_file=other) as source:
        assert "not trusted" in eventual_trouble(source, Reason.REFUSED).message
    assert not port.asked
    with by_port(port, tmp_path / "token", certificates, kubelet_ca_file=other, kubelet_insecure_tls=True) as source:
        assert names(source) == ["a", "b"]


def test_no_address() -> None:
    """Without NODE_IP or a URL nobody is asked."""
    with following(config.Pods(source="kubelet_http")) as source:
        assert "NODE_IP" in eventual_trouble(source, Reason.MISSING).remedy
