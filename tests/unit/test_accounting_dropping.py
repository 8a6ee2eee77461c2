# SPDX-License-Identifier: Apache-2.0
"""Attributes that the configuration drops: gone on every route, and what they told apart is one, or left out."""

from dataclasses import replace

from frames import CONTEXT, NODE, frames, gpu, memory
from inferometer import catalog
from inferometer.accounting import Plan, Rules, State, account
from inferometer.join import join
from inferometer.model import (
    Allocation,
    EngineReport,
    Exemplar,
    Histogram,
    Metric,
    Pod,
    Reading,
    Resource,
    Snapshot,
    Target,
)
from inferometer.views.json import dump
from inferometer.views.json import snapshot as as_json
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition

_LATENCY = catalog.TIME_TO_FIRST_TOKEN
PODS = (Pod("uid-1", "ns", "secret-1", "Running"), Pod("uid-2", "ns", "secret-2", "Running"))
NAMES = Plan.of({metric: frozenset({catalog.POD.key}) for metric in catalog.METRICS if catalog.POD.key in metric.keys})
MODELS = Plan.of({metric: frozenset({catalog.MODEL.key}) for metric in (_LATENCY, catalog.KV_CACHE_UTILIZATION)})


def engine(pod: Pod, *readings: tuple[Metric, str, float | Histogram]) -> EngineReport:
    instance = f"{pod.uid}:8000"
    told = tuple(Reading(instance, metric, ((catalog.MODEL.key, model),), value) for metric, model, value in readings)
    target = Target(instance, "http://10.0.0.1:8000/metrics", "", pod.namespace, pod.name, pod.uid, "main")
    return EngineReport(target, "vllm", "vllm", "engine", "", (), told)


def run(*ticks: list[EngineReport], plan: Plan, known: bool = True) -> list[Snapshot]:
    """Give the snapshots of two pods that hold a GPU each and serve an engine each."""
    state, snapshots = State(), []
    devices = [gpu(0), gpu(1)]
    held = [Allocation("ns", pod.name, "main", device.uuid) for pod, device in zip(PODS, devices, strict=True)]
    for tick, reports in enumerate(ticks):
        seen = frames(
            devices=devices,
            readings=[memory(device, 1e9) for device in devices],
            allocations=held,
            pods=PODS if known else None,
            engines=reports,
            passed=5.0 * tick,
        )
        state, snapshot = account(state, join(seen, CONTEXT), Rules(), plan=plan)
        snapshots.append(snapshot)
    return snapshots


def values(snapshot: Snapshot, metric: Metric) -> list[object]:
    return [point.value for point in snapshot.points if point.metric is metric]


def test_what_is_dropped_stands_nowhere_that_series_are_told() -> None:
    """Neither on the page nor by OTLP, in its resources or in a service's name that holds it, nor among JSON's metrics."""
    reports = [engine(pod, (catalog.PREEMPTIONS, "m", 1.0), (catalog.KV_CACHE_UTILIZATION, "m", 0.5)) for pod in PODS]
    before, snapshot = run(reports, reports, plan=NAMES)

    assert len(values(snapshot, catalog.OWNER_INFO)) == len(values(snapshot, catalog.KV_CACHE_UTILIZATION)) == 2
    assert b"secret" not in Exposition().render(snapshot, openmetrics=True)
    assert all(b"secret" not in body for body in Encoder().requests(snapshot, max_bytes=1 << 20))
    assert "secret" not in dump({"metrics": as_json(snapshot)["metrics"]})
    resources = {point.resource for point in snapshot.points} - {NODE}
    assert len(resources) == 2
    assert {point.resource for point in before.points} - {NODE} == resources  # a disguise is the same every time
    for resource in resources:
        told = dict(resource.attributes)
        assert told["k8s.pod.uid"] in ("uid-1", "uid-2")
        assert told["service.namespace"] == "ns"
        assert len(told["service.instance.id"]) == len("9a0a3ad0-1f0c-5d6b-8a51-6a2f6d1c7b0e")


def test_what_a_resource_says_is_kept_where_nothing_is_dropped() -> None:
    """Only the keys that series do without are taken from resources."""
    resource = Resource.of(
        {"k8s.pod.name": "p", "service.name": "p", "service.instance.id": "ns.p.main", "host.name": "p"}
    )

    assert Plan.of({}).clean(resource, ()) is resource
    assert Plan.of({catalog.TOKENS: frozenset({catalog.MODEL.key})}).clean(resource, ()) is resource
    cleaned = dict(NAMES.clean(resource, ()).attributes)
    assert cleaned.keys() == {"service.name", "service.instance.id", "host.name"}
    assert cleaned["host.name"] == "p"  # a host that is called so is not the pod
    assert "p" not in (cleaned["service.name"], *cleaned["service.instance.id"].split("."))


def test_a_service_that_is_called_after_what_is_dropped_is_disguised() -> None:
    """A workload is no attribute of a resource, but services are named after it; so are those without a pod after their address."""
    resource = Resource.of({"service.name": "chat", "service.instance.id": "10.0.0.1:8000", "service.version": "2"})
    plan = Plan.of({catalog.TOKENS: frozenset({catalog.WORKLOAD.key, catalog.SERVER_ADDRESS.key})})

    told = dict(plan.clean(resource, {"chat", "10.0.0.1"}).attributes)

    assert told["service.version"] == "2"
    assert "chat" not in told["service.name"]
    assert "10.0.0.1" not in told["service.instance.id"]
    assert plan.clean(resource, {"cha", "00", "10.0.0.1:80"}) == resource  # parts of a name are no names


