# SPDX-License-Identifier: Apache-2.0
"""Dashboards as Grafana's classic JSON, by Grafana's own SDK: layout, identifiers and what its defaults leave undone."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.model import (
    Choice,
    Dashboard,
    Heatmap,
    Labels,
    Lines,
    Link,
    Panel,
    Query,
    Stat,
    State,
    Step,
    Table,
    Thing,
    Timeline,
    Variable,
)

TAG = "inferometer"
COLUMNS = 24  # of Grafana's grid
_SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_NEUTRAL = "blue"  # no judgement

AnyPanel = stat.Panel | timeseries.Panel | heatmap.Panel | statetimeline.Panel | table.Panel


def classic_json(dashboard: Dashboard) -> str:
    """Give the file: the same text for the same dashboard, on every machine."""
    made = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG])
        .timezone("browser")
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            build.DashboardLink("Inferometer")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in dashboard.variables:
        made.with_variable(_variable(variable))
    top = 0
    for row in dashboard.rows:
        place = model.GridPos(h=1, w=COLUMNS, x=0, y=top)
        made.with_row(build.Row(row.title).id(_number(row.title)).grid_pos(place))
        top += 1
        for panel, left, below in _placed(row.panels):
            place = model.GridPos(h=panel.height, w=panel.width, x=left, y=top + below)
            made.with_panel(_with_common(_drawn(panel), panel).id(_number(row.title, panel.title)).grid_pos(place))
        top += max(below + panel.height for panel, _, below in _placed(row.panels))
    document = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for variable in document["templating"]["list"]:
        for key in [key for key in variable if key.startswith("auto")]:
            del variable[key]  # of interval variables; the SDK writes them for all
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _number(*names: str) -> int:
    """Give a panel's identifier: it follows from its titles, so that a link to a panel outlives its neighbours."""
    return zlib.crc32("/".join(names).encode()) % 1_000_000_000 + 1


def _placed(panels: Iterable[Panel]) -> list[tuple[Panel, int, int]]:
    """Lay panels out left to right in lines: each with its left edge and how far it is below the row's heading."""
    placed, left, top, tallest = [], 0, 0, 0
    for panel in panels:
        if left + panel.width > COLUMNS:
            left, top, tallest = 0, top + tallest, 0
        placed.append((panel, left, top))
        left, tallest = left + panel.width, max(tallest, panel.height)
    return placed


# --- variables ----------------------------------------------------------------------------------------------------


def variable_query(variable: Labels | Thing) -> str:
    """Give what Grafana asks to fill a variable."""
    if isinstance(variable, Labels):
        return f"label_values({variable.selector}, {variable.label})"
    return f"query_result({variable.expr})"


def thing_regex(variable: Thing) -> str:
    """Give the regular expression that takes value and text out of `{label="value",...} 1 TIME`, as Grafana sees a series."""
    return f'/{variable.value}="(?<value>[^"]+)".*{variable.text}="(?<text>[^"]+)"/'


# Grafana's own numbers for its kinds of variable queries (PrometheusVariableQuery.qryType).
_LABEL_VALUES, _QUERY_RESULT = 1, 3


def _variable(variable: Variable) -> build.QueryVariable | build.CustomVariable:
    if isinstance(variable, Choice):
        return (
            build.CustomVariable(variable.name)
            .label(variable.title)
            .description(variable.description)
            .values(",".join(variable.words))
            .current(model.VariableOption(text=variable.words[0], value=variable.words[0], selected=True))
        )
    query = variable_query(variable)
    several = isinstance(variable, Labels)
    made = (
        build.QueryVariable(variable.name)
        .label(variable.title)
        .description(variable.description)
        .datasource(_SOURCE)
        .query(
            {
                "query": query,
                "qryType": _LABEL_VALUES if several else _QUERY_RESULT,
                "refId": "PrometheusVariableQueryEditor-VariableQuery",
            }
        )
        .definition(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(several)
        .include_all(several)
    )
    if isinstance(variable, Thing):
        return made.regex(thing_regex(variable))
    everything = model.VariableOption(text="All", value="$__all", selected=True)
    return made.all_value(".*").current(everything)  # also matches series without the label


# --- panels -------------------------------------------------------------------------------------------------------


def _with_common(made: AnyPanel, panel: Panel) -> AnyPanel:
    return made.title(panel.title).description(panel.description).datasource(_SOURCE)


@singledispatch
def _drawn(panel: Panel) -> AnyPanel:
    """Draw a panel of one kind; title and place come after."""
    raise TypeError(f"no drawing for {type(panel).__name__}")


def _target(query: Query, place: int = 0) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().ref_id(ascii_uppercase[place]).expr(query.expr).legend_format(query.legend or "__auto")
    )


