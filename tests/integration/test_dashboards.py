# SPDX-License-Identifier: Apache-2.0
"""Every query of every panel and variable, asked of a real Prometheus that keeps a simulated node, on both routes."""

import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pytest

from dashboards.classic import thing_regex, variable_query
from dashboards.every import EVERY
from dashboards.model import Choice, Dashboard, Labels, Panel, Query
from inferometer.simulation.node import SimulatedNode
from integration.agents import JOB, agent_on
from integration.backends import Prometheus, Sample
from integration.panels import ALL_IS_WELL, WINDOW, ask, await_numbers, every_choice
from integration.programs import Needs, get_json
from promql import substitute
from whole.agents import await_that, eventually

SPEED = 4.0  # of the node's time: enough requests for every model within the window

ROUTES = ("scraped", "pushed")


class Kept(NamedTuple):
    """A Prometheus that keeps the node, and what is chosen in the dashboards' variables: one set of values per GPU."""

    node: SimulatedNode
    prometheus: Prometheus
    chosen: tuple[Mapping[str, str], ...]


@pytest.fixture(scope="module")
def kept(needs: Needs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Kept]]:
    """One agent on a node that moves, by each route in a Prometheus of its own, until every panel's window is full."""
    needs("prometheus")
    directory = tmp_path_factory.mktemp("dashboards")
    job = {"job_name": JOB, "static_configs": [{"targets": []}]}
    with (
        SimulatedNode(seed=7, speed=SPEED) as node,
        Prometheus(directory / "pushed", options=["--web.enable-otlp-receiver"]) as pushed,
        agent_on(node, endpoint=pushed.otlp_url) as agent,
    ):
        job["static_configs"] = [{"targets": [agent.url.removeprefix("http://")]}]
        with Prometheus(directory / "scraped", scrape=[job]) as scraped:
            stores = {"scraped": scraped, "pushed": pushed}
            for name, store in stores.items():
                await_that(partial(store.query, f"gpu_devices offset {WINDOW:.0f}s"), f"{WINDOW:.0f} s of data, {name}")
            gpus = sum(device.parent is None for device in node.ledger().devices)
            yield {name: Kept(node, store, await_choices(store, gpus)) for name, store in stores.items()}


def await_choices(store: Prometheus, gpus: int) -> tuple[Mapping[str, str], ...]:
    """Wait until each GPU can be chosen."""
    chosen: tuple[Mapping[str, str], ...] = ()

    def choose() -> bool:
        nonlocal chosen
        chosen = tuple(every_choice(store))
        return len(chosen) == gpus

    await_that(choose, "every GPU")
    return chosen


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dashboard", EVERY, ids=lambda dashboard: dashboard.uid)
def test_every_panel_has_something_to_show(kept: Mapping[str, Kept], dashboard: Dashboard, route: str) -> None:
    """No query fails for any GPU, and each has a number for one of them: held, shared, free or cut into instances."""
    _, store, choices = kept[route]
    await_numbers(store, dashboard, choices)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dashboard", EVERY, ids=lambda dashboard: dashboard.uid)
def test_every_variable_can_be_filled(kept: Mapping[str, Kept], dashboard: Dashboard, route: str) -> None:
    """Each has something to choose from, but the cluster, whose name the agents may not have been told."""
    _, store, choices = kept[route]
    eventually(lambda: fill_variables(store, dashboard, choices))


def fill_variables(store: Prometheus, dashboard: Dashboard, choices: Sequence[Mapping[str, str]]) -> None:
    """Ask for what each variable can be."""
    for variable in dashboard.variables:
        if isinstance(variable, Choice):
            assert variable.words
            continue
        place = f"{dashboard.uid}, variable {variable.name}"
        query = substitute(variable_query(variable), choices[0], place=place)
        if isinstance(variable, Labels):
            selector = substitute(variable.selector, choices[0], place=place)
            label = urllib.parse.quote(variable.label)
            found = get_json(f"{store.url}/api/v1/label/{label}/values", [("match[]", selector)])["data"]
            assert found or variable.name == "cluster", f"{place}: {query}"
        else:
            pattern = thing_regex(variable).strip("/").replace("(?<", "(?P<")
            samples = store.query(query.removeprefix("query_result(")[:-1])
            matches = [re.search(pattern, as_grafana_sees(sample)) for sample in samples]
            found = {match["value"]: match["text"] for match in matches if match}
            assert found.keys() == {values["gpu"] for values in choices}, place
            assert {f"simulated-node GPU {index}" for index in range(len(choices))} == set(found.values()), place


