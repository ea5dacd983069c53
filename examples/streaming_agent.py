"""A streaming agent: time to the first chunk, usage that comes with the last one, and a reader who leaves early.

An agent that yields is measured by the decorator: the run lasts until its reader has everything or leaves, and is
current only while the agent itself works.

    python examples/streaming_agent.py                            prints what was recorded
    OTEL_METRICS_EXPORTER=otlp python examples/streaming_agent.py   sends it to a collector on this machine
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _terminal import to_the_terminal

import agent_otel

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@agent_otel.run("writer", version="2026-03-21")
def write(topic: str) -> Generator[str, None, None]:
    """Write about a topic, word by word."""
    with agent_otel.inference("gpt-5-mini", provider="openai") as call:
        for chunk in call.chunks(open_stream(topic)):
            if chunk.text:
                yield chunk.text


# From here on: something to run.


@dataclass(frozen=True)
class Chunk:
    """A piece of a stream; the last one has no text but the usage, named as the OpenAI client names it."""

    text: str = ""
    usage: dict[str, int] | None = None


def open_stream(topic: str) -> Iterator[Chunk]:
    """Stand in for a model that thinks for a while, then speaks."""
    time.sleep(0.02)
    for word in f"All that is known about {topic} .".split():
        yield Chunk(f"{word} ")
        time.sleep(0.001)
    yield Chunk(usage={"prompt_tokens": 24, "completion_tokens": 7})


def main() -> None:
    """Read one text to its end, leave another after three words, and print what was recorded."""
    agent_otel.configure(**to_the_terminal())  # `agent_otel.configure()` in a program of yours
    for word in write("whales"):
        print(word, end="")
    print()
    with closing(write("eels")) as words:
        for word, _ in zip(words, range(3), strict=False):
            print(word, end="")
    print("... (left)")
    agent_otel.shutdown()


if __name__ == "__main__":
    main()
