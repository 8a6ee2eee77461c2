# SPDX-License-Identifier: Apache-2.0
"""Families that are passed on, from engines' pages to the outputs: identity, types, resets, limits, and one page of them all."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: TID251  # oracle
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics  # noqa: TID251  # oracle
from prometheus_client.parser import text_string_to_metric_families as plain  # noqa: TID251  # oracle

from frames import CONTEXT, frames
from inferometer.accounting import Budget, State, account, cap
from inferometer.config import Passthrough
from inferometer.join import join
from inferometer.model import Histogram, Instrument, Point, Snapshot, Target
from inferometer.push.changes import find_ended
from inferometer.push.sheet import Sheet
from inferometer.sources.engines.reader import Reader
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from passing import RULES, Node
from whole.pages import ROUTE_ONLY, read, received

PAGES = sorted((Path(__file__).parents[1] / "fixtures" / "engines").glob("*/*.txt"))


def own(snapshot: Snapshot) -> list[Point]:
    return [point for point in snapshot.points if point.metric.name.startswith("my:")]


def said(point: Point) -> dict[str, str]:
    return {key: value for key, value in zip(point.metric.keys, point.attributes, strict=True) if value}


def dropped(snapshot: Snapshot, limit: str) -> float:
    (value,) = (p.value for p in snapshot.points if p.metric.name == "inferometer.dropped" and limit in p.attributes)
    assert not isinstance(value, Histogram)
    return value


GAUGE = '# TYPE my:a gauge\nmy:a{{shard="{}"}} {}\n'


def test_a_family_has_its_engines_identity() -> None:
    """What is passed on stands under its own name, with the pod of its engine, and says nothing of models that it does not say."""
    (point,) = own(Node().step(one=GAUGE.format("3", 7)))
    assert (point.metric.prometheus, point.value) == ("my:a", 7.0)
    assert said(point) == {
        "k8s.namespace.name": "llm",
        "k8s.pod.name": "one",
        "k8s.pod.uid": "uid-one",
        "server.port": "8000",
        "gen_ai.provider.name": "unknown",
        "shard": "3",
    }


def test_one_family_of_several_engines_and_label_sets_is_one_on_every_page() -> None:
    """Series with other labels, of other engines, have one header, and one metric in OTLP: both libraries read them back."""
    histogram = '# TYPE my:h histogram\nmy:h_bucket{le="0.5"} 1\nmy:h_bucket{le="+Inf"} 3\nmy:h_sum 2\nmy:h_count 3\n'
    counter = '# TYPE my:c_total counter\nmy:c_total{x="1"} 5\nmy:c_total 6\n'
    snapshot = Node().step(
        one=GAUGE.format(1, 1) + counter + histogram, two='# TYPE my:a gauge\nmy:a 2\nmy:a{b="c",d="e"} 3\n' + histogram
    )
    for form, parse, name in ((True, openmetrics, "my:c"), (False, plain, "my:c")):
        page = Exposition().render(snapshot, openmetrics=form).decode()
        assert page.count("# TYPE my:a gauge\n") == 1
        families = {family.name: family for family in parse(page)}
        assert sorted(sample.value for sample in families["my:a"].samples) == [1.0, 2.0, 3.0]
        assert sorted(sample.value for sample in families[name].samples) == [5.0, 6.0]
        assert len(families["my:h"].samples) == 8
    (request,) = Encoder().requests(snapshot, max_bytes=1 << 20)
    metrics = [
        metric
        for resource in ExportMetricsServiceRequest.FromString(request).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "my:a"
    ]
    assert [len(metric.gauge.data_points) for metric in metrics] == [1, 2]  # one for each pod's resource


def test_the_catalogues_metrics_come_first_in_every_snapshot() -> None:
    """Families that are passed on follow those of the catalogue, by name, each in one run."""
    snapshot = Node().step(
        one="# TYPE z gauge\nz 1\n# TYPE my:a gauge\nmy:a 1\n", two='# TYPE my:a gauge\nmy:a{b="1"} 1\n'
    )
    names = list(dict.fromkeys(point.metric.name for point in snapshot.points))
    assert names[-2:] == ["my:a", "z"]
    assert len(names) == sum(1 for _ in groupby(snapshot.points, key=lambda point: point.metric.name))


def test_an_engine_with_another_label_ends_no_series() -> None:
    """When an engine comes whose family has one more label, the series of the others go on: nothing is marked as ended."""
    node = Node()
    counter = "# TYPE my:c_total counter\nmy:c_total 5\n"
    first = node.step(one=counter)
    second = node.step(one=counter, two='# TYPE my:c_total counter\nmy:c_total{x="1"} 1\n')
    assert [p for p in find_ended(Sheet.of(first), Sheet.of(second)) if p.metric.name.startswith("my:")] == []
    third = node.step(one="# TYPE my:c_total counter\nmy:c_total 2\n")
    (point,) = own(third)
    assert point.start == own(second)[0].at  # the fall is noticed across it all


def test_histograms_and_counters_keep_bounds_resets_and_starts() -> None:
    """A histogram has its own bounds; a counter that falls began between the two pages, unless the page says when."""
    node = Node()
    page = (
        '# TYPE my:h histogram\nmy:h_bucket{{le="0.3"}} {0}\nmy:h_bucket{{le="+Inf"}} {0}\nmy:h_sum 1\nmy:h_count {0}\n'
    )
    before = node.step(one=page.format(5))
    after = node.step(one=page.format(2))
    (point,) = own(after)
    assert point.value == Histogram((0.3,), (2, 0), 1.0)
    assert point.start == own(before)[0].at
    dated = "# TYPE my:c_total counter\nmy:c_total 1\n# TYPE my:c_created gauge\nmy:c_created 1700000000\n"
    assert [p.start for p in own(node.step(one=dated))] == [1_700_000_000.0]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_both_routes_say_the_same_of_every_recorded_page(path: Path) -> None:
    """Names, labels and values on the agent's page are those that Prometheus makes of its OTLP: of counters that lack `_total`, too."""
    node = Node()
    for _ in range(2):
        snapshot = node.step(one=path.read_text())
        page = read(Exposition().render(snapshot, openmetrics=True).decode())
        requests = Encoder().requests(snapshot, max_bytes=1 << 20)
        pushed = received(map(ExportMetricsServiceRequest.FromString, requests))

        assert {series: value for series, value in page.items() if series[0] not in ROUTE_ONLY} == pushed


