"""Fixtures for all tests: a clock to turn by hand, an `AgentMetrics` that records in memory, and tables of it.

Nothing here touches the global meter provider, the environment or the real time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_otel import AgentMetrics, Settings, catalog, views
from agent_otel.testing import Captured, FakeClock
from tests.optional import need

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.register_assert_rewrite("tests.read_back", "tests.recorded_contract", "tests.replays")


class Observed(NamedTuple):
    """An `AgentMetrics` and what it recorded, as small tables."""

    metrics: AgentMetrics
    captured: Captured
    clock: FakeClock
    reader: InMemoryMetricReader

    def totals(self, metric: catalog.Metric, *attributes: catalog.Attribute) -> Any:
        """How many, by the values of these attributes: `{"search": 2}`; the plain number without attributes.

        A counter's value or a histogram's count. Zeros are left out, so that a table holds what happened.
        """
        return self._table(metric, attributes, "count")

    def sums(self, metric: catalog.Metric, *attributes: catalog.Attribute) -> Any:
        """The sum of a histogram's values, in the form of `totals`; sums of 0 are kept."""
        return self._table(metric, attributes, "sum")

    def _table(self, metric: catalog.Metric, attributes: tuple[catalog.Attribute, ...], field: str) -> Any:
        table: Counter[Any] = Counter()
        for carried, point in self.captured.points(metric).items():
            has = dict(carried)
            values = tuple(has.get(attribute.key) for attribute in attributes)
            amount = point.value if hasattr(point, "value") else getattr(point, field)
            if amount or field == "sum":
                table[values[0] if len(values) == 1 else values] += amount
        return dict(table) if attributes else sum(table.values())

    def numbers(self) -> dict[str, int]:
        """How many, by the name of the metric, from one collection."""
        numbers: Counter[str] = Counter()
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        numbers[metric.name] += point.value if hasattr(point, "value") else point.count
        return numbers

    def end(self) -> tuple[str, str, str | None]:
        """How the only run ended: status, stop reason and `error.type`."""
        (outcome,) = self.totals(catalog.RUNS, catalog.RUN_STATUS, catalog.STOP_REASON)
        (error,) = self.totals(catalog.RUN_DURATION, catalog.ERROR_TYPE)
        assert self.totals(catalog.RUNS) == self.totals(catalog.RUN_DURATION) == 1
        return (*outcome, error)


def observe(clock: FakeClock | None = None, **settings: Any) -> Observed:
    """A fresh `AgentMetrics` with Views on a provider of its own, whatever the environment says."""
    team = Settings(**settings)
    clock = FakeClock() if clock is None else clock
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views(team), shutdown_on_exit=False)
    return Observed(AgentMetrics(provider, clock=clock, settings=team), Captured(reader), clock, reader)


@pytest.fixture(scope="session", name="observe")
def _observe() -> Callable[..., Observed]:
    """`observe(**settings)` makes an `Observed` of its own: for settings, and for each example of a property."""
    return observe


@pytest.fixture
def clock() -> FakeClock:
    """Stands still until `clock.advance(seconds)`."""
    return FakeClock()


@pytest.fixture
def observed(clock: FakeClock) -> Observed:
    """`metrics`, `captured` and the tables, in one."""
    return observe(clock)


@pytest.fixture
def metrics(observed: Observed) -> AgentMetrics:
    """A fresh `AgentMetrics` with default settings."""
    return observed.metrics


@pytest.fixture
def captured(observed: Observed) -> Captured:
    """What `metrics` recorded, as the SDK's points."""
    return observed.captured


@pytest.fixture
def end(observed: Observed) -> Callable[[], tuple[str, str, str | None]]:
    """How the only run ended: see `Observed.end`."""
    return observed.end


@pytest.fixture
def totals(observed: Observed) -> Callable[..., Any]:
    """What `metrics` recorded, counted: see `Observed.totals`."""
    return observed.totals


@pytest.fixture
def sums(observed: Observed) -> Callable[..., Any]:
    """What `metrics` recorded, summed: see `Observed.sums`."""
    return observed.sums


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], Any]:
    """`require(module, hint)` gives an optional module; without it the test is skipped and says what to install.

    Where AGENT_OTEL_REQUIRE_TOOLS=1, as in CI, the test fails instead: nothing is skipped in silence there.
    """

    return need
