"""Every alert with one thing changed: a number, a comparison, a condition, how long it waits or keeps on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

_NUMBER = re.compile(r'(?<![\w.:"$\[])\d+(?:\.\d+)?(?![\w.:"\]])')
_COMPARISON = re.compile(r"(?<=\s)(>=?)(?=\s)")
_FACTORS = (0.4, 2.5)


class Mutant(NamedTuple):
    """An alert that isn't ours, under a name of its own."""

    what: str
    original: str
    severity: str
    alert: object


def mutants(alerts):
    """All mutants of these alerts."""
    found = []
    for alert in alerts:
        for what, changed in _changes(alert):
            number = len(found)
            named = replace(changed, name=f"{alert.name}_{number}")
            found.append(
                Mutant(f"{alert.name} ({alert.severity}): {what}", alert.name, alert.severity, named)
            )
    return found


def _changes(alert):
    yield from _numbers(alert)
    yield from _comparisons(alert)
    yield from _conditions(alert)
    for field in ("wait", "keep"):
        if minutes := getattr(alert, field):
            for factor in (0, *_FACTORS):
                seconds = f"{round(60 * int(minutes.removesuffix('m')) * factor)}s"
                yield f"{field} {minutes} -> {seconds}", replace(alert, **{field: seconds})


def _numbers(alert):
    for found in _NUMBER.finditer(alert.expr):
        if value := float(found.group()):
            for factor in _FACTORS:
                text = f"{value * factor:g}"
                yield _spliced(alert, found, text)


def _comparisons(alert):
    for found in _COMPARISON.finditer(alert.expr):
        yield _spliced(alert, found, found.group().replace(">", "<"))


def _conditions(alert):
    """Without a line that begins with a set operator; what spans lines is changed by its parts."""
    lines = alert.expr.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*(and|or|unless) ", line) and line.count("(") == line.count(")"):
            rest = "\n".join(lines[:number] + lines[number + 1 :])
            yield f"without {line.strip()!r}", replace(alert, expr=rest)


def _spliced(alert, found, text):
    start, end = found.span()
    expr = f"{alert.expr[:start]}{text}{alert.expr[end:]}"
    around = alert.expr[max(0, start - 40) : end].replace("\n", " ").strip()
    return f"...{around} -> {text}", replace(alert, expr=expr)
