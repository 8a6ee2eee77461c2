# SPDX-License-Identifier: Apache-2.0
"""The short ways to a value are the long ones: dividing is scaling, and what was told last is told again for the same."""

from math import nan
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.items import Item, Value
from inferometer.sources.devices.subject import Complaint, Subject

NUMBERS = st.floats() | st.integers(-2, 1 << 65).map(float) | st.integers(0, 1 << 33).map(float)


@given(st.sampled_from(sorted(calls.DIVISIONS, key=repr)), NUMBERS)
def test_a_division_is_what_decoder_and_scale_do(way: tuple[object, object], number: float) -> None:
    """Every number within the bounds becomes what the functions make of it, bit by bit."""
    decode, scale = way
    highest, divisor = calls.DIVISIONS[decode, scale]  # type: ignore[index]  # whatever stands there
    if not 0 <= number <= highest:
        return

    raw = number if decode is None else decode(number)[0]  # type: ignore[operator]  # whatever stands there
    assert repr(number / divisor) == repr(scale(raw))  # type: ignore[operator]  # whatever stands there


class Library:
    """Stands for the binding: answers one function and the fields with what comes next."""

    def __init__(self, answers: list[float | None]) -> None:
        self._answers = iter(answers)

    def nvmlDeviceGetCurrentClocksEventReasons(self, _: object) -> float | None:  # noqa: N802  # NVML's name
        """Answer a mask of reasons."""
        return next(self._answers)

    def nvmlDeviceGetFieldValues(self, _: object, fields: list[object]) -> list[SimpleNamespace]:  # noqa: N802  # NVML's name
        """Answer each field with the same number."""
        number = next(self._answers)
        value = SimpleNamespace(dVal=number)
        one = SimpleNamespace(nvmlReturn=29 if number is None else 0, valueType=0, value=value, latencyUsec=3)
        return [one for _ in fields]


def unmarked(_: str) -> None:
    """Tell nobody of a call."""


def read(subject: Subject) -> tuple[list[Value], list[Complaint]]:
    """Read the fast and the medium tier."""
    failed: list[Complaint] = []
    return subject.read(None, [calls.FAST, calls.MEDIUM], failed), failed


@pytest.mark.parametrize("metric", ["gpu.throttle.active", "gpu.recovery.action", "gpu.pcie.replays"])
@given(st.lists(st.none() | st.sampled_from([0.0, 1.0, 2.0, 7.0, 9.0, 1e10, float(codes.NO_VALUE), nan]), max_size=20))
def test_what_is_remembered_of_a_row_changes_nothing(metric: str, answers: list[float | None]) -> None:
    """Whatever is answered one after the other, the same is told as by a device of which nothing is remembered."""
    table = [(slot, row) for slot, row in calls.GPU_TABLE if row.gives[0].metric == metric]
    table = [(slot, row._replace(ways=row.ways[:1], tier=calls.FAST)) for slot, row in table]
    remembering = Subject(Library(answers), unmarked, "GPU-0", table)

    for answer in answers:
        assert read(remembering) == read(Subject(Library([answer]), unmarked, "GPU-0", table))


def test_another_way_is_not_taken_for_the_one_before() -> None:
    """A number that the first way gave means something else by the second."""
    slot, row = next((slot, row) for slot, row in calls.GPU_TABLE if row.gives[-1].metric == "gpu.throttle.time")
    two = next(row for _, row in calls.GPU_TABLE if len(row.ways) == 2 and row.ways[1].decode and row.ways[0].decode)
    item = Item(slot, row._replace(gives=two.gives, ways=two.ways), None)
    first = item.tell(5e9, two.ways[0].decode(5e9))  # type: ignore[misc]  # it has one
    item.refuse("not_supported")

    assert item.seen is None
    assert item.tell(5e9, two.ways[1].decode(5e9)) != first  # type: ignore[misc]  # it has one
