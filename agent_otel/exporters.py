"""Readers and exporters from the standard variables: `OTEL_METRICS_EXPORTER` and those of each exporter.

Rules:

1. Every variable that is read here is checked before anything is built, so that `configure()` can name all
   mistakes at once. A variable of an exporter that isn't asked for is nobody's business here.
2. What can fail is built before a thread is started or a port is opened: nothing half-built stays behind.
3. The exporters themselves are the official ones, imported when they are named. What they don't tell
   (`Watched`), or do wrongly when several ask at once (`_page_reader`), is put right here.
4. Nothing waits longer than it was told to, whatever the network does, and no exporter waits for another.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
import re
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import (
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
    from wsgiref.simple_server import WSGIServer

    from opentelemetry.sdk.metrics import MeterProvider

_logger: Final = logging.getLogger(__name__)

EXPORTER: Final = "OTEL_METRICS_EXPORTER"
_GROUP: Final = "opentelemetry_metrics_exporter"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_PORT: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"
_HOST: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
_FILTER: Final = "OTEL_METRICS_EXEMPLAR_FILTER"
_INTERVALS: Final = ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT")
# The standard says milliseconds, but the Python exporters take seconds.
_TIMEOUTS: Final = (f"{_OTLP}TIMEOUT", f"{_OTLP}METRICS_TIMEOUT")
_URLS: Final = (f"{_OTLP}ENDPOINT", f"{_OTLP}METRICS_ENDPOINT")

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 9464

_EXEMPLARS: Final = ("trace_based", "always_on", "always_off")
_COMPRESSIONS: Final = ("none", "gzip", "deflate")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    f"{_OTLP}METRICS_TEMPORALITY_PREFERENCE": ("cumulative", "delta", "lowmemory"),
    f"{_OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "explicit_bucket_histogram",
        "base2_exponential_bucket_histogram",
    ),
    f"{_OTLP}COMPRESSION": _COMPRESSIONS,
    f"{_OTLP}METRICS_COMPRESSION": _COMPRESSIONS,
}
_MODULES: Final = {
    "http/protobuf": ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otlp"),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "grpc"),
    "prometheus": ("opentelemetry.exporter.prometheus", "prometheus"),
}
# What an export imports when it first needs it. A fork in that moment would leave the child with a locked import.
_LATE: Final = ("encodings.idna", "netrc")


class Watched(MetricExporter):
    """An exporter that remembers how its last export went, which the SDK's own `force_flush` doesn't tell.

    Args:
        make: Builds the real one; called again in a forked child, which must not share its parent's connection.
    """

    def __init__(self, make: Callable[[], MetricExporter]) -> None:
        """Build the exporter and take over its preferences."""
        self.exporter = make()
        super().__init__(
            preferred_temporality=self.exporter._preferred_temporality,  # noqa: SLF001 -- as the SDK's readers do
            preferred_aggregation=self.exporter._preferred_aggregation,  # noqa: SLF001
        )
        self._make = make
        self._is_stale = False
        self._is_busy = False
        self._left_out: str | None = None
        self.last: MetricExportResult | None = None

    @property
    def delivered(self) -> bool:
        """Whether the last export went well; nothing to export is well."""
        return not self._is_busy and self.last in {None, MetricExportResult.SUCCESS}

    def inherit(self, scope_name: str) -> None:
        """Go on in a forked child: leave one scope out, and open a connection of its own.

        Args:
            scope_name: The instrumentation scope that the child exports elsewhere.
        """
        self._left_out, self._is_stale, self._is_busy = scope_name, True, False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export and remember the result.

        Args:
            metrics_data: What was collected.
            timeout_millis: How long it may take.
            **kwargs: Passed on.
        """
        data = metrics_data if self._left_out is None else _without(metrics_data, self._left_out)
        if not data.resource_metrics:
            self.last = MetricExportResult.SUCCESS
            return self.last
        if self._is_stale:
            self.exporter, self._is_stale = self._make(), False
        self.last, self._is_busy = MetricExportResult.FAILURE, True
        try:
            self.last = self.exporter.export(data, timeout_millis=timeout_millis, **kwargs)
        finally:
            self._is_busy = False
        return self.last

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the exporter.

        Args:
            timeout_millis: How long it may take.
        """
        return self._is_stale or self.exporter.force_flush(timeout_millis=timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down.

        Args:
            timeout_millis: How long it may take.
            **kwargs: The SDK's reader gives its milliseconds as `timeout`, which the exporters overlook.
        """
        if not self._is_stale:
            self.exporter.shutdown(timeout_millis=max(0.0, kwargs.pop("timeout", timeout_millis)), **kwargs)


