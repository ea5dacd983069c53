"""150 real runs are replayed; what came out, by each way out, is compared with the record itself."""

import math
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from agent_otel import catalog
from tests.collector import Collector, free_port, why_not
from tests.optional import do_without, need
from tests.read_back import PAGE, from_console, from_otlp, from_page, percentile, selected, sums, totals
from tests.recorded_runs import FILES, SAID, load

HERE = Path(__file__).resolve().parent
REPLAY = HERE / "recorded_runs.py"
EXAMPLE = HERE.parent / "examples" / "replay_recorded_runs.py"
EXPORTS = {REPLAY: len(FILES) + 1, EXAMPLE: 1}
LAST_WORDS = {REPLAY: SAID, EXAMPLE: "150 runs replayed\n"}
SECONDS = 60  # nothing is waited for longer

AGENT, RELEASE = catalog.A
NOTHING_TO_TELL = {  # without a run in flight, a call without usage, a loss
    catalog.ACTIVE_RUNS,
    catalog.OLDEST_AGE,
    catalog.USAGE_MISSING,
    catalog.DROPPED_ATTRIBUTES,
    catalog.DROPPED_MEASUREMENTS,
}
RECORDS = load()
MODEL_CALLS = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "llm"]
TOOL_CALLS = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "tool"]


# The ways out.


