# SPDX-License-Identifier: Apache-2.0
"""A page read back by prometheus_client's parsers says what the snapshot says, whatever the snapshot."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from prometheus_client import Metric as Family  # noqa: TID251  # the oracle
from prometheus_client.openmetrics.parser import (  # noqa: TID251  # the oracle
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as lax  # noqa: TID251  # the oracle
from prometheus_client.samples import Timestamp  # noqa: TID251  # the oracle's own

from inferometer.catalog import METRICS
from inferometer.model import Instrument, Metric, Point, Snapshot
from inferometer.views.prometheus import Exposition
from oracles import Series, of_buckets, samples, series
from snapshots import PASSED, snapshots, successions

KINDS = {"gauge": "gauge", "counter": "counter", "updowncounter": "gauge", "histogram": "histogram"}
UNITS = ("bytes_per_second", "seconds", "bytes", "joules", "watts", "hertz", "celsius", "ratio")


def strict(page: str) -> list[Family]:
    """Read an OpenMetrics page; the parser has no types."""
    return list(openmetrics_families(page))  # type: ignore[no-untyped-call]  # it has no types


def read(families: Iterable[Family]) -> dict[Series, float]:
    found = [(series(s.name, s.labels), float(s.value)) for family in families for s in family.samples]
    assert len(found) == len(dict(found)), "a series stands twice"
    return {key: value for key, value in found if key[0] != "target_info"}


def present(snapshot: Snapshot) -> list[Metric]:
    metrics = {
        point.metric.name: point.metric for point in snapshot.points
    }  # those of one family are alike in a page's head
    return [metrics[name] for name in dict.fromkeys(m.name for m in (*METRICS, *PASSED)) if name in metrics]


def family_name(metric: Metric) -> str:
    return metric.prometheus.removesuffix("_total") if metric.instrument is Instrument.COUNTER else metric.prometheus


@given(snapshots())
def test_openmetrics_reads_back_equal(snapshot: Snapshot) -> None:
    """The strict OpenMetrics parser accepts every page and reads the snapshot's samples from it."""
    page = Exposition().render(snapshot, openmetrics=True).decode()

    assert read(strict(page)) == samples(snapshot)
    assert page.endswith("# EOF\n")


@given(successions())
def test_created_lines_are_the_known_starts(row: list[Snapshot]) -> None:
    """Where asked for, each counter and histogram whose start is known says it in OpenMetrics, and nothing else changes."""
    used, plain = Exposition(created=True), Exposition()

    for snapshot in row:
        found = read(strict(used.render(snapshot, openmetrics=True).decode()))
        starts = {
            series(f"{family_name(point.metric)}_created", _labels(point)): point.start
            for point in snapshot.points
            if point.start is not None and point.metric.instrument in (Instrument.COUNTER, Instrument.HISTOGRAM)
        }
        assert found == {**samples(snapshot), **starts}
        assert used.render(snapshot, openmetrics=False) == plain.render(snapshot, openmetrics=False)


@given(snapshots())
def test_exemplars_read_back_equal(snapshot: Snapshot) -> None:
    """The strict parser finds each exemplar behind its counter or its bucket, and no others; the text form has none."""
    families = strict(Exposition().render(snapshot, openmetrics=True).decode())

    found = {
        series(s.name, s.labels): (s.exemplar.labels, s.exemplar.value, _seconds(s.exemplar.timestamp))
        for family in families
        for s in family.samples
        if s.exemplar
    }
    expected = {}
    for point in snapshot.points:
        for bound, each in of_buckets(point, snapshot.exemplars).items():
            name, labels = point.metric.prometheus, _labels(point)
            key = series(name, labels) if bound is None else series(f"{name}_bucket", {**labels, "le": str(bound)})
            expected[key] = (dict(each.labels), each.value, each.at)
    assert found == expected
    plain = replace(snapshot, exemplars={})
    text = Exposition().render(snapshot, openmetrics=False)
    assert text == Exposition().render(plain, openmetrics=False)


def _seconds(stamp: Timestamp | float | None) -> float | None:
    return None if stamp is None else round(float(stamp), 3)


def _labels(point: Point) -> dict[str, str]:
    pairs = zip(point.metric.attributes, point.attributes, strict=True)
    return {attribute.label: value for attribute, value in pairs if value}


@given(snapshots())
def test_text_reads_back_equal(snapshot: Snapshot) -> None:
    """The text parser reads the snapshot's samples from the page."""
    page = Exposition().render(snapshot, openmetrics=False).decode()

    assert read(lax(page)) == samples(snapshot)


@given(snapshots())
def test_metadata_stands_once_per_family(snapshot: Snapshot) -> None:
    """Each family has one HELP and one TYPE, in the snapshot's order, and a unit only as its name's last word."""
    families = strict(Exposition().render(snapshot, openmetrics=True).decode())

    described = [(f.name, f.type, f.documentation, f.unit) for f in families if f.name != "target_info"]
    assert described == [
        (
            family_name(metric),
            KINDS[metric.instrument],
            metric.description,
            next((unit for unit in UNITS if family_name(metric).endswith(f"_{unit}")), ""),
        )
        for metric in present(snapshot)
    ]


@given(successions())
def test_memory_never_shows(row: list[Snapshot]) -> None:
    """What was rendered before changes no byte: a page is a function of its snapshot alone."""
    used = Exposition()

    for snapshot in row:
        for openmetrics in (True, False):
            assert used.render(snapshot, openmetrics=openmetrics) == Exposition().render(
                snapshot, openmetrics=openmetrics
            )


@given(successions())
def test_memory_is_bounded(row: list[Snapshot]) -> None:
    """Only the newest snapshot's series are remembered."""
    used = Exposition()
    for snapshot in row:
        used.render(snapshot, openmetrics=True)

    assert sum(len(form.attributes) for form in used._newest[0].forms) <= len(row[-1].points)
