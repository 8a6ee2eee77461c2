# SPDX-License-Identifier: Apache-2.0
"""What an agent says on its two routes, read by other people's libraries into one form."""

import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.openmetrics.parser import (  # noqa: TID251  # the oracle
    text_string_to_metric_families,
)

from translator import Strategy, samples_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

# What tells holdings apart on `gpu_owner_info`.
HOLDING = (
    "hw_id",
    "k8s_namespace_name",
    "k8s_pod_name",
    "k8s_pod_uid",
    "k8s_container_name",
    "k8s_resourceclaim_name",
    "k8s_resourceclaim_uid",
    "k8s_resourceclaim_request",
)

Series = tuple[str, frozenset[tuple[str, str]]]
Page = Mapping[Series, float]

# What stands on one route only: the scraper's own names for the target, and the resource.
ROUTE_ONLY = {"target_info"}


def get(url: str, accept: str = OPENMETRICS) -> str:
    """GET a page as text."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def scrape(url: str) -> Page:
    """Scrape an agent; a series that stands twice fails."""
    return read(get(f"{url}/metrics"))


def read(text: str) -> Page:
    """Read an OpenMetrics page; a series that stands twice fails."""
    page: dict[Series, float] = {}
    parse: Any = text_string_to_metric_families  # the library has no types
    for family in parse(text):
        for sample in family.samples:
            series = (sample.name, frozenset(_bound(family.type, sample.labels).items()))
            assert series not in page, f"{series} stands twice"
            page[series] = sample.value
    return page


def received(requests: Iterable[Any]) -> Page:
    """Read ExportMetricsServiceRequests as Prometheus would: names translated, histograms as cumulative buckets.

    The newest value of a series counts; one that was ended is gone. A series that stands twice in one request fails.
    """
    page: dict[Series, float] = {}
    for request in requests:
        told: dict[Series, float] = {}
        ended: set[Series] = set()
        metrics = (m for r in request.resource_metrics for scope in r.scope_metrics for m in scope.metrics)
        for series, value in (sample for metric in metrics for sample in _samples(metric)):
            assert series not in told, f"{series} stands twice"
            if value is None:
                ended.add(series)
            else:
                told[series] = value
        page = {s: v for s, v in {**page, **told}.items() if s not in ended}
    return page


def _samples(metric: Any) -> Iterable[tuple[Series, float | None]]:
    for point, (name, labels, value) in samples_of(metric, Strategy.UNDERSCORES):
        gone = bool(point.flags & 1)  # NO_RECORDED_VALUE
        yield (name, frozenset(labels)), None if gone else value


def _bound(kind: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Write a histogram's `le` in one way."""
    return {key: repr(float(value)) if kind == "histogram" and key == "le" else value for key, value in labels.items()}


def values(page: Page, name: str, *keys: str) -> dict[tuple[str | None, ...], float]:
    """Give a metric's values by the labels named; two series with the same labels fail."""
    found: dict[tuple[str | None, ...], float] = {}
    for (sample, labels), value in page.items():
        if sample == name:
            key = tuple(dict(labels).get(k) for k in keys)
            assert key not in found, f"{name}: {keys} do not tell {key} apart"
            found[key] = value
    return found
