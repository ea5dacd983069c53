"""Plays the demo, calm and with each incident, into a real Prometheus with our rules and a real Alertmanager.

Time is compressed: a simulated minute is half a second, and so every duration of the rules and alerts is 120 times
shorter. Each demo is an environment of its own, kept apart by `Options.apart`, so that one Prometheus serves all.
Samples carry the moments at which the rules will be evaluated, up to an hour ahead, so that neither the network nor a
slow machine changes a figure: Prometheus, Alertmanager and the evaluator of the demo see the same.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from agent_otel.artifacts import alerts, health, rules
from agent_otel.artifacts.prometheus import Options
from agent_otel.artifacts.rule_file import Rule, rule_file
from agent_otel.demo.evaluator import STEP, Evaluator
from agent_otel.demo.incidents import INCIDENTS
from agent_otel.demo.stage import DAY_BEFORE
from tests.optional import need
from tests.played import Played
from tests.real.servers import Prometheus, Server, tool, until
from tests.receivers import free_port

SEED = 7
FIRST = 60  # minutes of traffic before the rules are evaluated
MINUTES = 115  # and then: an incident of 30 minutes, an hour until the windows have forgotten it, and what is kept firing
MILLISECONDS = 500  # of a simulated minute
CALM = "calm"
ENVIRONMENTS = (CALM, *INCIDENTS)
APART = "deployment_environment_name"
COMPARED = range(4, MINUTES, 6)
AHEAD = 40  # minutes until the first evaluation, in which everything is sent
CLOCK = Rule("clock", "vector(1)")  # its samples tell when the rules are evaluated
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Outcome(NamedTuple):
    """What was seen.

    Attributes:
        told: Each message that Alertmanager sent: environment, alert and status, in order.
        fired: The alerts that fired in Prometheus, by environment, whether Alertmanager sent them or not.
        recorded: Of Prometheus: (environment, minute) to series to value.
        evaluated: Of the evaluator: the same.
        table: Of Prometheus: (environment, minute) to (agent, metric) to current, trend and status.
        rows: Of the evaluator: the same.
    """

    told: list[tuple[str, str, str]]
    fired: dict[str, set[str]]
    recorded: dict[tuple[str, int], dict]
    evaluated: dict[tuple[str, int], dict]
    table: dict[tuple[str, int], dict]
    rows: dict[tuple[str, int], dict]


def compressed(text):
    """Rules, alerts or a query with every duration as much shorter as a minute is."""

    def shorter(found):
        before, number, unit = found.groups()
        return f"{before}{int(number) * _UNITS[unit] * MILLISECONDS // 60_000}ms"

    return re.sub(r"(\[|:(?=\d+\w\])|offset |interval: |for: )(\d+)([smhdw])\b", shorter, text)


class Time:
    """Simulated minutes, and the moments of Prometheus at which they are evaluated.

    Args:
        sample: When Prometheus has evaluated the rules once, in seconds.
    """

    def __init__(self, sample):
        milliseconds = round(sample * 1000)
        self._phase = milliseconds % MILLISECONDS
        self.first = milliseconds // MILLISECONDS + AHEAD - FIRST

    def wall(self, minute):
        """The milliseconds of Prometheus."""
        return (self.first + minute) * MILLISECONDS + self._phase

    def simulated(self, minute):
        """The seconds of the evaluator, exactly: multiples of an hour are where those of Prometheus are."""
        return (self.first + minute) * 60 + math.floor(self._phase * 60 * 64 / MILLISECONDS) / 64


class Inbox(ThreadingHTTPServer):
    """Where Alertmanager sends to."""

    def __init__(self):
        self.told = []
        super().__init__(("127.0.0.1", 0), _Message)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Message(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            labels = alert["labels"]
            self.server.told.append((labels.get(APART, ""), labels["alertname"], alert["status"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


def alertmanager(folder, inbox):
    """An Alertmanager that tells an inbox everything at once."""
    port = free_port()
    config = {
        "route": {
            "receiver": "inbox",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "inbox", "webhook_configs": [{"url": inbox.url, "send_resolved": True}]}],
    }
    file = folder / "alertmanager.json"
    file.write_text(json.dumps(config))
    url = f"http://127.0.0.1:{port}"
    command = [
        tool("alertmanager"),
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager-data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    server = Server(folder, "alertmanager", command, f"{url}/-/ready")
    server.target = f"127.0.0.1:{port}"
    return server


def prometheus(folder, alertmanager):
    """A Prometheus with our rules and alerts, in compressed time."""
    options = Options(apart=(APART,), native=False)
    files = {
        "rules.json.yml": rule_file("", rules.GROUP, [*rules.recording_rules(options), CLOCK]),
        "alerts.yml": alerts.alerts(options),
    }
    for name, text in files.items():
        (folder / name).write_text(compressed(text))
    config = {
        "rule_files": [str(folder / name) for name in files],
        "otlp": {"promote_resource_attributes": ["deployment.environment.name"]},
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.target]}]}]},
    }
    return Prometheus(
        folder, config, f"--query.lookback-delta={5 * MILLISECONDS}ms", "--rules.alert.resend-delay=5s"
    )


class Demo:
    """A demo, played in advance, and the evaluator beside it.

    Args:
        environment: `calm`, or the incident.
    """

    def __init__(self, environment):
        self.environment = environment
        self.evaluator = Evaluator()
        played = Played(SEED, None if environment == CALM else environment)
        self.data = list(played.minutes(FIRST + MINUTES))
        self._requests = [
            otlp("exporter.otlp.proto.common.metrics_encoder").encode_metrics(data) for data in self.data
        ]
        played.simulation.close()

    def begin(self, clock):
        """Let the evaluator see the first hour, and take the day before for one like it."""
        for minute in range(1, FIRST + 1):
            self.evaluator.observe(clock.simulated(minute), self.data[minute - 1])
        self.evaluator.assume(clock.simulated(FIRST), DAY_BEFORE)

    def go_on(self, clock):
        """Let the evaluator see each further minute."""
        for minute in range(FIRST + 1, FIRST + MINUTES + 1):
            at = clock.simulated(minute)
            self.evaluator.observe(at, self.data[minute - 1])
            self.evaluator.evaluate(at)
            yield minute - FIRST, at

    def assumed(self, clock):
        """What the evaluator took for the day before, as OTLP."""
        request = otlp("proto.collector.metrics.v1.metrics_service_pb2").ExportMetricsServiceRequest()
        scope = request.resource_metrics.add().scope_metrics.add()
        store, at = self.evaluator.store, clock.simulated(FIRST)
        for name in self.evaluator.back & self.evaluator.recorded:
            for labels, series in store.named(name).items():
                metric = scope.metrics.add()
                metric.name = name
                for ago in range(int(DAY_BEFORE / 60), -1, -int(STEP / 60)):
                    point = metric.gauge.data_points.add()
                    point.time_unix_nano = clock.wall(FIRST - ago) * 1_000_000
                    point.as_double = series.value(at)
                    for key, text in labels:
                        attribute = point.attributes.add()
                        attribute.key, attribute.value.string_value = key, text
        return request

    def requests(self, clock):
        """Every minute's samples, as OTLP."""
        for minute, request in enumerate(self._requests, 1):
            for metric in (
                m for each in request.resource_metrics for scope in each.scope_metrics for m in scope.metrics
            ):
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    point.time_unix_nano = clock.wall(minute) * 1_000_000
            yield request


