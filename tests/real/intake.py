"""An OTLP intake that a test makes fail: it takes, refuses, or takes and never answers."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

from agent_otel import catalog
from tests import receivers as at


class Intake(at.Received):
    """What came, and the `mood` that the next request finds: `takes`, `refuses` or `never answers`."""

    def __init__(self, port):
        super().__init__(port)
        self.url = f"http://127.0.0.1:{port}"
        self.mood = "takes"
        self.is_over = threading.Event()

    @property
    def counts(self):
        """The runs in each export of a program, however a Collector packed them, in the order of arrival."""
        each = [
            points_of(resource) for request in list(self.exports) for resource in request.resource_metrics
        ]
        return [
            sum(point.as_int for name, point in points if name == catalog.RUNS.name)
            for points in each
            if any(name == catalog.RUNS.name for name, _ in points)
        ]


def points_of(resource):
    """Each point of a resource, with its metric's name."""
    return [
        (metric.name, point)
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


@contextmanager
def intake():
    """An intake on loopback, at any path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            mood = found.mood
            if mood != "refuses":
                found.add(service.ExportMetricsServiceRequest.FromString(body))
            if mood == "never answers":
                found.is_over.wait()
                self.close_connection = True
                return
            self.send_response(503 if mood == "refuses" else 200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Say nothing: the peer was killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        found = Intake(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.is_over.set()
        server.shutdown()
