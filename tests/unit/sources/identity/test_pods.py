# SPDX-License-Identifier: Apache-2.0
"""This node's pods from the API server: list, watch, and what an API server or what is in front of it does wrong."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Pod, Port, Reason, Trouble
from inferometer.sources.identity import pods_api
from inferometer.sources.identity.pods import Pods, available
from inferometer.sources.identity.pods_api import PodsOfApiServer
from inferometer.sources.identity.projection import project
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue

RECORDED = Path(__file__).parents[3] / "fixtures" / "kubelet" / "api_dra_1.36.json"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with ApiServer(certificates) as server:
        yield server


@pytest.fixture
def settings(api: ApiServer, certificates: Certificates, tmp_path: Path) -> config.Pods:
    (tmp_path / "token").write_text(api.token)
    return config.Pods(
        source="api",
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
        max_body=config.Size(1 << 20),
    )


@contextmanager
def following(settings: config.Pods, node: str = "n1") -> Iterator[Pods]:
    """A source that tries again soon."""
    source = Pods(settings, node, 5.0)
    source._backoff = (0.02, 0.1)
    with closing(source):
        yield source


def raw(name: str, uid: str = "", node: str = "n1", **more: Any) -> Any:
    metadata = {"name": name, "namespace": "ns", "uid": uid or f"uid-{name}", **more}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": [{"name": "c"}]}, "status": {}}


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


def trouble(settings: config.Pods, node: str = "n1") -> Trouble:
    with following(settings, node) as source, pytest.raises(Trouble) as caught:
        source.read()
    return caught.value


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


def test_recorded(api: ApiServer, settings: config.Pods) -> None:
    """The pods of a real API server, reduced to what is read here."""
    for item in recorded_pods():
        api.put(item)
    with following(settings) as source:
        pods = source.read()
    assert [(pod.namespace, pod.name, pod.uid, pod.containers) for pod in pods] == [
        ("default", "ext1", "fe4409ac-7fd7-47df-98de-90250ac06f54", ("c",)),
        ("default", "two", "53dd15f2-27ed-43f3-9092-143a3a07ed96", ("c1", "c2")),
        ("mon", "watcher", "96b00b22-c682-4089-8ec2-c1f9a804c94d", ("c",)),
    ]
    assert {pod.phase for pod in pods} == {"Running"}
    assert all(pod.ip for pod in pods)


def test_projection() -> None:
    """Labels, owner, ports, phase, address; sidecars count, plain init containers, long annotations and UDP do not."""
    pod = {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u",
            "labels": {"app": "vllm", "odd": 3},
            "annotations": {"short": "a", "manifest": "x" * 5000},
            "ownerReferences": [
                {"kind": "Other", "name": "not-controller"},
                {"kind": "ReplicaSet", "name": "vllm-5d8f", "controller": True},
            ],
        },
        "spec": {
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [
                {
                    "name": "vllm",
                    "ports": [
                        {"name": "http", "containerPort": 8000, "protocol": "TCP"},
                        {"containerPort": 9000},
                        {"containerPort": 53, "protocol": "UDP"},
                        {"containerPort": "8000"},
                    ],
                }
            ],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.7"},
    }
    assert project(pod) == Pod(
        "u",
        "ns",
        "p",
        phase="Running",
        ip="10.0.0.7",
        labels={"app": "vllm"},
        annotations={"short": "a"},
        owner_kind="ReplicaSet",
        owner_name="vllm-5d8f",
        containers=("proxy", "vllm"),
        init_containers=("setup", "proxy"),
        ports=(Port("vllm", "http", 8000), Port("vllm", "", 9000)),
    )


def test_only_this_node(api: ApiServer, settings: config.Pods) -> None:
    """The API server is asked for this node's pods only, from its cache, and for bookmarks."""
    api.put(raw("here"))
    api.put(raw("there", node="n2"))
    with following(settings) as source:
        assert names(source) == ["here"]
        eventually(lambda: api.count(watch=True) == 1)
    listed, watched = api.asked
    assert listed == {"fieldSelector": "spec.nodeName=n1", "resourceVersion": "0"}
    assert watched.items() >= {"fieldSelector": "spec.nodeName=n1", "allowWatchBookmarks": "true"}.items()
    assert watched["resourceVersion"] == "102"


def test_empty_node(api: ApiServer, settings: config.Pods) -> None:
    """A node without pods is an answer, though Go writes its list as null."""
    with following(settings) as source:
        assert source.read() == ()


