# SPDX-License-Identifier: Apache-2.0
"""What the driver's calls cost: counted in the sampler, summed in the agent."""

import itertools
import os
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakenvml.driver import Driver, Tuned
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.sources.devices import calls, whereabouts
from inferometer.sources.devices.costs import Costs
from inferometer.sources.devices.meter import Meter, Passed, Spent, add, told

LIVES = {"fast": 2.0, "medium": 30.0, "slow": 120.0}
NUMBERS = {"three": 3, "four": 4, "nine": 9}
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"


def test_a_meter_counts_from_mark_to_mark() -> None:
    """A call ends where the next begins, or where its job ends; what was taken is not told again."""
    descriptor = whereabouts.create()
    meter = Meter(descriptor)
    os.close(descriptor)

    mark, other = meter.marks(1, NUMBERS), meter.marks(2, NUMBERS)
    for call in ("three", "four", "three"):
        mark(call)
    other("nine")
    meter.leave(1)

    total: Spent = {}
    add(total, meter.take(1))
    assert {call: count for call, (count, _) in total.items()} == {3: 2, 4: 1}
    add(total, meter.take(1))  # nothing
    mark("three")
    meter.leave(1)
    meter.leave(1)
    add(total, meter.take(1))
    assert {call: count for call, (count, _) in total.items()} == {3: 3, 4: 1}
    meter.leave(2)
    meter.close()


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 1 << 40))))
def test_what_has_passed_is_added_up(steps: list[tuple[int, int]]) -> None:
    """Whatever the order of calls and ends, each call has the time until the next of either."""
    times = list(itertools.accumulate((wait for _, wait in steps), initial=0))[1:]
    total: Spent = {7: [1, 5_000]}

    add(total, Passed([call for call, _ in steps], times))

    expected = Counter(call for call, _ in steps[:-1] if call)
    assert {call: count for call, (count, _) in total.items()} == expected + Counter({7: 1})
    ends = sum(wait for (call, _), (_, wait) in itertools.pairwise(steps) if call)
    assert sum(spent for _, spent in total.values()) == 5_000 + ends
    assert told({7: [2, 5_999]}) == {7: [2, 5]}


def test_every_call_is_counted(driver: Driver, tuned: Tuned) -> None:
    """What the report says of a call is what the library was asked, and it never falls."""
    driver.is_now(Node((Gpu("GPU-0"), Gpu("GPU-1", mig=1, instances=(Instance("MIG-1"),))), trace=True))
    source = tuned(medium_period=1e-6)

    reports = [source.read() for _ in range(3)]

    assert reports[0].calls[ENERGY][0] == 2
    assert reports[2].calls[ENERGY][0] == 6
    for before, after in itertools.pairwise(reports):
        for call, (count, seconds) in before.calls.items():
            assert after.calls[call][0] >= count
            assert after.calls[call][1] >= seconds >= 0
    asked = Counter(call for _, call, _ in driver.calls())
    told = reports[2].calls
    for call in (
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetCount_v2",
    ):
        assert call in told
    assert told[ENERGY][0] == asked[ENERGY]
    assert told["nvmlDeviceGetCount_v2"][0] == asked["nvmlDeviceGetCount_v2"] == 3


def test_a_slow_call_costs_its_time(driver: Driver, tuned: Tuned) -> None:
    """A call that takes 50 ms is told to have taken as much, and the others are not."""
    driver.is_now(Node((Gpu("GPU-0"),), faults=(Fault("slow", "gpu0", ENERGY, 50),)))

    told = tuned().read().calls

    assert told[ENERGY][1] >= 0.05
    assert told["nvmlDeviceGetUUID"][1] < told[ENERGY][1]


def test_a_field_has_the_latency_of_the_slowest_gpu(driver: Driver, tuned: Tuned) -> None:
    """The driver's own latency of each field is told in seconds, the slowest GPU's."""
    driver.is_now(Node((Gpu("GPU-0", field_latency=3), Gpu("GPU-1", field_latency=40))))

    fields = tuned().read().fields

    assert fields["NVML_FI_DEV_POWER_INSTANT"] == 40e-6
    assert set(fields) <= set(calls.FIELDS.values())


def test_latencies_lapse() -> None:
    """A latency counts for as long as the readings of the tier that it is told with do, and only for GPUs that answer."""
    costs = Costs(LIVES, 1000.0)
    costs.take("GPU-0", [(186, 5)], 100.0)  # fast
    costs.take("GPU-1", [(186, 9), (189, 7)], 100.0)  # and slow
    costs.take("GPU-0", [(123456, 1)], 100.0)  # a field that nobody asks

    assert dict(costs.fields(["GPU-0"], 101.0)) == {"NVML_FI_DEV_POWER_INSTANT": 5e-6}
    assert dict(costs.fields(["GPU-0", "GPU-1"], 101.0)) == {
        "NVML_FI_DEV_POWER_INSTANT": 9e-6,
        "NVML_FI_DEV_POWER_DEFAULT_LIMIT": 7e-6,
    }
    assert dict(costs.fields(["GPU-0", "GPU-1"], 130.0)) == {"NVML_FI_DEV_POWER_DEFAULT_LIMIT": 7e-6}
    assert dict(costs.fields(["GPU-0", "GPU-1"], 220.0)) == {}


def test_what_was_given_stands_for_a_period() -> None:
    """What was told meanwhile is given with the next period, all of it; until then the values are the very same."""
    costs = Costs(LIVES, 10.0)
    costs.add([[1, 1, 10]])
    costs.take("GPU-0", [(186, 5)], 100.0)
    calls_, fields = costs.calls(100.0), costs.fields(["GPU-0"], 100.0)

    for _ in range(3):
        costs.add([[1, 2, 20]])
    costs.take("GPU-0", [(186, 7)], 101.0)

    assert costs.calls(109.0) is calls_
    assert costs.fields(["GPU-0"], 109.0) is fields
    assert list(costs.calls(110.0).values()) == [(7, 70e-6)]
    assert list(costs.fields(["GPU-0"], 110.0).values()) == [7e-6]


@pytest.mark.parametrize("told", [[(186, "x")], [(186,)], [7], [([], 1.0)], [(186, float("inf"))]])
def test_latencies_that_make_no_sense_are_refused(told: list[tuple[int, float]]) -> None:
    """By one of the errors that the source knows as such."""
    with pytest.raises((TypeError, ValueError)):
        Costs(LIVES, 1.0).take("GPU-0", told, 100.0)


@pytest.mark.parametrize("told", [[[255, 1, 1]], [[-1, 1, 1]], [[1, -1, 1]], [[1, 1]], [["1", 1, 1]], [None]])
def test_costs_that_make_no_sense_are_refused(told: list[list[int]]) -> None:
    """What no sampler would send is an error, and never makes a counter fall."""
    with pytest.raises((IndexError, TypeError, ValueError)):
        Costs(LIVES, 1.0).add(told)
