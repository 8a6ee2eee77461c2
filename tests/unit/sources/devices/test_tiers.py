# SPDX-License-Identifier: Apache-2.0
"""The slower tiers: what they said stands until two of their periods later, and no longer."""

from inferometer.sources.devices import calls
from inferometer.sources.devices.layout import lay_out
from inferometer.sources.devices.tiers import Slower

SLOTS = {quantity.metric: slot for slot, (quantity, _) in enumerate(calls.QUANTITIES)}
LIMIT, WIDTH = SLOTS["gpu.pcie.link.width.max"], SLOTS["gpu.pcie.link.width"]
SPEED = next(
    slot for slot, (_, row) in enumerate(calls.QUANTITIES) if row.tier == "medium" and not row.each and slot != WIDTH
)


def take(slower: Slower, tiers: list[str], values: dict[int, float], at: float, stamp: float = 1e9) -> None:
    """Have a GPU's numbers taken, by slot, that were read with these tiers."""
    layout = lay_out([(tiers, [(slot,) for slot in values])], ["GPU-a"])
    slower.take(layout, list(values.values()), at, stamp)


def told(slower: Slower, now: float, *devices: str) -> dict[str, float]:
    """Give what still counts, by metric."""
    return {r.metric.name: float(r.value) for r in slower.readings(devices or ("GPU-a",), now)}  # type: ignore[arg-type]  # no histograms here


def test_a_reading_stands_for_two_periods_of_its_tier() -> None:
    """What was read of a tier is there until two of the tier's periods after the read, whatever is read of others."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    take(slower, ["fast", "medium", "slow"], {WIDTH: 16.0, LIMIT: 16.0}, 100.0)

    assert told(slower, 119.9) == {"gpu.pcie.link.width": 16.0, "gpu.pcie.link.width.max": 16.0}
    assert told(slower, 120.0) == {"gpu.pcie.link.width.max": 16.0}
    assert told(slower, 219.9) == {"gpu.pcie.link.width.max": 16.0}
    assert told(slower, 220.0) == {}


def test_a_tier_that_was_read_replaces_all_that_it_said() -> None:
    """A value that the newest read of a tier did not give is absent at once, not kept from the read before."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    take(slower, ["medium"], {WIDTH: 16.0}, 100.0)
    take(slower, ["medium"], {}, 101.0)

    assert told(slower, 102.0) == {}


def test_a_device_that_is_gone_says_nothing() -> None:
    """Only devices that are there are asked for, and readings carry the time when they were read."""
    slower = Slower({"medium": 10.0, "slow": 60.0})
    take(slower, ["medium"], {WIDTH: 8.0}, 100.0, 1234.5)

    assert told(slower, 101.0, "GPU-b") == {}
    assert [r.at for r in slower.readings(["GPU-a"], 101.0)] == [1234.5]
    slower.forget()
    assert told(slower, 101.0) == {}


def test_what_counts_is_the_very_same_until_it_changes() -> None:
    """Asked again of the same devices it is not put together anew, unless something was taken or has lapsed."""
    slower, devices = Slower({"medium": 10.0, "slow": 60.0}), ("GPU-a",)
    take(slower, ["medium", "slow"], {WIDTH: 8.0, LIMIT: 16.0}, 100.0)
    first = slower.readings(devices, 101.0)

    assert slower.readings(devices, 119.0) is first
    assert slower.readings(("GPU-b",), 119.0) == ()
    assert [reading.value for reading in slower.readings(devices, 120.0)] == [16.0]
    take(slower, ["medium"], {WIDTH: 4.0}, 121.0)
    assert [reading.value for reading in slower.readings(devices, 121.0)] == [4.0, 16.0]


def test_a_number_that_stands_is_the_very_same() -> None:
    """Read again it has a new time, but nobody need write it anew; one that moved is another."""
    slower, devices = Slower({"medium": 10.0, "slow": 60.0}), ("GPU-a",)
    take(slower, ["medium"], {WIDTH: float("8"), SPEED: 1.5}, 100.0, 1.0)
    old = slower.readings(devices, 100.0)
    take(slower, ["medium"], {WIDTH: float("8"), SPEED: 2.5}, 110.0, 2.0)
    new = slower.readings(devices, 110.0)

    assert new[0].value is old[0].value
    assert [(reading.value, reading.at) for reading in new] == [(8.0, 2.0), (2.5, 2.0)]
