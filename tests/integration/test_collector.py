# SPDX-License-Identifier: Apache-2.0
"""The Collector configuration that is shipped, run by a real Collector, between a real agent and a real Prometheus."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept
from integration.backends import Collector, Prometheus
from integration.programs import Needs, Program, call
from whole.agents import await_that
from whole.pages import scrape
from whole.routes import names, same, still

CONFIGURATION = Path(__file__).parents[2] / "collector-config" / "agent.yaml"
LOOPBACK = {"OTLP_GRPC_ENDPOINT": "127.0.0.1:0", "OTLP_HTTP_ENDPOINT": "127.0.0.1:0", "HEALTH_ENDPOINT": "127.0.0.1:0"}
QUIET = "service::telemetry::metrics::level: none"  # its own metrics would listen on a fixed port


@pytest.fixture(autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs both."""
    needs("otelcol", "prometheus")


def collector_before(url: str, directory: Path) -> Collector:
    """Give a Collector with the shipped configuration that writes to the Prometheus at `url`."""
    environment = {**LOOPBACK, "PROMETHEUS_ENDPOINT": url, "QUEUE_DIRECTORY": str(directory / "queue")}
    return Collector(directory, CONFIGURATION, environment=environment, changes=[QUIET])


@contextmanager
def prometheus_in(directory: Path, port: int = 0) -> Iterator[Prometheus]:
    """Run a Prometheus as collector-config/README.md says it has to be."""
    with Prometheus(directory, options=["--web.enable-otlp-receiver"], port=port) as prometheus:
        yield prometheus


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_the_collector_writes_is_what_is_scraped(
    node: SimulatedNode, tmp_path: Path, protocol: Literal["grpc", "http/protobuf"]
) -> None:
    """By gRPC and by HTTP the agent's series reach Prometheus through the Collector with the page's names, labels and values."""
    with (
        prometheus_in(tmp_path / "prometheus") as prometheus,
        collector_before(prometheus.url, tmp_path / "collector") as collector,
        agent_on(
            node, endpoint=collector.grpc_url if protocol == "grpc" else collector.http_url, protocol=protocol
        ) as agent,
    ):
        stored, page = same(lambda: kept(prometheus.query(EVERYTHING)), lambda: scrape(agent.url))

    assert names(stored) == names(page)
    assert still(stored) == still(page)


# What was scraped has Prometheus' names already. Prometheus translates them once more by default, to another name where
# the unit is a rate: _bytes_per_second_per_second.
AS_SCRAPED = {"translation_strategy": "UnderscoreEscapingWithoutSuffixes"}

_SCRAPING = """
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: inferometer
          scrape_interval: 500ms
          static_configs: [{targets: ["${env:AGENT}"]}]
exporters:
  otlp_http:
    metrics_endpoint: ${env:PROMETHEUS}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [prometheus], exporters: [otlp_http]}
"""


def test_what_the_collector_scrapes_is_what_is_pushed(node: SimulatedNode, tmp_path: Path) -> None:
    """The Collector's own receiver of scrapes has nothing against /metrics, and hands on what the agent pushes itself."""
    configuration = tmp_path / "scraping.yaml"
    configuration.write_text(_SCRAPING, encoding="utf-8")
    with (
        prometheus_in(tmp_path / "pushed") as pushed,
        Prometheus(tmp_path / "scraped", options=["--web.enable-otlp-receiver"], more={"otlp": AS_SCRAPED}) as scraped,
        agent_on(node, endpoint=pushed.otlp_url) as agent,
        Program(
            "otelcol",
            tmp_path / "collector",
            [f"--config={configuration}"],
            [re.compile(r"Everything is ready\.")],
            {"AGENT": agent.url.removeprefix("http://"), "PROMETHEUS": scraped.otlp_url},
        ) as collector,
    ):
        one, other = same(lambda: kept(scraped.query(EVERYTHING)), lambda: kept(pushed.query(EVERYTHING)))
        (up,) = scraped.query("up")
        said = [line for line in collector.log.splitlines() if "\twarn\t" in line or "\terror\t" in line]

    assert up.value == 1
    assert said == []
    assert names(one) == names(other)
    assert still(one) == still(other)


def test_a_series_ends_through_the_collector_too(node: SimulatedNode, tmp_path: Path) -> None:
    """The agent's staleness mark reaches Prometheus: an owner whose pod has ended is found by no query."""
    with (
        prometheus_in(tmp_path / "prometheus") as prometheus,
        collector_before(prometheus.url, tmp_path / "collector") as collector,
        agent_on(node, endpoint=collector.http_url),
    ):
        mine = f'gpu_owner_info{{k8s_pod_uid="{node.ledger().pod("code").uid}"}}'
        await_that(lambda: prometheus.query(mine), "the holding")
        node.pod_dies("code")
        await_that(lambda: not prometheus.query(mine), "the holding's end")
        assert prometheus.query("gpu_owner_info")


def test_what_prometheus_missed_arrives_even_after_the_collector_was_killed(
    node: SimulatedNode, tmp_path: Path
) -> None:
    """Prometheus is away, the Collector dies with a full queue, both come back: the samples of that time are there."""
    with prometheus_in(tmp_path / "prometheus") as prometheus:
        port = int(prometheus.told["port"])
        url = prometheus.url
    collector = collector_before(url, tmp_path / "collector")
    with collector:
        with agent_on(node, endpoint=collector.http_url) as agent:
            snapshot = agent.newest
            await_that(lambda: "Exporting failed. Will retry" in collector.log, "the first failure")
        collector.kill()
        collector.start()
        with prometheus_in(tmp_path / "prometheus", port) as prometheus:
            assert snapshot is not None
            await_that(lambda: prometheus.query("last_over_time(gpu_devices[1h])"), "what was queued")
            (devices,) = prometheus.query("min(min_over_time(timestamp(gpu_devices)[1h:100ms]))")
            assert snapshot.at - 1 < devices.value < snapshot.at + 10


def test_the_configuration_is_valid_and_names_what_is_wrong(tmp_path: Path) -> None:
    """`otelcol validate` accepts the file as it stands, and refuses a misspelt key by its name."""
    valid = call("otelcol", "validate", f"--config={CONFIGURATION}")
    assert (valid.returncode, valid.stdout + valid.stderr) == (0, "")

    misspelt = tmp_path / "agent.yaml"
    misspelt.write_text(CONFIGURATION.read_text(encoding="utf-8").replace("num_consumers", "num_consumer"))
    refused = call("otelcol", "validate", f"--config={misspelt}")
    assert refused.returncode != 0
    assert "num_consumer" in refused.stderr
