"""The exporters: which are asked for, what is wrong with their variables, and what arrives."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.metrics import Counter as CounterInstrument
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
)
from opentelemetry.sdk.resources import Resource

from agent_otel import AgentMetrics, Settings, _readers, catalog, exporters, views
from agent_otel.testing import FakeClock
from tests import receivers as at

PAGE = Path(__file__).with_name("golden") / "prometheus_page.txt"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize(
    ("variable", "given", "expected"),
    [
        ("", None, ("otlp",)),
        (" ", None, ("otlp",)),
        ("otlp, prometheus ,otlp", None, ("otlp", "prometheus")),
        ("none", None, ()),
        ("otlp", "console", ("console",)),
        ("otlp", ["console", "none"], ("console",)),
        ("otlp", "", ()),
    ],
)
def test_the_argument_wins_over_the_variable_and_otlp_is_the_default(variable, given, expected):
    assert exporters.chosen({"OTEL_METRICS_EXPORTER": variable}, given) == expected


OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(
    ("names", "environ", "expected"),
    [
        ("otlp", {}, []),
        (
            "console",
            {f"{OTLP}ENDPOINT": "nonsense", f"{OTLP}TIMEOUT": "never", f"{OTLP}COMPRESSION": "zip"},
            [],
        ),
        (
            "otpl",
            {},
            ["OTEL_METRICS_EXPORTER: unknown exporter 'otpl': use otlp, prometheus, console or none"],
        ),
        (
            "otlp",
            {f"{OTLP}PROTOCOL": "http/json"},
            [f"{OTLP}PROTOCOL='http/json': use http/protobuf or grpc"],
        ),
        (
            "otlp",
            {f"{OTLP}METRICS_PROTOCOL": "prometheus", f"{OTLP}PROTOCOL": "grpc"},
            [f"{OTLP}METRICS_PROTOCOL='prometheus': use http/protobuf or grpc"],
        ),
        (
            "otlp",
            {f"{OTLP}METRICS_TEMPORALITY_PREFERENCE": "deltas"},
            [f"{OTLP}METRICS_TEMPORALITY_PREFERENCE='deltas': use one of cumulative, delta, lowmemory"],
        ),
        ("otlp", {f"{OTLP}METRICS_TEMPORALITY_PREFERENCE": "DELTA", f"{OTLP}COMPRESSION": "gzip"}, []),
        (
            "otlp",
            {f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "native"},
            [
                (
                    f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION='native': use one of"
                    " explicit_bucket_histogram, base2_exponential_bucket_histogram"
                )
            ],
        ),
        ("otlp", {f"{OTLP}COMPRESSION": "zip"}, [f"{OTLP}COMPRESSION='zip': use one of none, gzip, deflate"]),
        (
            "console",
            {"OTEL_METRICS_EXEMPLAR_FILTER": "sometimes"},
            ["OTEL_METRICS_EXEMPLAR_FILTER='sometimes': use one of trace_based, always_on, always_off"],
        ),
        *[
            (
                "console",
                {"OTEL_METRIC_EXPORT_INTERVAL": wrong},
                [f"OTEL_METRIC_EXPORT_INTERVAL={wrong!r}: use a number above 0, in milliseconds"],
            )
            for wrong in ("60s", "0", "-1", "inf", "nan")
        ],
        ("otlp", {f"{OTLP}TIMEOUT": "10s"}, [f"{OTLP}TIMEOUT='10s': use a number above 0, in seconds"]),
        *[
            (
                "otlp",
                {f"{OTLP}ENDPOINT": wrong},
                [f"{OTLP}ENDPOINT={wrong!r}: use a URL, such as http://localhost:4318"],
            )
            for wrong in (
                "localhost:4318",
                "http://",
                "http://h:99999",
                "http://h:0",
                "http://[h",
                "collector",
            )
        ],
        ("otlp", {f"{OTLP}ENDPOINT": "https://collector:4318/x"}, []),
    ],
)
def test_each_mistake_says_what_was_given_and_what_is_allowed(names, environ, expected):
    assert exporters.mistakes(names.split(","), environ) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("localhost:4317", []),
        ("https://collector", []),
        ("dns:///collector:4317", []),
        ("unix:/run/collector", []),
        ("h:99999", ["OTEL_EXPORTER_OTLP_ENDPOINT='h:99999': use a URL, such as http://localhost:4318"]),
    ],
)
def test_grpc_may_be_given_whatever_it_can_dial(require, endpoint, expected):
    require("grpc", "pip install 'agent-otel[grpc]'")
    environ = {f"{OTLP}PROTOCOL": "grpc", f"{OTLP}ENDPOINT": endpoint}

    assert exporters.mistakes(["otlp"], environ) == expected


def test_a_password_in_a_wrong_url_is_not_repeated():
    (mistake,) = exporters.mistakes(["otlp"], {f"{OTLP}ENDPOINT": "ftp://me:secret@collector"})

    assert mistake == f"{OTLP}ENDPOINT='ftp://***@collector': use a URL, such as http://localhost:4318"


@at.needs_pages
@pytest.mark.parametrize("port", ["http", "-1", "65536"])
def test_a_port_is_a_number_that_a_port_can_have(require, port):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    found = exporters.mistakes(["prometheus"], {"OTEL_EXPORTER_PROMETHEUS_PORT": port})

    assert found == [f"OTEL_EXPORTER_PROMETHEUS_PORT={port!r}: use a port from 0 to 65535"]


class Scripted(MetricExporter):
    """An exporter whose results are written down before."""

    def __init__(self, *results):
        super().__init__()
        self.results = list(results)
        self.given = []
        self.calls = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.given.append([s.scope.name for r in metrics_data.resource_metrics for s in r.scope_metrics])
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def force_flush(self, timeout_millis=10_000):
        self.calls.append(("force_flush", timeout_millis))
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.calls.append(("shutdown", timeout_millis, kwargs))


def data_of(*scopes):
    found = [SimpleNamespace(scope=SimpleNamespace(name=name)) for name in scopes]
    return MetricsData(resource_metrics=[ResourceMetrics(resource=None, scope_metrics=found, schema_url="")])


def test_an_exporter_is_watched_for_what_became_of_its_last_export():
    good, bad = MetricExportResult.SUCCESS, MetricExportResult.FAILURE
    scripted = Scripted(good, bad, OSError("no route"))
    watched = _readers.Watched(lambda: scripted)
    seen = [watched.delivered]
    for _ in range(2):
        watched.export(data_of("agent_otel"))
        seen.append(watched.delivered)
    with pytest.raises(OSError, match="no route"):
        watched.export(data_of("agent_otel"))
    seen.append(watched.delivered)

    assert seen == [True, True, False, False]


def test_the_time_that_the_sdk_leaves_an_exporter_to_end_reaches_it():
    scripted = Scripted()
    watched = _readers.Watched(lambda: scripted)
    watched.force_flush(timeout_millis=5)
    watched.shutdown(timeout=7)
    watched.shutdown(timeout=-7)

    assert scripted.calls == [("force_flush", 5), ("shutdown", 7, {}), ("shutdown", 0.0, {})]


def test_an_inherited_exporter_leaves_one_scope_out_and_opens_a_connection_of_its_own():
    made = []

    def make():
        made.append(Scripted(MetricExportResult.SUCCESS))
        return made[-1]

    watched = _readers.Watched(make)
    watched.inherit("agent_otel")
    watched.force_flush()
    watched.export(data_of("agent_otel"))
    watched.export(data_of("agent_otel", "app"))
    watched.inherit("agent_otel")
    watched.shutdown()

    assert [each.given for each in made] == [[], [["app"]]]
    assert [each.calls for each in made] == [[], []]


def test_actions_run_side_by_side_and_a_slow_or_failing_one_is_told(caplog):
    never = threading.Event()

    def fail():
        raise OSError("no route")

    assert _readers.within(60, list, dict) is True
    assert _readers.within(60) is True
    assert _readers.within(60, list, fail) is False
    assert _readers.within(0.01, list, never.wait) is False
    assert caplog.messages == ["agent_otel could not flush or shut down: no route"]
    never.set()


def test_where_no_thread_can_be_started_any_more_the_action_runs_at_once(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    done = []
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert _readers.within(60, lambda: done.append(1)) is True
    assert done == [1]


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (InMemoryMetricReader(), True),
        (
            InMemoryMetricReader(preferred_temporality={CounterInstrument: AggregationTemporality.DELTA}),
            False,
        ),
        (object(), True),
    ],
)
def test_a_reader_counts_cumulatively_unless_its_counters_are_delta(reader, expected):
    assert _readers.counts_cumulatively(reader) is expected


def test_an_exporter_that_refuses_its_variables_is_a_configuration_error(monkeypatch):
    def refuse():
        raise ValueError("no such certificate")

    points = [SimpleNamespace(name="custom", load=lambda: refuse)]
    monkeypatch.setattr(exporters, "entry_points", lambda group: points)
    with pytest.raises(exporters.ConfigurationError) as caught:
        exporters.build(["custom"], {})

    assert caught.value.mistakes == (
        "OTEL_METRICS_EXPORTER=custom: its exporter refuses its variables: no such certificate",
    )


def test_an_exporter_that_another_package_declares_can_be_named(monkeypatch):
    kinds = {"custom": Scripted, "memory": InMemoryMetricReader}
    points = [SimpleNamespace(name=name, load=lambda kind=kind: kind) for name, kind in kinds.items()]
    monkeypatch.setattr(exporters, "entry_points", lambda group: points)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    built = exporters.build(["custom", "memory"], {})
    built.readers[0].shutdown()

    assert exporters.mistakes(["custom", "memory"], {}) == []
    assert [type(reader).__name__ for reader in built.readers] == [
        "PeriodicExportingMetricReader",
        "InMemoryMetricReader",
    ]
    assert type(built.watched[0].exporter) is Scripted


def test_metrics_arrive_over_http_as_protobuf():
    with at.otlp_http() as received:
        at.run("agent_otel.configure(); work(runs=3)", **at.over_http(received))

    assert received.total("agent_otel.runs") == 3
    assert received.total("gen_ai.execute_tool.duration") == 3
    assert received.total("agent_otel.tokens") == 45


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_metrics_arrive_compressed(compression):
    with at.otlp_http() as received:
        settings = at.over_http(received) | {"OTEL_EXPORTER_OTLP_COMPRESSION": compression}
        at.run("agent_otel.configure(); work(runs=3)", **settings)

    assert received.total("agent_otel.runs") == 3


def test_metrics_arrive_over_grpc(require):
    require("grpc", "pip install 'agent-otel[grpc]'")
    with at.otlp_grpc() as received:
        at.run("agent_otel.configure(); work(runs=3)", **at.over_grpc(received))

    assert received.total("agent_otel.runs") == 3
    assert received.total("agent_otel.tokens") == 45


def test_the_console_shows_the_same():
    done = at.run("agent_otel.configure(exporter='console'); work(runs=3)")
    (resource,) = json.loads(done.stdout)["resource_metrics"]
    (scope,) = resource["scope_metrics"]
    totals = Counter()
    for metric in scope["metrics"]:
        for point in metric["data"]["data_points"]:
            totals[metric["name"]] += point.get("value", point.get("count"))

    assert (totals["agent_otel.runs"], totals["agent_otel.tokens"]) == (3, 45)


def test_without_an_exporter_nothing_leaves_and_there_is_nothing_to_flush():
    done = at.run(
        "agent_otel.configure(); work(runs=3); print(agent_otel.flush(), agent_otel.shutdown())",
        OTEL_METRICS_EXPORTER="none",
    )

    assert (done.stdout, done.stderr) == ("True True\n", "")


@at.needs_pages
def test_two_exporters_at_once_say_the_same(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    port = at.free_port()
    with at.otlp_http() as received:
        settings = at.page_on(port) | at.over_http(received) | {"OTEL_METRICS_EXPORTER": "otlp,prometheus"}
        program = "agent_otel.configure(); work(runs=3); print(agent_otel.flush(), flush=True); input()"
        with at.started(program, **settings) as process:
            page = at.scrape(port)
            assert process.first_line == "True"

    on_page = {
        name: sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name + "{"))
        for name in (
            "agent_otel_runs_total",
            "agent_otel_tokens_total",
            "gen_ai_execute_tool_duration_seconds_count",
        )
    }
    assert list(on_page.values()) == [3, 45, 3]
    assert [
        received.total(metric.name) for metric in (catalog.RUNS, catalog.TOKENS, catalog.TOOL_DURATION)
    ] == [3, 45, 3]


@at.needs_pages
def test_exponential_histograms_go_to_otlp_while_the_page_keeps_the_classic_ones(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    port = at.free_port()
    with at.otlp_http() as received:
        settings = at.page_on(port) | at.over_http(received) | {"OTEL_METRICS_EXPORTER": "otlp,prometheus"}
        settings[f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION"] = "base2_exponential_bucket_histogram"
        program = "agent_otel.configure(); work(runs=3); print(agent_otel.flush(), flush=True); input()"
        with at.started(program, **settings) as process:
            page = at.scrape(port)
            assert process.first_line == "True"

    ((kind, point),) = received.points("agent_otel.run.steps").values()
    assert (kind, point.count, point.sum) == ("exponential_histogram", 3, 3)
    assert 'agent_otel_run_steps_bucket{gen_ai_agent_name="bot",le="1"} 3.0' in page


def small_page():
    """A page as configure() builds it: one run that ended and one in flight, on a clock that stands still."""
    reader, registry = _readers.page_reader()
    resource = Resource({"service.name": "shop", "service.version": "1.2"})
    provider = MeterProvider([reader], resource=resource, views=views(), shutdown_on_exit=False)
    clock = FakeClock()
    prices = {"openai": {"gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10}}}
    agents = AgentMetrics(provider, clock=clock, settings=Settings(prices=prices))
    with agents.run("support-bot", version="1.2") as run:
        with run.inference("gpt-5", provider="openai") as call:
            clock.advance(0.25)
            call.tokens(input=1200, output=300, cache_read=1000)
        with run.tool("search"):
            clock.advance(0.5)
    agents.run("researcher").start()
    clock.advance(30)
    return provider, registry


@pytest.fixture
def page(require):
    """The text of that page, in Prometheus' own format and as OpenMetrics."""
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    from prometheus_client import exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    provider, registry = small_page()
    given = SimpleNamespace(
        text=exposition.generate_latest(registry).decode(),
        openmetrics=openmetrics.generate_latest(registry).decode(),
        registry=registry,
        provider=provider,
    )
    yield given
    provider.shutdown()


