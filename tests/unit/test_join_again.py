# SPDX-License-Identifier: Apache-2.0
"""What has not changed is said again only now and then; what has changed is said at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from frames import CONTEXT, NOW, busy, failed, frames, gpu, instance
from inferometer import catalog
from inferometer.join import Context, Memo, join
from inferometer.join.draft import Draft
from inferometer.model import (
    SAID_AGAIN,
    Allocation,
    Device,
    EngineReport,
    Frames,
    Group,
    Metric,
    Pod,
    Reading,
    Reason,
    Snapshot,
    Target,
    Vgpu,
    groups_of,
)

POD = Pod("uid-a", "ns", "a", "Running", labels={"team": "x"})
TARGET = Target("a:1", "http://a:1/metrics")
PAGE = EngineReport(TARGET, "vllm", "vllm", "engine", "1", ("m",), (Reading("a:1", catalog.PREEMPTIONS, (), 1.0),))
WORLD: Mapping[str, Any] = {
    "devices": [gpu(0)],
    "readings": [busy(gpu(0), 0.5)],
    "allocations": [Allocation("ns", "a", "main", "GPU-0")],
    "pods": [POD],
    "engines": [PAGE],
}


def fresh() -> Context:
    return replace(CONTEXT, memo=Memo())


def group(snapshot: Snapshot, metric: Metric) -> Group:
    return next((each for each in groups_of(snapshot.points) if each[0].metric is metric), ())


def seen(context: Context, passed: float, **others: Any) -> Snapshot:
    return join(frames(**{**WORLD, "passed": passed, **others}), context)


SAID = (
    catalog.GPU_INFO,
    catalog.STATUS,
    catalog.GPU_DEVICES,
    catalog.OWNER_INFO,
    catalog.ENGINE_INFO,
    catalog.ENGINE_BLIND,
    catalog.SOURCE_UP,
    catalog.IDENTITY_LEVEL,
    catalog.AGENT_INFO,
)


def test_what_has_not_changed_is_lent_until_it_is_said_again() -> None:
    """The very same groups, with the time when they were said; after a while they are said anew, with a new time.

    What has a time of its own, as engines have, is said twice when it is new: that may be older than the last push.
    """
    context = fresh()
    first, second, later, last = (seen(context, passed) for passed in (0.0, 1.0, SAID_AGAIN - 1.0, SAID_AGAIN + 1.0))

    for metric in SAID:
        assert group(first, metric), metric
        own = metric in _TIMED
        assert (group(second, metric) is group(first, metric)) is not own, metric
        assert {point.at for point in group(second, metric)} == {NOW + own}, metric
        assert group(later, metric) is group(second, metric), metric
        assert {point.at for point in group(last, metric)} == {NOW + SAID_AGAIN + 1.0}, metric
        assert [p._replace(at=NOW) for p in group(last, metric)] == list(group(first, metric))


_TIMED = (catalog.ENGINE_INFO, catalog.ENGINE_BLIND, catalog.ENGINE_FAMILIES)


def test_what_was_read_has_the_time_of_its_read() -> None:
    """A reading that was read anew is a new point, though its number is the same; so is an owner's part of it."""
    context = fresh()
    seen(context, 0.0)
    later = seen(context, 5.0)

    for metric in (catalog.GPU_UTILIZATION, catalog.OWNER_UTILIZATION, catalog.PREEMPTIONS):
        assert [point.at for point in group(later, metric)] == [NOW + 5.0], metric


CHANGES: Sequence[tuple[Metric, Mapping[str, Any]]] = [
    (catalog.GPU_INFO, {"devices": [replace(gpu(0), details={catalog.HW_MODEL.key: "H100"})]}),
    (catalog.MIG_INFO, {"devices": [gpu(0), instance(0, 1)]}),
    (catalog.STATUS, {"unresponsive": {"GPU-0": 3.0}}),
    (catalog.GPU_DEVICES, {"excluded": {"GPU-7": "H100"}}),
    (catalog.OWNER_INFO, {"pods": [replace(POD, labels={"team": "y"})]}),
    (catalog.OWNER_INFO, {"allocations": []}),
    (catalog.ENGINE_INFO, {"engines": [replace(PAGE, version="2")]}),
    (catalog.ENGINE_INFO, {"pods": [POD], "engines": [replace(PAGE, target=replace(TARGET, container="c"))]}),
    (catalog.ENGINE_BLIND, {"engines": [replace(PAGE, readings=(), missing=("x",))]}),
    (catalog.ENGINE_FAMILIES, {"engines": [replace(PAGE, missing=("x",))]}),
    (catalog.SOURCE_UP, {"troubles": [failed("slices", Reason.TIMEOUT)]}),
    (catalog.IDENTITY_LEVEL, {"pods": None}),
]


