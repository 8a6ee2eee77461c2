# SPDX-License-Identifier: Apache-2.0
"""The agent on a simulated node, as the backends meet it, and what they keep of it in one form."""

from collections.abc import Iterable

from inferometer import app
from integration.backends import Labels, Sample
from whole.agents import agent_on
from whole.pages import Page, Series

__all__ = ["EVERYTHING", "JOB", "agent_on", "kept", "names", "scrape_job", "still"]

JOB = "inferometer"  # of the scrapes
EVERYTHING = '{__name__!=""}'  # in a Prometheus that keeps nothing but one agent

# What a backend adds on one of the routes: where the series came from, and the scrape's own series.
_ADDED_LABELS = {"job", "instance"}
_ADDED_SERIES = {"up", "target_info"}
_SCRAPES_OWN = "scrape_"
# What moves with the clock even where the node's time stands still.
_MOVING = ("inferometer_", "gpu_owner_time_", "gpu_reading_age_")
# An outcome is counted from the first push on: each route has met another number of them.
_OUTCOMES = "inferometer_exports"


def scrape_job(agent: app.Agent, **options: object) -> dict[str, object]:
    """Give the `scrape_configs` entry that scrapes an agent, with further keys."""
    return {"job_name": JOB, "static_configs": [{"targets": [agent.url.removeprefix("http://")]}], **options}


def kept(samples: Iterable[Sample]) -> Page:
    """Give what a backend keeps as a page: without what it added; a series that stands twice fails."""
    page: dict[Series, float] = {}
    for sample in samples:
        if sample.name not in _ADDED_SERIES and not sample.name.startswith(_SCRAPES_OWN):
            series = (sample.name, _plain(sample.labels))
            assert series not in page, f"{series} stands twice"
            page[series] = sample.value
    return page


def still(page: Page) -> Page:
    """Give the agent's series whose values stand still while the node's time does."""
    return {series: page[series] for series in names(page) if not series[0].startswith(_MOVING)}


def names(page: Page) -> set[Series]:
    """Give the agent's series that both routes must have, without their values."""
    return {s for s in page if s[0] not in _ADDED_SERIES and not s[0].startswith(_OUTCOMES)}


def _plain(labels: Labels) -> Labels:
    """Leave out what the backend added; write `le` in one way."""
    return frozenset(
        (key, repr(float(value)) if key == "le" else value) for key, value in labels if key not in _ADDED_LABELS
    )
