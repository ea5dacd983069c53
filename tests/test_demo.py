"""The demo's figures against what the simulated world itself saw, and how they are shown."""

import asyncio
import io
from collections import Counter, deque
from contextvars import ContextVar
from dataclasses import replace

import pytest
from rich.console import Console

from agent_otel import catalog
from agent_otel.demo import simulation as traffic
from agent_otel.demo import vendors
from agent_otel.demo.agents import AGENTS, TOOL_SECONDS
from agent_otel.demo.evaluator import Evaluator, Firing, Row
from agent_otel.demo.export import endpoint
from agent_otel.demo.screen import Frame, Release
from agent_otel.demo.simulated_time import SimulatedLoop
from agent_otel.demo.stage import DAY_BEFORE
from agent_otel.demo.vendors import VendorError
from tests.played import Played

NAMES = [agent.name for agent in AGENTS]


class Run:
    """What the simulated world saw of one run."""

    def __init__(self, agent, loop):
        self.agent = agent
        self.loop = loop
        self.began = loop.time()
        self.error = None
        self.answer = None
        self.tools = Counter()
        self.tokens = Counter()
        self.has_all_usage = True

    def end(self, error=None):
        self.error = error
        self.seconds = self.loop.time() - self.began


class World:
    """Stands between the agents and their world, and keeps what it saw of each run."""

    def __init__(self):
        self.runs = []
        self._here = ContextVar("here")

    def patch(self, patch):
        patch.setattr(traffic, "AGENTS", [replace(agent, work=self._work(agent)) for agent in AGENTS])
        patch.setattr(vendors.Tool, "call", self._call(vendors.Tool.call))
        patch.setattr(vendors.OpenAI, "create", self._create(vendors.OpenAI.create))
        patch.setattr(vendors.Anthropic, "stream", self._stream(vendors.Anthropic.stream))

    def _work(self, agent):
        async def work(metrics, release, dice):
            run = Run(agent.name, asyncio.get_running_loop())
            self.runs.append(run)
            self._here.set(run)
            try:
                await agent.work(metrics, release, dice)
            except BaseException as error:
                run.end(type(error))
                raise
            run.end()

        return work

    def _call(self, call):
        async def watched(tool, dice):
            tools, time = self._here.get().tools, asyncio.get_running_loop().time
            began = time()
            try:
                result = await call(tool, dice)
            except asyncio.CancelledError:
                tools["late" if time() - began >= TOOL_SECONDS else "cancelled"] += 1
                raise
            except VendorError as error:
                tools[type(error).__name__] += 1
                raise
            tools["fine"] += 1
            return result

        return watched

    def _create(self, create):
        async def watched(client):
            reply = await create(client)
            usage, tokens = reply["usage"], self._here.get().tokens
            cached = usage["input_tokens_details"]["cached_tokens"]
            tokens["openai", "input"] += usage["input_tokens"] - cached
            tokens["openai", "cache_read"] += cached
            tokens["openai", "output"] += usage["output_tokens"]
            item = reply["output"][0]
            self._here.get().answer = item["content"][0]["type"] if item["type"] == "message" else None
            return reply

        return watched

    def _stream(self, stream):
        async def watched(client):
            async for chunk in stream(client):
                self._see(self._here.get(), chunk)
                yield chunk

        return watched

    def _see(self, run, chunk):
        if chunk["type"] == "message_start":
            usage = chunk["message"]["usage"]
            run.tokens["anthropic", "input"] += usage["input_tokens"]
            run.tokens["anthropic", "cache_read"] += usage["cache_read_input_tokens"]
            run.tokens["anthropic", "cache_write"] += usage["cache_creation_input_tokens"]
            run.has_all_usage = False
        if chunk["type"] == "message_delta":
            run.tokens["anthropic", "output"] += chunk["usage"]["output_tokens"]
            run.answer = chunk["delta"]["stop_reason"]
            run.has_all_usage = True


@pytest.fixture(scope="module")
def world():
    """Half an hour of the simulation, and what its world saw of each run."""
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        world.patch(patch)
        played = Played()
        deque(played.minutes(30), maxlen=0)
        return played.finish(), world.runs


