"""The recording rules that say how figures compare: with an objective, with what is usual, with earlier releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_otel.artifacts import thresholds as at
from agent_otel.artifacts.rule_file import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_otel.artifacts.prometheus import Promql

_DEFAULTS = (
    ("success_ratio", at.SUCCESS_RATIO, "agent:runs_valid:increase6h"),
    (
        "run_p95_seconds",
        at.RUN_P95_SECONDS,
        "(agent:runs_valid:increase6h or sum by (@agent) (@active_runs))",
    ),
    ("cost_usd_per_hour", at.COST_USD_PER_HOUR, "agent:cost_usd:increase1h"),
    ("tool_error_ratio", at.TOOL_ERROR_RATIO, "sum by (@agent) (agent_tool:calls:increase1h)"),
    ("tool_calls_per_run", at.TOOL_CALLS_PER_RUN, "sum by (@agent) (agent_tool:calls:increase1h)"),
)
"""Each objective, its default, and a series of every agent that it is for."""


def objectives(_: Promql) -> Iterator[Rule]:
    """Objectives, and how far an agent is from its own."""
    why = (
        "Objectives: the number is the default; agent.objectives.yml, your own file, has an agent's own one."
    )
    for name, default, agents in _DEFAULTS:
        own = f'max by (@agent_name) (agent_objective:override{{objective="{name}"}})'
        yield Rule(
            f"agent:objective:{name}",
            f"0 * {agents} + on (@agent_name) group_left () {own}\n  or 0 * {agents} + {default}",
            why=why,
        )
        why = ""
    why = """\
Of the budget b = 1 - objective: page at min(14.4 b, b + 0.25 (1 - b)), ticket at min(6 b, b + 0.05 (1 - b)). A page at
1.4 % for 99.9 %, 14.4 % for 99 %, 28.8 % for 95 %, 32.5 % for 90 %: always between b and 1, so that it can fire."""
    for name, burn, share in (
        ("page", at.PAGE_BURN, at.PAGE_SHARE),
        ("ticket", at.TICKET_BURN, at.TICKET_SHARE),
    ):
        limit = f"1 - {1 - share:g} * agent:objective:success_ratio"
        yield Rule(
            f"agent:burn_threshold:{name}",
            f"({burn:g} * (1 - agent:objective:success_ratio) < {limit})\n  or {limit}",
            why=why,
        )
        why = ""
    why = "How many standard deviations more failures than the budget allows for so many runs."
    for window in ("1h", "6h"):
        failed, valid = f"agent:runs_failed:increase{window}", f"agent:runs_valid:increase{window}"
        yield Rule(
            f"agent:failure_z:{window}",
            f"""\
({failed} - {valid} * (1 - agent:objective:success_ratio))
  / sqrt({valid} * agent:objective:success_ratio * (1 - agent:objective:success_ratio))""",
            why=why,
        )
        why = ""


def usual(_: Promql) -> Iterator[Rule]:
    """What is usual for an agent, and how far it is from that."""
    why = f"""\
What is usual: the median of the last 7 days, of {at.FEWEST_HOURS} h at least. A median stays where it is until half of
the week is bad; a mean follows the incident and silences its own alert within hours."""
    for level, what in (("agent", "tokens_per_run"), ("agent_tool", "calls_per_run")):
        history = f"{level}:{what}:1h[7d:1h] offset 1h"
        yield Rule(
            f"{level}:{what}:median7d",
            f"quantile_over_time(0.5, {history})\n  and count_over_time({history}) >= {at.FEWEST_HOURS}",
            why=why,
        )
        why = ""
    yield Rule(
        "agent_stop:share:median7d",
        f"""\
(quantile_over_time(0.5, agent_stop:share:1h[7d:1h] offset 1h) or 0 * agent_stop:share:1h)
  and on (@agent) count_over_time(agent:runs:increase1h[7d:1h] offset 1h) >= {at.FEWEST_HOURS}""",
    )
    yield Rule(
        "agent_version:tokens_per_run_ratio:1h",
        "agent_version:tokens_per_run:1h / on (@agent) group_left () (agent:tokens_per_run:median7d > 0)",
    )
    yield from _usual_quality()


def _usual_quality() -> Iterator[Rule]:
    level = "agent_evaluation"
    yield Rule(
        f"{level}:pass_ratio:recent",
        f"({level}:pass_ratio:1h and {level}:verdicts:increase1h >= {at.FEWEST_RUNS_NOW})\n  or {level}:pass_ratio:6h",
    )
    for what in ("verdicts", "passes"):
        yield Rule(f"{level}:usual_{what}:7d", f"sum_over_time({level}:{what}:increase1h[7d:1h] offset 6h)")
    yield Rule(f"{level}:usual_pass_ratio:7d", f"{level}:usual_passes:7d / ({level}:usual_verdicts:7d > 0)")
    both = "({level}:{what}:increase6h + {level}:usual_{what}:7d)"
    passes, verdicts = (both.format(level=level, what=what) for what in ("passes", "verdicts"))
    yield Rule(f"{level}:pooled_pass_ratio:6h", f"{passes} / {verdicts}")
    yield Rule(
        f"{level}:pass_drop_z:6h",
        f"""\
