"""`agent_otel.views()`: one View for each stream, the declared keys, and nobody's buckets."""

from __future__ import annotations

import inspect

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    View,
)

from agent_otel import AgentMetrics, ConfigurationError, Settings, _views, catalog, views
from agent_otel.testing import FakeClock
from tests import receivers as at

A = {"gen_ai.agent.name", "gen_ai.agent.version"}
C = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
PRICED = {"gen_ai.provider.name", "gen_ai.request.model", "agent_otel.token.type"}
HAS_LIMIT = "aggregation_cardinality_limit" in inspect.signature(View).parameters

EXPECTED = {
    "agent_otel.runs": A | {"agent_otel.run.status", "agent_otel.run.stop_reason", "agent_otel.run.nested"},
    "agent_otel.active_runs": A,
    "agent_otel.run.oldest_age": A,
    "agent_otel.run.steps": A,
    "agent_otel.run.tokens": A,
    "agent_otel.tokens": A | PRICED,
    "agent_otel.token_price": PRICED,
    "agent_otel.run.cost": A,
    "agent_otel.evaluations": A | {"gen_ai.evaluation.name", "gen_ai.evaluation.score.label"},
    "agent_otel.usage_missing": A | {"gen_ai.provider.name", "gen_ai.request.model"},
    "agent_otel.dropped_attributes": {"agent_otel.drop.reason"},
    "agent_otel.dropped_measurements": set(),
    "gen_ai.*": A
    | C
    | {"gen_ai.tool.name", "gen_ai.tool.type", "error.type", "gen_ai.token.modality", "gen_ai.token.type"},
}


def keys_by_pattern(found):
    return {view._instrument_name: view._attribute_keys for view in found}


def test_there_is_one_view_for_each_of_our_metrics_one_for_gen_ai_and_one_for_mcp():
    found = keys_by_pattern(views())
    mcp = found.pop("mcp.*")

    assert found == EXPECTED
    assert mcp == {attribute.key for attribute in catalog.MCP}
    assert len(views()) == len(EXPECTED) + 1


def test_a_teams_own_attributes_stand_in_the_views_of_the_metrics_that_carry_the_agent():
    found = keys_by_pattern(views(Settings(attributes={"app.tier": 5})))

    without = {pattern for pattern, keys in found.items() if "app.tier" not in keys}
    assert without == {
        "agent_otel.token_price",
        "agent_otel.dropped_attributes",
        "agent_otel.dropped_measurements",
        "mcp.*",
    }


def test_no_view_has_an_aggregation_so_that_the_instruments_bounds_and_the_variable_decide():
    assert {type(view._aggregation) for view in views()} == {DefaultAggregation}


@pytest.mark.skipif(not HAS_LIMIT, reason="an SDK before 1.45.2 has no limit per View")
def test_a_views_limit_is_the_metrics_cap_and_all_that_may_stand_beyond_it():
    limits = {view._instrument_name: view._aggregation_cardinality_limit for view in views()}

    assert limits["agent_otel.runs"] == catalog.RUNS.cap + catalog.RUNS.kept_sets
    assert limits["agent_otel.dropped_measurements"] == 2
    assert limits["mcp.*"] == 2000
    assert limits["gen_ai.*"] >= max(
        metric.cap + metric.kept_sets for metric in catalog.METRICS if metric.name.startswith("gen_ai.")
    )


@pytest.mark.skipif(HAS_LIMIT, reason="this SDK has a limit per View")
def test_an_sdk_without_a_limit_per_view_gets_none():
    assert all(not hasattr(view, "_aggregation_cardinality_limit") for view in views())


def test_wrong_variables_are_told_where_the_views_are_asked_for(monkeypatch):
    monkeypatch.setenv("AGENT_OTEL_LIMITS", "agent_otel.runs:none")

    with pytest.raises(ConfigurationError, match="AGENT_OTEL_LIMITS"):
        views()


@pytest.fixture
def collected():
    """Streams by name, on a provider with the Views, after what a test measures there."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views(), shutdown_on_exit=False)

    def streams():
        return [
            (metric.name, metric.data)
            for resource in reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    return provider, streams


def test_no_stream_comes_twice(collected):
    provider, streams = collected
    agents = AgentMetrics(provider, clock=FakeClock(), settings=Settings(cost=True))
    with agents.run("bot") as run:
        with run.inference("m", provider="p") as call:
            call.tokens(input=2, output=1)
        with run.tool("search"):
            pass
    names = [name for name, _ in streams()]

    assert sorted(set(names)) == sorted(names)
    assert len(names) >= 12


def test_another_instrumentations_metrics_lose_undeclared_keys_and_keep_their_buckets(collected):
    provider, streams = collected
    meter = provider.get_meter("opentelemetry.instrumentation.openai")
    usage = meter.create_histogram(
        "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=[1, 4, 16]
    )
    usage.record(3, {"gen_ai.request.model": "m", "gen_ai.conversation.id": "c-1", "server.address": "x"})
    calls = meter.create_counter("mcp.server.calls")
    calls.add(1, {"mcp.method.name": "tools/call", "mcp.session.id": "s-1"})
    own = meter.create_counter("app.calls")
    own.add(1, {"app.key": "v"})
    found = {name: data.data_points[0] for name, data in streams()}

    assert {name: dict(point.attributes) for name, point in found.items()} == {
        "gen_ai.client.token.usage": {"gen_ai.request.model": "m"},
        "mcp.server.calls": {"mcp.method.name": "tools/call"},
        "app.calls": {"app.key": "v"},
    }
    assert list(found["gen_ai.client.token.usage"].explicit_bounds) == [1, 4, 16]


def test_our_own_bounds_are_the_catalogs(collected):
    provider, streams = collected
    with AgentMetrics(provider, clock=FakeClock()).run("bot"):
        pass
    bounds = {
        name: tuple(data.data_points[0].explicit_bounds) for name, data in streams() if "duration" in name
    }

    assert bounds == {"gen_ai.invoke_agent.duration": catalog.RUN_DURATION.bounds}


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("", "histogram"),
        ("explicit_bucket_histogram", "histogram"),
        ("base2_exponential_bucket_histogram", "exponential_histogram"),
    ],
)
def test_the_standard_variable_for_the_kind_of_histogram_wins_over_our_bounds(aggregation, expected):
    with at.otlp_http() as received:
        settings = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": aggregation}
        at.run("agent_otel.configure(); work()", **at.over_http(received), **settings)

    assert [kind for kind, _ in received.points("gen_ai.invoke_agent.duration").values()] == [expected]
    assert [kind for kind, _ in received.points("agent_otel.run.steps").values()] == [expected]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"instrument_name": "agent_otel.run.s*"}, "agent_otel.run.steps"),
        ({"instrument_name": "agent_otel.run.s*", "aggregation": DropAggregation()}, ""),
        ({"instrument_name": "agent_otel.run.s*", "meter_name": "another"}, ""),
        ({"instrument_name": "agent_otel.run.s*", "meter_name": "agent_otel"}, "agent_otel.run.steps"),
        ({"instrument_name": "Agent_Otel.RUNS"}, "agent_otel.runs"),
        ({"instrument_unit": "{evaluation}"}, "agent_otel.evaluations"),
        ({"instrument_name": "app.*", "aggregation": ExplicitBucketHistogramAggregation([1])}, ""),
    ],
)
def test_a_further_view_doubles_what_it_matches_too_unless_it_drops_it(view, expected):
    assert _views.doubled([View(**view)], Settings()) == expected
