"""Rewrite every generated file: `python -m agent_otel.artifacts`, or `make generate`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_otel.artifacts import dashboards, datadog
from agent_otel.artifacts.alerts import alerts
from agent_otel.artifacts.backends_doc import backends_doc
from agent_otel.artifacts.health import health_table
from agent_otel.artifacts.metrics_doc import metrics_doc
from agent_otel.artifacts.objectives import objectives
from agent_otel.artifacts.queries_doc import queries_doc
from agent_otel.artifacts.rules import rules
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/backends.md": backends_doc,
    "docs/metrics.md": metrics_doc,
    "collector-config/prometheus/agent.rules.yml": rules,
    "collector-config/prometheus/agent.alerts.yml": alerts,
    "collector-config/prometheus/agent.objectives.yml": objectives,
    "collector-config/prometheus/health_table.promql": health_table,
    **{
        f"collector-config/grafana/dashboards/{name}": partial(dashboards.dashboard, name)
        for name in dashboards.NAMES
    },
    "collector-config/datadog/overview.json": datadog.overview,
    "collector-config/datadog/monitors.json": datadog.monitors,
    "docs/queries.md": queries_doc,
}
"""Each generated file, from the project's root, and what makes its text."""


def main() -> None:
    """Write each file that isn't what it would be now."""
    try:
        templates = dashboards.templates()
    except ConfigurationError as error:
        sys.exit(str(error))
    for name, template in templates.items():
        (dashboards.TEMPLATES / name).write_text(template, encoding="utf-8")
    for name, text in FILES.items():
        path = Path(name)
        if not path.parent.is_dir():
            sys.exit(f"no folder {path.parent}: run this in the project's root")
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
