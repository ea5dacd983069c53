"""Exporters from the standard variables: which are asked for, what is wrong with them, and their readers.

Rules:

1. Every variable that is read here is checked before anything is built, so that `configure()` can name all
   mistakes at once. A variable of an exporter that isn't asked for is nobody's business here.
2. What can fail is built before a thread is started or a port is opened: nothing half-built stays behind.
3. The exporters themselves are the official ones, imported when they are named.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from agent_otel._answers import Answers
from agent_otel._preset import in_environment
from agent_otel._readers import Page, Readers, Watched, page_reader
from agent_otel._urls import is_url, shown
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import MetricExporter

    from agent_otel._preset import Preset

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
# The module of each protocol, and the extra that brings it.
_PROTOCOLS: Final = {
    "http/protobuf": ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otlp"),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "grpc"),
}
# What an export imports when it first needs it. A fork in that moment would leave the child with a locked import.
_LATE: Final = ("encodings.idna", "netrc")


def chosen(
    environ: Mapping[str, str], given: Iterable[str] | str | None = None, default: str = "otlp"
) -> tuple[str, ...]:
    """The exporters that are asked for, each once; `none` stands for no exporter.

    Args:
        environ: The environment.
        given: Names, or names joined by commas, that win over `OTEL_METRICS_EXPORTER`.
        default: The one that is meant where neither says anything.
    """
    words = environ.get(EXPORTER, "").strip() or default if given is None else given
    names = words.split(",") if isinstance(words, str) else words
    return tuple(
        dict.fromkeys(name.strip().lower() for name in names if name.strip().lower() not in {"", "none"})
    )


def mistakes(
    names: Sequence[str], environ: Mapping[str, str], label: str = EXPORTER, preset: Preset | None = None
) -> list[str]:
    """What is wrong with the exporters and their variables, each with its remedy.

    Args:
        names: The exporters that are asked for.
        environ: The environment.
        label: Where the names come from.
        preset: The backend, if one was asked for; what its exporter needs is told there.
    """
    found = [
        problem
        for name in names
        if not (preset and preset.lacks(name))
        for problem in _exporter_mistakes(name, environ, label)
    ]
    found += _choice_mistakes({_FILTER: _EXEMPLARS}, environ)
    if any(name != "prometheus" for name in names):
        found += _number_mistakes(_INTERVALS, "milliseconds", environ)
    if any(name.startswith("otlp") for name in names):
        found += _choice_mistakes(_CHOICES, environ)
        found += _number_mistakes(_TIMEOUTS, "seconds", environ)
        found += _url_mistakes(
            environ,
            is_grpc="otlp_proto_grpc" in names or ("otlp" in names and protocol_of(environ)[1] == "grpc"),
        )
    return found


def _exporter_mistakes(name: str, environ: Mapping[str, str], label: str) -> list[str]:
    if name == "otlp":
        variable, protocol = protocol_of(environ)
        if protocol not in _PROTOCOLS:
            return [f"{variable}={protocol!r}: use http/protobuf or grpc"]
        return _missing(f"{label}=otlp with {protocol}", *_PROTOCOLS[protocol])
    if name == "prometheus":
        return _port_mistakes(environ) + _page_mistakes(f"{label}=prometheus")
    if name in {point.name for point in entry_points(group=_GROUP)}:
        return []
    return [f"{label}: unknown exporter {name!r}: use otlp, prometheus, console or none"]


def _missing(what: str, module: str, extra: str) -> list[str]:
    try:
        importlib.import_module(module)
    except ImportError:
        return [f"{what} needs its extra: pip install 'agent-otel[{extra}]'"]
    return []


def _page_mistakes(what: str) -> list[str]:
    module = "opentelemetry.exporter.prometheus"
    if missing := _missing(what, module, "prometheus"):
        return missing
    reader = importlib.import_module(module).PrometheusMetricReader
    if "scope_info_enabled" in inspect.signature(reader).parameters:
        return []
    remedy = "pip install 'agent-otel[prometheus]'"
    return [
        f"{what} needs opentelemetry-exporter-prometheus 0.64b0 or newer, which keeps labels apart: {remedy}"
    ]


def _port_mistakes(environ: Mapping[str, str]) -> list[str]:
    port = environ.get(_PORT, "").strip() or str(DEFAULT_PORT)
    is_port = port.isdecimal() and int(port) < 65536  # noqa: PLR2004 -- there are no more ports
    return [] if is_port else [f"{_PORT}={port!r}: use a port from 0 to 65535"]


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


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _url_mistakes(environ: Mapping[str, str], *, is_grpc: bool) -> list[str]:
    is_right = _is_target if is_grpc else is_url
    return [
        f"{variable}={shown(environ[variable])!r}: use a URL, such as http://localhost:4318"
        for variable in _URLS
        if environ.get(variable, "").strip() and not is_right(environ[variable].strip())
    ]


def _is_target(text: str) -> bool:
    """Whether gRPC can dial it, which also takes `host:port` and its own schemes."""
    return is_url(text) or text.startswith(("dns:", "unix:", "ipv4:", "ipv6:")) or is_url(f"http://{text}")


def protocol_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that sets the OTLP protocol, and the protocol; `http/protobuf` unless set.

    Args:
        environ: The environment.
    """
    for variable in (f"{_OTLP}METRICS_PROTOCOL", f"{_OTLP}PROTOCOL"):
        if value := environ.get(variable, "").strip():
            return variable, value
    return f"{_OTLP}PROTOCOL", "http/protobuf"


