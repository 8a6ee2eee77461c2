# SPDX-License-Identifier: Apache-2.0
"""The kernel's log in the whole agent: a second source that most containers are not let to see."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver
from fakenvml.fakenvml import Fault, Gpu, Node
from inferometer import app
from inferometer.app.simulated import point_at
from inferometer.config import Config, Devices, Engines, KernelLog, Nvidia
from inferometer.simulation.kernel_log import KernelLog as SimulatedLog
from inferometer.simulation.node import SimulatedNode
from whole.agents import agent_on, await_that, eventually
from whole.pages import scrape, values


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    with SimulatedNode() as node:
        yield node


def check_with(node: SimulatedNode, log: KernelLog) -> app.Finding:
    """Check a node with another kernel log; give the finding on it."""
    config, stand = point_at(node.endpoints, Config())
    findings = app.check(replace(config, devices=replace(config.devices, kernel_log=log)), {}, stand)
    (finding,) = [finding for finding in findings if finding.source == "kernel_log"]
    return finding


def test_check_takes_no_offence_at_a_log_that_is_out_of_reach(node: SimulatedNode, tmp_path: Path) -> None:
    """NVML tells most XIDs: the finding says what to do, and is no fault."""
    missing = check_with(node, KernelLog(path=str(tmp_path / "none")))
    wrong = check_with(node, KernelLog(path="/dev/null"))
    off = check_with(node, KernelLog(enabled=False))

    assert [finding.state for finding in (missing, wrong, off)] == ["absent", "absent", "off"]
    assert "CAP_SYSLOG" in missing.remedy


def test_check_leaves_the_running_agents_place_alone(node: SimulatedNode, tmp_path: Path) -> None:
    """What only looks notes nothing: the agent would else miss what was said while it was away."""
    node.xid(0, 31)
    found = check_with(node, KernelLog(path=node.endpoints.kernel_log, state=str(tmp_path / "place")))

    assert found.state == "ok"
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(("code", "state"), [(3, "absent"), (999, "degraded")])
@pytest.mark.parametrize("heard", [True, False])
def test_check_says_who_tells_xids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, heard: bool, code: int, state: str
) -> None:
    """Where the driver refuses its events XIDs are not absent, if the kernel's log can be read; else they are."""
    driver = Driver(tmp_path, build(tmp_path))
    monkeypatch.setenv("FAKENVML", str(driver.text))
    driver.is_now(Node((Gpu("GPU-a"),), faults=(Fault("error", "gpu0", "nvmlDeviceRegisterEvents", code),)))
    log = SimulatedLog(tmp_path / "kmsg")
    try:
        settings = Config(
            devices=Devices(
                nvidia=Nvidia(library=str(driver.library)),
                kernel_log=KernelLog(path=str(tmp_path / ("kmsg" if heard else "none"))),
            ),
            engines=Engines(enabled=False),
        )
        loss = "is told by the kernel's log only" if heard else "is absent"

        def is_told() -> None:
            (told,) = [finding for finding in app.check(settings, {}) if "gpu.xid.errors" in finding.reason]
            assert told.state == state
            assert told.reason.startswith(f"gpu.xid.errors {loss} on GPU-a: nvmlDeviceRegisterEvents answers ")

        eventually(is_told)
    finally:
        log.close()


def test_the_agent_reads_the_simulated_nodes_log(node: SimulatedNode) -> None:
    """The source is up beside NVML's."""
    sources = ("inferometer_source_name", "inferometer_source_instance")
    with agent_on(node) as agent:
        node.xid(0, 31)
        await_that(
            lambda: values(scrape(agent.url), "inferometer_source_up", *sources).get(("kernel_log", None)) == 1.0,
            "the kernel's log",
        )


def test_an_agent_without_the_log_is_ready(node: SimulatedNode, tmp_path: Path) -> None:
    """The source is down and says so; nothing else depends on it."""
    config, stand = point_at(node.endpoints, Config())
    log = KernelLog(path=str(tmp_path / "none"))
    config = replace(config, devices=replace(config.devices, kernel_log=log))

    def only_the_log_is_down() -> None:
        before, after = app.collect(config, {}, stand, apart=1.0)
        assert {source.source for source in after.sources if not source.up} == {"kernel_log"}
        assert before.devices
        assert after.devices

    eventually(only_the_log_is_down)


def test_an_xid_that_the_driver_no_longer_tells_counts_once(node: SimulatedNode) -> None:
    """Both tell the first, the log alone the second, which comes while the driver is away; each counts once."""

    def told(agent: app.Agent) -> dict[tuple[str | None, ...], float]:
        counts = values(scrape(agent.url), "gpu_xid_errors_total", "gpu_index", "gpu_xid_code")
        return {key: count for key, count in counts.items() if count}

    with agent_on(node) as agent:
        node.xid(0, 31)
        await_that(lambda: told(agent) == {("0", "31"): 1.0}, "the XID that both tell")
        node.unload_driver()
        await_that(lambda: not values(scrape(agent.url), "hw_power_watts", "hw_id"), "no GPU")
        node.xid(2, 79)
        await_that(lambda: told(agent) == {("0", "31"): 1.0, ("2", "79"): 1.0}, "the XID that the log alone tells")
