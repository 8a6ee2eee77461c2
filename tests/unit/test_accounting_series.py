# SPDX-License-Identifier: Apache-2.0
"""Which series an owner's time and energy count in while what is said of the owner changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from frames import CONTEXT, NOW, frames, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Allocation, Frames, Metric, Pod, Reading, Snapshot
from reported import by_nvml

RULES = Rules(linger=300.0)
PODS = [Pod(f"uid-{name}", "ns", name, "Running", labels={"team": "red"}) for name in "abcd"]


def run(*ticks: Frames) -> list[Snapshot]:
    state, snapshots = State(), []
    for tick in ticks:
        state, snapshot = account(state, join(tick, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def at(passed: float, *pods: Pod, joules: float = 0.0, listed: Sequence[Pod] | None = None) -> Frames:
    """Give one GPU that these pods hold; `listed` are those that can be read, where those are others."""
    return frames(
        devices=[gpu(0)],
        readings=[Reading("GPU-0", catalog.ENERGY, (), joules)],
        allocations=[Allocation(p.namespace, p.name, "main", "GPU-0") for p in pods],
        pods=pods if listed is None else listed,
        passed=passed,
    )


def counted(
    snapshot: Snapshot, metric: Metric = catalog.OWNER_TIME, key: str = "attribution"
) -> Mapping[tuple[str | None, str | None], tuple[float, float | None]]:
    """Give value and start of each series, by pod name and the attribute `key`."""
    pod, other = metric.keys.index("k8s.pod.name"), metric.keys.index(key)
    found = {}
    for point in snapshot.points:
        if point.metric is metric:
            assert isinstance(point.value, float)
            found[point.attributes[pod], point.attributes[other]] = point.value, point.start
    return found


def test_who_comes_or_goes_costs_the_others_nothing() -> None:
    """Each of those that stay has its part in every interval, and what nobody had at both ends is nobody's."""
    a, b, c, d = PODS

    *_, last = run(at(0, a, b, c), at(6, a, b, c), at(12, a, b, c, d), at(24, a, b, c, d), at(36, a, b, c))

    assert {pod: round(value, 6) for (pod, _), (value, _) in counted(last).items()} == {
        "a": 2 + 1.5 + 3 + 3,
        "b": 2 + 1.5 + 3 + 3,
        "c": 2 + 1.5 + 3 + 3,
        "d": 3.0,
        None: 0 + 1.5 + 0 + 3,
    }


def test_a_change_of_how_it_is_known_begins_a_series_at_zero() -> None:
    """The interval of the change is the old series' last; then that one is frozen, and goes on if it is there again."""
    a, b, *_ = PODS

    *_, before, shared, then, alone, last = run(at(0, a), at(10, a), at(20, a, b), at(30, a, b), at(40, a), at(50, a))

    assert counted(before)["a", "exclusive"] == (10.0, NOW)
    assert counted(shared)["a", "exclusive"] == (15.0, NOW)
    assert counted(shared)["a", "equal"] == (0.0, NOW + 20)
    assert counted(then)["a", "exclusive"] == (15.0, NOW)
    assert counted(then)["a", "equal"] == (5.0, NOW + 20)
    assert counted(alone)["a", "exclusive"] == (15.0, NOW)
    assert counted(alone)["a", "equal"] == (10.0, NOW + 20)
    assert counted(last)["a", "exclusive"] == (25.0, NOW)


def test_a_label_that_changes_costs_no_time_and_no_energy() -> None:
    """The old team has what was until the change was seen, the new one what is from then on; together it is all of it."""
    a, *_ = PODS
    moved = replace(a, labels={"team": "blue"})

    *_, changed, last = run(at(0, a, joules=100.0), at(5, moved, joules=300.0), at(10, moved, joules=400.0))

    team = catalog.TEAM.key
    assert counted(changed, key=team)["a", "red"] == counted(last, key=team)["a", "red"] == (5.0, NOW)
    assert counted(changed, key=team)["a", "blue"] == (0.0, NOW + 5)
    assert counted(last, key=team)["a", "blue"] == (5.0, NOW + 5)
    energy = counted(last, catalog.OWNER_ENERGY, team)
    assert energy == {("a", "red"): (200.0, NOW), ("a", "blue"): (100.0, NOW + 5), (None, None): (0.0, NOW)}


def test_an_xid_while_a_label_changes_is_still_its_owners() -> None:
    """The same pod held the GPU at both ends, so it hit that pod, under the name that it had."""
    a, *_ = PODS
    moved = at(5, replace(a, labels={"team": "blue"}))
    (report,) = [frame for frame in moved.good if frame.source == "nvidia"]
    told = replace(
        report,
        value=replace(report.value, events=(by_nvml(1, 48, at=4.0),)),  # type: ignore[type-var]  # this one is the device report
    )
    moved = replace(moved, good=(told, *(frame for frame in moved.good if frame is not report)))

    *_, last = run(at(0, a), moved, at(10, replace(a, labels={"team": "blue"})))

    points = [p for p in last.points if p.metric is catalog.OWNER_XID_ERRORS and p.value]
    team = catalog.OWNER_XID_ERRORS.keys.index(catalog.TEAM.key)
    assert [p.attributes[team] for p in points] == ["red"]


def test_a_sharer_that_pods_do_not_show_yet_costs_the_others_nothing() -> None:
    """Its part is nobody's until its UID is known; the others have theirs."""
    a, b, *_ = PODS

    *_, early, last = run(at(0, a), at(10, a, b, listed=[a]), at(20, a, b))

    assert counted(early) == {
        ("a", "exclusive"): (5.0, NOW),
        ("a", "equal"): (0.0, NOW + 10),
        (None, "none"): (5.0, NOW),
    }
    assert counted(last) == {
        ("a", "exclusive"): (5.0, NOW),
        ("a", "equal"): (5.0, NOW + 10),
        ("b", "equal"): (0.0, NOW + 20),
        (None, "none"): (10.0, NOW),
    }
