# SPDX-License-Identifier: Apache-2.0
"""The fold: what owners held, resets, and the agent's own counters."""

from frames import CONTEXT, NOW, failed, frames, gpu, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import (
    Allocation,
    EngineReport,
    Frames,
    Histogram,
    Metric,
    Pod,
    Point,
    Reading,
    Reason,
    Snapshot,
    Target,
    Value,
)

RULES = Rules(linger=300.0, max_ended=2)
POD = Pod("uid-a", "ns", "a", "Running")


def run(*ticks: Frames, rules: Rules = RULES) -> list[Snapshot]:
    """Fold the ticks from nothing; give every snapshot."""
    state, snapshots = State(), []
    for tick in ticks:
        state, snapshot = account(state, join(tick, CONTEXT), rules)
        snapshots.append(snapshot)
    return snapshots


def points(snapshot: Snapshot, metric: Metric) -> list[Point]:
    return [p for p in snapshot.points if p.metric is metric]


def at(passed: float, *pods: Pod, device: int = 0) -> Frames:
    """Give one GPU held by these pods, `passed` seconds after the beginning."""
    held = [Allocation(p.namespace, p.name, "main", f"GPU-{device}") for p in pods]
    return frames(devices=[gpu(device)], allocations=held, pods=list(pods), passed=passed)


def seconds(snapshot: Snapshot) -> dict[str | None, Value]:
    """Give the device's time by pod UID; None is nobody's."""
    index = catalog.OWNER_TIME.keys.index("k8s.pod.uid")
    found: dict[str | None, Value] = {}
    for p in points(snapshot, catalog.OWNER_TIME):
        assert isinstance(p.value, float)
        before = found.get(p.attributes[index], 0.0)
        assert isinstance(before, float)
        found[p.attributes[index]] = p.value + before
    return found


def test_an_owners_time_begins_at_zero_and_grows_with_the_holding() -> None:
    """The first snapshot that sees a holding shows 0; each interval with the same owner at both ends adds itself."""
    first, second, third = run(at(0, POD), at(5, POD), at(10, POD))

    assert [seconds(s) for s in (first, second, third)] == [
        {"uid-a": 0.0, None: 0.0},
        {"uid-a": 5.0, None: 0.0},
        {"uid-a": 10.0, None: 0.0},
    ]
    assert points(third, catalog.OWNER_TIME)[0].start == NOW


def test_the_same_name_with_a_new_uid_is_a_new_owner() -> None:
    """A recreated pod starts at 0, and the interval in which it changed is nobody's."""
    again = Pod("uid-a2", "ns", "a", "Running")

    *_, last = run(at(0, POD), at(5, POD), at(10, again), at(15, again))

    assert seconds(last) == {"uid-a": 5.0, "uid-a2": 5.0, None: 5.0}


def test_an_ended_counter_stays_frozen_for_the_linger_and_then_goes() -> None:
    """A slow scraper still reads the last value; after the linger the series is gone."""
    _, _, ended, still, gone = run(at(0, POD), at(5, POD), at(10), at(309), at(311))

    assert seconds(ended) == {"uid-a": 5.0, None: 5.0}
    assert seconds(still) == {"uid-a": 5.0, None: 304.0}
    assert NOW + 5 in {p.at for p in points(still, catalog.OWNER_TIME)}
    assert seconds(gone) == {None: 306.0}


def test_a_second_owner_costs_the_first_its_part_and_no_more() -> None:
    """In the interval in which a second pod comes or goes the first has the part that it had at both ends, the rest is nobody's."""
    other = Pod("uid-b", "ns", "b", "Running")

    *_, last = run(at(0, POD), at(5, POD), at(10, POD, other), at(15, POD), at(20, POD))

    assert seconds(last) == {"uid-a": 15.0, "uid-b": 0.0, None: 5.0}


def test_more_ended_counters_than_the_limit_are_dropped_oldest_first_and_counted() -> None:
    """The linger is bounded, and what the bound drops is counted."""
    pods = [Pod(f"uid-{i}", "ns", f"p{i}", "Running") for i in range(4)]

    *_, last = run(*(at(5.0 * i, pod) for i, pod in enumerate(pods)), at(25))

    assert set(seconds(last)) == {"uid-2", "uid-3", None}
    index = catalog.DROPPED.keys.index("inferometer.limit")
    dropped = {p.attributes[index]: p.value for p in points(last, catalog.DROPPED)}
    assert dropped.pop("ended") == 2.0
    assert set(dropped.values()) == {0.0}  # limits that have cost nothing are there too


