# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus gives what is passed on of engines' pages the names that the engines gave it, by both routes."""

import urllib.request
from itertools import product
from pathlib import Path

from inferometer import catalog
from inferometer.config import Passthrough
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot, Stability
from inferometer.server import Published
from inferometer.simulation.node import SimulatedNode
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from integration.agents import EVERYTHING, JOB, agent_on, kept, scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from passing import Node
from serving import starting
from whole.agents import await_that
from whole.routes import CALM, names, same, still

# Names as engines have them, and as nobody should.
NAMES = (
    *(
        "vllm:num_requests_running",
        "vllm:kv_cache_usage_perc",
        "vllm:iteration_tokens_total",
        "vllm:prompt_tokens_total",
    ),
    *(
        "sglang:kv_transfer_total_mb",
        "nv_inference_count",
        "ray_vllm_x",
        "llamacpp:n_tokens_max",
        "dynamo_detokenize_total_us",
    ),
    *(
        "a",
        "A",
        "a1",
        "a:b:c",
        "_a",
        "a_",
        "a__b",
        "a_:b",
        "a:_b",
        ":a",
        "total",
        "a_ratio",
        "a_seconds",
        "a_total_total",
    ),
    *(
        "total_a",
        "a_total_b_total",
        "a:total",
        "a_bytes_total",
        "a_percent",
        "a_celsius",
        "a_count",
        "a_sum",
        "a_bucket",
    ),
)
LABELS = (
    "a",
    "A1",
    "a_b",
    "a_",
    "_a",
    "__a",
    "a__b",
    "1a",
    "a.b",
    "a-b",
    "é",
    "le",
    "quantile",
    "job",
    "instance",
    "key_a",
)
INSTRUMENTS = (Instrument.GAUGE, Instrument.COUNTER, Instrument.UPDOWNCOUNTER, Instrument.HISTOGRAM)
TRITON = Path(__file__).parents[1] / "fixtures" / "engines" / "triton" / "real_pytriton0.7.0_cpu_failures.txt"
SUMMARY = """\
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 2.5e-05
go_gc_duration_seconds{quantile="1"} NaN
go_gc_duration_seconds_sum 0.25
go_gc_duration_seconds_count 7
"""
_PARTS = ("_bucket", "_sum", "_count")
NODE = Resource.of({"service.name": "names", "service.instance.id": "n1"})


