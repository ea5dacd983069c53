"""The catalog: what it refuses, and that upstream's entries are upstream's."""

import math
import random

import pytest

from agent_otel import catalog
from agent_otel.catalog import Attribute, Metric
from agent_otel.errors import CatalogError

HISTOGRAM = {
    "name": "agent_otel.thing",
    "kind": "histogram",
    "unit": "s",
    "description": "A thing.",
    "attributes": (),
    "cap": 1,
    "bounds": (1.0, 2.0),
}

B_CALL = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
B_AGENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
B_COUNT = (1, 2, 4, 8, 16, 32, 64, 128)
B_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

# Attributes with their requirement level: r(equired), c(onditionally required), rec(ommended).
CALL = {"gen_ai.operation.name": "r", "gen_ai.provider.name": "r", "gen_ai.request.model": "c"}
NOT_KEPT = {"gen_ai.response.model": "rec", "server.address": "rec", "server.port": "c"}
FAILED = {"error.type": "c"}
USAGE = {**CALL, **NOT_KEPT, "gen_ai.token.modality": "r"}
FIRST_CHUNK = (
    "Time to receive the first chunk, measured from when the client issues the generation request to when the"
    " first chunk is received in the response stream."
)

# Upstream's own words, copied by hand and never derived: open-telemetry/semantic-conventions-genai v0.1.0 and, for
# gen_ai.client.token.usage and gen_ai.client.operation.time_to_first_chunk, opentelemetry-semantic-conventions.
UPSTREAM = {
    "gen_ai.invoke_agent.duration": (
        "histogram",
        "s",
        (
            "The end-to-end duration of a single in-process agent invocation, from the moment the invocation starts"
            " until the agent emits the last chunk of its final response or terminates with an error."
        ),
        {"gen_ai.agent.name": "c", "gen_ai.request.model": "rec", **FAILED},
        B_AGENT,
    ),
    "gen_ai.invoke_agent.inference_calls": (
        "histogram",
        "{inference_call}",
        "The number of inference (model) calls a GenAI agent makes during a single invocation.",
        {"gen_ai.agent.name": "rec"},
        B_COUNT,
    ),
    "gen_ai.invoke_agent.tool_calls": (
        "histogram",
        "{tool_call}",
        "The number of tool calls a GenAI agent makes during a single invocation.",
        {"gen_ai.agent.name": "rec"},
        B_COUNT,
    ),
    "gen_ai.execute_tool.duration": (
        "histogram",
        "s",
        "The duration of a single tool execution.",
        {"gen_ai.tool.name": "r", "gen_ai.tool.type": "rec", "gen_ai.agent.name": "c", **FAILED},
        B_CALL,
    ),
    "gen_ai.client.inference.duration": (
        "histogram",
        "s",
        "GenAI client inference operation duration.",
        {**CALL, **NOT_KEPT, **FAILED},
        B_CALL,
    ),
    "gen_ai.client.operation.duration": (
        "histogram",
        "s",
        "GenAI operation duration.",
        {**CALL, **NOT_KEPT, **FAILED},
        B_CALL,
    ),
    "gen_ai.client.inference.time_to_first_chunk": (
        "histogram",
        "s",
        FIRST_CHUNK,
        {**CALL, **NOT_KEPT},
        B_CALL,
    ),
    "gen_ai.client.operation.time_to_first_chunk": (
        "histogram",
        "s",
        FIRST_CHUNK,
        {**CALL, **NOT_KEPT},
        B_CALL,
    ),
    "gen_ai.client.inference.usage.input_tokens": (
        "counter",
        "{token}",
        "The number of input (prompt) tokens used, including cached tokens.",
        USAGE,
        (),
    ),
    "gen_ai.client.inference.usage.output_tokens": (
        "counter",
        "{token}",
        "The number of output (completion) tokens used, including reasoning tokens.",
        USAGE,
        (),
    ),
    "gen_ai.client.inference.usage.cache_read.input_tokens": (
        "counter",
        "{token}",
        "The number of input tokens served from a provider-managed cache.",
        USAGE,
        (),
    ),
    "gen_ai.client.inference.usage.cache_write.input_tokens": (
        "counter",
        "{token}",
        "The number of input tokens written to a provider-managed cache.",
        USAGE,
        (),
    ),
    "gen_ai.client.inference.usage.reasoning.output_tokens": (
        "counter",
        "{token}",
        "The number of output tokens used for reasoning (e.g. chain-of-thought, extended thinking).",
        USAGE,
        (),
    ),
    "gen_ai.client.token.usage": (
        "histogram",
        "{token}",
        "Number of input and output tokens used.",
        {**CALL, **NOT_KEPT, "gen_ai.token.type": "r"},
        B_TOKENS,
    ),
}

OURS = {"gen_ai.agent.name", "gen_ai.agent.version"}


