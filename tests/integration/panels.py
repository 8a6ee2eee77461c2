# SPDX-License-Identifier: Apache-2.0
"""The dashboards' queries, asked of a Prometheus as Grafana would ask them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from dashboards.model import Dashboard, Heatmap, Lines, Panel, Query, Timeline
from integration.backends import Prometheus, Sample
from promql import substitute
from whole.agents import await_that

WINDOW = 10.0  # seconds; what a panel's rate looks back over here

# What the simulated node has nothing of while all is well.
ALL_IS_WELL = {
    "GPUs that are or were unhealthy",
    "Why its state is not ok",
    "XIDs since the agent began, by code and recommended action",
}


def every_choice(store: Prometheus) -> Iterator[Mapping[str, str]]:
    """Choose everything, and each GPU in turn: held whole, shared, free or cut into instances."""
    for sample in store.query("gpu_info"):
        yield {
            **dict.fromkeys(("cluster", "node", "namespace", "team", "model"), ".*"),
            "gpu": dict(sample.labels)["hw_id"],
            "idle": f"{WINDOW:.0f}s",
            "__rate_interval": f"{WINDOW:.0f}s",
        }


def ask(store: Prometheus, panel: Panel, query: Query, values: Mapping[str, str]) -> list[Sample]:
    """Ask as Grafana would: a range for what is drawn over time, one instant for tables and single numbers."""
    expression = substitute(query.expr, values, place=panel.title)
    if isinstance(panel, Lines | Heatmap | Timeline):
        now = store.query("time()")[0].value
        return store.query_range(expression, now - WINDOW / 2, now, 1.0)
    return store.query(expression)


def empty_queries(store: Prometheus, dashboard: Dashboard, chosen: Sequence[Mapping[str, str]]) -> list[str]:
    """List the queries that have no number for any choice, but those of panels that are empty while all is well."""
    return [place for place, has_number in _numbers(store, dashboard, chosen) if not has_number()]


def await_numbers(store: Prometheus, dashboard: Dashboard, chosen: Sequence[Mapping[str, str]]) -> None:
    """Wait until each query has had a number for some choice, but those of panels that are empty while all is well."""
    for place, has_number in _numbers(store, dashboard, chosen):
        await_that(has_number, place)


def _numbers(
    store: Prometheus, dashboard: Dashboard, chosen: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Give of each query where it stands, and what asks whether it has a number for some choice, or need not have one."""
    if not any("$gpu" in query.expr for panel in dashboard.panels for query, _ in panel.shown()):
        chosen = chosen[:1]  # the answer does not depend on the GPU
    for panel in dashboard.panels:
        for query, _ in panel.shown():
            yield (
                f"{dashboard.uid}, panel {panel.title!r}: {query.expr}",
                partial(_has_number, store, panel, query, chosen),
            )


def _has_number(store: Prometheus, panel: Panel, query: Query, chosen: Sequence[Mapping[str, str]]) -> bool:
    answers = [ask(store, panel, query, values) for values in chosen]
    numbers = [sample.value for answer in answers for sample in answer if math.isfinite(sample.value)]
    return bool(numbers) or panel.title in ALL_IS_WELL
