"""What `configure()` is asked to build, read from variables and arguments, and what is wrong with it.

Rules:

1. Wrong settings fail at once, all together, before anything is built.
2. Two plans are equal if they build the same: of the variables, those alone count that are read here or by an
   exporter. Others, of traces or of other instrumentations, may change between two calls of `configure()`.
"""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import View

from agent_otel import _views, exporters
from agent_otel import settings as team_settings
from agent_otel._readers import is_page
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)

FILE: Final = "OTEL_CONFIG_FILE"
_PREFIX: Final = team_settings.PREFIX
_BACKEND: Final = f"{_PREFIX}BACKEND"
_KNOWN: Final = (*team_settings.VARIABLES, _BACKEND)
_OF_OUR_TESTS: Final = f"{_PREFIX}REQUIRE_TOOLS"
_READ: Final = (
    FILE,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_EXPORTER_OTLP_",
    "OTEL_EXPORTER_PROMETHEUS_",
    "OTEL_METRIC",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    _PREFIX,
)


@dataclass(frozen=True)
class Plan:
    """Everything that decides what `configure()` builds; two equal plans are the same configuration.

    Args:
        settings: What is recorded.
        names: The exporters.
        environ: The standard variables that were set.
        service_name: Wins over `OTEL_SERVICE_NAME`.
        readers: Further readers that the program brought.
        further_views: Further Views that the program brought.
    """

    settings: Settings
    names: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    service_name: str | None = None
    readers: tuple[MetricReader, ...] = ()
    further_views: tuple[View, ...] = ()


def read(
    given: Mapping[str, Any],
    service_name: str | None = None,
    exporter: str | Iterable[str] | None = None,
    readers: tuple[MetricReader, ...] = (),
    further_views: tuple[View, ...] = (),
    *,
    is_first: bool,
) -> Plan:
    """Read the plan.

    Args:
        given: Settings given as arguments, by `Settings` field.
        service_name: See `Plan`.
        exporter: Names, or names joined by commas, that win over `OTEL_METRICS_EXPORTER`.
        readers: See `Plan`.
        further_views: See `Plan`.
        is_first: Whether this process has none yet. Of a second one, readers are in use and nothing is told again.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.
    """
    environ = {name: value for name, value in os.environ.items() if name.startswith(_READ)}
    settings, found = team_settings.read(environ, given)
    found += _backend_mistakes(environ)
    names: tuple[str, ...] = ()
    try:
        names = exporters.chosen(environ, exporter)
    except (AttributeError, TypeError):
        found.append(f"exporter={exporter!r}: give names, such as 'otlp,prometheus'")
    if not environ.get(FILE):
        found += exporters.mistakes(names, environ, exporters.EXPORTER if exporter is None else "exporter")
        found += _reader_mistakes(readers, are_free=is_first)
        has_page = "prometheus" in names or any(is_page(reader) for reader in readers)
        found += _view_mistakes(further_views, settings, has_page=has_page)
    if found:
        raise ConfigurationError(found)
    if is_first:
        _warn_of_unknown(environ)
    return Plan(settings, names, environ, service_name, readers, further_views)


def _backend_mistakes(environ: Mapping[str, str]) -> list[str]:
    backend = environ.get(_BACKEND, "").strip()
    if not backend:
        return []
    remedy = f"unset it, and set {exporters.EXPORTER} and the OTEL_EXPORTER_* variables"
    return [f"{_BACKEND}={backend!r}: this version has no presets for backends: {remedy}"]


def _reader_mistakes(readers: Sequence[object], *, are_free: bool) -> list[str]:
    found = [
        f"readers: {type(reader).__name__} is no metric reader: wrap an exporter in PeriodicExportingMetricReader"
        for reader in readers
        if not isinstance(reader, MetricReader)
    ]
    if len({id(reader) for reader in readers}) < len(readers):
        found.append("readers: a reader stands twice: give each once")
    if are_free and any(getattr(reader, "_collect", None) is not None for reader in readers):
        found.append("readers: a reader belongs to another provider already: give one of its own")
    return found


def _view_mistakes(further: Sequence[object], settings: Settings, *, has_page: bool) -> list[str]:
    found = [
        f"views: {type(view).__name__} is no View: give opentelemetry.sdk.metrics.view.View"
        for view in further
        if not isinstance(view, View)
    ]
    kept = [view for view in further if isinstance(view, View)]
    if has_page and any(_views.is_exponential(view) for view in kept):
        found.append(
            "views: an exponential histogram can't be served on a Prometheus page: leave its aggregation out, or"
            " export with otlp, where OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION turns it on"
        )
    if doubled := _views.doubled(kept, settings):
        found.append(
            f"views: a View of yours matches {doubled}, which has its View already, and two double every stream:"
            " name your own instruments, or build a provider of your own from agent_otel.views()"
        )
    return found


def _warn_of_unknown(environ: Mapping[str, str]) -> None:
    # Compared without the prefix, which alone makes any two of them look alike.
    words = [known.removeprefix(_PREFIX) for known in _KNOWN]
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in {*_KNOWN, _OF_OUR_TESTS}:
            close = difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1)
            remedy = f"did you mean {_PREFIX}{close[0]}?" if close else f"known are {', '.join(_KNOWN)}"
            _logger.warning("%s is no variable of agent_otel and changes nothing: %s", name, remedy)
