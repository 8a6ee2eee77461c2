# SPDX-License-Identifier: Apache-2.0
"""A GPU's frames: what it is is told when that changes, and what it said before is not made again."""

from typing import Any

import pytest

from fakenvml.driver import Driver, Open
from fakenvml.fakenvml import Gpu, Instance, Node
from inferometer.sources.devices import calls, report
from inferometer.sources.devices.report import About, Answer

ABOUT = {
    "gpu": 0,
    "about": {"uuid": "GPU-0", "mig": False, "details": {"gpu.minor": "3"}, "instances": [], "unsupported": []},
}


def slot(metric: str) -> int:
    """Give the place of a metric's first quantity in the table."""
    return next(i for i, (quantity, _) in enumerate(calls.QUANTITIES) if quantity.metric == metric)


POWER, ENERGY, FAN = slot("hw.power"), slot("hw.energy"), slot("gpu.fan.speed")


def answer(values: list[list[Any]], about: About, before: Answer | None = None) -> Answer:
    return report.answer({"values": values, "instances": [], "failed": []}, about, 1.0, before)


@pytest.mark.parametrize(
    "values",
    [
        [[POWER, 300.0], [ENERGY, 7.0]],
        [[POWER, 301.0], [ENERGY, 7.0]],
        [[ENERGY, 7.0], [POWER, 300.0]],
        [[ENERGY, 7.0]],
        [[POWER, 300.0], [FAN, 0.5, 0]],
        [[POWER, 300.0], [ENERGY, 7.0], [FAN, 0.5, 0]],
        [],
    ],
)
def test_an_answer_does_not_depend_on_the_one_before(values: list[list[Any]]) -> None:
    """Whatever the answer before, and whichever tiers are read with the fast one, the readings are those of the frame."""
    about = report.about(ABOUT)
    alone = answer(values, about)

    for first in ([[POWER, 300.0], [ENERGY, 7.0]], [[POWER, 300.0], [FAN, 0.5, 0]], []):
        assert answer(values, about, answer(first, about)).readings == alone.readings


def test_a_reading_that_says_the_same_is_the_same() -> None:
    """Of two values of which one has moved the other's reading is not made again; another GPU's are."""
    about = report.about(ABOUT)
    before = answer([[POWER, 300.0], [ENERGY, 7.0]], about)

    (after,) = answer([[POWER, 300.0], [ENERGY, 8.0]], about, before).readings
    (other,) = answer([[POWER, 300.0], [ENERGY, 8.0]], report.about(ABOUT), before).readings

    assert (after[0] is before.readings[0][0], after[1].value) == (True, 8.0)
    assert other[0] is not before.readings[0][0]


def test_what_a_gpu_is_is_told_when_it_changes(driver: Driver, opened: Open) -> None:
    """Reads that tell nothing new leave the devices as they are; a mode that is switched, and a new instance, are seen."""
    driver.is_now(Node((Gpu("GPU-0"),)))
    source = opened()
    first, second = source.read(), source.read()
    driver.is_now(Node((Gpu("GPU-0", mig=1, instances=(Instance("MIG-1"),)),)))
    third = source.read()

    assert first.devices[0] is second.devices[0]
    assert first.unsupported == second.unsupported
    assert [device.uuid for device in third.devices] == ["GPU-0", "MIG-1"]
    assert third.devices[0].mig_enabled
