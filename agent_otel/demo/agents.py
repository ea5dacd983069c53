"""The two agents of the demo. This is how an agent is measured: the rest of the demo is the world around it.

With the module's own functions it reads the same: `agent_otel.run(...)` instead of `metrics.run(...)`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
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
        VendorError: The model or a tool failed, and the run with it.
    """
    client = OpenAI(dice, dice.choices(*release.turns)[0], {"search_docs": 5, "get_order": 4, "refund": 1})
    with metrics.run("support-bot", version=release.name, tools=release.tools) as run:
        for _ in run.steps(range(8)):
            item = (await _reply(run, client))["output"][0]
            if item["type"] == "message":
                if item["content"][0]["type"] == "refusal":
                    run.stop("refused")
                return
            await _use(run, release.tools, item["name"], dice)
            if item["name"] == "refund" and dice.happens(0.15):
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
    client = Anthropic(dice, dice.choices(*release.turns)[0], {"web_search": 2, "read_page": 3})
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
    """What is deployed of an agent.

    Args:
        name: Its version.
        since: From which simulated second on.
        turns: How many turns a task takes, and how often.
        tools: How its tools behave.
    """

    name: str
    since: float
    turns: tuple[list[int], list[float]]
    tools: Mapping[str, Tool]


@dataclass(frozen=True)
class Agent:
    """An agent and how much it has to do.

    Args:
        name: As it measures itself.
        work: One run of it.
        every: The mean seconds between two tasks.
        releases: What is deployed when, the oldest first.
    """

    name: str
    work: Callable[[AgentMetrics, Release, Dice], Awaitable[None]]
    every: float
    releases: tuple[Release, ...] = field(default=())


_SEARCH_DOCS: Final = Tool(0.5, not_found=0.03)
_REFUND: Final = Tool(0.8, broken=0.03)
_PLANNER_TOOLS: Final = {
    "web_search": Tool(1.2, stuck=0.01),
    "read_page": Tool(1.8, not_found=0.05, stuck=0.03),
}

AGENTS: Final = (
    Agent(
        "support-bot",
        support_bot,
        every=5.0,
        releases=(
            Release(
                "1.7.2",
                0.0,
                ([2, 3, 4, 5, 6, 99], [20, 30, 25, 15, 7, 3]),
                {"search_docs": _SEARCH_DOCS, "get_order": Tool(0.4, stuck=0.01), "refund": _REFUND},
            ),
            Release(  # its orders are looked up in a service that doesn't keep up, and more of its runs go in circles
                "1.8.0",
                600.0,
                ([2, 3, 4, 5, 6, 99], [20, 28, 20, 12, 6, 14]),
                {"search_docs": _SEARCH_DOCS, "get_order": Tool(1.6, stuck=0.14), "refund": _REFUND},
            ),
        ),
    ),
    Agent(
        "research-planner",
        research_planner,
        every=20.0,
        releases=(Release("3.1.0", 0.0, ([3, 5, 7, 9, 11, 99], [10, 25, 30, 20, 10, 5]), _PLANNER_TOOLS),),
    ),
)
