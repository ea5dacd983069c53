"""The recording rules and alerts: every name and label in them is one that the exporter prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from agent_otel import AgentMetrics, Settings, _readers, catalog, views
from agent_otel.artifacts import alerts, health, objectives, rules, thresholds
from agent_otel.artifacts.prometheus import LABELS, METRICS, Options, label_name, metric_name
from agent_otel.errors import ConfigurationError
from agent_otel.testing import FakeClock
from tests import receivers as at
from tests.everything import PRICES, record_everything
from tests.optional import need

ROOT = Path(__file__).resolve().parent.parent
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (Agent\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
OURS = rules.recording_rules(Options())
ALARMS = alerts.alert_rules(Options())
RECORDED = {rule.record for rule in OURS}
SETUPS = [
    Options(),
    Options(native=False),
    Options(apart=("deployment_environment_name", "cluster")),
    Options(rename={"gen_ai_agent_version": "version", "gen_ai_agent_name": "agent", "error_type": "class"}),
    Options(
        rename={label_name(attribute): f"x_{word}" for word, attribute in LABELS.items()}, apart=("env",)
    ),
]


@pytest.fixture(scope="module")
def promql():
    need("promql_parser", "pip install promql-parser")
    from tests import promql

    return promql


@pytest.fixture(scope="module")
def printed():
    """The labels that the real exporter prints for each series."""
    need("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    from prometheus_client import generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    reader, registry = _readers.page_reader()
    settings = Settings(prices=PRICES, cost=True)
    clock = FakeClock()
    provider = MeterProvider([reader], views=views(settings), shutdown_on_exit=False)
    record_everything(AgentMetrics(provider, clock=clock, settings=settings), clock)
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
            if family.type == "histogram":  # a native one has the name alone
                found.setdefault(family.name, set()).update(set(sample.labels) - {"le"})
    provider.shutdown()
    return found


def in_a_setup(printed, options, promql):
    """The same series as a set-up that renames labels, or adds its own, stores them."""
    own = promql.TARGET | set(options.apart)
    return {
        **{
            name: {options.rename.get(label, label) for label in labels} | own
            for name, labels in printed.items()
        },
        "agent_objective:override": {
            "objective",
            options.rename.get(label_name(catalog.AGENT_NAME), label_name(catalog.AGENT_NAME)),
        },
    }


@at.needs_pages
@pytest.mark.parametrize("options", SETUPS, ids=["default", "classic", "apart", "renamed", "all-renamed"])
def test_every_name_and_label_of_a_rule_and_an_alert_is_there(printed, promql, options):
    series, problems = promql.record(in_a_setup(printed, options, promql), rules.recording_rules(options))
    for alert in alerts.alert_rules(options):
        checked = promql.Checked(alert.expr, series)
        problems += [f"{alert.name}: {problem}" for problem in checked.problems]
        in_summary = set(re.findall(r"\$labels\.(\w+)", alert.summary))
        problems += [f"{alert.name}: no {label} to tell" for label in in_summary - checked.labels]

    assert problems == []


@at.needs_pages
@pytest.mark.parametrize("options", SETUPS, ids=["default", "classic", "apart", "renamed", "all-renamed"])
def test_the_query_of_the_health_table_names_what_is_there(printed, promql, options):
    series, _ = promql.record(in_a_setup(printed, options, promql), rules.recording_rules(options))
    agent = options.rename.get(label_name(catalog.AGENT_NAME), label_name(catalog.AGENT_NAME))
    series["ALERTS"] = promql.ALERTS | {agent, *options.apart}
    query = re.sub("^#.*$", "", health.health_table(options), flags=re.MULTILINE)

    assert promql.Checked(query, series).problems == []


@at.needs_pages
def test_a_label_that_is_not_there_is_found(printed, promql):
    series = in_a_setup(printed, Options(), promql)

    assert promql.Checked("sum by (agent) (increase(agent_otel_runs_total[1h]))", series).problems
    assert promql.Checked('agent_otel_runs_total{status="ok"}', series).problems
    assert promql.Checked("agent_runs_total", series).problems
    assert promql.Checked("agent_otel_runs_total / agent_otel_active_runs", series).problems
    assert promql.Checked("agent_otel_runs_total / on (tool) agent_otel_active_runs", series).problems


@at.needs_pages
def test_every_value_that_is_asked_for_is_in_its_vocabulary(printed, promql):
    series, _ = promql.record(in_a_setup(printed, Options(), promql), OURS)
    closed = {label_name(each): {*each.values, ""} for each in catalog.ATTRIBUTES if each.is_closed}
    asked = {pair for each in (*OURS, *ALARMS) for pair in promql.Checked(each.expr, series).matchers}

    strangers = [
        (label, value)
        for label, values in asked
        if label in closed
        for value in values.split("|")
        if value not in closed[label]
    ]

    assert strangers == []


def test_a_rule_reads_only_what_stands_above_it():
    names = r"(?<![\w:])[a-z_]+:[a-z_]+:\w+"
    above = {"agent_objective:override"}
    for rule in OURS:
        read = set(re.findall(names, rule.expr))
        assert read <= above, rule.record
        above.add(rule.record)

    assert {name for alert in ALARMS for name in re.findall(names, alert.expr)} <= above


def test_every_word_of_a_template_is_used():
    text = rules.rules() + alerts.alerts()

    assert [metric.name for metric in METRICS.values() if metric_name(metric) not in text] == []
    assert [attribute.key for attribute in LABELS.values() if label_name(attribute) not in text] == []


def test_every_alert_has_its_section_in_the_runbook_and_no_other_has_one():
    assert {alert.name for alert in ALARMS} == set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_what_it_means_what_to_ask_first_and_what_to_do(name):
    text = SECTIONS[name]
    titles = re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)

    assert titles == ["Meaning", "Impact", "First three queries", "Fix", "False positives"]
    assert len(queries(text)) == 3


def queries(text):
    return re.findall(r"```promql\n(.*?)```", text, re.DOTALL)


@at.needs_pages
@pytest.mark.parametrize("query", queries(RUNBOOK))
def test_a_query_of_the_runbook_names_what_is_there(printed, promql, query):
    series, _ = promql.record(in_a_setup(printed, Options(), promql), OURS)

    assert promql.Checked(query, series).problems == []


@pytest.mark.parametrize("alert", ALARMS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_says_how_bad_where_it_shows_and_where_to_read_on(alert):
    text = alerts.alerts(Options(runbook="https://wiki.example/agents"))

    assert alert.severity in {"critical", "warning", "info"}
    assert alert.signal
    assert alert.health
    assert alert.summary
    assert f"runbook_url: https://wiki.example/agents#{alert.name.lower()}" in text


def test_each_threshold_is_used():
    source = "".join(
        (ROOT / f"agent_otel/artifacts/{name}.py").read_text() for name in ("rules", "baselines", "alerts")
    )
    constants = [name for name in vars(thresholds) if name.isupper()]

    assert [name for name in constants if f"at.{name}" not in source] == []


def test_the_classic_variant_has_none_of_the_functions_that_victoriametrics_refuses():
    text = rules.rules(Options(native=False))

    assert "histogram_count" not in text
    assert "histogram_sum" not in text
    assert "histogram_count" in rules.rules()


def test_a_set_up_of_its_own_shows_in_every_file():
    own = Options(rename={"gen_ai_agent_version": "version", "gen_ai_agent_name": "bot"}, apart=("env",))
    texts = [text(own) for text in (rules.rules, alerts.alerts, objectives.objectives, health.health_table)]

    assert [text for text in texts if "gen_ai_agent" in text or "bot" not in text] == []
    assert "sum by (bot, env, version)" in texts[0]
    assert "{{ $labels.version }}" in texts[1]


def test_verdicts_of_a_team_count_with_ours():
    text = rules.rules(Options(passing=("grounded",), failing=("hallucinated",)))

    assert "|grounded" in text
    assert "|hallucinated" in text


def test_wrong_options_are_named_all_at_once():
    with pytest.raises(ConfigurationError) as raised:
        Options(
            apart=("9x", "job"),
            rename={"nope": "x", "gen_ai_agent_name": "error_type"},
            passing=('a"', "good", "fine"),
            failing=("fine",),
        )

    assert [mistake.partition(":")[0] for mistake in raised.value.mistakes] == [
        "rename 'nope'",
        "label '9x'",
        "label 'error_type'",
        "label 'job'",
        "verdict 'a\"'",
        "verdict 'fine'",
    ]


def export(*arguments):
    """`agent-otel export`, as people run it."""
    pytest.importorskip("rich", reason="pip install 'agent-otel[cli]'")
    program = [
        sys.executable,
        "-c",
        "from agent_otel.cli import main; main()",
        "export",
        *map(str, arguments),
    ]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_export_writes_the_committed_files(tmp_path):
    folder = tmp_path / "new" / "rules"
    exported = [export(what, "--to", folder) for what in ("rules", "alerts")]

    assert [done.returncode for done in exported] == [0, 0]
    assert f"wrote {folder / 'agent.rules.yml'}" in exported[0].stderr

    committed = ROOT / "collector-config/prometheus"
    written = {file.name: file.read_text() for file in folder.iterdir()}

    assert set(written) == {
        "agent.alerts.yml",
        "agent.objectives.yml",
        "agent.rules.yml",
        "health_table.promql",
    }
    assert {name: (committed / name).read_text() for name in written} == written


def test_export_leaves_the_objectives_of_a_team_alone(tmp_path):
    own = tmp_path / "agent.objectives.yml"
    own.write_text("groups: []\n")

    assert export("rules", "--to", tmp_path).returncode == 0
    assert own.read_text() == "groups: []\n"


def test_export_knows_a_set_up(tmp_path):
    set_up = ["--to", tmp_path, "--rename", "gen_ai_agent_version=version", "--apart", "env"]
    words = ["--classic", "--passing", "grounded", "--failing", "hallucinated"]

    assert export("rules", *set_up, *words).returncode == 0
    assert export("alerts", *set_up, "--runbook", "https://wiki.example/agents").returncode == 0

    own = {"rename": {"gen_ai_agent_version": "version"}, "apart": ("env",)}
    expected = rules.rules(Options(native=False, passing=("grounded",), failing=("hallucinated",), **own))

    assert expected == (tmp_path / "agent.rules.yml").read_text()

    expected = alerts.alerts(Options(runbook="https://wiki.example/agents", **own))

    assert expected == (tmp_path / "agent.alerts.yml").read_text()


@pytest.mark.parametrize("what", ["rules", "alerts"])
def test_export_names_a_wrong_option_and_writes_nothing(what, tmp_path):
    done = export(what, "--to", tmp_path, "--rename", "nope=version")

    assert done.returncode == 2
    assert "rename 'nope': no such label here: use one of" in done.stderr
    assert list(tmp_path.iterdir()) == []
