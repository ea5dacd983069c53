"""Simulated time: an event loop in which nobody waits, so that half an hour of agents passes in a moment."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

from agent_otel.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next moment at which something is to happen.

    Sleeps and timeouts of the code that it runs last as long as they say, on `clock`; and no time at all on the
    wall. Give `clock` to `AgentMetrics`, and what is measured lasts as long.
    """

    def __init__(self) -> None:
        """Start at 0 seconds."""
        self.clock = FakeClock()
        super().__init__(_Jump(self.clock.advance))

    def time(self) -> float:
        """The simulated time, in seconds."""
        return self.clock()

    def advance(self, seconds: float) -> None:
        """Let the loop's tasks live for a while.

        Args:
            seconds: Of simulated time.
        """
        self.run_until_complete(asyncio.sleep(seconds))


class _Jump(selectors.SelectSelector):
    """Where a loop waits for its next timer; here the clock moves instead."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout and not ready:
            self._advance(timeout)
        return ready
