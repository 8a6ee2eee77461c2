# SPDX-License-Identifier: Apache-2.0
"""Exemplars from an engine's page to both outputs: what is carried, what is refused, and what a page without any costs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server  # noqa: TID251  # a real exporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

import frames
from inferometer import catalog, config
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import EngineReport, Exemplar, Snapshot, Target
from inferometer.sources.engines.exemplars import NONE, read_exemplar
from inferometer.sources.engines.page import Parser
from inferometer.sources.engines.reader import Reader
from inferometer.sources.engines.scrape import Engine
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from oracles import data_points, parsed

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def page(*rows: str) -> bytes:
    return "\n".join([*rows, "# EOF", ""]).encode()


def ttft(first: str = "", second: str = "", third: str = "", *, rank: int = 0) -> list[str]:
    """A histogram of three buckets, each with what is to stand behind it."""
    name, labels = "vllm:time_to_first_token_seconds", f'model_name="m",engine="{rank}"'
    return [
        f'{name}_bucket{{{labels},le="0.1"}} 1{first}',
        f'{name}_bucket{{{labels},le="0.5"}} 2{second}',
        f'{name}_bucket{{{labels},le="+Inf"}} 3{third}',
        f"{name}_count{{{labels}}} 3",
        f"{name}_sum{{{labels}}} 1.5",
    ]


def read(*rows: str, reader: Reader | None = None) -> EngineReport:
    return (reader or Reader(TARGET)).read(page(*rows), OPENMETRICS)


def told(report: EngineReport) -> list[Exemplar]:
    return [each for several in report.exemplars.values() for each in several]


def snapshot(report: EngineReport) -> Snapshot:
    return account(State(), join(frames.frames(engines=[report]), frames.CONTEXT), Rules())[1]


def real_registry() -> CollectorRegistry:
    """Metrics as an engine keeps them, by prometheus_client."""
    registry = CollectorRegistry()
    latency = Histogram(
        "vllm:time_to_first_token_seconds", "d", ["model_name", "engine"], buckets=(0.1, 0.5), registry=registry
    )
    tokens = Counter("vllm:generation_tokens", "d", ["model_name", "engine"], registry=registry)
    latency.labels("m", "0").observe(0.25, {"trace_id": TRACE, "span_id": SPAN})
    latency.labels("m", "0").observe(7.0, {"trace_id": TRACE, "user": 'a "b"'})
    tokens.labels("m", "0").inc(12, {"trace_id": TRACE})
    return registry


@contextmanager
def scraped(*, exemplars: bool) -> Iterator[EngineReport]:
    """What the engine's source reads from prometheus_client's own server."""
    server, thread = start_http_server(0, "127.0.0.1", real_registry())
    target = Target("ns/pod:8000", f"http://127.0.0.1:{server.server_port}/metrics")
    try:
        with closing(Engine(target, config.Engines(exemplars=exemplars), 5.0)) as engine:
            yield engine.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


def behind(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]  # it has no types
        for sample in family.samples:
            if sample.exemplar:
                yield sample.name, sample.exemplar.labels, sample.exemplar.value


def test_exemplars_of_a_real_exporter_reach_both_outputs() -> None:
    """They stand behind the same buckets in OpenMetrics and on the same points in OTLP, and never in the text format."""
    with scraped(exemplars=True) as report:
        whole = snapshot(report)
    exposition = Exposition()
    assert list(behind(exposition.render(whole, openmetrics=True).decode())) == [
        ("gen_ai_server_time_to_first_token_seconds_bucket", {"trace_id": TRACE, "span_id": SPAN}, 0.25),
        ("gen_ai_server_time_to_first_token_seconds_bucket", {"trace_id": TRACE, "user": 'a "b"'}, 7.0),
        ("inference_tokens_total", {"trace_id": TRACE}, 12.0),
    ]
    assert TRACE not in exposition.render(whole, openmetrics=False).decode()
    (body,) = Encoder().requests(whole, max_bytes=1 << 20)
    metrics = [m for block in parsed(body).resource_metrics for scope in block.scope_metrics for m in scope.metrics]
    sent = {m.name: e for m in metrics for point in data_points(m) if (e := list(getattr(point, "exemplars", ())))}
    latency, tokens = sent["gen_ai.server.time_to_first_token"], sent["inference.tokens"]
    assert [(e.trace_id.hex(), e.span_id.hex(), e.as_double) for e in latency] == [
        (TRACE, SPAN, 0.25),
        (TRACE, "", 7.0),
    ]
    assert [(a.key, a.value.string_value) for e in latency for a in e.filtered_attributes] == [("user", 'a "b"')]
    assert [(e.trace_id.hex(), e.as_double) for e in tokens] == [(TRACE, 12.0)]
    assert all(e.time_unix_nano for e in (*latency, *tokens))


def test_who_does_not_want_exemplars_is_told_the_same_without() -> None:
    """By default a page comes as text: the same series under the same names, and no exemplars."""
    with scraped(exemplars=True) as rich, scraped(exemplars=False) as plain:
        assert not plain.exemplars
        assert (plain.engine, rich.engine) == ("vllm", "vllm")
        series = [[(each.metric, each.attributes, each.value) for each in report.readings] for report in (plain, rich)]
    assert series[0] == series[1] != []


@pytest.mark.parametrize(
    ("text", "exemplar"),
    [
        ('{trace_id="a"} 0.5 1.5', Exemplar((("trace_id", "a"),), 0.5, 1.5)),
        ("{} 0.5", Exemplar((), 0.5)),
        ('{a="}\\"\\\\\\n# {"} 1', Exemplar((("a", '}"\\\n# {'),), 1.0)),
        ('{a="",b="c"} -1', Exemplar((("b", "c"),), -1.0)),
        ('{a="' + "é" * 127 + '"} 1', Exemplar((("a", "é" * 127),), 1.0)),
        ('{a="' + "x" * 128 + '"} 1', None),
        ('{a="b",a="c"} 1', None),
        ("{a=b} 1", None),
        ('{"a.b"="c"} 1', None),
        ('{a="b"}', None),
        ('{a="b"} x', None),
        ('{a="b"} NaN', None),
        ('{a="b"} +Inf', None),
        ('{a="b"} 1_0', None),
        ('{a="b"} 1 1795000000000', None),
        ('{a="b"} 1 0', None),
        ('{a="b"} 1 2 3', None),
        ('a="b" 1', None),
        ("", None),
    ],
)
def test_what_is_no_exemplar_of_openmetrics_is_none(text: str, exemplar: Exemplar | None) -> None:
    """Labels of 128 characters in all, a finite value, a time in seconds: anything else is malformed."""
    assert read_exemplar(text) == exemplar


def test_a_malformed_exemplar_is_counted_and_its_sample_stays() -> None:
    """One that cannot be read, and one above its bucket's bound, cost nothing but themselves, and each is counted."""
    report = read(*ttft(" # {x} 0.05", ' # {trace_id="b"} 0.6', ' # {trace_id="c"} 3'))
    assert [each.labels for each in told(report)] == [(("trace_id", "c"),)]
    assert report.folded == {"exemplar": 2}
    whole = snapshot(report)
    assert {p.value for p in whole.points if p.metric is catalog.DROPPED and "exemplar" in p.attributes} == {2.0}
    assert len(report.readings) == 1


