"""The page on scaling: its formulas are what a process really sends, and its table was measured by the bench that is there."""

import re

import pytest

from benchmarks.scale import COLUMNS, Case, exports
from tests.real.servers import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text()
ROWS = [
    dict(zip(COLUMNS, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
    for line in PAGE.splitlines()
    if re.match(r"\| \d+ \| \d+, \d+, \d+ \|", line)
]


def points(agents, tools, models):
    return agents * (24 + tools + 5 * models) + 7


def series(agents, tools, models):
    return agents * (120 + 19 * tools + 23 * models) + 7


def test_the_formulas_are_those_of_the_page():
    page = PAGE.replace("\N{MULTIPLICATION SIGN}", "*")

    assert "points = A * (24 + T + 5 M) + 7 " in page
    assert "series = A * (120 + 19 T + 23 M) + 7 " in page


@pytest.mark.parametrize("shape", [(1, 0, 1), (1, 1, 1), (2, 8, 2), (5, 3, 4)])
@pytest.mark.parametrize("exponential", [False, True])
def test_an_export_has_as_many_points_as_the_page_says(shape, exponential):
    agents, tools, models = shape
    case = Case(1, agents, tools, models, rounds=1, exponential=exponential)

    ((_, found),) = exports(case)

    assert found == points(*shape)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['processes']}, {row['agents, tools, models']}")
def test_every_row_of_the_table_has_the_points_and_series_of_the_formulas(row):
    shape = tuple(map(int, row["agents, tools, models"].split(",")))
    of_a_process = points(*shape) if row["histograms"] == "exponential" else series(*shape)

    assert int(row["points an export"]) == points(*shape)
    assert int(row["series"]) == int(row["processes"]) * of_a_process


def test_the_table_has_a_hundred_and_a_thousand_processes():
    assert {row["processes"] for row in ROWS} == {"10", "100", "1000"}
    assert f"| {' | '.join(COLUMNS)} |" in PAGE
