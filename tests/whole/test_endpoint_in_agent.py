# SPDX-License-Identifier: Apache-2.0
"""The agent's endpoint as a whole: what it says of those it turned away, and that no source can hold it up."""

from pathlib import Path

from inferometer import catalog
from inferometer.config import Server, ServerAuth
from inferometer.simulation.node import SimulatedNode
from serving import ask, wait_until
from whole.agents import agent_on, await_that

TOKEN = "a-token-of-the-scraper"


def test_refusals_are_on_the_page(tmp_path: Path) -> None:
    """Every reason stands on /metrics from the first snapshot on, and whoever was turned away is there with the next."""
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    node = SimulatedNode(seed=3)
    with node, agent_on(node, server=Server(auth=ServerAuth(tokens_file=str(tokens)))) as agent:
        port = int(agent.url.rpartition(":")[2])

        def page() -> str:
            response, body = ask(port, Authorization=f"Bearer {TOKEN}")
            return body.decode() if response.status == 200 else ""

        first = page()
        for reason in catalog.REFUSAL.values:
            line = f'inferometer_server_refusals_total{{inferometer_server_refusal="{reason}",inferometer_simulated="true"}}'
            assert line in first
        for _ in range(3):
            assert ask(port)[0].status == 401
        mine = 'refusals_total{inferometer_server_refusal="no_credentials",inferometer_simulated="true"} 3.0\n'
        await_that(lambda: mine in page(), "the three")
        tokens.write_bytes(b"\xff")
        assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 503
        tokens.write_text(TOKEN)
        mine = 'file_errors_total{inferometer_server_file="tokens",inferometer_simulated="true"} 1.0\n'
        await_that(lambda: mine in page(), "the file that could not be used")


def test_sources_that_hang_hold_up_no_scrape() -> None:
    """While the driver hangs and engines say nothing the page is served, with what goes on and without what does not."""
    node = SimulatedNode(seed=3)
    with node, agent_on(node) as agent:
        port = int(agent.url.rpartition(":")[2])

        def page() -> str:
            response, body = ask(port)
            assert response.status == 200
            return body.decode()

        await_that(lambda: "\nhw_power_watts{" in page(), "power")
        for index in range(8):
            node.hang_gpu(index)
        wait_until(lambda: "\nhw_power_watts{" not in page())
        assert '\ninferometer_source_up{inferometer_source_name="nvidia"' in page()
