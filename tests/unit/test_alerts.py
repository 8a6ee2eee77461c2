# SPDX-License-Identifier: Apache-2.0
"""The alerts: what is generated is right by the catalogue, complete, and refused with a sentence where it cannot be."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import promql
from alerts import agent, burn, engine, hardware, health, routing, xids
from alerts.__main__ import main
from alerts.files import render, rule_groups
from alerts.objective import Objective, load
from alerts.rule import Alert, Recording, Severity, flow, lines
from alerts.site import DAY, HOUR, MINUTE, Site
from inferometer.config import Seconds
from inferometer.join.rules import RULES
from inferometer.xid_catalog import ALERTED, PAGED, TICKETED

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "alerts"
SLOS = ALERTS / "slo.yaml"

OBJECTIVE = Objective(name="chat", description="Chat is quick.", threshold=Seconds(1), objective="99%", engine="vllm")

HEADINGS = ["Meaning", "Impact", "First five minutes", "Diagnosis", "Mitigation", "False alarms"]


def objectives() -> tuple[Objective, ...]:
    """What is shipped, and one that selects, by another threshold and metric."""
    selecting = replace(
        OBJECTIVE, match={"gen_ai.request.model": r"chat-\d+b"}, by=("gen_ai.request.model",), threshold=Seconds(5)
    )
    whole = replace(OBJECTIVE, name="whole", metric="gen_ai.server.request.duration", by=())
    return (*load(str(SLOS)), selecting, whole)


def rules() -> list[Alert | Recording]:
    """Every rule."""
    return [rule for groups in rule_groups(objectives(), Site()).values() for group in groups for rule in group.rules]


def alerts() -> list[Alert]:
    return [rule for rule in rules() if isinstance(rule, Alert)]


def shipped() -> list[Alert]:
    """Every alert of the committed files."""
    files = rule_groups(load(str(SLOS)), Site()).values()
    return [rule for groups in files for group in groups for rule in group.rules if isinstance(rule, Alert)]


def known() -> dict[str, promql.Series]:
    """Everything that a rule can select: the catalogue's, and what the recording rules record."""
    series = dict(promql.KNOWN)
    for rule in rules():
        if isinstance(rule, Recording):
            shape = promql.check(lines(rule.expr), place=f"record {rule.name}", known=series)
            labels = series[rule.name].shape.labels if rule.name in series else frozenset()
            series[rule.name] = promql.recorded(rule.name, shape, {*rule.labels, *labels})
    return series


def labels_of(alert: Alert, series: Mapping[str, promql.Series]) -> frozenset[str]:
    """The labels that an alert can have."""
    shape = promql.check(alert.entry(Site())["expr"], place=f"alert {alert.name}", known=series)
    return shape.labels | set(alert.labels) | {"severity", "alertname"}


# --- what is generated --------------------------------------------------------------------------------------------


def test_the_committed_files_are_what_is_generated() -> None:
    """`python -m alerts --check` finds nothing to change."""
    assert main(["--check"]) == 0
    there = {path.relative_to(ALERTS).as_posix() for path in ALERTS.glob("rules/*")}
    assert there == {name for name in render(load(str(SLOS)), Site()) if name.startswith("rules/")}


def test_a_file_that_is_out_of_date_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` shows the difference, names the file and the command, and writes nothing."""
    assert main(["--out", str(tmp_path)]) == 0
    stale = tmp_path / "rules" / "gpu.rules.yaml"
    stale.write_text(stale.read_text().replace("GpuLost", "GpuGone"))

    assert main(["--out", str(tmp_path), "--check"]) == 1

    assert f"{stale} is out of date: run python -m alerts" in capsys.readouterr().err
    assert "GpuGone" in stale.read_text()


def test_every_expression_is_right_by_the_catalogue() -> None:
    """Names, labels, types and units of all rules, and of the queries within their texts, pass the shared checker."""
    series = known()
    for alert in alerts():
        labels = labels_of(alert, series)
        for text in (alert.summary, alert.description):
            for name in re.findall(r"\$labels\.(\w+)", text):
                assert name in labels, f"alert {alert.name}: its text names {name}, which it has not"
            asked = [
                promql.check(query.replace("%q", '"x"'), place=f"alert {alert.name}, in its text", known=series).labels
                for query in re.findall(r"printf `([^`]*)`", text)
            ]
            for name in re.findall(r"\.Labels\.(\w+)", text) + re.findall(r'\blabel "(\w+)"', text):
                assert any(name in labels for labels in asked), f"alert {alert.name}: nothing that it asks has {name}"


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        ("gpu_owner_utilisation_ratio < 0.05", "the nearest is gpu_owner_utilization_ratio"),
        ('hw_status{hw_stat="failed"} == 1', "the nearest is hw_state, of hw_status"),
        ("rate(inferometer_source_age_seconds[5m]) > 1", "rate() is for counters"),
    ],
)
def test_a_rule_that_is_wrong_by_the_catalogue_is_named_with_the_nearest_name(expr: str, sentence: str) -> None:
    """A misspelt metric, a misspelt label and a rate of a gauge each fail with the rule's name and what was meant."""
    alert = Alert("GpuWrong", Severity.PAGE, expr, 0, "", "")
    with pytest.raises(promql.Fault, match=re.escape(sentence)) as fault:
        labels_of(alert, known())
    assert "alert GpuWrong: " in str(fault.value)


