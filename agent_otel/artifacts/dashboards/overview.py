"""The first dashboard to open: which agent is not well, since when, and in what respect."""

from __future__ import annotations

from typing import Final

from agent_otel.artifacts import health
from agent_otel.artifacts.dashboards.panels import (
    AGENT,
    COUNT,
    DOLLARS,
    PERCENT,
    SECONDS,
    Dashboard,
    Label,
    Panel,
    Query,
)

_OURS: Final = '{@agent_name=~"$agent"}'
_STATUS: Final = (("critical.*", "red"), ("warning.*", "orange"), ("info", "blue"), ("ok", "green"))
_SIGNALS: Final = (
    ("latency_p95", "p95 run time"),
    ("tool_error_rate", "Tool error rate"),
    ("token_usage_per_run", "Tokens per run"),
    ("success_rate", "Success rate"),
    ("cost_per_run", "Cost per run"),
    ("tool_calls_per_run", "Tool calls per run"),
    ("run_count", "Runs"),
    ("quality", "Quality"),
    ("stop_reason", "Most frequent other end"),
)

_QUERY: Final = "\n".join(line for line in health.TABLE.splitlines() if not line.startswith("#"))
_CHOSEN: Final = _QUERY.replace("agent:health:current)", f"agent:health:current{_OURS})", 1)
_WORDS: Final = f"max by (@agent, signal, current, trend, status) (\n{_CHOSEN})"

_FIRING: Final = 'ALERTS{{alertstate="firing",signal!="",severity="{}"}}'.format
_ALERTS: Final = f"""\
max by (alertname, severity, @agent_name, @tool, @model) (
  2 * {_FIRING("critical")} or {_FIRING("warning")} or 0 * {_FIRING("info")})"""

_TABLE: Final = Panel(
    title="Health",
    means="Every agent's figures now, how they changed, and what the alerts say.",
    do="Begin with what is critical: the runbook has a section for each alert, and the charts below show since when.",
    queries=(Query(_WORDS),),
    labels=(
        Label("@agent_name", "Agent"),
        Label("signal", "Metric", words=_SIGNALS),
        Label("current", "Current value"),
        Label("trend", "Trend"),
        Label("status", "Status", colors=_STATUS),
    ),
    sort=("-Value", "@agent_name", "signal"),
    width=24,
    height=13,
)


def _by_agent(title: str, series: str, unit: str, means: str, do: str) -> Panel:
    return Panel(title, means, do, (Query(f"{series}{_OURS}", "{{@agent_name}}"),), unit)


