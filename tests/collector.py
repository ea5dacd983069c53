"""A real OTLP receiver, a process of its own: rotel, which hands on what it received to a server of the test."""

import gzip
import os
import queue
import socket
import subprocess
import sysconfig
import threading
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.receivers import free_port


def why_not():
    """What keeps rotel from running here; nothing, mostly."""
    done = subprocess.run(
        [_agent(), "version"], env=_environment(), capture_output=True, text=True, check=False
    )
    return done.stderr.strip()


def _agent():
    import rotel

    return Path(rotel.__file__).with_name("rotel-agent")


def _environment():
    """For the program, which is linked with Python's own library, wherever that is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ROTEL_"))}
    return {**kept, "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}


class Collector:
    """rotel on loopback, from `with` to its end.

    Its endpoint speaks http/protobuf or gRPC; `received` gives what was sent there, after rotel decoded and encoded
    it again.
    """

    def __init__(self, seconds=30):
        self._seconds = seconds
        self._ports = {"http/protobuf": free_port(), "grpc": free_port()}
        self._arriving = queue.SimpleQueue()
        self._kept = defaultdict(list)

    def endpoint(self, protocol):
        return f"http://127.0.0.1:{self._ports[protocol]}"

    def received(self, service, exports):
        """The first exports of a service: their ResourceMetrics, since rotel may join several in one request."""
        deadline = time.monotonic() + self._seconds
        while len(self._kept[service]) < exports:
            for resource in self._arriving.get(timeout=deadline - time.monotonic()).resource_metrics:
                names = [
                    pair.value.string_value
                    for pair in resource.resource.attributes
                    if pair.key == "service.name"
                ]
                self._kept[names[0]].append(resource)
        return self._kept[service]

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._arriving))
        self._serving = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._serving.start()
        try:
            self._start()
        except BaseException:
            self._stop_serving()
            raise
        return self

    def __exit__(self, *raised):
        self._end()
        self._stop_serving()

    def _start(self):
        options = {
            "otlp-http-endpoint": f"127.0.0.1:{self._ports['http/protobuf']}",
            "otlp-grpc-endpoint": f"127.0.0.1:{self._ports['grpc']}",
            "exporter": "otlp",
            "otlp-exporter-protocol": "http",
            "otlp-exporter-endpoint": f"http://127.0.0.1:{self._server.server_port}",
            "batch-timeout": "20ms",
        }
        self._process = subprocess.Popen(
            [
                _agent(),
                "start",
                *(word for name, value in options.items() for word in (f"--{name}", value)),
            ],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + self._seconds
        while not all(map(_is_open, self._ports.values())):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.02)
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rotel doesn't listen: {self._end()}")

    def _end(self):
        self._process.terminate()
        try:
            return self._process.communicate(timeout=self._seconds)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.communicate()[0]

    def _stop_serving(self):
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


def _is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _handler(arriving):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            arriving.put(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    return Handler
