# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus adds deltas up to what was counted, and a real Collector takes every compression and sender."""

from pathlib import Path
from typing import Literal

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept
from integration.backends import Prometheus
from integration.programs import Needs
from integration.test_collector import collector_before, prometheus_in
from whole.agents import await_that
from whole.pages import Page, scrape
from whole.routes import CALM, names, same, still

# What engines and devices count, and nobody else: it stands still while the node's time does.
COUNTED = ("inference_tokens_total", "gen_ai_server_time_to_first_token_seconds_", "hw_energy_joules_total")


def counted(page: Page) -> Page:
    """Give what is counted, but for the sums of seconds and joules, which are rounded on the way."""
    return {
        series: value
        for series, value in page.items()
        if series[0].startswith(COUNTED) and not series[0].endswith(("_sum", "joules_total"))
    }


def test_prometheus_adds_deltas_up(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """From when the agent first saw them, engines' counters and buckets gain there what they gain on the page."""
    needs("prometheus")
    options = ["--web.enable-otlp-receiver", "--enable-feature=otlp-deltatocumulative"]
    with (
        Prometheus(tmp_path / "prometheus", options=options) as prometheus,
        agent_on(node, endpoint=prometheus.otlp_url, temporality="delta", period=CALM) as agent,
    ):

        def added_up() -> Page:
            return counted(kept(prometheus.query(EVERYTHING)))

        await_that(lambda: counted(scrape(agent.url)), "the engines")
        await_that(lambda: len(added_up()) == len(counted(scrape(agent.url))), "the first gains")
        first = counted(scrape(agent.url))
        assert any(first.values())
        before = added_up()

        def gained() -> Page:
            page = counted(scrape(agent.url))
            return {series: page[series] - first[series] + before[series] for series in first if series in page}

        def follows(seconds: float) -> None:
            last = gained()
            node.advance(seconds)
            await_that(lambda: any(gained().get(series, 0) > last[series] for series in last), "what is counted moves")
            await_that(lambda: len(added_up()) == len(first) and added_up() == gained(), "the same gains")

        follows(7.0)
        node.engine_down("chat")
        await_that(lambda: len(gained()) < len(first), "an engine is away")
        node.advance(11.0)
        node.engine_up("chat")
        await_that(lambda: len(gained()) == len(first), "the engine is back")
        follows(13.0)


@pytest.mark.parametrize(
    ("protocol", "compression", "sender"),
    [("http/protobuf", "zstd", "own"), ("http/protobuf", "gzip", "sdk"), ("grpc", "gzip", "sdk")],
)
def test_the_collector_takes_it(
    node: SimulatedNode,
    tmp_path: Path,
    needs: Needs,
    protocol: Literal["grpc", "http/protobuf"],
    compression: str,
    sender: str,
) -> None:
    """By zstd, and through the SDK's exporters, the series reach Prometheus as the page has them."""
    needs("otelcol", "prometheus")
    with (
        prometheus_in(tmp_path / "prometheus") as prometheus,
        collector_before(prometheus.url, tmp_path / "collector") as collector,
        agent_on(
            node,
            endpoint=collector.grpc_url if protocol == "grpc" else collector.http_url,
            protocol=protocol,
            compression=compression,
            sender=sender,
            period=CALM,
        ) as agent,
    ):
        stored, page = same(lambda: kept(prometheus.query(EVERYTHING)), lambda: scrape(agent.url))

    assert names(stored) == names(page)
    assert still(stored) == still(page)
