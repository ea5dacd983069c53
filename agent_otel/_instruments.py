"""The catalog's metrics as OpenTelemetry instruments; the only place that calls `add()` or `record()`.

This is the seam to the SDK: the fold hands over whole groups (`add`, `record`), so that a faster writer can
take this one's place without touching anything else. Only the OpenTelemetry API is used, so it works on any
provider.

Every instrument is created up front: creating an observable one inside a callback deadlocks in the SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Meter

    from agent_otel.catalog import Metric

    Observe = Callable[[], Iterable[tuple[float, Mapping[str, str]]]]


class Instruments:
    """Instruments of one meter.

    Args:
        meter: Where the instruments are created.
        metrics: Which to create; the observable ones first, since the first registered drains the buffer.
        observe: For each observable metric, what gives its values at a collection.
    """

    def __init__(self, meter: Meter, metrics: Sequence[Metric], observe: Mapping[Metric, Observe]) -> None:
        """Create every instrument."""
        self._instruments: Final[dict[Metric, Any]] = {}
        for metric in metrics:
            self._instruments[metric] = _create(meter, metric, observe.get(metric))

    def add(self, metric: Metric, attributes: Mapping[str, str], total: int) -> None:
        """Add a total to one series of a counter.

        Args:
            metric: A counter.
            attributes: Its attribute set.
            total: What to add, 0 or more.
        """
        self._instruments[metric].add(total, attributes)

    def record(
        self, metric: Metric, attributes: Mapping[str, str], values: Iterable[tuple[float, Context | None]]
    ) -> None:
        """Record values in one series of a histogram.

        Args:
            metric: A histogram.
            attributes: Its attribute set.
            values: Each with the context of the span that was recording, for exemplars, or None.
        """
        record = self._instruments[metric].record
        for value, context in values:
            if context is None:
                record(value, attributes)
            else:
                record(value, attributes, context=context)


def _create(meter: Meter, metric: Metric, observe: Observe | None) -> object:
    if metric.kind == "counter":
        return meter.create_counter(metric.name, metric.unit, metric.description)
    if metric.kind == "histogram":
        return meter.create_histogram(
            metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.bounds
        )
    create: Any = getattr(meter, f"create_{metric.kind}")
    return create(metric.name, [_callback(observe)] if observe else [], metric.unit, metric.description)


def _callback(observe: Observe) -> Callable[[CallbackOptions], list[Observation]]:
    def callback(_options: CallbackOptions) -> list[Observation]:
        return [Observation(value, attributes) for value, attributes in observe()]

    return callback
