"""The two agents of the demo. This is how an agent is measured: the rest of the demo is the world around it.

With the module's own functions it reads the same: `agent_otel.run(...)` instead of `metrics.run(...)`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_otel.demo.vendors import Anthropic, NotFoundError, OpenAI, RateLimitError, Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agent_otel import AgentMetrics, Run
    from agent_otel.demo.vendors import Dice, Reply

TOOL_SECONDS: Final = 10.0
"""How long an agent waits for a tool."""


async def support_bot(metrics: AgentMetrics, release: Release, dice: Dice) -> None:
    """Answer a customer, one tool call at a time, in at most eight steps.

    Args:
        metrics: Measures it.
        release: What is deployed.
        dice: Its chances.

    Raises:
        KeyError: The release has a bug.
        VendorError: The model or a tool failed, and the run with it.
    """
    picks = {"search_docs": 5, "get_order": 4, "refund": 1}
    client = OpenAI(dice, dice.choices(*release.turns)[0], picks, release.context)
    breaks = dice.happens(release.crashes)
    with metrics.run("support-bot", version=release.name, tools=release.tools) as run:
        for _ in run.steps(range(8)):
            item = (await _reply(run, client))["output"][0]
            if breaks:
                raise KeyError("order_id")
            if item["type"] == "message":
                if item["content"][0]["type"] == "refusal":
                    run.stop("refused")
                return
            await _use(run, release.tools, item["name"], dice)
            if item["name"] == "refund" and dice.happens(0.05):
                run.stop("human_handoff")
                return
        run.stop("max_steps")


async def _reply(run: Run, client: OpenAI) -> Reply:
    """Ask the model, and once more if it was too busy: each attempt is a call of its own."""
    try:
        return await _attempt(run, client)
    except RateLimitError:
        await asyncio.sleep(2)
        return await _attempt(run, client)


async def _attempt(run: Run, client: OpenAI) -> Reply:
    with run.inference("gpt-5", provider="openai") as call:
        reply = await client.create()
        call.usage(reply)
        return reply


async def _use(run: Run, tools: Mapping[str, Tool], name: str, dice: Dice) -> str:
    """Call a tool. An agent lives with one that is late or finds nothing: that is for the model to solve."""
    try:
        with run.tool(name):
            return await asyncio.wait_for(tools[name].call(dice), TOOL_SECONDS)
    except (asyncio.TimeoutError, NotFoundError) as error:
        return f"the tool failed: {error!r}"


async def research_planner(metrics: AgentMetrics, release: Release, dice: Dice) -> None:
    """Research a question with tools in parallel, the model streaming, in at most twelve steps.

    Args:
        metrics: Measures it.
        release: What is deployed.
        dice: Its chances.

    Raises:
        VendorError: The model or a tool failed, and the run with it.
    """
    turns, picks = dice.choices(*release.turns)[0], {"web_search": 1, "read_page": 1}
    client = Anthropic(dice, turns, picks, release.model_slowness)
    if dice.happens(release.loops):
        client.loop("read_page", 30)
    with metrics.run("research-planner", version=release.name, tools=release.tools) as run:
        for _ in run.steps(range(12)):
            wanted: list[str] = []
            with run.inference("claude-sonnet-4-5", provider="anthropic") as call:
                async for chunk in call.chunks(client.stream()):
                    if chunk["type"] == "content_block_start":
                        wanted.append(chunk["content_block"]["name"])
                    elif chunk["type"] == "message_delta":
                        run.stop(chunk["delta"]["stop_reason"])  # the vendor's own word; the last one stands
            if not wanted:
                return
            await asyncio.gather(*(_use(run, release.tools, name, dice) for name in wanted))
        run.stop("max_steps")


@dataclass(frozen=True)
class Release:
    """What is deployed of an agent, and how its world behaves.

    Args:
        name: Its version.
        turns: How many turns a task takes, and how often.
        tools: How its tools behave.
        crashes: How often it breaks off after the first reply, since it has a bug.
        context: How much longer than usual what it sends to the model is.
        loops: How often it goes in a circle.
        model_slowness: How much longer than usual its model takes.
    """

    name: str
    turns: tuple[list[int], list[float]]
    tools: Mapping[str, Tool]
    crashes: float = 0.0
    context: float = 1.0
    loops: float = 0.0
    model_slowness: float = 1.0


@dataclass(frozen=True)
class Agent:
    """An agent and how much it has to do.

    Args:
        name: As it measures itself.
        work: One run of it.
        every: The mean seconds between two tasks.
        release: What is deployed of it.
    """

    name: str
    work: Callable[[AgentMetrics, Release, Dice], Awaitable[None]]
    every: float
    release: Release


SUPPORT_BOT: Final = Release(
    "1.7.2",
    ([2, 3, 4, 5, 6, 99], [20, 30, 26, 15, 7, 1]),
    {
        "search_docs": Tool(0.5, not_found=0.03),
        "get_order": Tool(0.4, stuck=0.01),
        "refund": Tool(0.8, broken=0.02),
    },
)
RESEARCH_PLANNER: Final = Release(
    "3.1.0",
    ([3, 5, 7, 9, 11, 99], [10, 25, 30, 20, 13, 1]),
    {"web_search": Tool(1.2, stuck=0.01), "read_page": Tool(1.8, not_found=0.03, stuck=0.02)},
)
AGENTS: Final = (
    Agent("support-bot", support_bot, 10.0, SUPPORT_BOT),
    Agent("research-planner", research_planner, 24.0, RESEARCH_PLANNER),
)
