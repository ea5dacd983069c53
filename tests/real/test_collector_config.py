"""Every configuration of the Collector, combined as its head shows, before a real Collector.

What those of the vendors send is seen in test_vendor_configs.py, the ways to Prometheus in test_paths.py.
"""

import os
import re
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk import metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from agent_otel import catalog
from tests import receivers as at
from tests.collector_configs import COMMANDS, FOLDER, NOT_HERE, load, may_be_set, must_be_set
from tests.real.servers import Collector, Prometheus, VictoriaMetrics, tool, until

# Values that a variable could have; what isn't named here is a word.
VALUES = dict.fromkeys(("AZURE_OTLP_METRICS_URL", "GATEWAY_ENDPOINT"), "https://example.invalid/otlp")
VALUES |= dict.fromkeys(("ELASTIC_OTLP_ENDPOINT", "GRAFANA_CLOUD_OTLP_ENDPOINT"), "https://example.invalid")
VALUES |= {"GATEWAY_HOSTNAMES": "gateway-0:4317,gateway-1:4317"}

WITHOUT = [command for command in COMMANDS if not {*command} & {*NOT_HERE.values()}]
WITH = [command for command in COMMANDS if command not in WITHOUT]
MISSING = [(command, name) for command in COMMANDS for name in must_be_set(command)]


