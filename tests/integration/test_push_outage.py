# SPDX-License-Identifier: Apache-2.0
"""An outage of a real Prometheus: what the agent had to keep arrives, in either order, or is counted by why it did not."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from commands import started
from inferometer import app, config
from inferometer.model import SpoolState
from inferometer.push import record
from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on
from integration.backends import Prometheus
from integration.collectors import ARRIVED, unused_port
from integration.programs import Needs
from otlp_receiver import HttpReceiver, series
from whole.agents import await_that

WINDOW = {"storage": {"tsdb": {"out_of_order_time_window": "30m"}}}


def spool_of(agent: app.Agent) -> SpoolState:
    state = agent._push.spool
    assert state is not None
    return state


def losses(agent: app.Agent) -> dict[str, tuple[int, int]]:
    return {reason: lost for reason, lost in spool_of(agent).dropped.items() if lost != (0, 0)}


@contextmanager
def after_an_outage(
    node: SimulatedNode,
    directory: Path,
    order: Literal["oldest-first", "fresh-first"],
    more: dict[str, object] | None = None,
) -> Iterator[tuple[app.Agent, Prometheus]]:
    """An agent that has kept ten intervals for a Prometheus, which is there now and has got the rest."""
    port = unused_port()
    url = f"http://127.0.0.1:{port}/api/v1/otlp/v1/metrics"
    spool = config.Spool(directory=str(directory / "spool"), order=order)
    with agent_on(node, endpoint=url, spool=spool) as agent:
        await_that(lambda: spool_of(agent).requests >= 10, "ten intervals")
        with Prometheus(
            directory / "prometheus", options=["--web.enable-otlp-receiver"], more=more, port=port
        ) as prometheus:
            await_that(
                lambda: spool_of(agent).usage["disk"] == 0 and agent._push.outcomes.get("success"), "the rest", 60
            )
            yield agent, prometheus


@pytest.fixture(autouse=True)
def _prometheus(needs: Needs) -> None:
    needs("prometheus")


@pytest.mark.parametrize(("order", "more"), [("oldest-first", None), ("fresh-first", WINDOW)])
def test_what_was_kept_arrives_whole(
    node: SimulatedNode, tmp_path: Path, order: Literal["oldest-first", "fresh-first"], more: dict[str, object] | None
) -> None:
    """Oldest first any Prometheus takes all of it; with a window for late samples one takes it fresh first too."""
    with after_an_outage(node, tmp_path, order, more) as (agent, prometheus):
        pushes = agent._push.outcomes["success"]
        await_that(lambda: prometheus.query(f"{ARRIVED} >= {pushes}"), "a sample of every push")
        # On a machine that stalls a read may miss its push; Prometheus without a window then has newer target_info already.
        lost = losses(agent)
        assert lost.keys() <= {"out_of_order"}, lost
        assert sum(requests for requests, _ in lost.values()) <= pushes // 4, lost


def test_what_is_out_of_order_is_counted_as_such(node: SimulatedNode, tmp_path: Path) -> None:
    """Fresh first without a window: Prometheus refuses all that waited, each once, under a reason of its own."""
    with after_an_outage(node, tmp_path, "fresh-first") as (agent, prometheus):
        lost = losses(agent)
        assert lost.keys() == {"out_of_order"}
        requests, points = lost["out_of_order"]
        assert requests >= 9
        assert points > 700 * (requests - 1)
        await_that(lambda: prometheus.query(f"{ARRIVED} >= 1"), "what was fresh")


def test_an_agent_that_is_killed_again_and_again_sends_every_whole_record(tmp_path: Path) -> None:
    """Killed while it writes, four times over: what is whole on the disk arrives, once, in order; what is torn is counted."""
    port, spool = unused_port(), tmp_path / "spool"
    file = tmp_path / "inferometer.yaml"
    file.write_text(
        "period: 100ms\nidentity: {podresources: {enabled: false}}\ndevices: {nvidia: {enabled: false}}\n"
        "server: {listen: '127.0.0.1:0'}\n"
        f"otlp: {{endpoint: 'http://127.0.0.1:{port}', interval: 100ms, timeout: 20s, spool: {{directory: {spool}}}}}\n"
    )
    torn, kept = 0, 0
    for _ in range(4):
        with started(("run", "--config", str(file)), stdout=subprocess.DEVNULL) as agent:
            await_that(lambda: len(list(spool.glob("v1-*.otlp"))) >= kept + 5, "five records more")  # noqa: B023  # it is called at once
            agent.send_signal(signal.SIGKILL)
            agent.wait(10)
        torn += (spool / "unfinished").exists()
        kept = len(list(spool.glob("v1-*.otlp")))
    bodies = [record.read(path.read_bytes())[1] for path in sorted(spool.glob("v1-*.otlp"))]
    assert len(bodies) >= 20
    with HttpReceiver(port) as receiver, started(("run", "--config", str(file)), stdout=subprocess.DEVNULL) as agent:
        receiver.wait_for(len(bodies) + 5, 60)
        await_that(lambda: not list(spool.glob("v1-*.otlp")), "an empty spool")
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        received = list(receiver.received)
    assert [one.request for one in received[: len(bodies)]] == [type(received[0].request).FromString(b) for b in bodies]
    corrupt = [
        one.value
        for one in series(*received[len(bodies) :])
        if one.metric == "inferometer.spool.dropped.requests" and ("inferometer.reason", "corrupt") in one.attributes
    ]
    assert max(value or 0.0 for value in corrupt) <= torn
