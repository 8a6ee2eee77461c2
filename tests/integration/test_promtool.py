# SPDX-License-Identifier: Apache-2.0
"""promtool reads the agent's page."""

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on
from integration.programs import Needs, call
from whole.pages import get


def test_promtool_reads_the_page_and_finds_nothing_to_say(node: SimulatedNode, needs: Needs) -> None:
    """`promtool check metrics` parses every line, and its lints of names, units, types and help are silent."""
    needs("promtool")
    with agent_on(node) as agent:
        page = get(f"{agent.url}/metrics", accept="text/plain;version=0.0.4")

    answer = call("promtool", "check", "metrics", text=page)

    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize("broken", ["hw_power_watts{hw_id=\n", "# TYPE a counter\na 1\na 1\n"])
def test_promtool_would_have_found_something(needs: Needs, broken: str) -> None:
    """The check above is no empty one: a page that is cut off, or badly named, is refused."""
    needs("promtool")
    assert call("promtool", "check", "metrics", text=broken).returncode != 0
