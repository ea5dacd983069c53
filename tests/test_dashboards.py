"""The dashboards: what Grafana's own linter asks for, and every name in them is one that is there."""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations, groupby
from pathlib import Path

import pytest

from agent_otel import catalog
from agent_otel.artifacts import __main__ as generate
from agent_otel.artifacts import alerts, dashboards, datadog, queries_doc, rules
from agent_otel.artifacts.elsewhere import FIGURES
from agent_otel.artifacts.prometheus import Options, label_name
from tests import receivers as at
from tests.everything import printed_labels
from tests.grafana import DASHBOARDS, IDS, PANELS, chosen, fingerprint
from tests.optional import need

ROOT = Path(__file__).resolve().parent.parent
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
QUERIES = queries_doc.queries_doc()
NAMES = {metric.name for metric in catalog.METRICS} | {attribute.key for attribute in catalog.ATTRIBUTES}
boards = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=[Path(name).stem for name in DASHBOARDS])
targets = pytest.mark.parametrize(("panel", "target"), [pair[1:] for pair in PANELS], ids=IDS)


@pytest.fixture(scope="module")
def promql():
    need("promql_parser", "pip install promql-parser")
    from tests import promql

    return promql


@pytest.fixture(scope="module")
def series(promql):
    """Every series that a panel can select, with its labels: the exporter prints it, or a rule or an alert makes it."""
    exported = {name: labels | promql.TARGET for name, labels in printed_labels().items()}
    exported["agent_objective:override"] = {"objective", label_name(catalog.AGENT_NAME)}
    known, _ = promql.record(exported, rules.recording_rules(Options()))
    labels = [promql.Checked(alert.expr, known).labels for alert in alerts.alert_rules(Options())]
    return {**known, "ALERTS": promql.ALERTS.union(*labels)}


def made_again(name):
    if sys.version_info < (3, 11):
        pytest.skip("grafana-foundation-sdk can't be had for Python 3.10")
    need("grafana_foundation_sdk", "pip install 'grafana-foundation-sdk==1769699379!11.6.0'")
    return dashboards.templates()[name]


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_a_template_is_current(name):
    assert made_again(name) == (dashboards.TEMPLATES / name).read_text(encoding="utf-8"), "run: make generate"


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_grafana_s_own_schema_loses_nothing_of_a_dashboard(name):
    made_again(name)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    read = Dashboard.from_json(json.loads(dashboards.dashboard(name)))

    assert json.loads(json.dumps(read, cls=JSONEncoder)) == DASHBOARDS[name]


@boards
def test_a_dashboard_is_read_only_and_of_the_classic_schema(board):
    assert board["editable"] is False
    assert board["schemaVersion"] == 41
    assert board["uid"].startswith("agent-otel-")
    assert board["time"] == {"from": "now-24h", "to": "now"}


