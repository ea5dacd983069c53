"""The loop everybody writes: tool steps, model steps, a limit, and each of the ways it can end.

`run_agent` is all that an application writes. Below it stands an agent to run it with: it answers one task, a tool
of it fails in another, and the third it doesn't finish.

    python examples/run_agent.py                                  prints what was recorded
    OTEL_METRICS_EXPORTER=otlp python examples/run_agent.py       sends it to a collector on this machine
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _terminal import to_the_terminal

import agent_otel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def run_agent(agent: Agent, task: str, release: str = "2026-03-21") -> Result | None:
    """Run the agent on a task and give its final result; None if its steps ran out before."""
    with agent_otel.run("support-bot", version=release) as run:
        for step in run.steps(agent.iter(task)):
            if step.type == "tool_call":
                with run.tool(step.tool_name):
                    result = step.execute()
            else:
                with run.inference(step.model, provider="openai") as call:
                    result = step.execute()
                    call.usage(result.token_usage)
            if result.is_final:
                return result
        run.stop("max_steps")  # here, where only a run without an answer passes
    return None


# From here on: something to run.


@dataclass(frozen=True)
class Result:
    """What a step gave."""

    text: str
    is_final: bool = False
    token_usage: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Step:
    """A model call or a tool call that is about to be made."""

    type: str
    outcome: Result | Exception
    tool_name: str = ""
    model: str = "gpt-5-mini"

    def execute(self) -> Result:
        """Make the call."""
        time.sleep(0.01)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@dataclass(frozen=True)
class Agent:
    """An agent that has a script for each task, and a limit on its steps."""

    scripts: Mapping[str, Sequence[Step]]
    max_steps: int = 4

    def iter(self, task: str) -> Iterator[Step]:
        """Go through the task step by step."""
        yield from self.scripts[task][: self.max_steps]


THINK = Step("model", Result("I look it up.", token_usage={"prompt_tokens": 812, "completion_tokens": 64}))
ANSWER = Step(
    "model",
    Result("Under Settings.", is_final=True, token_usage={"prompt_tokens": 1041, "completion_tokens": 33}),
)
SEARCH = Step("tool_call", Result("Settings > Security"), tool_name="search_docs")
FAILING = Step("tool_call", TimeoutError("the orders don't answer"), tool_name="find_order")

SUPPORT = Agent(
    {
        "reset my password": [THINK, SEARCH, ANSWER],
        "cancel my order": [THINK, FAILING],
        "explain everything": [THINK, SEARCH, THINK, SEARCH, THINK, SEARCH, ANSWER],
    }
)


def attempt(task: str) -> str:
    """Run one task and say how it ended."""
    try:
        result = run_agent(SUPPORT, task)
    except TimeoutError as error:
        return f"failed, {error}"
    return result.text if result else "no answer within the steps allowed"


def main() -> None:
    """Run every task."""
    agent_otel.configure(**to_the_terminal())  # `agent_otel.configure()` in a program of yours
    for task in SUPPORT.scripts:
        print(f"{task}: {attempt(task)}")
    agent_otel.shutdown()


if __name__ == "__main__":
    main()
