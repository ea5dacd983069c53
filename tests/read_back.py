"""What came out of the SDK, whatever the way it took: points by metric and attributes."""

import json
import math
from collections import defaultdict
from functools import partial
from itertools import pairwise
from operator import add
from typing import NamedTuple

from agent_otel import catalog

# The names that a user sees on the Prometheus page.
PAGE = {
    catalog.ACTIVE_RUNS: "agent_otel_active_runs",
    catalog.OLDEST_AGE: "agent_otel_run_oldest_age_seconds",
    catalog.TOKEN_PRICE: "agent_otel_token_price",
    catalog.RUNS: "agent_otel_runs_total",
    catalog.RUN_DURATION: "gen_ai_invoke_agent_duration_seconds",
    catalog.RUN_STEPS: "agent_otel_run_steps",
    catalog.RUN_INFERENCE_CALLS: "gen_ai_invoke_agent_inference_calls",
    catalog.RUN_TOOL_CALLS: "gen_ai_invoke_agent_tool_calls",
    catalog.RUN_TOKEN_USAGE: "agent_otel_run_tokens",
    catalog.RUN_COST: "agent_otel_run_cost",
    catalog.TOOL_DURATION: "gen_ai_execute_tool_duration_seconds",
    catalog.INFERENCE_DURATION: "gen_ai_client_inference_duration_seconds",
    catalog.TOKENS: "agent_otel_tokens_total",
    catalog.INPUT_TOKENS: "gen_ai_client_inference_usage_input_tokens_total",
    catalog.OUTPUT_TOKENS: "gen_ai_client_inference_usage_output_tokens_total",
    catalog.EVALUATIONS: "agent_otel_evaluations_total",
    catalog.USAGE_MISSING: "agent_otel_usage_missing_total",
    catalog.DROPPED_ATTRIBUTES: "agent_otel_dropped_attributes_total",
    catalog.DROPPED_MEASUREMENTS: "agent_otel_dropped_measurements_total",
}
DELTA = 1  # as OTLP numbers it


class Names(NamedTuple):
    """How a server calls the metrics, and what it does with the keys of attributes."""

    metrics: dict
    key: object

    @property
    def attributes(self):
        """The attributes' keys by the names of their labels."""
        return {self.key(attribute.key): attribute.key for attribute in catalog.ATTRIBUTES}


UNDERSCORED = Names(PAGE, lambda key: key.replace(".", "_"))
DOTTED = Names({metric: metric.name for metric in PAGE}, str)


class Point(NamedTuple):
    """A value; of a histogram the count, the sum and the count in each bucket."""

    value: float = 0
    sum: float = 0.0
    buckets: tuple[float, ...] = ()

    def plus(self, other):
        buckets = tuple(map(add, self.buckets, other.buckets)) or self.buckets or other.buckets
        return Point(self.value + other.value, self.sum + other.sum, buckets)


def selected(points, metric, *attributes):
    """The points of a metric, added up by these of their attributes."""
    found = defaultdict(Point)
    for carried, point in points[metric].items():
        key = tuple(dict(carried).get(attribute.key) for attribute in attributes)
        found[key] = found[key].plus(point)
    return dict(found)


def totals(points, metric, *attributes):
    """Values and counts, without those that are 0."""
    return {key: point.value for key, point in selected(points, metric, *attributes).items() if point.value}


def sums(points, metric, *attributes):
    return {key: round(point.sum, 3) for key, point in selected(points, metric, *attributes).items()}


def percentile(q, metric, point):
    """As Prometheus' histogram_quantile has it: linear inside a bucket."""
    rank, below = q * point.value, 0.0
    for (low, high), count in zip(pairwise((0.0, *metric.bounds)), point.buckets, strict=False):
        if below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below += count
    return math.inf