SUMMARY = '# TYPE my:a summary\nmy:a{quantile="0.5"} 1\nmy:a_sum 2\nmy:a_count 3\n'


def test_one_summary_of_two_engines_has_three_headers() -> None:
    """Levels, sum and count are families of their own on a page: both libraries read them, and each has its engine."""
    snapshot = Node().step(one=SUMMARY, two=SUMMARY)
    for form, parse in ((True, openmetrics), (False, plain)):
        page = Exposition().render(snapshot, openmetrics=form).decode()
        families = {family.name: family for family in parse(page) if family.name.startswith("my:")}
        assert {name: (family.type, len(family.samples)) for name, family in families.items()} == {
            "my:a": ("gauge", 2),
            "my:a_sum": ("gauge", 2),
            "my:a_count": ("gauge", 2),
        }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("# TYPE my:a gauge\nmy:a 1\n", '# TYPE my:a histogram\nmy:a_bucket{le="+Inf"} 1\nmy:a_sum 1\nmy:a_count 1\n'),
        ("# TYPE my:a_total gauge\nmy:a_total 1\n", "# TYPE my:a_total counter\nmy:a_total 1\n"),
        ("# TYPE my:a gauge\nmy:a 1\n", "# TYPE my:a_total counter\nmy:a_total 1\n"),  # one family in OpenMetrics
        (
            "# TYPE my:a_count gauge\nmy:a_count 1\n",
            '# TYPE my:a histogram\nmy:a_bucket{le="+Inf"} 1\nmy:a_sum 1\nmy:a_count 1\n',
        ),
        ("# TYPE my:a counter\nmy:a 1\n", "# TYPE my:a gauge\nmy:a 1\n"),
        ("# TYPE my:a counter\nmy:a 1\n", "# TYPE my:a_total counter\nmy:a_total 1\n"),
    ],
)
def test_a_family_that_contradicts_another_is_withheld(first: str, second: str) -> None:
    """Of two engines that mean different things by a name the first has it, wherever it stands; the other is counted."""
    node = Node()
    assert [said(p)["k8s.pod.name"] for p in own(node.step(zeta=first))] == ["zeta"]
    both = node.step(alpha=second, zeta=first)
    assert [said(p)["k8s.pod.name"] for p in own(both)] == ["zeta"]
    assert dropped(both, "passthrough_families") == 1.0
    for form, parse in ((True, openmetrics), (False, plain)):
        list(parse(Exposition().render(both, openmetrics=form).decode()))


