"""What a dashboard shows, without anything of Grafana: panels, their queries and their words.

Queries are templates in the words of `prometheus.Promql`, and have Grafana's own variables: `$agent`, `$__range`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PERCENT: Final = "percentunit"
SECONDS: Final = "s"
COUNT: Final = "short"
WHOLE: Final = "locale"
DOLLARS: Final = "currencyUSD"

Step = tuple[float | None, str]
"""From which value on, and the colour; None is the lowest."""


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Args:
        expr: PromQL.
        name: Of its series, with `{{label}}`; of its column in a table, where nothing hides the figure.
        unit: Of its column.
        steps: Colours of its column.
        objective: Whether it is a limit to compare with, drawn dashed.
    """

    expr: str
    name: str = ""
    unit: str = COUNT
    steps: tuple[Step, ...] = ()
    objective: bool = False


@dataclass(frozen=True)
class Label:
    """A column of a table that shows a label.

    Args:
        name: The label.
        title: Of the column.
        words: What is shown for a value.
        colors: The colour of values that match a pattern.
        width: In pixels; 0 shares what is left.
    """

    name: str
    title: str
    words: tuple[tuple[str, str], ...] = ()
    colors: tuple[tuple[str, str], ...] = ()
    width: int = 0


@dataclass(frozen=True)
class Panel:
    """A chart over time, or a table where it has labels.

    Args:
        title: With its window.
        means: One sentence.
        do: What to do when it looks bad, one sentence.
        queries: At least one.
        unit: Of a chart.
        labels: Columns of a table.
        sort: What a table is sorted by: the first named counts most; `-` before it, largest first.
        stacked: Whether the series of a chart stand on each other.
        lowest: Where the axis begins; None follows the data.
        width: Of 24.
        height: In rows of 30 pixels.
        empty: What to show where no data is good news.
    """

    title: str
    means: str
    do: str
    queries: tuple[Query, ...]
    unit: str = COUNT
    labels: tuple[Label, ...] = ()
    sort: tuple[str, ...] = ()
    stacked: bool = False
    lowest: float | None = 0
    width: int = 8
    height: int = 8
    empty: str = ""


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard.

    Args:
        name: As in `$name`.
        title: What the reader sees.
        series: Whose values of the label are offered.
        label: The label.
        several: Whether several can be chosen, and all.
    """

    name: str
    title: str
    series: str
    label: str
    several: bool = True


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Args:
        uid: Its address in Grafana, a promise.
        title: Its name.
        description: For whom it is.
        variables: Its choices.
        panels: From left to right, from top to bottom.
        began: A query that gives a series for as long as something has just begun, marked in every chart.
    """

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    began: Query | None = None


AGENT: Final = Variable("agent", "Agent", "agent:runs:increase1h", "@agent_name")


def places(panels: Iterable[Panel]) -> list[tuple[int, int]]:
    """Where each panel's left upper corner stands: (column, row).

    Args:
        panels: In the order in which they are read.
    """
    found, x, y, tallest = [], 0, 0, 0
    for panel in panels:
        if x + panel.width > 24:  # noqa: PLR2004 -- Grafana's columns
            x, y, tallest = 0, y + tallest, 0
        found.append((x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return found
