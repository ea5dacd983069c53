"""`agent-otel demo`, its options."""

from __future__ import annotations

import click

from agent_otel.demo.incidents import INCIDENTS


@click.command("demo")
@click.option(
    "--seconds", type=click.IntRange(1, 3600), default=30, show_default=True, help="How long it runs."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same runs.")
@click.option(
    "--incident",
    type=click.Choice(list(INCIDENTS)),
    help="What goes wrong, from the second minute on, for half an hour; an alert notices within 30 minutes.",
)
@click.option(
    "--once", is_flag=True, help="Don't wait: print what would stand there at the end, as plain text."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object a second, a line each.")
@click.option(
    "--export",
    type=click.Choice(["prometheus", "otlp"]),
    help="Serve a Prometheus page on this machine, the default, or push to a collector (OTEL_EXPORTER_OTLP_*).",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Of the Prometheus page; 0 for any free one.  [default: 9464]",
)
def command(
    *,
    seconds: int,
    seed: int,
    incident: str | None,
    once: bool,
    as_json: bool,
    export: str | None,
    port: int | None,
) -> None:
    """Two simulated agents and their production metrics, in this terminal.

    The agents run in this process, measured through the real SDK, in simulated time: one second here is one minute
    there. It needs no key and no network and writes nothing to disk.
    """
    from agent_otel.demo import show  # noqa: PLC0415 -- the SDK and rich, for this command alone

    show.run(show.Options(seconds, seed, incident, once, as_json, export, port))