def _without(data: MetricsData, scope_name: str) -> MetricsData:
    """The data without one instrumentation scope."""
    kept = []
    for resource in data.resource_metrics:
        scopes = [scope for scope in resource.scope_metrics if scope.scope.name != scope_name]
        if scopes:
            kept.append(
                type(resource)(
                    resource=resource.resource, scope_metrics=scopes, schema_url=resource.schema_url
                )
            )
    return MetricsData(resource_metrics=kept)


@dataclass
class Page:
    """The server of the Prometheus page.

    Args:
        server: It.
        thread: Where it runs.
    """

    server: WSGIServer
    thread: threading.Thread

    def close(self) -> None:
        """Stop serving and give the port back."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=1)

    def inherit(self) -> None:
        """Give the port back in a forked child, which has no thread that serves it."""
        self.server.socket.close()


@dataclass
class Readers:
    """What `configure()` built to let metrics leave.

    Args:
        readers: All readers, for the provider.
        pushing: Those that push, with their exporter.
        pages: The Prometheus pages.
        brought: Pushing readers that the program brought; how their exports went can't be seen.
    """

    readers: list[MetricReader] = field(default_factory=list)
    pushing: list[tuple[PeriodicExportingMetricReader, Watched]] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    brought: list[PeriodicExportingMetricReader] = field(default_factory=list)

    def flush(self, seconds: float) -> bool:
        """Push what there is, all exporters at once, and say whether each delivered in time.

        Args:
            seconds: How long it may take.
        """
        pushing = [*(reader for reader, _ in self.pushing), *self.brought]
        for _, watched in self.pushing:
            watched.last = None
        ended = within(
            seconds, *(partial(reader.force_flush, timeout_millis=seconds * 1000) for reader in pushing)
        )
        return ended and all(watched.delivered for _, watched in self.pushing)

    def shut_down(self, provider: MeterProvider, seconds: float, *, close_pages: bool) -> bool:
        """Collect and push a last time, then close everything.

        Args:
            provider: Whose readers these are.
            seconds: How long it may take.
            close_pages: Whether to give the ports back; a process that exits needn't.

        Returns:
            Whether everything was delivered and closed in time.
        """
        deadline = time.monotonic() + seconds
        # The SDK shuts one reader down after the other: a dead collector would take all the time there is.
        flushed = len(self.pushing) + len(self.brought) < 2 or self.flush(seconds / 2)  # noqa: PLR2004
        for _, watched in self.pushing:
            watched.last = None
        started = time.monotonic()
        left = max(0.0, deadline - started)
        # Less than is left, so that the SDK itself gives up first and closes its exporters.
        closing = [partial(provider.shutdown, timeout_millis=left * 900)]
        ended = within(left, *closing, *(page.close for page in self.pages if close_pages))
        # The SDK says nothing when its last collection didn't end; but then it took all its time.
        was_quick = time.monotonic() - started < left * 0.85
        seen = all(
            watched.delivered and (was_quick or watched.last is not None) for _, watched in self.pushing
        )
        return flushed and ended and seen

    def inherit(self, scope_name: str) -> None:
        """Go on in a forked child: everything but one scope, which the child exports elsewhere.

        Args:
            scope_name: That instrumentation scope.
        """
        for page in self.pages:
            page.inherit()
        self.pages = []
        for reader, watched in self.pushing:
            watched.inherit(scope_name)
            # The parent may have been exporting when it forked; the child's copy of that lock stays locked.
            reader._export_lock = threading.Lock()  # noqa: SLF001


def within(seconds: float, *actions: Callable[[], object]) -> bool:
    """Whether all actions, side by side, ended in time and without an error; no longer is waited for.

    Args:
        seconds: How long they may take together.
        *actions: What to do.
    """
    deadline = time.monotonic() + seconds
    outcome: list[bool] = []

    def act(action: Callable[[], object]) -> None:
        try:
            action()
            outcome.append(True)
        except Exception as error:  # noqa: BLE001 -- reported, and told by the result
            _logger.warning("agent_otel could not flush or shut down: %s", error)

    workers = [
        threading.Thread(target=act, args=(each,), name="agent_otel-flush", daemon=True) for each in actions
    ]
    for worker in workers:
        _start(worker)
    for worker in workers:
        if worker.ident is not None:
            worker.join(max(0.0, deadline - time.monotonic()))
    return len(outcome) == len(actions)


def _start(worker: threading.Thread) -> None:
    try:
        worker.start()
    except (
        RuntimeError
    ):  # Python 3.12 starts no thread any more when it runs atexit; the SDK's own bounds hold
        worker.run()


def chosen(environ: Mapping[str, str], given: Iterable[str] | str | None = None) -> tuple[str, ...]:
    """The exporters that are asked for, each once; `none` stands for no exporter.

    Args:
        environ: The environment.
        given: Names, or names joined by commas, that win over `OTEL_METRICS_EXPORTER`.
    """
    words = environ.get(EXPORTER, "").strip() or "otlp" if given is None else given
    names = words.split(",") if isinstance(words, str) else words
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip() not in {"", "none"}))


def mistakes(names: Iterable[str], environ: Mapping[str, str], label: str = EXPORTER) -> list[str]:
    """What is wrong with the exporters and their variables, each with its remedy.

    Args:
        names: The exporters that are asked for.
        environ: The environment.
        label: Where the names come from.
    """
    asked = tuple(names)
    found = [problem for name in asked for problem in _exporter_mistakes(name, environ, label)]
    found += _choice_mistakes({_FILTER: _EXEMPLARS}, environ)
    if any(name != "prometheus" for name in asked):
        found += _number_mistakes(_INTERVALS, "milliseconds", environ)
    if any(name.startswith("otlp") for name in asked):
        is_target = _is_target if protocol_of(environ)[1] == "grpc" or "otlp_proto_grpc" in asked else _is_url
        found += _choice_mistakes(_CHOICES, environ)
        found += _number_mistakes(_TIMEOUTS, "seconds", environ)
        found += [
            f"{variable}={_shown(environ[variable])}: use a URL, such as http://localhost:4318"
            for variable in _URLS
            if environ.get(variable, "").strip() and not is_target(environ[variable].strip())
        ]
    return found


def _choice_mistakes(variables: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> list[str]:
    return [
        f"{variable}={environ[variable]!r}: use one of {', '.join(choices)}"
        for variable, choices in variables.items()
        if environ.get(variable, "").strip().lower() not in {"", *choices}
    ]


def _number_mistakes(variables: Iterable[str], unit: str, environ: Mapping[str, str]) -> list[str]:
    return [
        f"{variable}={environ[variable]!r}: use a number above 0, in {unit}"
        for variable in variables
        if environ.get(variable, "").strip() and not _is_positive(environ[variable])
    ]


def _exporter_mistakes(name: str, environ: Mapping[str, str], label: str) -> list[str]:
    if name == "otlp":
        variable, protocol = protocol_of(environ)
        if protocol not in _MODULES or protocol == "prometheus":
            return [f"{variable}={protocol!r}: use http/protobuf or grpc"]
        return _missing(f"{label}=otlp with {protocol}", protocol)
    if name == "prometheus":
        port = environ.get(_PORT, "").strip() or str(DEFAULT_PORT)
        is_port = port.isdecimal() and int(port) < 65536  # noqa: PLR2004 -- there are no more ports
        wrong = [] if is_port else [f"{_PORT}={port!r}: use a port from 0 to 65535"]
        return wrong + _missing(f"{label}=prometheus", "prometheus")
    if name in {point.name for point in entry_points(group=_GROUP)}:
        return []
    return [f"{label}: unknown exporter {name!r}: use otlp, prometheus, console or none"]


def _missing(what: str, name: str) -> list[str]:
    path, extra = _MODULES[name]
    remedy = f"pip install 'agent-otel[{extra}]'"
    try:
        module = importlib.import_module(path)
    except ImportError:
        return [f"{what} needs its extra: {remedy}"]
    if (
        name == "prometheus"
        and "scope_info_enabled" not in inspect.signature(module.PrometheusMetricReader).parameters
    ):
        return [
            f"{what} needs opentelemetry-exporter-prometheus 0.64b0 or newer, which keeps labels apart: {remedy}"
        ]
    return []


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False


def _is_target(text: str) -> bool:
    """Whether gRPC can dial it, which also takes `host:port` and its own schemes."""
    return _is_url(text) or text.startswith(("dns:", "unix:", "ipv4:", "ipv6:")) or _is_url(f"http://{text}")


def _shown(url: str) -> str:
    """The URL without the password that may stand in it."""
    return repr(re.sub(r"[^/]*@", "***@", url))


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
        ConfigurationError: An exporter refuses its variables, or the port of the Prometheus page is taken.
    """
    asked = tuple(names)
    built = Readers()
    made = [_made(name, environ) for name in asked if name != "prometheus"]
    if "prometheus" in asked:
        _add_prometheus(built, environ)
    for exporter in made:
        if isinstance(exporter, Watched):
            reader = PeriodicExportingMetricReader(exporter)
            built.pushing.append((reader, exporter))
            built.readers.append(reader)
        else:
            built.readers.append(exporter)
    return built


