"""The demo's agents on a provider of their own, minute by minute."""

from __future__ import annotations

from agent_otel.demo.incidents import BEGINS, INCIDENTS
from agent_otel.demo.simulated_time import SimulatedLoop
from agent_otel.demo.simulation import Simulation
from agent_otel.demo.stage import HOUR
from agent_otel.demo.vendors import PRICES
from tests.conftest import observe


class Played:
    """A simulation that can be asked.

    Args:
        seed: Of everything that is left to chance.
        incident: What goes wrong, from a minute after the first hour on.
    """

    def __init__(self, seed=7, incident=None):
        self.loop = SimulatedLoop()
        self.observed = observe(self.loop.clock, prices=PRICES)
        self.simulation = Simulation(
            self.observed.metrics, self.loop, seed, INCIDENTS.get(incident), HOUR + BEGINS
        )

    def minutes(self, count):
        """What the SDK has collected at the end of each minute."""
        for _ in range(count):
            self.simulation.advance(60.0)
            yield self.observed.reader.get_metrics_data()

    def finish(self):
        """Let the agents finish what they have begun."""
        self.simulation.finish()
        self.simulation.close()
        return self