def from_page(families):
    """Read what a parser of prometheus_client found."""
    samples = [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    assert _strangers(samples, UNDERSCORED) == {"target_info"}

    return _from_samples([sample for sample in samples if sample[0] != "target_info"], UNDERSCORED)


def from_prometheus(series, names=UNDERSCORED):
    """Read the answer to an instant query; what several processes told is added up, and their labels are left out."""
    samples, native = [], []
    kept = {"le", *names.attributes}
    for found in series:
        name = found["metric"]["__name__"]
        labels = {label: value for label, value in found["metric"].items() if label in kept}
        if "histogram" in found:
            native.append((name, labels, found["histogram"][1]))
        elif "vmrange" not in found["metric"]:  # a bucket of VictoriaMetrics, with bounds of its own
            samples.append((name, labels, float(found["value"][1])))

    assert _strangers(samples + native, names) == set()

    points = _from_samples(samples, names)
    metrics = {name: metric for metric, name in names.metrics.items()}
    for name, labels, histogram in native:
        metric, attributes = metrics[name], _attributes(labels, names)
        point = points[metric].get(attributes, Point())
        points[metric][attributes] = point.plus(_native(metric, histogram))
    return points


def _strangers(samples, names):
    parts = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name, *_ in samples}
    return parts - set(names.metrics.values())


def _from_samples(samples, names):
    counts = defaultdict(partial(defaultdict, partial(defaultdict, float)))
    for name, labels, value in samples:
        of = counts[name][_attributes(labels, names)]
        bound = float(labels.get("le", "inf"))
        # Each process tells the price; the rest adds up.
        of[bound] = max(of[bound], value) if name == names.metrics[catalog.TOKEN_PRICE] else of[bound] + value
    points = {}
    for metric, name in names.metrics.items():
        in_buckets, summed = counts[f"{name}_bucket"], counts[f"{name}_sum"]
        points[metric] = {
            attributes: Point(
                found[math.inf], summed[attributes][math.inf], _each_bucket(metric, in_buckets[attributes])
            )
            for attributes, found in counts[f"{name}_count" if metric.bounds else name].items()
        }
    return points


def _attributes(labels, names):
    keys = names.attributes
    return frozenset((keys[label], value) for label, value in labels.items() if value and label != "le")


def _each_bucket(metric, counts):
    if not counts:
        return ()
    bounds = (*metric.bounds, math.inf)

    assert bounds == tuple(sorted(counts))

    return tuple(counts[high] - counts.get(low, 0) for low, high in pairwise((-math.inf, *bounds)))


def _native(metric, histogram):
    """A native histogram; its buckets, where they are those of the catalog, of which it leaves out the empty ones."""
    counts = {float(high): float(count) for _, _, high, count in histogram.get("buckets", ())}
    bounds = (*metric.bounds, math.inf)
    buckets = tuple(counts.get(high, 0.0) for high in bounds) if counts.keys() <= set(bounds) else ()
    return Point(float(histogram["count"]), float(histogram["sum"]), buckets)


def from_console(text):
    """Read what the console exporter printed."""
    points = defaultdict(dict)
    for resource in json.loads(text)["resource_metrics"]:
        for scope in resource["scope_metrics"]:
            for metric in scope["metrics"]:
                for found in metric["data"]["data_points"]:
                    if "value" in found:
                        point = Point(found["value"])
                    else:
                        point = Point(found["count"], found["sum"], tuple(found["bucket_counts"]))
                    points[metric["name"]][frozenset(found["attributes"].items())] = point
    return {metric: points[metric.name] for metric in PAGE}


def from_otlp(resources):
    """Read exports in the order in which they came; deltas are added up."""
    points = defaultdict(partial(defaultdict, Point))
    metrics = (
        metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics
    )
    for metric in metrics:
        data = getattr(metric, metric.WhichOneof("data"))
        for found in data.data_points:
            attributes = frozenset((pair.key, pair.value.string_value) for pair in found.attributes)
            if hasattr(found, "count"):  # an exponential histogram has no buckets that could be compared
                point = Point(found.count, found.sum, tuple(getattr(found, "bucket_counts", ())))
            else:
                point = Point(getattr(found, found.WhichOneof("value")))
            if getattr(data, "aggregation_temporality", None) == DELTA:
                point = point.plus(points[metric.name][attributes])
            points[metric.name][attributes] = point
    return {metric: dict(points[metric.name]) for metric in PAGE}
