"""Readers that say what became of their exports, and never wait longer than they may.

Rules:

1. Nothing waits longer than it was told to, whatever the network does, and no exporter waits for another.
2. What became of an export is seen, not assumed: the SDK's own `force_flush` answers True when it failed.
3. A Prometheus page is collected by its scrapes alone, one at a time: any other collection doubles its samples.
4. An inherited reader goes on in a forked child, but for one scope; it shares no connection, port or lock.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)

from agent_otel._answers import Answers
from agent_otel._buckets import fewer_buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from wsgiref.simple_server import WSGIServer

    from opentelemetry.sdk.metrics import MeterProvider

_logger: Final = logging.getLogger(__name__)


class Watched(MetricExporter):
    """An exporter that remembers how its last export went.

    Args:
        make: Builds the real one; called again in a forked child, which must not share its parent's connection.
        answers: Who hears what the exports are answered; one for no backend in particular if none is given.
        most_buckets: Of a histogram; finer ones are merged.
    """

    def __init__(
        self,
        make: Callable[[], MetricExporter],
        answers: Answers | None = None,
        most_buckets: int | None = None,
    ) -> None:
        """Build the exporter and take over its preferences."""
        self._make = make
        self._answers = answers or Answers()
        self._most_buckets = most_buckets
        self.exporter = self._made()
        super().__init__(
            preferred_temporality=self.exporter._preferred_temporality,  # noqa: SLF001 -- as the SDK's readers do
            preferred_aggregation=self.exporter._preferred_aggregation,  # noqa: SLF001
        )
        self._is_stale = False
        self._is_busy = False
        self._left_out: str | None = None
        self.last: MetricExportResult | None = None

    def _made(self) -> MetricExporter:
        exporter = self._make()
        self._answers.listen_to(exporter)
        return exporter

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
        if self._most_buckets is not None:
            data = fewer_buckets(data, self._most_buckets)
        if not data.resource_metrics:
            self.last = MetricExportResult.SUCCESS
            return self.last
        if self._is_stale:
            self.exporter, self._is_stale = self._made(), False
        result = self.last = MetricExportResult.FAILURE
        self._is_busy = True
        try:
            result = self.exporter.export(data, timeout_millis=timeout_millis, **kwargs)
        finally:
            if self._answers.delivered(taken=result is MetricExportResult.SUCCESS):
                self.last = result
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
            kept.append(replace(resource, scope_metrics=scopes))
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


def page_reader() -> tuple[MetricReader, Any]:
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


@dataclass
class Readers:
    """All readers of a pipeline, with what their exports and pages need.

    Args:
        readers: All, for the provider; how the exports of those that the program brought went can't be seen.
        watched: The exporters of ours that push.
        pages: The Prometheus pages.
    """

    readers: list[MetricReader] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    @property
    def _pushing(self) -> list[PeriodicExportingMetricReader]:
        return [reader for reader in self.readers if isinstance(reader, PeriodicExportingMetricReader)]

    def flush(self, seconds: float) -> bool:
        """Push what there is, all exporters at once, and say whether each delivered in time.

        Args:
            seconds: How long it may take.
        """
        self._forget()
        flushing = [partial(reader.force_flush, timeout_millis=seconds * 1000) for reader in self._pushing]
        return within(seconds, *flushing) and all(watched.delivered for watched in self.watched)

    def _forget(self) -> None:
        for watched in self.watched:
            watched.last = None

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
        flushed = len(self._pushing) < 2 or self.flush(seconds / 2)  # noqa: PLR2004
        self._forget()
        started = time.monotonic()
        left = max(0.0, deadline - started)
        # Less than is left, so that the SDK itself gives up first and closes its exporters.
        closing = [partial(provider.shutdown, timeout_millis=left * 900)]
        ended = within(left, *closing, *(page.close for page in self.pages if close_pages))
        # The SDK says nothing when its last collection didn't end; but then it took all its time.
        was_quick = time.monotonic() - started < left * 0.85
        seen = all(each.delivered and (was_quick or each.last is not None) for each in self.watched)
        return flushed and ended and seen

    def inherit(self, scope_name: str) -> None:
        """Go on in a forked child: everything but one scope, which the child exports elsewhere.

        Args:
            scope_name: That instrumentation scope.
        """
        for inherited in self.pages:
            inherited.inherit()
        self.pages = []
        for exporter in self.watched:
            exporter.inherit(scope_name)
        for reader in self._pushing:
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
    except RuntimeError:
        # Python 3.12 starts no thread any more when it runs atexit; the SDK's own bounds hold.
        worker.run()


def readers_of(provider: object) -> tuple[MetricReader, ...]:
    """The readers of any provider; the SDK has no public word for them, and two places.

    Args:
        provider: Any provider, of the SDK or not.
    """
    config = getattr(provider, "_sdk_config", None)
    return tuple(getattr(provider, "_metric_readers", ()) or getattr(config, "metric_readers", ()))


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
