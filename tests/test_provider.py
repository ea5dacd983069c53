"""`configure()`: what it builds from variables and arguments, what it refuses, and what it leaves alone."""

from __future__ import annotations

import json
import os
import threading

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    ExponentialBucketHistogramAggregation,
    View,
)

from agent_otel import ConfigurationError, configure
from tests import receivers as at

# Says as JSON what a program built: threads, provider, resource, and the labels of each run counter's point.
LOOK = """
import json, threading
from opentelemetry import metrics

def look(provider, reader=None):
    seen = {
        "threads": sorted({thread.name for thread in threading.enumerate()} - {"MainThread"}),
        "is_global": provider is metrics.get_meter_provider(),
        "kind": type(provider).__name__,
    }
    if hasattr(provider, "_sdk_config"):
        seen["resource"] = dict(provider._sdk_config.resource.attributes)
    if reader is not None:
        seen["runs"] = [
            [dict(point.attributes), point.value]
            for resource in reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "agent_otel.runs"
            for point in metric.data.data_points
        ]
    print(json.dumps(seen))
"""


def look(code, **settings):
    done = at.run(LOOK + code, **settings)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture
def variables(monkeypatch):
    """Sets variables of this process, after taking away all of OpenTelemetry's and ours."""

    def set_all(**given):
        for name in list(os.environ):
            if name.startswith(("OTEL_", "AGENT_OTEL_")):
                monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    set_all()
    return set_all


def mistakes(**given):
    with pytest.raises(ConfigurationError) as caught:
        configure(**given)
    return list(caught.value.mistakes)


FOUR_MISTAKES = """\
4 settings are wrong:
  - AGENT_OTEL_SEMCONV='v2': use one of v0.1, v1.37, none
  - AGENT_OTEL_LIMITS='gen_ai.tool.name:many': gen_ai.tool.name:many needs a whole number above 0
  - OTEL_METRICS_EXPORTER: unknown exporter 'otpl': use otlp, prometheus, console or none
  - OTEL_METRIC_EXPORT_INTERVAL='60s': use a number above 0, in milliseconds"""


def test_four_mistakes_are_one_error_that_names_each_and_its_remedy_and_nothing_is_built(variables):
    variables(
        AGENT_OTEL_SEMCONV="v2",
        AGENT_OTEL_LIMITS="gen_ai.tool.name:many",
        OTEL_METRICS_EXPORTER="otpl,otlp",
        OTEL_METRIC_EXPORT_INTERVAL="60s",
    )
    before = threading.active_count()
    with pytest.raises(ConfigurationError) as caught:
        configure()

    assert str(caught.value) == FOUR_MISTAKES
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("exporter", "expected"),
    [
        ("otpl", "exporter: unknown exporter 'otpl': use otlp, prometheus, console or none"),
        (7, "exporter=7: give names, such as 'otlp,prometheus'"),
        ([7], "exporter=[7]: give names, such as 'otlp,prometheus'"),
    ],
)
def test_a_wrong_argument_is_named_as_the_argument(variables, exporter, expected):
    assert mistakes(exporter=exporter) == [expected]


def test_readers_are_readers_each_its_own_and_free(variables):
    used, twice = InMemoryMetricReader(), InMemoryMetricReader()
    MeterProvider([used], shutdown_on_exit=False)

    assert mistakes(exporter="none", readers=[ConsoleMetricExporter(), twice, twice, used]) == [
        "readers: ConsoleMetricExporter is no metric reader: wrap an exporter in PeriodicExportingMetricReader",
        "readers: a reader stands twice: give each once",
        "readers: a reader belongs to another provider already: give one of its own",
    ]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"instrument_name": "agent_otel.run.tokens"}, "agent_otel.run.tokens"),
        ({"instrument_name": "gen_ai.execute_*"}, "gen_ai.execute_tool.duration"),
        ({"instrument_type": Histogram, "instrument_unit": "{step}"}, "agent_otel.run.steps"),
    ],
)
def test_a_view_that_would_double_our_streams_is_refused(variables, view, expected):
    assert mistakes(exporter="none", views=[View(**view)]) == [
        (
            f"views: a View of yours matches {expected}, which has its View already, and two double every stream: name"
            " your own instruments, or build a provider of your own from agent_otel.views()"
        )
    ]


def test_what_is_no_view_is_refused(variables):
    assert mistakes(exporter="none", views=["app.*"]) == [
        "views: str is no View: give opentelemetry.sdk.metrics.view.View"
    ]