@pytest.fixture(params=NAMES)
def seen(request, world):
    """What was measured of an agent, as a table, beside what the world saw of its runs."""
    played, runs = world

    def table(metric, *attributes, of="totals"):
        found = getattr(played.observed, of)(metric, catalog.AGENT_NAME, *attributes)
        if not attributes:
            return found[request.param]
        return Counter({key[1]: found[key] for key in found if key[0] == request.param})

    return table, [run for run in runs if run.agent == request.param]


def test_runs_and_cancelled_runs_are_those_that_the_world_saw(seen):
    table, runs = seen
    cancelled = sum(run.error is asyncio.CancelledError for run in runs)

    assert table(catalog.RUNS) == len(runs) > 50
    assert table(catalog.RUNS, catalog.RUN_STATUS)["cancelled"] == cancelled > 0


def test_success_is_a_run_whose_model_answered_in_the_end(seen):
    table, runs = seen
    good = sum(run.error is None and run.answer in {"output_text", "end_turn"} for run in runs)

    assert (
        table(catalog.RUNS, catalog.STOP_REASON)["completed"]
        >= good - table(catalog.RUNS, catalog.STOP_REASON)["human_handoff"]
    )
    assert table(catalog.RUNS, catalog.RUN_STATUS)["ok"] == good


def test_runs_that_an_error_ended_are_told_from_those_that_ran_out_of_steps(seen):
    table, runs = seen
    failed = sum(run.error is not None and issubclass(run.error, VendorError) for run in runs)
    reasons = table(catalog.RUNS, catalog.STOP_REASON)

    assert reasons["tool_error"] + reasons["model_error"] == failed
    assert table(catalog.RUNS, catalog.RUN_STATUS)["error"] == failed


def test_tool_calls_and_tool_errors_are_those_of_the_tools_themselves(seen):
    table, runs = seen
    tools = sum((run.tools for run in runs), Counter())
    errors = table(catalog.TOOL_DURATION, catalog.ERROR_TYPE)
    failed = tools["late"] + tools["NotFoundError"] + tools["VendorError"]

    assert table(catalog.RUN_TOOL_CALLS, of="sums") == table(catalog.TOOL_DURATION) == tools.total()
    assert errors["cancelled"] == tools["cancelled"]
    assert errors.total() - errors[None] - errors["cancelled"] == failed > 0


def test_tokens_per_run_are_those_that_the_vendors_told_for_runs_whose_usage_is_complete(seen):
    table, runs = seen
    whole = [run for run in runs if run.has_all_usage]

    assert table(catalog.RUN_TOKEN_USAGE) == len(whole)
    assert table(catalog.RUN_TOKEN_USAGE, of="sums") == sum(run.tokens.total() for run in whole)


def test_tokens_by_model_are_those_that_the_vendors_bill(world):
    played, runs = world
    told = sum((run.tokens for run in runs), Counter())
    counted = Counter()
    for (provider, kind), count in played.observed.totals(
        catalog.TOKENS, catalog.PROVIDER, catalog.TOKEN_TYPE
    ).items():
        counted[provider, "output" if kind == "reasoning" else kind] += count

    assert counted == told


@pytest.mark.parametrize("seed", [7, 8])
def test_the_same_seed_gives_the_same_runs_and_another_one_others(seed):
    def runs(seed):
        played = Played(seed)
        deque(played.minutes(5), maxlen=0)
        return played.finish().observed.totals(catalog.RUNS, catalog.AGENT_NAME, catalog.STOP_REASON)

    assert (runs(7) == runs(seed)) == (seed == 7)


def test_nothing_is_in_flight_once_the_simulation_is_finished(world):
    played, runs = world

    assert played.observed.totals(catalog.ACTIVE_RUNS) == 0
    assert played.simulation.started.total() == len(runs)


def test_closing_in_the_middle_breaks_off_what_is_under_way():
    cut = Played()
    deque(cut.minutes(2), maxlen=0)
    running = cut.observed.totals(catalog.ACTIVE_RUNS)

    cut.simulation.close()

    assert running > 0
    assert cut.observed.totals(catalog.ACTIVE_RUNS) == 0
    assert cut.loop.is_closed()


