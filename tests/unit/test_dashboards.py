# SPDX-License-Identifier: Apache-2.0
"""The dashboards without a Grafana: every query against the catalogue, every file as the code makes it, every link."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import main
from dashboards.classic import COLUMNS, TAG, classic_json, variable_query
from dashboards.every import EVERY
from dashboards.fleet import DASHBOARD as FLEET
from dashboards.model import Choice, Dashboard, Heatmap, Key, Labels, Panel, Query, Row, Stat, Table
from dashboards.model import Unit as Shown
from inferometer import catalog
from promql import KNOWN, Fault, Shape, check, check_legend, substitute
from units import Unit

GRAFANAS_OWN = {"__rate_interval": "5m"}
LARGEST = 900_000  # bytes; a ConfigMap holds 1 MiB


def values_of(dashboard: Dashboard) -> dict[str, str]:
    """Give every variable a value that fits wherever it may stand."""
    words = {v.name: v.words[0] for v in dashboard.variables if isinstance(v, Choice)}
    return {**GRAFANAS_OWN, **{v.name: ".*" for v in dashboard.variables}, **words}


def faults(dashboard: Dashboard) -> Iterator[str]:
    """Check every query of a dashboard: names, labels, types, legend, unit and, for a table, its columns."""
    for panel in dashboard.panels:
        place = f"dashboard {dashboard.uid}, panel {panel.title!r}"
        for query, unit in panel.shown():
            try:
                expression = substitute(query.expr, values_of(dashboard), place=place)
                shape = check(expression, place=place)
                check_legend(query.legend, shape, place=place)
                _check_unit(panel, query, shape, unit, place)
            except Fault as fault:
                yield str(fault)


def _check_unit(panel: Panel, query: Query, shape: Shape, unit: Shown, place: str) -> None:
    found = shape.observed if isinstance(panel, Heatmap) else shape.unit
    fits = found is None or (found == Unit.parse(unit.ucum) if unit.ucum else found.is_count)
    if not fits:
        raise Fault(f"{place}: shows {unit.grafana}, and the query is in {found}: {query.expr}")
    if isinstance(panel, Table) and shape.labels != {key.label for key in panel.keys}:
        apart = ", ".join(sorted(shape.labels ^ {key.label for key in panel.keys}))
        raise Fault(f"{place}: columns and labels differ in {apart}: {query.expr}")


def panels_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = document["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def made(dashboard: Dashboard) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(classic_json(dashboard))
    return document


each = pytest.mark.parametrize("dashboard", EVERY, ids=lambda dashboard: dashboard.uid)


@each
def test_every_query_is_right_by_the_catalogue(dashboard: Dashboard) -> None:
    """Names, labels, values, types and units of every query are the catalogue's."""
    assert list(faults(dashboard)) == []


@each
def test_every_variable_asks_for_what_exists(dashboard: Dashboard) -> None:
    """A variable's series and labels are the catalogue's, and it uses only variables that stand before it."""
    before: dict[str, str] = {}
    for variable in dashboard.variables:
        place = f"dashboard {dashboard.uid}, variable {variable.name}"
        if isinstance(variable, Labels):
            shape = check(substitute(variable.selector, before, place=place), place=place)
            assert variable.label in shape.labels, place
        elif not isinstance(variable, Choice):
            shape = check(substitute(variable.expr, before, place=place), place=place)
            assert {variable.value, variable.text} <= shape.labels, place
            assert variable.value < variable.text, place  # Prometheus gives labels in order; the regex relies on it
        before[variable.name] = ".*"


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        (
            'count(gpu_info{hw_modle="H100"})',
            "dashboard inferometer-fleet, panel 'GPUs': label hw_modle does not exist here; the nearest is hw_model",
        ),
        (
            "count(gpu_inf)",
            "dashboard inferometer-fleet, panel 'GPUs': metric gpu_inf does not exist here; the nearest is gpu_info",
        ),
        (
            'count(gpu_info{hw_id=~"$nodes"})',
            "dashboard inferometer-fleet, panel 'GPUs': variable $nodes does not exist here; the nearest is $node",
        ),
        ("sum(hw_power_watts)", "panel 'GPUs': shows short, and the query is in J/s: sum(hw_power_watts)"),
        ("sum(rate(hw_power_watts[5m]))", "rate() is for counters, and hw_power_watts[5m] is a gauge"),
    ],
)
def test_a_wrong_query_is_a_sentence_that_names_the_panel(expr: str, sentence: str) -> None:
    """What is misspelt is told with its dashboard, its panel and the nearest valid name."""
    first, *others = FLEET.rows
    stat = first.panels[0]
    assert isinstance(stat, Stat)
    wrong = replace(FLEET, rows=(Row(first.title, (replace(stat, expr=expr), *first.panels[1:])), *others))
    (told,) = faults(wrong)
    assert sentence in told