def test_a_clock_that_is_set_back_takes_no_time_from_an_owner() -> None:
    """Durations are monotonic: the wall clock only stamps."""
    set_back = at(5, POD)
    set_back = Frames(NOW - 3600, set_back.steady, set_back.outcomes, set_back.good, set_back.ages)

    *_, last = run(at(0, POD), set_back)

    assert seconds(last) == {"uid-a": 5.0, None: 0.0}


def serving(value: Value, metric: Metric, passed: float, start: float | None = None) -> Frames:
    target = Target("e:1", "http://e:1/metrics")
    report = EngineReport(target, "vllm", "vllm", "engine", "", (), (Reading("e:1", metric, (), value, start),))
    return frames(engines=[report], passed=passed)


def test_a_counter_that_falls_gets_the_time_before_as_its_start() -> None:
    """A restarted engine's counter starts where it was last seen whole; before that its start is unknown."""
    ticks = [serving(v, catalog.PREEMPTIONS, 5.0 * i) for i, v in enumerate((7.0, 9.0, 2.0, 3.0))]

    starts = [points(s, catalog.PREEMPTIONS)[0].start for s in run(*ticks)]

    assert starts == [None, None, NOW + 5, NOW + 5]


def test_a_histogram_is_reset_when_any_bucket_falls() -> None:
    """A count that has grown past its old value since a restart still shows by a bucket that fell."""
    before, after = Histogram((1.0,), (5, 1), 4.0), Histogram((1.0,), (2, 9), 40.0)

    first, second = run(serving(before, catalog.TIME_TO_FIRST_TOKEN, 0), serving(after, catalog.TIME_TO_FIRST_TOKEN, 5))

    assert points(first, catalog.TIME_TO_FIRST_TOKEN)[0].start is None
    assert points(second, catalog.TIME_TO_FIRST_TOKEN)[0].start == NOW


def test_a_start_that_the_source_knows_is_kept() -> None:
    """A page with `_created` says itself when its counters began."""
    (only,) = run(serving(7.0, catalog.PREEMPTIONS, 0, start=NOW - 99))

    assert points(only, catalog.PREEMPTIONS)[0].start == NOW - 99


def test_series_that_an_engine_gave_up_are_remembered_up_to_the_limit_and_counted() -> None:
    """Labels that are new in every scrape do not fill the memory: the oldest are forgotten first."""
    state, target = State(), Target("e:1", "http://e:1/metrics")
    for tick in range(5):
        readings = tuple(
            Reading("e:1", catalog.PREEMPTIONS, ((catalog.MODEL.key, f"{tick}-{i}"),), 1.0) for i in range(2)
        )
        report = EngineReport(target, "vllm", "vllm", "engine", "", (), readings)
        state, last = account(state, join(frames(engines=[report], passed=5.0 * tick), CONTEXT), RULES)

    model = catalog.PREEMPTIONS.keys.index(catalog.MODEL.key)
    limit = catalog.DROPPED.keys.index("inferometer.limit")
    remembered = [*(point for point, _ in state.kept.gone.values()), *points(last, catalog.PREEMPTIONS)]
    assert {point.attributes[model] for point in remembered} == {"4-0", "4-1", "3-0", "3-1"}
    assert {p.value for p in points(last, catalog.DROPPED) if p.attributes[limit] == "ended"} == {6.0}


def test_each_failed_read_is_counted_once_by_reason() -> None:
    """The same outcome seen in two ticks is one error; the next one is another."""
    once = frames(troubles=[failed("pods", Reason.TIMEOUT, sequence=1)])
    same = frames(troubles=[failed("pods", Reason.TIMEOUT, sequence=1)], passed=5)
    next_one = frames(troubles=[failed("pods", Reason.REJECTED, sequence=2)], passed=10)

    *_, last = run(once, same, next_one)

    index = catalog.SOURCE_ERRORS.keys.index("inferometer.reason")
    assert {p.attributes[index]: p.value for p in points(last, catalog.SOURCE_ERRORS)} == {
        "timeout": 1.0,
        "rejected": 1.0,
    }


def errors(snapshot: Snapshot) -> list[tuple[Value, float | None]]:
    """Give the failed reads with the start of their count."""
    return [(p.value, p.start) for p in points(snapshot, catalog.SOURCE_ERRORS)]


def test_failures_are_counted_on_when_a_source_comes_back() -> None:
    """A source that is away for a moment, as at a reload, goes on from its count; after the linger it begins anew."""

    def tick(number: int, passed: float) -> Frames:
        return frames(troubles=[failed("pods", Reason.TIMEOUT, sequence=number)], passed=passed)

    first, away, back, _, forgotten, anew = run(
        tick(1, 0), frames(passed=5), tick(2, 10), frames(passed=15), frames(passed=400), tick(3, 405)
    )

    assert [errors(s) for s in (first, away, back)] == [[(1.0, NOW)], [(1.0, NOW)], [(2.0, NOW)]]
    assert errors(forgotten) == []
    assert errors(anew) == [(1.0, NOW + 400)]


