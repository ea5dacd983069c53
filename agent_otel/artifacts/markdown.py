"""Markdown that several generated pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a table.

    Args:
        head: The columns' names.
        rows: The cells of each row.
    """
    return [_row(head), _row("---" for _ in head), *map(_row, rows)]


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
