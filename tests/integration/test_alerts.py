# SPDX-License-Identifier: Apache-2.0
"""The alerts by the programs of their users: promtool and amtool, and from an incident to the webhook and back."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from alerts import agent, burn, engine, hardware, xids
from alerts.files import render, rule_groups, rules_file
from alerts.objective import load
from alerts.rule import Alert, Group, Recording
from alerts.site import Site
from inferometer import catalog
from inferometer.simulation.node import SimulatedNode
from integration.agents import JOB, agent_on
from integration.backends import Alertmanager, Prometheus
from integration.programs import Needs, ProgramError, call
from integration.webhook import Webhook
from whole.agents import await_that, eventually
from whole.pages import get

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "alerts"
RULES = sorted((ALERTS / "rules").iterdir())
TESTS = sorted((ROOT / "tests" / "alerts").iterdir())
OBJECTIVES = load(str(ALERTS / "slo.yaml"))


# --- promtool and amtool ------------------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_of_the_rules(needs: Needs) -> None:
    """Every rule parses, and no lint complains."""
    needs("promtool")
    answer = call("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name.removesuffix(".test.yaml"))
def test_each_alert_fires_when_it_must_and_only_then(file: Path, needs: Needs) -> None:
    """The alert's promtool tests pass: it fires with these words, and stays silent where it came close."""
    needs("promtool")
    answer = call("promtool", "test", "rules", file)
    assert answer.returncode == 0, answer.stdout + answer.stderr


Change = Callable[[Alert], Alert | None]  # None leaves the rule out

CHANGES: Mapping[str, Change] = {
    "left out": lambda _: None,
    "twice as late": lambda rule: replace(rule, wait=2 * rule.wait),
    "at once": lambda rule: replace(rule, wait=0),
}


def identity(rule: Alert) -> str:
    """Tell rules of one name apart."""
    return "/".join((rule.name, rule.severity.value, *rule.labels.values()))


def changed(group: Group, wanted: str, change: Change) -> Group:
    """Change one rule of a group, if it is there."""
    rules: list[Alert | Recording] = []
    for rule in group.rules:
        is_it = isinstance(rule, Alert) and identity(rule) == wanted
        put = change(rule) if is_it and isinstance(rule, Alert) else rule
        rules += [] if put is None else [put]
    return replace(group, rules=tuple(rules))


MUTANTS = [
    (rule, name)
    for groups in rule_groups(OBJECTIVES, Site()).values()
    for group in groups
    for rule in group.rules
    if isinstance(rule, Alert)
    for name in CHANGES
    if rule.wait or name == "left out"
]


def passes(alert: str, files: Mapping[str, str], folder: Path) -> bool:
    """Run an alert's tests against other rules."""
    for path, text in files.items():
        written(folder / "alerts" / path, text)
    test = written(folder / f"tests/alerts/{alert}.yaml", (ROOT / f"tests/alerts/{alert}.test.yaml").read_text("utf-8"))
    return call("promtool", "test", "rules", test).returncode == 0


@pytest.mark.parametrize(("rule", "name"), MUTANTS, ids=[f"{identity(rule)}, {name}" for rule, name in MUTANTS])
def test_a_rule_that_is_changed_fails_its_tests(rule: Alert, name: str, needs: Needs, tmp_path: Path) -> None:
    """The tests hold each rule: without it, or with another wait, one of them fails."""
    needs("promtool")
    files = {
        path: rules_file([changed(group, identity(rule), CHANGES[name]) for group in groups], Site())
        for path, groups in rule_groups(OBJECTIVES, Site()).items()
    }
    assert not passes(rule.name, files, tmp_path)


