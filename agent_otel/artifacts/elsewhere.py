"""The production metrics in the languages of backends that don't read Prometheus' recording rules.

Templates in the words of `prometheus.METRICS` and `LABELS`, here for the names as they are exported, with dots.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Final

from agent_otel import catalog
from agent_otel.artifacts.prometheus import FAILING, LABELS, METRICS, PASSING

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Words(Template):
    delimiter = "@"
    idpattern = "[a-z][a-z_]*"


_NAMES: Final = {
    **{word: metric.name for word, metric in METRICS.items()},
    **{word: attribute.key for word, attribute in LABELS.items()},
    "run_cost": catalog.RUN_COST.name,
}


def dotted(template: str) -> str:
    """The template with names instead of words.

    Args:
        template: Such as `sum:@runs{@status:ok}.as_count()`.
    """
    return _Words(template).substitute(_NAMES)


@dataclass(frozen=True)
class Figure:
    """One production metric.

    Args:
        name: Its name in the health table.
        says: One sentence.
        recorded: The series that the recording rules make of it.
        datadog: Queries by letter, with `SCOPE` for the filter and `BY` for the grouping.
        formula: How the letters make the figure.
        cloudwatch: PromQL with dotted names, on cumulative metrics.
        new_relic: What NRQL selects.
        facet: What NRQL groups by.
        opt_in: The setting that it needs outside Prometheus.
    """

    name: str
    says: str
    recorded: str
    datadog: Mapping[str, str]
    formula: str
    cloudwatch: str
    new_relic: str
    facet: str = "@agent_name"
    opt_in: str = ""


def _ratio(part: str, whole: str) -> str:
    return f"{part}\n  / {whole}"


def _counts(metric: str, matchers: str = "", window: str = "1h") -> str:
    return f'sum by ("@agent_name") (increase({{"{metric}"{matchers}}}[{window}]))'


def _histogram(what: str, metric: str, matchers: str = "") -> str:
    return f'histogram_{what}(sum by ("@agent_name") (increase({{"{metric}"{matchers}}}[1h])))'


def _per_run(metric: str) -> dict[str, object]:
    return {
        "datadog": {
            "a": f"sum:{metric}{{SCOPE}} BY.as_count()",
            "b": f"count:{metric}{{SCOPE}} BY.as_count()",
        },
        "formula": "a / b",
        "cloudwatch": _ratio(_histogram("sum", metric), _histogram("count", metric)),
        "new_relic": f"sum({metric}) / count({metric})",
    }


_JUDGED: Final = (*PASSING, *FAILING)

FIGURES: Final = (
    Figure(
        name="run_count",
        says="Finished runs in an hour.",
        recorded="agent:runs:increase1h",
        datadog={"a": "sum:@runs{SCOPE} BY.as_count()"},
        formula="a",
        cloudwatch=_counts("@runs"),
        new_relic="sum(@runs)",
    ),
    Figure(
        name="success_rate",
        says="Runs that ended as completed, of all that were not cancelled.",
        recorded="agent:success_ratio:1h",
        datadog={
            "a": "sum:@runs{SCOPE,@status:ok} BY.as_count()",
            "b": "sum:@runs{SCOPE,!@status:cancelled} BY.as_count()",
        },
        formula="a / b",
        cloudwatch=_ratio(_counts("@runs", ', "@status"="ok"'), _counts("@runs", ', "@status"!="cancelled"')),
        new_relic="filter(sum(@runs), WHERE @status = 'ok') / filter(sum(@runs), WHERE @status != 'cancelled')",
    ),
    *(
        Figure(
            name=f"latency_p{percent}",
            says=f"{part} of the runs takes longer, in seconds; cancelled ones left out.",
            recorded=f"agent:run_seconds:p{percent}_30m",
            datadog={"a": f"p{percent}:@run_seconds{{SCOPE,!@error:cancelled}} BY"},
            formula="a",
            cloudwatch=(
                f'histogram_quantile({percent / 100:g}, sum by ("@agent_name")'
                ' (rate({"@run_seconds", "@error"!="cancelled"}[30m])))'
            ),
            new_relic=f"filter(percentile(@run_seconds, {percent}), WHERE @error IS NULL OR @error != 'cancelled')",
        )
        for percent, part in ((50, "Half"), (95, "One in twenty"))
    ),
    Figure(
        name="token_usage_per_run",
        says="Tokens of a finished run, its sub-runs included.",
        recorded="agent:tokens_per_run:1h",
        **_per_run("@run_tokens"),  # type: ignore[arg-type]
    ),
    Figure(
        name="cost_per_run",
        says="An estimate at list prices.",
        recorded="agent:cost_per_run_usd:1h",
        opt_in="AGENT_OTEL_COST=1",
        **_per_run("@run_cost"),  # type: ignore[arg-type]
    ),
    Figure(
        name="tool_calls_per_run",
        says="Tool calls of a finished run.",
        recorded="agent:tool_calls_per_run:1h",
        **_per_run("@run_tool_calls"),  # type: ignore[arg-type]
    ),
    Figure(
        name="tool_error_rate",
        says="Tool calls that ended with an error, of all that were not cancelled.",
        recorded="agent:tool_error_ratio:1h",
        datadog={
            "a": "count:@tool_seconds{SCOPE,@error:*,!@error:cancelled} BY.as_count()",
            "b": "count:@tool_seconds{SCOPE,!@error:cancelled} BY.as_count()",
        },
        formula="a / b",
        cloudwatch=_ratio(
            _histogram("count", "@tool_seconds", ', "@error"!="", "@error"!="cancelled"'),
            _histogram("count", "@tool_seconds", ', "@error"!="cancelled"'),
        ),
        new_relic=(
            "filter(count(@tool_seconds), WHERE @error IS NOT NULL AND @error != 'cancelled')"
            " / filter(count(@tool_seconds), WHERE @error IS NULL OR @error != 'cancelled')"
        ),
    ),
    Figure(
        name="stop_reason",
        says="Why runs ended.",
        recorded="agent_stop:share:1h",
        datadog={"a": "sum:@runs{SCOPE} by {@agent_name,@stop_reason}.as_count()"},
        formula="a",
        cloudwatch='sum by ("@agent_name", "@stop_reason") (increase({"@runs"}[1h]))',
        new_relic="sum(@runs)",
        facet="@agent_name, @stop_reason",
    ),
    Figure(
        name="quality",
        says="Verdicts that pass, of all that pass or fail; add your own words for either.",
        recorded="agent_evaluation:pass_ratio:6h",
        datadog={
            "a": f"sum:@evaluations{{SCOPE AND @verdict IN ({','.join(PASSING)})}} BY.as_count()",
            "b": f"sum:@evaluations{{SCOPE AND @verdict IN ({','.join(_JUDGED)})}} BY.as_count()",
        },
        formula="a / b",
        cloudwatch=_ratio(
            *(
                _counts("@evaluations", f', "@verdict"=~"{"|".join(words)}"', "6h")
                for words in (PASSING, _JUDGED)
            )
        ),
        new_relic=" / ".join(
            f"filter(sum(@evaluations), WHERE @verdict IN ({', '.join(map(repr, words))}))"
            for words in (PASSING, _JUDGED)
        ),
    ),
)
