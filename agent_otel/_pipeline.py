"""What this process records on: the pipeline that is built from a plan, and how it is flushed and shut down.

Rules:

1. What can fail is built first: nothing half-built stays behind.
2. `flush()` and `shutdown()` end within their timeout, whatever the network does, and say what they saw.
3. `shutdown()` is final, and comes by itself at exit.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from agent_otel import _views, agent_metrics, catalog, exporters
from agent_otel import settings as team_settings
from agent_otel._preset import in_environment
from agent_otel._readers import counts_cumulatively, is_page, readers_of, within
from agent_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import MeterProvider as AnyMeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

    from agent_otel._plan import Plan

_logger: Final = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 5.0

_INSTANCE: Final = "service.instance.id"


class Pipeline:
    """A provider with its readers, built from a plan.

    Args:
        plan: What to build.
        is_forked: Whether it is for a forked child, whose instance is another one than its parent's.

    Raises:
        ConfigurationError: An exporter refuses its variables, or a port is taken.
    """

    def __init__(self, plan: Plan, *, is_forked: bool = False) -> None:
        """Build everything."""
        with in_environment(plan.filled):
            resource = _resource(plan.service_name, is_forked=is_forked)
            self.settings = team_settings.with_release(plan.settings, service_version(resource))
            self.exporting = exporters.build(plan.names, plan.environ, plan.preset)
        self.exporting.readers += plan.readers
        self.provider = MeterProvider(
            metric_readers=self.exporting.readers,
            resource=resource,
            shutdown_on_exit=False,
            views=[*_views.views(self.settings), *plan.further_views],
        )


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


def service_version(resource: Resource) -> str | None:
    """The version of the service, which is the release unless that is set.

    Args:
        resource: Any resource.
    """
    version = resource.attributes.get("service.version")
    return None if version is None else str(version)


@dataclass
class Process:
    """What this process has configured. One process has one configuration, as it has one global provider.

    Args:
        lock: Held while that changes.
        asked: The plan that `configure()` made.
        provider: The provider that is used, whoever built it.
        pipeline: Ours, if we built it.
        inherited: The parent's, in a forked child.
        is_final: Whether `shutdown()` was called.
    """

    lock: Any = field(default_factory=threading.RLock)
    asked: Plan | None = None
    provider: AnyMeterProvider | None = None
    pipeline: Pipeline | None = None
    inherited: list[Pipeline] = field(default_factory=list)
    is_final: bool = False


here: Final = Process()


def build(plan: Plan, asked: Plan | None = None) -> AnyMeterProvider:
    """Build a pipeline and record on it.

    Args:
        plan: What to build.
        asked: What was asked for, if that is more.

    Raises:
        ConfigurationError: An exporter refuses its variables, or a port is taken.
    """
    pipeline = here.pipeline = Pipeline(plan, is_forked=bool(here.inherited))
    agent_metrics.default.settings = pipeline.settings
    begin(pipeline.provider, asked or plan, pipeline.exporting.readers)
    return pipeline.provider


def begin(provider: AnyMeterProvider, asked: Plan, readers: Sequence[MetricReader]) -> None:
    """Record on a provider from now on.

    Args:
        provider: Whoever built it.
        asked: What was asked for.
        readers: Its readers, as far as they are known.
    """
    if here.asked is None:
        atexit.register(at_exit)
    here.provider, here.asked = provider, asked
    if here.inherited:
        agent_metrics.default.begin_anew()
    zeros = not readers or any(counts_cumulatively(reader) for reader in readers)
    agent_metrics.default.bind_to(provider, zeros=zeros)


def record_nothing(reason: str) -> AnyMeterProvider:
    """Record nothing from now on.

    Args:
        reason: Why, for the log.
    """
    _logger.info("agent_otel records nothing: %s", reason)
    agent_metrics.default.settle()
    return metrics.NoOpMeterProvider()


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Push what was measured so far; readers that are scraped have nothing to flush.

    Never call it on a request path or an event loop: it waits for the network.

    Args:
        timeout: Seconds, after which it returns whatever the network does.

    Returns:
        Whether every push exporter delivered in time. False also when another's provider is used, whose readers
        can't be seen from here: it is asked to flush, but what became of it is unknown.
    """
    if here.is_final:
        return False
    deadline = time.monotonic() + timeout
    if here.pipeline is None and not here.inherited:
        _flush_foreign(timeout)
        return False
    ended = here.pipeline is None or here.pipeline.exporting.flush(timeout)
    for parents in here.inherited:
        parents.exporting.flush(max(0.0, deadline - time.monotonic()))
    return ended


def _flush_foreign(seconds: float) -> None:
    # Not the provider's own force_flush: on a Prometheus page it doubles every sample of the next scrape.
    readers = [reader for reader in readers_of(metrics.get_meter_provider()) if not is_page(reader)]
    within(seconds, *(reader.force_flush for reader in readers))


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
    with here.lock:
        if here.is_final or (here.asked is None and not agent_metrics.default.recorder.is_bound):
            return False
        here.is_final = True
        pipeline = here.pipeline
        agent_metrics.default.end_runs()
        ended = pipeline is not None and pipeline.exporting.shut_down(
            pipeline.provider, seconds, close_pages=close_pages
        )
        for parents in here.inherited:
            left = max(0.0, deadline - time.monotonic())
            parents.exporting.shut_down(parents.provider, left, close_pages=False)
        if pipeline is None:
            # A signal handler may have interrupted a drain: then its lock is never free, and waiting is bounded.
            within(seconds, agent_metrics.default.drain)
        agent_metrics.default.settle()
        return ended


def at_exit() -> None:
    """Shut down, unless that was done, and say so if something was not delivered."""
    pipeline = here.pipeline
    if not here.is_final and not _shut_down(SHUTDOWN_SECONDS, close_pages=False) and pipeline is not None:
        _logger.warning(
            "agent_otel could not deliver its last metrics; it waits %g s at the most", SHUTDOWN_SECONDS
        )