def test_every_upstream_metric_of_the_catalog_is_in_the_pinned_table():
    names = {metric.name for metric in catalog.METRICS if not metric.name.startswith("agent_otel.")}

    assert set(UPSTREAM) == names


@pytest.mark.parametrize("name", UPSTREAM)
def test_an_upstream_metric_has_upstreams_instrument_unit_and_description(name):
    metric = by_name(name)

    assert UPSTREAM[name][:3] == (metric.kind, metric.unit, metric.description)


@pytest.mark.parametrize("name", UPSTREAM)
def test_an_upstream_metric_carries_what_upstream_requires_and_nothing_that_upstream_lacks(name):
    levels = UPSTREAM[name][3]
    keys = {attribute.key for attribute in by_name(name).attributes}
    required = {key for key, level in levels.items() if level == "r"}

    assert required <= keys
    assert keys <= set(levels) | OURS


@pytest.mark.parametrize("name", UPSTREAM)
def test_upstreams_bounds_are_among_ours(name):
    assert set(UPSTREAM[name][4]) <= set(by_name(name).bounds)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"unit": ""}, "unit ''"),
        ({"unit": "seconds"}, "unit 'seconds'"),
        ({"unit": "USD"}, "unit 'USD'"),
        ({"name": "agent_otel.run.seconds"}, "leave 'seconds' out"),
        ({"name": "agent_otel.runs_total"}, "leave 'total' out"),
        ({"name": "agent_otel.runs.count"}, "leave 'count' out"),
        ({"name": "agentOtel.runs"}, "lower-case words"),
        ({"name": "agent_otel..runs"}, "lower-case words"),
        ({"kind": "gauge"}, "kind 'gauge'"),
        ({"bounds": ()}, "without bounds"),
        ({"bounds": (1.0, 1.0)}, "bounds must rise"),
        ({"bounds": (2.0, 1.0)}, "bounds must rise"),
        ({"kind": "counter"}, "bounds are for histograms"),
        ({"attributes": (catalog.MODEL, catalog.MODEL)}, "an attribute stands twice"),
        ({"cap": 0}, "cap 0"),
        ({"description": ""}, "no description"),
    ],
)
def test_what_a_metric_linter_refuses_is_refused_where_it_is_declared(change, what):
    with pytest.raises(CatalogError) as caught:
        Metric(**{**HISTOGRAM, **change})

    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"key": "Run.Status"}, "lower-case words"),
        ({"budget": 0}, "budget 0"),
        ({"values": ("a", "a")}, "a value stands twice"),
    ],
)
def test_a_bad_attribute_is_refused_where_it_is_declared(change, what):
    with pytest.raises(CatalogError) as caught:
        Attribute(**{"key": "app.tier", "description": "Tier.", "budget": 5, **change})

    assert what in str(caught.value)


def test_a_name_that_is_also_a_namespace_is_refused():
    inner = Metric(**{**HISTOGRAM, "name": "agent_otel.thing.part"})

    with pytest.raises(CatalogError, match=r"namespace of agent_otel\.thing\.part"):
        catalog.check_namespaces([Metric(**HISTOGRAM), inner])


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(CatalogError, match="stands twice"):
        catalog.check_namespaces([Metric(**HISTOGRAM), Metric(**HISTOGRAM)])


def test_the_first_metric_is_observable_since_the_first_observable_drains():
    assert catalog.METRICS[0].kind.startswith("observable_")


def test_every_stop_reason_has_a_status_and_every_status_a_reason():
    assert set(catalog.STATUSES) == set(catalog.STOP_REASONS.values())


def test_every_generation_of_names_reports_no_operation_twice_under_one_name():
    for generation in catalog.GENERATIONS.values():
        durations = [generation.inference, generation.operation]
        other = [generation.first_chunk, *generation.usage, generation.token_usage]
        present = [metric for metric in {*durations, *other} if metric is not None]

        assert len({metric.name for metric in present}) == len(present)


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("p95", [0.2, 1.0, 5.0, 30.0, 120.0, 600.0, 1800.0])
def test_p95_from_the_run_buckets_is_within_15_percent_for_log_normal_runs(sigma, p95):
    median = p95 / math.exp(1.6449 * sigma)
    rng = random.Random(f"{sigma} {p95}")
    seconds = sorted(rng.lognormvariate(math.log(median), sigma) for _ in range(20_000))
    true = seconds[int(0.95 * len(seconds))]

    assert abs(quantile(0.95, seconds, catalog.RUN_SECONDS) / true - 1) < 0.15


def by_name(name):
    return next(metric for metric in catalog.METRICS if metric.name == name)


def quantile(q, values, bounds):
    """As PromQL's histogram_quantile: linear within the bucket."""
    rank = q * len(values)
    low, below = 0.0, 0
    for bound in bounds:
        upto = sum(1 for value in values if value <= bound)
        if upto >= rank:
            return low + (bound - low) * (rank - below) / (upto - below)
        low, below = bound, upto
    return bounds[-1]
