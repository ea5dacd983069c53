"""What can go wrong in the demo: each changes what an agent, its tools or its model do, for a while.

Nothing of it touches the SDK, so what the metrics show of it is what they would show of the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agent_otel.demo.agents import RESEARCH_PLANNER, SUPPORT_BOT

if TYPE_CHECKING:
    from agent_otel.demo.agents import Release

BEGINS: Final = 60.0
LASTS: Final = 1800.0
"""Seconds after the demo's first minute, and how many."""


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong.

    Args:
        agent: With which agent.
        what: In words.
        release: What is deployed of it meanwhile, and how its world behaves.
    """

    agent: str
    what: str
    release: Release


def _tools_with(release: Release, name: str, *, stuck: float) -> Release:
    return replace(release, tools={**release.tools, name: replace(release.tools[name], stuck=stuck)})


INCIDENTS: Final = {
    "bad-release": Incident(
        "support-bot",
        "release 1.8.0 breaks off 15 % of its runs with a KeyError",
        replace(SUPPORT_BOT, name="1.8.0", crashes=0.15),
    ),
    "tool-outage": Incident(
        "support-bot",
        "half of the calls of get_order never return",
        _tools_with(SUPPORT_BOT, "get_order", stuck=0.5),
    ),
    "token-spike": Incident(
        "support-bot",
        "the conversation's history isn't trimmed: four times the input tokens",
        replace(SUPPORT_BOT, context=4.0),
    ),
    "loop": Incident(
        "research-planner",
        "15 % of the runs read thirty pages each turn, until they are out of steps",
        replace(RESEARCH_PLANNER, loops=0.15),
    ),
    "slow-model": Incident(
        "research-planner",
        "the model takes eight times as long",
        replace(RESEARCH_PLANNER, model_slowness=8.0),
    ),
}
"""The incidents, by the name that `agent-otel demo --incident` knows."""
