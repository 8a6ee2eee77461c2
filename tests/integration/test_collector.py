# SPDX-License-Identifier: Apache-2.0
"""collector-config/single.yaml, run by a real Collector between a real agent and a real Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept
from integration.backends import Collector, Prometheus
from integration.collectors import RETRYING, collector
from integration.programs import Needs
from whole.agents import await_that
from whole.pages import scrape
from whole.routes import CALM, names, same, still


@pytest.fixture(autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs both."""
    needs("otelcol", "prometheus")


def collector_before(url: str, directory: Path) -> Collector:
    """Give a Collector that writes to the Prometheus at `url`."""
    return collector("single", directory, PROMETHEUS_ENDPOINT=url)


@contextmanager
def prometheus_in(directory: Path, port: int = 0) -> Iterator[Prometheus]:
    """Run a Prometheus that takes OTLP, and promotes nothing."""
    with Prometheus(directory, options=["--web.enable-otlp-receiver"], port=port) as prometheus:
        yield prometheus


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_the_collector_writes_is_what_is_scraped(
    node: SimulatedNode, tmp_path: Path, protocol: Literal["grpc", "http/protobuf"]
) -> None:
    """By gRPC and by HTTP the agent's series reach Prometheus through the Collector with the page's names, labels and values."""
    with (
        prometheus_in(tmp_path / "prometheus") as prometheus,
        collector_before(prometheus.url, tmp_path / "collector") as between,
        agent_on(
            node,
            endpoint=between.grpc_url if protocol == "grpc" else between.http_url,
            protocol=protocol,
            period=CALM,
        ) as agent,
    ):
        stored, page = same(lambda: kept(prometheus.query(EVERYTHING)), lambda: scrape(agent.url))

    assert names(stored) == names(page)
    assert still(stored) == still(page)


# What was scraped has Prometheus' names already. Prometheus translates them once more by default, to another name where
# the unit is a rate: _bytes_per_second_per_second.
AS_SCRAPED = {"translation_strategy": "UnderscoreEscapingWithoutSuffixes"}


def test_what_the_collector_scrapes_is_what_is_pushed(node: SimulatedNode, tmp_path: Path) -> None:
    """The Collector's own receiver of scrapes has nothing against /metrics, and hands on what the agent pushes itself."""
    with (
        prometheus_in(tmp_path / "pushed") as pushed,
        Prometheus(tmp_path / "scraped", options=["--web.enable-otlp-receiver"], more={"otlp": AS_SCRAPED}) as scraped,
        agent_on(node, endpoint=pushed.otlp_url, period=CALM) as agent,
        collector(
            "single",
            tmp_path / "collector",
            over=["scrape"],
            AGENTS=f"[{agent.url.removeprefix('http://')}]",
            SCRAPE_INTERVAL="500ms",
            PROMETHEUS_ENDPOINT=scraped.url,
        ) as between,
    ):
        one, other = same(lambda: kept(scraped.query(EVERYTHING)), lambda: kept(pushed.query(EVERYTHING)))
        (up,) = scraped.query("up")
        said = [line for line in between.log.splitlines() if "\twarn\t" in line or "\terror\t" in line]

    assert up.value == 1
    assert said == []
    assert names(one) == names(other)
    assert still(one) == still(other)


def test_a_series_ends_through_the_collector_too(node: SimulatedNode, tmp_path: Path) -> None:
    """The agent's staleness mark reaches Prometheus: an owner whose pod has ended is found by no query."""
    with (
        prometheus_in(tmp_path / "prometheus") as prometheus,
        collector_before(prometheus.url, tmp_path / "collector") as between,
        agent_on(node, endpoint=between.http_url),
    ):
        mine = f'gpu_owner_info{{k8s_pod_uid="{node.ledger().pod("code").uid}"}}'
        await_that(lambda: prometheus.query(mine), "the holding")
        node.pod_dies("code")
        await_that(lambda: not prometheus.query(mine), "the holding's end")
        await_that(lambda: prometheus.query("gpu_owner_info"), "the other holdings")


def test_what_prometheus_missed_arrives_even_after_the_collector_was_killed(
    node: SimulatedNode, tmp_path: Path
) -> None:
    """Prometheus is away, the Collector dies with a full queue, both come back: the samples of that time are there."""
    with prometheus_in(tmp_path / "prometheus") as prometheus:
        port = int(prometheus.told["port"])
        url = prometheus.url
    between = collector_before(url, tmp_path / "collector")
    with between:
        with agent_on(node, endpoint=between.http_url) as agent:
            snapshot = agent.newest
            await_that(lambda: RETRYING in between.log, "the first failure")
        between.kill()
        between.start()
        with prometheus_in(tmp_path / "prometheus", port) as prometheus:
            assert snapshot is not None
            await_that(lambda: prometheus.query("last_over_time(gpu_devices[1h])"), "what was queued")
            (devices,) = prometheus.query("min(min_over_time(timestamp(gpu_devices)[1h:100ms]))")
            assert snapshot.at - 1 < devices.value < snapshot.at + 10
