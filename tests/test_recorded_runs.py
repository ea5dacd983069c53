"""150 real runs are replayed; what came out, by each way out, is compared with the record itself."""

import urllib.request
from functools import partial

import pytest

from agent_otel import catalog
from tests.collector import Collector, why_not
from tests.optional import do_without, need
from tests.read_back import from_console, from_otlp, from_page, selected
from tests.recorded_contract import MODEL_CALLS, RECORDS, TOOL_CALLS, Buckets
from tests.recorded_runs import FILES
from tests.replays import EXAMPLE, REPLAY, SECONDS, ended, served

EXPORTS = {REPLAY: len(FILES) + 1, EXAMPLE: 1}


def by_page(program, accept, request):
    need("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as strict_parser

    with served(program, OTEL_METRICS_EXPORTER="prometheus") as address:
        asking = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(asking, timeout=SECONDS) as answer:
            kind, page = answer.headers["Content-Type"], answer.read().decode()

    assert kind.startswith(accept)

    reader = strict_parser if "openmetrics" in accept else parser
    return from_page(reader.text_string_to_metric_families(page))


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


class TestEveryWay(Buckets):
    """`points` has each of them."""


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
