# SPDX-License-Identifier: Apache-2.0
"""The short ways to a value are the long ones: dividing is scaling, and what was told last is told again for the same."""

from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.items import Item

NUMBERS = st.floats() | st.integers(-2, 1 << 65).map(float) | st.integers(0, 1 << 33).map(float)
RAW = st.lists(st.none() | st.sampled_from([0, 1, 1.0, 0.5, 7, codes.NO_VALUE, float("nan")]), max_size=9).map(tuple)


@given(st.sampled_from(sorted(calls.DIVISIONS, key=repr)), NUMBERS)
def test_a_division_is_what_decoder_and_scale_do(way: tuple[object, object], number: float) -> None:
    """Every number within the bounds becomes what the functions make of it, bit by bit."""
    decode, scale = way
    highest, divisor = calls.DIVISIONS[decode, scale]  # type: ignore[index]  # whatever stands there
    if not 0 <= number <= highest:
        return

    raw = number if decode is None else decode(number)[0]  # type: ignore[operator]
    assert repr(number / divisor) == repr(scale(raw))  # type: ignore[operator]


@given(st.lists(RAW, max_size=20))
def test_what_is_remembered_of_a_row_changes_nothing(raws: list[tuple[float | None, ...]]) -> None:
    """Whatever is read one after the other, the same values are told as by an item that remembers nothing."""
    slot, row = next((slot, row) for slot, row in calls.GPU_TABLE if row.gives[0].metric == "gpu.throttle.active")
    item = Item(slot, row, None)

    for raw in raws:
        assert item.told(raw) == Item(slot, row, None).told(raw)


def test_what_fails_is_not_remembered() -> None:
    """A number that is none fails each time, and what was told before it is told again after it."""
    slot, row = next((slot, row) for slot, row in calls.GPU_TABLE if row.gives[0].metric == "hw.gpu.utilization")
    item = Item(slot, row, None)
    told = item.told((50, 25))
    for _ in range(2):
        try:
            item.told((50, 250))
        except ValueError:
            continue
        raise AssertionError("250 % was told")

    assert item.told((50, 25)) == told == [(slot, 0.5), (slot + 1, 0.25)]
