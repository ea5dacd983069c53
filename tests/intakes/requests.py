"""Requests made by hand, as a sender with the right settings makes them."""

from __future__ import annotations

import gzip
import json

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)

from tests.intakes import rules

TEMPORALITIES = {"delta": AGGREGATION_TEMPORALITY_DELTA, "cumulative": AGGREGATION_TEMPORALITY_CUMULATIVE}


def rule_of(intake, kind):
    return next((rule for rule in intake.rules if isinstance(rule, kind)), None)


def message(intake, temporality=None, kind=None, buckets=2):
    """A counter and a histogram, as this intake wants them."""
    keeps = rule_of(intake, rules.Keeps)
    kind = kind or (keeps.kind if keeps else "histogram")
    temporality = TEMPORALITIES[temporality or intake.prefers]
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    attribute = rule_of(intake, rules.ResourceAttribute)
    if attribute:
        add_attribute(resource.resource, attribute.key, attribute.value)
    scope = resource.scope_metrics.add()
    counter = scope.metrics.add(name="counter").sum
    counter.is_monotonic, counter.aggregation_temporality = True, temporality
    counter.data_points.add(as_int=1)
    histogram = getattr(scope.metrics.add(name="histogram"), kind)
    histogram.aggregation_temporality = temporality
    point = histogram.data_points.add(count=1, sum=1.0)
    if kind == "histogram":
        point.explicit_bounds.extend(range(buckets - 1))
        point.bucket_counts.extend([1] + [0] * (buckets - 1))
    return made


def add_attribute(on, key, value):
    on.attributes.add(key=key).value.string_value = value


def counter_of(made):
    return made.resource_metrics[0].scope_metrics[0].metrics[0]


def sent(intake, made=None, pack=gzip.compress, encoding="gzip", **headers):
    """A request as a sender with the right settings makes it."""
    key, header = rule_of(intake, rules.Key), rule_of(intake, rules.Header)
    right = {"content-type": rule_of(intake, rules.ContentType).kind, "content-encoding": encoding}
    if key:
        right[key.header] = key.value
    if header:
        right[header.header] = "agent-metrics"
    given = {**right, **headers}
    if instrumentation := rule_of(intake, rules.InstrumentationKey):
        body = json.dumps(made or [{"iKey": instrumentation.value}]).encode()
    else:
        body = (made or message(intake)).SerializeToString()
    return rules.Request(
        intake.hosts[0],
        rule_of(intake, rules.Path).path,
        {name: value for name, value in given.items() if value is not None},
        pack(body),
    )