def test_a_family_that_changes_its_type_is_withheld_for_the_linger() -> None:
    """A restart that makes a counter of a gauge is counted, until nobody has known the gauge for the linger."""
    node = Node()
    gauge, counter = "# TYPE my:a_total gauge\nmy:a_total 1\n", "# TYPE my:a_total counter\nmy:a_total 1\n"
    node.step(one=gauge)
    assert own(node.step(one=counter)) == []
    later = node.step(passed=RULES.linger + 1, one=counter)
    assert [p.metric.instrument for p in own(later)] == [Instrument.COUNTER]
    assert dropped(later, "passthrough_families") == 1.0


def test_what_is_read_goes_before_what_is_passed_on() -> None:
    """Where the limit on all series has no room, engines lose what is passed on, whole, and nothing that is read of them."""
    page = "".join(f'my:a{{i="{i}"}} 1\n' for i in range(50))
    vllm = '# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 3\n'
    snapshot = Node(replace(CONTEXT, max_series=60)).step(
        one="# TYPE my:a gauge\n" + page, two="# TYPE my:a gauge\n" + page, three=vllm
    )
    assert {said(p)["k8s.pod.name"] for p in own(snapshot)} == {"one"}
    assert [p.value for p in snapshot.points if p.metric.name == "inference.requests.running"] == [3.0]
    assert dropped(snapshot, "pages") == 50.0


def test_what_is_passed_on_beyond_the_limits_is_left_out_and_nothing_stands_in_for_it() -> None:
    """A counter of an engine's own has no overflow series: its families would have several, and Prometheus refuse the page."""
    node = Node(limits=Budget(of_metrics={}, per_metric=3))
    counters = "# TYPE my:c_total counter\n" + "".join(
        f'my:c_total{{{key}="{i}"}} 1\n' for key in "ij" for i in range(9)
    )
    for _ in range(3):
        snapshot = node.step(one=counters)

    assert [len(list(of)) for _, of in groupby(own(snapshot), lambda p: p.metric)] == [3, 3]
    assert not any(said(p).get("otel.metric.overflow") for p in own(snapshot))
    (left_out,) = (p for p in snapshot.points if p.metric.name == "inferometer.series.dropped")
    assert (said(left_out)["inferometer.metric"], left_out.value) == ("passthrough", 24.0)  # counted a snapshot later
    assert list(openmetrics(Exposition().render(snapshot, openmetrics=True).decode()))  # type: ignore[no-untyped-call]  # it has no types


def test_two_targets_that_are_one_engine_say_each_series_once() -> None:
    """One port with two paths has one identity: the series stand once, or Prometheus would refuse the whole page."""
    reader = [
        Reader(
            Target(f"llm/one:8000{path}", f"http://10.0.0.1:8000{path}", namespace="llm", pod="one"),
            passthrough=Passthrough(allow=("*",)),
        )
        for path in ("/a", "/b")
    ]
    reports = [each.read(GAUGE.format(1, 1).encode()) for each in reader]
    state, bounded = cap(State(), frames(engines=reports), RULES)
    _, snapshot = account(state, join(bounded, CONTEXT), RULES)
    assert len(own(snapshot)) == 1


def test_limits_are_counted_from_the_start() -> None:
    """What limits drop of pages is 0 before they ever do: a rate over the first drop sees it."""
    snapshot = Node().step()
    limits: Mapping[str, float] = {
        limit: dropped(snapshot, limit)
        for limit in (
            "models",
            "reasons",
            "unfoldable",
            "passthrough_families",
            "passthrough_series",
            "passthrough_values",
        )
    }
    assert set(limits.values()) == {0.0}
