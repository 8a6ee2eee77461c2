# SPDX-License-Identifier: Apache-2.0
"""A Collector on the node, a gateway behind it, and Prometheus: by OTLP and by remote write, as collector-config/ has them."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dashboards.every import EVERY
from dashboards.model import Dashboard
from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept
from integration.backends import Prometheus
from integration.collectors import LOST, collector, prometheus_for_otlp
from integration.panels import WINDOW, empty_queries, every_choice
from integration.programs import Needs, post
from otlp_receiver import HttpReceiver, Received, series
from whole.agents import await_that
from whole.pages import Page, scrape
from whole.routes import names, same, still

SPEED = 4.0  # of the node's time: enough requests for every model within the window
ROUTES = ("otlp", "remote write")
TO_BOTH = "service::pipelines::metrics::exporters: [otlp_http/prometheus, prometheus_remote_write]"
# What the Collector on the node is told of its cluster, and what it is told that the agents know better.
TOLD = "k8s.cluster.name=tested,service.name=wrong,k8s.node.name=wrong,host.name=wrong"
PROMOTED = {"k8s_cluster_name", "k8s_node_name"}


@pytest.fixture(scope="module", autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs both."""
    needs("otelcol", "prometheus")


@pytest.fixture(scope="module")
def stores(needs: Needs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mapping[str, Prometheus], Any]]:
    """Two Prometheis behind one gateway behind a Collector behind an agent, and the node with its agent."""
    directory = tmp_path_factory.mktemp("chain")
    with (
        SimulatedNode(seed=7, speed=SPEED) as node,
        prometheus_for_otlp(directory / "otlp") as by_otlp,
        prometheus_for_otlp(directory / "written") as written,
        collector(
            "gateway",
            directory / "gateway",
            over=["remote-write", "promote"],
            changes=[TO_BOTH],
            PROMETHEUS_ENDPOINT=by_otlp.url,
            REMOTE_WRITE_ENDPOINT=f"{written.url}/api/v1/write",
        ) as gateway,
        collector(
            "agent", directory / "agent", GATEWAY_ENDPOINT=gateway.grpc_address, OTEL_RESOURCE_ATTRIBUTES=TOLD
        ) as beside,
        agent_on(node, endpoint=beside.grpc_url, protocol="grpc") as agent,
    ):
        yield dict(zip(ROUTES, (by_otlp, written), strict=True)), (node, agent)
        assert [word for word in LOST if word in beside.log + gateway.log] == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dashboard", EVERY, ids=lambda dashboard: dashboard.uid)
def test_the_dashboards_work_on_both_routes(stores: Any, dashboard: Dashboard, route: str) -> None:
    """Every panel has a number, behind a gateway too, with what is promoted on every series."""
    store = stores[0][route]
    await_that(partial(store.query, f"gpu_devices offset {WINDOW:.0f}s"), f"{WINDOW:.0f} s of data, {route}", 60)
    end = time.monotonic() + 60
    # On a machine that stalls a window may have too few samples for a rate, until the next.
    while (empty := empty_queries(store, dashboard, list(every_choice(store)))) and time.monotonic() < end:
        time.sleep(1)
    assert empty == []


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_promoted_can_be_asked_for(stores: Any, route: str) -> None:
    """The cluster that the Collector was told of, and the node that the agent knows, stand on every series of the agent."""
    store = stores[0][route]
    mine = '{k8s_cluster_name="tested",k8s_node_name="simulated-node"}'
    await_that(lambda: store.query(f"hw_energy_joules_total{mine}"), "a counter")
    await_that(lambda: store.query(f"gen_ai_server_time_to_first_token_seconds_bucket{mine}"), "a histogram")
    (told,) = store.query(f'last_over_time(target_info{{job="inferometer",{mine[1:]}[1m])')
    assert dict(told.labels)["instance"] == "simulated-node"
    assert store.query('count({k8s_node_name="wrong"} or {job="wrong"} or {host_name="wrong"})') == []
    without = store.query('count by (__name__) ({__name__!="",k8s_cluster_name=""})')
    assert [sample.name for sample in without] == []


@pytest.mark.parametrize("route", ROUTES)
def test_what_comes_out_is_the_page(stores: Any, route: str) -> None:
    """Names, labels, values, histograms: as they are scraped, but for the labels that are promoted."""
    (store, (node, agent)) = stores[0][route], stores[1]
    node.pause()
    try:
        stored, page = same(lambda: _plain(kept(store.query(EVERYTHING))), lambda: _plain(scrape(agent.url)))
    finally:
        node.resume()
    assert names(stored) == names(page)
    assert still(stored) == still(page)


def _plain(page: Page) -> Page:
    return {
        (name, frozenset((key, value) for key, value in labels if key not in PROMOTED)): value
        for (name, labels), value in page.items()
        if name != "target_info"
    }


@pytest.mark.parametrize("route", ROUTES)
def test_a_series_ends_behind_the_gateway_too(stores: Any, route: str) -> None:
    """The agent's staleness mark goes through both Collectors: an owner whose pod has ended is found by no query."""
    (store, (node, _)), key = (stores[0][route], stores[1]), {"otlp": "code", "remote write": "chat"}[route]
    mine = f'gpu_owner_info{{k8s_pod_uid="{node.ledger().pod(key).uid}"}}'
    await_that(lambda: store.query(mine), "the holding")
    node.pod_dies(key)
    await_that(lambda: not store.query(mine), "the holding's end")
    await_that(lambda: store.query("gpu_owner_info"), "the other holdings")
    node.pod_starts(key)


def _points(requests: Iterable[Received]) -> Counter[tuple[object, ...]]:
    """Count every point with all that is said of it: resource, scope, schema, metric, kind, and its own bytes."""
    return Counter(
        (
            frozenset((pair.key, pair.value.SerializeToString()) for pair in resource.resource.attributes),
            (resource.schema_url, scope.schema_url, scope.scope.name, scope.scope.version),
            (metric.name, metric.unit, metric.description, metric.WhichOneof("data")),
            getattr(getattr(metric, metric.WhichOneof("data")), "aggregation_temporality", None),
            getattr(getattr(metric, metric.WhichOneof("data")), "is_monotonic", None),
            point.SerializeToString(deterministic=True),
        )
        for one in requests
        for resource in one.request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    )


def test_two_collectors_change_nothing_that_the_agent_says(node: SimulatedNode, tmp_path: Path) -> None:
    """Values, starts, units, histograms, marks of ended series and resources come out as they went in, and nothing else does."""
    with HttpReceiver() as direct, agent_on(node, endpoint=f"{direct.url}/v1/metrics"):
        direct.wait_for(3, 30)
        node.pod_dies("code")
        await_that(lambda: any(each.ended for each in series(*direct.received)), "marks of ended series")
    said = list(direct.received)
    with (
        HttpReceiver() as prometheus,
        collector("gateway", tmp_path / "gateway", PROMETHEUS_ENDPOINT=prometheus.url) as gateway,
        collector("agent", tmp_path / "agent", GATEWAY_ENDPOINT=gateway.grpc_address) as beside,
    ):
        for each in said:
            post(f"{beside.http_url}/v1/metrics", each.request.SerializeToString(), "application/x-protobuf")
        sent = _points(said)
        await_that(lambda: _points(list(prometheus.received)).total() >= sent.total(), "all points")
        arrived = _points(list(prometheus.received))
    assert {each.path for each in prometheus.received} == {"/api/v1/otlp/v1/metrics"}
    assert max(each.size for each in prometheus.received) <= 3_500_000
    assert arrived == sent