def test_watch(api: ApiServer, settings: config.Pods) -> None:
    """Pods that come, change and go are seen without another list."""
    api.put(raw("a"))
    with following(settings) as source:
        assert names(source) == ["a"]
        api.put(raw("b"))
        eventually(lambda: names(source) == ["a", "b"])
        api.put(raw("b", labels={"team": "blue"}))
        eventually(lambda: source.read()[1].labels == {"team": "blue"})
        api.bookmark()
        api.delete("a")
        eventually(lambda: names(source) == ["b"])
        assert api.count(watch=False) == 1
        assert source.read() is source.read()


def test_same_name_new_uid(api: ApiServer, settings: config.Pods) -> None:
    """A pod of the same name with another UID is another pod; both are there while both are."""
    api.put(raw("a", uid="first"))
    with following(settings) as source:
        assert source.read()[0].uid == "first"
        api.put(raw("a", uid="second"))
        eventually(lambda: {pod.uid for pod in source.read()} == {"first", "second"})
        api.send(json.dumps({"type": "DELETED", "object": raw("a", uid="first", resourceVersion="999")}))
        eventually(lambda: {pod.uid for pod in source.read()} == {"second"})


@pytest.mark.parametrize("cut", [False, True], ids=["clean", "cut"])
def test_watch_ends(api: ApiServer, settings: config.Pods, cut: bool) -> None:
    """A watch that ends, cleanly or in the middle, is taken up from where it was, without another list."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        api.put(raw("a"))
        eventually(lambda: names(source) == ["a"])
        api.end_watches(cut=cut)
        eventually(lambda: api.count(watch=True) == 2)
        api.put(raw("b"))
        eventually(lambda: names(source) == ["a", "b"])
    assert api.count(watch=False) == 1
    assert api.asked[-1]["resourceVersion"] == "101"


def test_gone(api: ApiServer, settings: config.Pods) -> None:
    """A version that the API server has forgotten leads to another list, a consistent one."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        with api.change:
            api.put(raw("a"))
            api.forget()
        api.end_watches()
        eventually(lambda: api.count(watch=False) == 2)
        eventually(lambda: names(source) == ["a"])
    assert "resourceVersion" not in [query for query in api.asked if "watch" not in query][1]


def test_gone_within_a_watch(api: ApiServer, settings: config.Pods) -> None:
    """So does an ERROR event with code 410."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        api.send('{"type": "ERROR", "object": {"kind": "Status", "code": 410}}')
        eventually(lambda: api.count(watch=False) == 2)
        assert source.read() == ()


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (401, Reason.PERMISSION, "token"),
        (403, Reason.PERMISSION, '"watch"'),
        (404, Reason.REJECTED, ""),
        (429, Reason.REJECTED, ""),
        (500, Reason.REJECTED, ""),
        ("html", Reason.MALFORMED, "identity.pods.server"),
        ("endless", Reason.TOO_LARGE, ""),
    ],
)
def test_bad_list(api: ApiServer, settings: config.Pods, fault: int | str, reason: Reason, words: str) -> None:
    """A list that is refused, no list or endless is named with its server and what to do, and recovers."""
    api.list_fault = fault
    with following(settings) as source:
        found = eventual_trouble(source, reason)
        assert api.url in found.message
        assert words in found.remedy
        api.list_fault = None
        eventually(lambda: source.read() == ())


def test_slow_list(api: ApiServer, settings: config.Pods) -> None:
    """An API server that does not answer ends the first read at its deadline."""
    api.list_fault = "hang"
    assert trouble(replace(settings, deadline=config.Seconds(0.3))).reason is Reason.TIMEOUT


def test_oversized_list(api: ApiServer, settings: config.Pods) -> None:
    """A list beyond the limit is refused by name."""
    for index in range(10):
        api.put(raw(f"p{index}", annotations={"a": "x" * 1000}))
    refused = trouble(replace(settings, max_body=config.Size(5000)))
    assert refused.reason is Reason.TOO_LARGE
    assert "identity.pods.max_body" in refused.remedy


def test_absent_server(api: ApiServer, settings: config.Pods) -> None:
    """Nobody there is refused, at once."""
    api.close()
    assert trouble(settings).reason is Reason.REFUSED


@pytest.mark.parametrize(("fault", "reason"), [(403, Reason.PERMISSION), ("html", Reason.MALFORMED)])
def test_bad_watch(api: ApiServer, settings: config.Pods, fault: int | str, reason: Reason) -> None:
    """While the watch is broken there is no answer, rather than an old one; it comes back with the watch."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        api.watch_fault = fault
        api.end_watches()
        eventual_trouble(source, reason)
        api.watch_fault = None
        api.put(raw("a"))
        eventually(lambda: names(source) == ["a"])


