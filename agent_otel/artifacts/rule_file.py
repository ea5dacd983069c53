"""Recording rules and alerts as values, and as the YAML that Prometheus reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from textwrap import indent
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INTERVAL: Final = "1m"


@dataclass(frozen=True)
class Rule:
    """One recorded series.

    Args:
        record: Its name: the labels that it keeps, what it says, the window.
        expr: PromQL.
        labels: Added to it.
        why: What a reader of the file has to know, above the rule.
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Alert:
    """One alert.

    Args:
        name: Also the title of its section in the runbook.
        expr: PromQL over recorded series.
        summary: One sentence, with the template language of Prometheus.
        severity: `critical` pages a person, `warning` makes a ticket, `info` only shows.
        signal: Its row in the health table.
        health: The word in that row's Status column.
        wait: How long it holds before it fires (`for`).
        keep: How long it goes on firing after it held last (`keep_firing_for`).
        why: What a reader of the file has to know, above the alert.
    """

    name: str
    expr: str
    summary: str
    severity: str
    signal: str
    health: str
    wait: str
    keep: str = ""
    why: str = ""


def rule_file(head: str, group: str, rules: Iterable[Rule | Alert], runbook: str = "") -> str:
    """A file of one group, in order: Prometheus evaluates a group's rules one after the other.

    Args:
        head: Comment at the top.
        group: Its name.
        rules: Its rules.
        runbook: Where the runbook of the alerts stands.
    """
    lines = [*_comment(head), "groups:", f"- name: {group}", f"  interval: {INTERVAL}", "  rules:"]
    for rule in rules:
        written = _rule(rule) if isinstance(rule, Rule) else _alert(rule, runbook)
        lines += [f"  {line}" for line in [*_comment(rule.why), *written]]
    return "\n".join(lines) + "\n"


def runbook_url(runbook: str, alert: str) -> str:
    """Where an alert's section stands.

    Args:
        runbook: Path or URL of the page.
        alert: The alert's name, which is the section's title.
    """
    return f"{runbook}#{alert.lower()}"


def _rule(rule: Rule) -> list[str]:
    return [f"- record: {rule.record}", *_expr(rule.expr), *_labels(rule.labels)]


def _alert(alert: Alert, runbook: str) -> list[str]:
    return [
        f"- alert: {alert.name}",
        *_expr(alert.expr),
        f"  for: {alert.wait}",
        *([f"  keep_firing_for: {alert.keep}"] if alert.keep else []),
        *_labels({"severity": alert.severity, "signal": alert.signal, "health": alert.health}),
        "  annotations:",
        f"    summary: {_scalar(alert.summary)}",
        f"    runbook_url: {runbook_url(runbook, alert.name)}",
    ]


def _comment(text: str) -> list[str]:
    return [f"# {line}".rstrip() for line in text.splitlines()]


def _expr(text: str) -> list[str]:
    if "\n" in text:
        return ["  expr: |", *indent(text, "    ").splitlines()]
    return [f"  expr: {text}"]


def _labels(labels: Mapping[str, str]) -> list[str]:
    written = ", ".join(f"{key}: {_scalar(value)}" for key, value in labels.items())
    return [f"  labels: {{{written}}}"] if labels else []


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"\w[\w -]*\w", text) else "'" + text.replace("'", "''") + "'"