@pytest.mark.parametrize(
    ("alert", "module", "name", "value"),
    [
        (hardware.IDLE, hardware, "IDLE_BELOW", 0.03),
        (hardware.IDLE, hardware, "IDLE_BELOW", 0.06),
        (xids.XID, xids, "PAGED", (119,)),
        (xids.XID, xids, "TICKETED", (31, 142)),
        (engine.SATURATED, engine, "FULL_ABOVE", 0.93),
        (engine.SATURATED, engine, "FULL_ABOVE", 0.89),
        (agent.STALE, agent, "STALE_AFTER", 361.0),
        (agent.STALE, agent, "STALE_AFTER", 240.0),
        (burn.BURN, burn, "PACES", (burn.PACES[0]._replace(share=Decimal("0.022")), *burn.PACES[1:])),
        (burn.BURN, burn, "PACES", (burn.PACES[0]._replace(share=Decimal("0.018")), *burn.PACES[1:])),
    ],
)
def test_a_threshold_that_is_moved_fails_its_tests(
    alert: str,
    module: ModuleType,
    name: str,
    value: object,
    needs: Needs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tests come so close on either side that a tenth more or less is noticed."""
    needs("promtool")
    assert passes(alert, render(OBJECTIVES, Site()), tmp_path)
    monkeypatch.setattr(module, name, value)
    assert not passes(alert, render(OBJECTIVES, Site()), tmp_path)


def test_a_budget_with_too_few_requests_is_held_to_its_number(needs: Needs, tmp_path: Path) -> None:
    """45 slow requests in the hour fire nothing where 50 are asked for, and would where 40 are."""
    needs("promtool")
    assert not passes(burn.BURN, render([replace(o, min_requests=40) for o in OBJECTIVES], Site()), tmp_path)


@pytest.mark.parametrize(("severity", "receiver"), [("page", "page"), ("ticket", "ticket"), ("none", "ticket")])
def test_amtool_routes_by_severity(severity: str, receiver: str, needs: Needs) -> None:
    """The configuration is sound; a page goes to the pages' webhook, everything else to the tickets'."""
    needs("amtool")
    configuration = ALERTS / "alertmanager.yaml"
    checked = call("amtool", "check-config", configuration)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    routed = call("amtool", "config", "routes", "test", f"--config.file={configuration}", f"severity={severity}")
    assert routed.stdout.split() == [receiver]


def test_the_threshold_is_a_bound_of_the_engines_that_run(node: SimulatedNode) -> None:
    """The shipped objective is measurable on a page of the simulated node, whose engines have vLLM's own bounds."""
    with agent_on(node) as running:

        def is_measurable() -> None:
            page = get(f"{running.url}/metrics", accept="text/plain;version=0.0.4")
            assert f"{catalog.TIME_TO_FIRST_TOKEN.prometheus}_bucket" in page
            assert load(str(ALERTS / "slo.yaml"), page=page) == OBJECTIVES

        eventually(is_measurable)


def test_every_query_of_a_runbook_runs(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """Somebody who is woken can paste each as it stands: it meets shared GPUs, MIG instances and several containers."""
    needs("prometheus")
    queries = {
        f"{path.stem}: {query}": query
        for path in sorted((ALERTS / "runbooks").iterdir())
        for query in re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    }
    failed = {}
    with agent_on(node) as running:
        scrape = {"job_name": JOB, "static_configs": [{"targets": [running.url.removeprefix("http://")]}]}
        with Prometheus(tmp_path / "prometheus", scrape=[scrape]) as prometheus:
            await_that(lambda: prometheus.query("gpu_owner_info"), "a scrape")
            for name, query in queries.items():
                try:
                    prometheus.query(query)
                except ProgramError as error:
                    failed[name] = str(error)
    assert queries
    assert failed == {}


# --- from an incident to the webhook ------------------------------------------------------------------------------

# Minutes become half seconds.
HASTE = 120

CHAT = {"inferometer_source_instance": "/chat-"}
SIXTH = {"gpu_index": "6"}
KUBELET = {"inferometer_source_name": "podresources"}


def says_why(alerts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an alert tells that the engine's port is closed."""
    return any("refused" in a["annotations"]["description"] for a in alerts if a["labels"]["alertname"] == engine.DOWN)


def test_incidents_reach_the_webhooks_and_resolve(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """An engine that stops and a GPU that hangs page with their names, a kubelet that stops is a ticket; all resolve.

    The rules and routes are the shipped ones, in haste.
    """
    needs("prometheus", "alertmanager")
    with Webhook() as pages, Webhook() as tickets, agent_on(node) as running:
        site = Site(
            page_url_file=str(written(tmp_path / "page", pages.url)),
            ticket_url_file=str(written(tmp_path / "ticket", tickets.url)),
            haste=HASTE,
        )
        files = {path: written(tmp_path / path, text) for path, text in render(OBJECTIVES, site).items()}
        routes = yaml.safe_load(files.pop("alertmanager.yaml").read_text(encoding="utf-8"))
        scrape = {"job_name": JOB, "static_configs": [{"targets": [running.url.removeprefix("http://")]}]}
        with (
            Alertmanager(tmp_path / "alertmanager", routes) as alertmanager,
            Prometheus(
                tmp_path / "prometheus",
                scrape=[scrape],
                rules=list(files.values()),
                alertmanagers=[alertmanager.address],
            ) as prometheus,
        ):
            # Long enough for what is there to be known: "has worked before" is part of the rules.
            await_that(lambda: prometheus.query("count_over_time(inferometer_info[1m]) >= 4"), "some scrapes")

            node.engine_down("chat")
            node.hang_gpu(6)
            await_that(lambda: pages.status(engine.DOWN, **CHAT) == "firing", "the engine's page", 60)
            await_that(lambda: pages.status(hardware.LOST, **SIXTH) == "firing", "the GPU's page", 60)
            node.kubelet_down()
            await_that(lambda: tickets.status(agent.STALE, **KUBELET) == "firing", "the kubelet's ticket", 60)
            await_that(lambda: says_why(prometheus.alerts()), "why the engine does not answer")

            node.engine_up("chat")
            node.hang_gpu(6, hung=False)
            node.replace_kubelet_socket()
            await_that(lambda: pages.status(engine.DOWN, **CHAT) == "resolved", "the engine's end", 60)
            await_that(lambda: pages.status(hardware.LOST, **SIXTH) == "resolved", "the GPU's end", 60)
            await_that(lambda: tickets.status(agent.STALE, **KUBELET) == "resolved", "the kubelet's end", 60)

    (stopped, *_) = pages.alerts(engine.DOWN, "firing")
    assert stopped["annotations"]["runbook_url"] == "runbooks/InferenceEngineDown.md"
    # After a gap a rule can fire before two scrapes have shown a count: the last word has it.
    assert says_why(pages.alerts(engine.DOWN, "resolved"))
    assert any(
        "Held by: platform/code-" in a["annotations"]["description"] for a in pages.alerts(hardware.LOST, "firing")
    )
    paged = {alert["labels"]["alertname"] for notification in pages.received for alert in notification["alerts"]}
    assert paged == {engine.DOWN, hardware.LOST}


def written(path: Path, text: str) -> Path:
    """Write a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