@boards
def test_the_data_source_can_be_chosen_and_nothing_names_another(board):
    source = board["templating"]["list"][0]
    used = [panel["datasource"] for panel in board["panels"]]
    used += [each["datasource"] for each in board["templating"]["list"][1:]]
    used += [each["datasource"] for each in board["annotations"].get("list", [])]

    assert (source["type"], source["name"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert [each for each in used if each != {"type": "prometheus", "uid": "${datasource}"}] == []


@boards
def test_variables_follow_the_time_and_those_of_several_values_offer_all(board):
    for variable in board["templating"]["list"][1:]:
        assert variable["refresh"] == 2
        if variable["name"] != "baseline":
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")


@boards
def test_every_variable_is_used_and_every_one_that_is_used_is_there(board):
    named = {variable["name"] for variable in board["templating"]["list"]} - {"datasource"}
    text = json.dumps([board["panels"], board["templating"], board["annotations"]])
    used = set(re.findall(r"\$\{?([a-z_]+)", text)) - {"datasource", "__range", "__all"}

    assert used == named


@boards
def test_panels_have_ids_of_their_own_and_lie_side_by_side(board):
    ids = [panel["id"] for panel in board["panels"]]
    places = [panel["gridPos"] for panel in board["panels"]]

    assert len(set(ids)) == len(ids)
    assert [place for place in places if place["x"] + place["w"] > 24] == []
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []


def overlap(one, other):
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not beside and not below


@boards
def test_every_row_is_filled(board):
    rows = groupby(board["panels"], key=lambda panel: panel["gridPos"]["y"])

    assert {sum(panel["gridPos"]["w"] for panel in row) for _, row in rows} == {24}


@boards
def test_a_panel_says_what_it_means_and_what_to_do_in_a_unit_of_its_own(board):
    for panel in board["panels"]:
        means, do = panel["description"].split("\n\n")
        assert panel["title"]
        assert len(means) > 15
        assert len(do) > 15
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]


@boards
def test_a_panel_that_may_be_empty_for_good_says_so(board):
    quiet = re.compile(r"> 0$|unpriced|usage_missing|first_chunk|ALERTS|baseline|stop_reason")
    for panel in board["panels"]:
        if panel["title"] != "Health" and all(quiet.search(target["expr"]) for target in panel["targets"]):
            assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


def test_the_first_panel_of_the_overview_is_the_table():
    panel = DASHBOARDS["agents-overview.json"]["panels"][0]
    organize = panel["transformations"][-1]["options"]
    shown = [name for name in organize["indexByName"] if name not in organize["excludeByName"]]

    assert panel["type"] == "table"
    assert [organize["renameByName"][name] for name in sorted(shown, key=organize["indexByName"].get)] == [
        "Agent",
        "Metric",
        "Current value",
        "Trend",
        "Status",
    ]


def test_every_row_of_the_table_has_its_words():
    signals = {
        rule.labels["signal"]
        for rule in rules.recording_rules(Options())
        if rule.record == "agent:health:current"
    }
    panel = DASHBOARDS["agents-overview.json"]["panels"][0]
    mappings = [each for override in panel["fieldConfig"]["overrides"] for each in override["properties"]]
    (words,) = (
        mapping["options"]
        for each in mappings
        if each["id"] == "mappings"
        for mapping in each["value"]
        if mapping["type"] == "value"
    )

    assert set(words) == signals


@at.needs_pages
@targets
def test_every_name_and_label_of_a_panel_is_there(panel, target, series, promql):
    checked = promql.Checked(chosen(target["expr"]), series)
    legend = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))

    assert checked.problems == []
    assert legend <= checked.labels


@at.needs_pages
@boards
def test_every_label_of_a_table_a_variable_and_an_annotation_is_there(board, series, promql):
    for panel in board["panels"]:
        if panel["type"] == "table":
            shown = {
                name
                for name in panel["transformations"][-1]["options"]["indexByName"]
                if not name.startswith("Value")
            }
            carried = [promql.Checked(chosen(target["expr"]), series).labels for target in panel["targets"]]
            assert [labels for labels in carried if not shown <= labels] == [], panel["title"]
    for variable in board["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
        checked = promql.Checked(chosen(selector), series)
        assert (checked.problems, label in checked.labels) == ([], True)
    for annotation in board["annotations"].get("list", []):
        assert promql.Checked(chosen(annotation["expr"]), series).problems == []


@targets
def test_a_counter_is_read_inside_rate_or_increase_only(panel, target):
    counters = re.findall(r"(\w+\()?(\w+(?:_total|_bucket|_count|_sum))\b", target["expr"])

    assert [name for function, name in counters if function not in {"rate(", "increase("}] == []


@targets
def test_no_latency_is_a_mean(panel, target):
    assert not re.search(r"seconds_(sum|count)|histogram_avg|histogram_sum", target["expr"])


@targets
def test_a_share_is_of_half_an_hour_or_more(panel, target):
    if panel["fieldConfig"]["defaults"]["unit"] == "percentunit":
        long = re.sub(
            r"sum_over_time\(\S+\[(1h|24h|\$__range):15m\]\)", "", target["expr"]
        )  # of short ones, side by side
        assert not re.search(r"(increase|:|\[|p\d\d_)(5m|10m|15m)", long)


@pytest.mark.parametrize("name", [name for name in generate.FILES if name.endswith((".json", "queries.md"))])
def test_a_generated_file_is_current(name):
    assert generate.FILES[name]() == (ROOT / name).read_text(encoding="utf-8"), "run: make generate"


def test_the_pictures_show_the_dashboards_as_they_are():
    drawn = json.loads((ROOT / "docs/images/dashboards.json").read_text())
    pictures = [
        ROOT / f"docs/images/{Path(name).stem}-{mode}.webp"
        for name in DASHBOARDS
        for mode in ("light", "dark")
    ]

    assert drawn == {name: fingerprint(board) for name, board in DASHBOARDS.items()}, "run: make pictures"
    assert [picture.name for picture in pictures if not 20_000 < picture.stat().st_size < 300_000] == []


def exported(tmp_path, *options):
    need("click", "pip install 'agent-otel[cli]'")
    from click.testing import CliRunner

    from agent_otel.artifacts.export_command import command

    done = CliRunner().invoke(command, ["dashboards", "--to", str(tmp_path), *options])

    assert done.exit_code == 0, done.output
    return {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_export_writes_what_is_in_the_folder_of_the_project(tmp_path):
    written = exported(tmp_path)

    assert written == {name: dashboards.dashboard(name) for name in dashboards.NAMES}


def test_export_uses_the_names_of_a_set_up(tmp_path):
    text = "".join(exported(tmp_path, "--rename", "gen_ai_agent_name=bot", "--apart", "env").values())

    assert "gen_ai_agent_name" not in text
    assert "{{bot}}" in text
    assert "by (bot, env, signal, current, trend, status)" in text


def test_export_writes_what_datadog_takes(tmp_path):
    written = exported(tmp_path, "--datadog")

    assert written == {"overview.json": datadog.overview(), "monitors.json": datadog.monitors()}


def test_generate_says_what_is_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "agent_otel.artifacts.dashboards.grafana", raising=False)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk.builders", None)

    with pytest.raises(SystemExit, match=r"pip install 'grafana-foundation-sdk==1769699379!11\.6\.0'"):
        generate.main()


def test_generate_runs_in_the_root_of_the_project_only(monkeypatch, tmp_path):
    made_again(dashboards.NAMES[0])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit, match="run this in the project's root"):
        generate.main()


