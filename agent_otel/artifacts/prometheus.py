"""What Prometheus calls the catalog's metrics and attributes, and PromQL written in those names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agent_otel import catalog
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNITS: Final = {"s": "seconds", "By": "bytes", "1": "ratio"}

PASSING: Final = (
    "pass",
    "passed",
    "good",
    "correct",
    "relevant",
    "success",
    "yes",
    "true",
    "up",
    "thumbs_up",
)
FAILING: Final = (
    "fail",
    "failed",
    "bad",
    "incorrect",
    "not_relevant",
    "failure",
    "no",
    "false",
    "down",
    "thumbs_down",
)
"""Verdicts that count as quality, for and against; every other one, such as `skipped`, doesn't count."""


def metric_name(metric: catalog.Metric) -> str:
    """The metric's name on a Prometheus page, through a Collector and in Prometheus' OTLP receiver.

    Args:
        metric: From the catalog.
    """
    words = [metric.name.replace(".", "_")]
    if metric.unit in _UNITS:
        words.append(_UNITS[metric.unit])
    if metric.kind == "counter":
        words.append("total")
    return "_".join(words)


def label_name(attribute: catalog.Attribute) -> str:
    """The attribute's name as a Prometheus label.

    Args:
        attribute: From the catalog.
    """
    return attribute.key.replace(".", "_")


METRICS: Final[Mapping[str, catalog.Metric]] = MappingProxyType(
    {
        "runs": catalog.RUNS,
        "active_runs": catalog.ACTIVE_RUNS,
        "oldest_age": catalog.OLDEST_AGE,
        "run_seconds": catalog.RUN_DURATION,
        "run_tokens": catalog.RUN_TOKEN_USAGE,
        "run_tool_calls": catalog.RUN_TOOL_CALLS,
        "tool_seconds": catalog.TOOL_DURATION,
        "inference_seconds": catalog.INFERENCE_DURATION,
        "operation_seconds": catalog.OPERATION_DURATION,
        "tokens": catalog.TOKENS,
        "token_price": catalog.TOKEN_PRICE,
        "usage_missing": catalog.USAGE_MISSING,
        "evaluations": catalog.EVALUATIONS,
        "dropped_attributes": catalog.DROPPED_ATTRIBUTES,
        "dropped_measurements": catalog.DROPPED_MEASUREMENTS,
    }
)
LABELS: Final[Mapping[str, catalog.Attribute]] = MappingProxyType(
    {
        "agent_name": catalog.AGENT_NAME,
        "version": catalog.AGENT_VERSION,
        "status": catalog.RUN_STATUS,
        "stop_reason": catalog.STOP_REASON,
        "nested": catalog.RUN_NESTED,
        "error": catalog.ERROR_TYPE,
        "tool": catalog.TOOL_NAME,
        "provider": catalog.PROVIDER,
        "model": catalog.MODEL,
        "token_type": catalog.TOKEN_TYPE,
        "evaluation": catalog.EVALUATION_NAME,
        "verdict": catalog.EVALUATION_LABEL,
        "drop_reason": catalog.DROP_REASON,
    }
)
"""The words that stand for names in a template: `@runs{@status="ok"}`."""


