# SPDX-License-Identifier: Apache-2.0
"""Families that are passed on as they are: which, with what in them, and what is withheld."""

import re
from collections.abc import Iterator
from itertools import accumulate
from math import isfinite
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from inferometer import catalog
from inferometer.config import Passthrough
from inferometer.model import Histogram, Instrument, Reading, Target
from inferometer.sources.engines.reader import Reader, describe
from inferometer.views.prometheus_text import boundary

PAGES = sorted((Path(__file__).parents[3] / "fixtures" / "engines").glob("*/*.txt"))
ALL = Passthrough(allow=("*",), max_series=100_000)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def passed(page: str, passthrough: Passthrough = ALL) -> list[Reading]:
    return list(Reader(Target("a", "http://a/"), passthrough=passthrough).read(page.encode()).passed)


def withheld(page: str, passthrough: Passthrough = ALL) -> dict[str, int]:
    return dict(Reader(Target("a", "http://a/"), passthrough=passthrough).read(page.encode()).withheld)


def reasons(page: str, passthrough: Passthrough = ALL) -> dict[str, str]:
    return dict(describe(page.encode(), "", passthrough).withheld)


def written(readings: list[Reading]) -> Samples:
    """The samples that readings are on a page, without the engine's identity."""
    return {
        (name, frozenset((*reading.attributes, *more))): value
        for reading in readings
        for name, more, value in _lines(reading)
    }


def _lines(reading: Reading) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    name, value = reading.metric.prometheus, reading.value
    if not isinstance(value, Histogram):
        yield name, (), value
        return
    edges = (*map(boundary, value.bounds), "+Inf")
    for edge, count in zip(edges, accumulate(value.counts), strict=True):
        yield name + "_bucket", (("le", repr(float(edge))),), count
    yield name + "_sum", (), value.sum
    yield name + "_count", (), value.observations


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_is_passed_on_is_what_stands_on_the_page(path: Path) -> None:
    """Of every recorded page each family that is passed on has all its samples, with their names, labels and values."""
    text = path.read_text()
    names = set(describe(text.encode(), "", ALL).passed)
    sampled = {re.split(r"[ {]", line, maxsplit=1)[0] for line in text.splitlines()}
    theirs: Samples = {}
    for family in text_string_to_metric_families(text):
        if not names & {family.name, family.name + "_total"}:
            continue
        for sample, labels, value, *_ in family.samples:
            # The library gives every counter's sample a `_total`.
            name = sample if sample in sampled else sample.removesuffix("_total")
            said = {label: each for label, each in labels.items() if each}
            edge = {"le": repr(float(said.pop("le")))} if name.endswith("_bucket") else {}
            called = catalog.own_labels(tuple(said))
            own = {called[label]: each for label, each in said.items()}
            if isfinite(value) and not name.endswith("_created"):
                theirs[name, frozenset({**own, **edge}.items())] = value

    assert written(passed(text)) == theirs
    assert not {name for name, _ in theirs if catalog.is_reserved(name)}


def test_of_recorded_pages_only_what_is_ours_or_anothers_is_withheld() -> None:
    """Of no engine a type stands in the way: counters without `_total` and summaries are passed on as gauges are."""
    why = {reason for path in PAGES for reason in reasons(path.read_text()).values()}
    assert why == {"names that begin so are taken", "a router's word of engines, which have it themselves"}


def test_nothing_is_passed_on_unless_it_is_asked_for() -> None:
    """By default no page has anything passed on, nor withheld."""
    text = PAGES[0].read_text()
    report = Reader(Target("a", "http://a/")).read(text.encode())
    assert (report.passed, dict(report.withheld)) == ((), {})


PAGE = """\
# TYPE vllm:kept_total counter
vllm:kept_total{model_name="m"} 3
# TYPE vllm:kept_created gauge
vllm:kept_created{model_name="m"} 1700000000
# TYPE vllm:level gauge
vllm:level{model_name="m"} -4
# TYPE other gauge
other 1
"""


