# SPDX-License-Identifier: Apache-2.0
"""The agent on a simulated node, as the backends meet it, and what they keep of it in one form."""

from collections.abc import Iterable

from inferometer import app
from integration.backends import Labels, Sample
from whole.agents import agent_on
from whole.pages import Page, Series

__all__ = ["EVERYTHING", "JOB", "agent_on", "kept", "scrape_job"]

JOB = "inferometer"  # of the scrapes
EVERYTHING = '{__name__!=""}'  # in a Prometheus that keeps nothing but one agent

# What a backend adds on one of the routes: where the series came from, and the scrape's own series.
_ADDED_LABELS = {"job", "instance"}
_ADDED_SERIES = {"up", "target_info"}
_SCRAPES_OWN = "scrape_"


def scrape_job(agent: app.Agent, **options: object) -> dict[str, object]:
    """Give the `scrape_configs` entry that scrapes an agent, with further keys."""
    return {"job_name": JOB, "static_configs": [{"targets": [agent.url.partition("://")[2]]}], **options}


def kept(samples: Iterable[Sample]) -> Page:
    """Give what a backend keeps as a page: without what it added; a series that stands twice fails."""
    page: dict[Series, float] = {}
    for sample in samples:
        if sample.name not in _ADDED_SERIES and not sample.name.startswith(_SCRAPES_OWN):
            series = (sample.name, _plain(sample.labels))
            assert series not in page, f"{series} stands twice"
            page[series] = sample.value
    return page


def _plain(labels: Labels) -> Labels:
    """Leave out what the backend added; write `le` in one way."""
    return frozenset(
        (key, repr(float(value)) if key == "le" else value) for key, value in labels if key not in _ADDED_LABELS
    )
