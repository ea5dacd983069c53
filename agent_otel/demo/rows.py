"""The eight production metrics, worked out from what the SDK collected.

Rules:

1. Read the SDK's data and nothing else; names are the catalog's symbols.
2. Say what a query on a backend says, so that both agree: ratios as the recording rules have them, quantiles as
   PromQL's `histogram_quantile` interpolates them.
3. Cancelled runs and cancelled tool calls are no failures: rates and run times leave them out.
4. Unknown is unknown: a figure without anything to rest on is None, and so is a cost with a price missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_otel import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData

CANCELLED: Final = "cancelled"
OK: Final = "ok"

RATIO: Final = "1"
RUN: Final = catalog.RUNS.unit
SECONDS: Final = catalog.RUN_DURATION.unit
TOKENS: Final = catalog.TOKENS.unit
CALLS: Final = catalog.RUN_TOOL_CALLS.unit
USD: Final = catalog.RUN_COST.unit


@dataclass(frozen=True)
class Row:
    """One figure.

    Args:
        metric: Which of the production metrics.
        agent: Whose; None for all agents together, where runs inside another run aren't counted again.
        value: The figure; None while there is nothing to tell.
        unit: UCUM, `1` for a share.
        n: The runs, or calls, that it rests on.
        release: Of which release alone; None for all.
        reason: The stop reason, in the distribution of them.
    """

    metric: str
    agent: str | None
    value: float | None
    unit: str
    n: int
    release: str | None = None
    reason: str | None = None


class Points:
    """The data points of a collection, by metric.

    Args:
        data: What a reader collected.
    """

    def __init__(self, data: MetricsData | None) -> None:
        """Sort the points by the metric they belong to."""
        self._points: dict[str, list[Any]] = {}
        for resource in () if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._points.setdefault(metric.name, []).extend(metric.data.data_points)

    def of(self, metric: catalog.Metric, agent: str | None = None, release: str | None = None) -> list[Any]:
        """The points of a metric.

        Args:
            metric: From the catalog.
            agent: Of this agent alone.
            release: Of this release alone.
        """
        wanted = {catalog.AGENT_NAME.key: agent, catalog.AGENT_VERSION.key: release}
        return [
            point
            for point in self._points.get(metric.name, ())
            if all(value is None or point.attributes.get(key) == value for key, value in wanted.items())
        ]

    def values(
        self, metric: catalog.Metric, attribute: catalog.Attribute, agent: str | None = None
    ) -> list[str]:
        """What an attribute's values are, sorted.

        Args:
            metric: Whose points to look at.
            attribute: Which of their attributes.
            agent: Of this agent alone.
        """
        found = {point.attributes.get(attribute.key) for point in self.of(metric, agent)}
        return sorted(value for value in found if value is not None)


def evaluate(data: MetricsData | None) -> list[Row]:
    """Every figure: of each agent, of each of its releases where it has had several, and of all agents together.

    Args:
        data: What a reader collected; cumulative.

    Returns:
        The rows, metric by metric in the order of `METRICS`, those of all agents last.
    """
    points = Points(data)
    agents = [*points.values(catalog.RUNS, catalog.AGENT_NAME), None]
    rows = [row for figure in FIGURES for agent in agents for row in figure(points, agent)]
    return [*rows, *(row for agent in agents if agent for row in _releases(points, agent))]


def quantile(points: Sequence[Any], q: float) -> float | None:
    """The quantile of a histogram by linear interpolation in its bucket, as PromQL's `histogram_quantile`.

    Args:
        points: Histogram points with the same bounds, which are added up.
        q: From 0 to 1.

    Returns:
        The estimate; above the highest bound that bound, and None without any value.
    """
    if not points:
        return None
    bounds = points[0].explicit_bounds
    counts = [sum(bucket) for bucket in zip(*(point.bucket_counts for point in points), strict=True)]
    rank, below = q * sum(counts), 0
    for index, bound in enumerate(bounds):
        if below + counts[index] >= rank > 0:
            lower = bounds[index - 1] if index else min(0.0, bound)
            return float(lower + (bound - lower) * (rank - below) / counts[index])
        below += counts[index]
    return float(bounds[-1]) if rank else None


def _run_count(points: Points, agent: str | None) -> Iterable[Row]:
    runs = _runs(points, agent)
    return [Row("run_count", agent, _total(runs), RUN, _total(runs))]


def _success_rate(points: Points, agent: str | None, release: str | None = None) -> Iterable[Row]:
    runs = [point for point in _runs(points, agent, release) if not _is(point, catalog.RUN_STATUS, CANCELLED)]
    good = _total(point for point in runs if _is(point, catalog.RUN_STATUS, OK))
    return [Row("success_rate", agent, _ratio(good, _total(runs)), RATIO, _total(runs), release)]


def _releases(points: Points, agent: str) -> Iterable[Row]:
    releases = points.values(catalog.RUNS, catalog.AGENT_VERSION, agent)
    if len(releases) < 2:  # noqa: PLR2004 -- nothing to compare
        return []
    return [row for release in releases for row in _success_rate(points, agent, release)]


def _latency(q: float) -> Callable[[Points, str | None], Iterable[Row]]:
    def figure(points: Points, agent: str | None) -> Iterable[Row]:
        runs = _lasting(points.of(catalog.RUN_DURATION, agent))
        return [Row(f"latency_p{q * 100:g}", agent, quantile(runs, q), SECONDS, _count(runs))]

    return figure


def _token_usage_per_run(points: Points, agent: str | None) -> Iterable[Row]:
    return [_mean("token_usage_per_run", points.of(catalog.RUN_TOKEN_USAGE, agent), agent, TOKENS)]


def _cost_per_run(points: Points, agent: str | None) -> Iterable[Row]:
    prices = {_priced(point): point.value for point in points.of(catalog.TOKEN_PRICE)}
    used = [point for point in points.of(catalog.TOKENS, agent) if point.value]
    runs = _total(_runs(points, agent))
    known = used and all(_priced(point) in prices for point in used)
    usd = sum(point.value * prices[_priced(point)] for point in used) if known else None
    return [Row("cost_per_run", agent, None if usd is None else _ratio(usd, runs), USD, runs)]


def _tool_calls_per_run(points: Points, agent: str | None) -> Iterable[Row]:
    return [_mean("tool_calls_per_run", points.of(catalog.RUN_TOOL_CALLS, agent), agent, CALLS)]


def _tool_error_rate(points: Points, agent: str | None) -> Iterable[Row]:
    calls = _lasting(points.of(catalog.TOOL_DURATION, agent))
    failed = _count(point for point in calls if catalog.ERROR_TYPE.key in point.attributes)
    return [Row("tool_error_rate", agent, _ratio(failed, _count(calls)), RATIO, _count(calls))]


def _stop_reason_distribution(points: Points, agent: str | None) -> Iterable[Row]:
    runs, everybodys = _runs(points, agent), _runs(points, None)
    known = list(catalog.STOP_REASONS)
    reasons = {point.attributes[catalog.STOP_REASON.key] for point in everybodys if point.value}
    for reason in sorted(
        reasons, key=lambda each: (known.index(each) if each in known else len(known), each)
    ):
        ended = _total(point for point in runs if _is(point, catalog.STOP_REASON, reason))
        share = _ratio(ended, _total(runs))
        yield Row("stop_reason_distribution", agent, share, RATIO, _total(runs), reason=reason)


FIGURES: Final = (
    _run_count,
    _success_rate,
    _latency(0.5),
    _latency(0.95),
    _token_usage_per_run,
    _cost_per_run,
    _tool_calls_per_run,
    _tool_error_rate,
    _stop_reason_distribution,
)
"""How each production metric is worked out, in the order of the table."""


def _runs(points: Points, agent: str | None, release: str | None = None) -> list[Any]:
    runs = points.of(catalog.RUNS, agent, release)
    return runs if agent else [point for point in runs if catalog.RUN_NESTED.key not in point.attributes]


def _is(point: Any, attribute: catalog.Attribute, value: str) -> bool:
    return bool(point.attributes.get(attribute.key) == value)


def _lasting(points: Iterable[Any]) -> list[Any]:
    """Those that weren't cancelled: these end when a user leaves, which says nothing about the agent."""
    return [point for point in points if not _is(point, catalog.ERROR_TYPE, CANCELLED)]


def _priced(point: Any) -> tuple[Any, ...]:
    return tuple(point.attributes.get(attribute.key) for attribute in catalog.TOKEN_PRICE.attributes)


def _total(points: Iterable[Any]) -> int:
    return sum(point.value for point in points)


def _count(points: Iterable[Any]) -> int:
    return sum(point.count for point in points)


def _mean(metric: str, points: Sequence[Any], agent: str | None, unit: str) -> Row:
    count = _count(points)
    return Row(metric, agent, _ratio(sum(point.sum for point in points), count), unit, count)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