@at.needs_pages
def test_the_page_of_a_small_agent_reads_as_users_know_it(page):
    text = re.sub(r'telemetry_sdk_version="[^"]+"', 'telemetry_sdk_version="…"', page.text)

    assert text == PAGE.read_text(encoding="utf-8")


@at.needs_pages
def test_no_line_of_the_page_carries_the_scope(page):
    assert [line for line in page.text.splitlines() if "otel_scope" in line] == []


@at.needs_pages
def test_the_openmetrics_page_passes_the_strict_parser(page):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = {family.name: family.type for family in text_string_to_metric_families(page.openmetrics)}

    assert families["agent_otel_runs"] == "counter"
    assert families["gen_ai_invoke_agent_duration_seconds"] == "histogram"
    assert families["agent_otel_active_runs"] == "gauge"


@at.needs_pages
def test_flushing_the_provider_of_a_page_doubles_nothing(page):
    from prometheus_client import generate_latest

    for _ in range(3):
        page.provider.force_flush()
    text = generate_latest(page.registry).decode()

    assert [line for line, count in Counter(text.splitlines()).items() if count > 1] == []


@at.needs_pages
def test_many_scrapes_at_once_each_see_every_sample_once(page):
    from prometheus_client import generate_latest

    seen = []
    start = threading.Barrier(8)

    def scrape():
        start.wait()
        seen.extend(sorted(generate_latest(page.registry).decode().splitlines()) for _ in range(5))

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(at.SECONDS)

    expected = sorted(page.text.splitlines())
    assert [lines for lines in seen if lines != expected] == []
    assert len(seen) == 40