({level}:usual_pass_ratio:7d - {level}:pass_ratio:6h)
  / sqrt({level}:pooled_pass_ratio:6h * (1 - {level}:pooled_pass_ratio:6h)
         * (1 / ({level}:verdicts:increase6h > 0) + 1 / ({level}:usual_verdicts:7d > 0)))""",
        why="Two-proportion z of the last six hours against the week before them.",
    )


def release(_: Promql) -> Iterator[Rule]:
    """A new release against the others of its agent."""
    new, unless_new = (
        "agent_version:candidate_runs:since_release",
        "unless agent_version:candidate_runs:since_release",
    )
    yield Rule(
        new,
        """\
(sum_over_time(agent_version:runs_valid:increase30m[1d:5m]) / 6 and agent_version:runs_valid:increase1h > 0)
  unless max_over_time(agent_version:runs_valid:increase1h[6d:1h] offset 1d) > 0""",
        why="A new release: runs now and none from 1 to 7 days ago. Counted from its first run on, for a day.",
    )
    yield Rule(
        "agent_version:candidate_failed:since_release",
        f"sum_over_time(agent_version:runs_failed:increase30m[1d:5m]) / 6 and {new}",
    )
    why = "Its baseline: every other release of the same agent, over 7 days."
    for name, which in (("runs", "valid"), ("failed", "failed")):
        yield Rule(
            f"agent_version:baseline_{name}:7d",
            f"""\
0 * {new} + on (@agent) group_left ()
  sum by (@agent) (sum_over_time(agent_version:runs_{which}:increase1h[7d:1h]) {unless_new})""",
            why=why,
        )
        why = ""
    yield Rule(
        "agent_version:failure_ratio_delta:candidate",
        f"""\
agent_version:candidate_failed:since_release / {new}
  - agent_version:baseline_failed:7d / (agent_version:baseline_runs:7d > 0)""",
    )
    yield Rule(
        "agent_version:failure_ratio_pooled:candidate",
        f"""\
(agent_version:candidate_failed:since_release + agent_version:baseline_failed:7d)
  / ({new} + agent_version:baseline_runs:7d)""",
    )
    yield Rule(
        "agent_version:failure_z:candidate",
        f"""\
agent_version:failure_ratio_delta:candidate
  / sqrt(agent_version:failure_ratio_pooled:candidate * (1 - agent_version:failure_ratio_pooled:candidate)
         * (1 / {new} + 1 / agent_version:baseline_runs:7d))""",
        why="Two-proportion z; 0 / 0 = NaN when neither ever failed, and NaN never fires.",
    )
    yield from _release_tokens(new, unless_new)


def _release_tokens(new: str, unless_new: str) -> Iterator[Rule]:
    tokens, runs = "agent_version:run_tokens:increase1h", "agent_version:run_tokens_runs:increase1h"
    yield Rule("agent_version:candidate_token_runs:since_release", f"sum_over_time({runs}[1d:1h]) and {new}")
    yield Rule(
        "agent_version:tokens_per_run_ratio:candidate",
        f"""\
(sum_over_time({tokens}[1d:1h]) / (agent_version:candidate_token_runs:since_release > 0))
  / on (@agent) group_left ()
(sum by (@agent) (sum_over_time({tokens}[7d:1h]) {unless_new})
  / (sum by (@agent) (sum_over_time({runs}[7d:1h]) {unless_new}) > 0))""",
    )


def in_flight(_: Promql) -> Iterator[Rule]:
    """Runs in flight that don't finish."""
    active, finished = "agent:active_runs:sum", "sum_over_time(agent:runs:increase30m[6h:5m]) / 6"
    yield Rule(
        active,
        "sum by (@agent) (@active_runs)",
        why="""\
Runs that don't finish never reach a histogram, so no p95 can see them. Seconds spent in flight per run that finished
or still flies: above the objective of p95 only if runs hang. Summed BEFORE it is averaged: a dead replica would count
for another hour. One hour for objectives up to 30 min, six for slower agents: the window must hold several runs.""",
    )
    yield Rule(
        "agent:inflight_seconds_per_run:1h_or_6h",
        f"""\
(60 * sum_over_time({active}[1h:1m]) / ((agent:runs:increase1h or 0 * {active}) + {active} > 0)
    and agent:objective:run_p95_seconds <= {at.SLOW_OBJECTIVE_SECONDS})
  or 300 * sum_over_time({active}[6h:5m]) / (({finished} or 0 * {active}) + {active} > 0)""",
    )
    yield Rule(
        "agent:oldest_run_seconds:max",
        "max by (@agent) (@oldest_age)",
        why="One run that hangs among many: the age of the oldest one in flight.",
    )