def otlp(module):
    """A module that the extra brings."""
    return need(f"opentelemetry.{module}", "pip install 'agent-otel[otlp]'")


def push(url, environment, requests):
    """Send OTLP requests, many in one, as an environment's."""
    waiting = []
    for request in requests:
        for resource in request.resource_metrics:
            del resource.resource.attributes[
                :
            ]  # without a service there is no target_info, which has other times
            attribute = resource.resource.attributes.add()
            attribute.key, attribute.value.string_value = "deployment.environment.name", environment
        waiting.append(request.SerializeToString())
        if len(waiting) == 30:
            _post(
                url, b"".join(waiting)
            )  # protobuf: messages one after the other are one with all their parts
            waiting = []
    _post(url, b"".join(waiting))


def _post(url, body):
    request = Request(f"{url}/api/v1/otlp/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
    try:
        with urlopen(request) as answer:
            answer.read()
    except HTTPError as error:
        raise AssertionError(error.read()[:4000]) from error


@cache
def outcome():
    """Play everything, once for all tests."""
    demos = [Demo(environment) for environment in ENVIRONMENTS]
    with tempfile.TemporaryDirectory() as name, Inbox() as inbox:
        folder = Path(name)
        with alertmanager(folder, inbox) as manager, prometheus(folder, manager) as server:
            until(lambda: server.query("clock"))
            return _watched(demos, server, inbox)


def _watched(demos, server, inbox):
    clock = Time(
        float(server.ask("query", query=f"clock[{10 * MILLISECONDS}ms]")["result"][0]["values"][-1][0])
    )
    for demo in demos:
        demo.begin(clock)
    assumed = demos[0].assumed(clock)  # the first hour of all is the same
    for demo in demos:
        push(server.url, demo.environment, chain([assumed], demo.requests(clock)))
    assert time.time() * 1000 < clock.wall(FIRST + 1), "too slow: send earlier"
    evaluated, rows = {}, {}
    for demo in demos:
        for minute, at in demo.go_on(clock):
            key = demo.environment, minute
            if minute in COMPARED:
                evaluated[key] = _series_of(demo.evaluator, at)
            rows[key] = {
                (row.agent, row.metric): (row.current, row.trend, row.status)
                for row in demo.evaluator.rows(at)
            }
    last = clock.wall(FIRST + MINUTES) / 1000
    until(lambda: time.time() > last + 5, seconds=600, every=1)
    recorded, table = _asked(server, clock)
    return Outcome(list(inbox.told), _fired(server, last), recorded, evaluated, table, rows)


def _series_of(evaluator, at):
    return {
        (name, labels): value
        for name in evaluator.recorded
        for labels, series in evaluator.store.named(name).items()
        if (value := series.value(at)) is not None
    }


def _fired(server, last):
    window = MINUTES * MILLISECONDS
    query = f'count by ({APART}, alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{window}ms]))'
    fired = {environment: set() for environment in ENVIRONMENTS}
    for labels in map(dict, server.query(query, at=last)):
        fired[labels.get(APART, CALM)].add(labels["alertname"])
    return fired


def _asked(server, clock):
    """What Prometheus recorded and its table, at those of the minutes to compare that it wasn't too busy for."""
    ticks = server.ask("query", query=f"clock[{2 * MINUTES * MILLISECONDS}ms]")["result"][0]["values"]
    evaluated = {round(float(at) * 1000) for at, _ in ticks}
    query = compressed(health.health_table(Options(apart=(APART,))))
    recorded, table = {}, {}
    for minute in COMPARED:
        wall = clock.wall(FIRST + minute)
        if wall not in evaluated:
            continue
        for environment in ENVIRONMENTS:
            recorded[environment, minute], table[environment, minute] = {}, {}
        for labels, value in server.query('{__name__=~".+:.+"}', at=wall / 1000).items():
            each = dict(labels)
            name, one = each.pop("__name__"), each.pop(APART, None)
            for environment in [one] if one else ENVIRONMENTS:  # a price is everybody's
                recorded[environment, minute][name, frozenset(each.items())] = value
        for each in map(dict, server.query(query, at=wall / 1000)):
            words = each["current"], each["trend"], each["status"]
            table[each[APART], minute][each["gen_ai_agent_name"], each["signal"]] = words
    return recorded, table
