"""150 real agent runs, replayed on a clock of their own, leave by the exporter that the environment chooses.

The runs (tests/data/recorded-runs: three agents, three models, 1,780 model calls, 967 tool calls) begin half a minute
apart and overlap. Each event of the record happens at its own time, through `start()` and `end()`, as it does for
a framework's callbacks.

    python examples/replay_recorded_runs.py                                    prints what was recorded
    OTEL_METRICS_EXPORTER=console python examples/replay_recorded_runs.py      the same as JSON
    OTEL_METRICS_EXPORTER=otlp python examples/replay_recorded_runs.py         to a collector on this machine
    OTEL_METRICS_EXPORTER=prometheus python examples/replay_recorded_runs.py   http://localhost:9464/metrics
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from contextvars import copy_context
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _terminal import to_the_terminal

import agent_otel
from agent_otel.agent_metrics import default
from agent_otel.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Event = tuple[int, Callable[[], object]]

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "data" / "recorded-runs"
SECONDS_APART = 30
PRICES = {
    "anthropic": {"claude-sonnet-4-5": {"input": 3.0, "output": 15.0}}
}  # USD per million tokens, as billed


def replay(records: Sequence[dict[str, Any]], clock: FakeClock) -> None:
    """Let everything happen again, each event at its time."""
    events = [
        event for begin, record in enumerate(records) for event in run_events(record, begin * SECONDS_APART)
    ]
    for milliseconds, happen in sorted(events, key=itemgetter(0)):
        clock.now = milliseconds / 1000
        happen()


def run_events(record: dict[str, Any], begin: float) -> Iterator[Event]:
    """The events of one run, in a context of its own so that none is nested in another."""
    run = agent_otel.run(record["agent"], version=record["model"])
    yield moment(begin), lambda: copy_context().run(run.start)
    for step in record["steps"]:
        at = begin + step["at_s"]
        yield from call_events(run, record, step, moment(at), moment(at + step["duration_s"]))
    yield moment(begin + record["duration_s"]), run.end
    solved = "pass" if record["reward"] == 1 else "fail"
    yield moment(begin + record["duration_s"]), lambda: run.evaluation("task_solved", solved)


def call_events(
    run: agent_otel.Run, record: dict[str, Any], step: dict[str, Any], start: int, end: int
) -> Iterator[Event]:
    """The start and the end of a model call or a tool call."""
    if step["type"] == "llm":
        inference = run.inference(record["model"], provider=record["provider"])
        yield start, inference.start
        yield end, lambda: inference.tokens(input=step["input_tokens"], output=step["output_tokens"])
        yield end, inference.end
    else:
        tool = run.tool(step["name"])
        yield start, tool.start
        if step["error"]:
            yield end, lambda: tool.fail("_OTHER")  # the record doesn't say which error
        yield end, tool.end


def moment(seconds: float) -> int:
    """Whole milliseconds, as the record has them, so that events of one moment keep their order."""
    return round(seconds * 1000)


def main() -> int:
    """Replay the runs and let them leave; 1 if they didn't get there."""
    clock = default.clock = FakeClock()
    agent_otel.configure(prices=PRICES, cost=True, **to_the_terminal())
    records = [
        json.loads(line)
        for file in sorted(RECORDED.glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    replay(records, clock)
    print(f"{len(records)} runs replayed", file=sys.stderr)
    if "prometheus" in os.environ.get("OTEL_METRICS_EXPORTER", ""):
        print("their page is served until Ctrl-C", file=sys.stderr)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0 if agent_otel.shutdown() else 1


if __name__ == "__main__":
    sys.exit(main())
