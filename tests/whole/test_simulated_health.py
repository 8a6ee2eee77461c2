# SPDX-License-Identifier: Apache-2.0
"""A GPU falls ill and is mended, from the driver's answers to the page: its state, every cause, and the count of GPUs."""

from collections.abc import Iterator

import pytest

from inferometer import app
from inferometer.simulation.node import SimulatedNode
from whole.agents import agent_on, await_that
from whole.pages import Page, scrape, values


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node whose time stands still."""
    node = SimulatedNode(seed=7)
    node.pause()
    with node:
        yield node


@pytest.fixture
def agent(node: SimulatedNode) -> Iterator[app.Agent]:
    with agent_on(node) as agent:
        yield agent


def states(page: Page) -> dict[str | None, str | None]:
    """Give each GPU's index and the one state that it is in."""
    told = [key for key, value in values(page, "hw_status", "gpu_index", "hw_state").items() if value]
    found = {key[0]: key[1] for key in told}
    assert len(told) == len(found) == 8
    return found


def causes(page: Page) -> set[tuple[str | None, ...]]:
    return set(values(page, "gpu_health_reason", "gpu_index", "hw_state", "gpu_health_cause"))


def counted(page: Page) -> dict[tuple[str | None, ...], float]:
    return {state: number for state, number in values(page, "gpu_devices", "gpu_state").items() if number}


def test_a_gpu_falls_ill_and_is_mended(node: SimulatedNode, agent: app.Agent) -> None:
    """A pending row degrades it, a link as well, and with it the fabric; the driver's word that it needs a reset fails it; the reset ends it."""
    await_that(lambda: set(states(scrape(agent.url)).values()) == {"ok"}, "a healthy node")
    well = counted(scrape(agent.url))
    assert sum(well.values()) == 8.0 and ("unhealthy",) not in well
    ill = {("4", "degraded", cause) for cause in ("row_remap_pending", "nvlink_down", "fabric_degraded_bandwidth")}

    node.remap_row(4)
    node.nvlink(4, 3)
    await_that(lambda: causes(scrape(agent.url)) == ill, "all causes")
    assert states(scrape(agent.url))["4"] == "degraded"
    assert counted(scrape(agent.url)) == well

    node.recovery_action(4, "gpu_reset")
    await_that(lambda: states(scrape(agent.url))["4"] == "failed", "the driver's verdict")
    page = scrape(agent.url)
    assert causes(page) == {*ill, ("4", "failed", "reset_required")}
    assert counted(page)[("unhealthy",)] == 1.0
    assert sum(counted(page).values()) == 8.0

    node.nvlink(4, 3, up=True)
    node.reset_gpu(4)
    await_that(lambda: not causes(scrape(agent.url)), "the end of it")
    assert counted(scrape(agent.url)) == well


def test_a_gpu_that_hangs_has_failed_and_is_counted_so(node: SimulatedNode, agent: app.Agent) -> None:
    """Its one cause is that it does not answer; the number of GPUs stays."""
    await_that(lambda: len(values(scrape(agent.url), "gpu_info", "gpu_index")) == 8, "eight GPUs")

    node.hang_gpu(6)

    await_that(lambda: causes(scrape(agent.url)) == {("6", "failed", "unresponsive")}, "the cause")
    page = scrape(agent.url)
    assert states(page)["6"] == "failed"
    assert counted(page)[("unhealthy",)] == 1.0
    assert sum(counted(page).values()) == 8.0
