# SPDX-License-Identifier: Apache-2.0
"""The Prometheus page: its form, its escapes and what it leaves out."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from example import GPU, SNAPSHOT, point, snapshot
from inferometer import catalog
from inferometer.model import Aggregation, Histogram, Instrument, Metric, Point, Resource, Snapshot, Stability
from inferometer.views import prometheus, prometheus_layout
from inferometer.views.prometheus import Exposition
from inferometer.views.prometheus_text import boundary

GOLDEN = Path(__file__).parents[2] / "golden" / "views"


@pytest.mark.parametrize(("name", "openmetrics"), [("page.txt", False), ("page.openmetrics.txt", True)])
def test_page_is_the_golden_one(name: str, openmetrics: bool) -> None:
    """The example node's page is, byte for byte, the reviewed one."""
    page = Exposition().render(SNAPSHOT, openmetrics=openmetrics)
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        (GOLDEN / name).write_bytes(page)

    assert page == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1, "1.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (2.5, "2.5"),
        (100_000.0, "100000.0"),
        (999_999.5, "999999.5"),
        (1_000_000.0, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (67_108_864.0, "6.7108864e+07"),
        (1e16, "1e+16"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (-2_500_000.0, "-2.5e+06"),
        (-0.5, "-0.5"),
    ],
)
def test_bounds_are_written_as_prometheus_does(bound: float, text: str) -> None:
    """A bound has the canonical form, in which Go changes to an exponent at a million and Python much later."""
    assert boundary(bound) == text
    assert float(text) == bound


def test_a_start_stands_at_the_end_of_its_series() -> None:
    """A series' `_created` line follows its last sample, before the next series and before the next family."""
    page = snapshot(
        point(catalog.ENERGY, {"hw.id": "a"}, 1.0, start=5.0),
        point(catalog.ENERGY, {"hw.id": "b"}, 2.0, start=6.0),
        point(catalog.PCIE_REPLAYS, {"hw.id": "a"}, 3.0, start=7.0),
        node=Resource(()),
    )

    lines = Exposition(created=True).render(page, openmetrics=True).decode().splitlines()
    assert [line for line in lines if not line.startswith(("# HELP", "# UNIT"))] == [
        "# TYPE hw_energy_joules counter",
        'hw_energy_joules_total{hw_id="a"} 1.0',
        'hw_energy_joules_created{hw_id="a"} 5.0',
        'hw_energy_joules_total{hw_id="b"} 2.0',
        'hw_energy_joules_created{hw_id="b"} 6.0',
        "# TYPE gpu_pcie_replays counter",
        'gpu_pcie_replays_total{hw_id="a"} 3.0',
        'gpu_pcie_replays_created{hw_id="a"} 7.0',
        "# EOF",
    ]


@pytest.mark.parametrize("start", [None, math.nan, math.inf, 0.0, -5.0, 1e300])
def test_a_start_that_is_none_has_no_line(start: float | None) -> None:
    """A start that is unknown, or no time, is not told; nor is a gauge's."""
    page = snapshot(point(catalog.ENERGY, GPU, 1.0, start=start), point(catalog.POWER, GPU, 1.0, start=5.0))

    assert "_created" not in Exposition(created=True).render(page, openmetrics=True).decode()


def test_empty_snapshot_is_an_empty_page() -> None:
    """Without points and resource nothing is said, and OpenMetrics still ends."""
    empty = snapshot(node=Resource(()))

    assert Exposition().render(empty, openmetrics=False) == b""
    assert Exposition().render(empty, openmetrics=True) == b"# EOF\n"


def test_target_info_has_what_does_not_identify() -> None:
    """`job` and `instance` belong to the scraper; keys that become one label are joined; odd keys become legal ones."""
    node = Resource.of(
        {
            "service.name": "s",
            "service.namespace": "n",
            "service.instance.id": "i",
            "a.b": "1",
            "a_b": "2",
            "0x": "3",
            "__name__": "4",
            "..": "5",
        }
    )

    page = Exposition().render(snapshot(node=node), openmetrics=False).decode()

    assert page.splitlines()[-1] == 'target_info{key_0x="3",_name_="4",a_b="1;2"} 1.0'
    assert (
        "target_info"
        not in Exposition().render(snapshot(node=Resource.of({"service.name": "s"})), openmetrics=True).decode()
    )


def test_help_is_escaped_as_each_format_asks() -> None:
    """OpenMetrics escapes quotes in HELP, the text format does not."""
    metric = Metric(
        "a.b",
        "{x}",
        Instrument.COUNTER,
        (),
        Stability.PROVISIONAL,
        Aggregation.SUM,
        'a "quote", \\ and\nbreak',
        "a_b_total",
    )
    page = snapshot(Point(metric, (), 1.0, 0.0, None, Resource(())), node=Resource(()))

    assert Exposition().render(page, openmetrics=False).decode() == (
        '# HELP a_b_total a "quote", \\\\ and\\nbreak\n# TYPE a_b_total counter\na_b_total 1.0\n'
    )
    assert Exposition().render(page, openmetrics=True).decode() == (
        '# HELP a_b a \\"quote\\", \\\\ and\\nbreak\n# TYPE a_b counter\na_b_total 1.0\n# EOF\n'
    )


def test_every_metric_of_the_catalogue_passes_the_strict_parser() -> None:
    """No name, unit or description of the catalogue makes an invalid page."""
    empty = Histogram((), (0,), 0.0)
    points = [
        point(metric, {}, empty if metric.instrument is Instrument.HISTOGRAM else 1.0) for metric in catalog.METRICS
    ]

    page = Exposition().render(snapshot(*points), openmetrics=True).decode()

    families = list(text_string_to_metric_families(page))  # type: ignore[no-untyped-call]  # it has no types
    assert len(families) == len(catalog.METRICS) + 1


