# SPDX-License-Identifier: Apache-2.0
"""The slower tiers: what they said stands until two of their periods later, and no longer."""

import pytest

from inferometer.sources.devices import calls
from inferometer.sources.devices.tiers import Slower

SLOTS = {quantity.metric: slot for slot, (quantity, _) in enumerate(calls.QUANTITIES)}
LIMIT, WIDTH = SLOTS["gpu.pcie.link.width.max"], SLOTS["gpu.pcie.link.width"]


def frame(tiers: list[str], values: list[list[float]], uuid: str = "GPU-a") -> dict[str, object]:
    """Give a GPU's frame as the sampler sends it."""
    return {"uuid": uuid, "tiers": tiers, "values": values, "instances": []}


def told(slower: Slower, now: float, *devices: str) -> dict[str, float]:
    """Give what still counts, by metric."""
    return {r.metric.name: float(r.value) for r in slower.readings(devices or ("GPU-a",), now)}  # type: ignore[arg-type]  # no histograms here


def test_a_reading_stands_for_two_periods_of_its_tier() -> None:
    """What was read of a tier is there until two of the tier's periods after the read, whatever is read of others."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    slower.take(frame(["fast", "medium", "slow"], [[WIDTH, 16], [LIMIT, 16]]), 100.0, 1e9)

    assert told(slower, 119.9) == {"gpu.pcie.link.width": 16.0, "gpu.pcie.link.width.max": 16.0}
    assert told(slower, 120.0) == {"gpu.pcie.link.width.max": 16.0}
    assert told(slower, 219.9) == {"gpu.pcie.link.width.max": 16.0}
    assert told(slower, 220.0) == {}


def test_a_tier_that_was_read_replaces_all_that_it_said() -> None:
    """A value that the newest read of a tier did not give is absent at once, not kept from the read before."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    slower.take(frame(["medium"], [[WIDTH, 16]]), 100.0, 1e9)
    slower.take(frame(["medium"], []), 101.0, 1e9)

    assert told(slower, 102.0) == {}


def test_a_device_that_is_gone_says_nothing() -> None:
    """Only devices that are there are asked for, and readings carry the time when they were read."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    slower.take(frame(["medium"], [[WIDTH, 8]]), 100.0, 1234.5)

    assert told(slower, 101.0, "GPU-b") == {}
    assert [r.at for r in slower.readings(["GPU-a"], 101.0)] == [1234.5]
    slower.forget()
    assert told(slower, 101.0) == {}


@pytest.mark.parametrize("values", [[[10**6, 1.0]], [["x", 1.0]], [[WIDTH, "many"]], [[SLOTS["gpu.nvlink.up"], 1.0]]])
def test_what_the_sampler_would_never_send_is_refused(values: list[list[float]]) -> None:
    """A slot that is none, a value that is no number and a link without its number are errors, not readings."""
    with pytest.raises((IndexError, TypeError, ValueError)):
        Slower({"medium": 10.0, "slow": 60.0}).take(frame(["medium"], values), 100.0, 1e9)
