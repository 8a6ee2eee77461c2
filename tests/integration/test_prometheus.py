# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus keeps what the agent says, by scraping and by OTLP alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inferometer import app, catalog
from inferometer.config import Limits
from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept, scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from oracles import KINDS
from translator import Strategy, label_name, metric_name
from whole.agents import await_that
from whole.pages import Page, scrape
from whole.routes import CALM, names, same, still


@pytest.fixture
def receiver(tmp_path: Path, needs: Needs) -> Iterator[Prometheus]:
    """A Prometheus that takes OTLP."""
    needs("prometheus")
    with Prometheus(tmp_path / "receiver", options=["--web.enable-otlp-receiver"]) as prometheus:
        yield prometheus


@contextmanager
def scraper(directory: Path, agent: app.Agent, **options: object) -> Iterator[Prometheus]:
    """A Prometheus that scrapes an agent, and has."""
    with Prometheus(directory, scrape=[scrape_job(agent, **options)]) as prometheus:
        await_that(lambda: prometheus.query("scrape_samples_scraped > 700"), "a scrape")
        (target,) = prometheus.targets()
        assert (target["health"], target["lastError"]) == ("up", "")
        yield prometheus


@pytest.mark.parametrize("form", ["OpenMetricsText1.0.0", "PrometheusText1.0.0", "PrometheusText0.0.4"])
def test_prometheus_keeps_the_page_as_it_is(node: SimulatedNode, tmp_path: Path, needs: Needs, form: str) -> None:
    """In each form every series of /metrics is stored under its name and labels, with its value where that stands still."""
    needs("prometheus")
    with (
        agent_on(node, period=CALM) as agent,
        scraper(tmp_path / "scraper", agent, scrape_protocols=[form]) as prometheus,
    ):
        stored, page = same(lambda: kept(prometheus.query(EVERYTHING)), lambda: scrape(agent.url))
        metadata = prometheus.metadata()

    assert names(stored) == names(page)
    assert still(stored) == still(page)
    assert metadata["gen_ai_server_time_to_first_token_seconds"]["type"] == "histogram"
    assert metadata["hw_power_watts"]["type"] == "gauge"
    counter = "hw_energy_joules" if form.startswith("OpenMetrics") else "hw_energy_joules_total"
    assert metadata[counter]["type"] == "counter"
    assert metadata[counter]["unit"] == ("joules" if form.startswith("OpenMetrics") else "")


def test_prometheus_keeps_the_same_by_otlp(node: SimulatedNode, tmp_path: Path, receiver: Prometheus) -> None:
    """What is pushed to the OTLP receiver equals what is scraped: names, labels and values; only `le` is written so or so."""
    with (
        agent_on(node, endpoint=receiver.otlp_url, period=CALM) as agent,
        scraper(tmp_path / "scraper", agent) as prometheus,
    ):
        pushed, stored = same(lambda: kept(receiver.query(EVERYTHING)), lambda: kept(prometheus.query(EVERYTHING)))

    assert names(pushed) == names(stored)
    assert still(pushed) == still(stored)


@pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.UNDERSCORES])
def test_prometheus_keeps_the_same_by_each_strategy(
    node: SimulatedNode, tmp_path: Path, needs: Needs, strategy: Strategy
) -> None:
    """However it is told to name what is pushed, under those names it keeps every series of the page, and no other."""
    needs("prometheus")
    with (
        Prometheus(
            tmp_path / "receiver",
            more={"otlp": {"translation_strategy": strategy.value}},
            options=["--web.enable-otlp-receiver"],
        ) as prometheus,
        agent_on(node, endpoint=prometheus.otlp_url, period=CALM) as agent,
    ):
        stored, page = same(lambda: paged(kept(prometheus.query(EVERYTHING)), strategy), lambda: scrape(agent.url))

    assert names(stored) == names(page)
    assert still(stored) == still(page)


def test_prometheus_keeps_the_overflow_of_counters(node: SimulatedNode, receiver: Prometheus) -> None:
    """Within limits of series both routes still carry the same, and the boolean of the one is the label of the other."""
    limits = Limits(series_per_metric=10)
    with agent_on(node, endpoint=receiver.otlp_url, limits=limits, period=CALM) as agent:
        pushed, page = same(lambda: kept(receiver.query(EVERYTHING)), lambda: scrape(agent.url))

    assert names(pushed) == names(page)
    assert still(pushed) == still(page)
    overflowing = {name for name, labels in pushed if ("otel_metric_overflow", "true") in labels}
    assert "hw_errors_total" in overflowing
    assert all(name.endswith("_total") for name in overflowing)


def paged(stored: Page, strategy: Strategy) -> Page:
    """Give series that were named by a strategy the names that they have on the page; what is no metric of ours fails."""
    metrics: dict[str, str] = {}
    labels = {"le": "le"}
    for metric in catalog.METRICS:
        kind = KINDS[metric.instrument]
        name = metric_name(metric.name, metric.unit, kind, strategy)
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        metrics |= {name + part: metric.prometheus + part for part in parts}
        labels |= {label_name(each.key, strategy): each.label for each in metric.attributes}
    return {
        (metrics[name], frozenset((labels[key], text) for key, text in pairs)): value
        for (name, pairs), value in stored.items()
    }


def test_a_pushed_series_ends_when_its_holding_ends(node: SimulatedNode, receiver: Prometheus) -> None:
    """The staleness mark ends it at once: no query finds an owner for five more minutes."""
    with agent_on(node, endpoint=receiver.otlp_url):
        uid = node.ledger().pod("code").uid
        mine = f'gpu_owner_info{{k8s_pod_uid="{uid}"}}'
        await_that(lambda: receiver.query(mine), "the holding")
        node.pod_dies("code")
        await_that(lambda: not receiver.query(mine), "the holding's end")
        await_that(lambda: receiver.query("gpu_owner_info"), "the other holdings")
