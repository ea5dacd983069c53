"""Committed files that derive from the catalog equal what the catalog gives now."""

import sys
from pathlib import Path

import pytest

from agent_otel import catalog
from agent_otel.artifacts import __main__ as artifacts
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


def test_generating_writes_every_file_into_the_project_it_is_run_in(tmp_path, monkeypatch):
    if sys.version_info < (3, 11):
        pytest.skip("grafana-foundation-sdk can't be had for Python 3.10")
    templates = tmp_path / "templates"
    templates.mkdir()
    monkeypatch.setattr(artifacts.dashboards, "TEMPLATES", templates)  # the package's own stay as they are
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run this in the project's root"):
        artifacts.main()
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    artifacts.main()

    assert {name: text() for name, text in FILES.items()} == {
        name: (tmp_path / name).read_text(encoding="utf-8") for name in FILES
    }
    assert {path.name for path in templates.iterdir()} == set(artifacts.dashboards.NAMES)