def test_an_hour_of_simulated_time_passes_at_once():
    loop = SimulatedLoop()
    woken = []
    loop.call_later(1800, lambda: woken.append(loop.time()))

    loop.advance(3600)
    loop.close()

    assert (woken, loop.time()) == ([1800], 3600)


def noticed(incident, minutes):
    """What fires, minute by minute."""
    played, evaluator, fired = Played(incident=incident), Evaluator(), {}
    for minute, data in enumerate(played.minutes(60 + minutes), 1):
        evaluator.observe(minute * 60.0, data)
        if minute == 60:
            evaluator.assume(3600.0, DAY_BEFORE)
        if minute > 60:
            evaluator.evaluate(minute * 60.0)
            fired[minute - 60] = {firing.alert for firing in evaluator.firing()}
    played.simulation.close()
    return fired


@pytest.mark.parametrize(
    ("incident", "alerts"),
    [
        (None, set()),
        ("bad-release", {"AgentReleaseRegression"}),
        ("tool-outage", {"AgentToolErrorRateHigh"}),
        ("token-spike", {"AgentTokenSpike"}),
        ("loop", {"AgentToolSpam"}),
        ("slow-model", {"AgentRunLatencyAboveObjective"}),
    ],
)
def test_an_incident_makes_its_alert_fire_within_half_an_hour_and_no_other(incident, alerts):
    fired = noticed(incident, 35)

    assert set().union(*fired.values()) == alerts
    assert fired[30] == fired[35] == alerts


def test_an_alert_ends_when_the_incident_is_over_for_long_enough():
    fired = noticed("tool-outage", 65)

    assert fired[46] == {"AgentToolErrorRateHigh"}  # 15 minutes after the incident
    assert fired[65] == set()


def printed(frame, width, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(frame)
    file.seek(0)
    return "".join(f"{line.rstrip()}\n" for line in file.read().splitlines())


LONGEST = Row(
    "bot",
    "stop_reason",
    12.5,
    "12.5 % human_handoff",
    "+12.5pp not completed in 1 hour",
    "warning: above budget",
    1,
)
FRAME = Frame(
    rows=[replace(LONGEST, metric="cost_per_run"), LONGEST, replace(LONGEST, agent="other", level=2)],
    firing=[Firing("AgentToolSpam", "warning", {"gen_ai_agent_name": "bot", "gen_ai_tool_name": "search"})],
    medians={"bot": 9.96},
    stop_reasons={"bot": {"error": 0.125, "completed": 0.875, "refused": 0.0}},
    releases=[Release("bot", "1", 0.95, 100.2), Release("bot", "2", 0.9, 50), Release("other", "1", 1, 1)],
    running=3,
    minute=4,
    minutes=30,
)


def test_a_frame_has_the_table_and_below_it_what_explains_it():
    assert (
        printed(FRAME, 200)
        == """\
 agent-otel demo                                             simulated minute 4 of 30, runs in flight: 3
 Metric                    Current               Trend                             Status
────────────────────────────────────────────────────────────────────────────────────────────────────────
 bot
  cost_per_run (estimate)  12.5 % human_handoff  +12.5pp not completed in 1 hour   warning: above budget
  stop_reason              12.5 % human_handoff  +12.5pp not completed in 1 hour   warning: above budget
 other
  stop_reason              12.5 % human_handoff  +12.5pp not completed in 1 hour   warning: above budget

 alerts        warning: AgentToolSpam bot search
 latency_p50   bot 10.0 s
 stop reasons  bot: completed 87.5%, error 12.5%
 releases      bot: 1 95.0% ok of 100 runs, 2 90.0% ok of 50 runs
"""
    )


@pytest.mark.parametrize("width", [80, 96, 104, 200])
def test_from_80_columns_on_nothing_is_cut(width):
    lines = printed(FRAME, width).splitlines()

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert printed(FRAME, width).count("12.5 % human_handoff") == 3


def test_the_table_is_ascii_where_the_encoding_is():
    assert printed(FRAME, 104, encoding="ascii").isascii()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://localhost:4318"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example:4318/"}, "https://otel.example:4318"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://me:key@b/v1/metrics?key=1",
            },
            "http://b",
        ),
    ],
)
def test_the_collector_is_named_without_the_secrets_of_its_url(environ, expected):
    assert endpoint(environ) == expected
