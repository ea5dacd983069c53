"""Not an example: prints in a terminal what an example recorded, where no exporter is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    HistogramDataPoint,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.metrics.export import Metric, MetricsData


def to_the_terminal() -> dict[str, Any]:
    """Settings for `configure()` that print what was recorded at the end, unless OTEL_METRICS_EXPORTER is set."""
    if "OTEL_METRICS_EXPORTER" in os.environ:
        return {}
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(formatter=_in_lines))
    return {"exporter": "none", "readers": [reader]}


def _in_lines(data: MetricsData) -> str:
    metrics = (
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    """The metric and its points that aren't 0; of a histogram the count and the sum."""
    lines = []
    for point in metric.data.data_points:
        value = ""
        if isinstance(point, NumberDataPoint) and point.value:
            value = f"{point.value:.10g}"
        elif isinstance(point, HistogramDataPoint):
            value = f"{point.count}, sum {point.sum:.6g}"
        if value:
            labels = [f"{key}={label!s}" for key, label in (point.attributes or {}).items()]
            lines.append(f"    {value:20} {' '.join(labels)}")
    if lines:
        yield f"{metric.name}, {metric.unit}"
        yield from lines
