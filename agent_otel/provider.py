"""`configure()`: resource, readers, Views and provider, from the environment; and how they end.

Rules:

1. A program configures, a library never does. An equal second call does nothing, a different one warns and
   changes nothing; a provider that somebody else has set is used and never replaced.
2. Wrong settings fail at once, all together. After that nothing here raises into the program.
3. `flush()` and `shutdown()` end within their timeout, whatever the network does, and say what they saw: the
   SDK's own `force_flush` answers True when the export failed.
4. A forked child reports itself alone. The SDK lets it inherit the parent's totals; so the child gets a provider
   of its own for `agent_otel`'s scope, and the inherited exporters leave that scope out.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from agent_otel import agent_metrics, catalog, exporters
from agent_otel import settings as team_settings
from agent_otel._recorder import keeps_nothing
from agent_otel._version import __version__
from agent_otel.errors import ConfigurationError
from agent_otel._views import views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.metrics import MeterProvider as AnyMeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.metrics.view import View

    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 5.0


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
    environ: Mapping[str, str]
    service_name: str | None = None
    readers: tuple[MetricReader, ...] = ()
    further_views: tuple[View, ...] = ()


class Pipeline:
    """A provider with its readers, built from a plan.

    Args:
        plan: What to build.

    Raises:
        ConfigurationError: A port is taken.
    """

    def __init__(self, plan: Plan) -> None:
        """Build the readers first, so that nothing half-built stays behind when one fails."""
        self.plan = plan
        self.exporting = exporters.build(plan.names, plan.environ)
        resource = _resource(plan.service_name)
        self.settings = team_settings.with_release(plan.settings, _service_version(resource))
        self.provider = MeterProvider(
            metric_readers=[*self.exporting.readers, *plan.readers],
            resource=resource,
            shutdown_on_exit=False,
            views=[*views(self.settings), *plan.further_views],
        )
        self.cumulative = self.exporting.cumulative or any(
            exporters.temporality_is_cumulative(reader) for reader in plan.readers
        )

    def flush(self, seconds: float) -> bool:
        """Push what there is, and say whether every push exporter delivered in time."""
        deadline = time.monotonic() + seconds
        for reader, watched in self.exporting.pushing:
            left = max(0.0, deadline - time.monotonic())
            watched.last = None
            if not _within(left, _forced(reader, left)) or watched.last is None or not _delivered(watched):
                return False
        return True

    def shut_down(self, seconds: float) -> bool:
        """Collect and push a last time, then close everything."""
        for close in self.exporting.close:
            _within(seconds, close)
        for _, watched in self.exporting.pushing:
            watched.last = None
        deadline = time.monotonic() + seconds
        ended = _within(seconds, lambda: self.provider.shutdown(timeout_millis=max(1.0, seconds * 1000)))
        ended = ended and time.monotonic() <= deadline + 0.5
        return ended and all(_delivered(watched) for _, watched in self.exporting.pushing)


def _forced(reader: Any, seconds: float) -> Callable[[], None]:
    return lambda: reader.force_flush(timeout_millis=seconds * 1000)


def _delivered(watched: exporters.Watched) -> bool:
    return watched.last is None or watched.last.name == "SUCCESS"


_lock: Final = threading.RLock()
_pipeline: Pipeline | None = None
_final = False


def configure(
    *,
    service_name: str | None = None,
    exporter: str | Iterable[str] | None = None,
    readers: Sequence[MetricReader] = (),
    views: Sequence[View] = (),
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
) -> AnyMeterProvider:
    """Build resource, readers, Views and provider from the environment, and let `agent_otel` record there.

    A program calls it once, at its start; a library never does. Everything has its standard variable
    (`OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, ...) or an `AGENT_OTEL_*` one; arguments
    win. With `OTEL_SDK_DISABLED=true` it does nothing. Where another meter provider is set already, that one is
    used as it is. With `OTEL_CONFIG_FILE` the SDK is configured by that file.

    Args:
        service_name: Wins over `OTEL_SERVICE_NAME`.
        exporter: `otlp`, `prometheus`, `console`, `none`, several joined by commas; wins over
            `OTEL_METRICS_EXPORTER`.
        readers: Further metric readers of your own.
        views: Further Views of your own, after those of the catalog.
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
    with _lock:
        if _is_disabled():
            _logger.info("agent_otel records nothing: OTEL_SDK_DISABLED is true")
            agent_metrics.default.settle()
            return metrics.NoOpMeterProvider()
        plan = _plan(given, service_name, exporter, tuple(readers), tuple(views))
        if _pipeline is not None:
            return _configured_before(_pipeline, plan)
        return _configure(plan)


def _plan(
    given: Mapping[str, Any],
    service_name: str | None,
    exporter: str | Iterable[str] | None,
    readers: tuple[MetricReader, ...],
    further_views: tuple[View, ...],
) -> Plan:
    environ = {name: value for name, value in os.environ.items() if name.startswith(("OTEL_", "AGENT_OTEL_"))}
    settings, found = team_settings.read(environ, given)
    names = exporters.chosen(environ, exporter)
    if not environ.get("OTEL_CONFIG_FILE"):
        found += exporters.mistakes(names, environ)
    if "prometheus" in names and any(_is_exponential(view) for view in further_views):
        found.append(
            "views: an exponential histogram can't be served on a Prometheus page: leave its aggregation out, or"
            " export with otlp, where OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION turns it on"
        )
    if found:
        raise ConfigurationError(found)
    return Plan(settings, names, environ, service_name, readers, further_views)


def _is_exponential(view: View) -> bool:
    return isinstance(getattr(view, "_aggregation", None), ExponentialBucketHistogramAggregation)


def _is_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _configured_before(pipeline: Pipeline, plan: Plan) -> AnyMeterProvider:
    if plan != pipeline.plan:
        _logger.warning("agent_otel is configured already: the first configure() stands, this different one does not")
    return pipeline.provider


def _configure(plan: Plan) -> AnyMeterProvider:
    if plan.environ.get("OTEL_CONFIG_FILE"):
        return _from_config_file(plan)
    present = metrics.get_meter_provider()
    if _pipeline is not None:  # OTEL_PYTHON_METER_PROVIDER=agent_otel built it just now
        return _configured_before(_pipeline, plan)
    if not keeps_nothing(present):
        return _use(present, plan)
    pipeline = _build(plan)
    metrics.set_meter_provider(pipeline.provider)
    return pipeline.provider


def _use(present: AnyMeterProvider, plan: Plan) -> AnyMeterProvider:
    _logger.warning(
        "a MeterProvider is set already: agent_otel records there and adds no exporter and no View;"
        " give that provider agent_otel.views(), or let configure() come first"
    )
    agent_metrics.default.settings = team_settings.with_release(plan.settings)
    agent_metrics.default.bind_to(present)
    return present


def _build(plan: Plan) -> Pipeline:
    global _pipeline  # noqa: PLW0603 -- one process has one configuration, as it has one global provider
    pipeline = _pipeline = Pipeline(plan)
    _bind(pipeline)
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
    return pipeline


def _bind(pipeline: Pipeline) -> None:
    agent_metrics.default.settings = pipeline.settings
    agent_metrics.default.bind_to(pipeline.provider, zeros=pipeline.cumulative)


def build_from_environment() -> AnyMeterProvider:
    """The provider for `OTEL_PYTHON_METER_PROVIDER=agent_otel`, which the API itself sets as the global one.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.
    """
    with _lock:
        if _pipeline is not None:
            return _pipeline.provider
        return _build(_plan({}, None, None, (), ())).provider


def _from_config_file(plan: Plan) -> AnyMeterProvider:
    """Let `OTEL_CONFIG_FILE` configure the SDK, all of it, as the standard says; readers and Views are its own."""
    present = metrics.get_meter_provider()
    if keeps_nothing(present):
        try:
            from opentelemetry.configuration import configure_sdk, load_config_file  # noqa: PLC0415 -- optional
        except ImportError:
            raise ConfigurationError(
                ["OTEL_CONFIG_FILE needs opentelemetry-configuration: pip install 'opentelemetry-sdk[file-configuration]'"]
            ) from None
        path = plan.environ["OTEL_CONFIG_FILE"]
        try:
            configure_sdk(load_config_file(path))
        except Exception as error:
            raise ConfigurationError([f"OTEL_CONFIG_FILE={path!r}: {error}"]) from error
        present = metrics.get_meter_provider()
    agent_metrics.default.settings = team_settings.with_release(plan.settings)
    if keeps_nothing(present):
        _logger.warning("OTEL_CONFIG_FILE has no meter_provider section: agent_otel records nothing")
    else:
        agent_metrics.default.bind_to(present)
    return present


def _resource(service_name: str | None) -> Resource:
    own = {"telemetry.distro.name": "agent_otel", "telemetry.distro.version": __version__}
    if service_name is not None:
        own["service.name"] = service_name
    resource = Resource.create(own)
    if "service.instance.id" not in resource.attributes:
        resource = resource.merge(Resource({"service.instance.id": str(uuid.uuid4())}))
    return resource


def _service_version(resource: Resource) -> str | None:
    version = resource.attributes.get("service.version")
    return None if version is None else str(version)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Push what was measured so far; readers that are scraped have nothing to flush.

    Never call it on a request path or an event loop: it waits for the network.

    Args:
        timeout: Seconds, after which it returns whatever the network does.

    Returns:
        Whether every push exporter delivered in time. False also when another's provider is used, whose readers
        can't be seen from here: it is asked to flush, but what became of it is unknown.
    """
    agent_metrics.default.drain()
    if _pipeline is not None:
        return _pipeline.flush(timeout)
    present = metrics.get_meter_provider()
    force_flush = getattr(present, "force_flush", None)
    if force_flush is not None and not keeps_nothing(present):
        _within(timeout, lambda: force_flush(timeout_millis=timeout * 1000))
    return False


def shutdown(timeout: float = SHUTDOWN_SECONDS) -> bool:
    """End the runs that are still open, push a last time and close everything; final.

    It runs by itself when the interpreter exits. `SIGTERM` kills Python without that: turn it into
    `SystemExit` (`signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))`) if your server doesn't.

    Args:
        timeout: Seconds, after which it returns whatever the network does.

    Returns:
        Whether everything was delivered and closed in time.
    """
    global _final, _pipeline  # noqa: PLW0603 -- as in _build
    with _lock:
        if _final:
            return False
        _final = True
        agent_metrics.default.end_runs()
        agent_metrics.default.drain()
        if _pipeline is None:
            return False
        ended = _pipeline.shut_down(timeout)
        agent_metrics.default.settle()
        return ended


def _at_exit() -> None:
    if not _final:
        shutdown()


def _in_child() -> None:
    """Give a forked child a pipeline of its own; what it inherited keeps everything but agent_otel's scope."""
    global _lock, _pipeline  # noqa: PLW0602, PLW0603 -- as in _build
    if _pipeline is None or _final:
        return
    try:
        inherited = _pipeline
        for _, watched in inherited.exporting.pushing:
            watched.left_out = catalog.SCOPE
        agent_metrics.default.begin_anew()
        _pipeline = Pipeline(_child_plan(inherited.plan))
        _bind(_pipeline)
    except Exception:
        _logger.exception("agent_otel records nothing in this forked process: call configure() after the fork")


def _child_plan(plan: Plan) -> Plan:
    names = tuple(name for name in plan.names if name != "prometheus")
    if names != plan.names:
        _logger.warning(
            "agent_otel: a forked process can't serve the Prometheus page of its parent: export with otlp,"
            " or call configure() after the fork, with a port for each process"
        )
    return Plan(plan.settings, names, plan.environ, plan.service_name, (), plan.further_views)


def _within(seconds: float, action: Callable[[], object]) -> bool:
    """Whether the action ended in time and without an error; it isn't waited for any longer."""
    outcome: list[bool] = []

    def act() -> None:
        try:
            action()
            outcome.append(True)
        except Exception:
            _logger.warning("agent_otel could not flush or shut down", exc_info=True)

    worker = threading.Thread(target=act, name="agent_otel-flush", daemon=True)
    try:
        worker.start()
    except RuntimeError:  # some Pythons start no thread once the interpreter is shutting down
        act()
    else:
        worker.join(seconds)
    return bool(outcome)