def test_every_alert_tells_a_human_what_and_what_to_do() -> None:
    """Each has a severity, a one-line summary, a description and a runbook; no two rules look the same."""
    for alert in alerts():
        entry = alert.entry(Site())
        assert entry["labels"]["severity"] in {"page", "ticket"}
        assert 10 < len(alert.summary) < 200
        assert "\n" not in alert.summary
        assert len(flow(alert.description)) > 100
        assert entry["annotations"]["runbook_url"] == f"runbooks/{alert.name}.md"
    seen = [(alert.name, *sorted(alert.entry(Site())["labels"].items())) for alert in alerts()]
    assert len(seen) == len(set(seen))


def test_the_sites_values_reach_every_rule() -> None:
    """Runbooks, severities, jobs and webhooks are values; nothing of the default stays."""
    site = Site(
        runbooks="https://runbooks.example/gpu/",
        page_severity="critical",
        ticket_severity="warning",
        jobs="agents",
        page_url_file="/run/p",
        ticket_url_file="/run/t",
    )
    text = "".join(render(objectives(), site).values())
    assert "runbook_url: https://runbooks.example/gpu/GpuLost.md" in text
    assert 'up{job=~"agents"} == 0' in text
    assert not re.search(r"runbook_url: runbooks|severity: (page|ticket)|severity = \"(page|ticket)\"|/etc/", text)


