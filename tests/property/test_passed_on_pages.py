# SPDX-License-Identifier: Apache-2.0
"""Whatever engines have on their pages, what is passed on of them leaves the agent's own pages whole, on both routes."""

from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: TID251  # oracle
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics  # noqa: TID251  # oracle
from prometheus_client.parser import text_string_to_metric_families as plain  # noqa: TID251  # oracle

from inferometer.model import Snapshot
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from passing import Node
from whole.pages import ROUTE_ONLY, read, received

# Few names, so that families meet: in one page, in two, and in what they were before.
NAMES = st.sampled_from(
    ["a", "a_total", "a_count", "a_sum", "a_bucket", "a_created", "b", "hw_power_watts", "up", "vllm:x"]
)
LABELS = st.sampled_from(["x", "y", "le", "job", "exported_job", "k8s_pod_name", "_x", "x__y", "quantile", "__name__"])
VALUES = st.sampled_from(["0", "1", "2.5", "-3", "NaN", "+Inf", "1e308"])


@st.composite
def families(draw: st.DrawFn) -> str:
    """Draw a family as a page has it: most are what they say they are."""
    name = draw(NAMES)
    kind = draw(st.sampled_from(["gauge", "counter", "histogram", "summary", "untyped"]))
    lines = [f"# TYPE {name} {kind}"] if draw(st.integers(0, 9)) else []
    sets = st.dictionaries(LABELS, st.sampled_from(["", "1", '\\"', "é"]), max_size=3)
    for labels in draw(st.lists(sets, min_size=1, max_size=3, unique_by=lambda each: tuple(sorted(each.items())))):
        if kind == "histogram" and draw(st.integers(0, 9)):
            count = draw(st.integers(0, 5))
            bare = {label: value for label, value in labels.items() if label != "le"}
            for bound, number in ((draw(st.sampled_from(["0.5", "-1"])), 0), ("+Inf", count)):
                lines.append(f"{name}_bucket{written({**bare, 'le': bound})} {number}")
            lines += [f"{name}_count{written(bare)} {count}", f"{name}_sum{written(bare)} {draw(VALUES)}"]
        elif kind == "summary" and draw(st.integers(0, 9)):
            bare = {label: value for label, value in labels.items() if label != "quantile"}
            lines.append(f"{name}{written({**bare, 'quantile': '0.5'})} {draw(VALUES)}")
            lines += [f"{name}_count{written(bare)} {draw(VALUES)}", f"{name}_sum{written(bare)} {draw(VALUES)}"]
        else:
            lines.append(f"{name}{written(labels)} {draw(VALUES)}")
    return "\n".join((*lines, ""))


def written(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}" if labels else ""


def unique(page: str) -> str:
    """Leave out what would make a page none: a line that says a series again."""
    seen: dict[str, str] = {}
    for line in page.splitlines():
        key = line if line.startswith("#") else line.rpartition(" ")[0]
        name, _, labels = key.partition("{")
        seen.setdefault(name + ",".join(sorted(labels.rstrip("}").split(","))), line)
    return "\n".join((*seen.values(), ""))


PAGES = st.lists(families(), min_size=1, max_size=4).map("".join).map(unique)


@settings(max_examples=150)
@given(st.lists(st.tuples(PAGES, PAGES), min_size=1, max_size=3))
@example([("# TYPE a_total counter\na_total 0\n", "# TYPE a_created gauge\na_created 0\n")])
def test_the_agents_pages_stay_whole(life: list[tuple[str, str]]) -> None:
    """Two engines, page after page: both libraries read every page, no series stands twice, no identity is forged.

    And what is pushed is what is scraped.
    """
    node = Node()
    for one, two in life:
        snapshot = node.step(one=one, two=two)
        holds(snapshot)


def holds(snapshot: Snapshot) -> None:
    ours = {point.metric.name for point in snapshot.points if point.metric.stability != "verbatim"}
    theirs = [point for point in snapshot.points if point.metric.stability == "verbatim"]
    assert not ours & {point.metric.name for point in theirs}
    for form, parse in ((True, openmetrics), (False, plain)):
        page = Exposition().render(snapshot, openmetrics=form).decode()
        samples = [sample for family in parse(page) for sample in family.samples]
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
        assert len(series) == len(set(series))
        headers = [line for line in page.splitlines() if line.startswith("# TYPE ")]
        assert len(headers) == len({line.split()[2] for line in headers})
    for point in theirs:
        said = dict(zip(point.metric.keys, point.attributes, strict=True))
        assert said["k8s.pod.name"] in ("one", "two")
        assert said["k8s.pod.uid"] == f"uid-{said['k8s.pod.name']}"
    pushed = received(map(ExportMetricsServiceRequest.FromString, Encoder().requests(snapshot, max_bytes=1 << 20)))
    scraped = read(Exposition().render(snapshot, openmetrics=True).decode())
    assert pushed == {series: value for series, value in scraped.items() if series[0] not in ROUTE_ONLY}
