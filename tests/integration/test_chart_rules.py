# SPDX-License-Identifier: Apache-2.0
"""The chart's PrometheusRule: what a site may move, as Helm renders it and promtool evaluates it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.__main__ import main
from charts import ROOT, of_kind
from integration.programs import Needs, call
from integration.rendering import rendered

ALERTS = ROOT / "alerts"
SHIPPED = ("slo", "gpu", "engine", "agent")  # the files of alerts/rules, in the order of the chart's groups


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


def groups(folder: Path, alerts: str = "", *, more: str = "", given: tuple[str | Path, ...] = ()) -> list[Any]:
    """Give the rule groups with some values of alerts."""
    values = f"prometheusRule: {{enabled: true, alerts: {{{alerts}}}{more}}}"
    (rule,) = of_kind(rendered(folder, values, *given), "PrometheusRule")
    found: list[Any] = rule["spec"]["groups"]
    return found


def rules(found: list[Any]) -> Iterator[Any]:
    for group in found:
        yield from group["rules"]


def named(found: list[Any]) -> set[str]:
    return {rule["alert"] for rule in rules(found) if "alert" in rule}


def test_the_defaults_are_the_rules_that_are_shipped(tmp_path: Path) -> None:
    """Nothing is lost or changed on the way: what alerts/rules holds, and the objective that is the example."""
    files = [yaml.safe_load((ALERTS / "rules" / f"{name}.rules.yaml").read_text(encoding="utf-8")) for name in SHIPPED]
    assert groups(tmp_path) == [group for file in files for group in file["groups"]]


def test_promtool_finds_nothing_to_say_of_them(needs: Needs, tmp_path: Path) -> None:
    """With other words, numbers and rules in them too."""
    needs("promtool")
    alerts = "GpuThrottled: {threshold: 0.25, for: 1h30m}, GpuXid: {page: {for: 5m}}, GpuLost: null"
    more = (
        ", pageSeverity: critical, ticketSeverity: warning, runbooks: 'https://runbooks.example/gpus/', jobs: 'gpu-.+',"
        " customRules: [{name: mine, rules: [{alert: Mine, expr: vector(1), for: 5m, labels: {severity: ticket}}]}]"
    )
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups(tmp_path, alerts, more=more)}), encoding="utf-8")
    answer = call("promtool", "check", "rules", "--lint=all", "--lint-fatal", file)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_words_that_differ_from_site_to_site(tmp_path: Path) -> None:
    """Severities, runbooks and the scrape jobs; without jobs of their own these are what the monitors make."""
    more = ", pageSeverity: critical, ticketSeverity: warning, runbooks: 'https://runbooks.example/gpus/'"
    found = [rule for rule in rules(groups(tmp_path, more=more)) if "alert" in rule]
    assert {rule["labels"]["severity"] for rule in found} == {"critical", "warning"}
    assert {rule["annotations"]["runbook_url"] for rule in found} == {
        f"https://runbooks.example/gpus/{rule['alert']}.md" for rule in found
    }
    scrapes = 'up{job=~"(.*/)?gauge"} == 0'
    named_gauge = ("--set", "nameOverride=gauge")
    assert scrapes in [rule["expr"] for rule in rules(groups(tmp_path, given=named_gauge))]
    assert 'up{job=~"gpu-.+"} == 0' in [rule["expr"] for rule in rules(groups(tmp_path, more=", jobs: gpu-.+"))]


def test_a_switch_leaves_an_alert_out_with_all_its_rules(tmp_path: Path) -> None:
    """By false or by null; recording rules stay, and so do the other alerts."""
    everything = named(groups(tmp_path))
    found = groups(tmp_path, "GpuLost: {enabled: false}, InferometerAgentDown: null")
    assert everything - named(found) == {"GpuLost", "InferometerAgentDown"}
    assert "instance:gpu_devices:sum" in [rule.get("record") for rule in rules(found)]


def test_a_group_without_rules_is_left_out(tmp_path: Path) -> None:
    """The Prometheus operator would keep it, and everybody would ask what it is for."""
    off = "InferenceEngineDown: null, InferenceEngineBlind: null, InferenceKvCacheSaturated: null"
    assert "engine" not in [group["name"] for group in groups(tmp_path, off)]


IDLE = """
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'gpu_owner_utilization_ratio{instance="a",hw_id="A"}', values: 0.15x40}
    alert_rule_test:
      - {eval_time: 14m, alertname: GpuHeldButIdle, exp_alerts: []}
      - eval_time: 15m
        alertname: GpuHeldButIdle
        exp_alerts: %s