BAD_EVENTS = (
    "null",
    "[]",
    "{",
    "<html>",
    "[" * 100_000,
    "\udcff",
    '{"type": "ADDED"}',
    '{"type": "ADDED", "object": {"metadata": {}}}',
    '{"type": "NEW", "object": {"metadata": {"resourceVersion": "1"}}}',
)


@pytest.mark.parametrize("event", BAD_EVENTS, ids=range(len(BAD_EVENTS)))
def test_bad_event(api: ApiServer, settings: config.Pods, event: str) -> None:
    """An event that is none never ends the thread: the pods are listed anew."""
    api.put(raw("a"))
    with following(settings) as source:
        assert names(source) == ["a"]
        eventually(lambda: api.count(watch=True) == 1)
        api.send(event)
        eventually(lambda: api.count(watch=False) == 2)
        eventually(lambda: names(source) == ["a"])


MALFORMED = (
    {"name": "no-uid", "namespace": "ns"},
    {"name": "no-namespace", "uid": "u"},
    {"name": "", "namespace": "ns", "uid": "no-name"},
    {"name": 7, "namespace": "ns", "uid": "u"},
)


@pytest.mark.parametrize("metadata", MALFORMED, ids=range(len(MALFORMED)))
def test_a_pod_that_is_none(api: ApiServer, settings: config.Pods, metadata: Any) -> None:
    """A pod without UID, namespace or name is counted, in a list and in a watch, and costs no other."""
    bad = {"metadata": dict(metadata), "spec": {"nodeName": "n1"}, "status": {}}
    for pod in (raw("a"), bad, raw("b")):
        api.put(pod)
    with following(settings) as source:
        assert names(source) == ["a", "b"]
        assert source.malformed == 1
        eventually(lambda: api.count(watch=True) == 1)
        api.put(bad)
        api.put(raw("c"))
        eventually(lambda: names(source) == ["a", "b", "c"])
        assert source.malformed == 2
        assert api.count(watch=False) == 1
    assert source.malformed == 2


@pytest.mark.parametrize("bad", [None, 3, "pod", [], {"metadata": None}])
def test_an_item_that_is_no_pod(api: ApiServer, settings: config.Pods, bad: Any) -> None:
    """Nor does an item of another form."""
    api.put(raw("a"))
    body = json.loads(api.listed("n1"))
    body["items"].insert(0, bad)
    text = json.dumps(body).encode()
    api.listed = lambda node: text  # type: ignore[method-assign]  # what no API server of ours would list
    with following(settings) as source:
        assert names(source) == ["a"]
        assert source.malformed == 1


def test_a_thousand_pods(api: ApiServer, settings: config.Pods) -> None:
    """A thousand pods with the longest names, and labels with every trick of Unicode, are a thousand pods."""
    tricks = {
        "bidi": "\u202eevil",
        "nul": "a\x00b",
        "half": "\ud800",
        "line": "a\n\u2028b",
        "zero": "\u200b",
        "e\u0301": "\U0001f600",
    }
    for index in range(1000):
        api.put(raw(f"{index:04}" + "n" * 249, labels=tricks))
    with following(settings) as source:
        pods = source.read()
    assert [pod.name[:4] for pod in pods] == [f"{index:04}" for index in range(1000)]
    assert {len(pod.name) for pod in pods} == {253}
    assert pods[0].labels == {**tricks, "half": "?"}
    assert len({id(key) for pod in pods for key in pod.labels}) == len(tricks)


def test_too_many_pods(api: ApiServer, settings: config.Pods) -> None:
    """More pods than a node can have are refused: whoever listed them did not mind the field selector."""
    items = b",".join(b'{"metadata": {"uid": "%d", "namespace": "n", "name": "p"}}' % i for i in range(5001))
    api.listed = lambda node: b'{"metadata": {"resourceVersion": "1"}, "items": [' + items + b"]}"  # type: ignore[method-assign]  # as above
    refused = trouble(settings)
    assert (refused.reason, "nodeName" in refused.remedy) == (Reason.TOO_LARGE, True)


def test_told_to_wait(api: ApiServer, settings: config.Pods) -> None:
    """A Retry-After is minded, though our own pause is shorter."""
    api.list_fault, api.retry_after = 429, "3600"
    with following(settings) as source:
        refused = eventual_trouble(source, Reason.REJECTED)
        assert "429" in refused.message
        api.list_fault = None
        time.sleep(0.4)
        assert len(api.asked) == 1


