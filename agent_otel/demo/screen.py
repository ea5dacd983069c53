"""The demo's table, for a terminal with or without colours.

Where the screen is too narrow, the words of a trend or a status go on in the next line: nothing is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

    from agent_otel.demo.evaluator import Firing, Row

WIDTH: Final = 104
"""Of the table where there is room: the longest metric, figure, trend and status side by side."""

_STYLES: Final = ("green", "yellow", "bold red")
_NOTES: Final = {"cost_per_run": " (estimate)"}


@dataclass(frozen=True)
class Release:
    """How a release of an agent does.

    Args:
        agent: Whose.
        name: Its version.
        success: The share of its runs of the last hour that succeeded.
        runs: How many those are.
    """

    agent: str
    name: str
    success: float
    runs: float


@dataclass(frozen=True)
class Frame:
    """What there is to show at one moment.

    Args:
        rows: The health table.
        firing: The alerts that fire.
        medians: Of each agent, the p50 of the run time in seconds.
        stop_reasons: Of each agent, the share of its runs of the last hour that ended so.
        releases: Those that ran in the last hour.
        running: How many runs are in flight.
        minute: How long the demo runs, in simulated minutes.
        minutes: How long it will.
        incident: What goes wrong, in words.
        export: Where the metrics go.
        about: What is to be known about all this.
        delivered: At the end, whether everything was pushed; None where nothing is.
    """

    rows: Sequence[Row]
    firing: Sequence[Firing]
    medians: Mapping[str, float]
    stop_reasons: Mapping[str, Mapping[str, float]]
    releases: Sequence[Release]
    running: int
    minute: int
    minutes: int
    incident: str = ""
    export: str = ""
    about: str = ""
    delivered: bool | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the frame out for a width."""
        width = min(WIDTH, options.max_width)
        yield Group(self._title(width), _table(self.rows, width), Text(), self._below(width))

    def _title(self, width: int) -> RenderableType:
        title = Table.grid(expand=True)
        title.width = width
        title.add_column(no_wrap=True)
        title.add_column(justify="right", no_wrap=True)
        clock = f"simulated minute {self.minute} of {self.minutes}, runs in flight: {self.running}"
        title.add_row(Text(" agent-otel demo", style="bold"), Text(clock, style="dim"))
        return title

    def _below(self, width: int) -> RenderableType:
        notes = Table.grid(padding=(0, 2, 0, 0))
        notes.width = width
        notes.add_column(style="bold", no_wrap=True)
        notes.add_column(overflow="fold", ratio=1)
        for word, lines in (
            ("alerts", map(_alert, self.firing)),
            ("incident", [self.incident]),
            ("latency_p50", [", ".join(f"{agent} {each:.1f} s" for agent, each in self.medians.items())]),
            ("stop reasons", (_shares(agent, shares) for agent, shares in self.stop_reasons.items())),
            ("releases", _compared(self.releases)),
            ("metrics", [self.export]),
            ("about", [self.about]),
        ):
            if text := "\n".join(lines):
                notes.add_row(f" {word}", text)
        return notes


def _table(rows: Iterable[Row], width: int) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold"
    )
    table.width = width
    table.add_column(" Metric", no_wrap=True)
    table.add_column("Current", no_wrap=True)
    table.add_column("Trend", ratio=1, overflow="fold")
    table.add_column("Status")
    for agent, its_rows in groupby(rows, lambda row: row.agent):
        table.add_row(Text(f" {agent}", style="bold"))
        for row in its_rows:
            metric = f"  {row.metric}{_NOTES.get(row.metric, '')}"
            table.add_row(metric, row.current, row.trend, Text(row.status, style=_STYLES[row.level]))
    return table


def _alert(firing: Firing) -> str:
    return f"{firing.severity}: {firing.alert} {' '.join(firing.of.values())}"


def _shares(agent: str, shares: Mapping[str, float]) -> str:
    ordered = sorted(shares.items(), key=lambda each: (-each[1], each[0]))
    return f"{agent}: {', '.join(f'{reason} {100 * share:.1f}%' for reason, share in ordered if share)}"


def _compared(releases: Iterable[Release]) -> Iterator[str]:
    """How the releases of each agent compare, where it has several."""
    for agent, each in groupby(releases, lambda release: release.agent):
        of_one = list(each)
        if len(of_one) > 1:
            figures = (f"{one.name} {100 * one.success:.1f}% ok of {one.runs:.0f} runs" for one in of_one)
            yield f"{agent}: {', '.join(figures)}"
