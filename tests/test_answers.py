"""What servers answer to exports over HTTP: what counts as delivered, what is said of the rest, what is never shown."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult

from agent_otel._answers import Answers
from agent_otel._readers import Watched
from tests import receivers as at
from tests.optional import need

GOOD, BAD = MetricExportResult.SUCCESS, MetricExportResult.FAILURE
PROTOBUF, JSON, HTML = "application/x-protobuf", "application/json", "text/html; charset=utf-8"
TAKEN = (200, PROTOBUF, b"")


@contextmanager
def answering(*answers):
    """A server that gives one answer after the other, the last one for ever: status, content type, body, Location."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, body, *where = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for place in where:
                self.send_header("Location", place)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def data(*values):
    reader = InMemoryMetricReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("x").create_counter("c")
    for value in values or (0,):
        counter.add(1, {"value": value})
    return reader.get_metrics_data()


def follows_redirects():
    """Whether the exporter does, as those did that used no transport of their own."""
    exporter = need("opentelemetry.exporter.otlp.proto.http.metric_exporter").OTLPMetricExporter()
    return not hasattr(exporter, "_client")


@pytest.fixture
def exports(caplog):
    """What becomes of exports to a server that gives these answers, and what is said of them."""
    kind = need(
        "opentelemetry.exporter.otlp.proto.http.metric_exporter", "pip install 'agent-otel[otlp]'"
    ).OTLPMetricExporter

    def export(*answers, by=None, user="", headers=None, **options):
        with answering(*answers) as host:
            url = f"http://{user}{host}/v1/metrics"
            watched = Watched(lambda: kind(url, headers=headers, timeout=5, **options), by)
            results = [watched.export(data()) for _ in answers]
            watched.shutdown()
        said = [record.message for record in caplog.records if record.name == "agent_otel._answers"]
        return results, [line.replace(host, "HOST") for line in said]

    return export


def named(*secrets):
    return Answers("it", "check KEY", secrets)


def rejecting(points, message):
    answer = need(
        "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"
    ).ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = points
    answer.partial_success.error_message = message
    return 200, PROTOBUF, answer.SerializeToString()


def status(message):
    return 400, PROTOBUF, need("google.rpc.status_pb2").Status(message=message).SerializeToString()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((307, "text/plain", b"", "http://HOST/x"), "307 Temporary Redirect, a redirect to http://HOST/x"),
        ((304, "text/plain", b""), "304 Not Modified, a redirect to nowhere"),
        ((302, HTML, b"", "//sso/login?state=SECRET"), "302 Found, a redirect to //sso/login?***"),
        ((200, HTML, b"<html>Sign in"), "200 OK with text/html; charset=utf-8, which is no answer of OTLP"),
        ((200, "", b"<html>Sign in"), "200 OK with no Content-Type, which is no answer of OTLP"),
        ((202, JSON, b"not so"), "202 Accepted with application/json, which is no answer of OTLP"),
        ((200, PROTOBUF, b"\xff"), "200 OK with application/x-protobuf, which is no answer of OTLP"),
    ],
)
def test_what_the_sdk_takes_for_delivered_and_is_not_is_a_failure_with_a_line_of_its_host(
    answer, said, exports
):
    if len(answer) > 3 and follows_redirects():
        pytest.skip("this SDK's exporter follows redirects")

    assert ([BAD, BAD], [f"exports to HOST fail: check the endpoint. It answers: {said}"]) == exports(
        answer, answer
    )


@pytest.mark.parametrize(
    "answer",
    [
        TAKEN,
        (204, "text/html", b""),
        (200, JSON, b"{}"),
        (200, JSON, b'"OK"'),
        (200, "text/plain", b'{"partialSuccess": null}'),
        rejecting(0, ""),
    ],
)
def test_an_answer_of_otlp_or_of_nothing_is_a_delivery_and_not_worth_a_word(answer, exports):
    assert ([GOOD], []) == exports(answer)


def test_points_that_are_rejected_are_a_loss_and_told_once_for_each_reason(exports):
    of_json = {"partialSuccess": {"rejectedDataPoints": "4", "errorMessage": "bad unit"}}

    assert (
        [BAD, BAD, GOOD, BAD, BAD, GOOD],
        [
            "it rejects 2 points: bad name",
            "it rejects 4 points: bad unit",
            "it rejects 1 points: it says no reason",
            "it takes what it gets, and says: soon refused",
        ],
    ) == exports(
        rejecting(2, "bad name"),
        rejecting(3, "bad name"),
        TAKEN,
        (200, JSON, json.dumps(of_json).encode()),
        rejecting(1, ""),
        rejecting(0, "soon refused"),
        by=named(),
    )


def test_a_refusal_is_told_again_after_a_delivery(exports):
    page = (200, HTML, b"<html>")

    results, said = exports(page, TAKEN, page, page)

    assert ([BAD, GOOD, BAD, BAD], 2) == (results, len(said))


