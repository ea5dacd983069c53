"""Dashboards for Grafana: made from one description by `make generate`, read from here by everybody else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_otel.artifacts.prometheus import Options, Promql

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES: Final = Path(__file__).parent / "templates"
NAMES: Final = ("agents-overview.json", "agents-releases.json", "agents-tools-models.json")


def dashboard(name: str, options: Options | None = None) -> str:
    """A dashboard's JSON, to be put into a folder that Grafana reads.

    Args:
        name: One of `NAMES`.
        options: The set-up; the default one without.
    """
    return Promql(options or Options()).text((TEMPLATES / name).read_text(encoding="utf-8"))


def templates() -> Mapping[str, str]:
    """What the files in `TEMPLATES` have to be, by name.

    Raises:
        ConfigurationError: The library that makes them isn't installed; it says how to.
    """
    from agent_otel.artifacts.dashboards.grafana import template  # noqa: PLC0415 -- needs the library
    from agent_otel.artifacts.dashboards.overview import OVERVIEW  # noqa: PLC0415
    from agent_otel.artifacts.dashboards.releases import RELEASES  # noqa: PLC0415
    from agent_otel.artifacts.dashboards.tools_and_models import TOOLS_AND_MODELS  # noqa: PLC0415

    return dict(zip(NAMES, map(template, (OVERVIEW, RELEASES, TOOLS_AND_MODELS)), strict=True))
