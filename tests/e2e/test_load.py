# SPDX-License-Identifier: Apache-2.0
"""What one agent costs the API server: what it asked by the API server's own log, and the bytes that went over the wire."""

import base64
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from e2e import relay
from e2e.agent import Agent, running
from e2e.kube import wait
from e2e.node import API_PORT, NAME, Node
from e2e.nvidia import GPU_CLASS, NVIDIA, claim_driver
from e2e.pods import container, device_class, pod, request, template
from e2e.scenes import Space, agreed
from whole.pages import values

HOLDERS = 4  # pods that are there when the agent starts
LIVES = 5  # pods that come and go
COUNTED = "counted"  # the agent
REVIEWS = {"tokenreviews", "subjectaccessreviews"}  # what an agent with guarded pages asks about their readers
KEYS = ("inferometer_api_verb", "inferometer_api_resource")


class Counted(NamedTuple):
    """How many questions of each kind, and bytes to and from the API server."""

    asked: Counter[tuple[str | None, ...]]  # by verb and resource
    sent: int
    received: int
    told: float  # bytes received, as the agent counts them: without TLS and without the head of an answer

    def __sub__(self, before: "Counted") -> "Counted":
        sent, received = self.sent - before.sent, self.received - before.received
        return Counted(self.asked - before.asked, sent, received, self.told - before.told)


@pytest.fixture(autouse=True)
def _driver(node: Node, gpus: dict[str, str], space: Space) -> Iterator[None]:
    with claim_driver(node, gpus), space:
        node.api.create(device_class(NVIDIA, GPU_CLASS))
        space.make(template("own", request("gpu", NVIDIA)))
        yield
        node.api.delete("DeviceClass", NVIDIA)


@contextmanager
def relayed(node: Node) -> Iterator[Path]:
    """Relay to the API server; gives the file in which the bytes are counted."""
    file = node.scratch / "relayed"
    process = node.run("relay", (sys.executable, "-I", relay.__file__, str(API_PORT), file))
    wait("the relay", file.exists)
    try:
        yield file
    finally:
        process.end()


def questions(node: Node) -> list[Any]:
    """What the API server's audit log says of the agent, each question once."""
    lines = node.audit_log.read_text().rpartition("\n")[0].splitlines()  # the last one may be half written
    return list({event["auditID"]: event for event in map(json.loads, lines)}.values())


def count(node: Node, agent: Agent, file: Path) -> Counted:
    """Count what this one agent has asked, told by its token, and its bytes."""
    told = values(agent.page(), "inferometer_api_received_bytes_total", *KEYS)
    # After the page: whatever the agent has counted has passed there.
    _, sent, received = map(int, file.read_text().split())
    who = f"JTI={_claims_of((node.scratch / COUNTED / 'token').read_text())['jti']}"
    asked: Counter[tuple[str | None, ...]] = Counter()
    asked.update((e["verb"], e["objectRef"]["resource"]) for e in questions(node) if _asker(e) == who)
    return Counted(asked, sent, received, sum(told.values()))


def told(agent: Agent) -> Counter[tuple[str | None, ...]]:
    """What the agent says that it asked."""
    return Counter({k: int(v) for k, v in values(agent.page(), "inferometer_api_requests_total", *KEYS).items()})


def test_an_agent_asks_for_little_and_of_its_own_node_alone(
    node: Node, account: str, gpus: dict[str, str], space: Space
) -> None:
    """Nothing cluster-wide, each claim once, and what the agent counts of it is what the API server has seen."""
    holders = [pod(f"h{i}", container(claims=[{"name": "g"}]), templates={"g": "own"}) for i in range(HOLDERS)]
    space.start(*holders)
    with relayed(node) as file:
        server = f"https://127.0.0.1:{file.read_text().split()[0]}"
        with running(node, account, gpus, name=COUNTED, server=server) as agent:
            agreed(node, agent, HOLDERS)
            start = count(node, agent, file)
            for i in range(LIVES):
                space.start(pod(f"l{i}", container(claims=[{"name": "g"}]), templates={"g": "own"}))
                agreed(node, agent, HOLDERS + 1)
                space.stop(f"l{i}")
                agreed(node, agent, HOLDERS)
            wait("the log to be the agent's count", lambda: told(agent) == count(node, agent, file).asked)
            end = count(node, agent, file)

    lives = end - start
    print(f"\nstart of an agent with {HOLDERS} pods: {start}\n{LIVES} lives of a pod: {lives}")
    assert {e["user"]["username"] for e in questions(node)} == {f"system:serviceaccount:inferometer:{account}"}
    others = [e for e in questions(node) if e["objectRef"]["resource"] not in REVIEWS]
    assert [e["requestURI"] for e in others if not _is_of_the_node(e)] == []
    assert end.asked["get", "resourceclaims"] <= HOLDERS + 2 * LIVES
    assert lives.received / LIVES < 100_000
    assert 0.9 * end.received < end.told <= end.received


def _asker(event: Any) -> str:
    (token,) = event["user"]["extra"]["authentication.kubernetes.io/credential-id"]
    return str(token)


def _claims_of(token: str) -> Any:
    """Give what a token (RFC 7519) says of itself."""
    said = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))


def _is_of_the_node(event: Any) -> bool:
    """Whether it is a question for one claim, or for pods or slices of this node."""
    resource, verb = event["objectRef"]["resource"], event["verb"]
    if (verb, resource) == ("get", "resourceclaims"):
        return "name" in event["objectRef"]
    (selector,) = parse_qs(urlsplit(event["requestURI"]).query).get("fieldSelector", [""])
    return resource in {"pods", "resourceslices"} and selector == f"spec.nodeName={NAME}"