def test_lists_choose_families_by_either_of_their_names() -> None:
    """`allow` asks, `deny` goes before it, and a counter is called with or without `_total`."""
    assert {r.metric.name for r in passed(PAGE, Passthrough(allow=("vllm:*",)))} == {"vllm:kept_total", "vllm:level"}
    assert {r.metric.name for r in passed(PAGE, Passthrough(allow=("*",), deny=("vllm:l*", "other")))} == {
        "vllm:kept_total"
    }
    openmetrics = "# TYPE kept counter\nkept_total 3.0\nkept_created 5.0\n# EOF\n"
    for pattern in ("kept", "kept_total"):
        report = Reader(Target("a", "http://a/"), passthrough=Passthrough(allow=(pattern,))).read(
            openmetrics.encode(), "application/openmetrics-text"
        )
        assert [(r.metric.name, r.value, r.start) for r in report.passed] == [("kept_total", 3.0, 5.0)]


def test_gauges_of_any_sign_and_counters_with_their_start_are_passed_on() -> None:
    """A gauge below zero is what it is; a counter keeps what the page says of its start; what they are called stays."""
    counter, level = passed(PAGE, Passthrough(allow=("vllm:*",)))
    assert (counter.metric.instrument, counter.value, counter.start) == (Instrument.COUNTER, 3.0, 1_700_000_000.0)
    assert (level.metric.instrument, level.value) == (Instrument.GAUGE, -4.0)
    assert (level.metric.name, level.metric.prometheus, level.metric.unit) == ("vllm:level", "vllm:level", "")


def test_a_counter_that_lacks_total_is_a_sum_of_its_own_name() -> None:
    """By OTLP Prometheus would put `_total` behind a counter's name; a sum that may fall keeps it, and is no less believed."""
    page = "# TYPE nv:count counter\nnv:count 5\n# TYPE nv:count_created gauge\nnv:count_created 1700000000\n"
    (reading,) = passed(page)
    metric = reading.metric
    assert (metric.name, metric.prometheus, metric.instrument) == ("nv:count", "nv:count", Instrument.UPDOWNCOUNTER)
    assert (reading.value, reading.start) == (5.0, None)
    assert passed("# TYPE nv:count counter\nnv:count -5\n") == []
    (moved,) = passed("# TYPE a_total_b counter\na_total_b 1\n")
    assert moved.metric.prometheus == "a_total_b"


SUMMARY = """\
# TYPE go:gc summary
go:gc{quantile="0.5"} 0.1
go:gc{quantile="1"} NaN
go:gc_sum 3
go:gc_count 4
"""


def test_a_summary_is_levels_by_quantile_and_two_sums() -> None:
    """Each sample keeps its name, label and value; a quantile of nothing is no number; by whichever list, it is one family."""
    told = [(r.metric.name, r.metric.instrument, r.attributes, r.value) for r in passed(SUMMARY)]
    assert told == [
        ("go:gc", Instrument.GAUGE, (("quantile", "0.5"),), 0.1),
        ("go:gc_sum", Instrument.UPDOWNCOUNTER, (), 3.0),
        ("go:gc_count", Instrument.UPDOWNCOUNTER, (), 4.0),
    ]
    assert withheld(SUMMARY) == {"passthrough_values": 1}
    assert passed(SUMMARY, Passthrough(allow=("*",), deny=("go:gc",))) == []
    assert describe(SUMMARY.encode(), "", ALL).passed == ("go:gc",)


