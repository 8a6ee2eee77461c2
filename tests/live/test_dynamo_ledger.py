# SPDX-License-Identifier: Apache-2.0
"""What the agent says of a live Dynamo, its frontend and two workers, is what the client of its requests knows."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from live.agent import Agent, agent_of
from live.client import Client
from live.dynamo import Dynamo, is_installed
from live.told import ROUTER, Bounds
from whole.agents import eventually
from whole.pages import values

pytestmark = pytest.mark.live

# A worker tells neither outcomes nor tokens; the frontend counts who hung up among those that finished, and no prompt tokens.
WORKER = Bounds(untold={"finished", "prompt tokens", "completion tokens"})
FRONTEND = Bounds(untold={"prompt tokens"}, counts_all=True)


class Scene(NamedTuple):
    """A model on two workers, its client, and the agent that scrapes all three pages."""

    dynamo: Dynamo
    client: Client
    agent: Agent


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if not is_installed():
        pytest.skip(".venv-dynamo is missing: run `make setup-dynamo`")
    folder: Path = tmp_path_factory.mktemp("ledger")
    with Dynamo(folder / "dynamo", workers=2, speedup=1.0) as dynamo:
        pages = [(dynamo.url, "frontend"), *((url, f"worker-{i}") for i, url in enumerate(dynamo.worker_urls))]
        with agent_of(folder / "agent", [(f"{url}/metrics", pod) for url, pod in pages]) as agent:
            yield Scene(dynamo, Client(dynamo.url, dynamo.model), agent)


def agrees(scene: Scene) -> None:
    """Hold the sum of both workers, and the frontend by itself, against the client's books."""
    ledger = scene.client.ledger("Dynamo 1.6.1 mocker")
    assert scene.agent.settled(ledger, WORKER) == []
    assert scene.agent.settled(ledger, FRONTEND, ROUTER) == []


def test_requests_tokens_and_latencies_are_the_clients(scene: Scene) -> None:
    """Streamed or not, one after another or at once: counted once, and at no bound slower than the client saw."""
    client = scene.client
    for number in range(4):
        client.chat(f"request {number}", tokens=8 + number, stream=number % 2 == 0)
    client.complete("once", tokens=5, stream=False)
    agrees(scene)
    client.together(*[lambda i=i: client.chat("at once" * (i + 1), tokens=20 + i) for i in range(8)])

    agrees(scene)

    def are_so() -> None:
        assert scene.agent.told(ROUTER).finished == {"success": 13}

    eventually(are_so)


def test_both_workers_count_their_own(scene: Scene) -> None:
    """Each has a share of the requests, and together they have all: nothing is counted twice under one name."""
    agrees(scene)

    def are_so() -> None:
        every = scene.agent.told().whole.all
        each = [scene.agent.told(k8s_pod_name=f"worker-{i}").whole.all for i in range(2)]
        assert all(each)
        assert sum(each) == every == len(scene.client.ledger("").finished)
        assert scene.agent.told(k8s_pod_name="frontend").whole.all == 0
        kinds = values(scene.agent.page(), "inference_engine_info", "k8s_pod_name", "inference_engine_kind")
        assert kinds == {("frontend", "router"): 1.0, ("worker-0", "engine"): 1.0, ("worker-1", "engine"): 1.0}

    eventually(are_so)


def test_who_hangs_up_is_known_by_the_first_token(scene: Scene) -> None:
    """A request that its client left is in no duration of a worker's; first tokens less finished tells how many there are.

    The workers count them too: that is what the agent says, once.
    """
    client = scene.client
    agrees(scene)
    client.together(*[lambda: client.hang_up("leaves after three", tokens=2000, after=3)] * 4)

    agrees(scene)

    def are_so() -> None:
        assert scene.agent.told().hung_up == 4
        page = scene.agent.page()
        aborted = values(page, "inference_requests_aborted_total", "inference_abort_evidence", "k8s_pod_name")
        assert {evidence for evidence, _ in aborted} == {"measured"}
        assert sum(aborted.values()) == 4
        assert scene.agent.told(ROUTER).finished["abort"] == 4

    eventually(are_so)


def test_what_runs_is_seen_while_it_runs(scene: Scene) -> None:
    """Requests under way are running or waiting at an engine, and gone from there when they end."""
    client = scene.client
    agrees(scene)
    most = 0.0

    def watch() -> None:
        nonlocal most
        while scene.agent.told().first.all < before + 4:
            pass
        while told := scene.agent.told():
            most = max(most, told.running or 0.0)
            if not told.running:
                return

    asks = [lambda: client.chat("a long one", tokens=300) for _ in range(4)]
    for _ in range(5):  # on a machine that stalls they may be over before anybody looks
        before = scene.agent.told().first.all
        client.together(*asks, watch)  # type: ignore[arg-type]  # it is watched in the company of the requests
        agrees(scene)
        if most:
            break

    assert 1 <= most <= 4
    agrees(scene)


@pytest.mark.parametrize(
    ("options", "provider", "untold"),
    [
        (("--engine-type", "sglang"), "sglang", {"prompt tokens", "completion tokens"}),
        (("--engine-type", "trtllm"), "trtllm", WORKER.untold),
        (("--data-parallel-size", "2"), "vllm", WORKER.untold),
    ],
    ids=["sglang", "trtllm", "two ranks"],
)
def test_a_worker_of_another_kind(
    tmp_path: Path, options: tuple[str, ...], provider: str, untold: Collection[str]
) -> None:
    """A worker that speaks as SGLang, as TensorRT-LLM, or for two ranks: the same requests give the same numbers."""
    if not is_installed():
        pytest.skip(".venv-dynamo is missing: run `make setup-dynamo`")
    with (
        Dynamo(tmp_path / "dynamo", speedup=1.0, worker_options=options) as dynamo,
        agent_of(tmp_path / "agent", [(f"{dynamo.worker_url}/metrics", "worker-0")]) as agent,
    ):
        client = Client(dynamo.url, dynamo.model)
        client.chat("once", tokens=8)
        client.together(*[lambda: client.chat("at once", tokens=20)] * 4)
        client.together(*[lambda: client.hang_up("leaves after three", tokens=2000, after=3)] * 3)

        assert agent.settled(client.ledger(dynamo.model), Bounds(untold=untold)) == []

        def are_so() -> None:
            assert agent.told().hung_up == 3
            info = values(agent.page(), "inference_engine_info", "gen_ai_provider_name", "inference_engine_kind")
            assert info == {(provider, "engine"): 1.0}

        eventually(are_so)
