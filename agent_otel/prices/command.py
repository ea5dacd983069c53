"""`agent-otel prices`, its options."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_otel.prices.listing import Book, Row

_FILE = click.option(
    "--file",
    type=click.Path(dir_okay=False),
    help="Your own prices, instead of those that AGENT_OTEL_PRICES names.",
)
_PROVIDER = click.option(
    "--provider",
    help="Whose, as your program records it, such as gcp.vertex_ai. Without it: the provider whose model it is.",
)


@click.group("prices")
def command() -> None:
    """What models cost, and who says so: your own file, or genai-prices."""


@command.command("list")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@_FILE
@_PROVIDER
def _list(*, models: tuple[str, ...], file: str | None, provider: str | None) -> None:
    """USD per million tokens of each type: a table, or lines with tabs if piped.

    Without a MODEL: your whole file with --file, else everything that is known.
    """
    book = _book(file)
    if models:
        rows, unknown = _find(book, models, provider)
    else:
        rows, unknown = list(book.own(provider) if file else book.every(provider)), []
    _show(rows)
    _complain(book.unknown(model, provider) for model in unknown)
    if not rows:
        raise click.ClickException(f"no price at all here. {book.remedy}")


@command.command("export")
@click.argument("models", nargs=-1, metavar="MODEL...", required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "prometheus-rules", "csv"]),
    required=True,
    help="json is what AGENT_OTEL_PRICES takes; prometheus-rules stand in for programs that don't export prices.",
)
@_FILE
@_PROVIDER
def _export(*, models: tuple[str, ...], form: str, file: str | None, provider: str | None) -> None:
    """Prices of these models as a file, on standard output; nothing at all if one is unknown."""
    from agent_otel.prices.export import FORMATS  # noqa: PLC0415 -- for this command alone

    book = _book(file)
    rows, unknown = _find(book, models, provider)
    _complain(book.unknown(model, provider) for model in unknown)
    click.echo(FORMATS[form](rows), nl=False)


def _book(file: str | None) -> Book:
    from agent_otel import settings  # noqa: PLC0415 -- for these commands alone
    from agent_otel.errors import ConfigurationError  # noqa: PLC0415
    from agent_otel.prices import genai  # noqa: PLC0415
    from agent_otel.prices.listing import Book  # noqa: PLC0415

    variable = f"{settings.PREFIX}PRICES"
    try:
        team = settings.checked({variable: os.environ.get(variable, "")}, {"prices": file})
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    return Book(team.prices, genai.load())


def _find(book: Book, models: Iterable[str], provider: str | None) -> tuple[list[Row], list[str]]:
    found = {model: book.find(model, provider) for model in models}
    rows = [row for rows in found.values() for row in rows]
    return rows, [model for model, rows in found.items() if not rows]


def _show(rows: list[Row]) -> None:
    from agent_otel.prices import listing  # noqa: PLC0415 -- for this command alone

    if not rows:
        return
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 -- for a terminal alone

        Console().print(listing.table(rows))
    else:
        click.echo("\n".join(listing.lines(rows)))


def _complain(complaints: Iterable[str]) -> None:
    if text := "\n".join(complaints):
        raise click.ClickException(text)
