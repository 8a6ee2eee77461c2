# SPDX-License-Identifier: Apache-2.0
"""The fold of XIDs over any course of events: never falls, first at 0, each once, bounded."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, frames, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Frames, Snapshot, Xid

RULES = Rules(linger=3600.0, max_codes=4)


@st.composite
def courses(draw: st.DrawFn) -> list[Frames]:
    """Draw a node's life: events come, reports are told again or overlap, GPUs and the driver go and come."""
    told: list[Xid] = []
    life = []
    for tick in range(draw(st.integers(1, 8))):
        for _ in range(draw(st.integers(0, 3))):
            code, device = draw(st.sampled_from([13, 31, 48, 79, 94, 119])), draw(st.integers(0, 1))
            told.append(Xid(len(told) + 1, f"GPU-{device}", code, "unknown", times=draw(st.integers(1, 3))))
        if draw(st.integers(0, 5)) == 0:
            life.append(frames(passed=5.0 * tick))  # no driver, and no report
            continue
        present = [gpu(index) for index in (0, 1) if draw(st.integers(0, 4)) > 0]
        life.append(frames(devices=present, xids=told, passed=5.0 * tick))
    return life


def fold(life: list[Frames]) -> list[Snapshot]:
    state, snapshots = State(), []
    for tick in life:
        state, snapshot = account(state, join(tick, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def counts(snapshot: Snapshot) -> dict[tuple[str | None, ...], float]:
    return {
        (p.attributes[0], p.attributes[2]): float(p.value)  # type: ignore[arg-type]  # a counter's value is a number
        for p in snapshot.points
        if p.metric is catalog.XID_ERRORS
    }


@given(courses())
@settings(max_examples=200, deadline=None)
def test_a_count_never_falls_and_is_first_seen_at_zero(life: list[Frames]) -> None:
    """So that rate() and increase() see every event, the first included."""
    snapshots = fold(life)
    for before, after in pairwise([Snapshot(0.0, 0.0, CONTEXT.node), *snapshots]):
        earlier = counts(before)
        for series, value in counts(after).items():
            assert value >= earlier.get(series, 0.0)
            assert value == 0.0 or series in earlier


@given(courses())
@settings(max_examples=200, deadline=None)
def test_what_is_counted_and_what_is_dropped_is_what_was_told(life: list[Frames]) -> None:
    """Each event counts once: on its GPU and code, or as dropped where a GPU has too many codes."""
    *_, last = fold([*life, frames(devices=[gpu(0), gpu(1)], passed=100.0)])
    reports = [f.value for tick in life for f in tick.good if f.source == "nvidia"]
    told = {xid.number: xid for report in reports for xid in report.events}  # type: ignore[attr-defined]  # its kind
    truth: Counter[tuple[str, str]] = Counter()
    for xid in told.values():
        truth[xid.device, str(xid.code)] += xid.times
    dropped = [p.value for p in last.points if p.metric is catalog.DROPPED and p.attributes[0] == "xid"]

    counted = counts(last)
    assert [truth.total() - sum(counted.values())] == dropped
    assert all(value <= truth[series] for series, value in counted.items())  # type: ignore[index]  # no None
    assert all(sum(device == f"GPU-{i}" for device, _ in counted) <= RULES.max_codes for i in (0, 1))


@given(courses())
@settings(max_examples=50, deadline=None)
def test_the_same_course_gives_the_same_counters(life: list[Frames]) -> None:
    """The fold is pure."""
    assert fold(life) == fold(life)
