"""The paths from a program to a server that answers PromQL: what each starts, and what is its own by nature.

The program is tests/recorded_runs.py, told by its environment alone. Two processes of it share the runs, agents and all,
so a path that mixed up their series would be wrong.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple
from urllib.request import urlopen

from tests.optional import need
from tests.read_back import DOTTED, UNDERSCORED, Names
from tests.real.servers import CONFIGS, Collector, Prometheus, VictoriaMetrics
from tests.replays import REPLAY, SECONDS, ended, served

HALVES = ("0", "2"), ("1", "2")
VERSION = "2026.11"
RESOURCE = {
    "OTEL_SERVICE_NAME": "support",
    "OTEL_RESOURCE_ATTRIBUTES": f"service.version={VERSION},deployment.environment.name=test",
}
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
EXPONENTIAL = {
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"
}


def prometheus(folder, targets=(), **otlp):
    """Prometheus under the file that is shipped, but for what it scrapes, and with `otlp` in that block."""
    shipped = need("yaml").safe_load((CONFIGS / "prometheus" / "prometheus.yml").read_text())
    job = {"job_name": "agents", "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
    return Prometheus(
        folder,
        {
            "global": {**shipped["global"], "scrape_interval": "1s"},
            "otlp": {**shipped["otlp"], **otlp},
            "storage": shipped["storage"],
            "scrape_configs": [job] if targets else [],
        },
    )


def replay(backend, **variables):
    """Both processes at the same time, to their ends."""
    variables = {"AGENT_OTEL_BACKEND": backend, **RESOURCE, **variables}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda half: ended(REPLAY, *half, **variables), HALVES))


@contextmanager
def scraped(folder):
    need("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    with ExitStack() as running:
        pages = [
            running.enter_context(served(REPLAY, *half, AGENT_OTEL_BACKEND="prometheus", **RESOURCE))
            for half in HALVES
        ]
        yield running.enter_context(prometheus(folder, pages))


@contextmanager
def sent(folder, variables=(), **otlp):
    with prometheus(folder, **otlp) as server:
        replay("prometheus-otlp", PROMETHEUS_URL=server.url, **dict(variables))
        yield server


@contextmanager
def collected(folder, configs, protocol="http/protobuf", variables=()):
    with (
        prometheus(folder) as server,
        Collector(folder, "base.yaml", *configs, PROMETHEUS_URL=server.url) as collector,
    ):
        port = {"http/protobuf": collector.http_port, "grpc": collector.grpc_port}[protocol]
        replay(
            "collector",
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            **dict(variables),
        )
        yield server


@contextmanager
def collected_and_scraped(folder):
    with (
        Collector(folder, "base.yaml", "backends/prometheus.yaml") as collector,
        prometheus(folder, [f"127.0.0.1:{collector.scrape_port}"]) as server,
    ):
        replay("collector", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
        yield server


@contextmanager
def sent_to_victoriametrics(folder, flags=(), variables=()):
    with VictoriaMetrics(folder, *flags) as server:
        replay("victoriametrics", VICTORIAMETRICS_URL=server.base, **dict(variables))
        urlopen(f"{server.base}/internal/force_flush", timeout=SECONDS).close()  # shows all of it at once
        yield server


class Path(NamedTuple):
    """A path, and what is its own.

    Attributes:
        start: From a folder to the server that is asked in the end, as a context manager.
        labels: What every series has beside the catalog's attributes; those of the resource under their keys.
        names: What the server calls metrics and attributes.
        histograms: `classic`, `custom` (native ones with the catalog's bounds), `native` or `vmrange`.
        has_zeros: Whether what never happened is there as 0.
    """

    start: object
    labels: str
    names: Names = UNDERSCORED
    histograms: str = "classic"
    has_zeros: bool = True


SCRAPED = "instance job"
PROMOTED = f"{SCRAPED} deployment.environment.name service.instance.id service.name service.version"
ALL_OF_RESOURCE_AND_SCOPE = (
    "deployment.environment.name service.instance.id service.name service.version "
    "telemetry.distro.name telemetry.distro.version telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version "
    "scope.name scope.version"
)
PATHS = {
    "scrape": Path(scraped, SCRAPED),
    "OTLP": Path(sent, PROMOTED),
    "OTLP, exponential": Path(partial(sent, variables=EXPONENTIAL), PROMOTED, histograms="native"),
    "OTLP, NHCB": Path(partial(sent, convert_histograms_to_nhcb=True), PROMOTED, histograms="custom"),
    "Collector, OTLP": Path(partial(collected, configs=["local.yaml"]), PROMOTED),
    "Collector, gRPC": Path(partial(collected, configs=["local.yaml"], protocol="grpc"), PROMOTED),
    "Collector, delta": Path(
        partial(collected, configs=["local.yaml", "gateway/accept-delta.yaml"], variables=DELTA),
        PROMOTED,
        has_zeros=False,
    ),
    "Collector, remote write": Path(
        partial(collected, configs=["backends/prometheus-remote-write.yaml"]), PROMOTED
    ),
    "Collector, its page": Path(collected_and_scraped, PROMOTED),
    "VictoriaMetrics": Path(sent_to_victoriametrics, ALL_OF_RESOURCE_AND_SCOPE, DOTTED),
    "VictoriaMetrics, exponential": Path(
        partial(sent_to_victoriametrics, variables=EXPONENTIAL),
        ALL_OF_RESOURCE_AND_SCOPE,
        DOTTED,
        histograms="vmrange",
    ),
    "VictoriaMetrics, names of Prometheus": Path(
        partial(sent_to_victoriametrics, flags=["-opentelemetry.usePrometheusNaming"]),
        ALL_OF_RESOURCE_AND_SCOPE,
    ),
}