def test_the_jobs_reach_promql_as_they_were_written() -> None:
    """A backslash or a quote of the regular expression is escaped."""
    assert r'up{job=~"a\\.b\"c"} == 0' in render(load(str(SLOS)), Site(jobs=r'a\.b"c'))["rules/agent.rules.yaml"]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--haste=0", "argument --haste: must be a number above 0, not 0"),
        ("--haste=-1", "argument --haste: must be a number above 0, not -1"),
        ("--haste=nan", "argument --haste: must be a number above 0, not nan"),
        ("--jobs=(", "argument --jobs: is no regular expression"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    option: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option is named, and nothing is written."""
    with pytest.raises(SystemExit, match="2"):
        main([option, f"--out={tmp_path}"])
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in its place is a sentence, not a traceback."""
    (tmp_path / "file").touch()
    assert main([f"--out={tmp_path / 'file'}"]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_haste_divides_every_duration() -> None:
    """With 60 an hour is a minute: in `for`, in ranges, in intervals and in Alertmanager's waits."""
    calm, hasty = (render(load(str(SLOS)), Site(haste=haste)) for haste in (1, 60))
    seconds = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY, "ms": 0.001}

    def spans(text: str) -> list[float]:
        found = re.findall(r"(?:\[|for: |interval: |_wait: |offset )(\d+)(ms|s|m|h|d)\b", text)
        return [int(number) * seconds[unit] for number, unit in found]

    assert any(spans(text) for text in calm.values())
    for name, text in calm.items():
        assert spans(hasty[name]) == pytest.approx([span / 60 for span in spans(text)])


# --- people -------------------------------------------------------------------------------------------------------


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """One file for each alert's name, with the headings that somebody looks for at night, in their order."""
    runbooks = {path.stem: path.read_text() for path in (ALERTS / "runbooks").iterdir()}
    assert set(runbooks) == {alert.name for alert in alerts()}
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n"), name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS, name
        for label, value in {
            pair for a in alerts() if a.name == name for pair in a.labels.items() if pair[0] == "cause"
        }:
            assert f'{label}="{value}"' in text, f"{name} does not say what {label} {value} means"


def queries(text: str) -> Iterator[str]:
    yield from re.findall(r"```promql\n(.*?)```", text, re.DOTALL)


def test_every_query_of_a_runbook_can_be_pasted() -> None:
    """Each is right by the catalogue; there is one for the first five minutes."""
    series = known()
    for path in (ALERTS / "runbooks").iterdir():
        text = path.read_text()
        for query in queries(text):
            promql.check(query, place=f"runbook {path.name}", known=series)
        assert list(queries(text.partition("## First five minutes")[2].partition("## Diagnosis")[0])), path.name


def test_every_link_between_the_pages_leads_somewhere() -> None:
    """No relative link of the README or of a runbook is dead."""
    for page in (ALERTS / "README.md", *(ALERTS / "runbooks").iterdir()):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_lists_every_alert_with_its_severities() -> None:
    """The table is complete, and says what wakes somebody."""
    told = re.findall(r"^\| \[(\w+)\]\(\S+\) \| ([a-z, ]+) \|", (ALERTS / "README.md").read_text(), re.MULTILINE)
    there: dict[str, set[str]] = {}
    for alert in alerts():
        there.setdefault(alert.name, set()).add(alert.severity.value)
    assert {name: set(words.split(", ")) for name, words in told} == there


def test_every_rule_is_tested_firing_and_every_alert_silent() -> None:
    """The promtool tests have, for each shipped rule, a case where it fires, and for each name one where nothing does."""
    files = {path.name.removesuffix(".test.yaml"): path for path in (ROOT / "tests" / "alerts").iterdir()}
    assert set(files) == {alert.name for alert in shipped()}
    for name, path in files.items():
        tests = yaml.safe_load(path.read_text())["tests"]
        fired = [
            entry["exp_labels"]
            for test in tests
            for case in test["alert_rule_test"]
            for entry in case["exp_alerts"]
            if test["name"].startswith("fires")
        ]
        for rule in (alert for alert in shipped() if alert.name == name):
            wanted = rule.entry(Site())["labels"].items()
            assert any(wanted <= labels.items() for labels in fired), f"{path.name}: nothing fires {dict(wanted)}"
        silent = [test for test in tests if test["name"].startswith("stays silent")]
        assert silent, path.name
        assert not [test["name"] for test in silent for case in test["alert_rule_test"] if case["exp_alerts"]]


# --- routing ------------------------------------------------------------------------------------------------------


def test_what_is_inhibited_has_the_labels_that_must_be_equal() -> None:
    """Every rule names alerts that exist, and never holds because a label is missing on both sides."""
    series = known()
    labels = [(alert, labels_of(alert, series)) for alert in alerts()]
    for rule in routing.configuration(Site())["inhibit_rules"]:
        causes, consequences = (
            [(alert, has) for alert, has in labels if selects(rule[side], alert)]
            for side in ("source_matchers", "target_matchers")
        )
        assert causes
        assert consequences
        for _, cause in causes:
            for _, consequence in consequences:
                assert set(rule["equal"]) <= cause | consequence, rule
        assert any(set(rule["equal"]) <= cause & then for _, cause in causes for _, then in consequences), rule


def selects(matchers: list[str], alert: Alert) -> bool:
    """Whether Alertmanager's matchers can select an alert."""
    fixed = {"alertname": alert.name, **alert.entry(Site())["labels"]}
    for matcher in matchers:
        label, operator, value = matcher.split(" ", 2)
        pattern = value.strip('"') if operator == "=~" else re.escape(value.strip('"'))
        if label in fixed and not re.fullmatch(pattern, fixed[label]):
            return False
    return True


def test_the_xids_that_rules_name_are_those_that_stand_at_zero() -> None:
    """A counter born at 1 never alerts: the rules' codes and the agent's standing counters are one list."""
    named = {
        alert.severity: {int(code) for code in re.findall(r"\d+", matcher)}
        for alert in alerts()
        for matcher in re.findall(r'gpu_xid_code=~"([0-9|]+)"', alert.expr)
    }
    assert named == {Severity.PAGE: set(PAGED), Severity.TICKET: set(TICKETED)}
    assert sorted(named[Severity.PAGE] | named[Severity.TICKET]) == list(ALERTED)


def test_there_are_thirteen_alerts_and_a_guard() -> None:
    """The names that people and Alertmanager rely on."""
    assert {alert.name for alert in alerts()} == {
        *(burn.BURN, burn.BLIND, hardware.LOST, xids.XID, xids.SXID, hardware.IDLE, engine.DOWN, engine.BLIND),
        *(health.UNHEALTHY, health.THROTTLED, engine.SATURATED, agent.DOWN, agent.STALE, agent.IDENTITY),
    }


def test_every_cause_of_bad_health_is_somebodys_and_explained() -> None:
    """Each cause is selected by a rule, or has another alert; the runbook says what each means and what ends it."""
    book = (ALERTS / "runbooks" / "GpuUnhealthy.md").read_text()
    for rule in RULES:
        assert f"`{rule.cause}`" in book, rule.cause
        selecting = [
            alert.name
            for alert in alerts()
            if re.search(rf'hw_state="{rule.state}"', alert.expr)
            and rule.cause not in "".join(re.findall(r'gpu_health_cause!~"([^"]*)"', alert.expr)).split("|")
        ]
        assert (selecting == [health.UNHEALTHY]) != (rule.cause in ELSEWHERE), rule.cause


ELSEWHERE = {"unresponsive", "xid", "hw_thermal", "hw_power_brake", "hw_slowdown"}
