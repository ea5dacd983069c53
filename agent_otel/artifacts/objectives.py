"""The example of a team's own objectives, the one file of the three that an upgrade leaves alone."""

from __future__ import annotations

from typing import Final

from agent_otel.artifacts.prometheus import Options, Promql
from agent_otel.artifacts.rule_file import Rule, rule_file

GROUP: Final = "agent-otel.objectives"

_HEAD: Final = """\
Yours: edit it, an upgrade leaves it alone. One series for each agent and objective that differs from the default.
Objectives: success_ratio, run_p95_seconds, cost_usd_per_hour, tool_error_ratio, tool_calls_per_run."""


def objectives(options: Options | None = None) -> str:
    """`agent.objectives.yml`.

    Args:
        options: The set-up; the default one without.
    """
    agent = Promql(options or Options()).text("@agent_name")
    examples = (
        ("success_ratio", "0.90", "triage-bot", ""),
        (
            "success_ratio",
            "0.70",
            "handoff-bot",
            "Hands over to people by design, and human_handoff counts as incomplete.",
        ),
        ("run_p95_seconds", "20", "triage-bot", ""),
    )
    overrides = [
        Rule("agent_objective:override", f"vector({value})", {"objective": objective, agent: name}, why)
        for objective, value, name, why in examples
    ]
    return rule_file(_HEAD, GROUP, overrides)
