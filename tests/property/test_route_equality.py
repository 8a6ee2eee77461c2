# SPDX-License-Identifier: Apache-2.0
"""Both routes carry the same series of every snapshot, by each of the strategies that Prometheus can translate OTLP with."""

import re

from hypothesis import given
from hypothesis import strategies as st

from inferometer.catalog import HW_ID, POD, SIMULATED, prometheus_name
from inferometer.model import Aggregation, Instrument, Metric, Point, Snapshot, Stability
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from oracles import KINDS, parsed
from snapshots import resources, snapshots, texts, times, values
from translator import Sample, Strategy, label_name, metric_name, samples_of
from whole.pages import Page, Series, read

_UNITS = ("s", "By", "J", "W", "Hz", "Cel", "1", "By/s", "{thing}", "{thing}/s", "{a/b}", "{1}", "{}")


def page(snapshot: Snapshot) -> Page:
    """Give the page's series, read by prometheus_client."""
    text = Exposition().render(snapshot, openmetrics=True).decode()
    return {series: float(value) for series, value in read(text).items() if series[0] != "target_info"}


def pushed(snapshot: Snapshot, strategy: Strategy) -> Page:
    """Give the series that Prometheus makes of what is pushed; one that stands twice fails."""
    found: dict[Series, float] = {}
    for body in Encoder().requests(snapshot, max_bytes=10_000):
        for block in parsed(body).resource_metrics:
            for metric in block.scope_metrics[0].metrics:
                for _, sample in samples_of(metric, strategy):
                    series, value = _series(sample)
                    assert series not in found, f"{series} stands twice"
                    found[series] = value
    return found


def _series(sample: Sample) -> tuple[Series, float]:
    name, labels, value = sample
    return (name, frozenset(labels)), value


def renamed(page: Page, snapshot: Snapshot, strategy: Strategy) -> Page:
    """Give the page's series the names that a strategy has for their metrics and attributes."""
    metrics = {point.metric for point in snapshot.points}
    names: dict[str, str] = {}
    for metric in metrics:
        name = metric_name(metric.name, metric.unit, KINDS[metric.instrument], strategy)
        for part in ("", "_bucket", "_sum", "_count"):
            names[metric.prometheus + part] = name + part
    labels = {each.label: label_name(each.key, strategy) for metric in metrics for each in metric.attributes}
    return {
        (names[name], frozenset((labels.get(key, key), text) for key, text in pairs)): value
        for (name, pairs), value in page.items()
    }


@given(snapshots(), st.sampled_from(Strategy))
def test_every_series_is_on_both_routes(snapshot: Snapshot, strategy: Strategy) -> None:
    """Names, labels and values are equal by default; by the others the names are those that Prometheus gives the same metrics."""
    told = page(snapshot)

    assert pushed(snapshot, strategy) == renamed(told, snapshot, strategy)
    if strategy is Strategy.UNDERSCORES:
        assert pushed(snapshot, strategy) == told


@st.composite
def hostile(draw: st.DrawFn) -> Snapshot:
    """A snapshot of metrics that no catalogue would have: any name that has a letter or digit, any unit of ours."""
    pieces = st.sampled_from(
        ("a", "total", "ratio", "seconds", "per_second", "bytes", "9", "_", ".", ":", "-", "/", " ", "é")
    )
    points: list[Point] = []
    taken: set[str] = set()
    names: set[str] = set()
    for _ in range(draw(st.integers(1, 4))):
        name = "".join(draw(st.lists(pieces, min_size=1, max_size=6)))
        instrument = draw(st.sampled_from(Instrument))
        unit = draw(st.sampled_from(_UNITS))
        if name in names or not re.search("[a-z0-9:]", name):  # one name is one metric
            continue
        told = prometheus_name(name, unit, instrument)
        # Names that a histogram's parts, or OpenMetrics' own suffixes, would take are another metric's; a counter that is called
        # by its suffix alone has none left in OpenMetrics.
        if (
            told == "total"
            or any(told.startswith(other) or other.startswith(told) for other in taken)
            or re.search("_(created|bucket|sum|count|info|gsum|gcount)$", told)
        ):
            continue
        names.add(name)
        taken.add(told.removesuffix("_total"))
        attributes = (HW_ID, POD, SIMULATED)
        metric = Metric(name, unit, instrument, attributes, Stability.PROVISIONAL, Aggregation.SUM, "It.", told)
        value = draw(values(metric))
        points.append(Point(metric, (draw(texts), None, draw(texts)), value, draw(times), None, draw(resources())))
    return Snapshot(at=draw(times), steady=0.0, node=draw(resources()), points=tuple(points))


@given(hostile())
def test_whatever_a_metric_were_called_both_routes_would_agree(snapshot: Snapshot) -> None:
    """The translation of names is Prometheus' own, not only for the names that there are."""
    assert pushed(snapshot, Strategy.UNDERSCORES) == page(snapshot)
