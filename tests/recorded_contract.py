"""What must come out of the 150 recorded runs, whatever the way: the same tests for each of them.

A class of tests inherits `Totals` or `Buckets`. It gives a fixture `points`, which has what one way gave as a function
of `tests.read_back` read it.
"""

import math
from collections import Counter, defaultdict

import pytest

from agent_otel import catalog
from tests.read_back import PAGE, percentile, selected, sums, totals
from tests.recorded_runs import load

AGENT, RELEASE = catalog.A
NOTHING_TO_TELL = {  # without a run in flight, a call without usage, a loss
    catalog.ACTIVE_RUNS,
    catalog.OLDEST_AGE,
    catalog.USAGE_MISSING,
    catalog.DROPPED_ATTRIBUTES,
    catalog.DROPPED_MEASUREMENTS,
}
RECORDS = load()
MODEL_CALLS = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "llm"]
TOOL_CALLS = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "tool"]


def _of_type(record, kind):
    return [step for step in record["steps"] if step["type"] == kind]


# What each histogram was given for a run.
OF_ONE_RUN = {
    catalog.RUN_DURATION: lambda record: [record["duration_s"]],
    catalog.RUN_STEPS: lambda record: [len(_of_type(record, "llm"))],
    catalog.RUN_INFERENCE_CALLS: lambda record: [len(_of_type(record, "llm"))],
    catalog.RUN_TOOL_CALLS: lambda record: [len(_of_type(record, "tool"))],
    catalog.RUN_TOKEN_USAGE: lambda record: [
        sum(step["input_tokens"] + step["output_tokens"] for step in _of_type(record, "llm"))
    ],
    catalog.INFERENCE_DURATION: lambda record: [step["duration_s"] for step in _of_type(record, "llm")],
    catalog.TOOL_DURATION: lambda record: [step["duration_s"] for step in _of_type(record, "tool")],
}


def recorded(metric, *attributes):
    """What a histogram was given, by the agent, or by the agent and its release."""
    values = defaultdict(list)
    for record in RECORDS:
        values[(record["agent"], record["model"])[: len(attributes)]] += OF_ONE_RUN[metric](record)
    return values


def quantile(q, values):
    """The least and the greatest value that is this quantile: a median of 40 is what lies between the 20th and the 21st."""
    rank = q * len(values)
    ordered = sorted(values)
    return ordered[math.ceil(rank) - 1], ordered[math.floor(rank)]


