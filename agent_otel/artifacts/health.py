"""The table Metric | Current | Trend | Status: its rows as recording rules, and the one query that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_otel.artifacts.prometheus import Options, Promql
from agent_otel.artifacts.rule_file import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE: Final = """\
# The table Metric | Current | Trend | Status: one instant query for all agents and rows. The labels signal, current,
# trend and status are the words; the value is the colour: 0 ok, 1 warning, 2 critical.
# Never record it: each figure is a label.
label_join(
  count_values by (@agent, signal, prefix, unit) ("value", agent:health:current),
  "current", "", "prefix", "value", "unit")
* on (@agent, signal) group_left (trend) (
  label_join(
    label_replace(
      count_values by (@agent, signal, unit) ("value", agent:health:trend),
      "value", "+$1", "value", "([1-9].*|0[.].*)"),
    "trend", "", "value", "unit")
  or on (@agent, signal) label_replace(0 * agent:health:current + 1, "trend", "no history yet", "", ""))
* on (@agent, signal) group_left (status) (
  label_replace(
    2 * max by (@agent, signal) (ALERTS{alertstate="firing",severity="critical"}), "status", "critical: alert", "", "")
  or on (@agent, signal) label_join(
    topk by (@agent, signal) (1, ALERTS{alertstate="firing",severity="warning"}), "status", ": ", "severity", "health")
  or on (@agent, signal) label_replace(0 * agent:health:current, "status", "ok", "", ""))
"""


def health_table(options: Options | None = None) -> str:
    """`health_table.promql`: the query of the table.

    Args:
        options: The set-up; the default one without.
    """
    return Promql(options or Options()).text(TABLE)


def rows(_: Promql) -> Iterator[Rule]:
    """The rows, numbers only: the query makes words of them."""
    why = "Rows of the health table (health_table.promql)."
    for signal, expr, prefix, unit in (
        ("latency_p95", "round(agent:run_seconds:p95_30m, 0.1)", "", " s"),
        ("tool_error_rate", "round(100 * agent:tool_error_ratio:15m, 0.1)", "", " %"),
        ("token_usage_per_run", "round(agent:tokens_per_run:1h / 1000, 0.1)", "", "k"),
        ("success_rate", "round(100 * agent:success_ratio:1h, 0.1)", "", " %"),
        ("cost_per_run", "round(agent:cost_per_run_usd:1h, 0.001)", "$", ""),
        ("tool_calls_per_run", "round(agent:tool_calls_per_run:1h, 0.1)", "", ""),
        ("run_count", "round(agent:runs:increase1h)", "", " /h"),
        ("quality", f"round(100 * {_WORST_QUALITY}, 0.1)", "", " %"),
    ):
        yield Rule("agent:health:current", expr, {"signal": signal, "prefix": prefix, "unit": unit}, why)
        why = ""
    yield Rule(
        "agent:health:current",
        """\
max by (@agent, unit) (label_replace(
  round(100 * topk by (@agent) (1, agent_stop:share:1h{@stop_reason!="completed"}), 0.1),
  "unit", " % $1", "@stop_reason", "(.*)"))""",
        {"signal": "stop_reason", "prefix": ""},
        "The most frequent stop reason other than completed, by name.",
    )
    yield from _trends()


_WORST_QUALITY = "min by (@agent) (agent_evaluation:pass_ratio:6h)"
_AFTER_RELEASE = "max by (@agent) (agent_version:tokens_per_run_ratio:candidate)"
_NOT_COMPLETED = 'sum by (@agent) (agent_stop:share:1h{@stop_reason!="completed"}OFFSET)'


def _trends() -> Iterator[Rule]:
    for signal, series, window, words in (
        ("latency_p95", "agent:run_seconds:p95_30m", "30m", "% in 30 min"),
        ("cost_per_run", "agent:cost_per_run_usd:1h", "1h", "% in 1 hour"),
        ("tool_calls_per_run", "agent:tool_calls_per_run:1h", "1h", "% in 1 hour"),
        ("run_count", "agent:runs:increase1h", "1h", "% in 1 hour"),
    ):
        yield _trend(signal, f"round(100 * ({series} / ({series} offset {window} > 0) - 1))", words)
    for signal, now, before, words in (
        (
            "tool_error_rate",
            "agent:tool_error_ratio:15m",
            "agent:tool_error_ratio:15m offset 15m",
            "pp in 15 min",
        ),
        ("success_rate", "agent:success_ratio:1h", "agent:success_ratio:1h offset 1h", "pp in 1 hour"),
        ("quality", _WORST_QUALITY, f"{_WORST_QUALITY[:-1]} offset 6h)", "pp in 6 hours"),
    ):
        yield _trend(signal, f"round(100 * ({now} - {before}), 0.1)", words)
    yield _trend("token_usage_per_run", f"round(100 * ({_AFTER_RELEASE} - 1))", "% after release")
    hour = "round(100 * (agent:tokens_per_run:1h / (agent:tokens_per_run:1h offset 1h > 0) - 1))"
    yield _trend("token_usage_per_run", f"{hour}\n  unless {_AFTER_RELEASE}", "% in 1 hour")
    now, before = _NOT_COMPLETED.replace("OFFSET", ""), _NOT_COMPLETED.replace("OFFSET", " offset 1h")
    yield _trend("stop_reason", f"round(100 * ({now}\n  - {before}), 0.1)", "pp not completed in 1 hour")


def _trend(signal: str, expr: str, unit: str) -> Rule:
    return Rule("agent:health:trend", expr, {"signal": signal, "unit": unit})