@pytest.mark.parametrize(("metric", "change"), CHANGES)
def test_what_changed_is_said_at_once(metric: Metric, change: Mapping[str, Any]) -> None:
    """With a memory the points are those of a join that has none, before the change, after it, and when it is taken back."""
    context = fresh()
    groups = []
    for passed, others in ((0.0, {}), (1.0, change), (2.0, {}), (3.0, change)):
        snapshot = seen(context, passed, **others)
        expected = seen(CONTEXT, passed, **others)
        assert [p._replace(at=0.0) for p in snapshot.points] == [p._replace(at=0.0) for p in expected.points]
        groups.append(group(snapshot, metric))

    assert groups[0] != groups[1]
    assert {point.at for point in groups[3] if point not in groups[2]} <= {NOW + 3.0}


def test_what_changed_without_a_newer_read_is_said_again_with_the_next() -> None:
    """A change that another source brought while the driver's frame stood twice gets a newer time as soon as there is one."""
    context = fresh()
    ats = []
    nobody: Mapping[str, Any] = {"allocations": []}
    for passed, age, others in ((0.0, 0.0, WORLD), (1.0, 1.0, nobody), (2.0, 0.0, nobody)):
        made = frames(**{**WORLD, "passed": passed, **others})
        good = tuple(replace(each, at=each.at - age) if each.source == "nvidia" else each for each in made.good)
        ats.append({p.at for p in group(join(replace(made, good=good), context), catalog.GPU_DEVICES)})

    assert ats == [{NOW}, {NOW}, {NOW + 2.0}]


def test_a_clock_that_was_set_back_leaves_nothing_in_the_future() -> None:
    """What was said at a time that is still to come is said again now."""
    context = fresh()
    seen(context, 100.0)

    assert max(point.at for point in seen(context, 0.0).points) == NOW


def test_a_clock_that_was_set_back_a_little_leaves_nothing_in_the_future() -> None:
    """What changed last of what was said together does not lie ahead either, though the rest was said before."""
    context = fresh()
    for passed, trouble in ((0.0, []), (9.0, [failed("slices", Reason.TIMEOUT)])):
        seen(context, passed, troubles=trouble)
    for passed in (10.0, 5.0):
        snapshot = seen(context, passed)

    assert max(point.at for point in snapshot.points) == NOW + 5.0


def test_what_ended_and_came_back_is_said_anew() -> None:
    """What a tick did not say is forgotten: a device that was away has infos of its return, not of before."""
    context = fresh()
    seen(context, 0.0)
    away = seen(context, 1.0, devices=None)
    back = seen(context, 2.0)

    assert not group(away, catalog.GPU_INFO)
    assert [point.at for point in group(back, catalog.GPU_INFO)] == [NOW + 2.0]


def test_another_context_knows_nothing_of_the_one_before() -> None:
    """A memory that is handed on with other settings lends nothing that was made under the old ones."""
    context = fresh()
    seen(context, 0.0)
    simulated = seen(replace(context, simulated=True), 1.0)

    assert [p._replace(at=0.0) for p in simulated.points] == [
        p._replace(at=0.0) for p in seen(replace(CONTEXT, simulated=True), 1.0).points
    ]


def test_a_gpu_that_is_listed_twice_is_told_once() -> None:
    """The driver may list one twice: each series of it stands once, with a memory and without (law 2)."""
    context = fresh()
    for passed in (0.0, 1.0):
        points = seen(context, passed, devices=[gpu(0), gpu(0), gpu(1)]).points
        series = [(point.metric, point.attributes) for point in points]
        assert len(series) == len(set(series))


