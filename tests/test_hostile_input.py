"""Thirty thousand runs of everything that users, models and frameworks get wrong."""

import enum
import math
import random
import uuid

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_otel
from agent_otel import AgentMetrics, Settings, catalog

RUNS = 30_000
SETTINGS = Settings(attributes={"app.tier": 3}, semconv="v0.1")
METRICS = [SETTINGS.tailored(metric) for metric in catalog.METRICS]
GOOD_CALLS_EVERY = 7


class Model(str, enum.Enum):
    SMALL = "model-small"
    LARGE = "model-large"


AGENTS = [
    lambda n: "bot",
    lambda n: str(uuid.UUID(int=n)),
    lambda n: f"agent {n % 90}",
    lambda n: None,
    lambda n: np.str_(f"np {n % 3}"),
    lambda n: "x" * 100_000,
    lambda n: [n],
    lambda n: float("nan"),
]
VERSIONS = [
    lambda n: None,
    lambda n: f"release {n}",
    lambda n: f"{n:040x}",
    lambda n: n % 4,
    lambda n: object(),
]
MODELS = [
    lambda n: Model.SMALL,
    lambda n: Model.LARGE,
    lambda n: f"model {n % 200}",
    lambda n: None,
    lambda n: b"m",
]
TOKENS = [
    lambda n: {"input": float("nan"), "output": 5},
    lambda n: {"input": -1, "output": 5},
    lambda n: {"input": 10**30, "output": 5},
    lambda n: {"input": "7", "output": 5},
    lambda n: {"input": 10, "output": 5, "cache_read": 11},
    lambda n: {"input": True, "output": 5},
    lambda n: {},
]
ATTRIBUTES = [
    lambda n: None,
    lambda n: {"app.tier": f"tier {n}"},
    lambda n: {"user_id": n},
    lambda n: {"app.other": n},
    lambda n: {n: n},
]


@pytest.fixture(scope="module")
def outcome():
    """The points of every metric after the storm, and what was done."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=agent_otel.views(SETTINGS), shutdown_on_exit=False)
    agents = AgentMetrics(provider, settings=SETTINGS)
    done = storm(agents, random.Random(7))
    data = reader.get_metrics_data()
    points = {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    return points, done, data


def storm(agents, rng):
    done = {"runs": 0, "tools": 0, "calls": 0, "input": 0, "output": 0, "bad": 0, "missing": 0}
    for n in range(RUNS):
        agent, version = rng.choice(AGENTS)(n), rng.choice(VERSIONS)(n)
        with agents.run(agent, version=version, attributes=rng.choice(ATTRIBUTES)(n)) as run:
            done["runs"] += 1
            with run.tool(f"invented {n % 5000}", type=rng.choice(["function", "odd", n])) as call:
                done["tools"] += 1
                if n % 3 == 0:
                    call.fail(rng.choice(["timeout", f"error {n}", ValueError(), n]))
            with run.inference(rng.choice(MODELS)(n), provider=f"provider {n % 60}") as call:
                done["calls"] += 1
                if n % GOOD_CALLS_EVERY == 0:
                    call.tokens(input=np.int64(n), output=10.0)
                    done["input"] += n
                    done["output"] += 10
                else:
                    given = rng.choice(TOKENS)(n)
                    call.tokens(**given)
                    done["missing"] += 1
                    done["bad"] += bool(given)
            run.stop(rng.choice(["completed", "max_steps", f"because {n}", None, n]))
            run.step(rng.choice([1, 2, -1, math.inf, "x"]))
    return done


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_metric_exceeds_its_cap_plus_the_kept_vocabularies(outcome, metric):
    points, _, _ = outcome

    assert len(points.get(metric.name, [])) <= metric.cap + metric.kept_sets


def test_the_sdk_s_own_overflow_point_never_occurs(outcome):
    points, _, _ = outcome
    keys = {key for found in points.values() for point in found for key in point.attributes}

    assert "otel.metric.overflow" not in keys


def test_every_label_is_short_text_and_no_forbidden_key_is_there(outcome):
    points, _, _ = outcome
    pairs = {pair for found in points.values() for point in found for pair in point.attributes.items()}

    assert all(type(value) is str and len(value) <= 64 for _, value in pairs)
    assert {key for key, _ in pairs} <= {a.key for metric in METRICS for a in metric.attributes}


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        (catalog.RUNS, "runs"),
        (catalog.RUN_DURATION, "runs"),
        (catalog.TOOL_DURATION, "tools"),
        (catalog.INFERENCE_DURATION, "calls"),
        (catalog.INPUT_TOKENS, "input"),
        (catalog.OUTPUT_TOKENS, "output"),
        (catalog.TOKENS, "tokens"),
        (catalog.USAGE_MISSING, "missing"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_totals_are_exact(outcome, metric, what):
    points, done, _ = outcome
    done = {**done, "tokens": done["input"] + done["output"]}
    total = sum(getattr(point, "value", None) or getattr(point, "count", 0) for point in points[metric.name])

    assert done[what] == total


def test_everything_that_was_dropped_is_counted(outcome):
    points, done, _ = outcome
    dropped = {
        point.attributes[catalog.DROP_REASON.key]: point.value
        for point in points[catalog.DROPPED_ATTRIBUTES.name]
    }
    bad_steps = points[catalog.DROPPED_MEASUREMENTS.name][0].value - done["bad"]

    assert set(dropped) == set(catalog.DROP_REASONS)
    assert all(count > 0 for count in dropped.values())
    assert 0 < bad_steps < RUNS


def test_the_export_of_it_all_never_fails(outcome):
    encoder = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.common.metrics_encoder", reason="pip install 'agent-otel[otlp]'"
    )
    _, _, data = outcome

    assert len(encoder.encode_metrics(data).SerializeToString()) > 0