@dataclass(frozen=True)
class Options:
    """How a set-up differs from the default one.

    Args:
        apart: Further labels by which everything is kept apart, such as `deployment_environment_name`.
        rename: What a scrape set-up calls a label, by our name, such as `version` for `gen_ai_agent_version`.
        native: Whether native histograms are read too; VictoriaMetrics refuses their functions.
        runbook: Where the runbook stands, a path or a URL.
        passing: Further verdicts that count for quality, beside `PASSING`.
        failing: Further verdicts that count against it, beside `FAILING`.

    Raises:
        ConfigurationError: Naming every mistake.
    """

    apart: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    native: bool = True
    runbook: str = "docs/runbook.md"
    passing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would make a file that Prometheus refuses, or that says nothing."""
        if mistakes := [*self._wrong_labels(), *self._wrong_verdicts()]:
            raise ConfigurationError(mistakes)

    def _wrong_labels(self) -> Iterator[str]:
        ours = {label_name(attribute) for attribute in LABELS.values()}
        for label in sorted(set(self.rename) - ours):
            yield f"rename {label!r}: no such label here: use one of {', '.join(sorted(ours))}"
        for label in (*self.apart, *self.rename.values()):
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label):
                yield f"label {label!r}: Prometheus takes letters, digits and underscores"
        names = [*self.apart, *(self.rename.get(label, label) for label in sorted(ours)), "job", "le"]
        for label in sorted({label for label in names if names.count(label) > 1}):
            yield f"label {label!r}: it would stand for two things: use another name"

    def _wrong_verdicts(self) -> Iterator[str]:
        for verdict in (*self.passing, *self.failing):
            if not re.fullmatch(r"[\w -]+", verdict):
                yield f"verdict {verdict!r}: use letters, digits, blanks, dashes and underscores"
        for verdict in sorted({*PASSING, *self.passing} & {*FAILING, *self.failing}):
            yield f"verdict {verdict!r}: it counts for and against: name it once"


class _Words(Template):
    delimiter = "@"
    idpattern = "[a-z][a-z_]*"


class Promql:
    """Turns templates into PromQL for one set-up.

    Beside `METRICS` and `LABELS` a template has words for the labels that a figure is kept apart by, which stand in
    `by ()` and `on ()`: `@agent`, `@model_call` and `@job`, each with the set-up's own, and `@apart`, those alone.

    Args:
        options: The set-up.
    """

    def __init__(self, options: Options) -> None:
        """Work out the names."""
        label = {
            word: options.rename.get(label_name(attribute), label_name(attribute))
            for word, attribute in LABELS.items()
        }
        self._native = options.native
        self._words = {
            **{word: metric_name(metric) for word, metric in METRICS.items()},
            **label,
            "agent": ", ".join((label["agent_name"], *options.apart)),
            "model_call": ", ".join((label["provider"], label["model"], *options.apart)),
            "job": ", ".join(("job", *options.apart)),
            "apart": ", ".join(options.apart),
            "passing": "|".join((*PASSING, *options.passing)),
            "verdicts": "|".join((*PASSING, *options.passing, *FAILING, *options.failing)),
        }

    def text(self, template: str) -> str:
        """The template with names instead of words.

        Args:
            template: Such as `sum by (@agent) (increase(@runs[1h]))`.
        """
        return _Words(template).substitute(self._words)

    def count(self, metrics: tuple[str, ...], matchers: str, window: str) -> str:
        """How many measurements histograms got, each series by itself, whether classic or native.

        To be summed: joined series by series, a mixed fleet adds up and a page with both forms counts once.

        Args:
            metrics: Words of histograms that don't overlap.
            matchers: Of their labels.
            window: Such as `1h`.
        """
        return self._increases(metrics, matchers, window, "count")

    def sum(self, metric: str, window: str) -> str:
        """What a histogram's measurements add up to, each series by itself, whether classic or native.

        Args:
            metric: The histogram's word.
            window: Such as `1h`.
        """
        return self._increases((metric,), "", window, "sum")

    def _increases(self, metrics: tuple[str, ...], matchers: str, window: str, what: str) -> str:
        selected = f"{{{matchers}}}" if matchers else ""
        forms = [f"increase(@{{{metric}}}_{what}{selected}[{window}])" for metric in metrics]
        if self._native:
            forms += [f"histogram_{what}(increase(@{metric}{selected}[{window}]))" for metric in metrics]
        return "\n    or ".join(forms)

    def quantile(self, q: float, metric: str, matchers: str, by: str, window: str) -> str:
        """A quantile of a histogram, whether classic or native; of a mixed fleet the classic half's.

        Args:
            q: From 0 to 1.
            metric: The histogram's word.
            matchers: Of its labels.
            by: The labels that are kept.
            window: Such as `1h`.
        """
        forms = [
            f"histogram_quantile({q:g}, sum by ({by}, le) (rate(@{{{metric}}}_bucket{{{matchers}}}[{window}])))"
        ]
        if self._native:
            forms.append(
                f"histogram_quantile({q:g}, sum by ({by}) (rate(@{metric}{{{matchers}}}[{window}])))"
            )
        return "\n  or ".join(forms)
