"""The 150 recorded runs, and a program that replays them one after the other, through plain blocks.

    OTEL_METRICS_EXPORTER=otlp python tests/recorded_runs.py < /dev/null

What pushes does so after each file and at the end; a page is served until Ctrl-C or the end of the input. Processes can
share the runs: `recorded_runs.py 0 2` replays every second one, `recorded_runs.py 1 2` the others.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path

import agent_otel
from agent_otel.agent_metrics import default
from agent_otel.testing import FakeClock

FILES = sorted(Path(__file__).resolve().parent.glob("data/recorded-runs/*.jsonl"))
PRICES = {"anthropic": {"claude-sonnet-4-5": {"input": 3, "output": 15}}}
SAID = "replayed, and served\n"


class ToolFailed(Exception):
    """What happened; the record doesn't say why."""


def load(*files):
    return [
        json.loads(line) for file in files or FILES for line in file.read_text(encoding="utf-8").splitlines()
    ]


def replay(records, clock):
    for record in records:
        begin = clock.now
        with agent_otel.run(record["agent"], version=record["model"]) as run:
            for step in record["steps"]:
                clock.now = begin + step["at_s"]
                replay_step(run, record, step, clock)
            clock.now = begin + record["duration_s"]
            run.evaluation("task_solved", "pass" if record["reward"] == 1.0 else "fail")


def replay_step(run, record, step, clock):
    if step["type"] == "llm":
        with run.inference(record["model"], provider=record["provider"]) as call:
            clock.advance(step["duration_s"])
            call.tokens(input=step["input_tokens"], output=step["output_tokens"])
    else:
        with suppress(ToolFailed), run.tool(step["name"]):  # the agent is told, and goes on
            clock.advance(step["duration_s"])
            if step["error"]:
                raise ToolFailed


def main():
    clock = default.clock = FakeClock()
    agent_otel.configure(prices=PRICES, cost=True)
    part, parts = map(int, sys.argv[1:] or (0, 1))
    for file in FILES:
        replay(load(file)[part::parts], clock)
        assert agent_otel.flush()
    sys.stderr.write(SAID)
    sys.stderr.flush()
    with suppress(KeyboardInterrupt):
        sys.stdin.read()
    assert agent_otel.shutdown()


if __name__ == "__main__":
    main()
