# SPDX-License-Identifier: Apache-2.0
"""What the whole agent says of simulated GPUs at work, and of their faults, against the ledger, value by value."""

from collections.abc import Iterator

import pytest

from inferometer import app
from inferometer.simulation.ledger import DeviceLedger, Ledger
from inferometer.simulation.node import SimulatedNode
from whole.agents import agent_on, await_that, page_where
from whole.pages import Page, scrape, values

Values = dict[tuple[str | None, ...], float]

# GPM's shares: the metric, without its root, and the ledger's name of the part.
_ACTIVITIES = {
    "graphics_activity": "graphics",
    "sm_activity": "sm",
    "sm_occupancy": "occupancy",
    "tensor_activity": "tensor",
    "dram_activity": "dram",
}
_PIPES = {"tensor_hmma": "hmma", "integer": "integer", "fp32": "fp32", "fp16": "fp16"}


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node whose time stands still."""
    node = SimulatedNode(seed=7)
    node.pause()
    with node:
        yield node


@pytest.fixture
def agent(node: SimulatedNode) -> Iterator[app.Agent]:
    """An agent that has read it."""
    with agent_on(node) as agent:
        # GPM's first values are of two reads.
        await_that(lambda: values(scrape(agent.url), "gpu_sm_activity_ratio", "hw_id"), "a complete page")
        yield agent


def gpus(ledger: Ledger) -> list[DeviceLedger]:
    return [d for d in ledger.devices if d.parent is None]


def test_activity_is_the_mean_over_the_time_that_passed(node: SimulatedNode, agent: app.Agent) -> None:
    """Each part of each GPU and instance was as busy as the ledger has it, over all of the interval between two reads."""
    before = node.ledger()
    node.advance(7.0)
    after = node.ledger()

    def mean(device: DeviceLedger, part: str) -> object:
        spent = device.worked[part] - before.device(device.uuid).worked[part]
        return pytest.approx(spent / (after.at - before.at), abs=1e-6)

    def agrees(page: Page) -> None:
        for root, devices in (("gpu", gpus(after)), ("gpu_mig", [d for d in after.devices if d.parent])):
            for metric, part in _ACTIVITIES.items():
                told = values(page, f"{root}_{metric}_ratio", "hw_id")
                assert told == {(d.uuid,): mean(d, part) for d in devices}, metric
            pipes = values(page, f"{root}_pipe_activity_ratio", "hw_id", "gpu_pipe")
            for pipe, part in _PIPES.items():
                told = {k[:1]: v for k, v in pipes.items() if k[1] == pipe}
                assert told == {(d.uuid,): mean(d, part) for d in devices}, pipe
            assert {v for k, v in pipes.items() if k[1] not in _PIPES} == {0.0}

    page = page_where(agent, agrees)
    assert max(values(page, "gpu_tensor_activity_ratio", "hw_id").values()) > 0.1


def test_power_and_energy_are_the_ledger_s(node: SimulatedNode, agent: app.Agent) -> None:
    """The mean of a second, the last step, the limits and the meter."""
    node.advance(3.0)
    ledger = node.ledger()

    def agrees(page: Page) -> None:
        assert values(page, "hw_power_watts", "hw_id") == {(g.uuid,): g.power for g in gpus(ledger)}
        assert values(page, "gpu_power_instant_watts", "hw_id") == {(g.uuid,): g.power_now for g in gpus(ledger)}
        assert values(page, "gpu_power_limit_watts", "hw_id") == {(g.uuid,): g.power_limit for g in gpus(ledger)}
        assert values(page, "hw_energy_joules_total", "hw_id") == {(g.uuid,): g.joules for g in gpus(ledger)}

    page_where(agent, agrees)


def test_bytes_over_links_are_the_ledger_s(node: SimulatedNode, agent: app.Agent) -> None:
    """Each NVLink's bytes each way, and PCIe's; those of GPUs that share no engine stand at 0."""
    node.advance(5.0)
    ledger = node.ledger()

    def agrees(page: Page) -> None:
        links = values(page, "gpu_nvlink_io_bytes_total", "hw_id", "gpu_nvlink_link", "network_io_direction")
        assert links == {
            (g.uuid, str(link), direction): moved
            for g in gpus(ledger)
            for link, moved in enumerate(g.link_bytes)
            for direction in ("receive", "transmit")
        }
        assert sum(moved > 0 for moved in links.values()) == 2 * 18 * 2
        pcie = values(page, "hw_gpu_io_bytes_total", "hw_id", "network_io_direction")
        assert pcie == {
            (g.uuid, direction): moved
            for g in gpus(ledger)
            for direction, moved in zip(("receive", "transmit"), g.pcie_bytes or (), strict=True)
        }

    page_where(agent, agrees)


def test_throttle_time_is_counted_by_reason(node: SimulatedNode, agent: app.Agent) -> None:
    """The GPU with the lower limit was held back for as long as the ledger says; its reason stands while it is so."""
    while "sw_power_cap" not in gpus(node.ledger())[6].reasons:
        node.advance(0.1)
    ledger = node.ledger()

    def agrees(page: Page) -> None:
        times = values(page, "gpu_throttle_time_seconds_total", "hw_id", "gpu_throttle_reason")
        assert {k: v for k, v in times.items() if v} == {
            (g.uuid, reason): pytest.approx(spent)
            for g in gpus(ledger)
            for reason, spent in g.throttled.items()
            if spent
        }
        active = values(page, "gpu_throttle_active", "hw_id", "gpu_throttle_reason")
        assert {k for k, v in active.items() if v} == {(g.uuid, reason) for g in gpus(ledger) for reason in g.reasons}

    page_where(agent, agrees)


def test_processes_are_counted_on_each_device(node: SimulatedNode, agent: app.Agent) -> None:
    """One of each pod on each of its devices."""
    ledger = node.ledger()
    pods: dict[str, set[str]] = {}
    for holding in ledger.holdings:
        pods.setdefault(holding.device, set()).add(holding.pod_uid)

    def agrees(page: Page) -> None:
        told = values(page, "gpu_processes", "hw_id", "gpu_process_type")
        assert {k[0]: v for k, v in told.items() if k[1] == "compute" and v} == {d: len(p) for d, p in pods.items()}
        assert {v for k, v in told.items() if k[1] != "compute"} <= {0.0}

    page_where(agent, agrees)


def test_a_row_that_waits_to_be_remapped_is_seen_and_so_is_its_end(node: SimulatedNode, agent: app.Agent) -> None:
    """Pending goes to 1 for that GPU alone, with the errors that led there and the driver's advice, until the reset."""
    uuid = gpus(node.ledger())[4].uuid

    def pending(page: Page) -> Values:
        return values(page, "gpu_memory_row_remap_pending", "hw_id")

    await_that(lambda: set(pending(scrape(agent.url)).values()) == {0.0}, "no pending row")
    node.ecc_error(4, "uncorrected", "dram", count=2)
    node.remap_row(4)
    node.recovery_action(4, "gpu_reset")

    def is_pending(page: Page) -> None:
        assert len(pending(page)) == 8
        assert {k for k, v in pending(page).items() if v} == {(uuid,)}
        errors = values(page, "hw_errors_total", "hw_id", "error_type", "gpu_memory_location")
        assert {k: v for k, v in errors.items() if v} == {(uuid, "uncorrected", "dram"): 2.0}
        rows = values(page, "gpu_memory_row_remaps", "hw_id", "error_type")
        assert {k: v for k, v in rows.items() if v} == {(uuid, "uncorrected"): 1.0}
        actions = values(page, "gpu_recovery_action", "hw_id", "gpu_recovery_action")
        assert {k for k, v in actions.items() if v and k[0] == uuid} == {(uuid, "gpu_reset")}

    page_where(agent, is_pending)
    node.reset_gpu(4)
    await_that(lambda: pending(scrape(agent.url)).get((uuid,)) == 0.0, "the end of it")


def test_a_link_that_goes_down_is_seen(node: SimulatedNode, agent: app.Agent) -> None:
    """Its state goes to 0 and its counters end; every other link is up."""
    uuid = gpus(node.ledger())[1].uuid

    def up(page: Page) -> Values:
        return values(page, "gpu_nvlink_up", "hw_id", "gpu_nvlink_link")

    node.nvlink(1, 5)

    def is_down(page: Page) -> None:
        assert len(up(page)) == 8 * 18
        assert {k for k, v in up(page).items() if not v} == {(uuid, "5")}
        counted = values(page, "gpu_nvlink_io_bytes_total", "hw_id", "gpu_nvlink_link", "network_io_direction")
        assert (uuid, "5", "receive") not in counted
        assert (uuid, "4", "receive") in counted

    page_where(agent, is_down)
    node.nvlink(1, 5, up=True)
    await_that(lambda: up(scrape(agent.url)).get((uuid, "5")) == 1.0, "the link back")
