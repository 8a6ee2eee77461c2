# SPDX-License-Identifier: Apache-2.0
"""What the join and the fold keep from one tick to the next saves work, and changes no result."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from frames import CONTEXT, frames, gpu, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.join.memo import Memo
from inferometer.model import SAID_AGAIN, Device, EngineReport, Histogram, Reading, Snapshot, Target, Value

_DEVICES = (gpu(0), gpu(1), replace(gpu(1), index=4), instance(1, 0))
_TARGETS = tuple(Target(name, f"http://{name}/metrics") for name in ("a:1", "b:2"))
_PLACES = [
    (device.uuid, metric, attributes)
    for device in _DEVICES[:2]
    for metric, attributes in (
        (catalog.POWER, ()),
        (catalog.ENERGY, ()),
        (catalog.TEMPERATURE, ((catalog.HW_SENSOR.key, "core"),)),
        (catalog.TEMPERATURE, ((catalog.HW_SENSOR.key, "memory"),)),
    )
]
_VALUES: st.SearchStrategy[Value] = st.sampled_from([0.0, 1.0, 2.5])
_HISTOGRAMS: st.SearchStrategy[Value] = st.sampled_from(
    [Histogram((1.0,), (1, 2), 3.0), Histogram((1.0,), (0, 2), 2.0), Histogram((1.0, 2.0), (1, 0, 0), 0.5)]
)


def _readings() -> st.SearchStrategy[list[Reading]]:
    """Give readings in any order, some of them twice; the few that exist stay the same objects from tick to tick."""
    times = st.sampled_from([None, 1_794_999_990.0])
    made = st.builds(
        lambda place, value, at: Reading(place[0], place[1], place[2], value, None, at),
        st.sampled_from(_PLACES),
        _VALUES,
        times,
    )
    return st.lists(made, max_size=6)


@st.composite
def lives(draw: st.DrawFn) -> list[dict[str, object]]:
    """Give the ticks of a node: what is there, reads anew or not, comes and goes."""
    pool = draw(st.lists(_readings(), min_size=1, max_size=3))
    devices = [_DEVICES[:2], _DEVICES[::3], (*_DEVICES[::2],), (_DEVICES[0], *_DEVICES[:2])]
    spoken = [
        EngineReport(target, "vllm", "vllm", "engine", "", (), (Reading(target.instance, metric, (), value),))
        for target in _TARGETS
        for metric, value in (
            (catalog.PREEMPTIONS, draw(_VALUES)),
            (catalog.TIME_TO_FIRST_TOKEN, draw(_HISTOGRAMS)),
            (catalog.TIME_TO_FIRST_TOKEN, draw(_HISTOGRAMS)),
        )
    ]
    return [
        {
            "devices": draw(st.sampled_from(devices)),
            "readings": [*draw(st.sampled_from(pool)), *draw(st.sampled_from(pool))],
            "engines": draw(st.lists(st.sampled_from(spoken), max_size=2)),
            "passed": 5.0 * tick,
        }
        for tick in range(draw(st.integers(1, 7)))
    ]


def _fold(life: list[dict[str, object]], *, remembering: bool) -> list[Snapshot]:
    state, snapshots, context = State(), [], replace(CONTEXT, memo=Memo())
    for tick in life:
        joined = join(frames(**tick), context)  # type: ignore[arg-type]  # each key has its own type
        if not remembering:
            context = replace(CONTEXT, memo=Memo())
            joined = replace(joined, points=tuple(point._replace() for point in joined.points))
        state, snapshot = account(state, joined, Rules(linger=6.0, max_ended=3))
        snapshots.append(snapshot)
    return snapshots


_READ = {metric for _, metric, _ in _PLACES} | {catalog.PREEMPTIONS, catalog.TIME_TO_FIRST_TOKEN}


@given(lives())
def test_what_is_remembered_is_never_seen(life: list[dict[str, object]]) -> None:
    """With points and attributes of earlier ticks at hand the snapshots are those of a join that knows of none.

    What was read has its own time in both. What the agent itself says may have been said before, for a while.
    """
    for lent, made in zip(_fold(life, remembering=True), _fold(life, remembering=False), strict=True):
        assert replace(lent, points=()) == replace(made, points=())
        assert [p._replace(at=0.0) for p in lent.points] == [p._replace(at=0.0) for p in made.points]
        for point, fresh in zip(lent.points, made.points, strict=True):
            assert 0.0 <= fresh.at - point.at < (SAID_AGAIN if fresh.metric not in _READ else 1e-9), fresh


def test_what_did_not_change_is_not_made_again() -> None:
    """A reading of a slow tier is the same point until its next read; one that moved keeps its series' attributes."""
    devices: tuple[Device, ...] = (gpu(0),)
    slow = Reading("GPU-0", catalog.ENERGY, (), 7.0, None, 1_794_999_990.0)
    context = replace(CONTEXT, memo=Memo())
    state, points = State(), []
    for tick in (0, 1):
        seen = frames(devices=devices, readings=[Reading("GPU-0", catalog.POWER, (), 100.0 + tick), slow], passed=tick)
        state, snapshot = account(state, join(seen, context), Rules())
        points.append({p.metric: p for p in snapshot.points})

    assert points[0][catalog.ENERGY] is points[1][catalog.ENERGY]
    assert [p[catalog.POWER].value for p in points] == [100.0, 101.0]
    assert points[0][catalog.POWER].attributes is points[1][catalog.POWER].attributes
