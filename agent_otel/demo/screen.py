"""The demo's table: figures as text for a terminal, with or without colours.

Numbers stand right-aligned with their unit. Columns are as wide as the screen allows, so that bars shrink before
anything is cut; where the encoding has no block characters, bars are made of `#`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from agent_otel import catalog
from agent_otel.demo import rows as figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

    from agent_otel.demo.rows import Row

    Line = dict[str | None, Row]

ALL: Final = "all agents"
NOTHING: Final = "-"

_NOTES: Final = {"cost_per_run": " (estimate)"}
_LABEL: Final = 25
_GAP: Final = 2
_NUMBER: Final = 8
_SHORTEST_BAR: Final = 3
_WIDEST: Final = 20
_BLOCKS: Final = "▏▎▍▌▋▊▉█"
_COLOURS: Final = {"ok": "green", "incomplete": "yellow", "error": "red", "cancelled": "bright_black"}


@dataclass(frozen=True)
class Frame:
    """What there is to show at one moment.

    Args:
        rows: The figures.
        running: How many runs are in flight.
        minute: How long the agents have been at work, in simulated minutes.
        minutes: How long they will.
        export: Where the metrics go.
        about: What is to be known about all this.
        delivered: At the end, whether everything was pushed; None where nothing is.
    """

    rows: Sequence[Row]
    running: int
    minute: int
    minutes: int
    export: str = ""
    about: str = ""
    delivered: bool | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the frame out for a width."""
        agents = list(dict.fromkeys(row.agent for row in self.rows))
        each = max(_NUMBER, min(_WIDEST, (options.max_width - _LABEL) // len(agents) - _GAP))
        table = _table(self.rows, agents, each, ascii_only=options.ascii_only)
        yield Group(self._title(_LABEL + len(agents) * (_GAP + each)), table, Text(), self._below())

    def _title(self, width: int) -> RenderableType:
        title = Table.grid(expand=True)
        title.width = width
        title.add_column(no_wrap=True)
        title.add_column(justify="right", no_wrap=True)
        clock = f"simulated minute {self.minute} of {self.minutes}, runs in flight: {self.running}"
        title.add_row(Text(" agent-otel demo", style="bold"), Text(clock, style="dim"))
        return title

    def _below(self) -> RenderableType:
        notes = Table.grid(padding=(0, 2, 0, 0))
        notes.add_column(style="bold", no_wrap=True)
        notes.add_column(overflow="fold")
        for word, text in (
            ("releases", _releases(self.rows)),
            ("metrics", self.export),
            ("about", self.about),
        ):
            if text:
                notes.add_row(f" {word}", text)
        return notes


def shown(row: Row) -> str:
    """A figure as people read it, with its unit.

    Args:
        row: Which.
    """
    return NOTHING if row.value is None else _UNITS[row.unit](row.value)


def _table(rows: Sequence[Row], agents: Sequence[str | None], each: int, *, ascii_only: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold"
    )
    table.add_column(" Metric", no_wrap=True, width=_LABEL)
    for agent in agents:
        table.add_column(agent or ALL, justify="right", no_wrap=True, width=each)
    begun = False
    for (metric, reason), line in _lines(rows).items():
        if reason is None:
            table.add_row(f" {metric}{_NOTES.get(metric, '')}", *(shown(line[agent]) for agent in agents))
            continue
        if not begun:
            table.add_row(f" {metric}")
            begun = True
        table.add_row(f"   {reason}", *(_share(line[agent], each, ascii_only=ascii_only) for agent in agents))
    return table


def _lines(rows: Iterable[Row]) -> dict[tuple[str, str | None], Line]:
    lines: dict[tuple[str, str | None], Line] = {}
    for row in rows:
        if row.release is None:
            lines.setdefault((row.metric, row.reason), {})[row.agent] = row
    return lines


def _share(row: Row, width: int, *, ascii_only: bool) -> Text:
    percent = f"{shown(row):>{_NUMBER}}"
    length = width - _NUMBER
    if not row.value or length < _SHORTEST_BAR:
        return Text(percent, style="" if row.value else "dim")
    colour = _COLOURS[catalog.STOP_REASONS.get(row.reason or "", "incomplete")]
    return Text(_bar(row.value, length, ascii_only=ascii_only), style=colour) + Text(percent)


def _bar(share: float, length: int, *, ascii_only: bool) -> str:
    """A bar of that share of a length; the smallest share still shows."""
    if ascii_only:
        return ("#" * math.ceil(share * length)).ljust(length)
    whole, rest = divmod(math.ceil(share * length * len(_BLOCKS)), len(_BLOCKS))
    return (_BLOCKS[-1] * whole + _BLOCKS[rest - 1] * (rest > 0)).ljust(length)


def _releases(rows: Iterable[Row]) -> str:
    """How the releases of each agent compare, where it has had several."""
    agents: dict[str, list[str]] = {}
    for row in rows:
        if row.release is not None:
            agents.setdefault(str(row.agent), []).append(f"{row.release}: {shown(row)} ok ({row.n} runs)")
    return "\n".join(f"{agent} {', '.join(each)}" for agent, each in agents.items())


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _per_run(value: float) -> str:
    return f"{value:.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"  # noqa: PLR2004 -- three digits are enough


def _thousands(value: float) -> str:
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def _usd(value: float) -> str:
    return f"${value:.2f}" if value >= 1 else f"${value:.3f}"


_UNITS: Final[Mapping[str, Callable[[float], str]]] = {
    figures.RUN: _count,
    figures.RATIO: _percent,
    figures.SECONDS: _seconds,
    figures.TOKENS: _thousands,
    figures.USD: _usd,
    figures.CALLS: _per_run,
}