def test_a_table_whose_columns_are_not_its_labels_is_told() -> None:
    """Rows are put together by their labels: a column that only some queries have would tear them apart."""
    table = next(panel for panel in FLEET.panels if isinstance(panel, Table))
    wrong = replace(FLEET, rows=(Row("One", (replace(table, keys=(*table.keys, Key("hw_model", "Model"))),)),))
    told = list(faults(wrong))
    assert len(told) == len(table.values)
    assert "columns and labels differ in hw_model" in told[0]


def test_the_files_are_what_the_code_makes() -> None:
    """`python -m dashboards --check` finds nothing to change."""
    assert main(["--check"]) == 0


def test_a_file_that_was_edited_left_over_or_lost_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names each file that is not what the code makes; writing puts all of it right."""
    assert main(["--out", str(tmp_path)]) == 0
    edited, lost, _ = sorted(tmp_path.iterdir())
    edited.write_text(edited.read_text(encoding="utf-8").replace('"Held"', '"Taken"'), encoding="utf-8")
    lost.unlink()
    (tmp_path / "inferometer-old.json").write_text("{}", encoding="utf-8")

    assert main(["--out", str(tmp_path), "--check"]) == 1

    said = capsys.readouterr().err
    assert [
        name for name in (edited.name, lost.name, "inferometer-old.json") if f"{name} is out of date" not in said
    ] == []
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0


@each
def test_a_dashboard_is_the_same_text_every_time(dashboard: Dashboard) -> None:
    """And small enough for a ConfigMap."""
    text = classic_json(dashboard)
    assert text == classic_json(dashboard)
    assert len(text.encode()) < LARGEST


@each
def test_panels_neither_overlap_nor_share_a_number(dashboard: Dashboard) -> None:
    """Each panel and row has a place of its own on the grid, and a number that follows from its titles."""
    document = made(dashboard)
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: Counter[tuple[int, int]] = Counter()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for x in range(place["x"], place["x"] + place["w"]):
            taken.update((x, y) for y in range(place["y"], place["y"] + place["h"]))
    assert [cell for cell, times in taken.items() if times > 1] == []


def test_a_panel_keeps_its_number_when_others_come_and_go() -> None:
    """A link to a panel outlives a new neighbour."""
    first, *others = FLEET.rows
    fewer = replace(FLEET, rows=(Row(first.title, first.panels[2:]), *others))
    before = {panel["title"]: panel["id"] for panel in panels_of(made(FLEET))}
    after = {panel["title"]: panel["id"] for panel in panels_of(made(fewer))}
    assert after.items() <= before.items()


@each
def test_every_panel_says_what_it_shows(dashboard: Dashboard) -> None:
    """A title of its own, a description that names its metrics, and every word in it that looks like a metric is one."""
    titles = Counter(panel.title for panel in dashboard.panels)
    assert [title for title, times in titles.items() if times > 1] == []
    known = {metric.prometheus for metric in catalog.METRICS} | set(KNOWN)
    for panel in dashboard.panels:
        words = re.findall(r"`([^`]+)`", panel.description)
        metrics = [word for word in words if re.fullmatch(r"[a-z]\w+_\w+", word)]
        assert metrics, panel.title
        assert [word for word in metrics if word not in known] == [], panel.title
        assert panel.description.endswith("."), panel.title


@each
def test_nothing_names_a_data_source_or_a_window_of_its_own(dashboard: Dashboard) -> None:
    """Data source, range and resolution are the viewer's: a variable and $__rate_interval, everywhere."""
    document = made(dashboard)
    sources = [panel["datasource"] for panel in panels_of(document)]
    sources += [variable["datasource"] for variable in document["templating"]["list"] if variable["type"] == "query"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    ranges = {
        found for panel in dashboard.panels for q, _ in panel.shown() for found in re.findall(r"\[(.*?)\]", q.expr)
    }
    assert ranges <= {"$__rate_interval", "$idle"}
    assert "job=" not in json.dumps(document)
    assert "instance=" not in json.dumps(document)


@each
def test_every_variable_is_used(dashboard: Dashboard) -> None:
    """By a query, or by a variable that a query uses."""
    queries = [query.expr for panel in dashboard.panels for query, _ in panel.shown()]
    queries += [variable_query(v) for v in dashboard.variables if not isinstance(v, Choice)]
    for variable in dashboard.variables:
        assert any(re.search(rf"\${variable.name}\b", query) for query in queries), variable.name


@each
def test_every_link_leads_to_a_dashboard_of_ours(dashboard: Dashboard) -> None:
    """Cells lead to a dashboard that exists and to a variable that it has; the menu finds the others by their tag."""
    variables = {d.uid: {v.name for v in d.variables} for d in EVERY}
    document = made(dashboard)
    links = re.findall(r"/d/([\w-]+)\?\$\{datasource:queryparam\}&var-(\w+)=\$\{__value\.raw\}", json.dumps(document))
    assert len(links) == json.dumps(document).count("/d/")
    for uid, variable in links:
        assert variable in variables[uid]
    assert document["tags"] == [TAG]
    assert document["links"][0]["tags"] == [TAG]


def test_the_dashboards_lead_to_each_other() -> None:
    """From the fleet to a GPU and to inference, from a GPU to inference, from inference to a GPU."""
    found = {d.uid: set(re.findall(r"/d/([\w-]+)\?", classic_json(d))) for d in EVERY}
    assert found["inferometer-fleet"] == {"inferometer-gpu", "inferometer-inference"}
    assert "inferometer-inference" in found["inferometer-gpu"]
    assert "inferometer-gpu" in found["inferometer-inference"]


@each
def test_every_number_has_a_unit_in_grafana(dashboard: Dashboard) -> None:
    """Panels carry it, tables on each column of values."""
    for panel in panels_of(made(dashboard)):
        if panel["type"] == "table":
            ours = next(p for p in dashboard.panels if p.title == panel["title"])
            assert isinstance(ours, Table)
            with_unit = {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                if any(entry["id"] == "unit" for entry in override["properties"])
            }
            assert {value.heading for value in ours.values if value.heading} == with_unit
        elif panel["type"] == "heatmap":
            assert panel["options"]["yAxis"]["unit"]
        elif panel["type"] != "state-timeline":
            assert panel["fieldConfig"]["defaults"]["unit"]


@each
def test_queries_are_told_apart_and_none_has_a_row_without_one(dashboard: Dashboard) -> None:
    """Every panel has queries, each with a letter of its own."""
    for panel in panels_of(made(dashboard)):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len(set(letters)) == len(letters)


def test_admin_access_is_counted_as_holding_nowhere() -> None:
    """Only the table that shows the role, and the one of engines' pods, ask for holdings of every role."""
    asked = {
        panel.title
        for dashboard in EVERY
        for panel in dashboard.panels
        for query, _ in panel.shown()
        for selector in re.findall(r"gpu_owner_info(?:\{[^}]*\})?", query.expr)
        if 'role!="admin"' not in selector
    }
    assert asked == {"Holders now", "The GPUs behind the engines"}
