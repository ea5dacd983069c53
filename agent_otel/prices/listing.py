"""What a model costs and who says so: the rows of `agent-otel prices list`, as a table and as lines."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from rich.table import Table

from agent_otel import catalog
from agent_otel.prices import complete
from agent_otel.prices.genai import INSTALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_otel.prices.genai import Listed, PriceList

    Own = Mapping[str, Mapping[str, Mapping[str, float]]]

YOURS: Final = "your file"
_FAR: Final = 100
_UNKNOWN: Final = "-"


@dataclass(frozen=True)
class Row:
    """A model of a provider.

    Args:
        provider: As the label has it.
        model: As it was asked for.
        usd: USD per million tokens, by token type.
        source: Who says so.
        notes: What is to be known about it.
    """

    provider: str
    model: str
    usd: Mapping[str, float]
    source: str
    notes: tuple[str, ...] = ()


class Book:
    """The team's own prices and the list's, in the order in which a program takes them.

    Args:
        own: USD per million tokens.
        prices: The list, if it is installed.
    """

    def __init__(self, own: Own, prices: PriceList | None) -> None:
        """Ask the list for its age, once."""
        self._own = own
        self._list = prices
        self._source = prices.about() if prices else ""

    def own(self, provider: str | None = None) -> Iterator[Row]:
        """The team's own.

        Args:
            provider: Whose; everybody's without.
        """
        for name, models in self._own.items():
            if provider in {None, name}:
                for model, usd in models.items():
                    yield Row(name, model, complete(usd), YOURS, tuple(self._far(name, model, usd)))

    def every(self, provider: str | None = None) -> Iterator[Row]:
        """The team's own, and whatever else the list has.

        Args:
            provider: Whose; everybody's without.
        """
        yield from self.own(provider)
        for listed in self._list.every(provider) if self._list else ():
            if listed.model not in self._own.get(listed.provider, {}):
                yield self._row(listed, listed.model)

    def find(self, model: str, provider: str | None = None) -> list[Row]:
        """What a program would take: of each provider in the team's own file, and of the list's one.

        Args:
            model: As sent to the provider.
            provider: Whose; without, the list says whose model it is.
        """
        rows = [row for row in self.own(provider) if row.model == model]
        listed = self._list.find(provider, model) if self._list else None
        if listed and listed.provider not in {row.provider for row in rows}:
            rows.append(self._row(listed, model))
        return rows

    def unknown(self, model: str, provider: str | None = None) -> str:
        """What to say of a model without a price: who sells it, the names that are nearly its own, or the remedy.

        Args:
            model: That isn't known.
            provider: Whose; everybody's without.
        """
        whose = f" of {provider}" if provider else ""
        sellers = self._list.sellers(model) if self._list and provider is None else []
        close = get_close_matches(model.lower(), dict.fromkeys(row.model for row in self.every(provider)))
        hint = self.remedy
        if sellers:
            hint = f"say whose with --provider: {', '.join(sellers)}"
        elif close:
            hint = f"close names: {', '.join(close)}"
        return f"no price for {model}{whose}: {hint}"

    @property
    def remedy(self) -> str:
        """Where further prices come from."""
        own = "name a file of your own in AGENT_OTEL_PRICES"
        return own if self._list else f"{INSTALL} for those that others maintain, or {own}"

    def _row(self, listed: Listed, model: str) -> Row:
        alias = () if listed.model == model else (f"listed as {listed.model}",)
        usd = complete(listed.usd)
        return Row(listed.provider, model, usd, self._source, (*alias, *listed.notes))

    def _far(self, provider: str, model: str, usd: Mapping[str, float]) -> Iterator[str]:
        """Where the list has quite another price: most often one is per thousand tokens."""
        listed = self._list.find(provider, model) if self._list else None
        for token_type, theirs in listed.usd.items() if listed else ():
            ours = usd.get(token_type, theirs)
            if ours and theirs and not 1 / _FAR < ours / theirs < _FAR:
                yield f"{token_type} is {theirs:g} in genai-prices: give USD per million tokens"


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """A heading and a line for each row, their fields separated by tabs.

    Args:
        rows: What to tell.
    """
    yield "\t".join(("provider", "model", *catalog.TOKEN_TYPES, "source", "notes"))
    for row in rows:
        figures = (_figure(row, token_type, "") for token_type in catalog.TOKEN_TYPES)
        yield "\t".join((row.provider, row.model, *figures, row.source, "; ".join(row.notes)))


def table(rows: Iterable[Row]) -> Table:
    """The rows for a terminal, each source and note once, below.

    Args:
        rows: What to tell.
    """
    marks: dict[str, int] = {}
    drawn = Table(title="USD per million tokens", title_justify="left", caption_justify="left", box=None)
    drawn.add_column("provider", overflow="fold")
    drawn.add_column("model", overflow="fold")
    for token_type in catalog.TOKEN_TYPES:
        drawn.add_column(token_type.replace("_", "\n"), justify="right", no_wrap=True)
    drawn.add_column("from")
    for row in rows:
        figures = (_figure(row, token_type, _UNKNOWN) for token_type in catalog.TOKEN_TYPES)
        below = [marks.setdefault(text, len(marks) + 1) for text in (row.source, *row.notes)]
        drawn.add_row(row.provider, row.model, *figures, ", ".join(map(str, below)))
    drawn.caption = "\n".join(f"{mark}  {text}" for text, mark in marks.items())
    return drawn


def _figure(row: Row, token_type: str, absent: str) -> str:
    return f"{row.usd[token_type]:.10g}" if token_type in row.usd else absent
