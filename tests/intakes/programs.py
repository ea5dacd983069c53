"""A program that exports twice, and what must come of it, whatever the way."""

from __future__ import annotations

from agent_otel import catalog
from tests.read_back import from_otlp, totals

TWO_EXPORTS = """
agent_otel.configure()
work("first", runs=3)
agent_otel.flush()
work("second", runs=2)
"""

RECORDED = {
    "runs": {("first",): 3, ("second",): 2},
    "durations": {("first",): 3, ("second",): 2},
    "tools": {("search",): 5},
    "tokens": {(): 75},
}


def arrived(intakes):
    """What the intakes took of such a program."""
    points = from_otlp(intakes.resources)
    return {
        "runs": totals(points, catalog.RUNS, catalog.AGENT_NAME),
        "durations": totals(points, catalog.RUN_DURATION, catalog.AGENT_NAME),
        "tools": totals(points, catalog.TOOL_DURATION, catalog.TOOL_NAME),
        "tokens": totals(points, catalog.TOKENS),
    }
