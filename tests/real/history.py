"""A day and a half of three agents in a real Prometheus: what dashboards are tested on and drawn from.

The metrics are recorded through the SDK in simulated time and arrive over OTLP with the times of that day; then each
recording rule and alert is asked for the whole time, in the order of the file, and its answer stored: what Prometheus
would have recorded, without waiting for a day. Everything is made from one seed and ends at one moment, `NOW`.
"""

from __future__ import annotations

import math
import random
import re
from contextlib import contextmanager, suppress
from contextvars import Context
from urllib.request import Request, urlopen

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from agent_otel import AgentMetrics, Settings, catalog, views
from agent_otel.artifacts.alerts import alert_rules
from agent_otel.artifacts.prometheus import Options, label_name
from agent_otel.artifacts.rules import recording_rules
from agent_otel.testing import FakeClock
from tests.real.servers import Prometheus

NOW = 1_770_000_000 // 3600 * 3600  # a full hour, so that subqueries see all of it
HOURS = 36
STEP = 120
AGENT = label_name(catalog.AGENT_NAME)
PRICES = {
    "openai": {"gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10}},
    "anthropic": {"claude-sonnet-4-5": {"input": 3, "cache_read": 0.3, "cache_write": 3.75, "output": 15}},
}
OBJECTIVES = {
    ("support-bot", "run_p95_seconds"): 60,
    ("research-planner", "run_p95_seconds"): 240,
    ("triage-bot", "run_p95_seconds"): 30,
    ("triage-bot", "success_ratio"): 0.9,
}


@contextmanager
def history(folder):
    """A Prometheus that has it all."""
    config = {
        "otlp": {"translation_strategy": "UnderscoreEscapingWithSuffixes"},
        "storage": {"tsdb": {"out_of_order_time_window": f"{2 * HOURS}h"}},
    }
    with Prometheus(folder, config, "--storage.tsdb.retention.time=100y") as prometheus:
        past = Past(prometheus)
        past.record()
        past.store_values("agent_objective:override", _objectives())
        for rule in recording_rules(Options()):
            past.store_values(rule.record, past.ask(rule.expr), rule.labels)
        for alert in alert_rules(Options()):
            names = {
                "alertname": alert.name,
                "severity": alert.severity,
                "signal": alert.signal,
                "health": alert.health,
            }
            past.store_values(
                "ALERTS", firing(past.ask(alert.expr), alert), {"alertstate": "firing", **names}
            )
        yield prometheus


class Past:
    """Reads and writes all of the history at once."""

    def __init__(self, prometheus):
        self._prometheus = prometheus

    def record(self, hours=HOURS):
        """Store what the SDK exports."""
        for request in recorded(hours):
            self.store(request)

    def ask(self, expr):
        """Every series that the expression gives, as (labels, [(time, value)])."""
        answer = self._prometheus.ask("query_range", query=expr, start=NOW - HOURS * 3600, end=NOW, step=STEP)
        for found in answer["result"]:
            labels = {name: value for name, value in found["metric"].items() if name != "__name__"}
            yield labels, [(float(time), float(value)) for time, value in found["values"]]

    def store_values(self, name, series, labels=()):
        """Store gauges with these names and values."""
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
        for own, values in series:
            for time, value in values:
                point = metric.gauge.data_points.add(time_unix_nano=int(time * 1e9), as_double=value)
                for key, text in {**own, **dict(labels)}.items():
                    point.attributes.add(key=key).value.string_value = text
        if metric.gauge.data_points:
            self.store(request)

    def store(self, request):
        """Send it as OTLP."""
        head = {"Content-Type": "application/x-protobuf"}
        with urlopen(
            Request(f"{self._prometheus.url}/api/v1/otlp/v1/metrics", request.SerializeToString(), head)
        ):
            pass


def _objectives():
    times = range(NOW - HOURS * 3600, NOW + STEP, STEP)
    for (agent, objective), value in OBJECTIVES.items():
        yield {AGENT: agent, "objective": objective}, [(time, value) for time in times]


def firing(series, alert):
    """When an alert that holds at these times fires, as `for` and `keep_firing_for` have it."""
    wait, keep = _seconds(alert.wait), _seconds(alert.keep)
    for labels, values in series:
        held = {time for time, _ in values}
        since = last = None
        fires = []
        for time in range(NOW - HOURS * 3600, NOW + STEP, STEP):
            if time in held:
                since = time if since is None else since
                last = time if time - since >= wait else last
            else:
                since = None
            if last is not None and time - last <= keep:
                fires.append((time, 1))
        if fires:
            yield labels, fires


def _seconds(text):
    return sum(
        int(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in re.findall(r"(\d+)([smh])", text)
    )


def recorded(hours=HOURS):
    """What the SDK exports every `STEP` seconds, as OTLP requests with the times of the last hours of the story."""
    settings, clock, reader = Settings(prices=PRICES, cost=True), FakeClock(), InMemoryMetricReader()
    resource = Resource({"service.name": "agents", "service.instance.id": "1"})
    provider = MeterProvider([reader], resource=resource, views=views(settings), shutdown_on_exit=False)
    world = World(AgentMetrics(provider, clock=clock, settings=settings), clock)
    begin = NOW - hours * 3600
    for time in range(begin, NOW + STEP, STEP):
        clock.now = time
        world.work(time)
        clock.now = time
        request = encode_metrics(reader.get_metrics_data())
        _at(request, begin, time)
        yield request
    provider.shutdown()


def _at(request, begin, now):
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    point.start_time_unix_nano, point.time_unix_nano = int(begin * 1e9), int(now * 1e9)


class World:
    """Three agents: one gets a bad release, one has a tool that is out for an hour, one a model without a price."""

    def __init__(self, metrics, clock):
        self.metrics, self.clock, self.dice = metrics, clock, random.Random(7)
        self.open = []

    def work(self, time):
        """Everything that begins within the step before this time."""
        ago = (NOW - time) / 3600
        busy = 1 + 0.5 * math.sin(2 * math.pi * (ago - 4) / 24)
        for agent, per_hour in ((self.support, 120), (self.research, 45), (self.triage, 170)):
            for _ in range(self._poisson(per_hour * busy * STEP / 3600)):
                agent(ago)
        self._in_flight(time, busy)

    def support(self, ago):
        bad = ago < 5
        throttled = ago < 0.7
        with self._run("support-bot", "2.4" if bad else "2.3") as run:
            for _ in run.steps(range(self._between(2, 6 if bad else 4))):
                self._call(
                    run, ("openai", "gpt-5"), 3.5, 5200 if bad else 3600, 0.6, 0.16 if throttled else 0.004
                )
                self._tool(
                    run, self.dice.choice(["search_docs", "search_docs", "get_order"]), 0.8, "timeout", 0.03
                )
            if self.dice.random() < (0.14 if bad else 0.015):
                run.stop("max_steps")
            if self.dice.random() < 0.02:
                run.stop("human_handoff")
            self._judge(run, "resolved", 0.80 if bad else 0.92)

    def research(self, ago):
        outage = 11 < ago < 12.2
        with self._run("research-planner", "1.8") as run:
            for _ in run.steps(range(self._between(3, 8))):
                self._call(run, ("anthropic", "claude-sonnet-4-5"), 7, 14000, 0.75, 0.006, stream=True)
                self._tool(run, "web_search", 1.6, "server_error", 0.45 if outage else 0.02)
                self._tool(run, "read_page", 2.8, "not_found", 0.04)
            if self.dice.random() < (0.3 if outage else 0.03):
                run.stop("max_tokens")
            self._judge(run, "cited", 0.9)

    def triage(self, _):
        with self._run("triage-bot", "5.1") as run:
            for _ in run.steps(range(self._between(1, 2))):
                self._call(run, ("ollama", "qwen3-32b"), 1.8, 900, 0.0, 0.003, usage=0.97)
                self._tool(run, "classify", 0.15, "invalid_request", 0.01)
            if self.dice.random() < 0.04:
                run.fail("guardrail")
            self._judge(run, "routed", 0.96)

    @contextmanager
    def _run(self, agent, version):
        with suppress(ConnectionError), self.metrics.run(agent, version=version) as run:
            yield run

    def _call(self, run, which, seconds, tokens, cached, errors, *, stream=False, usage=1.0):
        provider, model = which
        with run.inference(model, provider=provider) as call:
            self.clock.advance(self._spread(seconds / 5 if stream else seconds))
            if stream:
                call.first_chunk()
                self.clock.advance(self._spread(seconds * 0.8))
            if self.dice.random() < errors:
                call.fail("rate_limited" if self.dice.random() < 0.8 else "server_error")
            elif self.dice.random() < usage:
                sent = round(self._spread(tokens, 0.2))
                read, write = round(sent * cached), round(sent * 0.1) if provider == "anthropic" else 0
                said = round(self._spread(sent / 12))
                call.tokens(input=sent, cache_read=read, cache_write=write, output=said, reasoning=said // 3)

    def _tool(self, run, name, seconds, error, errors):
        with run.tool(name) as tool:
            failed = self.dice.random() < errors
            self.clock.advance(self._spread(seconds * (4 if failed else 1)))
            if failed:
                tool.fail(error)

    def _judge(self, run, name, passes):
        if self.dice.random() < 0.5:
            run.evaluation(name, "pass" if self.dice.random() < passes else "fail")

    def _in_flight(self, time, busy):
        """Runs that are still going on when the metrics leave, and one that hangs for a while."""
        for ends, run in self.open:
            if ends <= time:
                self.clock.now = ends
                run.end()
        self.open = [(ends, run) for ends, run in self.open if ends > time]
        support = "2.4" if NOW - time < 5 * 3600 else "2.3"
        for agent, version, model, tokens, seconds, usual in (
            ("support-bot", support, ("openai", "gpt-5"), 3600, 8, 0.8),
            ("research-planner", "1.8", ("anthropic", "claude-sonnet-4-5"), 14000, 20, 0.6),
            ("triage-bot", "5.1", ("ollama", "qwen3-32b"), 900, 3, 0.2),
        ):
            for _ in range(self._poisson(usual * busy)):
                self.clock.now = time - self._spread(seconds)
                run = self._start(agent, version)
                self._call(run, model, 1, tokens, 0.5, 0)
                self.open.append((time + self._spread(seconds), run))
        if NOW - time == 17 * 3600:
            self.clock.now = time
            self.open.append((time + 3000, self._start("research-planner", "1.8")))

    def _start(self, agent, version):
        """In a context of its own, or the runs that follow would be inside it."""
        return Context().run(self.metrics.run(agent, version=version).start)

    def _spread(self, median, sigma=0.5):
        return median * self.dice.lognormvariate(0, sigma)

    def _between(self, low, high):
        return self.dice.randint(low, high)

    def _poisson(self, mean):
        limit, count, product = math.exp(-mean), 0, self.dice.random()
        while product > limit:
            count, product = count + 1, product * self.dice.random()
        return count