# promtool's rules, from client_golang's prometheus/testutil/promlint/validations, until the tool itself is there.

UNITS = {  # a unit, and what to use instead
    "amperes": "amperes", "bytes": "bytes", "celsius": "celsius", "grams": "grams", "joules": "joules",
    "kelvin": "kelvin", "meters": "meters", "metres": "metres", "moles": "moles", "seconds": "seconds",
    "volts": "volts", "minutes": "seconds", "hours": "seconds", "days": "seconds", "weeks": "seconds",
    "bits": "bytes", "calories": "joules", "fahrenheit": "celsius", "inches": "meters", "yards": "meters",
    "miles": "meters", "feet": "meters", "pounds": "grams", "ounces": "grams",
}  # fmt: skip
PREFIXES = (
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mebi", "giga",
    "gibi", "tera", "tebi", "peta", "pebi",
)  # fmt: skip
ABBREVIATIONS = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
TYPES = ("gauge", "counter", "summary", "histogram")


def lint(family):
    """What promtool's `check metrics` says of one family, whose name is that of its samples."""
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = {key for sample in family.samples for key in sample.labels}
    words = name.split("_")
    units = [
        word for word in words if any(word in {prefix + unit for unit in UNITS} for prefix in ("", *PREFIXES))
    ]
    rules = {
        "no help text": not family.documentation,
        "use a base unit": [word for word in units if UNITS.get(word) != word],
        'counter metrics should have "_total" suffix': family.type == "counter"
        and not name.endswith("_total"),
        'non-counter metrics should not have "_total" suffix': family.type != "counter"
        and name.endswith("_total"),
        "non-histogram metrics should not have its suffixes": family.type != "histogram"
        and name.endswith(("_bucket", "_count", "_sum")),
        'non-histogram metrics should not have the label "le"': family.type != "histogram" and "le" in labels,
        'non-summary metrics should not have the label "quantile"': "quantile" in labels,
        "metric name should not include its type": [word for word in words if word in TYPES],
        "metric names should not contain ':'": ":" in name,
        "snake_case instead of camelCase": [
            each for each in (name, *labels) if re.search(r"[a-z][A-Z]", each)
        ],
        "metric names should not contain abbreviated units": [
            word for word in words if word in ABBREVIATIONS
        ],
    }
    return [f"{name}: {rule}" for rule, broken in rules.items() if broken]