@_drawn.register
def _(panel: Stat) -> AnyPanel:
    return (
        stat.Panel()
        .with_target(_target(Query(panel.expr, "")).instant())
        .unit(panel.unit.grafana)
        .no_value(panel.empty)
        .mappings([*_mappings(panel.states), _not_a_number(panel.empty)])
        .thresholds(_thresholds(panel.steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
    )


@_drawn.register
def _(panel: Lines) -> AnyPanel:
    made = (
        timeseries.Panel()
        .unit(panel.unit.grafana)
        .min(0)
        .legend(
            options.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
    )
    if panel.top is not None:
        made.max(panel.top)
    if panel.stacked:
        made.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for place, query in enumerate(panel.queries):
        made.with_target(_target(query, place).range())
    return made


@_drawn.register
def _(panel: Heatmap) -> AnyPanel:
    return (
        heatmap.Panel()
        .with_target(_target(Query(panel.expr, "{{le}}")).range().format(PromQueryFormat.HEATMAP))
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit.grafana))
        .color(heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .tooltip(heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True))
    )


@_drawn.register
def _(panel: Timeline) -> AnyPanel:
    made = (
        statetimeline.Panel()
        .mappings(_mappings(panel.states))
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .legend(options.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    )
    for place, query in enumerate(panel.queries):
        made.with_target(_target(query, place).range())
    return made


@_drawn.register
def _(panel: Table) -> AnyPanel:
    """Draw one instant query per column; `merge` puts rows of equal keys together, `organize` names and hides."""
    made = table.Panel().show_header(True).cell_height(common.TableCellHeight.SM).filterable(True)
    names = {key.label: key.heading for key in panel.keys}
    for place, value in enumerate(panel.values):
        made.with_target(_target(Query(value.expr, ""), place).instant().format(PromQueryFormat.TABLE))
        # A single query's values are called "Value", those of several by their query.
        names[f"Value #{ascii_uppercase[place]}" if len(panel.values) > 1 else "Value"] = value.heading
    hidden = {"Time": True, **{name: True for name, heading in names.items() if not heading}}
    organize = {
        "excludeByName": hidden,
        "indexByName": {name: place for place, name in enumerate(names)},
        "renameByName": {name: heading for name, heading in names.items() if heading},
    }
    made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    made.with_transformation(model.DataTransformerConfig(id_val="organize", options=organize))
    for value in panel.values:
        if value.heading:
            made.override_by_name(value.heading, _column(value.unit.grafana, value.steps, value.states))
    for key in panel.keys:
        if key.link is not None:
            link = [{"title": key.link.title, "url": link_url(key.link)}]
            made.override_by_name(key.heading, [model.DynamicConfigValue("links", link)])
    if panel.sort:
        made.sort_by([options.TableSortByFieldState().display_name(panel.sort).desc(panel.descending)])
    return made


def link_url(link: Link) -> str:
    """Give where a cell leads: another dashboard, for the same data source and time, with the cell's value chosen."""
    value = "${__value.raw}"
    return f"/d/{link.uid}?${{datasource:queryparam}}&var-{link.variable}={value}&${{__url_time_range}}"


def _column(unit: str, steps: Sequence[Step], states: Mapping[int, State]) -> list[model.DynamicConfigValue]:
    """Give a column its unit, and colours where they are a judgement."""
    found: list[tuple[str, Any]] = [("unit", unit)]
    if states:
        found.append(("mappings", _mappings(states)))
    if steps:
        found.append(("thresholds", _thresholds(steps).build()))
    if states or steps:
        found.append(("custom.cellOptions", {"type": "color-text"}))
    return [model.DynamicConfigValue(name, value) for name, value in found]


def _mappings(states: Mapping[int, State]) -> list[model.ValueMapping]:
    if not states:
        return []
    results = {
        str(number): model.ValueMappingResult(text=state.text, color=state.color, index=place)
        for place, (number, state) in enumerate(states.items())
    }
    return [model.ValueMap(options=results)]


def _not_a_number(text: str) -> model.ValueMapping:
    """Say `text` where a quotient or a quantile of nothing is not a number."""
    result = model.ValueMappingResult(text=text, color=_NEUTRAL, index=0)
    match = model.SpecialValueMatch.NULL_AND_NAN
    return model.SpecialValueMap(options=model.DashboardSpecialValueMapOptions(match=match, result=result))


def _thresholds(steps: Sequence[Step]) -> build.ThresholdsConfig:
    """Colour from each step on; below the first, green if there is any judgement."""
    first = model.Threshold(value=None, color="green" if steps else _NEUTRAL)
    rest = [model.Threshold(value=step.above, color=step.color) for step in steps]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps([first, *rest])
