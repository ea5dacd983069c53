"""What the demo runs on: the SDK configured as a program would do it, and the agents in simulated time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import click
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_otel
from agent_otel import agent_metrics, catalog
from agent_otel.demo import export
from agent_otel.demo.rows import Points, evaluate
from agent_otel.demo.screen import Frame
from agent_otel.demo.simulated_time import SimulatedLoop
from agent_otel.demo.simulation import Simulation
from agent_otel.demo.vendors import PRICES

if TYPE_CHECKING:
    from agent_otel.demo.export import Export

ABOUT: Final = "simulated: one second here is one minute there"


class Stage:
    """The SDK, the agents and what was collected of them. One for a process, since it configures the SDK.

    Args:
        seed: Of everything that is left to chance.
        exporter: `prometheus`, `otlp` or `none`; None for a page if its extra is installed.
        port: Of the page; None for the usual one, or a free one where that is taken.

    Raises:
        ClickException: The SDK can't be configured so; it says why and what to do.
    """

    def __init__(self, seed: int, exporter: str | None, port: int | None) -> None:
        """Configure the SDK and let the agents begin."""
        self._log = _Log()
        logging.getLogger().addHandler(self._log)
        self._reader = InMemoryMetricReader()
        self.export = self._configure(exporter, port)
        loop = SimulatedLoop()
        agent_metrics.default.clock = loop.clock  # so that the SDK measures what the agents live
        self.simulation = Simulation(agent_metrics.default, loop, seed)

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

    def frame(self, minute: int, minutes: int) -> Frame:
        """What there is to show now.

        Args:
            minute: How long the agents have been at work.
            minutes: How long they will.
        """
        data = self._reader.get_metrics_data()
        running = sum(point.value for point in Points(data).of(catalog.ACTIVE_RUNS))
        return Frame(evaluate(data), int(running), minute, minutes, self.export.during, ABOUT)

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
