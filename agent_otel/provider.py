"""`configure()`: resource, readers, Views and provider, from the environment; and how they end.

Rules:

1. A program configures, a library never does. An equal second call does nothing, a different one warns and
   changes nothing; a provider that somebody else has set is used and never replaced.
2. Wrong settings fail at once, all together. After that nothing here raises into the program.
3. `flush()` and `shutdown()` end within their timeout, whatever the network does, and say what they saw: the
   SDK's own `force_flush` answers True when the export failed.
4. A forked child reports itself alone. The SDK lets it inherit the parent's totals; so the child gets a provider
   of its own for `agent_otel`'s scope, when it first measures something, and the inherited exporters leave that
   scope out. At the fork itself no thread is started and no lock is waited for.
"""

from __future__ import annotations

import atexit
import difflib
import logging
import os
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource

from agent_otel import _views, agent_metrics, catalog, exporters
from agent_otel import settings as team_settings
from agent_otel._recorder import keeps_nothing
from agent_otel._version import __version__
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.metrics import MeterProvider as AnyMeterProvider

    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 5.0

_GAVE_UP: Final = "agent_otel records nothing in this forked process: call configure() after the fork"
_FILE: Final = "OTEL_CONFIG_FILE"
_PROVIDER: Final = "OTEL_PYTHON_METER_PROVIDER"
_INSTANCE: Final = "service.instance.id"
_BACKEND: Final = f"{team_settings.PREFIX}BACKEND"
_KNOWN: Final = (*team_settings.VARIABLES, _BACKEND, f"{team_settings.PREFIX}REQUIRE_TOOLS")
# Other OTEL_* variables, of traces or of other instrumentations, may change between two calls of configure().
_READ_HERE: Final = (
    "OTEL_CONFIG_FILE",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_EXPORTER_OTLP_",
    "OTEL_EXPORTER_PROMETHEUS_",
    "OTEL_METRIC",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    team_settings.PREFIX,
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


class Pipeline:
    """A provider with its readers, built from a plan.

    Args:
        plan: What to build.
        is_forked: Whether it is for a forked child, whose instance is another one than its parent's.

    Raises:
        ConfigurationError: An exporter refuses its variables, or a port is taken.
    """

    def __init__(self, plan: Plan, *, is_forked: bool = False) -> None:
        """Build everything; what can fail comes first, so that nothing half-built stays behind."""
        resource = _resource(plan.service_name, is_forked=is_forked)
        self.settings = team_settings.with_release(plan.settings, _service_version(resource))
        self.exporting = exporters.build(plan.names, plan.environ)
        self.exporting.brought = [r for r in plan.readers if isinstance(r, PeriodicExportingMetricReader)]
        readers = [*self.exporting.readers, *plan.readers]
        self.provider = MeterProvider(
            metric_readers=readers,
            resource=resource,
            shutdown_on_exit=False,
            views=[*_views.views(self.settings), *plan.further_views],
        )
        self.is_cumulative = any(exporters.counts_cumulatively(reader) for reader in readers)


@dataclass
class _Process:
    """What this process has configured. One process has one configuration, as it has one global provider.

    Args:
        lock: Held while that changes.
        asked: The plan that `configure()` made.
        provider: The provider that is used, whoever built it.
        pipeline: Ours, if we built it.
        inherited: The parent's, in a forked child.
        is_final: Whether `shutdown()` was called.
        has_hooks: Whether exit and fork are attended to.
    """

    lock: Any = field(default_factory=threading.RLock)
    asked: Plan | None = None
    provider: AnyMeterProvider | None = None
    pipeline: Pipeline | None = None
    inherited: list[Pipeline] = field(default_factory=list)
    is_final: bool = False
    has_hooks: bool = False


_here: Final = _Process()


def configure(  # noqa: PLR0913 -- everything that can be set, each by its name
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
    with _here.lock:
        if _is_disabled():
            return _nothing("OTEL_SDK_DISABLED is true")
        plan = _plan(given, service_name, exporter, tuple(readers), tuple(views))
        return _configure(plan)


def _is_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _nothing(reason: str) -> AnyMeterProvider:
    _logger.info("agent_otel records nothing: %s", reason)
    agent_metrics.default.settle()
    return metrics.NoOpMeterProvider()


def _plan(
    given: Mapping[str, Any],
    service_name: str | None = None,
    exporter: str | Iterable[str] | None = None,
    readers: tuple[MetricReader, ...] = (),
    further_views: tuple[View, ...] = (),
) -> Plan:
    environ = {name: value for name, value in os.environ.items() if name.startswith(_READ_HERE)}
    settings, found = team_settings.read(environ, given)
    found += _backend_mistakes(environ)
    names: tuple[str, ...] = ()
    try:
        names = exporters.chosen(environ, exporter)
    except (AttributeError, TypeError):
        found.append(f"exporter={exporter!r}: give names, such as 'otlp,prometheus'")
    if not environ.get(_FILE):
        found += exporters.mistakes(names, environ, exporters.EXPORTER if exporter is None else "exporter")
        found += _reader_mistakes(readers)
        has_page = "prometheus" in names or any(exporters.is_page(reader) for reader in readers)
        found += _view_mistakes(further_views, settings, has_page=has_page)
    if found:
        raise ConfigurationError(found)
    _warn_of_unknown(environ)
    return Plan(settings, names, environ, service_name, readers, further_views)


def _backend_mistakes(environ: Mapping[str, str]) -> list[str]:
    backend = environ.get(_BACKEND, "").strip()
    if not backend:
        return []
    remedy = f"unset it, and set {exporters.EXPORTER} and the OTEL_EXPORTER_* variables"
    return [f"{_BACKEND}={backend!r}: this version has no presets for backends: {remedy}"]


def _reader_mistakes(readers: Sequence[object]) -> list[str]:
    found = [
        f"readers: {type(reader).__name__} is no metric reader: wrap an exporter in PeriodicExportingMetricReader"
        for reader in readers
        if not isinstance(reader, MetricReader)
    ]
    if len({id(reader) for reader in readers}) < len(readers):
        found.append("readers: a reader stands twice: give each once")
    if _here.asked is None and any(getattr(reader, "_collect", None) is not None for reader in readers):
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
    if _here.asked is not None:  # told before
        return
    prefix = team_settings.PREFIX
    words = [known.removeprefix(prefix) for known in _KNOWN[:-1]]  # the last is for the tests of this project
    for name in sorted(environ):
        if name.startswith(prefix) and name not in _KNOWN:
            # Compared without the prefix, which alone makes any two of them look alike.
            close = difflib.get_close_matches(name.removeprefix(prefix), words, n=1)
            remedy = f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(_KNOWN[:-1])}"
            _logger.warning("%s is no variable of agent_otel and changes nothing: %s", name, remedy)


def _configure(plan: Plan) -> AnyMeterProvider:
    if _here.provider is not None:
        return _configured_before(_here.provider, plan)
    if _here.asked is not None:
        return _configure_child(_here.asked, plan)
    if _here.is_final:
        return _nothing("shutdown() is final")
    if plan.environ.get(_FILE):
        return _from_config_file(plan)
    with _without_our_hook():
        present = metrics.get_meter_provider()
        if not keeps_nothing(present):
            return _use(present, plan)
        provider = _build(plan)
    metrics.set_meter_provider(provider)
    return provider


def _configured_before(provider: AnyMeterProvider, plan: Plan) -> AnyMeterProvider:
    if _here.is_final:
        _logger.warning("agent_otel was shut down, which is final: this configure() changes nothing")
    elif plan != _here.asked:
        _logger.warning(
            "agent_otel is configured already: the first configure() stands, this different one does not"
        )
    return provider


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


def _build(plan: Plan, asked: Plan | None = None) -> AnyMeterProvider:
    pipeline = Pipeline(plan, is_forked=bool(_here.inherited))
    _here.pipeline = pipeline
    agent_metrics.default.settings = pipeline.settings
    _begin_in(pipeline.provider, asked or plan, zeros=pipeline.is_cumulative)
    return pipeline.provider


def _begin_in(provider: AnyMeterProvider, asked: Plan, *, zeros: bool) -> None:
    _here.provider, _here.asked = provider, asked
    if _here.inherited:
        agent_metrics.default.begin_anew()
    agent_metrics.default.bind_to(provider, zeros=zeros)
    if not _here.has_hooks:
        _here.has_hooks = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):  # pragma: no branch -- Windows has no fork
            os.register_at_fork(after_in_child=_in_child)


