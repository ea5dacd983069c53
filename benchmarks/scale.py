"""What the gateway tier costs for N processes that export agent metrics: `make bench-scale`.

A simulated process sends what a real one does: each export is recorded by `AgentMetrics` on a real provider and
encoded by the official exporter, then sent once for each process under a `service.instance.id` of its own. The
exports go over OTLP/HTTP, gzipped, to a load balancer in front of two gateways (`collector-config/gateway/`) and on
to a Prometheus, all real and all on this machine. Everything is encoded before the clock starts.

Seconds and points per second are this machine's, shared by all parts; processor time per point and bytes per
series carry over. A case whose totals aren't exact in Prometheus ends the program with an error.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from agent_otel import AgentMetrics, catalog, views
from agent_otel.artifacts.prometheus import metric_name
from tests.real.servers import Balancer, Collector, Prometheus, Server, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SENDERS: Final = 8
DEADLINE: Final = 300  # seconds for the last point to arrive
INSTANCE: Final = "service.instance.id"
# As long as any other of its kind, so that one process's export becomes another's by replacing it.
ANY_INSTANCE: Final = str(uuid.UUID(int=0))


@dataclass(frozen=True)
class Case:
    """So many processes of one shape.

    Attributes:
        instances: Distinct processes.
        agents: Agents in each.
        tools: Tools that each agent calls.
        models: Models that each agent calls.
        rounds: Exports of each process; every agent has one run between two.
        exponential: Whether histograms are exponential, which Prometheus keeps as native ones, a series each.
    """

    instances: int
    agents: int = 2
    tools: int = 8
    models: int = 2
    rounds: int = 3
    exponential: bool = False

    @property
    def runs(self) -> int:
        """The runs that Prometheus must count in the end."""
        return self.instances * self.agents * self.rounds


@dataclass(frozen=True)
class Part:
    """What one of the servers took.

    Attributes:
        cpu: Seconds of processor time.
        peak: The most memory that it held, in bytes.
    """

    cpu: float
    peak: int


@dataclass(frozen=True)
class Measured:
    """What a case took.

    Attributes:
        case: The case.
        points: Data points sent.
        raw: Bytes of one export.
        packed: Bytes of one export, gzipped.
        seconds: From the first export to the last point in Prometheus.
        series: Series in Prometheus.
        balancer: The load balancer.
        gateways: The two gateways together.
        prometheus: Prometheus.
        idle: Bytes that Prometheus held before.
    """

    case: Case
    points: int
    raw: int
    packed: int
    seconds: float
    series: int
    balancer: Part
    gateways: Part
    prometheus: Part
    idle: int


CASES: Final = (
    Case(10),
    Case(100),
    Case(1000),
    Case(100, agents=8),
    Case(100, tools=32),
    Case(100, models=8),
    Case(100, exponential=True),
    Case(1000, exponential=True),
)


def main() -> None:
    """Run every case, or one of so many instances, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description="What the gateway tier costs for N processes.")
    parser.add_argument("--instances", type=int, help="one case of so many processes instead of all cases")
    parser.add_argument("--rounds", type=int, default=Case.rounds, help="exports of each process")
    given = parser.parse_args()
    cases = CASES if given.instances is None else (Case(given.instances),)
    print(HEAD)
    for case in cases:
        print(row(measure(replace(case, rounds=given.rounds))), flush=True)


def exports(case: Case) -> Iterator[tuple[bytes, int]]:
    """Each round's export of a process, and its number of data points."""
    histograms = ExponentialBucketHistogramAggregation() if case.exponential else DefaultAggregation()
    reader = InMemoryMetricReader(preferred_aggregation={Histogram: histograms})
    resource = Resource({"service.name": "bench", INSTANCE: ANY_INSTANCE})
    provider = MeterProvider([reader], resource, views=views(), shutdown_on_exit=False)
    metrics = AgentMetrics(provider)
    for _ in range(case.rounds):
        for agent in range(case.agents):
            work(metrics, f"agent-{agent}", case)
        data = reader.get_metrics_data()
        if data is None:
            sys.exit("nothing was recorded")
        yield (
            encode_metrics(data).SerializeToString(),
            sum(
                len(metric.data.data_points)
                for found in data.resource_metrics
                for scope in found.scope_metrics
                for metric in scope.metrics
            ),
        )


def work(metrics: AgentMetrics, agent: str, case: Case) -> None:
    """One run that calls every model and every tool."""
    with metrics.run(agent, version="2026-11-24") as run:
        for model in range(case.models):
            with run.inference(f"model-{model}", provider="openai") as call:
                call.tokens(input=812, output=96)
        for tool in range(case.tools):
            with run.tool(f"tool-{tool}"):
                pass


