# SPDX-License-Identifier: Apache-2.0
"""The fold while a driver is away for longer than the linger: series end, and come back with what they had counted."""

from dataclasses import replace

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import (
    Allocation,
    DeviceReport,
    EngineReport,
    Frames,
    Metric,
    Pod,
    Point,
    Reading,
    Snapshot,
    Target,
)
from reported import by_nvml, with_address

RULES = Rules(linger=300.0, max_ended=50)
PODS = (Pod("uid-0", "ns", "p0", "Running"), Pod("uid-1", "ns", "p1", "Running"))
HOUR, DAY = 3600.0, 86_400.0


def run(*ticks: Frames, rules: Rules = RULES) -> list[Snapshot]:
    """Fold the ticks from nothing; give every snapshot."""
    state, snapshots = State(), []
    for tick in ticks:
        state, snapshot = account(state, join(tick, CONTEXT), rules)
        snapshots.append(snapshot)
    return snapshots


def held(passed: float, *pods: Pod, joules: float = 0.0, replays: float = 0.0, gpus: int = 2) -> Frames:
    """Give GPUs of which pod i holds the GPU i, and what GPU 0 has counted since its driver was loaded."""
    readings = [
        Reading("GPU-0", catalog.ENERGY, (), joules),
        Reading("GPU-0", catalog.PCIE_REPLAYS, (), replays),
    ]
    allocations = [Allocation(pod.namespace, pod.name, "main", f"GPU-{i}") for i, pod in enumerate(pods)]
    devices = [with_address(i) for i in range(gpus)]
    return frames(devices=devices, readings=readings, allocations=allocations, pods=pods, passed=passed)


def away(passed: float) -> Frames:
    """Give a node whose driver is not there; the pods are."""
    return frames(allocations=[], pods=PODS, passed=passed)


def of_owner(snapshot: Snapshot, metric: Metric, uid: str | None = "uid-0", device: str = "GPU-0") -> list[Point]:
    """Give an owner's points of one metric and device; None is nobody."""
    keys = metric.keys
    wanted = {keys.index("k8s.pod.uid"): uid, keys.index("hw.id"): device}
    return [
        p for p in snapshot.points if p.metric is metric and all(p.attributes[i] == text for i, text in wanted.items())
    ]


def value(snapshot: Snapshot, metric: Metric, uid: str | None = "uid-0") -> tuple[object, float | None]:
    """Give the value and the start of an owner's one point."""
    (point,) = of_owner(snapshot, metric, uid)
    return point.value, point.start


def test_an_upgrade_that_takes_an_hour_loses_no_owner_its_time_and_energy() -> None:
    """The series end after the linger; the same holding comes back with its totals and start, and the gap is nobody's."""
    *_, before, _, over, back, after = run(
        held(0, *PODS, joules=1000.0),
        held(5, *PODS, joules=1500.0),
        away(10),
        away(10 + HOUR),
        held(15 + HOUR, *PODS, joules=3.0),
        held(20 + HOUR, *PODS, joules=53.0),
    )

    assert value(before, catalog.OWNER_TIME) == (5.0, NOW)
    assert not of_owner(over, catalog.OWNER_TIME)
    assert not of_owner(over, catalog.OWNER_ENERGY)
    assert not of_owner(over, catalog.OWNER_XID_ERRORS)
    assert not of_owner(over, catalog.OWNER_TIME, None)
    assert value(back, catalog.OWNER_TIME) == (5.0, NOW)
    assert value(back, catalog.OWNER_ENERGY) == (500.0, NOW)
    assert value(after, catalog.OWNER_TIME) == (10.0, NOW)
    assert value(after, catalog.OWNER_ENERGY) == (550.0, NOW)