def _use(present: AnyMeterProvider, plan: Plan) -> AnyMeterProvider:
    """Record on a provider that somebody else has set, by this plan's settings unless it is too late for them."""
    _logger.warning(
        "a MeterProvider is set already: agent_otel records there and adds no exporter and no View;"
        " give that provider agent_otel.views(), or let configure() come first"
    )
    _record_on(present, plan)
    return present


def _record_on(present: AnyMeterProvider, plan: Plan) -> None:
    default = agent_metrics.default
    wanted = team_settings.with_release(plan.settings, _service_version(_resource_of(present)))
    if default.recorder.is_bound and default.settings != wanted:
        _logger.warning(
            "agent_otel records already, by the AGENT_OTEL_* variables: other settings of configure() come too late;"
            " set the variables"
        )
    else:
        default.settings = wanted
    readers = _readers_of(present)
    _begin_in(
        present, plan, zeros=not readers or any(exporters.counts_cumulatively(reader) for reader in readers)
    )


def _resource_of(provider: object) -> Resource:
    """The resource of any provider; the SDK has no public word for it."""
    found = getattr(getattr(provider, "_sdk_config", None), "resource", None)
    return found if isinstance(found, Resource) else Resource({})


def _readers_of(provider: object) -> tuple[MetricReader, ...]:
    """The readers of any provider; the SDK has no public word for them, and two places."""
    holders = (provider, getattr(provider, "_sdk_config", None))
    found = [
        readers
        for each in holders
        for name in ("_metric_readers", "metric_readers")
        if (readers := getattr(each, name, ()))
    ]
    return tuple(found[0]) if found else ()


