"""Committed files that derive from the catalog equal what the catalog gives now."""

from pathlib import Path

import pytest

from agent_otel import catalog
from agent_otel.artifacts.__main__ import FILES
from agent_otel.artifacts.prometheus import metric_name

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_current(name):
    expected = FILES[name]()

    assert expected == (ROOT / name).read_text(encoding="utf-8"), "run: make generate"


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_the_page_names_every_metric_with_its_unit_and_its_metric_name(metric):
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{metric.name}` |"))

    assert f"`{metric.unit}`" in row
    assert f"`{metric_name(metric)}`" in row