def push(prometheus: Prometheus, points: list[Point]) -> None:
    """Push points; each request has to be accepted whole."""
    at = points[0].at
    for body in Encoder().requests(Snapshot(at=at, steady=0.0, node=NODE, points=tuple(points)), max_bytes=1 << 20):
        request = urllib.request.Request(
            prometheus.otlp_url, body, {"Content-Type": "application/x-protobuf"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


def a_point(metric: Metric, attributes: dict[str, str], at: float) -> Point:
    value = Histogram((1.0,), (1, 2), 3.0) if metric.instrument is Instrument.HISTOGRAM else 4.0
    return Point(metric, tuple(map(attributes.get, metric.keys)), value, at, None, NODE)


def test_the_rule_of_names_is_prometheus_own(tmp_path: Path, needs: Needs) -> None:
    """Of each name and type the rule says that it may be passed on exactly where Prometheus keeps it by OTLP as it is."""
    needs("prometheus")
    with Prometheus(tmp_path, options=["--web.enable-otlp-receiver"]) as prometheus:
        now = prometheus.query("time()")[0].value
        expected: dict[str, bool] = {}
        for number, (name, instrument) in enumerate(product(NAMES, INSTRUMENTS)):
            metric = catalog.verbatim(name, instrument, ("which",))
            push(prometheus, [a_point(metric, {"which": str(number)}, now)])
            samples = {name + end for end in (_PARTS if instrument is Instrument.HISTOGRAM else ("",))}
            found = {sample.name for sample in prometheus.query(f'{{which="{number}"}}')}
            expected[f"{name} {instrument}"] = found == samples
    told = {f"{name} {kind}": catalog.is_passable(name, kind) for name, kind in product(NAMES, INSTRUMENTS)}
    assert told == expected


def test_own_labels_keep_the_names_that_they_are_given(tmp_path: Path, needs: Needs) -> None:
    """Whatever an engine calls its labels, what they are called beside its identity is what Prometheus keeps by OTLP."""
    needs("prometheus")
    called = catalog.own_labels(LABELS)
    assert len(set(called.values())) == len(LABELS)
    with Prometheus(tmp_path, options=["--web.enable-otlp-receiver"]) as prometheus:
        now = prometheus.query("time()")[0].value
        metric = catalog.verbatim("my:labels", Instrument.GAUGE, tuple(called.values()))
        push(prometheus, [a_point(metric, {label: f"value of {name}" for name, label in called.items()}, now)])
        (sample,) = prometheus.query("my:labels")
    kept_labels = {(label, value) for label, value in sample.labels if label not in ("job", "instance")}
    assert kept_labels == {(label, f"value of {name}") for name, label in called.items()}


def test_what_is_passed_on_is_the_same_by_both_routes(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """Every family of the node's engines that can be passed on is kept under its own name, alike scraped and pushed."""
    needs("prometheus")
    everything = Passthrough(allow=("*",))
    receiver = Prometheus(tmp_path / "receiver", options=["--web.enable-otlp-receiver"])
    with (
        receiver,
        agent_on(node, endpoint=receiver.otlp_url, passthrough=everything, period=CALM) as agent,
        Prometheus(tmp_path / "scraper", scrape=[scrape_job(agent)]) as prometheus,
    ):
        await_that(lambda: prometheus.query("vllm:num_requests_running"), "a scrape")
        pushed, stored = same(lambda: kept(receiver.query(EVERYTHING)), lambda: kept(prometheus.query(EVERYTHING)))
        metadata = prometheus.metadata()

    assert names(pushed) == names(stored)
    assert still(pushed) == still(stored)
    verbatim = {name for name, _ in stored if name.startswith("vllm:")}
    assert {
        "vllm:num_requests_running",
        "vllm:prompt_tokens_total",
        "vllm:time_to_first_token_seconds_bucket",
    } <= verbatim
    assert metadata["vllm:time_to_first_token_seconds"]["type"] == "histogram"
    assert all(dict(labels).get("k8s_pod_uid") for name, labels in stored if name.startswith("vllm:"))


def test_counters_without_total_and_summaries_are_the_same_by_both_routes(tmp_path: Path, needs: Needs) -> None:
    """A real Triton's page and a summary: what Prometheus scrapes of them is what it makes of the OTLP."""
    needs("prometheus")
    snapshot = Node().step(triton=TRITON.read_text() + SUMMARY)
    theirs = {point.metric.prometheus for point in snapshot.points if point.metric.stability is Stability.VERBATIM}
    page = Exposition().render(snapshot, openmetrics=True)
    pages = Published({"openmetrics": lambda _: page})
    pages.publish(snapshot)
    with starting() as start, Prometheus(tmp_path / "r", options=["--web.enable-otlp-receiver"]) as receiver:
        _, port = start(pages)
        job = {"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        with Prometheus(tmp_path / "s", scrape=[job]) as scraper:
            await_that(lambda: scraper.query("nv_inference_count"), "a scrape")
            scraped = kept(scraper.query(EVERYTHING))
        now = receiver.query("time()")[0].value
        push(receiver, [point._replace(at=now, start=None) for point in snapshot.points])
        await_that(lambda: receiver.query("nv_inference_count"), "the push")
        pushed = kept(receiver.query(EVERYTHING))

    assert {"nv_inference_count", "go_gc_duration_seconds", "go_gc_duration_seconds_sum"} <= theirs
    ours = {series: value for series, value in scraped.items() if series[0].startswith(tuple(theirs))}
    assert theirs <= {name for name, _ in ours}
    assert {series: value for series, value in pushed.items() if series[0].startswith(tuple(theirs))} == ours
