# SPDX-License-Identifier: Apache-2.0
"""A real VictoriaMetrics keeps what the agent says, by scraping and by OTLP alike."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept, scrape_job
from integration.backends import Sample, VictoriaMetrics
from integration.programs import Needs
from whole.agents import await_that
from whole.pages import Page, scrape
from whole.routes import CALM, names, same, still

RELABEL = Path(__file__).parents[2] / "collector-config" / "victoriametrics-relabel.yaml"


@pytest.fixture(autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs it."""
    needs("victoria-metrics")


def _without_resources(samples: Iterable[Sample], page: Page) -> Page:
    """Leave out the labels that VictoriaMetrics makes of a resource's attributes, unless the series has them itself."""
    known: dict[str, set[str]] = {}
    for name, labels in page:
        known.setdefault(name, set()).update(key for key, _ in labels)
    return kept(
        sample._replace(labels=frozenset(pair for pair in sample.labels if pair[0] in known[sample.name]))
        if sample.name in known  # it may be a moment older than the page
        else sample
        for sample in samples
    )


def _rounded(page: Page) -> Page:
    """Round as VictoriaMetrics does when it stores: a value keeps some twelve decimal digits of its binary sixteen."""
    return {series: float(f"{value:.10g}") for series, value in page.items()}


def test_victoriametrics_keeps_the_page_as_it_is(node: SimulatedNode, tmp_path: Path) -> None:
    """Every series of /metrics is stored under its name and labels, with its value where that stands still."""
    with (
        agent_on(node, period=CALM) as agent,
        VictoriaMetrics(tmp_path / "scraper", scrape=[scrape_job(agent)]) as scraper,
    ):
        stored, page = same(lambda: _rounded(kept(scraper.query(EVERYTHING))), lambda: _rounded(scrape(agent.url)))

    assert names(stored) == names(page)
    assert still(stored) == still(page)


def test_victoriametrics_keeps_the_same_by_otlp(node: SimulatedNode, tmp_path: Path) -> None:
    """What is pushed equals what is on the page: names, labels and values, histograms too."""
    with (
        VictoriaMetrics(tmp_path / "receiver", relabel=RELABEL) as receiver,
        agent_on(node, endpoint=receiver.otlp_url, period=CALM) as agent,
    ):

        def pushed() -> Page:
            return _rounded(_without_resources(receiver.query(EVERYTHING), scrape(agent.url)))

        stored, page = same(pushed, lambda: _rounded(scrape(agent.url)))

        assert receiver.metadata()["hw_energy_joules_total"] == ("counter", "J")
        assert receiver.metadata()["hw_power_watts"] == ("gauge", "W")
        assert receiver.metadata()["gen_ai_server_time_to_first_token_seconds"] == ("histogram", "s")

    assert names(stored) == names(page)
    assert still(stored) == still(page)


def test_a_pushed_series_ends_in_victoriametrics_too(node: SimulatedNode, tmp_path: Path) -> None:
    """The mark of no recorded value ends a series there at once."""
    with (
        VictoriaMetrics(tmp_path / "receiver", relabel=RELABEL) as receiver,
        agent_on(node, endpoint=receiver.otlp_url),
    ):
        uid = node.ledger().pod("code").uid
        mine = f'gpu_owner_info{{k8s_pod_uid="{uid}"}}'
        await_that(lambda: receiver.query(mine), "the holding")
        node.pod_dies("code")
        await_that(lambda: not receiver.query(mine), "the holding's end")
        await_that(lambda: receiver.query("gpu_owner_info"), "the other holdings")