def build_from_environment() -> AnyMeterProvider:
    """The provider for `OTEL_PYTHON_METER_PROVIDER=agent_otel`, which the API itself sets as the global one.

    Raises:
        ConfigurationError: Naming every mistake, with its remedy.
    """
    with _here.lock, _without_our_hook():
        if _is_disabled():
            return _nothing("OTEL_SDK_DISABLED is true")
        plan = _plan({})
        if _here.provider is None:
            provider = _from_config_file(plan) if plan.environ.get(_FILE) else _build(plan)
            # The API's stand-in asks for the global provider: as the global one it would ask itself, for ever.
            return metrics.NoOpMeterProvider() if keeps_nothing(provider) else provider
        return _here.provider


def _from_config_file(plan: Plan) -> AnyMeterProvider:
    """Let `OTEL_CONFIG_FILE` configure the SDK, all of it, as the standard says; readers and Views are its own."""
    if plan.service_name is not None or plan.readers or plan.further_views:
        _logger.warning(
            "OTEL_CONFIG_FILE decides: service_name, readers and views of configure() change nothing"
        )
    with _without_our_hook():
        present = metrics.get_meter_provider()
        if keeps_nothing(present):
            _apply_config_file(plan.environ[_FILE])
            present = metrics.get_meter_provider()
    if keeps_nothing(present):
        _here.provider, _here.asked = present, plan
        _logger.warning("OTEL_CONFIG_FILE sets up no meter_provider: agent_otel records nothing")
    else:
        _record_on(present, plan)
    return present


def _apply_config_file(path: str) -> None:
    try:
        from opentelemetry.configuration import configure_sdk, load_config_file  # noqa: PLC0415 -- optional
    except ImportError:
        raise ConfigurationError(
            [f"{_FILE} needs SDK 1.44 or newer and pip install --pre opentelemetry-configuration"]
        ) from None
    try:
        configure_sdk(load_config_file(path))
    except Exception as error:
        raise ConfigurationError([f"{_FILE}={path!r}: mend the file: {error}"]) from error


def _resource(service_name: str | None, *, is_forked: bool) -> Resource:
    own: dict[str, str] = {"telemetry.distro.name": catalog.SCOPE, "telemetry.distro.version": __version__}
    if service_name is not None:
        own["service.name"] = service_name
    resource = Resource.create(own)
    instance = str(uuid.uuid4())
    if _INSTANCE in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        given = str(resource.attributes.get(_INSTANCE))
        instance = f"{given}-{os.getpid()}" if is_forked else given
    return resource.merge(Resource({_INSTANCE: instance}))


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
    if _here.is_final:
        return False
    deadline = time.monotonic() + timeout
    if _here.pipeline is None and not _here.inherited:
        _flush_foreign(timeout)
        return False
    ended = _here.pipeline is None or _here.pipeline.exporting.flush(timeout)
    for parents in _here.inherited:
        parents.exporting.flush(max(0.0, deadline - time.monotonic()))
    return ended