@pytest.fixture
def validate(tmp_path):
    """Runs `otelcol validate` with these variables and no others; gives what it says, nothing if all is well."""

    def run(command, variables):
        files = [flag for file in command for flag in ("--config", here(file, tmp_path))]
        environment = {"PATH": os.environ["PATH"], "OTELCOL_STORAGE_DIR": str(tmp_path), **variables}
        done = subprocess.run(
            [tool("otelcol"), "validate", *files],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == bool(done.stderr)
        return done.stderr

    return run


def here(file, folder):
    """The file, without the extension that this Collector doesn't have."""
    if file not in NOT_HERE.values():
        return FOLDER / file
    config = load(file)
    (extension,) = config["extensions"].keys() & NOT_HERE.keys()
    del config["extensions"][extension], config["exporters"]["otlp_http/backend"]["auth"]
    config["service"]["extensions"].remove(extension)
    stripped = folder / file.replace("/", "-")
    stripped.write_text(yaml.safe_dump(config))
    return stripped


def values(command):
    return {name: VALUES.get(name, "a-word") for name in must_be_set(command)}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_config_is_valid(command, validate):
    assert "" == validate(command, values(command))


@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize(
    ("command", "name"), MISSING, ids=lambda part: part if isinstance(part, str) else part[-1]
)
def test_a_missing_variable_is_named(command, name, empty, validate):
    given = values(command)
    del given[name]

    said = validate(command, given | ({name: ""} if empty else {}))

    assert f"extensions::bearertokenauth/{name}: no bearer token provided" in said


@pytest.mark.parametrize(("file", "name"), may_be_set())
def test_an_empty_variable_is_no_default_and_is_named(file, name, validate):
    command = min((command for command in COMMANDS if file in command), key=len)

    said = validate(command, values(command) | {name: ""})

    assert f"extensions::bearertokenauth/{name}: no bearer token provided" in said


def test_a_collector_that_would_listen_everywhere_doesnt_start(tmp_path):
    with (
        pytest.raises(AssertionError, match="bearertokenauth/OTELCOL_LISTEN: no bearer token provided"),
        Collector(tmp_path, "base.yaml", "local.yaml", OTELCOL_LISTEN=""),
    ):
        pass


def test_a_base_without_a_backend_asks_for_one(validate):
    assert "otlp_http/backend: at least one endpoint must be specified" in validate(["base.yaml"], {})


@pytest.mark.parametrize("command", WITH, ids=" ".join)
def test_an_extension_that_is_said_to_be_missing_is_missing(command):
    files = [flag for file in command for flag in ("--config", FOLDER / file)]

    done = subprocess.run([tool("otelcol"), "validate", *files], capture_output=True, text=True, check=False)

    assert any(f'unknown type: "{extension}"' in done.stderr for extension in NOT_HERE)


@pytest.mark.parametrize("files", [("from-traces.yaml", "guard.yaml"), ("guard.yaml", "from-traces.yaml")])
def test_the_guard_and_the_traces_are_refused_together_until_both_are_received(files, validate):
    command = ("base.yaml", "local.yaml", *files)
    both = "yaml:service::pipelines::metrics::receivers: [forward/guarded, forward/from_traces]"

    assert "not used in any supported receiver pipeline" in validate(command, {})
    done = subprocess.run(
        [
            tool("otelcol"),
            "validate",
            *(flag for file in command for flag in ("--config", FOLDER / file)),
            "--config",
            both,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("", 0) == (done.stderr, done.returncode)


@pytest.mark.parametrize("command", WITHOUT, ids=" ".join)
def test_a_config_starts_and_listens_on_loopback_alone(command, tmp_path):
    with Collector(tmp_path, *command, **values(command)) as running:
        listening = sockets(running.process.pid)

    assert {running.http_port, running.grpc_port, running.telemetry_port} <= {port for _, port in listening}
    assert {"127.0.0.1"} == {address for address, _ in listening}


def sockets(pid):
    """Where a process listens over TCP, IPv4 and IPv6."""
    found = set()
    process = Path(f"/proc/{pid}")
    own = set()
    for file in process.joinpath("fd").iterdir():
        with suppress(FileNotFoundError):  # closed by now
            own.add(str(file.readlink()))
    for table in ("tcp", "tcp6"):
        for line in process.joinpath("net", table).read_text().splitlines()[1:]:
            words = line.split()
            address, _, port = words[1].partition(":")
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add(("127.0.0.1" if address == "0100007F" else address, int(port, 16)))
    return found


# Where it arrives


RUNS = """
agent_otel.configure()
work(runs=3)
"""


def test_a_program_arrives_in_prometheus_by_otlp_as_it_is_shipped(tmp_path):
    shipped = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    config = {key: shipped[key] for key in ("global", "otlp", "storage")}  # not its rules and targets
    with (
        Prometheus(tmp_path, config) as prometheus,
        Collector(
            tmp_path, "base.yaml", "backends/prometheus-otlp.yaml", PROMETHEUS_URL=prometheus.url
        ) as running,
    ):
        at.run(RUNS, OTEL_EXPORTER_OTLP_ENDPOINT=running.endpoint, AGENT_OTEL_RELEASE="1.2.3")
        question = 'sum by (gen_ai_agent_version) (agent_otel_runs_total{service_instance_id!=""})'
        until(lambda: prometheus.query(question) == {frozenset({("gen_ai_agent_version", "1.2.3")}): 3})


def test_a_program_arrives_in_victoriametrics(tmp_path):
    with (
        VictoriaMetrics(tmp_path, "-opentelemetry.usePrometheusNaming") as database,
        Collector(
            tmp_path, "base.yaml", "backends/victoriametrics.yaml", VICTORIAMETRICS_URL=database.base
        ) as running,
    ):
        at.run(RUNS, OTEL_EXPORTER_OTLP_ENDPOINT=running.endpoint)
        until(lambda: database.value("sum(agent_otel_runs_total)") == 3)


def test_the_readmes_second_backend_gets_what_programs_sent_and_the_first_what_it_wants(tmp_path):
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```$", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    second = tmp_path / "second.yaml"
    second.write_text(block)
    files = ("base.yaml", "gateway/agent.yaml", "gateway/agent-to-delta.yaml", second)
    with at.otlp_http() as delta, at.otlp_http() as cumulative:
        to = {"GATEWAY_ENDPOINT": delta, "SECOND_ENDPOINT": cumulative}
        urls = {name: f"http://127.0.0.1:{receiver.port}" for name, receiver in to.items()}
        with Collector(tmp_path, *files, **urls) as running, program(running) as provider:
            counter = provider.get_meter("test").create_counter("work")
            for exports in (1, 2):
                counter.add(3)
                assert provider.force_flush()
                delta.wait_for(exports)
                cumulative.wait_for(exports)
            arrived = [[point.as_int for *_, point in points(receiver)] for receiver in (delta, cumulative)]

    assert [[3, 3], [3, 6]] == arrived


# What becomes of cumulative points where the backend wants delta


@contextmanager
def sent_on(folder, *files):
    """A receiver, and a Collector that sends on to it."""
    with at.otlp_http() as received:
        url = f"http://127.0.0.1:{received.port}"
        with Collector(folder, "base.yaml", "gateway/agent.yaml", *files, GATEWAY_ENDPOINT=url) as running:
            yield received, running


@contextmanager
def program(running, temporality=AggregationTemporality.CUMULATIVE, views=()):
    """A provider that exports to the Collector when it is flushed, as any program's does."""
    wanted = dict.fromkeys((metrics.Counter, metrics.Histogram), temporality)
    exporter = OTLPMetricExporter(f"{running.endpoint}/v1/metrics", preferred_temporality=wanted)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = metrics.MeterProvider([reader], Resource({"service.instance.id": "1"}), views=views)
    try:
        yield provider
    finally:
        provider.shutdown()


def points(received, first=0):
    """Metric, attributes, kind and point of everything that came, from an export on."""
    for request in received.exports[first:]:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        yield (
                            metric.name,
                            {pair.key: pair.value.string_value for pair in point.attributes},
                            kind,
                            point,
                        )


def test_a_collector_that_is_started_anew_counts_nothing_twice(tmp_path):
    with (
        sent_on(tmp_path, "gateway/agent-to-delta.yaml") as (received, running),
        program(running) as provider,
    ):
        counter = provider.get_meter("test").create_counter("work")

        def export(number, **attributes):
            counter.add(number, attributes)
            assert provider.force_flush()

        export(3, when="before")
        export(4, when="before")
        until(lambda: counted(received) == {"before": 7})
        running.kill()
        running.start()
        export(50, when="before")  # kept back, since the old Collector may have counted it
        export(6, when="before")
        export(8, when="after")
        until(lambda: counted(received) == {"before": 7 + 6, "after": 8})


def counted(received):
    """The sum of all deltas by their only attribute."""
    found = Counter()
    for _, attributes, _, point in points(received):
        found.update({attributes["when"]: point.as_int})
    return found


# The guard

BOTH = pytest.mark.parametrize(
    "temporality",
    [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA],
    ids=["cumulative", "delta"],
)
USERS = 20


MERGED = {
    "counter": "sum",
    "active": "sum",
    "depth": "gauge",
    "histogram": "histogram",
    "exponential_count": "sum",
    "exponential_sum": "sum",
}


@BOTH
def test_the_guard_merges_what_is_left_identical(tmp_path, temporality):
    exponential = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    with (
        sent_on(tmp_path, "guard.yaml") as (received, running),
        program(running, temporality, [exponential]) as provider,
    ):
        for export in (1, 2):
            measure(provider.get_meter("foreign"))
            assert provider.force_flush()
            until(lambda seen=export: len(received.exports) == seen)
        found = [*points(received, first=1)]

    merged = {name: point for name, attributes, _, point in found if attributes == {"tool": "search"}}
    times = 1 if temporality is AggregationTemporality.DELTA else 2
    assert sorted((name, kind) for name, _, kind, _ in found) == sorted(
        [*MERGED.items(), *[("clean", "sum")] * USERS]
    )
    assert merged["counter"].as_int == 2 * USERS * times
    assert merged["active"].as_int == 2 * USERS
    assert merged["depth"].as_int == USERS - 1
    assert merged["histogram"].count == sum(merged["histogram"].bucket_counts) == USERS * times
    assert merged["histogram"].sum == sum(range(USERS)) * times
    assert merged["exponential_count"].as_int == USERS * times
    assert merged["exponential_sum"].as_double == pytest.approx(sum(map(wide, range(USERS))) * times)


def measure(meter):
    """What a library measures that puts into labels what is none."""
    for user in range(USERS):
        attributes = {
            "user.id": f"u{user}",
            "gen_ai.prompt": "hello",
            "app.Session-ID": "s",
            "tool": "search",
        }
        meter.create_counter("counter").add(2, attributes)
        meter.create_up_down_counter("active").add(1, attributes)
        meter.create_gauge("depth").set(user, attributes)
        meter.create_histogram("histogram").record(user, attributes)
        meter.create_histogram("exponential").record(wide(user), attributes)
        meter.create_counter("clean").add(1, {"tool": f"t{user}"})


def wide(user):
    """Values so far apart that exponential histograms of several have several scales."""
    return 1.7**user


def many(number, first=0):
    """An export of one counter and one histogram, with a point for each user; its SDK began each at another time."""
    made = ExportMetricsServiceRequest()
    now = time.time_ns()
    scope = made.resource_metrics.add().scope_metrics.add()
    for name in ("counter", "histogram"):
        metric = scope.metrics.add(name=name)
        data = metric.sum if name == "counter" else metric.histogram
        data.aggregation_temporality = 1  # delta
        for user in range(first, first + number):
            point = data.data_points.add(time_unix_nano=now, start_time_unix_nano=now - 1000 - user)
            for key, value in (("enduser.id", f"u{user}"), ("tool", f"t{user % 2}")):
                point.attributes.add(key=key).value.string_value = value
            if name == "counter":
                point.as_int = 1
            else:
                point.count, point.sum = 1, user
                point.explicit_bounds.extend(range(9))
                point.bucket_counts.extend([0] * 9 + [1])
            exemplar = point.exemplars.add(time_unix_nano=now, as_int=1, trace_id=bytes(15) + b"1")
            exemplar.filtered_attributes.add(key="user.id").value.string_value = f"u{user}"
    return made


def send(running, message):
    headers = {"Content-Type": "application/x-protobuf"}
    request = Request(f"{running.endpoint}/v1/metrics", message.SerializeToString(), headers)
    with urlopen(request, timeout=at.SECONDS) as answer:
        assert answer.status == 200


def test_the_guard_merges_ten_thousand_points_of_one_export(tmp_path):
    with sent_on(tmp_path, "guard.yaml") as (received, running):
        send(running, many(10_000))
        received.wait_for(1)

    found = {(name, attributes["tool"]): point for name, attributes, _, point in points(received)}
    assert len(found) == len([*points(received)]) == 4
    assert [found["counter", tool].as_int for tool in ("t0", "t1")] == [5000, 5000]
    assert [found["histogram", tool].count for tool in ("t0", "t1")] == [5000, 5000]
    assert sum(found["histogram", tool].sum for tool in ("t0", "t1")) == sum(range(10_000))


@BOTH
def test_the_guard_makes_counters_of_a_histogram_with_several_bounds(tmp_path, temporality):
    made = ExportMetricsServiceRequest()
    now = time.time_ns()
    scope = made.resource_metrics.add().scope_metrics.add()
    for name, bounds in (("mixed", [(1, 2), (1, 2), (1, 2, 4)]), ("same", [(1, 2)] * 3)):
        histogram = scope.metrics.add(name=name).histogram
        histogram.aggregation_temporality = 2 if temporality is AggregationTemporality.CUMULATIVE else 1
        for user, each in enumerate(bounds):
            point = histogram.data_points.add(time_unix_nano=now, start_time_unix_nano=now - 1000)
            point.attributes.add(key="user.id").value.string_value = f"u{user}"
            point.count, point.sum = 5, 15
            point.explicit_bounds.extend(each)
            point.bucket_counts.extend([0, 0, 5, 0][: len(each) + 1])
    with sent_on(tmp_path, "guard.yaml") as (received, running):
        send(running, made)
        received.wait_for(1)

    found = {name: point for name, *_, point in points(received)}
    assert len(found) == len([*points(received)]) == 3
    assert (15, 45) == (found["mixed_count"].as_int, found["mixed_sum"].as_double)
    assert (15, [0, 0, 15]) == (found["same"].count, found["same"].bucket_counts)


def test_the_guard_leaves_an_exemplar_its_trace_and_no_attribute(tmp_path):
    with sent_on(tmp_path, "guard.yaml") as (received, running):
        send(running, many(10))
        received.wait_for(1)

    exemplars = [
        each for *_, kind, point in points(received) if kind == "histogram" for each in point.exemplars
    ]
    assert len(exemplars) == 10
    assert {(each.trace_id, len(each.filtered_attributes)) for each in exemplars} == {(bytes(15) + b"1", 0)}


def test_the_guard_doesnt_merge_what_comes_in_two_requests(tmp_path):
    with sent_on(tmp_path, "guard.yaml") as (received, running):
        send(running, many(10))
        send(running, many(10, first=10))
        until(lambda: len([*points(received)]) == 8)

    assert 10 + 10 == sum(point.as_int for name, *_, point in points(received) if name == "counter")


def test_the_guard_drops_a_summary_with_a_forbidden_key(tmp_path):
    made = many(1)
    summary = made.resource_metrics[0].scope_metrics[0].metrics.add(name="summary").summary.data_points
    summary.add(count=1).attributes.add(key="user.id").value.string_value = "u"
    kept = made.resource_metrics[0].scope_metrics[0].metrics.add(name="clean").summary.data_points
    kept.add(count=1).attributes.add(key="tool").value.string_value = "t"
    with sent_on(tmp_path, "guard.yaml") as (received, running):
        send(running, made)
        received.wait_for(1)

    assert {"counter", "histogram", "clean"} == {name for name, *_ in points(received)}


def test_the_guard_changes_nothing_of_the_sdks_own(tmp_path):
    with sent_on(tmp_path, "guard.yaml") as (received, running), at.otlp_http() as beside:
        for endpoint in (running.endpoint, f"http://127.0.0.1:{beside.port}"):
            at.run(RUNS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        received.wait_for(1)

    assert series(received) == series(beside)
    assert 3 == received.total(catalog.RUNS.name)


def series(received):
    return Counter(
        (name, kind, *sorted(attributes.items())) for name, attributes, kind, _ in points(received)
    )