@at.needs_pages
def test_promtools_lint_rules_find_nothing_on_the_page(page):
    from prometheus_client.parser import text_string_to_metric_families

    families = [each for each in text_string_to_metric_families(page.text) if each.name != "target_info"]
    names = Counter(family.name for family in families)

    assert [problem for family in families for problem in lint(family)] == []
    assert [name for name, count in names.items() if count > 1] == []
    assert len(families) >= 15


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("agent_latency_milliseconds", "gauge", "use a base unit"),
        ("agent_latency_ms", "gauge", "metric names should not contain abbreviated units"),
        ("agent_gauge", "gauge", "metric name should not include its type"),
        ("agentRuns", "gauge", "snake_case instead of camelCase"),
        ("runs_total", "gauge", 'non-counter metrics should not have "_total" suffix'),
        ("runs_count", "gauge", "non-histogram metrics should not have its suffixes"),
        ("agent:runs", "gauge", "metric names should not contain ':'"),
    ],
)
def test_the_restated_rules_find_what_promtool_finds(name, kind, problem):
    family = SimpleNamespace(name=name, type=kind, documentation="Help.", samples=[])

    assert lint(family) == [f"{name}: {problem}"]


@at.needs_pages
def test_the_page_is_served_in_both_formats_on_the_host_and_port_of_the_variables(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    port = at.free_port()
    program = "agent_otel.configure(); work(runs=3); print('up', flush=True); input()"
    with at.started(program, **at.page_on(port)):
        text, openmetrics = at.scrape(port), at.scrape(port, accept=OPENMETRICS)

    sample = 'agent_otel_runs_total{agent_otel_run_status="ok",agent_otel_run_stop_reason="completed",gen_ai_agent_name="bot"} 3.0'
    assert sample in text
    assert sample in openmetrics
    assert openmetrics.endswith("# EOF\n")
