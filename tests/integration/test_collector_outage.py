# SPDX-License-Identifier: Apache-2.0
"""A gateway that is killed, or has no memory left: whoever sends to it keeps what it does not take, and nothing is lost."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from inferometer import app
from inferometer.config import Seconds, Size, Spool
from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on
from integration.backends import Collector, Prometheus
from integration.collectors import ARRIVED, LOST, RETRYING, collector, prometheus_for_otlp, unused_port
from integration.programs import Needs
from whole.agents import await_that

NO_MEMORY = "processors::memory_limiter::limit_mib: 1"  # less than it has when it starts
# An agent that soon takes no answer for a failure, and is not sparing with what waited.
HASTY: dict[str, Any] = {"timeout": Seconds(1), "spool": Spool(rate=Size(1 << 30))}
SOON = "exporters::otlp_grpc/gateway::retry_on_failure::max_interval: 1s"
REFUSED = "data refused due to high memory usage"


@pytest.fixture(autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs both."""
    needs("otelcol", "prometheus")


def gateway_before(
    prometheus: Prometheus, directory: Path, port: int, *, over: Sequence[str] = (), changes: Sequence[str] = ()
) -> Collector:
    return collector(
        "gateway",
        directory,
        over=over,
        changes=changes,
        port=port,
        PROMETHEUS_ENDPOINT=prometheus.url,
        REMOTE_WRITE_ENDPOINT=f"{prometheus.url}/api/v1/write",
    )


def pushes(agent: app.Agent) -> int:
    """How many pushes were taken so far."""
    return agent._push.outcomes.get("success", 0)


def refusals(agent: app.Agent) -> int:
    """How often a push was refused so far; one whose answer came too late was not."""
    return agent._push.outcomes.get("refused", 0)


def await_every_push(prometheus: Prometheus, agent: app.Agent) -> None:
    """Wait until every snapshot that was pushed before now has its sample."""
    wanted = pushes(agent)
    await_that(lambda: prometheus.query(f"{ARRIVED} >= {wanted}"), f"{wanted} pushes", 120)


@pytest.mark.parametrize("over", [(), ("remote-write",)], ids=["otlp", "remote write"])
def test_a_gateway_that_is_killed_loses_nothing(node: SimulatedNode, tmp_path: Path, over: Sequence[str]) -> None:
    """The Collector on the node keeps what it cannot hand on; when the gateway is back its queue drains, to the last sample."""
    port = unused_port()
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        gateway_before(prometheus, tmp_path / "gateway", port, over=over) as gateway,
        collector("agent", tmp_path / "agent", GATEWAY_ENDPOINT=gateway.grpc_address) as beside,
        agent_on(node, endpoint=beside.grpc_url, protocol="grpc") as agent,
    ):
        await_that(lambda: prometheus.query(ARRIVED), "what came before")
        gateway.kill()
        before = pushes(agent)
        await_that(lambda: RETRYING in beside.log and pushes(agent) > before + 5, "pushes that wait", 60)
        gateway.start()
        await_every_push(prometheus, agent)
        assert [word for word in LOST if word in beside.log + gateway.log] == []


def test_a_backend_that_is_away_is_the_senders_to_wait_for(node: SimulatedNode, tmp_path: Path) -> None:
    """The gateway refuses, the Collector on the node keeps all, and both of them may be killed before Prometheus is back."""
    port, away = unused_port(), unused_port()
    prometheus = prometheus_for_otlp(tmp_path / "prometheus", port=away)
    gateway = collector("gateway", tmp_path / "gateway", port=port, PROMETHEUS_ENDPOINT=f"http://127.0.0.1:{away}")
    with gateway, collector("agent", tmp_path / "agent", GATEWAY_ENDPOINT=f"127.0.0.1:{port}") as beside:
        with agent_on(node, endpoint=beside.grpc_url, protocol="grpc") as agent:
            await_that(lambda: RETRYING in beside.log and pushes(agent) > 5, "pushes that wait", 60)
        for each in (gateway, beside):
            each.kill()
            each.start()
        with prometheus:
            await_every_push(prometheus, agent)
        assert [word for word in LOST if word in beside.log + gateway.log] == []


def test_a_queue_that_is_full_refuses_and_the_agent_keeps_the_rest(node: SimulatedNode, tmp_path: Path) -> None:
    """What the Collector's disk may not take waits at the agent; when the gateway is there, both drain, in order."""
    port = unused_port()
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        collector(
            "agent", tmp_path / "agent", changes=[SOON], GATEWAY_ENDPOINT=f"127.0.0.1:{port}", QUEUE_BYTES="8000000"
        ) as beside,
        agent_on(node, endpoint=beside.grpc_url, protocol="grpc", **HASTY) as agent,
    ):
        await_that(lambda: refusals(agent) and waits(agent, beside, "an agent"), "a full queue", 60)
        assert 0 < pushes(agent) < 40
        with gateway_before(prometheus, tmp_path / "gateway", port) as gateway:
            await_that(lambda: not waits(agent, beside, "an agent"), "the agent's pushes", 120)
            await_every_push(prometheus, agent)
            assert [word for word in LOST if word in beside.log + gateway.log] == []


@pytest.mark.parametrize("sender", ["a Collector", "an agent"])
def test_a_gateway_without_memory_refuses_and_loses_nothing(node: SimulatedNode, tmp_path: Path, sender: str) -> None:
    """Above its limit it takes nothing, and says so in a way that a Collector and an agent send again: all of it arrives."""
    port = unused_port()
    with ExitStack() as stack:
        prometheus = stack.enter_context(prometheus_for_otlp(tmp_path / "prometheus"))
        limited = stack.enter_context(gateway_before(prometheus, tmp_path / "limited", port, changes=[NO_MEMORY]))
        await_that(lambda: "Refusing data" in limited.log, "the first look at its memory")
        beside = stack.enter_context(collector("agent", tmp_path / "agent", GATEWAY_ENDPOINT=limited.grpc_address))
        endpoint = beside.grpc_url if sender == "a Collector" else limited.grpc_url
        agent = stack.enter_context(agent_on(node, endpoint=endpoint, protocol="grpc", **HASTY))
        await_that(lambda: waits(agent, beside, sender), "pushes that were refused", 60)
        assert pushes(agent) == 0 or sender == "a Collector"
        limited.stop()
        assert prometheus.query(ARRIVED) == []
        stack.enter_context(gateway_before(prometheus, tmp_path / "gateway", port))
        await_that(lambda: prometheus.query(ARRIVED) and not waits(agent, beside, "an agent"), "the first samples", 120)
        await_every_push(prometheus, agent)
        assert (REFUSED in beside.log) == (sender == "a Collector")
        assert [word for word in LOST if word in beside.log] == []


def waits(agent: app.Agent, beside: Collector, sender: str) -> bool:
    """Whether some pushes wait at the sender."""
    if sender == "a Collector":
        return RETRYING in beside.log and REFUSED in beside.log and pushes(agent) > 2
    spool = agent._push.spool
    return spool is not None and spool.requests > 2
