# SPDX-License-Identifier: Apache-2.0
"""The inference simulator of llm-d under real requests: what the agent says of it is what its client knows.

Version 0.10.2 writes vLLM's names without an `engine` label, its finish reasons under `finish_reason`, and runs a
request to its end when the client hangs up. It has no option for its address: it listens on all of them while it runs.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from integration.programs import Needs, find
from live.agent import Agent, agent_of
from live.client import Client
from live.ledger import Exchange
from live.processes import await_ready, end, free_port, get, spawn
from live.told import Bounds, Told
from whole.agents import await_that
from whole.pages import Page, values

FIRST, EACH = 0.05, 0.005  # seconds, to the first token and to each further one
BOUNDS = Bounds(first=FIRST, whole=FIRST, counts_all=True)
OPTIONS = (
    *("--model", "tiny", "--force-dummy-tokenizer", "--max-num-seqs", "4", "--max-waiting-queue-length", "4"),
    *("--latency-calculator", "constant", "--time-to-first-token", "50ms", "--inter-token-latency", "5ms"),
)


class Scene(NamedTuple):
    """A simulator's client, and the agent that scrapes it."""

    client: Client
    agent: Agent

    def agrees(self) -> None:
        assert self.agent.settled(self.client.ledger("sim"), BOUNDS) == []


def tokens_of(content: str) -> int:
    """Count the words, and those of the template that it puts around a message."""
    return len(content.split()) + 5


@pytest.fixture
def scene(tmp_path: Path, needs: Needs) -> Iterator[Scene]:
    needs("llm-d-inference-sim")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = (find("llm-d-inference-sim"), *OPTIONS, "--port", str(port))
    processes = [spawn(command, tmp_path / "sim.log", {"HOME": str(tmp_path)})]
    try:
        await_ready(lambda: bool(get(f"{url}/metrics")), processes, tmp_path, 30)
        with agent_of(tmp_path / "agent", [(f"{url}/metrics", "sim-0")]) as agent:
            yield Scene(Client(url, "tiny", tokens_of), agent)
    finally:
        end(processes)


def test_what_is_said_is_what_the_client_knows(scene: Scene) -> None:
    """Streamed or not, of either API, in turn or at once: exact counts, and latencies within the client's."""
    client = scene.client
    for number in range(6):
        client.chat(f"request {number}", tokens=8 + number, stream=number % 2 == 0)
    client.complete("once", tokens=5)
    client.complete("not streamed", tokens=5, stream=False)
    client.together(*[lambda: client.chat("at once", tokens=20)] * 4)
    scene.agrees()


def test_finish_reasons_are_told_apart(scene: Scene) -> None:
    """One answer ends at its length and one by itself: `finish_reason` is read as vLLM's own `finished_reason` is."""
    client = scene.client
    client.chat("to the limit", tokens=5)
    while client.chat("to its end", tokens=200, may_end=True).completion == 200:
        pass
    client.chat("to the limit again", tokens=6)

    scene.agrees()
    assert scene.agent.agreed(lambda page: sorted({"length", "stop"} ^ Told.read(page).finished.keys())) == []


def test_a_queue_is_seen_and_what_it_does_not_take_is_no_request(scene: Scene) -> None:
    """Of eight at once four run and four wait, and one more is refused: refusals are in no counter of requests."""
    client, most, waiting = scene.client, [0.0, 0.0], [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            told = scene.agent.told()
            waiting[0] = told.waiting or 0.0
            most[:] = max(most[0], told.running or 0.0), max(most[1], waiting[0])

    def ask() -> Exchange:
        return client.chat("at once", tokens=400)

    def is_crowded() -> bool:
        """Whether the queue was seen, and full; where the machine stalls it may be neither.

        The simulator takes in eight requests at a time, and loses without an answer what comes meanwhile (`WriteToChannel`).
        """
        await_that(lambda: not waiting[0], "an empty queue")
        with ThreadPoolExecutor(1) as pool:
            crowd = pool.submit(client.together, *[ask] * 8)
            while waiting[0] < 3 and not crowd.done():
                time.sleep(0.01)
            last = ask()
            crowd.result()
        return most[0] >= 4 and most[1] >= 3 and last.outcome == "refused"

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        await_that(is_crowded, "a full queue", 60)
    finally:
        over.set()
        watcher.join()

    assert most == [4.0, pytest.approx(4, abs=1)]
    scene.agrees()


def test_who_hangs_up_is_served_to_the_end(scene: Scene) -> None:
    """The simulator does not notice: such requests are finished ones to it, and to the agent."""
    scene.client.together(*[lambda: scene.client.hang_up("leaves after three", tokens=100, after=3)] * 4)

    scene.agrees()

    def differ(page: Page) -> list[str]:
        told = Told.read(page)
        info = values(page, "inference_engine_info", "inference_engine_kind", "gen_ai_provider_name")
        said = sum(told.finished.values()), told.hung_up, info
        return [] if said == (4, 0, {("engine", "vllm"): 1.0}) else [repr(said)]

    assert scene.agent.agreed(differ) == []