def test_a_failure_that_the_sdk_tells_has_no_second_line_without_a_backend(exports):
    assert ([BAD], []) == exports((403, "text/plain", b"Forbidden"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "text/plain", b"Forbidden:\n the key is wrong"), " It answers: Forbidden: the key is wrong"),
        ((400, "text/plain", b"x" * 1000), f" It answers: {'x' * 300}"),
        ((400, "text/plain", b""), ""),
        ((400, PROTOBUF, b"\xff no protobuf"), ""),
        (status("unknown key"), " It answers: unknown key"),
    ],
)
def test_a_backends_own_words_are_told(answer, told, exports):
    assert ([BAD], [f"exports to it fail: check KEY.{told}"]) == exports(answer, by=named())


def test_the_answer_that_comes_at_last_counts_and_not_the_one_that_was_tried_again():
    with answering((503, "text/plain", b"busy"), TAKEN) as host:
        kind = need("opentelemetry.exporter.otlp.proto.http.metric_exporter").OTLPMetricExporter
        watched = Watched(lambda: kind(f"http://{host}/v1/metrics", timeout=30))
        result = watched.export(data())
        watched.shutdown()

    assert GOOD is result
    assert watched.delivered


def test_an_exporter_of_another_package_is_taken_at_its_word():
    class Foreign(MetricExporter):
        def __init__(self, url):
            super().__init__()
            self.url, self._session = url, requests.Session()

        def export(self, metrics_data, timeout_millis=10_000, **_):
            return GOOD if self._session.post(self.url, b"{}", timeout=5).ok else BAD

        def force_flush(self, timeout_millis=10_000):
            return True

        def shutdown(self, timeout_millis=30_000, **_):
            self._session.close()

    requests = need("requests")
    with answering((200, "text/plain", b"thanks")) as host:
        watched = Watched(lambda: Foreign(f"http://{host}"))
        result = watched.export(data())
        watched.shutdown()

    assert GOOD is result


def test_a_redirect_is_a_delivery_only_where_the_exporter_follows_it(exports):
    results, said = exports((307, "text/plain", b"", "/v1/metrics"), TAKEN)

    assert ((GOOD, 0) if follows_redirects() else (BAD, 1)) == (results[0], len(said))


def test_one_rejection_among_the_requests_of_an_export_is_a_loss(caplog):
    if at.SDK < (1, 44):
        pytest.skip("this SDK's exporter over HTTP can't split requests")
    kind = need("opentelemetry.exporter.otlp.proto.http.metric_exporter").OTLPMetricExporter
    with answering(TAKEN, rejecting(1, "bad name"), rejecting(1, "bad name"), TAKEN) as host:
        watched = Watched(lambda: kind(f"http://{host}/v1/metrics", max_export_batch_size=1), named())
        result = watched.export(data(1, 2, 3))
        watched.shutdown()

    assert BAD is result
    assert "it rejects 2 points: bad name" in caplog.messages


@pytest.mark.parametrize(
    ("user", "headers", "repeated"),
    [
        ("", {"Authorization": "Bearer tok+en/1="}, ["tok+en/1=", "tok%2Ben%2F1%3D", "Bearer tok+en/1="]),
        ("", {"x-mine": "s3cret"}, ["s3cret"]),
        ("", {"Authorization": "Basic " + base64.b64encode(b"me:passw").decode()}, ["passw", "me:passw"]),
        ("me:passw@", {}, ["passw", "me:passw", base64.b64encode(b"me:passw").decode()]),
        ("me:p%40ssw@", {}, ["p%40ssw", "p@ssw", base64.b64encode(b"me:p@ssw").decode()]),
        ("", {"Authorization": "Basic no-base64"}, ["no-base64"]),
        ("", {}, ["hidden"]),
    ],
)
def test_no_secret_that_was_sent_is_shown_when_it_is_repeated(user, headers, repeated, exports):
    body = " ".join(f"<{secret}>" for secret in repeated).encode()
    results, said = exports(
        (403, "text/plain", body), by=named("hidden"), user=user, headers={**headers, "tenant": "a"}
    )
    stars = " ".join(["<***>"] * len(repeated))

    assert ([BAD], [f"exports to it fail: check KEY. It answers: {stars}"]) == (results, said)


def test_flush_and_shutdown_are_false_where_a_redirect_or_a_sign_in_page_answers(require):
    require("opentelemetry.exporter.otlp.proto.http.metric_exporter", "pip install 'agent-otel[otlp]'")
    program = "agent_otel.configure(); work(); print(agent_otel.flush(), agent_otel.shutdown())"
    for answer in [(307, "text/plain", b"", "//elsewhere.invalid/x"), (200, HTML, b"<html>Sign in")]:
        with answering(answer) as host:
            done = at.run(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{host}", OTEL_EXPORTER_OTLP_TIMEOUT=2)

        assert "False False\n" == done.stdout
        assert f"exports to {host} fail" in done.stderr
