"""Every panel, rule and runbook figure shows something on a day and a half of history in a real Prometheus."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from agent_otel.artifacts.elsewhere import FIGURES, dotted
from agent_otel.artifacts.health import health_table
from agent_otel.artifacts.prometheus import Options
from agent_otel.artifacts.rules import recording_rules
from tests.grafana import DASHBOARDS, HOURS, IDS, PANELS, chosen
from tests.real.history import AGENT, NOW, Past, history
from tests.real.servers import Prometheus

AGENTS = {"support-bot", "research-planner", "triage-bot"}
RUNBOOK = (Path(__file__).resolve().parent.parent.parent / "docs/runbook.md").read_text(encoding="utf-8")
RECORDED = sorted({rule.record for rule in recording_rules(Options())})
LIMITS = {"percentunit": 1, "s": 7200, "currencyUSD": 1000, "short": 1e8, "locale": 1e5}


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    with history(tmp_path_factory.mktemp("history")) as prometheus:
        yield prometheus


def values(past, query):
    """Everything that a query gives within the last day."""
    found = past.ask("query_range", query=query, start=NOW - HOURS * 3600, end=NOW, step=600)["result"]
    return [float(value) for series in found for _, value in series["values"]]


@pytest.mark.parametrize(("panel", "target"), [pair[1:] for pair in PANELS], ids=IDS)
def test_a_panel_shows_figures_within_reason(panel, target, past):
    query = chosen(target["expr"])
    found = list(past.query(query, NOW).values()) if target["format"] == "table" else values(past, query)
    finite = [value for value in found if math.isfinite(value)]
    limit = LIMITS[unit(panel, target)]

    assert finite
    assert [value for value in finite if not -limit <= value <= limit] == []


def unit(panel, target):
    """Of the target's column in a table, of the chart otherwise."""
    fields = panel["fieldConfig"]
    if panel["type"] == "table" and len(panel["targets"]) > 1:
        organize = panel["transformations"][-1]["options"]
        title = organize["renameByName"][f"Value #{target['refId']}"]
        (found,) = (each["properties"] for each in fields["overrides"] if each["matcher"]["options"] == title)
        return next(each["value"] for each in found if each["id"] == "unit")
    return fields["defaults"]["unit"]


@pytest.mark.parametrize("record", RECORDED)
def test_a_recorded_series_has_figures(record, past):
    assert values(past, record)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_variable_offers_something(name, past):
    for variable in DASHBOARDS[name]["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
        assert past.query(f"count by ({label}) ({chosen(selector)})", NOW), variable["name"]


def test_the_beginning_of_a_release_is_marked(past):
    (annotation,) = DASHBOARDS["agents-releases.json"]["annotations"]["list"]

    (mark,) = past.ask(
        "query_range", query=chosen(annotation["expr"]), start=NOW - 8 * 3600, end=NOW, step=120
    )["result"]

    assert mark["metric"]["gen_ai_agent_version"] == "2.4"


def test_the_health_table_has_words_for_every_agent(past):
    rows = [dict(labels) for labels in past.query(health_table(), NOW)]

    assert {row[AGENT] for row in rows} == AGENTS
    assert {"ok", "critical: alert"} <= {row["status"] for row in rows}
    assert [row for row in rows if not row["current"] or not row["trend"]] == []


def test_the_table_and_the_list_of_alerts_name_the_bad_release(past):
    overview = DASHBOARDS["agents-overview.json"]["panels"]
    health, firing = (
        past.query(chosen(panel["targets"][0]["expr"]), NOW) for panel in (overview[0], overview[-1])
    )

    assert {row[AGENT] for labels, worst in health.items() if worst == 2 for row in [dict(labels)]} == {
        "support-bot"
    }
    assert "AgentReleaseRegression" in {dict(labels)["alertname"] for labels in firing}


@pytest.mark.parametrize("number", range(len(re.findall(r"```promql", RUNBOOK))))
def test_a_query_of_the_runbook_is_one_that_prometheus_takes(number, past):
    query = re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL)[number]

    assert past.ask("query", query=query, time=NOW)["resultType"] == "vector"


@pytest.fixture(scope="module")
def dots(tmp_path_factory):
    """Names with dots, cumulative, histograms without `le`: what CloudWatch keeps."""
    otlp = {"translation_strategy": "NoTranslation", "convert_histograms_to_nhcb": True}
    with Prometheus(tmp_path_factory.mktemp("dots"), {"otlp": otlp}) as prometheus:
        Past(prometheus).record(hours=3)
        yield prometheus


@pytest.mark.parametrize(
    "query", [figure.cloudwatch for figure in FIGURES], ids=[figure.name for figure in FIGURES]
)
def test_a_query_for_cloudwatch_shows_a_figure_of_each_agent_that_has_one(query, dots):
    found = dots.query(dotted(query), NOW)
    agents = {dict(labels)["gen_ai.agent.name"] for labels, value in found.items() if math.isfinite(value)}

    assert AGENTS - agents <= ({"triage-bot"} if "@run_cost" in query else set())  # its model has no price
