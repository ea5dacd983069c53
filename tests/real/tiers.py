"""Programs, agents, gateways and what stands behind them, as test_gateway.py puts them together.

The recorded runs are dealt out to four programs. Each does its share in four rounds, a part of every file in each, and
exports after a round and at its end: every stream grows with every export but the last.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import yaml

from tests import receivers as at
from tests.read_back import from_prometheus
from tests.real.servers import CONFIGS, ROOT, Balancer, Collector, Prometheus, until

PROGRAMS = 4
PROGRAM = """
import sys
import agent_otel
from agent_otel.agent_metrics import default
from agent_otel.testing import FakeClock
from tests.recorded_runs import FILES, PRICES, load, replay

clock = default.clock = FakeClock()
agent_otel.configure(prices=PRICES, cost=True)
for turn in range(4):
    sys.stdin.readline()
    for file in FILES:
        replay(load(file)[int(sys.argv[1]) :: int(sys.argv[2])][turn::4], clock)
    print(agent_otel.flush(), flush=True)
sys.stdin.readline()
print(agent_otel.shutdown(), flush=True)
"""
EXPORTS = 5
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
RETRY_SOON = {"retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"}}

COMPLETED = 'agent_otel_runs_total{agent_otel_run_status="ok",agent_otel_run_stop_reason="completed"}'
ACCEPTED = "otelcol_receiver_accepted_metric_points"
WAITING = "otelcol_exporter_queue_size"
GIVEN_UP = "otelcol_exporter_send_failed_metric_points"
LATE = "prometheus_tsdb_head_out_of_order_samples_appended_total"
REFUSED = (
    "prometheus_tsdb_out_of_order_samples_total",
    "prometheus_tsdb_out_of_bound_samples_total",
    "prometheus_tsdb_too_old_samples_total",
)


class Programs:
    """The programs, each told when to export, to one of the endpoints in turn."""

    def __init__(self, endpoints, settings):
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(number), str(PROGRAMS)],
                cwd=ROOT,
                env=at.environment(
                    {
                        "OTEL_METRICS_EXPORTER": "otlp",
                        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoints[number % len(endpoints)],
                        **settings,
                    }
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PROGRAMS)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        for process in self.processes:
            process.kill()
            process.communicate()

    def export(self, times=1):
        """Let each replay its share of the next file and export; the fifth time it ends."""
        for _ in range(times):
            for process in self.processes:
                process.stdin.write("\n")
                process.stdin.flush()

            assert [process.stdout.readline() for process in self.processes] == ["True\n"] * PROGRAMS


def overlay(folder, content):
    """A file of configuration that comes last."""
    file = folder / f"overlay-{len(list(folder.glob('overlay-*')))}.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    return file


def intake(folder, received):
    """A receiver in the place of Datadog."""
    endpoint = f"http://127.0.0.1:{received.port}/v1/metrics"
    return overlay(folder, {"exporters": {"otlp_http/backend": {"metrics_endpoint": endpoint}}})


def prometheus_as_shipped(stack, folder):
    """Prometheus as prometheus/prometheus.yml has it; not yet started."""
    shipped = yaml.safe_load((CONFIGS / "prometheus" / "prometheus.yml").read_text())
    prometheus = Prometheus(folder, {part: shipped[part] for part in ("otlp", "storage")})
    stack.callback(prometheus.stop)
    return prometheus


def empty(*collectors):
    """Wait until nothing waits in their queues."""
    for collector in collectors:
        until(lambda waiting=collector: waiting.counted(WAITING) == 0)


def collectors(stack, folder, name, *configs, **variables):
    """Two of a kind, which go over base.yaml and retry soon."""
    fast = overlay(folder, {"exporters": {"otlp_http/backend": RETRY_SOON}})
    return [
        stack.enter_context(
            Collector(folder, "base.yaml", *configs, fast, name=f"{name}-{number}", **variables)
        )
        for number in (1, 2)
    ]


class Tiers:
    """Programs, two agents, a load balancer and two gateways.

    Args:
        stack: Ends them.
        folder: For their files.
        backend: The files of configuration that name what stands behind the gateways.
        agent: Those that go over gateway/agent.yaml.
        settings: Of the programs.
        variables: Of the gateways.
    """

    def __init__(self, stack, folder, backend=("local.yaml",), agent=(), settings=None, **variables):
        configs = (*backend, "gateway/gateway.yaml")
        self.gateways = collectors(stack, folder, "gateway", *configs, **variables)
        balancer = stack.enter_context(Balancer(folder, *(each.endpoint for each in self.gateways)))
        configs = ("gateway/agent.yaml", *agent)
        self.agents = collectors(stack, folder, "agent", *configs, GATEWAY_ENDPOINT=balancer.endpoint)
        endpoints = [each.endpoint for each in self.agents]
        self.programs = stack.enter_context(Programs(endpoints, settings or {}))

    def export(self, times):
        """Let the programs export, and wait each time until the agents have handed it on."""
        for _ in range(times):
            self.programs.export()
            empty(*self.agents)


class Balanced:
    """Programs that send delta to a balancer, which keeps each stream at one of two gateways that add it up."""

    def __init__(self, stack, folder, prometheus):
        configs = ("local.yaml", "gateway/accept-delta.yaml")
        self.gateways = collectors(stack, folder, "gateway", *configs, PROMETHEUS_URL=prometheus.url)
        hosts = ",".join(f"127.0.0.1:{each.grpc_port}" for each in self.gateways)
        fast = overlay(folder, {"exporters": {"load_balancing": RETRY_SOON}})
        configs = ("base.yaml", "gateway/balancer.yaml", fast)
        self.balancer = stack.enter_context(
            Collector(folder, *configs, name="balancer", GATEWAY_HOSTNAMES=hosts)
        )
        self.programs = stack.enter_context(Programs([self.balancer.endpoint], DELTA))

    def export(self, times):
        """Let the programs export, and wait each time until all of it has arrived."""
        for _ in range(times):
            self.programs.export()
            empty(self.balancer, *self.gateways)


class Outcome:
    """What was in Prometheus at the end, and what it and the gateways said of it."""

    def __init__(self, prometheus, gateways):
        self.points = from_prometheus(
            prometheus.ask("query", query='{__name__=~"agent_otel_.+|gen_ai_.+"}')["result"]
        )
        self.samples, self.increase = [], 0
        for series in prometheus.ask("query", query=f"{COMPLETED}[1h]")["result"]:
            values = [float(value) for _, value in series["values"]]
            self.samples.append(len(values))
            self.increase += sum(
                value - before if value >= before else value for before, value in pairwise([0, *values])
            )
        self.late = prometheus.counted(LATE)
        self.refused = {name: prometheus.counted(name) for name in REFUSED}
        self.given_up = sum(gateway.counted(GIVEN_UP) for gateway in gateways)