def test_told_to_wait_a_little(api: ApiServer, settings: config.Pods) -> None:
    """And it ends; a date in it, which depends on two clocks, is left alone."""
    for given in ("0", "1", "Wed, 21 Oct 2099 07:28:00 GMT", "soon"):
        api.list_fault, api.retry_after = 503, given
        with following(settings) as source:
            eventual_trouble(source, Reason.REJECTED)
            api.list_fault = None
            eventually(lambda source=source: source.read() == ())  # type: ignore[misc]  # bound at once


def test_the_token_file_vanishes(api: ApiServer, settings: config.Pods) -> None:
    """Without its token file a watch that ends is not taken up again, and the file is named; it comes back with the file."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        Path(settings.token_file).unlink()
        api.end_watches()
        api.token = "another"
        found = eventual_trouble(source, Reason.MISSING)
        assert settings.token_file in found.message
        Path(settings.token_file).write_text("another")
        eventually(lambda: source.read() == ())


def test_the_clock_jumps(api: ApiServer, settings: config.Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set, back or forth by a day, costs nothing: no list, no trouble, no wait."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        for jump in (86_400.0, -86_400.0):
            now = time.time() + jump
            monkeypatch.setattr(time, "time", lambda now=now: now)
            api.put(raw(f"p{jump}"))
            eventually(lambda jump=jump: f"p{jump}" in names(source))  # type: ignore[misc]  # bound at once
        assert api.count(watch=False) == 1


def test_silent_watch(api: ApiServer, settings: config.Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch without events or bookmarks for too long is given up and taken anew."""
    monkeypatch.setattr(pods_api, "IDLE", 0.2)
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) >= 2)
        api.put(raw("a"))
        eventually(lambda: names(source) == ["a"])


def test_watch_that_ends_at_once(api: ApiServer, settings: config.Pods) -> None:
    """A server that ends every watch at once is not asked in a tight loop."""
    with following(settings) as source:
        source._backoff = (60.0, 60.0)
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        api.end_watches()
        time.sleep(0.1)
        assert api.count(watch=True) == 1
        assert source.read() == ()


def test_new_token(api: ApiServer, settings: config.Pods) -> None:
    """A token that was renewed in its file is used as soon as the old one is refused."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        api.token = "another"
        api.put(raw("a"))
        api.end_watches()
        eventual_trouble(source, Reason.PERMISSION)
        Path(settings.token_file).write_text("another")
        eventually(lambda: names(source) == ["a"])


def test_missing_files(settings: config.Pods, tmp_path: Path) -> None:
    """A token or CA file that is not there is named; an unknown authority is refused."""
    none = str(tmp_path / "none")
    for missing in (replace(settings, token_file=none), replace(settings, ca_file=none)):
        found = trouble(missing)
        assert (found.reason, none in found.message) == (Reason.MISSING, True)
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other")
    assert trouble(replace(settings, ca_file=str(other.ca))).reason is Reason.REFUSED


def test_no_node_name(settings: config.Pods) -> None:
    """Without the node's name every unscheduled pod would be ours: that is refused, with the remedy."""
    assert "NODE_NAME" in trouble(settings, node="").remedy


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address there is nobody to ask."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert trouble(config.Pods(source="api")).reason is Reason.MISSING


@pytest.mark.parametrize(
    ("source", "server", "host", "token", "expected"),
    [
        ("auto", "", "10.0.0.1", True, True),
        ("auto", "", "fd00::1", True, True),
        ("auto", "", "10.0.0.1", False, False),
        ("auto", "", "", True, False),
        ("auto", "http://127.0.0.1:8001", "", False, True),
        ("off", "http://127.0.0.1:8001", "10.0.0.1", True, False),
        ("api", "", "", False, True),
    ],
)
def test_available(tmp_path: Path, source: Any, server: str, host: str, token: bool, expected: bool) -> None:
    """`auto` is the API server where one is named, or in a pod with a service account."""
    path = tmp_path / "token"
    if token:
        path.write_text("t")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"} if host else {}
    assert available(config.Pods(source=source, server=server, token_file=str(path)), environ) is expected


def test_address_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is the kubelet's variables', IPv6 in brackets."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    assert PodsOfApiServer(config.Pods(), "n1").place == "https://[fd00::1]:6443"


def test_close_is_prompt(api: ApiServer, settings: config.Pods) -> None:
    """Closing ends the thread though its watch is silent."""
    with following(settings) as source:
        source.read()
        eventually(lambda: api.count(watch=True) == 1)
        thread = source._follow("api")._thread
    thread.join(30)
    assert not thread.is_alive()