class Totals:
    """What every way keeps."""

    def test_every_metric_came_out(self, points):
        expected = set(PAGE) - NOTHING_TO_TELL

        assert expected == {metric for metric, found in points.items() if found} - NOTHING_TO_TELL

    def test_every_run_is_counted_as_completed(self, points):
        expected = Counter((record["agent"], record["model"], "ok", "completed") for record in RECORDS)

        assert expected == totals(
            points, catalog.RUNS, AGENT, RELEASE, catalog.RUN_STATUS, catalog.STOP_REASON
        )

    def test_every_run_lasted_as_long_as_recorded(self, points):
        seconds = defaultdict(float)
        for record in RECORDS:
            seconds[record["agent"], record["model"], None] += record["duration_s"]
        expected = {key: round(total, 3) for key, total in seconds.items()}

        assert expected == sums(points, catalog.RUN_DURATION, AGENT, RELEASE, catalog.ERROR_TYPE)

    def test_every_model_call_is_counted_and_timed(self, points):
        calls, seconds = Counter(), defaultdict(float)
        for record, step in MODEL_CALLS:
            key = (record["agent"], record["provider"], record["model"], None)
            calls[key] += 1
            seconds[key] += step["duration_s"]
        attributes = (AGENT, catalog.PROVIDER, catalog.MODEL, catalog.ERROR_TYPE)

        assert calls == totals(points, catalog.INFERENCE_DURATION, *attributes)
        assert {key: round(total, 3) for key, total in seconds.items()} == sums(
            points, catalog.INFERENCE_DURATION, *attributes
        )

    def test_every_tool_call_is_counted_and_timed(self, points):
        calls, seconds = Counter(), defaultdict(float)
        for record, step in TOOL_CALLS:
            calls[record["agent"], step["name"]] += 1
            seconds[record["agent"], step["name"]] += step["duration_s"]

        assert calls == totals(points, catalog.TOOL_DURATION, AGENT, catalog.TOOL_NAME)
        assert {key: round(total, 3) for key, total in seconds.items()} == sums(
            points, catalog.TOOL_DURATION, AGENT, catalog.TOOL_NAME
        )

    def test_every_tool_error_is_counted_by_its_tool(self, points):
        expected = Counter((step["name"], "_OTHER") for _, step in TOOL_CALLS if step["error"])
        found = totals(points, catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE)

        assert expected == {(tool, error): count for (tool, error), count in found.items() if error}

    def test_tokens_are_exact_by_model_and_type(self, points):
        tokens = Counter()
        for record, step in MODEL_CALLS:
            tokens[record["model"], "input"] += step["input_tokens"]
            tokens[record["model"], "output"] += step["output_tokens"]
        upstream = {
            (model, kind): count
            for kind, metric in (("input", catalog.INPUT_TOKENS), ("output", catalog.OUTPUT_TOKENS))
            for (model,), count in totals(points, metric, catalog.MODEL).items()
        }

        assert tokens == totals(points, catalog.TOKENS, catalog.MODEL, catalog.TOKEN_TYPE)
        assert tokens == upstream

    @pytest.mark.parametrize("metric", OF_ONE_RUN, ids=lambda metric: metric.name)
    def test_each_histogram_has_every_value_under_its_release(self, points, metric):
        found = selected(points, metric, AGENT, RELEASE)

        assert {
            key: (len(values), pytest.approx(sum(values)))
            for key, values in recorded(metric, AGENT, RELEASE).items()
        } == {key: (point.value, point.sum) for key, point in found.items()}

    def test_tokens_times_price_is_what_claude_cost(self, points):
        billed = sum(record["agent_cost_usd"] for record in RECORDS if record["provider"] == "anthropic")
        priced_by = (catalog.PROVIDER, catalog.MODEL, catalog.TOKEN_TYPE)
        prices = totals(points, catalog.TOKEN_PRICE, *priced_by)
        tokens = totals(points, catalog.TOKENS, *priced_by)
        claude = [key for key in tokens if key[0] == "anthropic"]

        assert pytest.approx(billed, abs=0.005) == sum(tokens[key] * prices[key] for key in claude)
        assert pytest.approx(billed, abs=0.005) == selected(points, catalog.RUN_COST, AGENT)["airline",].sum

    def test_solved_runs_are_evaluations(self, points):
        expected = Counter(
            (record["agent"], "task_solved", "pass" if record["reward"] == 1 else "fail")
            for record in RECORDS
        )
        found = totals(points, catalog.EVALUATIONS, AGENT, catalog.EVALUATION_NAME, catalog.EVALUATION_LABEL)

        assert expected == found
        assert sum(count for (*_, label), count in found.items() if label == "pass") == 102

    def test_nothing_is_lost_and_no_run_stays_open(self, points):
        expected = {metric: {} for metric in NOTHING_TO_TELL}

        assert expected == {metric: totals(points, metric) for metric in NOTHING_TO_TELL}


class Buckets(Totals):
    """What a way keeps that carries histograms with the bounds of the catalog."""

    @pytest.mark.parametrize("metric", OF_ONE_RUN, ids=lambda metric: metric.name)
    def test_every_value_stands_in_its_bucket(self, points, metric):
        expected = {key: [0] * (len(metric.bounds) + 1) for key in recorded(metric, AGENT, RELEASE)}
        for key, values in recorded(metric, AGENT, RELEASE).items():
            for value in values:
                expected[key][sum(bound < value for bound in metric.bounds)] += 1
        found = selected(points, metric, AGENT, RELEASE)

        assert expected == {key: list(point.buckets) for key, point in found.items()}

    @pytest.mark.parametrize("attributes", [(AGENT,), (AGENT, RELEASE)], ids=["agent", "agent and release"])
    def test_p95_of_the_run_time_is_within_15_percent(self, points, attributes):
        found = selected(points, catalog.RUN_DURATION, *attributes)

        for key, seconds in recorded(catalog.RUN_DURATION, *attributes).items():
            assert pytest.approx(quantile(0.95, seconds)[0], rel=0.15) == percentile(
                0.95, catalog.RUN_DURATION, found[key]
            )