def _flush_foreign(seconds: float) -> None:
    # Not the provider's own force_flush: on a Prometheus page it doubles every sample of the next scrape.
    readers = [r for r in _readers_of(metrics.get_meter_provider()) if not exporters.is_page(r)]
    exporters.within(seconds, *(reader.force_flush for reader in readers))


def shutdown(timeout: float = SHUTDOWN_SECONDS) -> bool:
    """End the runs that are still open, push a last time and close everything; final.

    It runs by itself when the interpreter exits. `SIGTERM` kills Python without that: turn it into
    `SystemExit` (`signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))`) if your server doesn't.

    Args:
        timeout: Seconds, after which it returns whatever the network does.

    Returns:
        Whether everything was delivered and closed in time.
    """
    return _shut_down(timeout, close_pages=True)


def _shut_down(seconds: float, *, close_pages: bool) -> bool:
    deadline = time.monotonic() + seconds
    with _here.lock:
        if _here.is_final or (_here.asked is None and not agent_metrics.default.recorder.is_bound):
            return False
        _here.is_final = True
        pipeline = _here.pipeline
        agent_metrics.default.end_runs()
        ended = pipeline is not None and pipeline.exporting.shut_down(
            pipeline.provider, seconds, close_pages=close_pages
        )
        for parents in _here.inherited:
            left = max(0.0, deadline - time.monotonic())
            parents.exporting.shut_down(parents.provider, left, close_pages=False)
        if pipeline is None:
            # A signal handler may have interrupted a drain: then its lock is never free, and waiting is bounded.
            exporters.within(seconds, agent_metrics.default.drain)
        agent_metrics.default.settle()
        return ended


def _at_exit() -> None:
    pipeline = _here.pipeline
    if not _here.is_final and not _shut_down(SHUTDOWN_SECONDS, close_pages=False) and pipeline is not None:
        _logger.warning("agent_otel could not deliver its last metrics within %g s", SHUTDOWN_SECONDS)


def _in_child() -> None:
    """Begin anew in a forked child; what it inherited keeps everything but agent_otel's scope."""
    _here.lock = threading.RLock()
    if _here.asked is None or _here.is_final:
        return
    try:
        if _here.pipeline is not None:
            _here.inherited.append(_here.pipeline)
            _here.provider = _here.pipeline = None
        for parents in _here.inherited:
            parents.exporting.inherit(catalog.SCOPE)
        if _here.inherited:
            agent_metrics.default.begin_anew()
            agent_metrics.default.recorder.find_provider = _build_in_child
            _end_with_multiprocessing()
    except Exception:
        _logger.exception(_GAVE_UP)
        _here.inherited = []  # at exit they would export our scope a second time
        agent_metrics.default.settle()


def _build_in_child() -> None:
    """What the first run in a forked child calls, in place of looking for a provider."""
    try:
        with _here.lock:
            if _here.asked is not None and _here.provider is None and not _here.is_final:
                _configure_child(_here.asked, _here.asked)
    except Exception:
        _logger.exception(_GAVE_UP)
        agent_metrics.default.settle()


def _configure_child(parents: Plan, plan: Plan) -> AnyMeterProvider:
    """Build a plan of the child's own as it is; of the parent's, what two processes can both have."""
    if plan != parents:
        return _build(plan)
    names = tuple(name for name in plan.names if name != "prometheus")
    if names != plan.names or plan.readers:
        _logger.warning(
            "agent_otel: a forked process can't serve the Prometheus page of its parent, nor use its readers: export"
            " with otlp, or call configure() after the fork, with a port for each process"
        )
    if names or not (plan.names or plan.readers):
        return _build(replace(plan, names=names, readers=()), plan)
    return _nothing("nothing of the parent's configuration serves a forked process")


def _end_with_multiprocessing() -> None:
    """Deliver at the end of a `multiprocessing` child, which leaves atexit out."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_here, lambda _: util.Finalize(None, _at_exit, exitpriority=0))
