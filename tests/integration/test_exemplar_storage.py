# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus keeps the exemplars of an engine's page, by scraping and by OTLP alike, and start times where told."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server  # noqa: TID251  # a real exporter

from inferometer import app
from inferometer.config import load
from integration.agents import scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from whole.agents import await_that

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
LATENCY = "gen_ai_server_time_to_first_token_seconds_bucket"
OPTIONS = ("--web.enable-otlp-receiver", "--enable-feature=exemplar-storage")


@pytest.fixture
def engine() -> Iterator[str]:
    """An engine that prometheus_client speaks for, with a trace behind a latency and behind a count."""
    registry = CollectorRegistry()
    names = ["model_name", "engine"]
    latency = Histogram("vllm:time_to_first_token_seconds", "d", names, buckets=(0.1, 0.5), registry=registry)
    latency.labels("m", "0").observe(0.25, {"trace_id": TRACE, "span_id": SPAN})
    Counter("vllm:generation_tokens", "d", names, registry=registry).labels("m", "0").inc(12, {"trace_id": TRACE})
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


def start(url: str, endpoint: str) -> app.Agent:
    text = {
        "PERIOD": "200ms",
        "SERVER__LISTEN": "127.0.0.1:0",
        "SERVER__CREATED_TIMESTAMPS": "true",
        "DEVICES__NVIDIA__ENABLED": "false",
        "IDENTITY__PODRESOURCES__ENABLED": "false",
        "ENGINES__TARGETS": f"[{{url: '{url}'}}]",
        "ENGINES__EXEMPLARS": "true",
        "OTLP__ENDPOINT": endpoint,
        "OTLP__INTERVAL": "200ms",
    }
    agent = app.Agent(load(None, {f"INFEROMETER_{key}": value for key, value in text.items()}), environ={})
    agent.start()
    return agent


def found(prometheus: Prometheus, name: str) -> list[tuple[str | None, dict[str, str], float]]:
    """The exemplars of a metric: the bound of their bucket, their labels and value."""
    now = time.time()
    answer: list[dict[str, Any]] = prometheus.exemplars(name, now - 3600, now + 60)
    return [
        (series["seriesLabels"].get("le"), each["labels"], float(each["value"]))
        for series in answer
        for each in series["exemplars"]
    ]


def test_both_routes_lead_to_the_trace(engine: str, tmp_path: Path, needs: Needs) -> None:
    """The same exemplars stand at the same series, each once, however often the page that has them is read."""
    needs("prometheus")
    with Prometheus(tmp_path / "pushed", options=OPTIONS) as pushed:
        agent = start(engine, pushed.otlp_url)
        try:
            with Prometheus(tmp_path / "scraped", scrape=[scrape_job(agent)], options=OPTIONS) as scraped:
                for store in (pushed, scraped):
                    await_that(partial(found, store, LATENCY), "a latency's exemplar")
                    await_that(partial(found, store, "inference_tokens_total"), "a count's exemplar")
                    assert found(store, LATENCY) == [("0.5", {"trace_id": TRACE, "span_id": SPAN}, 0.25)]
                    assert found(store, "inference_tokens_total") == [(None, {"trace_id": TRACE}, 12.0)]
                created = "count(inference_tokens_created > time() - 3600 <= time()) == 1"
                await_that(lambda: scraped.query(created), "a start time")
        finally:
            agent.stop()