def as_grafana_sees(sample: Sample) -> str:
    """Write a series as Grafana's query_result() gives it to a variable's regular expression."""
    labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels))
    return f"{sample.name}{{{labels}}} {sample.value:.0f} {sample.time * 1000:.0f}"


def test_the_routes_answer_alike(kept: Mapping[str, Kept]) -> None:
    """What does not move has the same rows in both stores: a dashboard does not tell how the series came."""
    for dashboard in EVERY:
        for panel in dashboard.panels:
            if panel.title in {"GPUs", "Held", "Free", "Free MIG instances", "Engines", "The GPU's name plate"}:
                for query, _ in panel.shown():
                    eventually(partial(answer_alike, kept, panel, query))


def answer_alike(kept: Mapping[str, Kept], panel: Panel, query: Query) -> None:
    """Ask both stores, one after the other."""
    answers = [
        {(sample.labels, sample.value) for sample in ask(store, panel, query, choices[0])}
        for _, store, choices in (kept[route] for route in ROUTES)
    ]
    assert answers[0] == answers[1] != set(), panel.title


def device_id(node: SimulatedNode, index: int) -> str:
    """Give the UUID of a GPU, as the node's own books have it."""
    return next(device.uuid for device in node.ledger().devices if (device.parent, device.index) == (None, index))


def test_a_panel_that_may_be_empty_says_why() -> None:
    """What is empty while all is well is marked so, with its reason."""
    marked = {panel.title for dashboard in EVERY for panel in dashboard.panels if panel.may_be_empty}
    assert marked >= ALL_IS_WELL


def test_a_gpu_that_hangs_is_seen_on_every_dashboard_that_shows_it(kept: Mapping[str, Kept]) -> None:
    """The fleet counts it as unhealthy and draws its bar, and its own dashboard says failed; then it is well again."""
    node, store, choices = kept["scraped"]
    index = 6
    chosen = {**choices[0], "gpu": device_id(node, index)}

    def shows(dashboard: Dashboard, title: str) -> list[float]:
        panel = next(panel for panel in dashboard.panels if panel.title == title)
        return [s.value for query, _ in panel.shown() for s in ask(store, panel, query, chosen)]

    fleet, gpu, _ = EVERY
    await_that(lambda: shows(fleet, "Unhealthy") == [0.0], "a count of none")
    node.hang_gpu(index)
    try:
        await_that(lambda: shows(fleet, "Unhealthy") == [1.0], "the fleet's count")
        await_that(lambda: 1.0 in shows(fleet, "GPUs that are or were unhealthy"), "the bar")
        await_that(lambda: shows(gpu, "State") == [3.0], "the GPU's state")
        await_that(lambda: 1.0 in shows(gpu, "Why its state is not ok"), "the cause")
    finally:
        node.hang_gpu(index, hung=False)
    await_that(lambda: shows(gpu, "State") == [0.0], "the GPU's recovery", 60.0)


@pytest.mark.parametrize("route", ROUTES)
def test_an_xid_is_seen_on_the_gpus_own_dashboard(kept: Mapping[str, Kept], route: str) -> None:
    """The panel that is empty while all is well shows the XID, by code and recommended action."""
    node, store, choices = kept[route]
    panel = next(panel for panel in EVERY[1].panels if panel.title.startswith("XIDs since"))
    chosen = {**choices[0], "gpu": device_id(node, 7)}
    node.xid(7, 79)

    def shown() -> set[tuple[str | None, ...]]:
        labels = [dict(s.labels) for query, _ in panel.shown() for s in ask(store, panel, query, chosen) if s.value]
        names = ("gpu_xid_code", "gpu_xid_mnemonic", "gpu_xid_action")
        return {tuple(found.get(name) for name in names) for found in labels}

    await_that(lambda: ("79", "GPU_HAS_FALLEN_OFF_THE_BUS", "restart_node") in shown(), "the XID")
