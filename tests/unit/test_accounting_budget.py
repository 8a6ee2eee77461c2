# SPDX-License-Identifier: Apache-2.0
"""The budget of series in a snapshot: what is left out is counted, what goes on says so on every route."""

from dataclasses import replace

from frames import CONTEXT, NODE, frames
from inferometer import catalog
from inferometer.accounting import Budget, Rules, State, account
from inferometer.accounting.places import count
from inferometer.join import join
from inferometer.model import EngineReport, Histogram, Metric, Reading, Snapshot, Target, groups_of
from inferometer.views.otlp import Encoder, otlp_json
from inferometer.views.prometheus import Exposition
from oracles import parsed

_LATENCY = catalog.TIME_TO_FIRST_TOKEN
_FIXED = -Budget(0).room(0)
SMALL = Budget(_FIXED + 65)


def report(models: dict[str, float], instance: str = "e:1") -> EngineReport:
    """Give an engine's page: of each model a counter, a gauge and a histogram of two buckets."""
    readings: list[Reading] = []
    for model, value in models.items():
        said = ((catalog.MODEL.key, model),)
        readings += [
            Reading(instance, catalog.PREEMPTIONS, said, value),
            Reading(instance, catalog.REQUESTS_RUNNING, said, value),
            Reading(instance, _LATENCY, said, Histogram((1.0,), (int(value), 0), value)),
        ]
    return EngineReport(
        Target(instance, f"http://{instance}/metrics"), "vllm", "vllm", "engine", "", (), tuple(readings)
    )


def run(*pages: dict[str, float], budget: Budget = SMALL, simulated: bool = False) -> list[Snapshot]:
    """Give the snapshots of an engine's pages, five seconds apart."""
    state, snapshots = State(), []
    context = replace(CONTEXT, simulated=simulated)
    for tick, models in enumerate(pages):
        seen = frames(engines=[report(models)], passed=5.0 * tick)
        state, snapshot = account(state, join(seen, context), Rules(), budget)
        snapshots.append(snapshot)
    return snapshots


def values(snapshot: Snapshot, metric: Metric, key: str = catalog.MODEL.key) -> dict[str | None, object]:
    at = metric.keys.index(key)
    return {p.attributes[at]: p.value for p in snapshot.points if p.metric is metric}


FEW = {"a": 1.0, "b": 2.0}
MANY = {f"{i:02}": 10.0 * i for i in range(20)}


def test_a_burst_of_models_leaves_those_before_it_alone() -> None:
    """The first models stay; later ones find room in order, and beyond it gauges and histograms are left out, and counted."""
    _, burst, after = run(FEW, {**FEW, **MANY}, {**FEW, **MANY})

    for metric in (catalog.PREEMPTIONS, catalog.REQUESTS_RUNNING, _LATENCY):
        assert {"a", "b"} <= values(burst, metric).keys()
        assert values(burst, metric).keys() == values(after, metric).keys()
    assert count(groups_of(burst.points)) <= SMALL.series
    (number,) = values(burst, catalog.SERIES, catalog.SIMULATED.key).values()
    assert number == count(groups_of(burst.points))
    missing = len(MANY) + 2 - len(values(burst, _LATENCY))
    assert missing
    assert values(after, catalog.SERIES_DROPPED, catalog.METRIC.key)[_LATENCY.name] == 4.0 * missing
    dropped = sum(map(float, values(after, catalog.SERIES_DROPPED, catalog.METRIC.key).values()))  # type: ignore[arg-type]  # numbers
    assert values(after, catalog.DROPPED, catalog.LIMIT.key)["series"] == dropped


def test_counters_beyond_a_metrics_limit_go_on_in_its_overflow() -> None:
    """The overflow begins at 0, has the growth of all that is folded, and no attribute but that it is one."""
    budget = Budget(of_metrics={catalog.PREEMPTIONS: 3})
    first, second, third = run(
        {"a": 5.0, "b": 7.0, "c": 100.0, "d": 200.0},
        {"a": 6.0, "b": 8.0, "c": 101.0, "d": 203.0},
        {"b": 9.0, "c": 2.0, "e": 50.0},
        budget=budget,
    )

    assert values(first, catalog.PREEMPTIONS) == {"a": 5.0, "b": 7.0, None: 0.0}
    assert values(second, catalog.PREEMPTIONS) == {"a": 6.0, "b": 8.0, None: 4.0}
    # c was reset and grew by 2; d keeps its share; a's place is kept for it, and of e nobody knows when it counted.
    assert values(third, catalog.PREEMPTIONS) == {"b": 9.0, None: 6.0}
    overflow = next(p for p in third.points if p.metric is catalog.PREEMPTIONS and p.attributes[-2])
    assert [value for value in overflow.attributes if value] == ["true"]
    assert (overflow.start, overflow.resource) == (first.at, NODE)
    assert len(values(third, catalog.REQUESTS_RUNNING)) == 3  # no other metric has a limit


def test_overflow_is_a_boolean_by_otlp_and_a_label_on_the_page() -> None:
    """So the specification of OpenTelemetry's SDKs has it, and so Prometheus translates it; a simulated one says so too."""
    *_, snapshot = run(FEW, FEW, budget=Budget(of_metrics={catalog.PREEMPTIONS: 1}), simulated=True)

    page = Exposition().render(snapshot, openmetrics=False).decode()
    assert 'inference_preemptions_total{otel_metric_overflow="true",inferometer_simulated="true"} 0.0\n' in page
    told = [
        {pair.key: pair.value for pair in point.attributes}
        for body in Encoder().requests(snapshot, max_bytes=1 << 20)
        for block in parsed(body).resource_metrics
        for metric in block.scope_metrics[0].metrics
        if metric.name == catalog.PREEMPTIONS.name
        for point in metric.sum.data_points
    ]
    assert [each[catalog.OVERFLOW.key].bool_value for each in told] == [True]
    assert '{"key": "otel.metric.overflow", "value": {"boolValue": true}}' in otlp_json(snapshot)


def test_the_agents_own_series_are_never_left_out() -> None:
    """Not even where they alone exceed the limit, and whatever the limits of metrics say."""
    none = run(FEW, FEW, budget=Budget(1, per_metric=1))[-1]
    all_of_it = run(FEW, FEW, budget=Budget())[-1]

    def own(snapshot: Snapshot) -> set[tuple[str, tuple[str | None, ...]]]:
        return {(p.metric.name, p.attributes) for p in snapshot.points if p.metric.name.startswith("inferometer.")}

    assert own(all_of_it) <= own(none)
    assert {p.metric for p in none.points if not p.metric.name.startswith("inferometer.")} == {catalog.PREEMPTIONS}


def test_a_higher_limit_finds_room_for_what_waited() -> None:
    """What was left out comes at once, where the state is handed on; what was folded stays so while it lives."""
    state = State()
    for tick, budget in enumerate((*[Budget(per_metric=2)] * 4, Budget())):
        seen = frames(engines=[report(MANY)], passed=5.0 * tick)
        state, snapshot = account(state, join(seen, CONTEXT), Rules(), budget)

    assert values(snapshot, catalog.REQUESTS_RUNNING) == MANY
    assert values(snapshot, catalog.PREEMPTIONS) == {"00": 0.0, None: 0.0}
