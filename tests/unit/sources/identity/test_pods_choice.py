# SPDX-License-Identifier: Apache-2.0
"""Which way to this node's pods is chosen, when it is left, and what is said of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # status codes for the server side
import pytest

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.pods import Pods, wanted
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue
from kubelet.pods import PodsApi, PodsPort


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with ApiServer(certificates) as server:
        server.put(pod("by-api"))
        yield server


@pytest.fixture
def settings(api: ApiServer, certificates: Certificates, tmp_path: Path) -> config.Pods:
    (tmp_path / "token").write_text(api.token)
    return config.Pods(
        socket=str(tmp_path / "pods-api.sock"),
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
    )


def pod(name: str, **spec: Any) -> Any:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}], **spec},
        "status": {"phase": "Running"},
    }


def of_template(name: str) -> Any:
    return pod(name, resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])


def open_source(settings: config.Pods) -> Any:
    source = Pods(settings, "n1", 5.0, environ={})
    source._backoff = (0.02, 0.1)
    return closing(source)


def names(source: Pods) -> list[str]:
    return [pod.name for pod in source.read()]


def eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if check():
                return
        except Trouble:
            pass
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_socket_first(settings: config.Pods, api: ApiServer) -> None:
    """Where the kubelet's socket answers, the API server is asked nothing."""
    with PodsApi(Path(settings.socket), pod("by-socket")), open_source(settings) as source:
        assert names(source) == ["by-socket"]
        assert source.told == f"by kubelet_socket, {settings.socket}"
    assert not api.asked


def test_api_without_socket(settings: config.Pods, api: ApiServer) -> None:
    """Without a socket the first read is answered by the API server, and what is said of it says why."""
    with open_source(settings) as source:
        assert names(source) == ["by-api"]
        assert source.told == f"by api, {api.url}; not by kubelet_socket: {settings.socket}: no such socket"


def test_port_last(settings: config.Pods, api: ApiServer, certificates: Certificates) -> None:
    """The kubelet's port is asked where neither socket nor API server answers."""
    with PodsPort(certificates, pod("by-port")) as port:
        settings = replace(settings, kubelet_url=port.url, kubelet_ca_file=str(certificates.ca))
        with open_source(settings) as source:
            assert names(source) == ["by-api"]
        assert not port.asked
        api.list_fault = 403
        with open_source(settings) as source:
            assert names(source) == ["by-port"]
            assert "not by api" in source.told


def test_the_hopeful_trouble(settings: config.Pods, api: ApiServer) -> None:
    """Where no way answers, what is said is of the one that is there."""
    api.list_fault = 403
    with open_source(settings) as source, pytest.raises(Trouble) as caught:
        source.read()
    assert caught.value.reason is Reason.PERMISSION


def test_one_that_hangs(settings: config.Pods, api: ApiServer) -> None:
    """A way that hangs leaves time for the next."""
    path = Path(settings.socket)
    released = threading.Event()

    def hang() -> None:
        released.wait(60)

    hasty = replace(settings, deadline=config.Seconds(2))
    with PodsApi(path, pod("by-socket")) as kubelet, open_source(hasty) as source:
        kubelet.between = hang
        eventually(lambda: names(source) == ["by-api"])
        released.set()


def test_another_when_it_fails_twice(settings: config.Pods) -> None:
    """One failure is the way's own affair; at the second in a row the next is asked in the same read."""
    with open_source(settings) as source:
        with PodsApi(Path(settings.socket), pod("by-socket")):
            assert names(source) == ["by-socket"]
        following = source._follow("kubelet_socket")
        eventually(lambda: following._trouble is not None)
        with pytest.raises(Trouble) as caught:
            source.read()
        assert settings.socket in caught.value.message
        assert names(source) == ["by-api"]
        assert "not by kubelet_socket" in source.told


