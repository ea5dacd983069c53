"""Test doubles for programs that use agent_otel: a clock to turn by hand, and measurements to look at."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_otel import agent_metrics
from agent_otel import settings as team_settings
from agent_otel._ledger import recorder_on
from agent_otel._views import views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_otel.agent_metrics import AgentMetrics
    from agent_otel.catalog import Metric


class FakeClock:
    """A clock that stands still until it is moved.

    Args:
        now: Seconds at the start.

    Example:
        >>> clock = FakeClock()
        >>> clock.advance(1.5)
        >>> clock()
        1.5
    """

    def __init__(self, now: float = 0.0) -> None:
        """Start at `now`."""
        self.now = now

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock.

        Args:
            seconds: By how much.
        """
        self.now += seconds


class Captured:
    """What was measured: values by metric and attributes, read from the SDK's own data.

    Args:
        reader: Where it is read from.
    """

    def __init__(self, reader: InMemoryMetricReader) -> None:
        """Keep the reader; nothing is read yet."""
        self._reader = reader

    def points(self, metric: Metric | str) -> dict[frozenset[tuple[str, Any]], Any]:
        """The data points of a metric, by their attributes.

        Args:
            metric: From the catalog, or its name.
        """
        name = metric if isinstance(metric, str) else metric.name
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            frozenset((point.attributes or {}).items()): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == name
            for point in found.data.data_points
        }

    def value(self, metric: Metric | str, attributes: Mapping[str, str] | None = None) -> float:
        """The sum over the points that have these attributes: a counter's total, or a histogram's count.

        Args:
            metric: From the catalog, or its name.
            attributes: What the points must carry at least; `None` as a value means "absent".
        """
        wanted = (attributes or {}).items()
        values: list[float] = [
            point.value if hasattr(point, "value") else point.count
            for carried, point in self.points(metric).items()
            if all(dict(carried).get(key) == value for key, value in wanted)
        ]
        return sum(values)


@contextmanager
def capture_metrics(metrics: AgentMetrics = agent_metrics.default, **settings: Any) -> Iterator[Captured]:
    """Let an `AgentMetrics` record in memory inside the block, apart from any provider.

    Args:
        metrics: Which; the default one behind `agent_otel.run()` if not given.
        **settings: Settings to record by, as `configure()` takes them.

    Raises:
        ConfigurationError: The settings are wrong.

    Example:
        >>> import agent_otel
        >>> from agent_otel import catalog
        >>> from agent_otel.testing import capture_metrics
        >>> with capture_metrics() as captured:
        ...     with agent_otel.run("bot"):
        ...         pass
        >>> captured.value(catalog.RUNS, {"gen_ai.agent.name": "bot"})
        1
    """
    team = team_settings.checked({}, settings)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views(team), shutdown_on_exit=False)
    before = metrics.recorder
    metrics.recorder = recorder_on(provider, team, zeros=True)
    try:
        yield Captured(reader)
    finally:
        metrics.recorder = before
