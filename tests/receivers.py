"""What the tests of export share: receivers on loopback, and programs run as processes of their own."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

SECONDS = 60  # a deadline, never a wait
SDK = tuple(int(part) for part in version("opentelemetry-sdk").split(".")[:2])
WRAPPER = (str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable)

# What an SDK can't have is no missing tool: these tests are skipped under AGENT_OTEL_REQUIRE_TOOLS=1 as well.
needs_pages = pytest.mark.skipif(
    SDK < (1, 43), reason="opentelemetry-exporter-prometheus 0.64b0 needs SDK 1.43"
)
needs_files = pytest.mark.skipif(SDK < (1, 44), reason="opentelemetry-configuration needs SDK 1.44")

# What every program of these tests does: an agent that runs, calls a model and uses a tool.
AGENT = """
import agent_otel

def work(agent="bot", runs=1):
    for _ in range(runs):
        with agent_otel.run(agent) as run:
            with run.inference("gpt-5", provider="openai") as call:
                call.tokens(input=10, output=5)
            with run.tool("search"):
                pass
"""


class Received:
    """What an OTLP receiver got, as the last point of each stream of each process."""

    def __init__(self, port):
        self.port = port
        self.exports = []
        self.resources = {}
        self._points = {}
        self._changed = threading.Condition()

    def add(self, request):
        with self._changed:
            self.exports.append(request)
            for resource in request.resource_metrics:
                attributes = _plain(resource.resource.attributes)
                instance = attributes.get("service.instance.id")
                self.resources[instance] = attributes
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self._take(instance, scope.scope.name, metric)
            self._changed.notify_all()

    def _take(self, instance, scope, metric):
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = tuple(sorted(_plain(point.attributes).items()))
            self._points[instance, scope, metric.name, labels] = kind, point

    def points(self, name):
        """The kind and point of each stream of a metric, by process and attributes."""
        with self._changed:
            return {
                (instance, labels): found
                for (instance, _, metric, labels), found in self._points.items()
                if metric == name
            }

    def names(self, scope=None):
        """Every metric's name; those of one scope, if given."""
        with self._changed:
            return sorted({name for _, found, name, _ in self._points if scope in {None, found}})

    def totals(self, name):
        """A counter's value, or a histogram's count, by process."""
        table = Counter()
        for (instance, _), (kind, point) in self.points(name).items():
            table[instance] += (point.as_int or point.as_double) if kind in {"sum", "gauge"} else point.count
        return dict(table)

    def total(self, name):
        """The same over all processes, as a backend adds them up."""
        return sum(self.totals(name).values())

    def wait_for(self, exports):
        """Wait until so many exports have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.exports) >= exports, SECONDS)


def _plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@contextmanager
def otlp_http():
    """A receiver of OTLP over HTTP with protobuf."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

    unpack = {None: bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = unpack[self.headers["Content-Encoding"]](
                self.rfile.read(int(self.headers["Content-Length"]))
            )
            if self.path == "/v1/metrics":
                received.add(service.ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Received(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield received
        server.shutdown()


@contextmanager
def otlp_grpc():
    """A receiver of OTLP over gRPC."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as stubs

    class Servicer(stubs.MetricsServiceServicer):
        def Export(self, request, context):  # noqa: N802 -- the service's own word
            received.add(request)
            return service.ExportMetricsServiceResponse()

    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool)
        stubs.add_MetricsServiceServicer_to_server(Servicer(), server)
        received = Received(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        yield received
        server.stop(None).wait()


@contextmanager
def black_hole():
    """The port of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def taken_port():
    """A port that another program holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    """A port that nobody holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def environment(settings):
    """The environment without any setting of OpenTelemetry's or ours but these; exports happen when asked for."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OTEL_"))
    }
    return (
        kept
        | {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
        | {name: str(value) for name, value in settings.items()}
    )


def over_http(received):
    """The variables that send metrics to such a receiver."""
    return {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{received.port}",
    }


def over_grpc(received):
    """The variables that send metrics to such a receiver."""
    return over_http(received) | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


def page_on(port):
    """The variables that serve the Prometheus page there."""
    return {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": port,
    }


def run(code, *command, check=True, **settings):
    """Run a program to its end, under these variables."""
    arguments = [*(command or (sys.executable,)), "-c", AGENT + code]
    done = subprocess.run(
        arguments, env=environment(settings), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@contextmanager
def started(code, *command, **settings):
    """Run a program beside the test, from its first line of output to the end of the block."""
    process = subprocess.Popen(
        [*(command or (sys.executable,)), "-c", AGENT + code],
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            process.first_line = process.stdout.readline().strip()
            yield process
        finally:
            process.kill()


def scrape(port, accept="text/plain", query=""):
    """The page that Prometheus sees."""
    request = Request(f"http://127.0.0.1:{port}/metrics{query}", headers={"Accept": accept})
    with urlopen(request, timeout=SECONDS) as answer:
        return answer.read().decode()


def took(action):
    """The seconds that an action takes, and what it gives."""
    began = time.monotonic()
    given = action()
    return time.monotonic() - began, given