def test_means_that_are_not_told_apart_are_left_out_and_counted() -> None:
    """As where nobody knows the pods' UIDs; what adds up is added up."""
    reports = [
        engine(pod, (catalog.REQUESTS_RUNNING, "m", 2.0), (catalog.KV_CACHE_UTILIZATION, "m", 0.5)) for pod in PODS
    ]
    anonymous = [replace(each, target=replace(each.target, pod_uid="")) for each in reports]
    *_, snapshot = run(anonymous, anonymous, plan=NAMES, known=False)

    assert values(snapshot, catalog.KV_CACHE_UTILIZATION) == []
    assert values(snapshot, catalog.REQUESTS_RUNNING) == [4.0]
    dropped = {p.attributes[0]: p.value for p in snapshot.points if p.metric is catalog.DROPPED}
    assert dropped["unmergeable"] == 2.0  # at the snapshot before


def test_histograms_of_other_bounds_are_left_out_until_they_agree() -> None:
    """They are never re-bucketed (law 7): what they are together is not told while their bounds differ, and counted then."""

    def page(bound: float, first: int, second: int) -> list[EngineReport]:
        one, two = Histogram((1.0,), (first, 0), 1.0), Histogram((bound,), (second, 0), 1.0)
        return [engine(PODS[0], (_LATENCY, "one", one), (_LATENCY, "two", two))]

    equal, other, again, last = run(page(1.0, 5, 5), page(2.0, 6, 7), page(1.0, 7, 2), page(1.0, 8, 3), plan=MODELS)

    assert values(equal, _LATENCY) == [Histogram((1.0,), (0, 0), 0.0)]
    assert values(other, _LATENCY) == []
    assert values(again, _LATENCY) == [
        Histogram((1.0,), (4, 0), 1.0)
    ]  # 2 of the first, and 2 since the second began anew
    assert values(last, _LATENCY) == [Histogram((1.0,), (6, 0), 1.0)]
    dropped = {p.attributes[0]: p.value for p in last.points if p.metric is catalog.DROPPED}
    assert dropped["unmergeable"] == 2.0 * 4


def test_what_can_be_of_several_engines_is_said_by_the_node() -> None:
    """Its resource does not change with who is there."""
    plan = Plan.of({catalog.PREEMPTIONS: frozenset({catalog.POD.key, catalog.POD_UID.key})})
    first, second = (engine(pod, (catalog.PREEMPTIONS, "m", 1.0)) for pod in PODS)

    for snapshot in run([first], [first, second], [second], plan=plan):
        (point,) = [point for point in snapshot.points if point.metric is catalog.PREEMPTIONS]
        assert point.resource == NODE


def test_a_sum_is_never_older_than_its_start() -> None:
    """A page is read before its snapshot is made, or long before; what OTLP says of a time before the start is no point."""
    pages = [
        frames(engines=[engine(PODS[0], (catalog.PREEMPTIONS, "m", value))], passed=5.0 * i)
        for i, value in enumerate((1.0, 3.0))
    ]
    state = State()
    for seen in pages:
        read_before = tuple(replace(frame, at=frame.at - 60.0) for frame in seen.good)
        joined = join(replace(seen, good=read_before), CONTEXT)
        state, snapshot = account(
            state, joined, Rules(), plan=Plan.of({catalog.PREEMPTIONS: frozenset({catalog.MODEL.key})})
        )
        (point,) = [point for point in snapshot.points if point.metric is catalog.PREEMPTIONS]
        assert point.start is not None
        assert point.start <= point.at
    assert point.value == 2.0


def test_what_grew_while_nothing_was_dropped_is_not_told_as_grown_since() -> None:
    """A configuration that drops nothing for a while, and then something again: what was counted between is nobody's rate."""
    by_model = Plan.of({catalog.PREEMPTIONS: frozenset({catalog.MODEL.key})})
    by_pod = Plan.of({catalog.PREEMPTIONS: frozenset({catalog.POD.key})})
    state = State()
    for tick, (value, plan) in enumerate(
        [(1.0, by_model), (2.0, by_model), (900.0, Plan()), (901.0, by_pod), (902.0, by_pod)]
    ):
        seen = frames(engines=[engine(PODS[0], (catalog.PREEMPTIONS, "m", value))], passed=600.0 * tick)
        state, snapshot = account(state, join(seen, CONTEXT), Rules(), plan=plan)

    assert values(snapshot, catalog.PREEMPTIONS) == [1.0]


def test_exemplars_stand_behind_what_their_series_became() -> None:
    """A latency leads to its trace also where series do without the model; of two in one bucket the newest stays."""
    key = (catalog.MODEL.key, "one"), (catalog.MODEL.key, "two")
    report = engine(PODS[0], *((_LATENCY, model, Histogram((1.0,), (5, 0), 1.0)) for _, model in key))
    old, new = (Exemplar((("trace_id", name),), 0.5, at) for name, at in (("old", 10.0), ("new", 20.0)))
    told: dict[tuple[Metric, tuple[tuple[str, str], ...]], tuple[Exemplar, ...]] = {
        (_LATENCY, (key[0],)): (new,),
        (_LATENCY, (key[1],)): (old,),
    }

    (snapshot,) = run([replace(report, exemplars=told)], plan=MODELS)

    page = Exposition().render(snapshot, openmetrics=True).decode()
    assert page.count("# {trace_id=") == page.count('# {trace_id="new"} 0.5 20.0') == 1
