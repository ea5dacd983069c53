"""Tests that run the real servers: `make tools` builds those, `make test-real` runs these."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def pytest_addoption(parser):
    parser.addoption(
        "--all-mutants",
        action="store_true",
        help="change everything in the alerts, not a fourth of it: minutes",
    )


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
