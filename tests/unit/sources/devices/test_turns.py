# SPDX-License-Identifier: Apache-2.0
"""When a GPU's slower tiers are read: at their own periods, however long a read takes."""

import pytest

from inferometer.sources.devices.turns import Turns


def medium_reads(turns: Turns, now: list[float], period: float, samples: int, *, took: float = 0.05) -> list[int]:
    """Take samples at a period, each of which takes a while; give when the medium tier was read."""
    times = []
    for number in range(samples):
        # The agent's clock and the driver's load make a sample come a little early or late.
        now[0] = began = number * period + (0.02 if number % 2 else 0.0)
        due = turns.due()
        now[0] += took
        turns.have_read(due)
        if "medium" in due:
            times.append(round(began))
    return times


@pytest.mark.parametrize("period", [1.0, 5.0, 15.0])
def test_a_tiers_period_that_is_a_multiple_of_the_agents_is_kept(period: float) -> None:
    """15 s are 15 s at a period of 1, 5 or 15 s, and not one sample more, though each read takes its time."""
    now = [0.0]
    turns = Turns({"medium": 15.0, "slow": 60.0}, 0, lambda: now[0])

    assert medium_reads(turns, now, period, int(60 / period)) == [0, 15, 30, 45]


def test_gpus_take_turns() -> None:
    """The GPUs of a node are not all read as a whole in one sample: their first wait differs."""
    now = [0.0]
    firsts = []
    for index in range(8):
        turns = Turns({"medium": 16.0}, index, lambda: now[0])
        firsts.append(medium_reads(turns, now, 1.0, 20)[1])

    assert firsts == [16, 15, 14, 13, 12, 11, 10, 9]


def test_another_gpu_is_read_as_a_whole() -> None:
    """What was read of another GPU, or in another mode, is due at once."""
    turns = Turns({"medium": 15.0, "slow": 60.0}, 0, lambda: 1000.0)
    turns.have_read(turns.due())
    assert turns.due() == ["fast"]

    turns.begin_anew()

    assert turns.due() == ["fast", "medium", "slow"]
