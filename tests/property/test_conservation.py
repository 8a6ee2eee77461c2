# SPDX-License-Identifier: Apache-2.0
"""Law 3 for time and energy, over generated lives of shared devices: pods come, go and are renamed, and nothing is lost or counted twice."""

from collections import defaultdict
from itertools import pairwise
from math import isclose

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, frames, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Allocation, Frames, Metric, Pod, Reading, Snapshot

PERIOD = 6.0
RULES = Rules(linger=3 * PERIOD)
GPUS = ("GPU-0", "GPU-1")
NAMES = "abcd"
Series = tuple[str | None, ...]


@st.composite
def lives(draw: st.DrawFn) -> list[Frames]:
    """Draw a life of two GPUs: whoever holds them, how their pods are labelled, and which of those can be read, changes."""
    joules = dict.fromkeys(GPUS, 0.0)
    held = {name: draw(st.sets(st.sampled_from(GPUS))) for name in NAMES}
    teams = dict.fromkeys(NAMES, "red")
    life = []
    for number in range(draw(st.integers(2, 8))):
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=2)):
            held[name] = draw(st.sets(st.sampled_from(GPUS)))
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=1)):
            teams[name] = draw(st.sampled_from(["red", "blue"]))
        for device in GPUS:
            joules[device] += draw(st.integers(0, 9)) * 100.0
        unread = draw(st.sets(st.sampled_from(NAMES), max_size=1)) if draw(st.booleans()) else set()
        life.append(
            frames(
                devices=[gpu(index) for index, _ in enumerate(GPUS)],
                readings=[
                    Reading(device, catalog.ENERGY, (), total)
                    for device, total in joules.items()
                    if draw(st.integers(0, 9)) > 0
                ],
                allocations=[Allocation("ns", name, "main", device) for name in NAMES for device in sorted(held[name])],
                pods=[
                    Pod(f"uid-{name}", "ns", name, "Running", labels={"team": teams[name]})
                    for name in NAMES
                    if name not in unread
                ],
                passed=number * PERIOD,
            )
        )
    return life


def fold(life: list[Frames]) -> list[Snapshot]:
    state, snapshots = State(), []
    for tick in life:
        state, snapshot = account(state, join(tick, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def values(snapshot: Snapshot, metric: Metric) -> dict[Series, float]:
    return {p.attributes: p.value for p in snapshot.points if p.metric is metric and isinstance(p.value, float)}


def gains(before: Snapshot, after: Snapshot, metric: Metric) -> dict[tuple[str | None, str | None], float]:
    """Give what was gained by each holder: a device, and a pod's UID or None."""
    device, uid = (metric.keys.index(key) for key in (catalog.HW_ID.key, catalog.POD_UID.key))
    earlier = values(before, metric)
    gained: dict[tuple[str | None, str | None], float] = defaultdict(float)
    for series, value in values(after, metric).items():
        gained[series[device], series[uid]] += value - earlier.get(series, 0.0)
    return gained


def parts(snapshot: Snapshot) -> dict[tuple[str | None, str | None], float]:
    return {(s.device, s.owner.uid if s.owner else None): s.fraction for s in snapshot.shares}


@given(lives())
@settings(max_examples=200, deadline=None)
def test_time(life: list[Frames]) -> None:
    """In each interval every pod gains the part that it had at both ends, whoever came, went or changed; nobody gains the rest."""
    for before, after in pairwise(fold(life)):
        gained, had, has = gains(before, after, catalog.OWNER_TIME), parts(before), parts(after)
        for device in GPUS:
            assert isclose(sum(gain for (of, _), gain in gained.items() if of == device), PERIOD)
        for holder, gain in gained.items():
            if holder[1] is not None:
                assert isclose(gain, PERIOD * min(had.get(holder, 0.0), has.get(holder, 0.0)), abs_tol=1e-6)


@given(lives())
@settings(max_examples=200, deadline=None)
def test_energy(life: list[Frames]) -> None:
    """What the GPU's counter moves by is gained: by a pod that had it alone since the counter moved last, else by nobody.

    A reading that is missing, or the same once more, tells nothing of the interval, and loses nothing of it.
    """
    snapshots = fold(life)
    moved: dict[str, tuple[int, float]] = {
        device: (0, joules) for device, joules in snapshots[0].energies.items()
    }  # when each counter did, and to what
    for number, (before, after) in enumerate(pairwise(snapshots), 1):
        gained = gains(before, after, catalog.OWNER_ENERGY)
        for device in GPUS:
            now = after.energies.get(device)
            since, then = moved.get(device, (number, now))
            spent = now - then if now is not None and then is not None else 0.0
            assert isclose(sum(gain for (of, _), gain in gained.items() if of == device), spent, abs_tol=1e-6)
            for uid in (f"uid-{name}" for name in NAMES):
                alone = all(parts(each).get((device, uid)) == 1.0 for each in snapshots[since : number + 1])
                assert gained[device, uid] == (spent if alone else 0.0)
            if now is not None and now != then:
                moved[device] = (number, now)
            elif now is not None:
                moved.setdefault(device, (number, now))


@given(lives())
@settings(max_examples=100, deadline=None)
def test_series(life: list[Frames]) -> None:
    """A series begins at 0, or where it was left; it never falls, nor has it a start that is later than its value."""
    left: dict[tuple[str, Series], float] = {}
    for snapshot in fold(life):
        told = {}
        for point in (p for p in snapshot.points if p.metric in (catalog.OWNER_TIME, catalog.OWNER_ENERGY)):
            key = (point.metric.name, point.attributes)
            assert isinstance(point.value, float)
            assert point.start is not None
            assert point.start <= point.at
            assert point.value >= left[key] if key in left else point.value == 0.0
            told[key] = point.value
        left = told