def environment(**variables):
    """This process's, without what would configure OpenTelemetry, and with warnings as errors."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OTEL_"))
    }
    return {**kept, "PYTHONWARNINGS": "error", **variables}


@contextmanager
def served(program):
    """The address of the program's page, from the moment that everything is on it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, program],
        env=environment(
            OTEL_METRICS_EXPORTER="prometheus",
            OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
            OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = threading.Timer(SECONDS, process.kill)
    deadline.start()
    try:
        said = []
        while not said or (said[-1] and "served" not in said[-1]):
            said.append(process.stderr.readline())

        assert said[-1], f"{program.name} ended, or took more than {SECONDS} s: {''.join(said)}"

        yield f"http://127.0.0.1:{port}/metrics"
        process.send_signal(signal.SIGINT)
        process.wait()

        assert process.stderr.read() == ""
        assert process.returncode == 0
    finally:
        deadline.cancel()
        process.kill()
        process.communicate()


def by_page(program, accept, request):
    need("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as strict_parser

    with served(program) as address:
        asking = urllib.request.Request(address, headers={"Accept": accept})
        with urllib.request.urlopen(asking, timeout=SECONDS) as answer:
            kind, page = answer.headers["Content-Type"], answer.read().decode()

    assert kind.startswith(accept)

    reader = strict_parser if "openmetrics" in accept else parser
    return from_page(reader.text_string_to_metric_families(page))


def ended(program, **variables):
    """What the program printed on its way to a good end."""
    done = subprocess.run(
        [sys.executable, program],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert LAST_WORDS[program] == done.stderr
    assert done.returncode == 0

    return done.stdout


def by_otlp(program, protocol, temporality, request):
    module, extra = {"http/protobuf": ("http", "otlp"), "grpc": ("grpc", "grpc")}[protocol]
    need(f"opentelemetry.exporter.otlp.proto.{module}", f"pip install 'agent-otel[{extra}]'")
    need("rotel")
    if problem := why_not():
        do_without(f"rotel doesn't run, its wheel needs a Python with a shared library: {problem}")
    collector = request.getfixturevalue("collector")
    service = f"{program.stem}-{module}-{temporality}"
    ended(
        program,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_SERVICE_NAME=service,
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint(protocol),
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
    )
    return from_otlp(collector.received(service, EXPORTS[program]))


def by_console(program, request):
    return from_console(ended(program, OTEL_METRICS_EXPORTER="console"))


WAYS = {
    "the page as text": partial(by_page, REPLAY, "text/plain"),
    "the page as OpenMetrics": partial(by_page, REPLAY, "application/openmetrics-text"),
    "OTLP over HTTP, cumulative": partial(by_otlp, REPLAY, "http/protobuf", "cumulative"),
    "OTLP over HTTP, delta": partial(by_otlp, REPLAY, "http/protobuf", "delta"),
    "OTLP over gRPC, cumulative": partial(by_otlp, REPLAY, "grpc", "cumulative"),
    "OTLP over gRPC, delta": partial(by_otlp, REPLAY, "grpc", "delta"),
    "the example's page": partial(by_page, EXAMPLE, "text/plain"),
    "the example, OTLP": partial(by_otlp, EXAMPLE, "http/protobuf", "cumulative"),
    "the example, console": partial(by_console, EXAMPLE),
}


@pytest.fixture(scope="module")
def collector():
    with Collector(SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def gone():
    return {}


@pytest.fixture
def came_out(request, gone):
    """What a way gave; each is gone once."""

    def of(way):
        if way not in gone:
            gone[way] = WAYS[way](request)
        return gone[way]

    return of


@pytest.fixture(params=WAYS)
def points(request, came_out):
    return came_out(request.param)


# What the record says, and what came out.


def test_the_record_is_whole():
    assert (150, 1780, 967) == (len(RECORDS), len(MODEL_CALLS), len(TOOL_CALLS))


def test_every_metric_came_out(points):
    expected = set(PAGE) - NOTHING_TO_TELL

    assert expected == {metric for metric, found in points.items() if found} - NOTHING_TO_TELL


def test_every_run_is_counted_as_completed(points):
    expected = Counter((record["agent"], record["model"], "ok", "completed") for record in RECORDS)

    assert expected == totals(points, catalog.RUNS, AGENT, RELEASE, catalog.RUN_STATUS, catalog.STOP_REASON)


def test_every_run_lasted_as_long_as_recorded(points):
    seconds = defaultdict(float)
    for record in RECORDS:
        seconds[record["agent"], record["model"], None] += record["duration_s"]
    expected = {key: round(total, 3) for key, total in seconds.items()}

    assert expected == sums(points, catalog.RUN_DURATION, AGENT, RELEASE, catalog.ERROR_TYPE)


def test_every_model_call_is_counted_and_timed(points):
    calls, seconds = Counter(), defaultdict(float)
    for record, step in MODEL_CALLS:
        key = (record["agent"], record["provider"], record["model"], None)
        calls[key] += 1
        seconds[key] += step["duration_s"]
    attributes = (AGENT, catalog.PROVIDER, catalog.MODEL, catalog.ERROR_TYPE)

    assert calls == totals(points, catalog.INFERENCE_DURATION, *attributes)
    assert {key: round(total, 3) for key, total in seconds.items()} == sums(
        points, catalog.INFERENCE_DURATION, *attributes
    )


def test_every_tool_call_is_counted_and_timed(points):
    calls, seconds = Counter(), defaultdict(float)
    for record, step in TOOL_CALLS:
        calls[record["agent"], step["name"]] += 1
        seconds[record["agent"], step["name"]] += step["duration_s"]

    assert calls == totals(points, catalog.TOOL_DURATION, AGENT, catalog.TOOL_NAME)
    assert {key: round(total, 3) for key, total in seconds.items()} == sums(
        points, catalog.TOOL_DURATION, AGENT, catalog.TOOL_NAME
    )


def test_every_tool_error_is_counted_by_its_tool(points):
    expected = Counter((step["name"], "_OTHER") for _, step in TOOL_CALLS if step["error"])
    found = totals(points, catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE)

    assert expected == {(tool, error): count for (tool, error), count in found.items() if error}


def test_tokens_are_exact_by_model_and_type(points):
    tokens = Counter()
    for record, step in MODEL_CALLS:
        tokens[record["model"], "input"] += step["input_tokens"]
        tokens[record["model"], "output"] += step["output_tokens"]
    upstream = {
        (model, kind): count
        for kind, metric in (("input", catalog.INPUT_TOKENS), ("output", catalog.OUTPUT_TOKENS))
        for (model,), count in totals(points, metric, catalog.MODEL).items()
    }

    assert tokens == totals(points, catalog.TOKENS, catalog.MODEL, catalog.TOKEN_TYPE)
    assert tokens == upstream


@pytest.mark.parametrize(
    ("metric", "of_one_run"),
    [
        (catalog.RUN_STEPS, lambda steps: sum(step["type"] == "llm" for step in steps)),
        (catalog.RUN_INFERENCE_CALLS, lambda steps: sum(step["type"] == "llm" for step in steps)),
        (catalog.RUN_TOOL_CALLS, lambda steps: sum(step["type"] == "tool" for step in steps)),
        (
            catalog.RUN_TOKEN_USAGE,
            lambda steps: sum(step.get("input_tokens", 0) + step.get("output_tokens", 0) for step in steps),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_each_run_took_stands_in_its_bucket(points, metric, of_one_run):
    expected = defaultdict(lambda: [0] * (len(metric.bounds) + 1))
    total = Counter()
    for record in RECORDS:
        key = (record["agent"], record["model"])
        value = of_one_run(record["steps"])
        expected[key][sum(bound < value for bound in metric.bounds)] += 1
        total[key] += value
    found = selected(points, metric, AGENT, RELEASE)

    assert expected == {key: list(point.buckets) for key, point in found.items()}
    assert total == {key: point.sum for key, point in found.items()}


@pytest.mark.parametrize("attributes", [(AGENT,), (AGENT, RELEASE)], ids=["agent", "agent and release"])
def test_p95_of_the_run_time_is_within_15_percent(points, attributes):
    seconds = defaultdict(list)
    for record in RECORDS:
        seconds[(record["agent"], record["model"])[: len(attributes)]].append(record["duration_s"])
    found = selected(points, catalog.RUN_DURATION, *attributes)

    for key, of_runs in seconds.items():
        true = sorted(of_runs)[math.ceil(0.95 * len(of_runs)) - 1]  # 95 % of the runs took no longer

        assert pytest.approx(true, rel=0.15) == percentile(0.95, catalog.RUN_DURATION, found[key])


def test_tokens_times_price_is_what_claude_cost(points):
    billed = sum(record["agent_cost_usd"] for record in RECORDS if record["provider"] == "anthropic")
    priced_by = (catalog.PROVIDER, catalog.MODEL, catalog.TOKEN_TYPE)
    prices = totals(points, catalog.TOKEN_PRICE, *priced_by)
    tokens = totals(points, catalog.TOKENS, *priced_by)
    claude = [key for key in tokens if key[0] == "anthropic"]

    assert pytest.approx(billed, abs=0.005) == sum(tokens[key] * prices[key] for key in claude)
    assert pytest.approx(billed, abs=0.005) == selected(points, catalog.RUN_COST, AGENT)["airline",].sum


def test_solved_runs_are_evaluations(points):
    expected = Counter(
        (record["agent"], "task_solved", "pass" if record["reward"] == 1 else "fail") for record in RECORDS
    )
    found = totals(points, catalog.EVALUATIONS, AGENT, catalog.EVALUATION_NAME, catalog.EVALUATION_LABEL)

    assert expected == found
    assert sum(count for (*_, label), count in found.items() if label == "pass") == 102


def test_nothing_is_lost_and_no_run_stays_open(points):
    expected = {metric: {} for metric in NOTHING_TO_TELL}

    assert expected == {metric: totals(points, metric) for metric in NOTHING_TO_TELL}


@pytest.mark.parametrize("way", ["the page as text", "OTLP over HTTP, cumulative"])
def test_that_nothing_was_dropped_is_said(came_out, way):
    points = came_out(way)
    attributes = selected(points, catalog.DROPPED_ATTRIBUTES, catalog.DROP_REASON)

    assert {(reason,): 0 for reason in catalog.DROP_REASONS} == {
        reason: point.value for reason, point in attributes.items()
    }
    assert {frozenset(): 0} == {
        carried: point.value for carried, point in points[catalog.DROPPED_MEASUREMENTS].items()
    }


@pytest.mark.parametrize("way", ["OTLP over HTTP", "OTLP over gRPC"])
def test_deltas_add_up_to_the_cumulative_points(came_out, way):
    cumulative, delta = (
        {
            (metric.name, attributes): point._replace(sum=round(point.sum, 6))
            for metric, found in came_out(f"{way}, {temporality}").items()
            for attributes, point in found.items()
            if point.value  # under delta nothing starts at 0
        }
        for temporality in ("cumulative", "delta")
    )

    assert cumulative == delta
