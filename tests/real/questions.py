"""What a server is asked about the recorded runs, in PromQL over HTTP, and the truth from the record."""

import json
from collections import Counter, defaultdict
from typing import NamedTuple

from agent_otel import catalog
from tests.read_back import from_prometheus, totals
from tests.real.servers import until
from tests.recorded_contract import AGENT, MODEL_CALLS, OF_ONE_RUN, RECORDS, RELEASE, TOOL_CALLS

QUANTILES = 0.5, 0.95
ALL_SERIES = '{__name__=~"(agent_otel|gen_ai)[._].+"}'
ARRIVED = {
    catalog.RUNS: len(RECORDS),
    catalog.INFERENCE_DURATION: len(MODEL_CALLS),
    catalog.TOOL_DURATION: len(TOOL_CALLS),
}


class PromQL:
    """Queries in the names of a path: quoted, since every server here takes them so, dots or not."""

    def __init__(self, path):
        self._names = path.names
        self._is_native = path.histograms in {"custom", "native"}
        self._bound = "vmrange" if path.histograms == "vmrange" else "le"

    def series(self, metric, *matchers, part=""):
        parts = [json.dumps(self._names.metrics[metric] + part)]
        parts += [f'{self._label(attribute)}{how}"{value}"' for attribute, how, value in matchers]
        return f"{{{','.join(parts)}}}"

    def by(self, *attributes, also=()):
        return f"by ({','.join([*also, *map(self._label, attributes)])})"

    def _label(self, attribute):
        return json.dumps(self._names.key(attribute.key))

    def counts(self, metric, *matchers):
        """The counts of a histogram."""
        if self._is_native:
            return f"histogram_count({self.series(metric, *matchers)})"
        return self.series(metric, *matchers, part="_count")

    def added_up(self, metric, *attributes):
        """A histogram by these attributes."""
        if self._is_native:
            return f"sum {self.by(*attributes)} ({self.series(metric)})"
        return f"sum {self.by(*attributes, also=[self._bound])} ({self.series(metric, part='_bucket')})"


class Question(NamedTuple):
    """What a dashboard asks.

    Attributes:
        query: From `PromQL`.
        by: The attributes that tell the answer's values apart.
        truth: By their values.
    """

    query: object
    by: tuple
    truth: dict


def runs(promql):
    return f"sum {promql.by(AGENT, RELEASE)} ({promql.series(catalog.RUNS)})"


def success_rate(promql):
    ok = promql.series(catalog.RUNS, (catalog.RUN_STATUS, "=", "ok"))
    valid = promql.series(catalog.RUNS, (catalog.RUN_STATUS, "!=", "cancelled"))
    return f"sum {promql.by(AGENT, RELEASE)} ({ok}) / sum {promql.by(AGENT, RELEASE)} ({valid})"


def tool_error_rate(promql):
    failed = promql.counts(catalog.TOOL_DURATION, (catalog.ERROR_TYPE, "!=", ""))
    calls = promql.counts(catalog.TOOL_DURATION)
    return f"sum {promql.by(AGENT)} ({failed}) / sum {promql.by(AGENT)} ({calls})"


def tokens_per_run(promql):
    by = promql.by(RELEASE)
    return f"sum {by} ({promql.series(catalog.TOKENS)}) / sum {by} ({promql.series(catalog.RUNS)})"


def cost(promql):
    by = promql.by(catalog.PROVIDER, catalog.MODEL, catalog.TOKEN_TYPE)
    tokens = promql.series(catalog.TOKENS, (catalog.PROVIDER, "=", "anthropic"))
    priced = f"sum {by} ({tokens}) * max {by} ({promql.series(catalog.TOKEN_PRICE)})"
    return f"sum {promql.by(catalog.MODEL)} ({priced})"


def _means(pairs):
    values = defaultdict(list)
    for key, value in pairs:
        values[(key,)].append(value)
    return {key: sum(found) / len(found) for key, found in values.items()}


def _tokens(record):
    return sum(step.get("input_tokens", 0) + step.get("output_tokens", 0) for step in record["steps"])


RUNS = Counter((record["agent"], record["model"]) for record in RECORDS)
BILLED = sum(record["agent_cost_usd"] for record in RECORDS if record["provider"] == "anthropic")
QUESTIONS = {
    "runs": Question(runs, (AGENT, RELEASE), RUNS),
    "success rate": Question(success_rate, (AGENT, RELEASE), dict.fromkeys(RUNS, 1)),
    "tool error rate": Question(
        tool_error_rate, (AGENT,), _means((record["agent"], step["error"]) for record, step in TOOL_CALLS)
    ),
    "tokens per run": Question(
        tokens_per_run, (RELEASE,), _means((record["model"], _tokens(record)) for record in RECORDS)
    ),
    "cost": Question(cost, (catalog.MODEL,), {("claude-sonnet-4-5",): BILLED}),
}


class Told(NamedTuple):
    """What a server told once everything had arrived.

    Attributes:
        series: All of ours, as the HTTP API gives them.
        points: The same, read.
        resources: The labels of target_info.
        answers: By question, and by metric and quantile.
        edges: Of the buckets of each metric, added up by agent, where the server chose them.
        increase: That of all runs within 5 minutes.
    """

    series: list
    points: dict
    resources: list
    answers: dict
    edges: dict
    increase: object


def everything(path, server):
    """What the server at the end of a path tells, as soon as all of it is there."""
    promql = PromQL(path)

    def arrived():
        series = server.ask("query", query=ALL_SERIES)["result"]
        points = from_prometheus(series, path.names)
        found = {metric: totals(points, metric).get((), 0) for metric in ARRIVED}
        return (series, points) if found == ARRIVED else None

    def answer(query, attributes):
        labels = [path.names.key(attribute.key) for attribute in attributes]
        return {
            tuple(dict(carried).get(label) for label in labels): value
            for carried, value in server.query(query).items()
        }

    series, points = until(arrived, every=0.2)
    answers = {name: answer(question.query(promql), question.by) for name, question in QUESTIONS.items()}
    answers |= {
        (metric, q): answer(f"histogram_quantile({q}, {promql.added_up(metric, AGENT)})", [AGENT])
        for metric in OF_ONE_RUN
        for q in QUANTILES
    }
    return Told(
        series,
        points,
        [dict(labels) for labels in server.query("target_info")],
        answers,
        {metric: list(_edges(server, promql.added_up(metric, AGENT))) for metric in OF_ONE_RUN},
        server.value(f"sum(increase({promql.series(catalog.RUNS)}[5m]))"),
    )


def _edges(server, histograms):
    for found in server.ask("query", query=histograms)["result"]:
        for _, low, high, _ in found.get("histogram", (0, {}))[1].get("buckets", ()):
            yield float(low), float(high)
