# SPDX-License-Identifier: Apache-2.0
"""When a GPU's slower tiers are read: at their own periods, however long a read takes."""

import pytest

from inferometer.sources.devices.turns import Turns


def medium_reads(
    turns: Turns, now: list[float], period: float, samples: int, *, took: float = 0.05, tier: str = "medium"
) -> list[int]:
    """Take samples at a period, each of which takes a while; give when the medium tier, or another, was read."""
    times = []
    for number in range(samples):
        # The agent's clock and the driver's load make a sample come a little early or late.
        now[0] = began = number * period + (0.02 if number % 2 else 0.0)
        due = turns.due()
        now[0] += took
        turns.have_read(due)
        if tier in due:
            times.append(round(began))
    return times


@pytest.mark.parametrize("period", [1.0, 5.0, 15.0])
def test_a_tiers_period_that_is_a_multiple_of_the_agents_is_kept(period: float) -> None:
    """15 s are 15 s at a period of 1, 5 or 15 s, and not one sample more, though each read takes its time."""
    now = [0.0]
    turns = Turns({"medium": 15.0, "slow": 60.0}, 0, lambda: now[0])

    assert medium_reads(turns, now, period, int(60 / period)) == [0, 15, 30, 45]


def test_gpus_take_turns() -> None:
    """The GPUs of a node are not all read as a whole in one sample: the slow tier's first wait differs."""
    now = [0.0]
    firsts = []
    for index in range(8):
        turns = Turns({"medium": 4.0, "slow": 16.0}, index, lambda: now[0])
        firsts.append(medium_reads(turns, now, 1.0, 20, tier="slow")[1])

    assert firsts == [16, 15, 14, 13, 12, 11, 10, 9]


def test_the_medium_tier_of_all_gpus_is_read_together() -> None:
    """A metric's points then change once a period, and not with every GPU."""
    now = [0.0]

    assert [medium_reads(Turns({"medium": 4.0}, i, lambda: now[0]), now, 1.0, 9) for i in range(8)] == [[0, 4, 8]] * 8


def test_another_gpu_is_read_as_a_whole() -> None:
    """What was read of another GPU, or in another mode, is due at once."""
    turns = Turns({"medium": 15.0, "slow": 60.0}, 0, lambda: 1000.0)
    turns.have_read(turns.due())
    assert turns.due() == ["fast"]

    turns.begin_anew()

    assert turns.due() == ["fast", "medium", "slow"]
