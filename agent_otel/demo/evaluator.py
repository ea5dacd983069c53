"""The numbers that people act on, without a Prometheus: its rules, alerts and health table, on the SDK's own points.

There is no second definition: it evaluates the texts that `agent-otel export` writes, as Prometheus would at the same
moments. `tests/real/test_evaluator.py` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from agent_otel.artifacts import alerts, health, rules
from agent_otel.artifacts.prometheus import LABELS, METRICS, Options, label_name, metric_name
from agent_otel.demo.promql import compiled, seconds
from agent_otel.demo.series import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics.export import MetricsData

    from agent_otel.artifacts.rule_file import Alert
    from agent_otel.demo.promql import Query
    from agent_otel.demo.series import Labels, Vector

AGENT: Final = label_name(LABELS["agent_name"])
VERSION: Final = label_name(LABELS["version"])
STOP_REASON: Final = label_name(LABELS["stop_reason"])
CURRENT: Final = "agent:health:current"
STEP: Final = 300.0
"""Seconds between two samples of what is assumed of the past, as the rules read it."""

_NAMES: Final = {metric.name: metric_name(metric) for metric in METRICS.values()}


@dataclass(frozen=True)
class Row:
    """A row of the health table.

    Args:
        agent: Whose.
        metric: Which of the production metrics.
        value: Its figure, in the unit that stands in `current`.
        current: The figure as people read it.
        trend: How it changed, and since when.
        status: `ok`, or what is wrong.
        level: 0 for ok, 1 for a warning, 2 for what wakes people.
    """

    agent: str
    metric: str
    value: float
    current: str
    trend: str
    status: str
    level: int


@dataclass(frozen=True)
class Firing:
    """An alert that fires.

    Args:
        alert: Its name.
        severity: Whether it wakes people.
        of: What it is about: its labels.
    """

    alert: str
    severity: str
    of: Mapping[str, str]


@dataclass
class _Active:
    """An alert for one set of labels, pending or firing."""

    since: float
    firing: bool = False
    held_last: float | None = None


@dataclass
class _Watched:
    """An alert rule and where it is active."""

    alert: Alert
    query: Query
    active: dict[Labels, _Active] = field(default_factory=dict)

    def evaluate(self, at: float) -> None:
        """Begin, fire and end as Prometheus does."""
        now = set(self.query(at))
        for labels in now - set(self.active):
            self.active[labels] = _Active(at)
        for labels, active in list(self.active.items()):
            if labels in now:
                active.held_last = None
            elif not self._is_kept(active, at):
                del self.active[labels]
                continue
            active.firing = active.firing or at - active.since >= seconds(self.alert.wait)

    def _is_kept(self, active: _Active, at: float) -> bool:
        """Whether it goes on firing for a while, although it doesn't hold any more."""
        if active.held_last is None:
            active.held_last = at
        return active.firing and at - active.held_last < seconds(self.alert.keep or "0s")

    def series(self) -> set[Labels]:
        """What Prometheus records of it as ALERTS."""
        alert = self.alert
        more = {
            "alertname": alert.name,
            "severity": alert.severity,
            "signal": alert.signal,
            "health": alert.health,
        }
        return {
            labels | {*more.items(), ("alertstate", "firing" if active.firing else "pending")}
            for labels, active in self.active.items()
        }


@dataclass
class _Recorded:
    """A recording rule, and the series that it recorded last."""

    record: str
    labels: Labels
    query: Query
    present: set[Labels] = field(default_factory=set)

    def evaluate(self, at: float, store: Store) -> None:
        """Record what there is, and mark the end of what there isn't any more."""
        found = {labels | self.labels: value for labels, value in self.query(at).items()}
        for labels, value in found.items():
            store.append(self.record, labels, at, value)
        for labels in self.present - set(found):
            store.append(self.record, labels, at, None)
        self.present = set(found)