def test_generate_writes_templates_first_and_then_what_is_made_of_them(monkeypatch, tmp_path):
    made_again(dashboards.NAMES[0])
    for name in generate.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path)

    generate.main()

    assert {name: (tmp_path / name).read_text() for name in generate.FILES} == {
        name: (ROOT / name).read_text() for name in generate.FILES
    }


WIDGETS = [widget["definition"] for widget in json.loads(datadog.overview())["widgets"]]
MONITORS = json.loads(datadog.monitors())


@pytest.mark.parametrize(
    "query",
    [
        *(
            query["query"]
            for widget in WIDGETS
            for request in widget.get("requests", ())
            for query in request["queries"]
        ),
        *(monitor["query"] for monitor in MONITORS),
    ],
)
def test_a_query_of_datadog_names_what_is_exported(query):
    metrics = re.findall(r"(?:sum|count|max|p50|p95):([a-z_.]+)\{", query)
    filters = re.findall(r"[{,( !]([a-z_]+\.[a-z_.]+?)(?=:[a-z*]| IN )", query)
    groups = [key for by in re.findall(r"by \{([^}]+)\}", query) for key in by.split(",")]
    by_name = {metric.name: {attribute.key for attribute in metric.attributes} for metric in catalog.METRICS}

    assert metrics
    assert [
        key
        for key in (*filters, *groups)
        if key not in set.intersection(*(by_name[name] for name in metrics))
    ] == []


def test_a_formula_of_datadog_reads_queries_that_are_there():
    for widget in WIDGETS:
        for request in widget.get("requests", ()):
            named = {query["name"] for query in request["queries"]}
            read = {
                name
                for each in request["formulas"]
                for name in re.findall(r"[a-z][a-z0-9_]*", each["formula"])
            }
            assert read - {"day_before"} == named


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor["name"])
def test_a_monitor_is_an_alert_of_the_runbook_with_its_threshold(monitor):
    assert f"## {monitor['name']}\n" in RUNBOOK
    assert (
        float(re.search(r"[<>] ([0-9.]+)$", monitor["query"])[1])
        == monitor["options"]["thresholds"]["critical"]
    )
    assert "source:agent_otel" in monitor["tags"]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_of_the_page_is_recorded_and_its_names_are_exported(figure):
    page = re.search(rf"^## {figure.name}\n(.*?)(?=^## |\Z)", QUERIES, re.MULTILINE | re.DOTALL)[1]
    named = set(re.findall(r"\b(?:agent_otel|gen_ai|error)\.[a-z_.]*[a-z]", page))

    assert figure.recorded in {rule.record for rule in rules.recording_rules(Options())}
    assert named
    assert named <= NAMES
