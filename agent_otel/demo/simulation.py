"""The traffic of the demo: tasks arrive, agents work on them, some users leave, and something goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from agent_otel.demo.agents import AGENTS
from agent_otel.demo.incidents import LASTS
from agent_otel.demo.vendors import Dice, VendorError

if TYPE_CHECKING:
    from agent_otel import AgentMetrics
    from agent_otel.demo.agents import Agent, Release
    from agent_otel.demo.incidents import Incident
    from agent_otel.demo.simulated_time import SimulatedLoop

IMPATIENCE: Final = 0.03
"""Of how many runs the user leaves before the end."""


class Simulation:
    """Agents at work in simulated time.

    The same seed gives the same runs, however often and how far it is advanced between.

    Args:
        metrics: Measures them; its clock must be the loop's.
        loop: Their time.
        seed: Of everything that is left to chance.
        incident: What goes wrong.
        begins: When.
    """

    def __init__(
        self,
        metrics: AgentMetrics,
        loop: SimulatedLoop,
        seed: int,
        incident: Incident | None = None,
        begins: float = 0.0,
    ) -> None:
        """Let the first tasks arrive as soon as time advances."""
        self._incident = incident
        self._begins = begins
        self.started: Counter[str] = Counter()
        self._metrics = metrics
        self._loop = loop
        self._seed = seed
        self._runs: set[asyncio.Task[None]] = set()
        self._arrivals = [loop.create_task(self._arrive(agent)) for agent in AGENTS]

    async def _arrive(self, agent: Agent) -> None:
        dice = Dice(f"{self._seed}/{agent.name}")
        while True:
            number = self.started[agent.name]
            self._start(agent, Dice(f"{self._seed}/{agent.name}/{number}"))
            await asyncio.sleep(dice.expovariate(1 / agent.every))

    def _start(self, agent: Agent, dice: Dice) -> None:
        self.started[agent.name] += 1
        task = self._loop.create_task(self._serve(agent, self._deployed(agent), dice))
        if dice.happens(IMPATIENCE):
            self._loop.call_later(dice.seconds(4.0), task.cancel)
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    def _deployed(self, agent: Agent) -> Release:
        incident = self._incident
        if incident and incident.agent == agent.name and 0 <= self._loop.time() - self._begins < LASTS:
            return incident.release
        return agent.release

    async def _serve(self, agent: Agent, release: Release, dice: Dice) -> None:
        try:
            await agent.work(self._metrics, release, dice)
        except (VendorError, KeyError):
            return  # as a server would: the user gets an apology, the metrics have the error

    def advance(self, seconds: float) -> None:
        """Let the agents work for a while.

        Args:
            seconds: Of simulated time.
        """
        self._loop.advance(seconds)

    def finish(self) -> None:
        """Let no more tasks arrive, and the agents finish those they have."""
        for arrival in self._arrivals:
            arrival.cancel()
        while self._runs:
            self._loop.run_until_complete(asyncio.wait(self._runs))

    def close(self) -> None:
        """Break off whatever is still under way."""
        tasks = [*self._arrivals, *self._runs]
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
