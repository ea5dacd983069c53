"""`configure()`: which provider `agent_otel` records on, and the ways to get there.

Rules:

1. A program configures, a library never does. An equal second call does nothing, a different one warns and
   changes nothing; a provider that somebody else has set is used and never replaced.
2. Once configured, nothing here raises into the program.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.resources import Resource

from agent_otel import _plan, _preset, agent_metrics, catalog
from agent_otel import settings as team_settings
from agent_otel._fork import configure_child
from agent_otel._pipeline import begin, build, flush, here, record_nothing, service_version, shutdown
from agent_otel._readers import readers_of
from agent_otel._recorder import keeps_nothing
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.metrics.view import View

    from agent_otel._plan import Plan

__all__ = ["build_from_environment", "configure", "flush", "shutdown"]

_logger: Final = logging.getLogger(__name__)

_PROVIDER: Final = "OTEL_PYTHON_METER_PROVIDER"


def configure(  # noqa: PLR0913 -- everything that can be set, each by its name
    *,
    service_name: str | None = None,
    exporter: str | Iterable[str] | None = None,
    readers: Sequence[MetricReader] = (),
    views: Sequence[View] = (),
    backend: str | None = None,
    release: str | None = None,
    agents: Iterable[str] | None = None,
    semconv: str | None = None,
    attributes: Mapping[str, int] | None = None,
    limits: Mapping[str, int] | None = None,
    stop_reasons: Mapping[str, str] | None = None,
    error_types: Mapping[str, str] | None = None,
    prices: str | Path | Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    cost: bool | None = None,
    strict: bool | None = None,
) -> MeterProvider:
    """Build resource, readers, Views and provider from the environment, and let `agent_otel` record there.

    A program calls it once, at its start; a library never does. Everything has its standard variable
    (`OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, ...) or an `AGENT_OTEL_*` one; arguments
    win, and a backend fills in the standard ones that are unset. With `OTEL_SDK_DISABLED=true` it does nothing. Where
    another meter provider is set already, that one is used as it is. With `OTEL_CONFIG_FILE` the SDK is configured by
    that file.

    Args:
        service_name: Wins over `OTEL_SERVICE_NAME`.
        exporter: `otlp`, `prometheus`, `console`, `none`, several joined by commas; wins over
            `OTEL_METRICS_EXPORTER`.
        readers: Further metric readers of your own.
        views: Further Views of your own, after those of the catalog.
        backend: Where metrics go, such as `collector` or `datadog`; wins over `AGENT_OTEL_BACKEND`.
        release: See `Settings`; so are all that follow.
        agents: Agents whose run counts start at 0 now.
        semconv: Generation of the model-call names.
        attributes: Own attributes and their budgets.
        limits: Budgets and caps to change.
        stop_reasons: Further stop reasons, with their status.
        error_types: Exception class paths or provider codes, with their error type.
        prices: A file, or a table, of USD per million tokens.
        cost: Whether to record the estimated cost of each run.
        strict: Whether wrong values raise, for tests.

    Returns:
        The meter provider that is used from now on.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.

    Example:
        >>> import agent_otel
        >>> provider = agent_otel.configure(exporter="none")
    """
    given = {
        "release": release,
        "agents": agents,
        "semconv": semconv,
        "attributes": attributes,
        "limits": limits,
        "stop_reasons": stop_reasons,
        "error_types": error_types,
        "prices": prices,
        "cost": cost,
        "strict": strict,
    }
    with here.lock, _without_our_hook():
        return _configure(given, service_name, exporter, tuple(readers), tuple(views), backend)


def build_from_environment() -> MeterProvider:
    """The provider for `OTEL_PYTHON_METER_PROVIDER=agent_otel`, which the API itself asks for.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.
    """
    with here.lock, _without_our_hook():
        provider = _configure({}) if here.provider is None else here.provider
        # The API's stand-in asks for the global provider: as the global one it would ask itself, for ever.
        return metrics.NoOpMeterProvider() if keeps_nothing(provider) else provider


@contextmanager
def _without_our_hook() -> Iterator[None]:
    """Let `get_meter_provider()` tell what is there; `OTEL_PYTHON_METER_PROVIDER=agent_otel` makes it call us.

    The SDK's exporters ask, too, while they are built.
    """
    ours = os.environ.get(_PROVIDER) == catalog.SCOPE
    if ours:
        del os.environ[_PROVIDER]
    try:
        yield
    finally:
        if ours:
            os.environ[_PROVIDER] = catalog.SCOPE


def _configure(given: Mapping[str, Any], *further: Any) -> MeterProvider:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return record_nothing("OTEL_SDK_DISABLED is true")
    plan = _plan.read(given, *further, is_first=here.asked is None)
    if here.provider is not None:
        return _configured_before(here.provider, plan)
    if here.asked is not None:
        return configure_child(plan)
    return _configure_first(plan)


def _configure_first(plan: Plan) -> MeterProvider:
    if here.is_final:
        return record_nothing("shutdown() is final")
    if plan.environ.get(_plan.FILE):
        return _from_config_file(plan)
    present = metrics.get_meter_provider()
    if not keeps_nothing(present):
        return _use(present, plan)
    provider = build(plan)
    metrics.set_meter_provider(provider)
    return provider


def _configured_before(provider: MeterProvider, plan: Plan) -> MeterProvider:
    if here.is_final:
        _logger.warning("agent_otel was shut down, which is final: this configure() changes nothing")
    elif plan != here.asked:
        _logger.warning(
            "agent_otel is configured already: the first configure() stands, this different one does not"
        )
    return provider


def _from_config_file(plan: Plan) -> MeterProvider:
    """Let `OTEL_CONFIG_FILE` configure the SDK, all of it, as the standard says; readers and Views are its own."""
    if plan.service_name is not None or plan.readers or plan.further_views:
        _logger.warning(
            "OTEL_CONFIG_FILE decides: service_name, readers and views of configure() change nothing"
        )
    if plan.preset is not None:
        _preset.warn_of_powerless(plan.preset.asked, _plan.FILE)
    if keeps_nothing(metrics.get_meter_provider()):
        _apply_config_file(plan.environ[_plan.FILE])
    present = metrics.get_meter_provider()
    if keeps_nothing(present):
        here.provider, here.asked = present, plan
        _logger.warning("OTEL_CONFIG_FILE sets up no meter_provider: agent_otel records nothing")
    else:
        _record_on(present, plan)
    return present


def _apply_config_file(path: str) -> None:
    try:
        from opentelemetry.configuration import configure_sdk, load_config_file  # noqa: PLC0415 -- optional
    except ImportError:
        raise ConfigurationError(
            [f"{_plan.FILE} needs SDK 1.44 or newer and pip install --pre opentelemetry-configuration"]
        ) from None
    try:
        configure_sdk(load_config_file(path))
    except Exception as error:
        raise ConfigurationError([f"{_plan.FILE}={path!r}: mend the file: {error}"]) from error


def _use(present: MeterProvider, plan: Plan) -> MeterProvider:
    """Record on a provider that somebody else has set, by this plan's settings unless it is too late for them."""
    _logger.warning(
        "a MeterProvider is set already: agent_otel records there and adds no exporter and no View;"
        " give that provider agent_otel.views(), or let configure() come first"
    )
    if plan.preset is not None:
        _preset.warn_of_powerless(plan.preset.asked, "that provider")
    _record_on(present, plan)
    return present


def _record_on(present: MeterProvider, plan: Plan) -> None:
    default = agent_metrics.default
    wanted = team_settings.with_release(plan.settings, service_version(_resource_of(present)))
    if default.recorder.is_bound and default.settings != wanted:
        _logger.warning(
            "agent_otel records already, by the AGENT_OTEL_* variables: other settings of configure() come too late;"
            " set the variables"
        )
    else:
        default.settings = wanted
    begin(present, plan, readers_of(present))


def _resource_of(provider: object) -> Resource:
    """The resource of any provider; the SDK has no public word for it."""
    found = getattr(getattr(provider, "_sdk_config", None), "resource", None)
    return found if isinstance(found, Resource) else Resource({})
