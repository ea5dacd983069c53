"""`agent-otel export`, its options."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_otel.artifacts.prometheus import Options

_TO = click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the files go.",
)
_APART = click.option(
    "--apart",
    multiple=True,
    metavar="LABEL",
    help="Keep everything apart by this label too, such as deployment_environment_name.",
)
_RENAME = click.option(
    "--rename",
    multiple=True,
    metavar="OURS=THEIRS",
    help="What your scrape calls one of our labels, such as gen_ai_agent_version=version.",
)


@click.group("export")
def command() -> None:
    """Recording rules, alerts and dashboards, for your set-up."""


@command.command("rules")
@_TO
@_APART
@_RENAME
@click.option(
    "--classic",
    is_flag=True,
    help="Classic histograms alone: VictoriaMetrics refuses the functions of native ones.",
)
@click.option(
    "--passing", multiple=True, metavar="VERDICT", help="A verdict of yours that counts for quality."
)
@click.option(
    "--failing", multiple=True, metavar="VERDICT", help="A verdict of yours that counts against it."
)
def _rules(
    *,
    folder: Path,
    apart: tuple[str, ...],
    rename: tuple[str, ...],
    classic: bool,
    passing: tuple[str, ...],
    failing: tuple[str, ...],
) -> None:
    """agent.rules.yml, the query of the health table, and an example of agent.objectives.yml.

    Short names for success rate, p50 and p95 run time, tokens, cost and tool calls per run, tool errors, stop reasons
    and quality, per agent and per release. An agent.objectives.yml that is there is yours and stays as it is.
    """
    from agent_otel.artifacts.health import health_table  # noqa: PLC0415 -- for this command alone
    from agent_otel.artifacts.objectives import objectives  # noqa: PLC0415
    from agent_otel.artifacts.prometheus import Options  # noqa: PLC0415
    from agent_otel.artifacts.rules import rules  # noqa: PLC0415

    with _as_usage_errors():
        options = Options(
            apart=apart, rename=_pairs(rename), native=not classic, passing=passing, failing=failing
        )
    _write(folder, "agent.rules.yml", rules, options)
    _write(folder, "health_table.promql", health_table, options)
    if not (folder / "agent.objectives.yml").exists():
        _write(folder, "agent.objectives.yml", objectives, options)


@command.command("alerts")
@_TO
@_APART
@_RENAME
@click.option(
    "--runbook",
    metavar="URL",
    default="docs/runbook.md",
    show_default=True,
    help="Where your copy of the runbook is.",
)
def _alerts(*, folder: Path, apart: tuple[str, ...], rename: tuple[str, ...], runbook: str) -> None:
    """agent.alerts.yml, which reads agent.rules.yml."""
    from agent_otel.artifacts.alerts import alerts  # noqa: PLC0415 -- for this command alone
    from agent_otel.artifacts.prometheus import Options  # noqa: PLC0415

    with _as_usage_errors():
        options = Options(apart=apart, rename=_pairs(rename), runbook=runbook)
    _write(folder, "agent.alerts.yml", alerts, options)


@command.command("dashboards")
@_TO
@_APART
@_RENAME
@click.option("--datadog", is_flag=True, help="The overview and the monitors for Datadog's API instead.")
def _dashboards(*, folder: Path, apart: tuple[str, ...], rename: tuple[str, ...], datadog: bool) -> None:
    """Dashboards for Grafana, which read agent.rules.yml: overview, release compare, tools and models."""
    from agent_otel.artifacts import dashboards  # noqa: PLC0415 -- for this command alone
    from agent_otel.artifacts import datadog as for_datadog  # noqa: PLC0415
    from agent_otel.artifacts.prometheus import Options  # noqa: PLC0415

    with _as_usage_errors():
        options = Options(apart=apart, rename=_pairs(rename))
    if datadog:
        _write(folder, "overview.json", lambda _: for_datadog.overview(), options)
        _write(folder, "monitors.json", lambda _: for_datadog.monitors(), options)
        return
    for name in dashboards.NAMES:
        _write(folder, name, partial(dashboards.dashboard, name), options)


@contextmanager
def _as_usage_errors() -> Iterator[None]:
    from agent_otel.errors import ConfigurationError  # noqa: PLC0415 -- for this command alone

    try:
        yield
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None


def _pairs(rename: tuple[str, ...]) -> dict[str, str]:
    return {ours: theirs for ours, _, theirs in (pair.partition("=") for pair in rename)}


def _write(folder: Path, name: str, text: Callable[[Options], str], options: Options) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text(options), encoding="utf-8")
    click.echo(f"wrote {folder / name}", err=True)