@at.needs_pages
@pytest.mark.parametrize("as_reader", [False, True])
def test_an_exponential_view_beside_a_prometheus_page_is_refused(require, variables, as_reader):
    prometheus = require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    prometheus_client = require("prometheus_client", "pip install 'agent-otel[prometheus]'")
    views = [View(instrument_name="app.*", aggregation=ExponentialBucketHistogramAggregation())]
    readers = []
    if as_reader:
        readers = [prometheus.PrometheusMetricReader(registry=prometheus_client.CollectorRegistry())]

    assert mistakes(exporter="none" if as_reader else "prometheus", readers=readers, views=views) == [
        (
            "views: an exponential histogram can't be served on a Prometheus page: leave its aggregation out, or export"
            " with otlp, where OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION turns it on"
        )
    ]


def test_readers_and_views_of_the_program_stand_beside_ours():
    (seen,), _ = look("""
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View
reader = InMemoryMetricReader()
views = [View(instrument_name="*.secret", aggregation=DropAggregation())]
provider = agent_otel.configure(exporter="none", readers=[reader], views=views)
provider.get_meter("app").create_counter("app.secret").add(1)
work()
names = {m.name for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics}
print(json.dumps([sorted(names & {"agent_otel.runs", "app.secret"}), agent_otel.flush()]))
""")

    assert seen == [["agent_otel.runs"], True]