"""


@pytest.mark.parametrize(
    ("alerts", "fires"),
    [
        ("GpuHeldButIdle: {threshold: 0.2, for: 15m}", True),
        ("GpuHeldButIdle: {for: 15m}", False),
        ("GpuHeldButIdle: {threshold: 0.2}", False),
        ("GpuHeldButIdle: {threshold: 0.2, for: 15m, enabled: false}", False),
    ],
)
def test_a_number_that_is_moved_behaves_so(alerts: str, fires: bool, needs: Needs, tmp_path: Path) -> None:
    """Prometheus's own evaluation fires at the site's threshold, after the site's duration, and not at others."""
    needs("promtool")
    found = groups(tmp_path, alerts)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": found}), encoding="utf-8")
    told: list[Any] = []
    if fires:
        told = [{"exp_labels": {"severity": "ticket", "instance": "a", "hw_id": "A"}}]
        (rule,) = (rule for rule in rules(found) if rule.get("alert") == "GpuHeldButIdle")
        annotations = {**rule["annotations"], "summary": "/ holds an idle GPU"}
        annotations["description"] = (
            "/ has held GPU  (A) of a alone for long, and hardly used it: in the last ten minutes its utilisation was 15% at"
            " most.\nAsk its owner; a notebook can be stopped, an engine without requests scaled down."
        )
        told[0]["exp_annotations"] = annotations
    test = tmp_path / "test.yaml"
    test.write_text(IDLE % json.dumps(told), encoding="utf-8")
    answer = call("promtool", "test", "rules", test)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_burn_rate_that_is_moved_is_in_expression_and_words(tmp_path: Path) -> None:
    """Both limits of the pair of windows, and what is told to whoever is woken."""
    found = groups(tmp_path, "InferenceLatencyBudgetBurn: {within1h: {threshold: 10, for: 5m}}")
    (rule,) = (rule for rule in rules(found) if rule.get("labels", {}).get("long") == "1h")
    assert rule["expr"].count("> (10 * 0.01)") == 2
    assert "more than 10 times as much" in rule["annotations"]["description"]
    assert rule["for"] == "5m"


def test_objectives_of_ones_own_stand_in_the_place_of_the_example(tmp_path: Path) -> None:
    """`python -m alerts` checks them and writes the file; the chart takes it as it is, but for the switches."""
    own = (ALERTS / "slo.yaml").read_text(encoding="utf-8").replace("name: first-token", "name: chat")
    (tmp_path / "slo.yaml").write_text(own, encoding="utf-8")
    assert main(["--slo", str(tmp_path / "slo.yaml"), "--out", str(tmp_path)]) == 0
    file = tmp_path / "rules" / "slo.rules.yaml"
    given = ("--set-file", f"prometheusRule.objectives={file}")
    found = groups(tmp_path, given=given)
    written = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    assert found[: len(written)] == written
    assert "slo/first-token" not in [group["name"] for group in found]
    assert "GpuLost" in named(found)
    off = groups(tmp_path, "InferenceLatencyBudgetBurn: {enabled: false}", given=given)
    assert "InferenceLatencyBudgetBurn" not in named(off)
    assert "InferenceLatencyUnmeasurable" in named(off)