def test_two_who_put_the_same_series_put_it_once() -> None:
    """The first stays; what is left out is counted at each tick, and a group that is the same is the very same (law 2)."""
    context = fresh()
    drafts = []
    for now in (NOW, NOW + 1.0):
        draft = Draft(now, context)
        for who, storages in (("a", ("disk",)), ("b", ("disk", "memory")), ("c", ("other",))):
            for storage in storages:
                draft.say(
                    (who, storage),
                    lambda sheet, told: sheet.put(catalog.SPOOL_LIMIT, {catalog.STORAGE.key: told}, 1.0),
                    storage,
                )
        drafts.append((draft.points(), draft.repeated, draft.series))

    (first, *counts), (second, *again) = drafts
    assert [point.attributes[0] for point in first] == ["disk", "memory", "other"]
    assert second == first
    assert counts == again == [1, 3]


def test_groups_of_several_parts_are_the_same_while_the_parts_are() -> None:
    """A metric that several put together is put together once, while none of them says anything else."""
    context = fresh()
    groups = []
    for now in (NOW, NOW + 1.0):
        draft = Draft(now, context)
        for storage in ("disk", "memory"):
            draft.say(
                storage, lambda sheet, told: sheet.put(catalog.SPOOL_LIMIT, {catalog.STORAGE.key: told}, 1.0), storage
            )
        groups.append(draft.points().groups)

    assert groups[0][0] is groups[1][0]


def test_a_tick_that_was_not_finished_is_not_remembered() -> None:
    """A join that fails half way leaves what the last whole tick knew."""
    context = fresh()
    seen(context, 0.0)
    with pytest.raises(ValueError, match="IPv6"):
        seen(context, 1.0, engines=[replace(PAGE, target=replace(TARGET, instance="b:1", url="http://[::1:x"))])

    assert {point.at for point in group(seen(context, 2.0), catalog.GPU_INFO)} == {NOW}


def test_a_memory_recalls_what_was_made_of_the_same() -> None:
    """Something is made anew when it is made of something else, and forgotten by a tick that does not ask for it."""
    memo = Memo()

    def tick(**told: int) -> dict[str, object]:
        recall = memo.begin("context")
        made = {key: recall.of(key, each, object) for key, each in told.items()}
        memo.keep("context", recall)
        return made

    first = tick(a=1, b=1)
    second = tick(a=1)
    third = tick(a=2, b=1)

    assert second["a"] is first["a"]
    assert third["a"] is not first["a"]
    assert third["b"] is not first["b"]


def test_a_vgpu_has_the_time_of_its_read() -> None:
    """What a part says with a time of its own is told with that, also when it is said again."""
    context = fresh()

    def at(passed: float) -> float:
        told = frames(devices=[Device("GPU-0", 0)], passed=passed)
        (nvidia,) = told.good
        report: Any = nvidia.value
        nvidia = replace(nvidia, value=replace(report, vgpus=(Vgpu("v", "GPU-0", at=NOW - 3.0),)))
        (point,) = group(join(replace(told, good=(nvidia,)), context), catalog.VGPU_INFO)
        return point.at

    assert [at(passed) for passed in (0.0, 1.0, SAID_AGAIN)] == [NOW - 3.0] * 3


def with_ages(ages: Mapping[tuple[str, str], float], passed: float, **others: Any) -> Frames:
    """Give frames of which some were read so many seconds ago."""
    made = frames(**{**WORLD, "passed": passed, **others})
    good = tuple(replace(f, at=f.at - ages.get((f.source, f.instance), 0.0)) for f in made.good)
    return replace(made, good=good)


NVIDIA: Sequence[tuple[Metric, Mapping[str, Any]]] = [
    (catalog.GPU_INFO, {"devices": [replace(gpu(0), details={catalog.HW_MODEL.key: "H100"})]}),
    (catalog.STATUS, {"unresponsive": {"GPU-0": 3.0}}),
    (catalog.GPU_DEVICES, {"excluded": {"GPU-7": "H100"}}),
]