def test_back_to_the_first(settings: config.Pods, api: ApiServer) -> None:
    """A way that comes before is asked again now and then, taken when it answers, and the other is hung up."""
    with open_source(settings) as source:
        source._look_back = 0.05
        assert names(source) == ["by-api"]
        time.sleep(0.1)
        for _ in range(20):
            assert names(source) == ["by-api"]
            time.sleep(0.01)
        with PodsApi(Path(settings.socket), pod("by-socket")):
            eventually(lambda: names(source) == ["by-socket"])
            assert source.told == f"by kubelet_socket, {settings.socket}"
            assert list(source._followings) == ["kubelet_socket"]


def test_claims_that_the_socket_does_not_name(settings: config.Pods, api: ApiServer) -> None:
    """The kubelet leaves out what claims of templates are called: while a pod has one, the API server is asked instead."""
    with PodsApi(Path(settings.socket), pod("by-socket")) as kubelet, open_source(settings) as source:
        source._look_back = 0.05
        assert names(source) == ["by-socket"]
        eventually(lambda: len(kubelet.watches) == 1)
        kubelet.put(of_template("claims"))
        eventually(lambda: names(source) == ["by-api"])
        assert "ns/claims" in source.told
        kubelet.delete(of_template("claims"))
        eventually(lambda: names(source) == ["by-socket"])


def test_better_than_nothing(settings: config.Pods, api: ApiServer) -> None:
    """While nobody else answers, pods with claims that are not named are better than none; and it is said."""
    api.list_fault = 403
    with PodsApi(Path(settings.socket), of_template("claims")), open_source(settings) as source:
        for _ in range(3):
            assert names(source) == ["claims"]
        assert source.told.startswith(f"by kubelet_socket, {settings.socket}; it does not name the claims")
        api.list_fault = None
        eventually(lambda: names(source) == ["by-api"])


def test_the_only_one(settings: config.Pods) -> None:
    """A socket that is configured is taken with what it has."""
    settings = replace(settings, source="kubelet_socket")
    with PodsApi(Path(settings.socket), of_template("claims")), open_source(settings) as source:
        assert names(source) == ["claims"]


def test_only_what_is_configured(settings: config.Pods, api: ApiServer) -> None:
    """A source that is named is the only one."""
    with PodsApi(Path(settings.socket), pod("by-socket")) as kubelet:
        with open_source(replace(settings, source="api")) as source:
            assert names(source) == ["by-api"]
        assert kubelet.lists == 0
        kubelet.refusal = (grpc.StatusCode.UNAVAILABLE, "no")
        asked = len(api.asked)
        with open_source(replace(settings, source="kubelet_socket")) as source:
            for _ in range(4):
                with pytest.raises(Trouble):
                    source.read()
        assert len(api.asked) == asked


def test_malformed_outlive_their_way(settings: config.Pods) -> None:
    """The count of pods that were none goes on when another way is chosen."""
    with open_source(settings) as source:
        with PodsApi(Path(settings.socket), b"\xff", pod("by-socket")):
            assert names(source) == ["by-socket"]
        eventually(lambda: names(source) == ["by-api"])
        assert source.malformed >= 1


@pytest.mark.parametrize(
    ("changed", "environ", "socket", "expected"),
    [
        ({}, {}, False, False),
        ({}, {}, True, True),
        ({}, {"NODE_IP": "10.0.0.7"}, False, True),
        ({"server": "https://api:6443"}, {}, False, True),
        ({"source": "off", "server": "https://api:6443"}, {"NODE_IP": "10.0.0.7"}, True, False),
        ({"source": "kubelet_socket"}, {}, False, True),
    ],
)
def test_wanted(tmp_path: Path, changed: Any, environ: Any, socket: bool, expected: bool) -> None:
    """A node without any way, or with the source switched off, is not asked."""
    path = tmp_path / "pods-api.sock"
    if socket:
        path.touch()
    assert wanted(config.Pods(**{"socket": str(path), **changed}), environ) is expected
