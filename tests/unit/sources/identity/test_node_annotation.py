# SPDX-License-Identifier: Apache-2.0
"""The annotation of this node by which an operator speaks to the agent."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.sources.identity import node_watch
from inferometer.sources.identity.node import GRANT, Node
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue

KEY = "example.com/release"
Told = list[bool | None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with ApiServer(certificates) as server:
        yield server


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def source(api: ApiServer, certificates: Certificates, tmp_path: Path, told: Told) -> Iterator[Node]:
    (tmp_path / "token").write_text(api.token)
    settings = config.Pods(
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
        max_body=config.Size(1 << 20),
    )
    with closing(Node(settings, "n1", KEY, 5.0, told.append)) as source:
        yield source


@pytest.mark.parametrize(
    ("annotations", "wanted"),
    [
        ({KEY: "true"}, True),
        ({KEY: "false"}, False),
        ({KEY: ""}, False),
        ({"example.com/other": "true"}, False),
        (None, False),
    ],
)
def test_only_the_value_true_of_this_key_counts(
    api: ApiServer, source: Node, told: Told, annotations: dict[str, str] | None, wanted: bool
) -> None:
    """Another value, another key or no annotations at all want nothing; each answer is told."""
    api.put_node("n1", annotations)
    api.put_node("n2", {KEY: "true"})

    assert source.read() is wanted

    assert told == [wanted]
    assert api.nodes_asked == ["/api/v1/nodes/n1"]


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.01)


def test_a_change_is_heard_without_a_question(api: ApiServer, source: Node, told: Told) -> None:
    """The annotation of this node is watched from what was answered on: each change is told, another node's is not."""
    api.put_node("n1", {})
    assert source.read() is False
    wait_for(lambda: bool(api.nodes_watched))

    api.put_node("n2", {KEY: "true"})
    api.put_node("n1", {KEY: "true"})
    wait_for(lambda: told == [False, True])
    assert source.read() is True
    api.put_node("n1", None)
    wait_for(lambda: told == [False, True, True, False])

    assert source.read() is False
    assert api.nodes_asked == ["/api/v1/nodes/n1"]
    (query,) = api.nodes_watched
    assert query["fieldSelector"] == "metadata.name=n1"
    assert "PartialObjectMetadata" in query["accept"]


def test_a_watch_that_is_refused_leaves_the_questions(api: ApiServer, source: Node, told: Told) -> None:
    """Whoever may only get the node is asked at each read, as before, and the watch is not tried again for a while."""
    api.put_node("n1", {})
    api.node_watch_fault = 403
    source.read()
    wait_for(lambda: source._watch is None or not source._watch.lasts)

    for annotations, wanted in (({KEY: "true"}, True), ({}, False)):
        api.put_node("n1", annotations)
        assert source.read() is wanted

    assert told == [False, True, False]
    assert len(api.nodes_watched) == 1


@pytest.mark.parametrize(
    "event",
    [
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"type": "ERROR", "object": {"kind": "Status", "code": 410}}',
        '{"type": "DELETED", "object": {"metadata": {"name": "n1", "resourceVersion": "9"}}}',
        '{"type": "MODIFIED", "object": {"metadata": {"name": "n2", "resourceVersion": "9"}}}',
        '{"type": "MODIFIED", "object": {"metadata": {"name": "n1", "resourceVersion": "9", "annotations": [1]}}}',
    ],
)
def test_a_watch_that_makes_no_sense_ends_and_the_node_is_asked(
    api: ApiServer, source: Node, told: Told, event: str
) -> None:
    """An event that is none, another node's, a version that is too old: nothing is told of it, and the next read asks."""
    api.put_node("n1", {KEY: "true"})
    source.read()
    wait_for(lambda: bool(api.nodes_watched))
    watch = source._watch
    assert watch is not None

    api.send(event)
    wait_for(lambda: not watch.lasts)
    assert told == [True]
    assert source.read() is True

    assert len(api.nodes_asked) == 2
    wait_for(lambda: len(api.nodes_watched) == 2)


def test_a_watch_that_ends_in_time_goes_on_from_where_it_was(
    api: ApiServer, source: Node, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a question: from the version of the newest event, bookmarks among them."""
    monkeypatch.setattr(node_watch, "_SHORTEST", 0.0)
    api.put_node("n1", {})
    source.read()
    wait_for(lambda: bool(api.nodes_watched))
    api.bookmark()
    api.put_node("n1", {KEY: "true"})
    wait_for(lambda: told == [False, True])

    api.end_watches()
    wait_for(lambda: len(api.nodes_watched) == 2)
    api.put_node("n1", {})
    wait_for(lambda: told == [False, True, False])

    first, second = (int(query["resourceVersion"]) for query in api.nodes_watched)
    assert second > first
    assert len(api.nodes_asked) == 1


def test_a_watch_that_is_cut_off_leaves_what_is_known(api: ApiServer, source: Node, told: Told) -> None:
    """A connection that breaks says nothing of the node."""
    api.put_node("n1", {KEY: "true"})
    source.read()
    wait_for(lambda: bool(api.nodes_watched))
    watch = source._watch
    assert watch is not None

    api.end_watches(cut=True)
    wait_for(lambda: not watch.lasts)

    assert told == [True]
    assert source.read() is True


def test_closing_ends_the_watch(api: ApiServer, source: Node) -> None:
    """No thread and no connection stays behind."""
    api.put_node("n1", {})
    source.read()
    watch = source._watch
    assert watch is not None

    source.close()

    wait_for(lambda: not watch.lasts)


def test_it_is_asked_every_ten_seconds_at_most(source: Node) -> None:
    """A short period of the agent's does not make it ask the API server more often."""
    assert source.period == 10.0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(403, Reason.PERMISSION), (404, Reason.MISSING), (500, Reason.REJECTED), ("html", Reason.MALFORMED)],
)
def test_a_failure_wants_nothing_and_is_told(
    api: ApiServer, source: Node, told: Told, fault: int | str, reason: Reason
) -> None:
    """A refusal, a node that is not there or what is no node is a trouble; nothing is said of what is wanted."""
    api.put_node("n1", {KEY: "true"})
    api.node_fault = fault

    with pytest.raises(Trouble) as caught:
        source.read()

    assert (caught.value.reason, told) == (reason, [None])
    api.node_fault = None
    assert source.read()


def test_a_right_that_is_missing_is_named(api: ApiServer, source: Node) -> None:
    """The remedy is the rule to grant."""
    api.node_fault = 403

    with pytest.raises(Trouble) as caught:
        source.read()

    assert caught.value.remedy == GRANT


@pytest.mark.parametrize("node", [[], {}, {"metadata": None}, {"metadata": {"annotations": [1]}}])
def test_what_is_no_node_is_malformed(api: ApiServer, source: Node, node: object) -> None:
    """JSON of another form is no answer."""
    api.nodes["/api/v1/nodes/n1"] = node

    with pytest.raises(Trouble) as caught:
        source.read()

    assert caught.value.reason is Reason.MALFORMED
