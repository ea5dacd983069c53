"""Is the new release better than the one before? Whole ranges of time, so that enough runs stand behind a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_otel.artifacts import thresholds as at
from agent_otel.artifacts.dashboards.panels import (
    AGENT,
    COUNT,
    DOLLARS,
    PERCENT,
    SECONDS,
    WHOLE,
    Dashboard,
    Label,
    Panel,
    Query,
    Variable,
)
from agent_otel.artifacts.prometheus import Options, Promql
from agent_otel.artifacts.rules import NOT_CANCELLED

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHOSEN: Final = '@agent_name=~"$agent",@version=~"$release"'
_OTHERS: Final = f'{_CHOSEN},@version!="$baseline"'
_BASELINE: Final = '@agent_name=~"$agent",@version="$baseline"'
_WHO: Final = (Label("@agent_name", "Agent"), Label("@version", "Release"))
_FEW: Final = ((None, "text"), (0.0, "#808080"), (float(at.FEWEST_RELEASE_RUNS), "text"))


def _runs(of: str) -> str:
    return f"sum_over_time(agent_version:runs_valid:increase30m{{{of}}}[$__range:30m])"


def _success(of: str) -> str:
    return (
        f"1 - sum_over_time(agent_version:runs_failed:increase30m{{{of}}}[$__range:30m]) / ({_runs(of)} > 0)"
    )


def _quantile(q: float, of: str) -> str:
    matchers = f"{of},{NOT_CANCELLED}"
    return Promql(Options()).quantile(q, "run_seconds", matchers, "@agent, @version", "$__range")


def _per_run(total: str, runs: str, of: str) -> str:
    return f"{_hours(total, of)} / ({_hours(runs, of)} > 0)"


def _tool_errors(of: str) -> str:
    errors, calls = (
        f"sum by (@agent, @version) ({_hours(f'agent_version_tool:{what}', of)})"
        for what in ("errors", "calls")
    )
    return f"{errors} / ({calls} > 0)"


def _hours(record: str, of: str) -> str:
    return f"sum_over_time({record}:increase1h{{{of}}}[$__range:1h])"


def _figures(of: str) -> Iterator[tuple[str, str, str]]:
    """Title, unit and query of each figure of a release."""
    yield "Success", PERCENT, _success(of)
    yield "p50", SECONDS, _quantile(0.5, of)
    yield "p95", SECONDS, _quantile(0.95, of)
    yield "Tokens/run", COUNT, _per_run("agent_version:run_tokens", "agent_version:run_tokens_runs", of)
    yield "Cost/run", DOLLARS, _per_run("agent_version:cost_usd", "agent_version:runs", of)
    yield (
        "Tool calls/run",
        COUNT,
        _per_run("agent_version:run_tool_calls", "agent_version:run_tool_calls_runs", of),
    )
    yield "Tool errors", PERCENT, _tool_errors(of)


def _side_by_side() -> Panel:
    return Panel(
        title="Releases side by side, over the time shown",
        means=f"All runs of a release in that time. Grey: fewer than {at.FEWEST_RELEASE_RUNS}, too few to judge.",
        do="Choose a time that holds both releases, then see below what changed.",
        queries=(
            Query(_runs(_CHOSEN), "Runs", WHOLE, _FEW),
            *(Query(expr, title, unit) for title, unit, expr in _figures(_CHOSEN)),
        ),
        labels=_WHO,
        sort=("@agent_name", "@version"),
        width=24,
        height=7,
    )


def _changes() -> Panel:
    queries = []
    for (title, unit, new), (_, _, old) in zip(_figures(_OTHERS), _figures(_BASELINE), strict=True):
        points = unit == PERCENT
        sign = "-" if points else "/"
        change = f"(\n({new})\n{sign} on (@agent) group_left ()\n({old})\n)" + ("" if points else " - 1")
        enough = f"and on (@agent, @version) {_runs(_OTHERS)} >= {at.FEWEST_RELEASE_RUNS}"
        bad_when_low = title == "Success"
        steps = (
            ((None, "red"), (-at.WORSE, "text"))
            if bad_when_low
            else ((None, "text"), (_LIMITS[title], "red"))
        )
        shown = f"{title}, points" if points else title
        queries.append(Query(f"{change}\n{enough}", shown, "percentunit", steps))
    return Panel(
        title="Change against $baseline, over the time shown",
        means=f"What a release changed; shares in points. Empty: fewer than {at.FEWEST_RELEASE_RUNS} runs of it.",
        do="Red is worse by more than the alerts allow: roll back, then look at the charts for what changed with it.",
        queries=tuple(queries),
        labels=_WHO,
        sort=("@agent_name", "@version"),
        width=24,
        height=5,
        empty="no other release with enough runs",
    )


_LIMITS: Final = {
    "p50": 0.2,
    "p95": 0.2,
    "Tokens/run": at.RELEASE_TOKENS - 1,
    "Cost/run": at.RELEASE_TOKENS - 1,
    "Tool calls/run": at.RELEASE_TOKENS - 1,
    "Tool errors": at.WORSE,
}
"""What turns a change red: a share in points, everything else as a part of what it was."""


def _chart(title: str, series: str, unit: str, means: str, do: str, **more: float | None) -> Panel:
    query = Query(f"{series}{{{_CHOSEN}}}", "{{@agent_name}} {{@version}}")
    return Panel(title, means, do, (query,), unit, **more)  # type: ignore[arg-type]


RELEASES: Final = Dashboard(
    uid="agent-otel-releases",
    title="Agents / Release compare",
    description="Is the new release better than the one before, and by how much?",
    variables=(
        AGENT,
        Variable("release", "Releases", 'agent_version:runs:increase1h{@agent_name=~"$agent"}', "@version"),
        Variable(
            "baseline",
            "Compared with",
            'agent_version:runs:increase1h{@agent_name=~"$agent"}',
            "@version",
            False,
        ),
    ),
    panels=(
        _side_by_side(),
        _changes(),
        _chart(
            "Success rate, last hour",
            "agent_version:success_ratio:1h",
            PERCENT,
            "Runs that ended as completed, of all that were not cancelled.",
            "An hour of a quiet release holds few runs: trust the table more.",
            lowest=None,
        ),
        *(
            _chart(
                f"Run time {q}, last hour",
                f"agent_version:run_seconds:{q}_1h",
                SECONDS,
                f"{part} of a release's runs take longer.",
                "If the new release is slower from its first run on, compare its tool calls and tokens per run.",
            )
            for q, part in (("p50", "Half"), ("p95", "One in twenty"))
        ),
        _chart(
            "Runs, last hour",
            "agent_version:runs:increase1h",
            COUNT,
            "How the traffic moves from one release to the next.",
            "An old release that keeps its traffic was not replaced everywhere.",
        ),
        _chart(
            "Tokens per run, last hour",
            "agent_version:tokens_per_run:1h",
            COUNT,
            "Tokens of a finished run, its sub-runs included.",
            "A step is a longer prompt, a bigger context or more steps: compare tool calls per run.",
        ),
        _chart(
            "Cost per run, last hour",
            "agent_version:cost_per_run_usd:1h",
            DOLLARS,
            "An estimate: tokens of the release's own calls at list prices.",
            "Cost that rises without tokens is another model, or a cache that is missed.",
        ),
        _chart(
            "Tool calls per run, last hour",
            "agent_version:tool_calls_per_run:1h",
            COUNT,
            "Tool calls of a finished run.",
            "More calls for the same success: the prompt or a tool's answer became less clear.",
        ),
        _chart(
            "Tool error rate, last hour",
            "agent_version:tool_error_ratio:1h",
            PERCENT,
            "Tool calls that ended with an error, of all that were not cancelled.",
            "Only the new release: it calls the tool in a wrong way. Both: the tool itself is ill.",
        ),
        Panel(
            title="Quality, last 6 hours",
            means="Verdicts that pass, of all that pass or fail.",
            do="A release that succeeds as often and is right less often is worse: roll it back.",
            queries=(
                Query(
                    f"agent_version_evaluation:pass_ratio:6h{{{_CHOSEN}}}",
                    "{{@agent_name}} {{@version}} {{@evaluation}}",
                ),
            ),
            unit=PERCENT,
            lowest=None,
        ),
        Panel(
            title="Stop reasons other than completed, last hour",
            means="Which share of a release's runs ended for which other reason.",
            do="The reason that grew tells where to look: max_steps at the prompt, tool_error at the tools.",
            queries=(
                Query(
                    f'agent_version_stop:share:1h{{{_CHOSEN},@stop_reason!="completed"}} > 0',
                    "{{@agent_name}} {{@version}} {{@stop_reason}}",
                ),
            ),
            unit=PERCENT,
            width=24,
            empty="every run completed",
        ),
    ),
    began=Query(
        f"""\
agent_version:runs_valid:increase1h{{{_CHOSEN}}} > 0
  unless max_over_time(agent_version:runs_valid:increase1h[1d] offset 5m) > 0""",
        "{{@agent_name}} {{@version}} began",
    ),
)
