# SPDX-License-Identifier: Apache-2.0
"""The annotation of this node by which an operator speaks to the agent."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from inferometer import config
from inferometer.model import Reason, Trouble
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
        deadline=config.Seconds(3),
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
