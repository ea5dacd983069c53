"""An async agent: parallel tools, several runs at once, a tool that fails, and a user who leaves.

The same `with` and the same `@agent_otel.tool` serve async code: measuring waits for nothing. A tool finds its run
by itself, in every task.

    python examples/async_agent.py                                prints what was recorded
    OTEL_METRICS_EXPORTER=otlp python examples/async_agent.py     sends it to a collector on this machine
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from _terminal import to_the_terminal

import agent_otel

if TYPE_CHECKING:
    from collections.abc import Coroutine

if sys.version_info >= (3, 11):

    async def together(*calls: Coroutine[Any, Any, str]) -> list[str]:
        """Wait for all of them; when one fails, the others are cancelled."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
        return [task.result() for task in tasks]

else:

    async def together(*calls: Coroutine[Any, Any, str]) -> list[str]:
        """Wait for all of them; when one fails, the others go on."""
        return list(await asyncio.gather(*calls))


@agent_otel.tool
async def find_flights(city: str) -> str:
    """Find flights to a city."""
    await asyncio.sleep(0.01)
    return f"3 flights to {city}"


@agent_otel.tool
async def find_hotels(city: str) -> str:
    """Find hotels in a city."""
    await asyncio.sleep(0.02)
    if city == "Atlantis":
        raise FileNotFoundError(city)
    return f"5 hotels in {city}"


TOOLS = {"find_flights": find_flights, "find_hotels": find_hotels}


async def plan_trip(city: str) -> str:
    """Plan a trip, in four turns of the model at most."""
    with agent_otel.run("trip-planner", version="2026-03-21", tools=TOOLS) as run:
        notes: list[str] = []
        for _ in run.steps(range(4)):
            with run.inference("gpt-5-mini", provider="openai") as call:
                reply = await ask_model(city, notes)
                call.usage(reply)
            if not reply.tool_calls:
                return reply.text
            notes += await together(*(TOOLS[name](city) for name in reply.tool_calls))
        run.stop("max_steps")
        return "no plan within four turns"


# From here on: something to run.


@dataclass(frozen=True)
class Usage:
    """Token counts, named as the OpenAI client names them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    text: str
    tool_calls: tuple[str, ...]
    usage: Usage


async def ask_model(city: str, notes: list[str]) -> Reply:
    """Stand in for a model: it asks for both tools, then answers."""
    await asyncio.sleep(0.01)
    if notes:
        return Reply(f"{city}: {', '.join(notes)}", (), Usage(prompt_tokens=460, completion_tokens=48))
    return Reply("", ("find_flights", "find_hotels"), Usage(prompt_tokens=310, completion_tokens=25))


async def serve() -> None:
    """Three users at once: two get a plan, for the third a tool fails; then a fourth leaves."""
    cities = ("Lisbon", "Oslo", "Atlantis")
    answers = await asyncio.gather(*map(plan_trip, cities), return_exceptions=True)
    for city, answer in zip(cities, answers, strict=True):
        print(f"{city} failed" if isinstance(answer, BaseException) else answer)

    impatient = asyncio.create_task(plan_trip("Rome"))
    await asyncio.wait([impatient], timeout=0.005)
    impatient.cancel()
    await asyncio.wait([impatient])
    print("Rome: the user left")


def main() -> None:
    """Serve the users and print what was recorded."""
    agent_otel.configure(**to_the_terminal())  # `agent_otel.configure()` in a program of yours
    asyncio.run(serve())
    agent_otel.shutdown()


if __name__ == "__main__":
    main()
