"""Histograms with fewer buckets, for a backend that takes only so many: neighbours are merged, nothing is lost.

The same bounds stay in every export, so that a histogram remains one series. The low ones go first, each second one:
what took long is what people look for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, MetricsData


def fewer_buckets(data: MetricsData, most: int) -> MetricsData:
    """The same measurements in histograms of at most so many buckets.

    Args:
        data: What was collected.
        most: Buckets of a histogram, the last one, up to infinity, among them.
    """
    return MetricsData(
        resource_metrics=[
            replace(
                resource,
                scope_metrics=[
                    replace(scope, metrics=[_metric(metric, most) for metric in scope.metrics])
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
    )


def _metric(metric: Any, most: int) -> Any:
    if not isinstance(metric.data, Histogram):
        return metric
    points = [_point(point, most) for point in metric.data.data_points]
    return replace(metric, data=replace(metric.data, data_points=points))


def _point(point: HistogramDataPoint, most: int) -> HistogramDataPoint:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    at = 1
    while len(counts) > most:
        at = at if at < len(bounds) else 0
        del bounds[at]
        counts[at : at + 2] = [counts[at] + counts[at + 1]]
        at += 1
    return replace(point, explicit_bounds=bounds, bucket_counts=counts)