@pytest.mark.parametrize(("metric", "change"), NVIDIA)
def test_what_changed_and_came_late_is_said_again_until_it_came_in_time(
    metric: Metric, change: Mapping[str, Any]
) -> None:
    """It was read before the snapshot that missed it: a receiver that has newer points of that snapshot may refuse it."""
    context = fresh()
    ats = []
    for passed, ages, others in (
        (0.0, {}, WORLD),
        (1.0, {("nvidia", ""): 1.5}, change),
        (2.0, {("nvidia", ""): 1.5}, change),
        (3.0, {}, change),
        (4.0, {}, change),
    ):
        ats.append({p.at for p in group(join(with_ages(ages, passed, **others), context), metric)})

    assert ats == [{NOW}, {NOW - 0.5}, {NOW + 0.5}, {NOW + 3.0}, {NOW + 3.0}]


def test_what_was_away_and_came_back_late_is_said_again_with_the_next_read() -> None:
    """It was read before the snapshot that lacked it, with which its series were ended."""
    context = fresh()
    seen(context, 0.0)
    seen(context, 1.0, devices=None)
    ats = []
    for passed, ages in ((2.0, {("nvidia", ""): 1.5}), (3.0, {("nvidia", ""): 2.5}), (4.0, {}), (5.0, {})):
        snapshot = join(with_ages(ages, passed), context)
        ats.append({p.at for metric in (catalog.GPU_INFO, catalog.STATUS) for p in group(snapshot, metric)})

    assert ats == [{NOW + 0.5}, {NOW + 0.5}, {NOW + 4.0}, {NOW + 4.0}]


def test_engines_are_said_until_each_was_read_since() -> None:
    """One that answers in time does not make it good for another whose page is still that of before."""
    context = fresh()
    other = replace(PAGE, target=Target("b:1", "http://b:1/metrics"), readings=())
    both: Mapping[str, Any] = {"engines": [PAGE, other]}
    seen(context, 0.0)
    ats = []
    for passed, age in ((1.0, 0.2), (2.0, 1.2), (3.0, 0.2), (4.0, 0.2)):
        snapshot = join(with_ages({("engine", "b:1"): age}, passed, **both), context)
        ats.append([point.at for point in group(snapshot, catalog.ENGINE_INFO)])

    assert ats == [
        [NOW + 1.0, NOW + 0.8],
        [NOW + 2.0, NOW + 0.8],
        [NOW + 3.0, NOW + 2.8],
        [NOW + 3.0, NOW + 2.8],
    ]


def test_engines_that_are_scraped_seldom_do_not_have_the_others_said_at_each_tick() -> None:
    """Two that are never read in the same tick leave one that is read at each to be said again only now and then."""
    context = fresh()
    seldom = [replace(PAGE, target=Target(name, f"http://{name}/metrics", period=30.0)) for name in ("b:1", "c:1")]
    ats: dict[str | None, list[float]] = {"a": [], "b": [], "c": []}
    for tick in range(12):
        ages = {("engine", "b:1"): 5.0 * (tick % 6), ("engine", "c:1"): 5.0 * ((tick + 3) % 6)}
        snapshot = join(with_ages(ages, 5.0 * tick, engines=[PAGE, *seldom]), context)
        for point in group(snapshot, catalog.ENGINE_INFO):
            address = dict(zip(point.metric.keys, point.attributes, strict=True))[catalog.SERVER_ADDRESS.key]
            ats[address].append(point.at - NOW)

    assert ats["a"] == [0.0, 5.0, 5.0, 5.0, 20.0, 20.0, 20.0, 35.0, 35.0, 35.0, 50.0, 50.0]
    assert ats["b"] == [0.0] * 6 + [30.0] * 6
    assert ats["c"] == [-15.0] * 3 + [15.0] * 6 + [45.0] * 3


def test_a_column_that_came_late_is_said_again_with_the_next_read() -> None:
    """What the driver's calls cost is told by numbers alone, and no otherwise."""
    context = fresh()

    def at(passed: float, age: float, number: int) -> float:
        told = frames(devices=[gpu(0)], passed=passed)
        (nvidia,) = told.good
        report: Any = nvidia.value
        nvidia = replace(nvidia, at=nvidia.at - age, value=replace(report, calls={"nvmlInit": (number, 0.1)}))
        (point,) = group(join(replace(told, good=(nvidia,)), context), catalog.DRIVER_CALLS)
        return point.at

    said = [at(*each) for each in ((0.0, 0.0, 1), (1.0, 1.2, 2), (2.0, 0.0, 2), (3.0, 0.0, 2))]
    assert said == [NOW, NOW - 0.2, NOW + 2.0, NOW + 2.0]
