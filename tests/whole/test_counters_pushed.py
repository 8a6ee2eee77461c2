# SPDX-License-Identifier: Apache-2.0
"""Two agents, the second of which goes on with the first one's counters, as a receiver of their pushes sees them."""

from itertools import pairwise
from pathlib import Path

import pytest

from inferometer.config import Accounting
from inferometer.simulation.node import SimulatedNode
from otlp_receiver import HttpReceiver
from whole.agents import agent_on, await_that
from whole.pushed import told


def owners(receiver: HttpReceiver, name: str = "gpu.owner.time") -> dict[str, list[tuple[int, int, float, bool]]]:
    """Give the points of each series of a metric, as they came."""
    return {
        attributes: points for (_, metric, attributes, _), points in told(receiver.received).items() if metric == name
    }


def is_held(every: dict[str, list[tuple[int, int, float, bool]]], seconds: float) -> bool:
    """Tell whether an owner had a device for so long."""
    return any(value > seconds for points in every.values() for _, _, value, _ in points)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_a_receiver_sees_one_counter_that_goes_on(
    tmp_path: Path, temporality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cumulative, no start moves and nothing falls; by gains, what the first has said is not said again by the second."""
    kept = Accounting(state=str(tmp_path / "counters"))
    with SimulatedNode(seed=7) as node, HttpReceiver() as receiver:
        for _ in range(2):
            before = len(receiver.received)
            with agent_on(node, endpoint=receiver.url, accounting=kept, temporality=temporality):
                await_that(lambda: len(receiver.received) > before + 8, "pushes")  # noqa: B023  # it is called at once
                if temporality == "cumulative":
                    await_that(lambda: is_held(owners(receiver), 1.0), "a second that an owner had a device")
        every = owners(receiver)
    assert every
    if temporality == "cumulative":
        for points in every.values():
            lasting = [point for point in points if not point[3]]
            assert len({start for start, _, _, _ in lasting}) == 1
            for (_, at, value, _), (_, next_at, next_value, _) in pairwise(lasting):
                assert next_at > at
                assert next_value >= value
    else:
        for points in every.values():
            for start, at, gained, _ in points:
                assert gained <= (at - start) / 1e9 + 1e-3, "no more than the time that it was gained in"
