"""The examples are run as a user runs them, and what they print is read."""

import ast
import io
import os
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from agent_otel import catalog

EXAMPLES = sorted(
    path for path in Path(__file__).resolve().parent.parent.glob("examples/*.py") if path.name[0] != "_"
)
ORIGINAL_LINES = (
    56  # of code, in run_agent() of the page that agent_otel grew from; without its 8 metrics and helper
)
ORIGINAL_METRICS = 8
SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}

OUTCOME = (catalog.RUN_STATUS, catalog.STOP_REASON)
TOOL = (catalog.TOOL_NAME, catalog.ERROR_TYPE)


def named(name):
    return next(path for path in EXAMPLES if path.stem == name)


def printed(path):
    """What an example prints where no exporter is asked for; a warning would end it."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OTEL_"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


def figures(text):
    """The printed metrics: for each its lines, as the first number and the attributes."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("    "):
            lines = found.setdefault(line.partition(",")[0], [])
        else:
            value, *words = line.replace(", sum ", " ").split()
            lines.append((float(value), dict(word.split("=") for word in words if "=" in word)))
    return found


def by(figures, metric, *attributes):
    totals = {}
    for value, carried in figures[metric.name]:
        key = tuple(carried.get(attribute.key) for attribute in attributes)
        totals[key] = totals.get(key, 0) + value
    return totals


def code_lines(path, function):
    """How many lines of a function have code on them, its docstring left out."""
    source = path.read_text()
    (found,) = (node for node in ast.parse(source).body if getattr(node, "name", "") == function)
    words = found.body[0]
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in SKIPPED
        for line in range(token.start[0], token.end[0] + 1)
    }
    documented = set(range(words.lineno, words.end_lineno + 1))
    return len((lines & set(range(found.lineno, found.end_lineno + 1))) - documented)


def test_run_agent_tells_each_ending_from_the_others():
    said, _ = printed(named("run_agent"))
    found = figures(said)

    assert said.startswith(
        "reset my password: Under Settings.\n"
        "cancel my order: failed, the orders don't answer\n"
        "explain everything: no answer within the steps allowed\n"
    )
    assert {
        ("2026-03-21", "ok", "completed"): 1,
        ("2026-03-21", "error", "tool_error"): 1,
        ("2026-03-21", "incomplete", "max_steps"): 1,
    } == by(found, catalog.RUNS, catalog.AGENT_VERSION, *OUTCOME)
    assert {
        ("search_docs", None): 3,
        ("find_order", "timeout"): 1,
    } == by(found, catalog.TOOL_DURATION, *TOOL)
    assert {("gpt-5-mini", None): 5} == by(
        found, catalog.INFERENCE_DURATION, catalog.MODEL, catalog.ERROR_TYPE
    )
    assert {
        ("input",): 4 * 812 + 1041,
        ("output",): 4 * 64 + 33,
    } == by(found, catalog.TOKENS, catalog.TOKEN_TYPE)
    assert catalog.USAGE_MISSING.name not in found


def test_run_agent_is_shorter_than_the_original_and_records_more():
    lines = code_lines(named("run_agent"), "run_agent")
    recorded = [name for name in figures(printed(named("run_agent"))[0]) if "." in name]

    assert lines < ORIGINAL_LINES / 3
    assert len(recorded) > ORIGINAL_METRICS


def test_async_agent_keeps_parallel_tools_and_runs_apart():
    said, _ = printed(named("async_agent"))
    found = figures(said)

    assert said.startswith(
        "Lisbon: 3 flights to Lisbon, 5 hotels in Lisbon\n"
        "Oslo: 3 flights to Oslo, 5 hotels in Oslo\n"
        "Atlantis failed\n"
        "Rome: the user left\n"
    )
    assert {
        ("ok", "completed"): 2,
        ("error", "tool_error"): 1,
        ("cancelled", "cancelled"): 1,
    } == by(found, catalog.RUNS, *OUTCOME)
    assert {
        ("trip-planner", "find_flights", None): 3,
        ("trip-planner", "find_hotels", None): 2,
        ("trip-planner", "find_hotels", "not_found"): 1,
    } == by(found, catalog.TOOL_DURATION, catalog.AGENT_NAME, *TOOL)
    assert {(None,): 5, ("cancelled",): 1} == by(found, catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert {
        ("input",): 3 * 310 + 2 * 460,
        ("output",): 3 * 25 + 2 * 48,
    } == by(found, catalog.TOKENS, catalog.TOKEN_TYPE)


def test_streaming_agent_sees_the_first_chunk_the_late_usage_and_who_leaves():
    said, _ = printed(named("streaming_agent"))
    found = figures(said)

    assert said.startswith("All that is known about whales . \nAll that is ... (left)\n")
    assert {("ok", "completed"): 1, ("cancelled", "abandoned"): 1} == by(found, catalog.RUNS, *OUTCOME)
    assert {("writer",): 2} == by(found, catalog.TIME_TO_FIRST_CHUNK, catalog.AGENT_NAME)
    assert {(None,): 2} == by(found, catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert {("input",): 24, ("output",): 7} == by(found, catalog.TOKENS, catalog.TOKEN_TYPE)
    assert {(): 1} == by(found, catalog.USAGE_MISSING)
    assert {(): 1} == by(found, catalog.RUN_TOKEN_USAGE)


def test_replay_prints_the_recorded_runs():
    said, told = printed(named("replay_recorded_runs"))
    found = figures(said)

    assert "150 runs replayed\n" == told
    assert {
        ("airline", "ok", "completed"): 50,
        ("retail", "ok", "completed"): 40,
        ("telecom", "ok", "completed"): 60,
    } == by(found, catalog.RUNS, catalog.AGENT_NAME, *OUTCOME)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_shows_and_how_to_run_it(path):
    words = ast.get_docstring(ast.parse(path.read_text()))

    assert f"    python examples/{path.name} " in words


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_imports_nothing_but_agent_otel_and_the_standard_library(path):
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    }

    assert imported <= {*sys.stdlib_module_names, "agent_otel", "_terminal"}
