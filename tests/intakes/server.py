"""The intakes on the wire: an HTTPS proxy on loopback that answers for the vendors' own hosts and never goes out.

    with Intakes(tmp_path) as intakes:
        run(..., **intakes.variables)  # HTTPS_PROXY and the authority to trust

A program keeps the vendor's URL as it is shipped. It asks the proxy for `CONNECT otlp.datadoghq.com:443`; the proxy
wraps the connection in TLS, with a certificate for that host from an authority made for the test, and serves the intake
itself. A host that no vendor has is refused, as a name that doesn't resolve.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from tests.intakes.rules import PROTOBUF, Lost, Refused, Rejected, Request, data_of
from tests.intakes.vendors import INTAKES
from tests.optional import need

NO_SUCH_HOST = 502


class Intakes:
    """All vendors behind one proxy, from `with` to its end.

    Args:
        folder: For the authority's certificate.

    Attributes:
        asked: The host of each request.
        strangers: The hosts that were asked for and no vendor has.
        taken: The requests that were taken.
        refused: The others, with status and reason.
        rejected: Parts of those that were taken.
        lost: What of them isn't kept, of which the sender isn't told.
    """

    def __init__(self, folder):
        authority = need("trustme").CA()
        self._certificate = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self._certificate))
        self._intakes = {host: intake for intake in INTAKES.values() for host in intake.hosts}
        self.asked, self.strangers, self.taken = [], [], []
        self.refused, self.rejected, self.lost = [], [], []
        self._told = {Refused: self.refused, Rejected: self.rejected, Lost: self.lost}

        @cache
        def context(host):
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(host).configure_cert(made)
            return made

        self.context = context

    def __enter__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.intakes = self
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *raised):
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()

    @property
    def variables(self):
        """The variables that send a program of Python or of Go here."""
        proxy = f"http://127.0.0.1:{self._server.server_port}"
        names = ("HTTPS_PROXY", "https_proxy")
        none = ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "CURL_CA_BUNDLE")
        trust = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        return (
            dict.fromkeys(names, proxy)
            | dict.fromkeys(none, "")
            | dict.fromkeys(trust, str(self._certificate))
        )

    def find(self, host):
        """The intake of a host."""
        if host not in self._intakes:
            self.strangers.append(host)
        return self._intakes.get(host)

    def judge(self, request):
        """What is wrong with a request; what is taken of it is kept."""
        self.asked.append(request.host)
        found = self._intakes[request.host].judge(request)
        for verdict in found:
            self._told[type(verdict)].append(verdict)
        if not any(isinstance(verdict, Refused) for verdict in found):
            self.taken.append(request)
        return found

    @property
    def found_wrong(self):
        """Everything but what was taken and kept."""
        return self.strangers + self.refused + self.rejected + self.lost

    @property
    def resources(self):
        """What `read_back.from_otlp` reads."""
        return [resource for request in self.taken for resource in request.message.resource_metrics]

    @property
    def temporalities(self):
        """Of the counters and histograms that were taken."""
        return {
            "delta"
            if data_of(metric).aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
            else "cumulative"
            for request in self.taken
            for metric in request.metrics
            if "histogram" in metric.WhichOneof("data")
            or (metric.HasField("sum") and metric.sum.is_monotonic)
        }

    @property
    def track_items(self):
        """What was sent by Azure's own protocol."""
        return [item for request in self.taken for item in json.loads(request.unpacked)]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that goes away, or doesn't trust the authority, says so itself."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None

    def do_CONNECT(self):
        host = self.path.rpartition(":")[0]
        if self.server.intakes.find(host) is None:
            self.send_error(NO_SUCH_HOST, f"{host} can't be resolved")
            return
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.connection = self.server.intakes.context(host).wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.host = host
        self.close_connection = False

    def do_POST(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        request = Request(self.host, self.path, headers, body)
        found = self.server.intakes.judge(request)
        status, kind, answer = _answer(found, self.server.intakes.find(self.host).speaks, request)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def finish(self):
        super().finish()
        self.connection.close()

    def log_message(self, *words):
        pass


def _answer(found, speaks, request):
    if speaks == "track":
        return _track_answer(found, len(json.loads(request.unpacked)))
    answer = ExportMetricsServiceResponse()
    for verdict in found:
        match verdict:
            case Refused(status, reason) if speaks == "status":
                return status, PROTOBUF, Status(message=reason).SerializeToString()
            case Refused(status, reason):
                return status, "application/json", json.dumps({"errors": [reason]}).encode()
            case Rejected(points, reason):
                answer.partial_success.rejected_data_points = points
                answer.partial_success.error_message = reason
    return 200, PROTOBUF, answer.SerializeToString()


def _track_answer(refused, items):
    errors = [{"index": 0, "statusCode": status, "message": reason} for status, reason in refused]
    answer = {"itemsReceived": items, "itemsAccepted": 0 if errors else items, "errors": errors}
    return errors[0]["statusCode"] if errors else 200, "application/json", json.dumps(answer).encode()
