"""The simulated world of the demo's agents: two vendors' models, tools, and how they fail.

Replies have the shape of the real ones, so that the agents read them as they would read those. Times are
log-normal, as measured on real agents: most calls are quick and a few take very long.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Reply = dict[str, Any]


class VendorError(Exception):
    """What a vendor's client raises."""

    status_code = 500


class RateLimitError(VendorError):
    """Too many requests at once."""

    status_code = 429


class OverloadedError(VendorError):
    """The vendor has more requests than it can serve."""

    status_code = 529


class NotFoundError(VendorError):
    """There is no such order, page, ..."""

    status_code = 404


class Dice(Random):
    """The chances of one run; a seed and a run's number always give the same."""

    def seconds(self, median: float, spread: float = 0.5) -> float:
        """A log-normal time.

        Args:
            median: Half of them are shorter.
            spread: The sigma of the logarithm.
        """
        return self.lognormvariate(math.log(median), spread)

    def happens(self, chance: float) -> bool:
        """Whether something happens this time.

        Args:
            chance: Of how many times, from 0 to 1.
        """
        return self.random() < chance


@dataclass(frozen=True)
class Tool:
    """How a simulated tool behaves.

    Args:
        seconds: The median time.
        not_found: How often what is asked for doesn't exist.
        broken: How often it fails outright.
        stuck: How often it never answers.
    """

    seconds: float
    not_found: float = 0.0
    broken: float = 0.0
    stuck: float = 0.0

    async def call(self, dice: Dice) -> str:
        """Do what the tool does.

        Args:
            dice: Of the run.

        Raises:
            NotFoundError: What was asked for doesn't exist.
            VendorError: It is broken.
        """
        fate = dice.random()
        await asyncio.sleep(3600 if fate < self.stuck else dice.seconds(self.seconds, 0.7))
        if fate < self.stuck + self.not_found:
            raise NotFoundError
        if fate < self.stuck + self.not_found + self.broken:
            raise VendorError
        return "a result"


class OpenAI:
    """Answers as OpenAI's responses API does: a function call for each turn, and an answer at the end.

    Args:
        dice: Of the run.
        turns: After how many the model answers.
        tools: What it calls, and how often it picks each.
        context: How much longer than usual the input is.
    """

    def __init__(self, dice: Dice, turns: int, tools: Mapping[str, float], context: float) -> None:
        """Begin a conversation."""
        self._dice = dice
        self._turns = turns
        self._tools = tools
        self._context = context
        self._input = int(context * dice.randrange(900, 1500))
        self._cached = 0

    async def create(self) -> Reply:
        """One turn of the conversation.

        Raises:
            RateLimitError: Now and then.
        """
        dice = self._dice
        if dice.happens(0.02):
            await asyncio.sleep(dice.seconds(0.2))
            raise RateLimitError
        await asyncio.sleep(dice.seconds(1.5))
        self._turns -= 1
        reply = {"output": [self._item()], "usage": self._usage()}
        self._cached = self._input // 128 * 128
        self._input += int(self._context * dice.randrange(200, 700))
        return reply

    def _item(self) -> Reply:
        if self._turns > 0:
            (name,) = self._dice.choices(list(self._tools), list(self._tools.values()))
            return {"type": "function_call", "name": name}
        kind = "refusal" if self._dice.happens(0.01) else "output_text"
        return {"type": "message", "content": [{"type": kind}]}

    def _usage(self) -> Reply:
        reasoning = self._dice.randrange(0, 5) * 64
        output = reasoning + self._dice.randrange(30, 260)
        return {
            "input_tokens": self._input,
            "input_tokens_details": {"cached_tokens": self._cached},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": reasoning},
        }


class Anthropic:
    """Streams as Anthropic's messages API does, with a prompt cache: several tool calls a turn, then an answer.

    Args:
        dice: Of the run.
        turns: After how many the model answers.
        tools: What it calls, and how often it picks each.
        slowness: How much longer than usual it takes.
    """

    def __init__(self, dice: Dice, turns: int, tools: Mapping[str, float], slowness: float) -> None:
        """Begin a conversation."""
        self._dice = dice
        self._turns = turns
        self._tools = tools
        self._slowness = slowness
        self._calls: tuple[int, ...] = (1, 1, 2, 3)
        self._cached = 0
        self._new = dice.randrange(2500, 4500)

    def loop(self, tool: str, calls: int) -> None:
        """Never answer, and call the same tool again and again.

        Args:
            tool: Which.
            calls: How often in each turn.
        """
        self._turns, self._tools, self._calls = 1_000_000, {tool: 1}, (calls,)

    async def stream(self) -> AsyncIterator[Reply]:
        """One turn of the conversation, chunk by chunk.

        Raises:
            OverloadedError: Now and then.
        """
        dice = self._dice
        await asyncio.sleep(dice.seconds(0.9 * self._slowness))
        if dice.happens(0.002):
            raise OverloadedError
        yield {"type": "message_start", "message": {"usage": self._usage()}}
        self._cached, self._new = self._cached + self._new, dice.randrange(600, 2600)
        self._turns -= 1
        names = self._dice.choices(list(self._tools), list(self._tools.values()), k=dice.choice(self._calls))
        for name in names if self._turns > 0 else ():
            await asyncio.sleep(dice.seconds(0.2 * self._slowness))
            yield {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}
        await asyncio.sleep(dice.seconds(1.8 * self._slowness))
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop_reason()},
            "usage": {"output_tokens": dice.randrange(80, 600)},
        }

    def _usage(self) -> Reply:
        return {
            "input_tokens": self._dice.randrange(4, 40),
            "cache_read_input_tokens": self._cached,
            "cache_creation_input_tokens": self._new,
            "output_tokens": 1,
        }

    def _stop_reason(self) -> str:
        if self._turns > 0:
            return "tool_use"
        return "refusal" if self._dice.happens(0.01) else "end_turn"


PRICES: Final = {
    "openai": {"gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10.0}},
    "anthropic": {
        "claude-sonnet-4-5": {"input": 3.0, "cache_read": 0.3, "cache_write": 3.75, "output": 15.0}
    },
}
"""List prices, in USD per million tokens."""