def test_while_the_clock_is_behind_no_counter_begins_after_it_was_read() -> None:
    """A clock that is set back makes a start unknown, not later than its value; when it has caught up the start is back."""
    early = at(5, POD)
    early = Frames(NOW - 3600, early.steady, early.outcomes, early.good, early.ages)

    *_, behind, caught_up = run(at(0, POD), early, at(10, POD))

    assert all(p.start is None or p.start <= p.at for p in behind.points)
    assert {p.start for p in points(caught_up, catalog.DROPPED)} == {NOW}


def test_the_number_of_series_counts_itself() -> None:
    """inferometer.series is the number of lines a scraper stores."""
    (only,) = run(at(0, POD))

    assert points(only, catalog.SERIES)[0].value == len(only.points)


def test_what_a_frame_costs_is_counted_once_however_many_snapshots_it_stands_in() -> None:
    """A page that two ticks show has dropped its series once."""
    target = Target("e:1", "http://e:1/metrics")
    report = EngineReport(target, "vllm", "vllm", "engine", "", (), (), dropped={"type": 3})

    *_, last = run(frames(engines=[report]), frames(engines=[report], passed=5))

    index = catalog.DROPPED.keys.index("inferometer.limit")
    assert {p.attributes[index]: p.value for p in points(last, catalog.DROPPED)}["page_type"] == 3.0


def test_the_energy_of_a_gpu_in_mig_mode_is_nobodys() -> None:
    """Its instances' parts are not known: what it spent stands once with the attribution none, and no time beside it."""

    def tick(passed: float, joules: float, *, mig: bool) -> Frames:
        return frames(
            devices=[gpu(0, mig_enabled=mig), *([instance(0, 0)] if mig else [])],
            readings=[Reading("GPU-0", catalog.ENERGY, (), joules)],
            allocations=[],
            pods=[],
            passed=passed,
        )

    ticks = [tick(0, 100.0, mig=True), tick(5, 400.0, mig=True), tick(10, 500.0, mig=False), tick(15, 700.0, mig=False)]
    energy, time = [
        [[p.value for p in points(s, metric) if p.attributes[0] == "GPU-0"] for s in run(*ticks)]
        for metric in (catalog.OWNER_ENERGY, catalog.OWNER_TIME)
    ]

    assert energy == [[0.0], [300.0], [400.0], [600.0]]
    assert time == [[], [], [0.0], [5.0]]


def burning(passed: float, joules: float | None, *pods: Pod) -> Frames:
    """Give a GPU, held by these pods, and what its counter says; None is that it does not answer."""
    readings = [] if joules is None else [Reading("GPU-0", catalog.ENERGY, (), joules)]
    held = [Allocation(p.namespace, p.name, "main", "GPU-0") for p in pods]
    return frames(devices=[gpu(0)], readings=readings, allocations=held, pods=list(pods), passed=passed)


def joules(snapshot: Snapshot) -> dict[str | None, Value]:
    index = catalog.OWNER_ENERGY.keys.index("k8s.pod.uid")
    return {p.attributes[index]: p.value for p in points(snapshot, catalog.OWNER_ENERGY)}


def test_a_reading_that_is_missing_once_loses_no_energy() -> None:
    """What a GPU spent while its counter did not answer is its owner's when it does, if nobody else had it meanwhile."""
    other = Pod("uid-b", "ns", "b", "Running")

    *_, kept = run(burning(0, 0.0, POD), burning(5, 100.0, POD), burning(10, None, POD), burning(15, 300.0, POD))
    *_, changed = run(burning(0, 0.0, POD), burning(5, 100.0, POD), burning(10, None, other), burning(15, 300.0, other))

    assert joules(kept) == {"uid-a": 300.0, None: 0.0}
    assert joules(changed) == {"uid-a": 100.0, "uid-b": 0.0, None: 200.0}


def test_an_old_frame_charges_nobody_with_what_another_spent() -> None:
    """A pod that comes while the devices' frame is still the one before is not charged with what was spent since that one."""
    other = Pod("uid-b", "ns", "b", "Running")

    *_, last = run(
        burning(0, 0.0, POD),
        burning(5, 100.0, POD),
        burning(10, 100.0, other),
        burning(15, 300.0, other),
        burning(20, 350.0, other),
    )

    assert joules(last) == {"uid-a": 100.0, "uid-b": 50.0, None: 200.0}
