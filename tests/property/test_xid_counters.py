# SPDX-License-Identifier: Apache-2.0
"""The fold of XIDs over any course of events and of two tellers: each once, never falling, first at 0, bounded."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, NOW, frames
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Frames, KernelReport, Snapshot, Xid
from inferometer.xid_catalog import ALERTED
from reported import address, counters, counts, dropped, totals, with_address

WINDOW = 5.0  # more than what one second's XIDs are kept as
RULES = Rules(linger=3600.0, max_codes=1, same_xid=WINDOW)
PERIOD = 5.0
CODES = [31, 79, 999]


class Course(NamedTuple):
    """A node's life, and what the driver did in it: how often each teller told of each GPU and code, and the truth."""

    life: list[Frames]
    by_nvml: Counter[tuple[str, int]]
    by_kernel: Counter[tuple[str, int]]
    truth: Counter[tuple[str, int]]


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Draw XIDs at any time, each told by NVML, the log or both; reports are late, told again, or never looked at.

    The driver and the GPUs go and come; each report has all XIDs that its teller has told so far.
    """
    ticks = draw(st.integers(1, 10))
    moments = st.floats(0.0, PERIOD * ticks, allow_nan=False)
    nvml: list[tuple[float, int, int, int]] = []  # seconds when it is told, GPU, code, how often
    kernel: list[tuple[float, int, int]] = []  # seconds when it was, GPU, code
    counted: tuple[Counter[tuple[str, int]], ...] = (Counter(), Counter(), Counter())
    late = draw(st.sampled_from([PERIOD, 10.0, 60.0]))  # how long after an XID NVML's stamp may be
    for _ in range(draw(st.integers(0, 12))):
        when, device, code = draw(moments), draw(st.integers(0, 1)), draw(st.sampled_from(CODES))
        teller = draw(st.sampled_from(["nvml", "kernel", "both", "both"]))
        times = draw(st.integers(1, 3))
        key = (f"GPU-{device}", code)
        counted[2][key] += times
        if teller != "kernel":
            nvml.append((when + draw(st.floats(0.0, late)), device, code, times))
            counted[0][key] += times
        if teller != "nvml":
            kernel += [(when, device, code)] * times
            counted[1][key] += times
    # Each teller tells in its own order.
    events = [
        Xid(i, code, NOW + at, "nvml", f"GPU-{device}", times=times, late=late)
        for i, (at, device, code, times) in enumerate(sorted(nvml), 1)
    ]
    lines = [
        Xid(i, code, NOW + at, "kernel", pci_address=address(device))
        for i, (at, device, code) in enumerate(sorted(kernel), 1)
    ]
    life = [frames(devices=[with_address(0), with_address(1)])]
    for tick in range(1, ticks + 1):
        now = PERIOD * tick
        held_up = draw(st.sampled_from([0.0, 0.0, 7.0, 30.0]))  # a reader that has not come so far
        log = KernelReport(tuple(_until(lines, now - held_up)))
        present = [with_address(index) for index in (0, 1) if draw(st.integers(0, 4)) > 0]
        life.append(
            frames(
                devices=draw(st.sampled_from([present, present, present, None])),
                xids=_until(events, now),
                kernel=draw(st.sampled_from([log, log, None])),
                passed=now,
            )
        )
    end = PERIOD * ticks + late
    both = [with_address(0), with_address(1)]
    whole = KernelReport(tuple(lines))
    life += [frames(devices=both, xids=events, kernel=whole, passed=at) for at in (end, end + PERIOD)]  # none held back
    return Course(life, *counted)


def _until(told: Iterable[Xid], passed: float) -> list[Xid]:
    return [xid for xid in told if xid.at <= NOW + passed]


def fold(life: list[Frames], rules: Rules = RULES) -> list[Snapshot]:
    state, snapshots = State(), []
    for tick in life:
        state, snapshot = account(state, join(tick, CONTEXT), rules)
        snapshots.append(snapshot)
    return snapshots


@given(courses())
@settings(max_examples=200, deadline=None)
def test_a_count_never_falls_and_is_first_seen_at_zero(course: Course) -> None:
    """So that rate() and increase() see every XID, the first included; the total is the sum and what has no counter."""
    for before, after in pairwise([Snapshot(0.0, 0.0, CONTEXT.node), *fold(course.life)]):
        earlier, earlier_totals = counters(before), totals(before)
        for series, value in counters(after).items():
            assert value >= earlier.get(series, 0.0)
            assert value == 0.0 or series in earlier
        for device, value in totals(after).items():
            assert value >= earlier_totals.get(device, 0.0)
            assert value == 0.0 or device in earlier_totals
        assert sum(totals(after).values()) == sum(counters(after).values()) + (dropped(after) or 0.0)


@given(courses())
@settings(max_examples=300, deadline=None)
def test_what_two_tell_counts_once_and_what_one_tells_counts_too(course: Course) -> None:
    """However late and in whatever order they come: as often as it was, no less than either told, never more than both."""
    *_, last = fold(course.life, Rules(3600.0, same_xid=WINDOW))
    counted = counts(last)
    for key in {*course.truth, *counted}:
        told = course.by_nvml[key], course.by_kernel[key]
        assert max(told) <= counted.get(key, 0.0) <= course.truth[key] <= sum(told)
    assert dropped(last) == 0.0


@given(courses())
@settings(max_examples=100, deadline=None)
def test_xids_that_lie_apart_are_counted_as_often_as_they_were(course: Course) -> None:
    """Where no two of a GPU and code are near one another, the count is the truth."""
    lone = {key for key, times in course.truth.items() if times == 1}
    *_, last = fold(course.life, Rules(3600.0, same_xid=WINDOW))

    assert all(counts(last).get(key, 0.0) == 1.0 for key in lone)


@given(courses())
@settings(max_examples=100, deadline=None)
def test_the_codes_of_a_gpu_are_bounded_and_what_is_left_out_is_counted(course: Course) -> None:
    """Besides those that stand there are so many; the others are in the total and counted as dropped."""
    *_, last = fold(course.life)
    for device in ("GPU-0", "GPU-1"):
        others = {code for uuid, code in counters(last) if uuid == device and code not in ALERTED}
        assert len(others) <= RULES.max_codes
    unbounded = fold(course.life, Rules(3600.0, same_xid=WINDOW))[-1]
    assert totals(last) == totals(unbounded)


@given(courses())
@settings(max_examples=50, deadline=None)
def test_the_same_course_gives_the_same_counters(course: Course) -> None:
    """The fold is pure."""
    assert fold(course.life) == fold(course.life)