def test_a_summary_fits_whole_or_not_at_all() -> None:
    """Its quantiles, sum and count are one family to the budget."""
    assert passed(SUMMARY, Passthrough(allow=("*",), max_series=3)) == []
    assert withheld(SUMMARY, Passthrough(allow=("*",), max_series=3)) == {"passthrough_series": 4}


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("# TYPE gpu_owner_info gauge\ngpu_owner_info 1\n", "taken"),
        ("# TYPE up gauge\nup 1\n", "taken"),
        ("# TYPE a__b gauge\na__b 1\n", "a_b by OTLP"),
        ("# TYPE a__b counter\na__b 1\n", "a_b by OTLP"),
        ('# TYPE a__b summary\na__b{quantile="0.5"} 1\na__b_sum 1\na__b_count 1\n', "a_b by OTLP"),
        ("a 1\n", "untyped"),
        ("# TYPE a gauge\n# TYPE a counter\na 1\n", "conflicting"),
    ],
)
def test_a_family_that_the_routes_would_tell_differently_is_withheld(page: str, why: str) -> None:
    """What has a name of ours, another name by OTLP, or another type, is not passed on; it is counted, and said why."""
    assert passed(page) == []
    assert withheld(page) == {"passthrough_families": 1}
    (reason,) = reasons(page).values()
    assert why in reason


def test_no_name_of_the_catalogue_can_be_passed_on() -> None:
    """Every metric that there is begins as names do that are withheld: none can ever be said by an engine."""
    assert [m.name for m in catalog.METRICS if not catalog.is_reserved(m.prometheus)] == []


def test_a_label_that_clashes_gets_a_prefix() -> None:
    """Labels that the identity, a scrape or OTLP would change are `exported_`, as Prometheus does, and never one another."""
    page = '# TYPE a gauge\na{k8s_pod_name="p",job="j",exported_job="e",_x="1",b__c="2",le="3",_="4"} 1\n'
    (reading,) = passed(page)
    assert dict(reading.attributes) == {
        "exported_k8s_pod_name": "p",
        "exported_exported_job": "j",
        "exported_job": "e",
        "exported_x": "1",
        "exported_b_c": "2",
        "le": "3",
        "exported_": "4",
    }


def test_long_labels_and_many_are_withheld() -> None:
    """A series whose labels are too long, or too many, is left out and counted; others of its family stay."""
    many = ",".join(f'l{i}="1"' for i in range(65))
    page = f'# TYPE a gauge\na{{b="{"x" * 257}"}} 1\na{{{many}}} 1\na{{{"n" * 129}="1"}} 1\na{{b="fine"}} 1\n'
    assert [dict(r.attributes) for r in passed(page)] == [{"b": "fine"}]
    assert withheld(page) == {"passthrough_series": 3}


def test_the_budget_takes_families_whole() -> None:
    """A family that does not fit is left out whole, because a part of it adds up to nothing; later ones may still fit."""
    page = "# TYPE a gauge\n" + "".join(f'a{{i="{i}"}} 1\n' for i in range(3))
    page += '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# TYPE z gauge\nz 1\n'
    some = Passthrough(allow=("*",), max_series=4)
    assert {r.metric.name for r in passed(page, some)} == {"a", "z"}
    assert withheld(page, some) == {"passthrough_series": 4}
    assert "max_series" in reasons(page, some)["h"]


def test_what_is_no_number_is_withheld() -> None:
    """NaN, a negative counter and a histogram that contradicts itself are counted, and what is read of the page is not doubted."""
    page = "# TYPE a gauge\na NaN\n# TYPE b_total counter\nb_total -1\n# TYPE h histogram\n"
    page += 'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'
    report = Reader(Target("a", "http://a/"), passthrough=ALL).read(page.encode())
    assert (report.passed, dict(report.withheld), dict(report.dropped)) == ((), {"passthrough_values": 3}, {})


def test_a_router_does_not_speak_for_engines() -> None:
    """A router's page repeats its engines' families: added to theirs they would count twice. Its own are passed on."""
    page = '# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{server="a"} 5\n# TYPE router_cpu gauge\nrouter_cpu 1\n'
    assert [r.metric.name for r in passed(page)] == ["router_cpu"]
    assert "engines" in reasons(page)["vllm:num_requests_running"]


def test_series_of_the_same_labels_are_one_metric_in_every_engine() -> None:
    """Pages of two engines give the same metric for the same labels, and another one for others."""
    one, other = (passed(f'# TYPE a gauge\na{{x="{i}"}} 1\na{{y="1"}} 1\n') for i in range(2))
    assert one[0].metric is other[0].metric
    assert one[0].metric is not one[1].metric
