"""Grafana's classic JSON of a dashboard, still in the words of `prometheus.Promql`: what `make generate` writes.

Only this needs grafana-foundation-sdk; a user's `agent-otel export dashboards` reads what was written.
"""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any, Final

from agent_otel.artifacts.dashboards.panels import (
    COUNT,
    PERCENT,
    WHOLE,
    Dashboard,
    Label,
    Panel,
    Query,
    Variable,
    places,
)
from agent_otel.errors import ConfigurationError

try:
    from grafana_foundation_sdk.builders import common as build_common
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.builders import prometheus, table, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common
    from grafana_foundation_sdk.models import dashboard as model
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat
except ImportError as error:
    raise ConfigurationError(
        [
            (
                f"the dashboards can't be made ({error}): use Python 3.11 or newer and"
                " pip install 'grafana-foundation-sdk==1769699379!11.6.0'"
            )
        ]
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG: Final = "agent-otel"


def template(dashboard: Dashboard) -> str:
    """The dashboard's JSON, with words for names.

    Args:
        dashboard: What it shows.
    """
    made = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([_TAG])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-24h", "now")
        .refresh("1m")
        .timezone("browser")
        .link(
            build.DashboardLink("Agents")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in dashboard.variables:
        made = made.with_variable(_variable(variable))
    if dashboard.began:
        made = made.annotation(
            build.AnnotationQuery()
            .name(dashboard.began.name)
            .datasource(_SOURCE)
            .enable(True)
            .icon_color("purple")
            .expr(dashboard.began.expr)
        )
    for number, (panel, at) in enumerate(zip(dashboard.panels, places(dashboard.panels), strict=True), 1):
        made = made.with_panel(_panel(number, panel, at))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variable(variable: Variable) -> Any:
    made = (
        build.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(_SOURCE)
        .query(f"label_values({variable.series}, {variable.label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )
    if not variable.several:
        return made
    everything = model.VariableOption(text=["All"], value=["$__all"], selected=True)
    return made.multi(True).include_all(True).all_value(".+").current(everything)


def _panel(number: int, panel: Panel, at: tuple[int, int]) -> Any:
    made = (
        (_table(panel) if panel.labels else _chart(panel))
        .id(number)
        .title(panel.title)
        .description(f"{panel.means}\n\n{panel.do}")
        .datasource(_SOURCE)
        .grid_pos(model.GridPos(h=panel.height, w=panel.width, x=at[0], y=at[1]))
    )
    if panel.empty:
        made = made.no_value(panel.empty)
    for ref, query in _refs(panel):
        made = made.with_target(_target(ref, query, as_table=bool(panel.labels)))
    return made


def _refs(panel: Panel) -> Iterator[tuple[str, Query]]:
    return zip(string.ascii_uppercase, panel.queries, strict=False)


def _target(ref: str, query: Query, *, as_table: bool) -> Any:
    made = prometheus.Dataquery().ref_id(ref).expr(query.expr)
    if as_table:
        return made.format(PromQueryFormat.TABLE).instant()
    return made.format(PromQueryFormat.TIME_SERIES).range().legend_format(query.name)


def _chart(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .unit(panel.unit)
        .line_width(1.5)
        .fill_opacity(30 if panel.stacked else 0)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            build_common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.lowest is not None:
        made = made.min(panel.lowest)
    if panel.stacked:
        made = made.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL))
    for ref, query in _refs(panel):
        if query.objective:
            made = made.override_by_query(ref, _DASHED)
    return made


def _table(panel: Panel) -> Any:
    """One row for each set of the labels, a column for each query that has a name."""
    made = table.Panel().unit(COUNT).min_width(50)
    hidden = {"Time": True}
    renamed = {label.name: label.title for label in panel.labels}
    order = [label.name for label in panel.labels]
    for ref, query in _refs(panel):
        value = f"Value #{ref}" if len(panel.queries) > 1 else "Value"
        order.append(value)
        if query.name:
            renamed[value] = query.name
            made = made.override_by_name(query.name, _column(query))
        else:
            hidden[value] = True
    for label in panel.labels:
        if properties := _label_column(label, panel.empty):
            made = made.override_by_name(label.title, properties)
    if len(panel.queries) > 1:
        made = made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    for field in reversed(panel.sort):  # the last sorting counts most
        by = {"field": field.removeprefix("-"), "desc": field.startswith("-")}
        made = made.with_transformation(model.DataTransformerConfig(id_val="sortBy", options={"sort": [by]}))
    indexes = {name: number for number, name in enumerate(order)}
    options = {"excludeByName": hidden, "indexByName": indexes, "renameByName": renamed}
    return made.with_transformation(model.DataTransformerConfig(id_val="organize", options=options))


def _column(query: Query) -> list[model.DynamicConfigValue]:
    found = [_property("unit", query.unit)]
    if query.unit in _DECIMALS:
        found.append(_property("decimals", _DECIMALS[query.unit]))
    if query.steps:
        steps = [{"color": color, "value": value} for value, color in query.steps]
        found += [_property("thresholds", {"mode": "absolute", "steps": steps}), _COLORED]
    return found


def _label_column(label: Label, empty: str) -> list[model.DynamicConfigValue]:
    found = []
    if label.width:
        found.append(_property("custom.width", label.width))
    if label.words:
        words = {value: {"index": number, "text": shown} for number, (value, shown) in enumerate(label.words)}
        found.append(_property("mappings", [{"type": "value", "options": words}]))
    if label.colors:
        patterns = [
            {
                "type": "regex",
                "options": {"pattern": f"/^({pattern})$/", "result": {"color": color, "index": number}},
            }
            for number, (pattern, color) in enumerate(label.colors)
        ]
        found += [_property("mappings", patterns), _COLORED]
    if empty:
        found.append(
            _property("noValue", "-")
        )  # or every empty cell says what the table says when it is empty
    return found


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


_COLORED: Final = _property("custom.cellOptions", {"type": "color-text"})
_DASHED: Final = [
    _property("custom.lineStyle", {"fill": "dash", "dash": [6, 6]}),
    _property("custom.lineWidth", 1),
    _property("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
    _property("color", {"mode": "fixed", "fixedColor": "#8e8e8e"}),
]
_DECIMALS: Final = {WHOLE: 0, PERCENT: 1}
