"""Readers and exporters from the standard variables: `OTEL_METRICS_EXPORTER` and those of each exporter.

Every variable that is read here is checked before anything is built, so that `configure()` can name all mistakes
at once. The exporters themselves are the official ones, imported when they are named.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)

from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

EXPORTER: Final = "OTEL_METRICS_EXPORTER"
_GROUP: Final = "opentelemetry_metrics_exporter"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_PORT: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"
_HOST: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 9464

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    _TEMPORALITY: ("cumulative", "delta", "lowmemory"),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "explicit_bucket_histogram",
        "base2_exponential_bucket_histogram",
    ),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("trace_based", "always_on", "always_off"),
}
_NUMBERS: Final = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
)
_URLS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
_MODULES: Final = {
    "http/protobuf": ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otlp"),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "grpc"),
    "prometheus": ("opentelemetry.exporter.prometheus", "prometheus"),
}


class Watched(MetricExporter):
    """An exporter that remembers how its last export went, which the SDK's own `force_flush` doesn't tell.

    Args:
        exporter: The real one.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        """Take over the exporter's preferences."""
        super().__init__(
            preferred_temporality=getattr(exporter, "_preferred_temporality", None),
            preferred_aggregation=getattr(exporter, "_preferred_aggregation", None),
        )
        self.exporter = exporter
        self.last: MetricExportResult | None = None
        self.left_out: str | None = None

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export and remember the result.

        Args:
            metrics_data: What was collected.
            timeout_millis: How long it may take.
            **kwargs: Passed on.
        """
        self.last = MetricExportResult.FAILURE
        data = metrics_data if self.left_out is None else _without(metrics_data, self.left_out)
        self.last = self.exporter.export(data, timeout_millis=timeout_millis, **kwargs)
        return self.last

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the exporter.

        Args:
            timeout_millis: How long it may take.
        """
        return self.exporter.force_flush(timeout_millis=timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down.

        Args:
            timeout_millis: How long it may take.
            **kwargs: Passed on.
        """
        self.exporter.shutdown(timeout_millis=timeout_millis, **kwargs)


def _without(data: MetricsData, scope_name: str) -> MetricsData:
    """The data without one instrumentation scope."""
    kept = [
        type(resource)(
            resource=resource.resource,
            scope_metrics=[scope for scope in resource.scope_metrics if scope.scope.name != scope_name],
            schema_url=resource.schema_url,
        )
        for resource in data.resource_metrics
    ]
    return MetricsData(resource_metrics=kept)


@dataclass
class Readers:
    """What `configure()` built to let metrics leave.

    Args:
        readers: All readers, for the provider.
        pushing: Those that push, with their exporter.
        close: What to call when it ends, such as stopping the Prometheus page's server.
        cumulative: Whether at least one of them is cumulative.
    """

    readers: list[MetricReader] = field(default_factory=list)
    pushing: list[tuple[PeriodicExportingMetricReader, Watched]] = field(default_factory=list)
    close: list[Callable[[], None]] = field(default_factory=list)
    cumulative: bool = False


def chosen(environ: Mapping[str, str], given: Iterable[str] | str | None = None) -> tuple[str, ...]:
    """The exporters that are asked for, each once; `none` stands for no exporter.

    Args:
        environ: The environment.
        given: Names, or names joined by commas, that win over `OTEL_METRICS_EXPORTER`.
    """
    words = environ.get(EXPORTER, "").strip() or "otlp" if given is None else given
    names = words.split(",") if isinstance(words, str) else list(words)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip() not in {"", "none"}))


def mistakes(names: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """What is wrong with the exporters and their variables, each with its remedy.

    Args:
        names: The exporters that are asked for.
        environ: The environment.
    """
    found = [problem for name in names for problem in _exporter_mistakes(name, environ)]
    for variable, choices in _CHOICES.items():
        value = environ.get(variable, "").strip()
        if value and value.lower() not in choices:
            found.append(f"{variable}={value!r}: use one of {', '.join(choices)}")
    found += [
        f"{variable}={environ[variable]!r}: use a number above 0, in milliseconds"
        for variable in _NUMBERS
        if environ.get(variable, "").strip() and not _positive(environ[variable])
    ]
    found += [
        f"{variable}={environ[variable]!r}: use a URL, such as http://localhost:4318"
        for variable in _URLS
        if environ.get(variable, "").strip() and not _is_url(environ[variable])
    ]
    return found


def _exporter_mistakes(name: str, environ: Mapping[str, str]) -> list[str]:
    if name == "otlp":
        variable, protocol = protocol_of(environ)
        if protocol not in _MODULES or protocol == "prometheus":
            return [f"{variable}={protocol!r}: use http/protobuf or grpc"]
        return _missing(f"{EXPORTER}=otlp with {protocol}", protocol)
    if name == "prometheus":
        port = environ.get(_PORT, "").strip() or str(DEFAULT_PORT)
        wrong = [] if port.isdecimal() and int(port) < 65536 else [f"{_PORT}={port!r}: use a port from 0 to 65535"]
        return wrong + _missing(f"{EXPORTER}=prometheus", "prometheus")
    if name == "console" or name in {point.name for point in entry_points(group=_GROUP)}:
        return []
    return [f"{EXPORTER}: unknown exporter {name!r}: use otlp, prometheus, console or none"]


def _missing(what: str, module: str) -> list[str]:
    path, extra = _MODULES[module]
    try:
        found = importlib.util.find_spec(path) is not None
    except ImportError:
        found = False
    return [] if found else [f"{what} needs its extra: pip install 'agent-otel[{extra}]'"]


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) <= math.inf
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def protocol_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that sets the OTLP protocol, and the protocol; `http/protobuf` unless set.

    Args:
        environ: The environment.
    """
    for variable in (f"{_OTLP}METRICS_PROTOCOL", f"{_OTLP}PROTOCOL"):
        if value := environ.get(variable, "").strip():
            return variable, value
    return f"{_OTLP}PROTOCOL", "http/protobuf"


def build(names: Iterable[str], environ: Mapping[str, str]) -> Readers:
    """Build a reader for each exporter.

    Args:
        names: The exporters, checked before.
        environ: The environment.

    Raises:
        ConfigurationError: The port of the Prometheus page is taken.
    """
    built = Readers()
    for name in names:
        if name == "prometheus":
            _add_prometheus(built, environ)
        else:
            _add(built, _exporter(name, environ), environ)
    return built


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    if name == "console":
        return ConsoleMetricExporter()
    if name == "otlp":
        module = importlib.import_module(_MODULES[protocol_of(environ)[1]][0])
        return module.OTLPMetricExporter()
    point = next(point for point in entry_points(group=_GROUP) if point.name == name)
    return point.load()()


def _add(built: Readers, exporter: Any, environ: Mapping[str, str]) -> None:
    if isinstance(exporter, MetricReader):
        built.readers.append(exporter)
        built.cumulative = True
        return
    watched = Watched(exporter)
    reader = PeriodicExportingMetricReader(watched)
    built.readers.append(reader)
    built.pushing.append((reader, watched))
    preference = environ.get(_TEMPORALITY, "").strip().lower() or "cumulative"
    built.cumulative |= isinstance(exporter, ConsoleMetricExporter) or preference == "cumulative"


def _add_prometheus(built: Readers, environ: Mapping[str, str]) -> None:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 -- an extra
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 -- an extra

    host = environ.get(_HOST, "").strip() or DEFAULT_HOST
    port = int(environ.get(_PORT, "").strip() or DEFAULT_PORT)
    # A registry of its own: on the process-wide one a second reader doubles every sample.
    registry = CollectorRegistry(auto_describe=False)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(
            [f"{_PORT}={port}: cannot serve on {host}:{port}: {error.strerror or error}: use a free port"]
        ) from error
    reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=1)

    built.readers.append(reader)
    built.close.append(close)
    built.cumulative = True


def temporality_is_cumulative(reader: MetricReader) -> bool:
    """Whether a reader that a program brought counts cumulatively; true when it can't be told.

    Args:
        reader: Any reader.
    """
    temporality: Mapping[type, AggregationTemporality] = getattr(reader, "_instrument_class_temporality", {})
    return AggregationTemporality.CUMULATIVE in temporality.values() or not temporality