def measure(case: Case) -> Measured:
    """Send everything, wait until Prometheus has it, and look at what it took.

    Raises:
        AssertionError: Not everything arrived.
    """
    recorded = list(exports(case))
    bodies = [
        gzip.compress(export.replace(ANY_INSTANCE.encode(), instance.encode()))
        for instance in (str(uuid.uuid4()) for _ in range(case.instances))
        for export, _ in recorded
    ]
    # All processes' first exports come first, as if they had started together.
    in_order = [body for number in range(case.rounds) for body in bodies[number :: case.rounds]]
    with (
        tempfile.TemporaryDirectory() as folder,
        Prometheus(folder, CONFIG) as prometheus,
        Collector(folder, *GATEWAY, name="gateway-1", PROMETHEUS_URL=prometheus.url) as first,
        Collector(folder, *GATEWAY, name="gateway-2", PROMETHEUS_URL=prometheus.url) as second,
        Balancer(folder, first.endpoint, second.endpoint) as balancer,
    ):
        idle, servers = prometheus.memory, [first, second, prometheus, balancer]
        before = [server.cpu_seconds for server in servers]
        began = time.perf_counter()
        send(in_order, balancer.endpoint)
        until(lambda: prometheus.value(RUNS) == case.runs, DEADLINE, every=0.25)
        seconds = time.perf_counter() - began
        parts = [took(server, cpu) for server, cpu in zip(servers, before, strict=True)]
        series = prometheus.ask("status/tsdb")["headStats"]["numSeries"]
    return Measured(
        case=case,
        points=case.instances * sum(points for _, points in recorded),
        raw=len(recorded[-1][0]),
        packed=len(bodies[-1]),
        seconds=seconds,
        series=series,
        balancer=parts[3],
        gateways=Part(parts[0].cpu + parts[1].cpu, parts[0].peak + parts[1].peak),
        prometheus=parts[2],
        idle=idle,
    )


def took(server: Server, before: float) -> Part:
    """What a server took since it had used so much processor time."""
    return Part(server.cpu_seconds - before, server.peak_memory)


def send(bodies: Sequence[bytes], endpoint: str) -> None:
    """Post every export, from as many connections as there are senders.

    Raises:
        AssertionError: An export was refused.
    """
    address = urlsplit(endpoint).netloc
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}

    def post(mine: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        for body in mine:
            connection.request("POST", "/v1/metrics", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise AssertionError(f"{answer.status}: {said!r}")
        connection.close()

    with ThreadPoolExecutor(SENDERS) as pool:
        shares = [bodies[number::SENDERS] for number in range(SENDERS)]
        list(pool.map(post, shares))


RUNS: Final = f"sum({metric_name(catalog.RUNS)})"
GATEWAY: Final = ("base.yaml", "local.yaml", "gateway/gateway.yaml")
CONFIG: Final = {
    "otlp": {"promote_resource_attributes": [INSTANCE, "service.name"]},
    "storage": {"tsdb": {"out_of_order_time_window": "30m"}},
}
COLUMNS: Final = (
    "processes",
    "agents, tools, models",
    "histograms",
    "points an export",
    "KiB an export, gzipped",
    "points",
    "s",
    "points/s",
    "balancer: CPU µs/point, peak MiB",
    "gateways: CPU µs/point, peak MiB",
    "series",
    "Prometheus: CPU µs/sample",
    "Prometheus: KiB/series",
)
HEAD: Final = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def row(measured: Measured) -> str:
    """A line of the table."""
    case, mega = measured.case, 1_000_000
    samples = measured.series * case.rounds
    cells = (
        case.instances,
        f"{case.agents}, {case.tools}, {case.models}",
        "exponential" if case.exponential else "explicit",
        measured.points // (case.instances * case.rounds),
        f"{measured.raw / 1024:.0f}, {measured.packed / 1024:.1f}",
        measured.points,
        f"{measured.seconds:.1f}",
        f"{measured.points / measured.seconds:.0f}",
        f"{measured.balancer.cpu * mega / measured.points:.1f}, {measured.balancer.peak >> 20}",
        f"{measured.gateways.cpu * mega / measured.points:.1f}, {measured.gateways.peak >> 20}",
        measured.series,
        f"{measured.prometheus.cpu * mega / samples:.1f}",
        f"{(measured.prometheus.peak - measured.idle) / measured.series / 1024:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