OVERVIEW: Final = Dashboard(
    uid="agent-otel-overview",
    title="Agents / Overview",
    description="Is every agent well? The table says what is wrong, the charts since when.",
    variables=(AGENT,),
    panels=(
        _TABLE,
        Panel(
            title="Success rate by release, last hour",
            means="Runs that ended as completed, of all that were not cancelled; dashed is the objective.",
            do="A step at a release: roll it back. No step: see which stop reason grew at the same time.",
            queries=(
                Query(f"agent_version:success_ratio:1h{_OURS}", "{{@agent_name}} {{@version}}"),
                Query(f"agent:objective:success_ratio{_OURS}", "objective {{@agent_name}}", objective=True),
            ),
            unit=PERCENT,
            lowest=None,
        ),
        Panel(
            title="Run time p50 and p95, last 30 min",
            means="Half of the runs take less than p50, one in twenty longer than p95; dashed is the objective of p95.",
            do="Both rise: look at the model's time. p95 alone: look for a slow tool, or for runs with many steps.",
            queries=(
                Query(f"agent:run_seconds:p50_30m{_OURS}", "p50 {{@agent_name}}"),
                Query(f"agent:run_seconds:p95_30m{_OURS}", "p95 {{@agent_name}}"),
                Query(f"agent:objective:run_p95_seconds{_OURS}", "objective {{@agent_name}}", objective=True),
            ),
            unit=SECONDS,
        ),
        _by_agent(
            "Runs, last hour",
            "agent:runs:increase1h",
            COUNT,
            "Finished runs of each agent.",
            "None where there should be some: is the program up, does its queue move, do its metrics arrive?",
        ),
        Panel(
            title="Stop reasons other than completed, last hour",
            means="Which share of all runs ended for which other reason; what is missing to 100 % completed.",
            do="max_steps or loop_detected: see tool calls per run. model_error or tool_error: see Tools and models.",
            queries=(
                Query(
                    f"""\
(sum by (@stop_reason) (agent_stop:runs:increase1h{{@agent_name=~"$agent",@stop_reason!="completed"}}) > 0)
  / on () group_left () sum(agent:runs:increase1h{_OURS})""",
                    "{{@stop_reason}}",
                ),
            ),
            unit=PERCENT,
            stacked=True,
            empty="every run completed",
        ),
        Panel(
            title="Tool error rate, last hour",
            means="Tool calls that ended with an error, of all not cancelled; dashed is the objective for one tool.",
            do="Tools and models shows which tool it is, and with which class of error.",
            queries=(
                Query(f"agent:tool_error_ratio:1h{_OURS}", "{{@agent_name}}"),
                Query(
                    f"agent:objective:tool_error_ratio{_OURS}", "objective {{@agent_name}}", objective=True
                ),
            ),
            unit=PERCENT,
        ),
        Panel(
            title="Quality, last 6 hours",
            means="Verdicts that pass, of all that pass or fail: what a validator or a user says of the answers.",
            do="Runs can succeed and be wrong: compare releases, then read failed cases in the traces.",
            queries=(Query(f"agent_evaluation:pass_ratio:6h{_OURS}", "{{@agent_name}} {{@evaluation}}"),),
            unit=PERCENT,
            lowest=None,
        ),
        _by_agent(
            "Tokens per run, last hour",
            "agent:tokens_per_run:1h",
            COUNT,
            "Tokens of a finished run, its sub-runs included.",
            "A step at a release is a longer prompt or a bigger context; a slow rise is history that nobody cuts.",
        ),
        _by_agent(
            "Cost per run, last hour",
            "agent:cost_per_run_usd:1h",
            DOLLARS,
            "An estimate: tokens of the agent's own calls at list prices.",
            "Compare with tokens per run: if those stand still, another model is used, or the cache is missed.",
        ),
        _by_agent(
            "Tool calls per run, last hour",
            "agent:tool_calls_per_run:1h",
            COUNT,
            "Tool calls of a finished run.",
            "A rise with max_steps is a loop: find the tool under Tools and models and look at what it answers.",
        ),
        Panel(
            title="Runs in flight, mean of 30 min",
            means="Runs that have begun and not ended.",
            do="A rise while finished runs fall means that runs hang: see the oldest one.",
            queries=(Query(f"avg_over_time(agent:active_runs:sum{_OURS}[30m])", "{{@agent_name}}"),),
            width=6,
        ),
        Panel(
            title="Oldest run in flight",
            means="The age of the one run that has been going on for longest; dashed is the objective of p95.",
            do="A straight line upwards is one run that hangs: give its tool or its model call a timeout.",
            queries=(
                Query(f"agent:oldest_run_seconds:max{_OURS}", "{{@agent_name}}"),
                Query(f"agent:objective:run_p95_seconds{_OURS}", "objective {{@agent_name}}", objective=True),
            ),
            unit=SECONDS,
            width=6,
        ),
        Panel(
            title="Firing alerts",
            means="Every alert of agent_otel that fires now, those of models and of the telemetry itself too.",
            do="Open the section of the same name in the runbook.",
            queries=(Query(_ALERTS),),
            labels=(
                Label("severity", "Severity", colors=_STATUS, width=90),
                Label("alertname", "Alert", width=250),
                Label("@agent_name", "Agent"),
                Label("@tool", "Tool"),
                Label("@model", "Model"),
            ),
            sort=("-Value", "alertname"),
            width=12,
            empty="no alert fires",
        ),
    ),
)
