# SPDX-License-Identifier: Apache-2.0
"""An agent that ends and starts again while its receiver is away, as the receiver sees it afterwards."""

import socket
from itertools import pairwise
from pathlib import Path

from inferometer import config
from inferometer.simulation.node import SimulatedNode
from otlp_receiver import HttpReceiver
from whole.agents import agent_on, await_that
from whole.pushed import told


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_restart_in_an_outage_is_a_reset_that_nobody_misreads(tmp_path: Path) -> None:
    """What both agents said arrives in the order of time; a counter falls only where its start has moved past its last point."""
    node = SimulatedNode(seed=7)
    port = unused_port()
    spool = config.Spool(directory=str(tmp_path / "spool"))
    pushes = 0
    with node:
        for _ in range(2):
            with agent_on(node, endpoint=f"http://127.0.0.1:{port}", spool=spool) as agent:
                before = agent._push.spool
                assert before is not None
                await_that(lambda: (agent._push.spool or before).requests >= pushes + 4, "pushes that wait")  # noqa: B023  # it is called at once
            pushes = len(list((tmp_path / "spool").glob("v1-*.otlp")))
        with HttpReceiver(port) as receiver, agent_on(node, endpoint=receiver.url, spool=spool) as agent:
            await_that(lambda: len(receiver.received) > pushes, "what waited")
            after = agent._push.spool
        received = receiver.received
    assert after is not None
    assert set(after.dropped.values()) == {(0, 0)}
    everything = told(received)
    counters = [((name, attributes), points) for (_, name, attributes, rises), points in everything.items() if rises]
    resets = 0
    assert counters
    for points in everything.values():
        times = [at for _, at, _, _ in points]
        assert times == sorted(set(times)), "a series is in order, and says each time once"
    for name, points in counters:
        for (start, at, value, _), (next_start, next_at, next_value, ended) in pairwise(points):
            if start == next_start:
                assert ended or next_value >= value, name
            else:
                resets += 1
                assert at <= next_start <= next_at
    assert resets > 0