def _made(name: str, environ: Mapping[str, str]) -> Watched | MetricReader:
    try:
        kind = _kind(name, environ)
        return kind() if isinstance(kind, type) and issubclass(kind, MetricReader) else Watched(kind)
    except Exception as error:
        raise ConfigurationError(
            [f"{EXPORTER}={name}: its exporter refuses its variables: {error}"]
        ) from error


def _kind(name: str, environ: Mapping[str, str]) -> Any:
    for module in _LATE:
        importlib.import_module(module)
    if name == "console":
        return ConsoleMetricExporter
    if name == "otlp":
        return importlib.import_module(_MODULES[protocol_of(environ)[1]][0]).OTLPMetricExporter
    return next(point for point in entry_points(group=_GROUP) if point.name == name).load()


def _add_prometheus(built: Readers, environ: Mapping[str, str]) -> None:
    from prometheus_client import start_http_server  # noqa: PLC0415 -- an extra

    host = environ.get(_HOST, "").strip() or DEFAULT_HOST
    port = int(environ.get(_PORT, "").strip() or DEFAULT_PORT)
    reader, registry = _page_reader()
    try:
        page = Page(*start_http_server(port, host, registry))
    except OSError as error:
        remedy = f"use a free port, or another {_HOST}"
        raise ConfigurationError(
            [f"{_PORT}={port}: cannot serve on {host}:{port}: {error.strerror or error}: {remedy}"]
        ) from error
    _logger.info("agent_otel serves the Prometheus page on %s:%d", *page.server.server_address[:2])
    built.readers.append(reader)
    built.pages.append(page)


