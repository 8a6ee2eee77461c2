# SPDX-License-Identifier: Apache-2.0
"""What the agent says of a real vLLM is what its client knows: streams, preemption, adapters, hang-ups, several processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from engines.own_words import disagreements, misjudged
from engines.recorded import record
from engines.vllm import ADAPTER, MODEL, Vllm, is_installed
from live.agent import Agent, agent_of
from live.client import Client
from live.ledger import Exchange
from live.told import Bounds, Told, differences
from whole.pages import Page, scrape, values

pytestmark = pytest.mark.live

# vLLM's server hands on what there is before it looks at its connections. Where the engine makes more than that on a few cores,
# it hears of a hang-up, and even sends the first token, when all is made: then the request has finished like any other.
BOUNDS = Bounds(way=5.0, may_finish=True)
_TRIES = 10


class Scene(NamedTuple):
    """An engine with its client and the agent that scrapes it."""

    engine: Vllm
    client: Client
    agent: Agent
    options: tuple[str, ...]

    def agrees(self) -> None:
        """Hold what the agent says of the engine at rest against the client's books, and against the engine's own page."""
        ledger = self.client.ledger(MODEL)

        def differ(page: Page) -> list[str]:
            own = self.engine.page()
            return [
                *differences(Told.read(page), ledger, BOUNDS),
                *disagreements(page, own),
                *misjudged(page, own),
            ]

        assert self.agent.agreed(differ) == []

    def keep(self, name: str) -> None:
        """Record the page of the engine at rest, with the books."""
        self.agrees()
        record(f"vllm/real_v0.32.0_cpu_{name}", self.engine.page(), self.client.ledger("vLLM 0.32.0", self.options))


@contextmanager
def scene(directory: Path, *options: str) -> Iterator[Scene]:
    """Start an engine with these options."""
    if not is_installed():
        pytest.skip(".venv-vllm is missing: run `make setup-engines`")
    with (
        Vllm(directory / "vllm", options) as engine,
        agent_of(directory / "agent", [(f"{engine.url}/metrics", "vllm-0")]) as agent,
    ):
        yield Scene(engine, Client(engine.url, MODEL), agent, options)


def in_turn(client: Client) -> None:
    """Ask one thing after another, streamed or not, of either API, and for two answers at once."""
    for number in range(6):
        client.chat(f"request {number}", tokens=8 + number, stream=number % 2 == 0)
    client.complete("once", tokens=5)
    client.complete("twice", tokens=6, n=2, stream=False)


def hang_ups(here: Scene, count: int) -> None:
    """Leave after three tokens, all at once, and then one by one until the engine hears of one before it is done."""

    def leave() -> Exchange:
        return here.client.hang_up("leaves after three tokens", tokens=3500, after=3)

    here.client.together(*[leave] * count)
    here.agrees()
    for _ in range(_TRIES):
        if here.agent.told().hung_up:
            return
        leave()
        here.agrees()
    raise AssertionError(f"the engine finished all that {count + _TRIES} clients had left")


def test_one_server_with_adapters_under_pressure(tmp_path: Path) -> None:
    """Adapters, refusals, a KV cache that is too small, and clients that leave: every number is the clients'."""
    options = (
        *("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"{ADAPTER}={{adapter}}"),
        *("--num-gpu-blocks-override", "128", "--enable-mfu-metrics"),
    )
    with scene(tmp_path, *options) as here:
        client = here.client
        in_turn(client)
        client.chat("by the adapter", tokens=9, model=ADAPTER)
        assert client.chat("for nobody", tokens=4, model="nobody").outcome == "refused"
        here.agrees()
        client.together(*[lambda i=i: client.chat("p" * 150 + str(i), tokens=800) for i in range(8)])
        here.agrees()
        hang_ups(here, 4)
        client.hang_up("leaves before the first token", tokens=3500, after=0)
        here.agrees()

        page = scrape(here.agent.url)
        assert sum(values(page, "inference_preemptions_total").values()) > 0
        assert values(page, "inference_requests_running", "gen_ai_request_model") == {(MODEL,): 0.0}
        here.keep("lora_preempted")


def test_two_servers_of_one_engine(tmp_path: Path) -> None:
    """Two API servers share one page, without process metrics and start times: each request is counted once."""
    with scene(tmp_path, "--api-server-count", "2") as here:
        in_turn(here.client)
        here.client.together(*[lambda: here.client.chat("at once", tokens=40)] * 8)
        hang_ups(here, 6)
        here.keep("two_servers")


def test_two_ranks_of_one_model(tmp_path: Path) -> None:
    """Data parallelism: each rank has series of its own, and together they are what the client knows."""
    with scene(tmp_path, "--data-parallel-size", "2") as here:
        in_turn(here.client)
        here.client.together(*[lambda: here.client.chat("at once", tokens=40)] * 8)
        hang_ups(here, 6)
        page = scrape(here.agent.url)
        counts = values(page, "gen_ai_server_request_duration_seconds_count", "inference_engine_rank")
        assert counts.keys() == {("0",), ("1",)}
        assert all(counts.values())
        here.keep("two_ranks")
