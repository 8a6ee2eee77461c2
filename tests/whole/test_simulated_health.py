# SPDX-License-Identifier: Apache-2.0
"""A GPU falls ill and is mended, from the driver's answers to the page: its state, every cause, and the count of GPUs."""

from collections.abc import Iterator

import pytest

from inferometer import app
from inferometer.simulation.node import SimulatedNode
from whole.agents import agent_on, page_where
from whole.pages import Page, values


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


def is_well(page: Page) -> None:
    assert set(states(page).values()) == {"ok"}
    assert sum(counted(page).values()) == 8.0
    assert not counted(page).keys() & {("unhealthy",), ("unknown",)}


def test_a_gpu_falls_ill_and_is_mended(node: SimulatedNode, agent: app.Agent) -> None:
    """A pending row degrades it, a link as well, and with it the fabric; the driver's word that it needs a reset fails it; the reset ends it."""
    well = counted(page_where(agent, is_well))
    ill = {("4", "degraded", cause) for cause in ("row_remap_pending", "nvlink_down", "fabric_degraded_bandwidth")}

    node.remap_row(4)
    node.nvlink(4, 3)

    def is_ill(page: Page) -> None:
        assert causes(page) == ill
        assert states(page)["4"] == "degraded"
        assert counted(page) == well

    page_where(agent, is_ill)

    def has_failed(page: Page) -> None:
        assert states(page)["4"] == "failed"
        assert causes(page) == {*ill, ("4", "failed", "reset_required")}
        assert counted(page)[("unhealthy",)] == 1.0
        assert sum(counted(page).values()) == 8.0

    node.recovery_action(4, "gpu_reset")
    page_where(agent, has_failed)

    def is_mended(page: Page) -> None:
        is_well(page)
        assert not causes(page)
        assert counted(page) == well

    node.nvlink(4, 3, up=True)
    node.reset_gpu(4)
    page_where(agent, is_mended)


def test_a_gpu_that_hangs_has_failed_and_is_counted_so(node: SimulatedNode, agent: app.Agent) -> None:
    """Its one cause is that it does not answer; the number of GPUs stays."""
    page_where(agent, is_well)

    node.hang_gpu(6)

    def has_failed(page: Page) -> None:
        assert causes(page) == {("6", "failed", "unresponsive")}
        assert states(page)["6"] == "failed"
        assert counted(page)[("unhealthy",)] == 1.0
        assert sum(counted(page).values()) == 8.0

    page_where(agent, has_failed)
