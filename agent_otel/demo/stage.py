"""What the demo runs on: the SDK configured as a program would do it, and the agents in simulated time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import click
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_otel
from agent_otel import agent_metrics
from agent_otel.demo import export
from agent_otel.demo.evaluator import AGENT, STOP_REASON, VERSION, Evaluator
from agent_otel.demo.incidents import BEGINS, INCIDENTS, LASTS
from agent_otel.demo.screen import Frame, Release
from agent_otel.demo.simulated_time import SimulatedLoop
from agent_otel.demo.simulation import Simulation
from agent_otel.demo.vendors import PRICES

if TYPE_CHECKING:
    from agent_otel.demo.export import Export

HOUR: Final = 3600.0
"""Seconds of traffic before the demo's first minute, so that every window of the rules is full."""

DAY_BEFORE: Final = 26 * HOUR
"""Seconds before that for which the figures of this hour are assumed: what is usual, and since when."""

MINUTE: Final = 60.0

ABOUT: Final = (
    "simulated: one second is a minute, and the day before is taken to have been as the hour before"
)

_ACTIVE: Final = "agent:active_runs:sum"
_P50: Final = "agent:run_seconds:p50_30m"
_SHARES: Final = "agent_stop:share:1h"
_SUCCESS: Final = "agent_version:success_ratio:1h"
_RUNS: Final = "agent_version:runs_valid:increase1h"


class Stage:
    """The SDK, the agents and what is made of their metrics. One for a process, since it configures the SDK.

    Args:
        seed: Of everything that is left to chance.
        incident: What goes wrong, by its name in `INCIDENTS`; None for nothing.
        exporter: `prometheus`, `otlp` or `none`; None for a page if its extra is installed.
        port: Of the page; None for the usual one, or a free one where that is taken.

    Raises:
        ClickException: The SDK can't be configured so; it says why and what to do.
    """

    def __init__(self, seed: int, incident: str | None, exporter: str | None, port: int | None) -> None:
        """Configure the SDK and let the agents work for an hour."""
        self._log = _Log()
        logging.getLogger().addHandler(self._log)
        self._reader = InMemoryMetricReader()
        self.export = self._configure(exporter, port)
        self._loop = SimulatedLoop()
        agent_metrics.default.clock = self._loop.clock  # so that the SDK measures what the agents live
        self._incident = INCIDENTS[incident] if incident else None
        self.simulation = Simulation(
            agent_metrics.default, self._loop, seed, self._incident, begins=HOUR + BEGINS
        )
        self._evaluator = Evaluator(_ACTIVE, _P50, _SHARES, _SUCCESS, _RUNS)
        while self._loop.time() < HOUR:
            self._observe()
        self._evaluator.assume(HOUR, DAY_BEFORE)

    def advance(self) -> None:
        """Let the agents work for a minute, and evaluate the rules and alerts."""
        self._observe()
        self._evaluator.evaluate(self._loop.time())

    def _observe(self) -> None:
        self.simulation.advance(MINUTE)
        self._evaluator.observe(self._loop.time(), self._reader.get_metrics_data())

    def _configure(self, exporter: str | None, port: int | None) -> Export:
        try:
            chosen = export.chosen(exporter, port)
            agent_otel.configure(exporter=chosen.exporter, readers=[self._reader], prices=PRICES)
        except agent_otel.ConfigurationError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"no page can be served: {error}: look at {export.HOST}") from error
        if self._reader.get_metrics_data() is None:
            raise click.ClickException(
                "the environment brings another meter provider, or none, so there is nothing to show:"
                " unset OTEL_SDK_DISABLED, OTEL_CONFIG_FILE and OTEL_PYTHON_METER_PROVIDER"
            )
        return chosen

    @property
    def warning(self) -> str:
        """What was logged first, which is kept off the screen while the table stands there; or nothing."""
        return self._log.first

    def frame(self, minutes: int) -> Frame:
        """What there is to show now.

        Args:
            minutes: How long the demo will run.
        """
        at, ask = self._loop.time(), self._evaluator.ask
        shares: dict[str, dict[str, float]] = {}
        for labels, share in ask(_SHARES, at):
            shares.setdefault(labels[AGENT], {})[labels[STOP_REASON]] = share
        runs = {(labels[AGENT], labels[VERSION]): count for labels, count in ask(_RUNS, at)}
        releases = [
            Release(labels[AGENT], labels[VERSION], success, runs[labels[AGENT], labels[VERSION]])
            for labels, success in ask(_SUCCESS, at)
        ]
        return Frame(
            rows=self._evaluator.rows(at),
            firing=self._evaluator.firing(),
            medians={labels[AGENT]: median for labels, median in sorted(ask(_P50, at), key=str)},
            stop_reasons=dict(sorted(shares.items())),
            releases=sorted(releases, key=lambda release: (release.agent, release.name)),
            running=int(sum(count for _, count in ask(_ACTIVE, at))),
            minute=round((at - HOUR) / MINUTE),
            minutes=minutes,
            incident=self._told_incident(at),
            export=self.export.during,
            about=ABOUT,
        )

    def _told_incident(self, at: float) -> str:
        if self._incident is None:
            return ""
        begins, ends = (int(seconds / MINUTE) for seconds in (BEGINS, BEGINS + LASTS))
        over = " (over)" if at - HOUR >= BEGINS + LASTS else ""
        return f"from minute {begins} to {ends}{over}: {self._incident.what}"

    def end(self, timeout: float = 5.0) -> bool | None:
        """Push a last time and shut the SDK down.

        Args:
            timeout: Seconds, after which it returns whatever the network does.

        Returns:
            Whether everything was delivered; None where nothing is pushed.
        """
        delivered = agent_otel.shutdown(timeout)
        return delivered if self.export.pushes else None

    def close(self) -> None:
        """Break off what is still under way."""
        self.simulation.close()
        logging.getLogger().removeHandler(self._log)


class _Log(logging.Handler):
    """Keeps the first warning: what comes after it is mostly its consequence."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage().partition("\n")[0]