def build(names: Sequence[str], environ: Mapping[str, str], preset: Preset | None = None) -> Readers:
    """Build a reader for each exporter.

    Args:
        names: The exporters, checked before.
        environ: The environment, with what the backend fills in.
        preset: The backend, if one was asked for.

    Raises:
        ConfigurationError: An exporter refuses its variables, or the port of the Prometheus page is taken.
    """
    built = Readers()
    made = [_made(name, environ, preset) for name in names if name != "prometheus"]
    if "prometheus" in names:
        _add_page(built, environ)
    built.watched = [each for each in made if isinstance(each, Watched)]
    built.readers += [
        PeriodicExportingMetricReader(each) if isinstance(each, Watched) else each for each in made
    ]
    return built


def _made(name: str, environ: Mapping[str, str], preset: Preset | None) -> Watched | MetricReader:
    mine = preset if preset is not None and preset.is_of(name) else None
    try:
        kind = _kind(name, environ)
        if isinstance(kind, type) and issubclass(kind, MetricReader):
            return kind()
        return Watched(kind) if mine is None else _watched_for(kind, mine)
    except Exception as error:
        asked = f"{EXPORTER}={name}" if mine is None else mine.asked
        raise ConfigurationError([f"{asked}: its exporter refuses its variables: {error}"]) from error


def _watched_for(kind: Any, preset: Preset) -> Watched:
    limits = preset.backend.limits
    splits = limits.points is not None and "max_export_batch_size" in inspect.signature(kind).parameters
    options = {"max_export_batch_size": limits.points} if splits else {}

    def make() -> MetricExporter:
        with in_environment(preset.variables):
            exporter: MetricExporter = kind(**options)
            return exporter

    answers = Answers(preset.backend.name, preset.check, preset.secrets)
    return Watched(make, answers, limits.buckets)


def _kind(name: str, environ: Mapping[str, str]) -> Any:
    for module in _LATE:
        importlib.import_module(module)
    if name == "otlp":
        return importlib.import_module(_PROTOCOLS[protocol_of(environ)[1]][0]).OTLPMetricExporter
    return next(point for point in entry_points(group=_GROUP) if point.name == name).load()


def _add_page(built: Readers, environ: Mapping[str, str]) -> None:
    from prometheus_client import start_http_server  # noqa: PLC0415 -- an extra

    host = environ.get(_HOST, "").strip() or DEFAULT_HOST
    port = int(environ.get(_PORT, "").strip() or DEFAULT_PORT)
    reader, registry = page_reader()
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