@pytest.mark.parametrize(
    ("exporter", "variable", "extra", "blocked"),
    [
        ("otlp", "", "otlp", "opentelemetry.exporter.otlp.proto.http"),
        ("otlp", "grpc", "grpc", "opentelemetry.exporter.otlp.proto.grpc"),
        ("prometheus", "", "prometheus", "opentelemetry.exporter.prometheus"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(exporter, variable, extra, blocked):
    done = at.run(
        f"""
import sys
sys.modules[{blocked!r}] = None
try:
    agent_otel.configure()
except agent_otel.ConfigurationError as error:
    print(*error.mistakes)
""",
        OTEL_METRICS_EXPORTER=exporter,
        OTEL_EXPORTER_OTLP_PROTOCOL=variable,
    )
    what = f"otlp with {variable or 'http/protobuf'}" if exporter == "otlp" else exporter

    assert done.stdout == f"OTEL_METRICS_EXPORTER={what} needs its extra: pip install 'agent-otel[{extra}]'\n"


def test_a_prometheus_exporter_that_mixes_labels_up_is_refused():
    done = at.run(
        """
import sys, types
old = sys.modules["opentelemetry.exporter.prometheus"] = types.ModuleType("opentelemetry.exporter.prometheus")
old.PrometheusMetricReader = type("PrometheusMetricReader", (), {"__init__": lambda self, disable_target_info: None})
try:
    agent_otel.configure()
except agent_otel.ConfigurationError as error:
    print(*error.mistakes)
""",
        OTEL_METRICS_EXPORTER="prometheus",
    )

    assert done.stdout == (
        "OTEL_METRICS_EXPORTER=prometheus needs opentelemetry-exporter-prometheus 0.64b0 or newer, which keeps labels"
        " apart: pip install 'agent-otel[prometheus]'\n"
    )


@at.needs_pages
def test_a_taken_port_names_the_port_its_variable_and_the_remedy_and_leaves_nothing_behind(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    with at.taken_port() as port:
        settings = at.page_on(port) | {"OTEL_METRICS_EXPORTER": "otlp,prometheus"}
        done = at.run(
            """
import threading
try:
    agent_otel.configure()
except agent_otel.ConfigurationError as error:
    print(*error.mistakes)
print(threading.active_count())
agent_otel.configure(exporter="none")
""",
            **settings,
        )

    assert done.stdout == (
        f"OTEL_EXPORTER_PROMETHEUS_PORT={port}: cannot serve on 127.0.0.1:{port}: Address already in use: use a free"
        " port, or another OTEL_EXPORTER_PROMETHEUS_HOST\n1\n"
    )
    assert done.stderr == ""


def test_the_default_exporter_is_otlp():
    with at.otlp_http() as received:
        settings = at.over_http(received) | {"OTEL_METRICS_EXPORTER": ""}
        at.run("agent_otel.configure(); work()", **settings)

    assert received.total("agent_otel.runs") == 1


def test_the_resource_comes_from_the_standard_variables_and_its_version_is_the_release():
    with at.otlp_http() as received:
        at.run(
            "agent_otel.configure(); work()",
            **at.over_http(received),
            OTEL_SERVICE_NAME="shop",
            OTEL_RESOURCE_ATTRIBUTES="service.version=1.2%2B3,deployment.environment.name=prod",
        )
    (resource,) = received.resources.values()
    labels = [dict(labels) for _, labels in received.points("gen_ai.invoke_agent.duration")]

    wanted = ("service.name", "service.version", "deployment.environment.name", "telemetry.distro.name")
    assert [resource[key] for key in wanted] == ["shop", "1.2+3", "prod", "agent_otel"]
    assert len(resource["service.instance.id"]) == 36
    assert labels == [{"gen_ai.agent.name": "bot", "gen_ai.agent.version": "1.2+3"}]


def test_an_instance_id_of_the_users_own_is_kept_and_each_process_has_another_else():
    given = {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7"}
    code = "look(agent_otel.configure(exporter='none'))"
    (kept,), _ = look(code, **given)
    (first,), _ = look(code)
    (second,), _ = look(code)

    assert kept["resource"]["service.instance.id"] == "pod-7"
    assert first["resource"]["service.instance.id"] != second["resource"]["service.instance.id"]


def test_arguments_win_over_variables():
    (seen,), _ = look(
        """
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
provider = agent_otel.configure(
    service_name="mine", exporter="none", readers=[reader], release="9", attributes={"app.tier": 2}
)
with agent_otel.run("bot", attributes={"app.tier": "gold"}):
    pass
look(provider, reader)
""",
        OTEL_SERVICE_NAME="theirs",
        OTEL_METRICS_EXPORTER="prometheus",
        AGENT_OTEL_RELEASE="8",
        AGENT_OTEL_ATTRIBUTES="app.other:5",
        OTEL_RESOURCE_ATTRIBUTES="service.version=7",
    )

    ran = {
        "gen_ai.agent.name": "bot",
        "gen_ai.agent.version": "9",
        "app.tier": "gold",
        "agent_otel.run.status": "ok",
        "agent_otel.run.stop_reason": "completed",
    }
    assert seen["resource"]["service.name"] == "mine"
    assert [ran, 1] in seen["runs"]
    assert (seen["is_global"], seen["kind"]) == (True, "MeterProvider")


def test_an_equal_second_configure_does_nothing_whatever_others_changed_in_the_environment():
    done = at.run("""
import os
first = agent_otel.configure(exporter="none", agents=["a"])
os.environ["OTEL_TRACES_EXPORTER"] = "none"
print(agent_otel.configure(exporter="none", agents=["a"]) is first)
""")

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_different_second_configure_warns_and_changes_nothing():
    done = at.run("""
first = agent_otel.configure(exporter="none", agents=["a"])
print(agent_otel.configure(exporter="console", agents=["b"]) is first)
""")

    assert done.stdout == "True\n"
    assert done.stderr == (
        "agent_otel is configured already: the first configure() stands, this different one does not\n"
    )


FOREIGN = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.resources import Resource
delta = {Counter: AggregationTemporality.DELTA}
"""


def test_a_provider_of_somebody_else_is_used_never_replaced_and_told_once():
    (seen, again), stderr = look(
        FOREIGN
        + """
reader = InMemoryMetricReader()
theirs = MeterProvider([reader], resource=Resource({"service.version": "5"}))
metrics.set_meter_provider(theirs)
provider = agent_otel.configure(agents=["a"])
work()
look(provider, reader)
print(json.dumps([provider is theirs, agent_otel.configure(agents=["a"]) is theirs]))
"""
    )
    ran = {
        "gen_ai.agent.name": "bot",
        "gen_ai.agent.version": "5",
        "agent_otel.run.status": "ok",
        "agent_otel.run.stop_reason": "completed",
    }

    assert again == [True, True]
    assert [ran, 1] in seen["runs"]
    assert ({labels["gen_ai.agent.name"] for labels, _ in seen["runs"]}, seen["threads"]) == (
        {"a", "bot"},
        [],
    )
    assert stderr == (
        "a MeterProvider is set already: agent_otel records there and adds no exporter and no View; give that provider"
        " agent_otel.views(), or let configure() come first\n"
    )


def test_settings_that_come_after_the_first_run_on_a_foreign_provider_are_told_to_be_late():
    (seen,), stderr = look(
        FOREIGN
        + """
reader = InMemoryMetricReader(preferred_temporality=delta)
metrics.set_meter_provider(MeterProvider([reader]))
work()
look(agent_otel.configure(release="2"), reader)
"""
    )

    assert [labels for labels, count in seen["runs"] if count] == [
        {"gen_ai.agent.name": "bot", "agent_otel.run.status": "ok", "agent_otel.run.stop_reason": "completed"}
    ]
    assert stderr.splitlines()[1:] == [
        (
            "agent_otel records already, by the AGENT_OTEL_* variables: other settings of configure() come too late; set"
            " the variables"
        )
    ]


def test_a_disabled_sdk_records_nothing_opens_no_port_and_starts_no_thread():
    port = at.free_port()
    settings = at.page_on(port) | {"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "otlp,prometheus"}
    (seen,), stderr = look(
        f"""
import socket
provider = agent_otel.configure()
work()
agent_otel.configure()
socket.create_server(("127.0.0.1", {port})).close()
look(provider)
""",
        **settings,
    )

    assert seen == {"threads": [], "is_global": False, "kind": "NoOpMeterProvider"}
    assert stderr == ""


def zeros_of(runs):
    return sorted(
        {
            (labels["gen_ai.agent.name"], labels.get("gen_ai.agent.version"))
            for labels, value in runs
            if value == 0
        }
    )


@pytest.mark.parametrize(
    ("temporality", "agents", "ran", "expected"),
    [
        ("None", "a,b", "", [("a", "3"), ("b", "3")]),
        ("None", "", "", []),
        ("None", "", "work('late')", [("late", "3")]),
        ("delta", "a,b", "work('late')", []),
    ],
)
def test_run_counters_start_at_zero_unless_their_reader_is_delta(temporality, agents, ran, expected):
    (seen,), _ = look(
        FOREIGN
        + f"""
reader = InMemoryMetricReader(preferred_temporality={temporality})
provider = agent_otel.configure(exporter="none", readers=[reader])
provider.get_meter("app").create_counter("app.calls").add(1)
{ran}
look(provider, reader)
""",
        AGENT_OTEL_AGENTS=agents,
        AGENT_OTEL_RELEASE="3",
    )

    assert zeros_of(seen["runs"]) == expected


def test_each_outcome_of_a_declared_agent_is_there_before_anything_happened():
    from agent_otel import catalog

    (seen,), _ = look(
        FOREIGN
        + """
reader = InMemoryMetricReader()
look(agent_otel.configure(exporter="none", readers=[reader], agents=["a"]), reader)
"""
    )
    pairs = {
        (labels["agent_otel.run.stop_reason"], labels["agent_otel.run.status"]) for labels, _ in seen["runs"]
    }

    assert pairs == set(catalog.STOP_REASONS.items())
    assert {value for _, value in seen["runs"]} == {0}


@pytest.mark.parametrize(("temporality", "expected"), [("cumulative", 7), ("delta", 0)])
def test_what_was_dropped_is_reported_as_zero_from_the_start_unless_under_delta(temporality, expected):
    with at.otlp_http() as received:
        settings = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality}
        done = at.run(
            "agent_otel.configure(); print(agent_otel.flush())", **at.over_http(received), **settings
        )
    dropped = [
        point
        for name in ("agent_otel.dropped_attributes", "agent_otel.dropped_measurements")
        for _, point in received.points(name).values()
    ]

    assert done.stdout == "True\n"
    assert len(dropped) == expected
    assert {point.as_int for point in dropped} <= {0}


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("AGENT_OTEL_RELAESE", "did you mean AGENT_OTEL_RELEASE?"),
        ("AGENT_OTEL_AGENT", "did you mean AGENT_OTEL_AGENTS?"),
    ],
)
def test_a_mistyped_variable_of_ours_is_told_once_with_the_one_that_was_meant(variable, remedy):
    done = at.run("for _ in range(2): agent_otel.configure(exporter='none')", **{variable: "1.2"})

    assert done.stderr == f"{variable} is no variable of agent_otel and changes nothing: {remedy}\n"


def test_an_unknown_variable_that_resembles_none_is_told_with_those_there_are():
    done = at.run("agent_otel.configure(exporter='none')", AGENT_OTEL_XYZZY="1", AGENT_OTEL_REQUIRE_TOOLS="1")

    assert done.stderr == (
        "AGENT_OTEL_XYZZY is no variable of agent_otel and changes nothing: known are AGENT_OTEL_BACKEND,"
        " AGENT_OTEL_RELEASE, AGENT_OTEL_AGENTS, AGENT_OTEL_SEMCONV, AGENT_OTEL_ATTRIBUTES, AGENT_OTEL_LIMITS, AGENT_OTEL_STOP_REASONS,"
        " AGENT_OTEL_PRICES, AGENT_OTEL_COST, AGENT_OTEL_STRICT\n"
    )


def test_a_secret_in_the_environment_is_in_no_text_of_the_plan(variables):
    from agent_otel import _plan

    variables(OTEL_EXPORTER_OTLP_HEADERS="authorization=secret", OTEL_METRICS_EXPORTER="none")

    assert "secret" not in repr(_plan.read({}, is_first=True))
