# SPDX-License-Identifier: Apache-2.0
"""What a GPU or an old driver does not tell: absent, named, and nothing else with it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from fakenvml.build import build
from fakenvml.driver import Driver, Open
from fakenvml.fakenvml import GIB, Fault, Node
from inferometer.model import Unsupported
from readouts import WHOLE, refused, values


def test_unsupported_is_found_once_and_named(driver: Driver, opened: Open) -> None:
    """A call that a device refuses is asked once, is named in every report, and costs no other value."""
    driver.is_now(Node((replace(WHOLE, utilization=None, energy=None, memory_temperature=None, mig=None),), trace=True))
    source = opened()

    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert refused(report) == {
            ("hw.gpu.utilization", "nvmlDeviceGetUtilizationRates", "not_supported"),
            ("gpu.memory.activity", "nvmlDeviceGetUtilizationRates", "not_supported"),
            ("hw.energy", "nvmlDeviceGetTotalEnergyConsumption", "not_supported"),
            ("hw.temperature", "NVML_FI_DEV_MEMORY_TEMP", "not_supported"),
            ("gpu.info", "nvmlDeviceGetMigMode", "not_supported"),
        }
        assert values(report, "GPU-aaaa")["hw.temperature/core"] == 61.0
    asked = Counter(call for _, call, _ in driver.calls())
    assert asked["nvmlDeviceGetUtilizationRates"] == 1
    assert asked["nvmlDeviceGetTemperatureV"] == 3


def test_a_call_that_fails_costs_only_itself(driver: Driver, opened: Open) -> None:
    """A call that fails this time is told, its value is absent, and it is asked again the next time."""
    fault = Fault("error", "gpu0", "nvmlDeviceGetTotalEnergyConsumption", 999)
    driver.is_now(Node((WHOLE,), faults=(fault,)))
    source = opened()

    report = source.read()
    assert report.failed == (Unsupported("GPU-aaaa", "hw.energy", fault.call, "unknown"),)
    assert refused(report) == set()
    assert "hw.energy" not in values(report, "GPU-aaaa")
    assert values(report, "GPU-aaaa")["hw.power"] == 345.6

    driver.is_now(Node((WHOLE,)))
    report = source.read()
    assert report.failed == ()
    assert values(report, "GPU-aaaa")["hw.energy"] == 123456.789


def test_what_is_no_value_is_absent(driver: Driver, opened: Open) -> None:
    """All bits set mean that there is no value, and 200 % is no utilization: neither is published."""
    driver.is_now(Node((replace(WHOLE, power_instant=0xFFFF_FFFF, utilization=200, memory_utilization=50),)))

    report = opened().read()

    assert "gpu.power.instant" not in values(report, "GPU-aaaa")
    assert "hw.gpu.utilization/general" not in values(report, "GPU-aaaa")
    assert [u.metric for u in report.failed] == ["hw.gpu.utilization", "gpu.memory.activity"]


def test_power_falls_back_to_the_function(driver: Driver, opened: Open) -> None:
    """Where the field of average power is refused, the function is asked in the same read, and nothing is missing."""
    fields = {key: value for key, value in WHOLE.fields.items() if key != 185}
    driver.is_now(Node((replace(WHOLE, fields=fields, power=333_000),)))

    report = opened().read()

    assert values(report, "GPU-aaaa")["hw.power"] == 333.0
    assert (refused(report), report.failed) == (set(), ())


def test_symbols_that_an_old_driver_lacks_cost_only_their_values(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """Without newer symbols, older ones are used; what only the newer ones can tell is absent and named."""
    missing = (
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetMigMode",
    )
    old = build(tmp_path, without=missing)
    driver.is_now(Node((WHOLE,)))

    report = opened(library=old).read()

    found = values(report, "GPU-aaaa")
    assert found["hw.gpu.memory.limit"] == 80.0 * GIB
    assert found["hw.temperature/core"] == 61.0
    assert found["hw.power"] == 345.6
    # The old call counts what the driver reserves as used: better absent than wrong.
    assert not {"hw.gpu.memory.usage", "gpu.memory.reserved", "hw.temperature/memory"} & found.keys()
    assert {
        ("hw.gpu.memory.usage", "nvmlDeviceGetMemoryInfo_v2", "function_not_found"),
        ("hw.temperature", "NVML_FI_DEV_MEMORY_TEMP", "function_not_found"),
        ("gpu.info", "nvmlDeviceGetMigMode", "function_not_found"),
    } <= {(u.metric, u.call, u.reason) for u in report.unsupported}
    # What only an older call tells is no complaint.
    assert "nvmlDeviceGetTemperatureV" not in {call for _, call, _ in refused(report)}