def test_lone_surrogate_does_not_take_the_page() -> None:
    """A value that UTF-8 cannot say is replaced; everything else stands."""
    odd = point(catalog.GPU_MEMORY_LIMIT, {**GPU, "hw.id": "GPU-\ud800"}, 1.0)

    page = Exposition().render(snapshot(odd), openmetrics=False)

    assert b'hw_gpu_memory_limit_bytes{hw_id="GPU-?",gpu_index="0"} 1.0\n' in page


def test_moving_numbers_keep_the_layout() -> None:
    """A page whose numbers alone have moved is not laid out again: that is where the speed comes from."""
    exposition = Exposition()
    exposition.render(SNAPSHOT, openmetrics=False)
    layout = exposition._newest[0]
    moved = tuple(p._replace(value=2.5) if isinstance(p.value, float) else p for p in SNAPSHOT.points)
    exposition.render(replace(SNAPSHOT, points=moved), openmetrics=False)

    assert exposition._newest[0] is layout


def _written(exposition: Exposition, of: Snapshot) -> list[tuple[int, bytes]]:
    """Give the stamp and text of each part of a page."""
    return [(part.stamp, part.text) for part in exposition.parts(of, openmetrics=True)]


def test_a_part_has_its_stamp_as_long_as_it_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that moved changes the stamp of its own part only; one that was read again, and is the same, none."""
    monkeypatch.setattr(prometheus_layout, "_LEAST", 100)
    exposition = Exposition()
    first = _written(exposition, SNAPSHOT)
    again = tuple(p._replace(value=float(repr(p.value))) if isinstance(p.value, float) else p for p in SNAPSHOT.points)
    moved = (again[0]._replace(value=0.125), *again[1:])

    same, other = (_written(exposition, replace(SNAPSHOT, points=each)) for each in (again, moved))

    assert len(first) > 3
    assert same == first
    assert [new != old for new, old in zip(other, first, strict=True)] == [True, *[False] * (len(first) - 1)]
    assert other[0][0] not in {stamp for stamp, _ in first}
    assert b"".join(text for _, text in other) == Exposition().render(replace(SNAPSHOT, points=moved), openmetrics=True)


def test_of_a_long_page_the_first_numbers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit: a part of which all are keeps its stamp, any other has a new one, and the text is the same."""
    monkeypatch.setattr(prometheus_layout, "_LEAST", 100)
    monkeypatch.setattr(prometheus, "_MOST", 12)
    exposition = Exposition()

    first, again = _written(exposition, SNAPSHOT), _written(exposition, SNAPSHOT)

    kept = [new == old for new, old in zip(again, first, strict=True)]
    assert kept == sorted(kept, reverse=True)
    assert {True, False} == set(kept)
    assert [text for _, text in again] == [text for _, text in first]
    assert sum(len(family.words) for family in exposition._newest[1]) <= 12


@pytest.mark.parametrize("values", [(0.0, -0.0), (3.0, 3), (3, 3.0), (1.0, True), (2.0, math.nan)])
def test_what_only_seems_equal_is_written_as_if_nothing_had_been_before(values: tuple[float, float]) -> None:
    """A page is a function of its snapshot alone, of whatever type its numbers are."""
    exposition = Exposition()
    other = point(catalog.POWER, {"hw.id": "GPU-2", "hw.type": "gpu"}, 5.0)
    for value in values:
        shown = snapshot(point(catalog.POWER, {**GPU}, value), other)
        assert exposition.render(shown, openmetrics=True) == Exposition().render(shown, openmetrics=True)


def test_a_histogram_that_moved_is_written_in_its_place() -> None:
    """Those beside it stay, whatever their bounds are; so does one whose number of buckets changes."""
    exposition = Exposition()
    first = [Histogram((1.0, 2.0), (1, 0, 3), 4.5), Histogram((1.0,), (0, 0), 0.0), Histogram((), (7,), 7.0)]
    steps = [
        first,
        [first[0], Histogram((1.0,), (0, 2), 3.0), first[2]],
        [Histogram((1.0, 2.0), (1, 1, 3), 6.5), Histogram((1.0,), (0, 2), 3.0), Histogram((), (8,), 8.0)],
        [Histogram((1.0,), (1, 4), 6.5), Histogram((1.0,), (0, 2), 3.0), Histogram((), (8,), 8.0)],
        [Histogram((1.0,), (1, -4), 6.5), Histogram((1.0,), (0, 2), 3.0), Histogram((), (9,), 8.0)],
    ]
    for histograms in steps:
        points = [
            point(catalog.REQUEST_DURATION, {"gen_ai.request.model": f"m{i}"}, each)
            for i, each in enumerate(histograms)
        ]
        shown = snapshot(*points)
        assert exposition.render(shown, openmetrics=True) == Exposition().render(shown, openmetrics=True)


def test_unsayable_points_are_left_out() -> None:
    """NaN never stands on a page, and the other points do."""
    nan = point(catalog.TEMPERATURE, {**GPU, "hw.sensor_location": "core"}, math.nan)

    page = Exposition().render(snapshot(*SNAPSHOT.points, nan), openmetrics=True)

    assert page == Exposition().render(SNAPSHOT, openmetrics=True)


def test_threads_may_share_one() -> None:
    """Pages of different snapshots and forms rendered at once are the pages rendered alone."""
    exposition = Exposition()
    rows = [replace(SNAPSHOT, points=SNAPSHOT.points[i:]) for i in range(8)] * 8

    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda s: exposition.render(s, openmetrics=len(s.points) % 2 == 0), rows))

    assert pages == [Exposition().render(s, openmetrics=len(s.points) % 2 == 0) for s in rows]
