"""The recording rules and alerts, run by promtool, Prometheus and VictoriaMetrics."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from urllib.error import HTTPError

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from agent_otel import AgentMetrics, Settings, catalog, views
from agent_otel.artifacts import alerts, health, objectives, rules
from agent_otel.artifacts.prometheus import METRICS, Options, label_name, metric_name
from agent_otel.testing import FakeClock
from tests.everything import PRICES, record_everything
from tests.optional import need
from tests.real.rules import mutants
from tests.real.rules.alone import TABLE
from tests.real.rules.names import BURN
from tests.real.rules.promtool import World, play
from tests.real.rules.story import GONE, At, Reset, Story, fires, page, runs
from tests.real.rules.worlds import WORLDS, notices, surprises
from tests.real.servers import ROOT, Prometheus, VictoriaMetrics, tool, until

SETUPS = {
    "default": Options(),
    "classic": Options(native=False),
    "apart": Options(apart=("deployment_environment_name",)),
    "renamed": Options(rename={"gen_ai_agent_version": "version", "gen_ai_agent_name": "agent"}),
}
FILES = {
    "agent.objectives.yml": objectives.objectives,
    "agent.rules.yml": rules.rules,
    "agent.alerts.yml": alerts.alerts,
}


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("file", FILES)
def test_promtool_has_nothing_to_say_about_a_file(file, setup, tmp_path):
    path = tmp_path / file
    path.write_text(FILES[file](SETUPS[setup]))
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", path]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


SAMPLE = 4  # every fourth mutant, unless all are asked for


@pytest.fixture(scope="module")
def changed(request):
    """Our alerts with one thing changed in each."""
    made = mutants.mutants(alerts.alert_rules(Options()))
    return made if request.config.getoption("--all-mutants", default=False) else made[::SAMPLE]


@pytest.fixture(scope="module")
def played(tmp_path_factory, changed):
    """Each world, played when it is first asked for, the mutants with ours: most of the time goes into the rules."""
    both = [*alerts.alert_rules(Options()), *(mutant.alert for mutant in changed)]
    found = {}

    def of(name):
        if name not in found:
            found[name] = play(tmp_path_factory.mktemp(name), WORLDS[name], both)
        return found[name]

    return of


@pytest.mark.parametrize(
    ("world", "story"),
    [
        pytest.param(name, story, id=f"{name}-{story}")
        for name, world in WORLDS.items()
        for story in world.stories
    ],
)
def test_a_story_is_seen_as_it_is_told(world, story, played):
    assert surprises(story, played(world)) == [], story.says


# What no story can notice, with the reason.
EQUIVALENT = {
    "AgentRunsStuck (warning): ...95_seconds and agent:active_runs:sum >= 1 -> 0.4": "runs in flight are whole",
}


def test_an_alert_with_anything_changed_is_noticed_by_a_story(changed, played):
    alive = {
        mutant.what
        for mutant in changed
        if not any(
            notices(story, played(name), mutant)
            for name, world in WORLDS.items()
            if world.only in {None, mutant.original}
            for story in world.stories
        )
    }

    assert alive <= set(EQUIVALENT)


def test_the_health_table_says_it_in_words(tmp_path):
    query = re.sub("^#.*\n", "", health.health_table(), flags=re.MULTILINE)

    played = play(tmp_path, World([TABLE]), asked=[(182, query)])

    rows = {row["signal"]: (row["current"], row["trend"], row["status"]) for row in played.seen[182, query]}
    assert rows == {
        "success_rate": ("60 %", "-38.7pp in 1 hour", "critical: alert"),
        "latency_p95": ("434.5 s", "0% in 30 min", "warning: above SLO"),
        "tool_error_rate": ("0 %", "0pp in 15 min", "ok"),
        "token_usage_per_run": ("4.5k", "0% in 1 hour", "ok"),
        "run_count": ("120 /h", "0% in 1 hour", "ok"),
        "stop_reason": ("40 % error", "+38.7pp not completed in 1 hour", "ok"),
        "quality": ("90 %", "no history yet", "ok"),
    }


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        ({0: 2}, "0 2+2x4"),
        ({0: 1, 2: 3}, "0 1+1x1 5+3x2"),
        ({0: GONE, 2: 1}, "_ _ 0 1+1x2"),
        ({0: 1, 3: GONE}, "0 1+1x1 _ _ _"),
        ({0: 1, 3: Reset(2)}, "0 1+1x1 0 2+2x1"),
    ],
)
def test_a_timeline_is_written_as_promtool_reads_it(timeline, expected):
    (series,) = runs(completed=timeline)

    assert series.values(5, 1) == expected


def test_what_is_kept_apart_burns_apart_and_shares_its_objective(tmp_path):
    story = Story(
        "both",
        "half of the runs fail in staging, one in five in production, at an objective of 70 %",
        [
            within("staging", runs(completed={0: 1}, error={0: 1})),
            within("production", runs(completed={0: 4}, error={0: 1})),
        ],
        [At(100, page(BURN, env="staging"), fires(BURN, env="staging", severity="warning"))],
        {"success_ratio": 0.7},
    )

    played = play(tmp_path, World([story]), options=Options(apart=("env",)))

    assert surprises(story, played) == []


def within(environment, some):
    return [replace(series, labels=series.labels | {"env": environment}) for series in some]


def test_the_example_for_alertmanager_is_one_and_names_our_alerts():
    example = ROOT / "collector-config/alertmanager/alertmanager.yml"
    done = subprocess.run(
        [tool("amtool"), "check-config", example], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr

    named = set(re.findall(r"Agent[A-Z]\w+", example.read_text()))

    assert named <= {alert.name for alert in alerts.alert_rules(Options())}


@pytest.fixture(scope="module")
def victoriametrics(tmp_path_factory):
    with VictoriaMetrics(tmp_path_factory.mktemp("victoriametrics")) as server:
        yield server


@pytest.mark.parametrize("setup", ["classic", "default"])
def test_victoriametrics_takes_the_classic_rules_and_refuses_the_native_ones(setup, victoriametrics):
    options = SETUPS[setup]
    written = (*rules.recording_rules(options), *alerts.alert_rules(options))
    refused = [answer for rule in written if (answer := _refusal(victoriametrics, rule.expr))]

    assert bool(refused) == options.native
    assert [answer for answer in refused if "histogram_" not in answer] == []


def _refusal(server, query):
    try:
        server.ask("query", query=query)
    except HTTPError as error:
        return error.read().decode()


@pytest.mark.parametrize("form", ["classic", "native"])
def test_prometheus_translates_otlp_into_the_names_of_the_rules_and_evaluates_all(form, tmp_path):
    need("opentelemetry.exporter.otlp.proto.http", "pip install 'agent-otel[otlp]'")
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    need("promql_parser", "pip install promql-parser")
    from tests import promql

    for name, text in FILES.items():
        (tmp_path / name).write_text(text().replace("interval: 1m", "interval: 1s"))
    with Prometheus(tmp_path, {"rule_files": [str(tmp_path / name) for name in FILES]}) as prometheus:
        exporter = OTLPMetricExporter(
            f"{prometheus.url}/api/v1/otlp/v1/metrics",
            preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}
            if form == "native"
            else None,
        )
        settings, clock = Settings(prices=PRICES, cost=True), FakeClock()
        reader = PeriodicExportingMetricReader(exporter, float("inf"))
        provider = MeterProvider([reader], views=views(settings), shutdown_on_exit=False)
        record_everything(AgentMetrics(provider, clock=clock, settings=settings), clock)
        provider.force_flush()
        until(lambda: _evaluated(prometheus))
        stored = {}
        for labels in prometheus.ask("series", **{"match[]": '{__name__=~".+"}'}):
            if ":" not in (name := labels.pop("__name__")):
                stored.setdefault(name, set(promql.TARGET)).update(labels)
        health_of = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in _rules(prometheus)}
        provider.shutdown()

    if form == "native":  # what stands beside them in the rules
        for metric in METRICS.values():
            if metric.kind == "histogram":
                name = metric_name(metric)
                stored |= {f"{name}_count": stored[name], f"{name}_sum": stored[name]}
                stored[f"{name}_bucket"] = stored[name] | {"le"}
    _, problems = promql.record(
        stored | {"agent_objective:override": {"objective", label_name(catalog.AGENT_NAME)}},
        rules.recording_rules(Options(native=form == "native")),
    )

    assert problems == []
    assert {verdict for verdict in health_of.values() if verdict[0] != "ok"} == set()


def _rules(prometheus):
    return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def _evaluated(prometheus):
    return all(rule["health"] != "unknown" for rule in _rules(prometheus))