class Evaluator:
    """What our rules and alerts say of an agent's metrics.

    Args:
        queries: What else will be asked, so that the rules that it reads are evaluated.
    """

    def __init__(self, *queries: str) -> None:
        """Take the rules that the table, the alerts and the queries read."""
        self.store = Store()
        self.back: set[str] = set()
        options = Options(native=False)  # the SDK's points are read as classic histograms
        recording = rules.recording_rules(options)
        signals = [rule.labels["signal"] for rule in recording if rule.record == CURRENT]
        self._place = {signal: place for place, signal in enumerate(signals)}
        self._reads: set[str] = set()
        self._watched = [_Watched(alert, self._query(alert.expr)) for alert in alerts.alert_rules(options)]
        self._queries = {text: self._query(text) for text in queries}
        self._table = self._query(health.health_table(options))
        self._rules = [
            _Recorded(
                rule.record,
                frozenset(each for each in rule.labels.items() if each[1]),
                self._query(rule.expr),
            )
            for rule in reversed(recording)
            if rule.record in self._reads
        ][::-1]
        self.recorded = {rule.record for rule in self._rules}
        self._alerts = _Recorded("ALERTS", frozenset(), lambda _: self._active())

    def _query(self, text: str) -> Query:
        expression = compiled(text, self.store)
        self._reads |= expression.reads
        self.back |= expression.back
        return expression.ask

    def observe(self, at: float, data: MetricsData | None) -> None:
        """Take the points of a collection.

        Args:
            at: When, in seconds; later than the last.
            data: What a reader collected; cumulative.
        """
        for name, labels, value in _samples(data, self._reads):
            self.store.append(name, labels, at, value)

    def evaluate(self, at: float) -> None:
        """Evaluate the rules, in order, and then the alerts.

        Args:
            at: When, in seconds; later than the last time.
        """
        for rule in self._rules:
            rule.evaluate(at, self.store)
        for watched in self._watched:
            watched.evaluate(at)
        self._alerts.evaluate(at, self.store)

    def assume(self, at: float, before: float) -> None:
        """Take it that what the rules say now is what they have said for long, where they read back in time.

        Args:
            at: When; nothing has been evaluated yet.
            before: For how many seconds.
        """
        for rule in self._rules:
            rule.evaluate(at, self.store)
        for record in self.back & self.recorded:
            self.store.hold_since(record, at - before, STEP)

    def _active(self) -> Vector:
        return {labels: 1.0 for watched in self._watched for labels in watched.series()}

    def ask(self, query: str, at: float) -> list[tuple[dict[str, str], float]]:
        """The answer to one of the queries that were given: labels and values.

        Args:
            query: One of them.
            at: When.
        """
        return [(dict(labels), value) for labels, value in self._queries[query](at).items()]

    def rows(self, at: float) -> list[Row]:
        """The health table, agent by agent.

        Args:
            at: When.
        """
        numbers = {
            (dict(labels)[AGENT], dict(labels)["signal"]): value
            for labels, series in self.store.named(CURRENT).items()
            if (value := series.value(at)) is not None
        }
        found = []
        for labels, level in self._table(at).items():
            word = dict(labels)
            agent, signal = word[AGENT], word["signal"]
            words = (word["current"], word["trend"], word["status"])
            found.append(Row(agent, signal, numbers[agent, signal], *words, int(level)))
        return sorted(found, key=lambda row: (row.agent, self._place[row.metric]))

    def firing(self) -> list[Firing]:
        """The alerts that fire, by name."""
        found = [
            Firing(watched.alert.name, watched.alert.severity, dict(sorted(labels)))
            for watched in self._watched
            for labels, active in watched.active.items()
            if active.firing
        ]
        return sorted(found, key=lambda each: (each.alert, sorted(each.of.items())))


def _samples(data: MetricsData | None, reads: set[str]) -> Iterator[tuple[str, Labels, float]]:
    """The samples that Prometheus makes of a collection."""
    for resource in () if data is None else data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                name = _NAMES.get(metric.name, "")
                for point in metric.data.data_points if name else ():
                    for suffix, more, value in _values(point):
                        if name + suffix in reads:
                            yield name + suffix, _labels(point) | more, value


def _values(point: Any) -> Iterator[tuple[str, Labels, float]]:
    if hasattr(point, "value"):
        yield "", frozenset(), point.value
        return
    yield "_count", frozenset(), point.count
    yield "_sum", frozenset(), point.sum
    bounds = (*point.explicit_bounds, float("inf"))
    for bound, below in zip(bounds, accumulate(point.bucket_counts), strict=True):
        yield "_bucket", frozenset({("le", str(bound))}), below


def _labels(point: Any) -> Labels:
    return frozenset(
        (key.replace(".", "_"), str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in point.attributes.items()
    )