def _page_reader() -> tuple[MetricReader, Any]:
    """A Prometheus reader, and a registry of its own: on the process-wide one a second reader doubles every sample."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 -- an extra
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 -- an extra

    one_at_a_time = threading.Lock()

    class Registry(CollectorRegistry):
        def collect(self) -> Any:
            # Two scrapes at once would collect twice, and the first would show both.
            with one_at_a_time:
                return iter(list(super().collect()))

    class PageReader(PrometheusMetricReader):
        def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 -- nothing to wait for
            # The SDK's collects for nobody: the next scrape would show every sample twice.
            return True

    registry = Registry(auto_describe=False)
    return PageReader(scope_info_enabled=False, registry=registry), registry


def is_page(reader: object) -> bool:
    """Whether a reader serves a Prometheus page.

    Args:
        reader: Any reader.
    """
    return any(kind.__name__ == "PrometheusMetricReader" for kind in type(reader).__mro__)


def counts_cumulatively(reader: object) -> bool:
    """Whether a reader counts cumulatively; true when it can't be told.

    Args:
        reader: Any reader.
    """
    temporality: Mapping[type, Any] = getattr(reader, "_instrument_class_temporality", {})
    counters = [value.name for kind, value in temporality.items() if kind.__name__.strip("_") == "Counter"]
    return counters in ([], ["CUMULATIVE"])