def test_a_page_like_the_last_one_has_its_own_exemplars() -> None:
    """From page to page an exemplar comes, stays, is replaced and goes, and the layout is not learnt again."""
    parser = Parser()
    reads = [
        parser.parse(page(*ttft(first)), OPENMETRICS)
        for first in ("", ' # {a_b="1"} 0.05 5', ' # {a_b="1"} 0.05 5', ' # {a_b="2"} 0.06 6', " # no", "")
    ]
    assert [read.exemplars for read in reads] == [
        NONE,
        {0: Exemplar((("a_b", "1"),), 0.05, 5.0)},
        {0: Exemplar((("a_b", "1"),), 0.05, 5.0)},
        {0: Exemplar((("a_b", "2"),), 0.06, 6.0)},
        {0: None},
        NONE,
    ]
    assert len({id(read.layout) for read in reads}) == 1


def test_exemplars_are_in_the_unit_of_their_metric() -> None:
    """Of histograms in milliseconds, bounds and exemplars are both said in seconds."""
    name, labels = "vllm:model_execute_time_milliseconds", 'model_name="m",engine="0"'
    report = read(
        f'{name}_bucket{{{labels},le="100"}} 1 # {{trace_id="t"}} 70 5',
        f'{name}_bucket{{{labels},le="+Inf"}} 1',
        f"{name}_count{{{labels}}} 1",
        f"{name}_sum{{{labels}}} 70",
    )
    assert [each.value for each in told(report)] == [0.07]
    assert "exemplar" not in report.folded


def test_a_page_without_exemplars_keeps_nothing() -> None:
    """Absent is absent: the shared empty mapping, on every page and report."""
    parser = Parser()
    for _ in range(2):
        assert parser.parse(page(*ttft()), OPENMETRICS).exemplars is NONE
    assert not read(*ttft()).exemplars
