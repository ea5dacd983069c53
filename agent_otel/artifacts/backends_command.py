"""`agent-otel backends`, its arguments and what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agent_otel.backends import Backend

_HEAD = ("backend", "temporality", "histograms", "proven", "variables", "what it is")


@click.command("backends")
@click.argument("name", required=False)
def command(*, name: str | None) -> None:
    """Where metrics can go; with NAME, its variables for sh.

    Without NAME, every value of AGENT_OTEL_BACKEND. With one, a block for sh: the variables to set and where each is
    found, then the standard ones that they stand for, for programs whose provider agent_otel doesn't build.
    """
    from agent_otel import backends  # noqa: PLC0415 -- for this command alone
    from agent_otel.artifacts.backend_block import block  # noqa: PLC0415 -- as above

    if name is None:
        _print([_cells(backends.named(each)) for each in backends.NAMES])
        return
    try:
        backend = backends.named(name.strip().lower())
    except LookupError as error:
        raise click.BadParameter(str(error), param_hint=repr(name)) from None
    click.echo(block(backend), nl=False)


def _cells(backend: Backend) -> tuple[str, ...]:
    from agent_otel.artifacts.backends_doc import histogram, variables  # noqa: PLC0415 -- as above

    return (
        backend.name,
        backend.temporality.best,
        histogram(backend.histogram.best),
        backend.proven,
        variables(backend),
        backend.what,
    )


def _print(rows: list[tuple[str, ...]]) -> None:
    """A table for a terminal; else a line each, whole and tab-separated, for whatever reads it."""
    from rich.console import Console  # noqa: PLC0415 -- as above
    from rich.table import Table  # noqa: PLC0415 -- as above

    console = Console()
    if not console.is_terminal:
        for row in (_HEAD, *rows):
            click.echo("\t".join(row))
        return
    table = Table(*_HEAD, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
