"""What `agent-otel demo` shows, and how: a table that is refreshed, plain text, or JSON."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.live import Live

from agent_otel.demo.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_otel.demo.screen import Frame

INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Args:
        seconds: How long the demo runs.
        seed: Of everything that is left to chance.
        incident: What goes wrong, by name.
        once: Whether to show the end alone, at once.
        as_json: Whether to print JSON.
        export: `prometheus` or `otlp`; None for a page if its extra is installed.
        port: Of the page; None for the usual one.
    """

    seconds: int
    seed: int
    incident: str | None
    once: bool
    as_json: bool
    export: str | None
    port: int | None


def run(options: Options) -> None:
    """Run the demo.

    Args:
        options: What was asked for.

    Raises:
        ClickException: The SDK can't be configured so; it says why and what to do.
        SystemExit: With 130, after Ctrl-C.
    """
    with closing(Stage(options.seed, options.incident, _exporter(options), options.port)) as stage:
        frames = _frames(stage, options)
        try:
            if options.as_json:
                _print_lines(frames, options)
            elif options.once or not sys.stdout.isatty():
                _print_last(frames, stage)
            else:
                _refresh(frames)
        except KeyboardInterrupt:
            stage.end(timeout=1.0)
            sys.exit(INTERRUPTED)
        if stage.warning:
            click.echo(stage.warning, err=True)


def _exporter(options: Options) -> str | None:
    """The exporter to use; a page that stands for an instant would be seen by nobody."""
    return "none" if options.once and options.export != "otlp" else options.export


def _frames(stage: Stage, options: Options) -> Iterator[Frame]:
    """What there is to show, second by second, and at the end, when every run is done and pushed."""
    began = time.monotonic()
    for second in range(1, options.seconds + 1):
        stage.advance()
        if not options.once:
            yield stage.frame(options.seconds)
            time.sleep(max(0.0, began + second - time.monotonic()))
    last = stage.frame(options.seconds)
    stage.simulation.finish()
    delivered = stage.end()
    yield replace(last, export=stage.export.told(delivered), delivered=delivered)


def _print_lines(frames: Iterator[Frame], options: Options) -> None:
    for frame in frames:
        record = {
            "schema_version": 2,
            "seed": options.seed,
            "incident": options.incident,
            "simulated_minutes": frame.minute,
            "runs_in_flight": frame.running,
            "export": frame.export,
            "delivered": frame.delivered,
            "rows": [asdict(row) for row in frame.rows],
            "alerts": [asdict(each) for each in frame.firing],
            "latency_p50": frame.medians,
            "stop_reasons": frame.stop_reasons,
            "releases": [asdict(each) for each in frame.releases],
        }
        click.echo(json.dumps(record))


def _print_last(frames: Iterator[Frame], stage: Stage) -> None:
    if stage.export.during:
        click.echo(f"metrics: {stage.export.during}", err=True)
    *_, last = frames
    Console(color_system=None).print(last)


def _refresh(frames: Iterator[Frame]) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        for frame in frames:
            live.update(frame, refresh=True)