def test_an_owners_xids_are_not_forgotten_with_the_driver() -> None:
    """Whom an XID hit is still told when the GPU is back."""
    hit = held(5, *PODS)
    (report,) = [frame for frame in hit.good if frame.source == "nvidia"]
    assert isinstance(report.value, DeviceReport)
    told = replace(report, value=replace(report.value, events=(by_nvml(1, 48, at=4.0),)))
    hit = replace(hit, good=(told, *(frame for frame in hit.good if frame is not report)))

    *_, back = run(held(0, *PODS), hit, away(10), away(10 + HOUR), held(15 + HOUR, *PODS))

    assert sum(float(str(p.value)) for p in of_owner(back, catalog.OWNER_XID_ERRORS)) == 1.0


def test_who_left_while_the_driver_was_away_is_forgotten_when_it_is_back() -> None:
    """A device that is there again and has another owner ends what its last one had."""
    *_, back, then = run(
        held(0, *PODS), held(5, *PODS), away(10), away(400), held(405, PODS[1], PODS[0]), held(410, PODS[1])
    )

    assert not of_owner(back, catalog.OWNER_TIME, "uid-0", "GPU-0")
    assert [p.value for p in of_owner(then, catalog.OWNER_TIME, "uid-1", "GPU-0")] == [5.0]


def test_a_device_that_stays_away_for_more_than_a_day_begins_anew() -> None:
    """What is remembered has an end."""
    *_, back = run(held(0, *PODS), held(5, *PODS), away(10), away(10 + DAY), away(11 + DAY), held(15 + DAY, *PODS))

    assert value(back, catalog.OWNER_TIME) == (0.0, NOW + 15 + DAY)


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    """The limit of what has ended holds for what is remembered too, and what it drops is counted."""
    rules = replace(RULES, max_ended=2)  # two GPUs have two owners, and what is nobody's

    *_, back = run(held(0, *PODS), held(5, *PODS), away(10), away(400), held(405, *PODS), rules=rules)

    index = catalog.DROPPED.keys.index("inferometer.limit")
    (ended,) = [p.value for p in back.points if p.metric is catalog.DROPPED and p.attributes[index] == "ended"]
    assert isinstance(ended, float)
    assert ended > 0


def test_one_gpu_that_is_away_costs_no_other() -> None:
    """While GPU 1 is being reset its owner's counter ends and comes back; that of GPU 0 goes on."""
    *_, over, back = run(
        held(0, *PODS), held(5, *PODS), held(10, *PODS, gpus=1), held(400, *PODS, gpus=1), held(405, *PODS)
    )

    assert value(over, catalog.OWNER_TIME) == (400.0, NOW)
    assert not of_owner(over, catalog.OWNER_TIME, "uid-1", "GPU-1")
    assert [p.value for p in of_owner(back, catalog.OWNER_TIME, "uid-1", "GPU-1")] == [5.0]


def test_a_hardware_counter_that_comes_back_lower_began_while_it_was_away() -> None:
    """The driver's own counters are 0 when it is loaded: the new start is the time when the counter was seen last."""

    def start(snapshot: Snapshot) -> float | None:
        (point,) = [p for p in snapshot.points if p.metric is catalog.PCIE_REPLAYS]
        return point.start

    first, *_, back, after = run(
        held(0, replays=7.0), away(5), away(400), away(405), held(410, replays=2.0), held(415, replays=3.0)
    )

    assert start(first) is None
    assert start(back) == start(after) == NOW


def test_an_engines_counter_is_forgotten_after_the_linger() -> None:
    """Only devices are remembered: an engine whose labels are new at every scrape fills no memory for a day."""

    def serving(passed: float, labels: str) -> Frames:
        target = Target("e:1", "http://e:1/metrics")
        reading = Reading("e:1", catalog.PREEMPTIONS, (("gen_ai.request.model", labels),), 1.0)
        return frames(engines=[EngineReport(target, "vllm", "vllm", "engine", "", (), (reading,))], passed=passed)

    state, remembered = State(), []
    for tick in (serving(0, "a"), serving(5, "b"), serving(200, "c"), serving(303, "c")):
        state, _ = account(state, join(tick, CONTEXT), RULES)
        remembered.append(len(state.kept.gone))

    assert remembered == [0, 1, 2, 1]
