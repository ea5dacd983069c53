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

from agent_otel import _preset, _views, exporters
from agent_otel import settings as team_settings
from agent_otel._readers import is_page
from agent_otel.backends import ENDPOINT, HEADERS
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_otel._preset import Preset
    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)

FILE: Final = "OTEL_CONFIG_FILE"
_PREFIX: Final = team_settings.PREFIX
_BACKEND: Final = team_settings.BACKEND
_OF_OUR_TESTS: Final = f"{_PREFIX}REQUIRE_TOOLS"
_READ: Final = (
    FILE,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_EXPORTER_OTLP_",
    "OTEL_EXPORTER_PROMETHEUS_",
    "OTEL_METRIC",
    "OTEL_PYTHON_EXPORTER_OTLP_",
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
        environ: The standard variables that were set, or are filled in by the backend.
        service_name: Wins over `OTEL_SERVICE_NAME`.
        readers: Further readers that the program brought.
        further_views: Further Views that the program brought.
        preset: The backend, if one was asked for.
    """

    settings: Settings
    names: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    service_name: str | None = None
    readers: tuple[MetricReader, ...] = ()
    further_views: tuple[View, ...] = ()
    preset: Preset | None = None

    @property
    def filled(self) -> Mapping[str, str]:
        """The variables that the backend fills in."""
        return {} if self.preset is None else self.preset.variables


def read(
    given: Mapping[str, Any],
    service_name: str | None = None,
    exporter: str | Iterable[str] | None = None,
    readers: tuple[MetricReader, ...] = (),
    further_views: tuple[View, ...] = (),
    backend: str | None = None,
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
        backend: Wins over `AGENT_OTEL_BACKEND`.
        is_first: Whether this process has none yet. Of a second one, readers are in use and nothing is told again.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.
    """
    environ = {name: value for name, value in os.environ.items() if name.startswith(_READ)}
    settings, found = team_settings.read(environ, given)
    asked, mistakes = _asked_for(backend, environ)
    found += mistakes
    preset = asked
    names: tuple[str, ...] = ()
    try:
        names = exporters.chosen(environ, exporter, preset.backend.exporter if preset else "otlp")
    except (AttributeError, TypeError):
        found.append(f"exporter={exporter!r}: give names, such as 'otlp,prometheus'")
    if not environ.get(FILE):
        if asked is not None:
            preset, mistakes = _preset.fill(asked, names, os.environ)
            found += mistakes
        environ |= preset.variables if preset else {}
        found += exporters.mistakes(
            names, environ, exporters.EXPORTER if exporter is None else "exporter", preset
        )
        found += _reader_mistakes(readers, are_free=is_first)
        has_page = "prometheus" in names or any(is_page(reader) for reader in readers)
        found += _view_mistakes(further_views, settings, has_page=has_page)
    if found:
        raise ConfigurationError(found)
    if is_first:
        _warn_of_unknown(environ)
        _warn_of_keys_elsewhere(preset, environ)
        if asked is not None and preset is None:
            _preset.warn_of_others(asked, names)
    return Plan(settings, names, environ, service_name, readers, further_views, preset)


def _asked_for(backend: object, environ: Mapping[str, str]) -> tuple[Preset | None, list[str]]:
    label, name = ("backend", backend) if backend is not None else (_BACKEND, environ.get(_BACKEND, ""))
    if not isinstance(name, str):
        return None, [f"backend={name!r}: give a name, such as 'collector'"]
    return _preset.asked_for(name, label) if name.strip() else (None, [])


def _warn_of_keys_elsewhere(preset: Preset | None, environ: Mapping[str, str]) -> None:
    elsewhere = "OTEL_EXPORTER_OTLP_ENDPOINT"
    if preset and HEADERS in preset.variables and ENDPOINT not in environ:
        _logger.warning(
            "%s is set and wins over %s: metrics, and the key of that backend, go there",
            elsewhere,
            preset.asked,
        )


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
    known = team_settings.VARIABLES
    words = [each.removeprefix(_PREFIX) for each in known]
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in {*known, _OF_OUR_TESTS}:
            close = difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1)
            remedy = f"did you mean {_PREFIX}{close[0]}?" if close else f"known are {', '.join(known)}"
            _logger.warning("%s is no variable of agent_otel and changes nothing: %s", name, remedy)
