"""The demo's figures against what the simulated world itself saw, and how they are shown."""

import asyncio
import io
import re
from collections import Counter
from contextvars import ContextVar
from dataclasses import replace

import pytest
from rich.console import Console

from agent_otel import catalog
from agent_otel.demo import simulation as traffic
from agent_otel.demo import vendors
from agent_otel.demo.agents import AGENTS, TOOL_SECONDS
from agent_otel.demo.export import endpoint
from agent_otel.demo.rows import Row, evaluate, quantile
from agent_otel.demo.screen import Frame, shown
from agent_otel.demo.simulated_time import SimulatedLoop
from agent_otel.demo.simulation import Simulation
from agent_otel.demo.vendors import PRICES, VendorError

NAMES = [agent.name for agent in AGENTS]


class Played:
    """The simulation on a provider of its own, and what can be asked of it."""

    def __init__(self, observe, seed=7, minutes=30, advances=1):
        self.loop = SimulatedLoop()
        self.observed = observe(self.loop.clock, prices=PRICES)
        self.simulation = Simulation(self.observed.metrics, self.loop, seed)
        for _ in range(advances):
            self.simulation.advance(minutes * 60 / advances)

    def finish(self):
        self.simulation.finish()
        self.rows = evaluate(self.observed.captured._reader.get_metrics_data())
        self.simulation.close()
        return self

    def row(self, metric, agent, **more):
        wanted = {"metric": metric, "agent": agent, "release": None, "reason": None, **more}
        (found,) = [row for row in self.rows if all(getattr(row, key) == wanted[key] for key in wanted)]
        return found


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
def played(observe):
    return Played(observe).finish()


@pytest.fixture(scope="module")
def world(observe):
    """A simulation, and what its world saw of each run."""
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        world.patch(patch)
        return Played(observe).finish(), world.runs


def of(runs, agent):
    return [run for run in runs if agent in {None, run.agent}]


@pytest.fixture(params=[*NAMES, None], ids=[*NAMES, "all agents"])
def seen(request, world):
    """The figures of one agent, or of all, beside what the world saw of its runs."""
    played, runs = world
    return lambda metric, **more: played.row(metric, request.param, **more), of(runs, request.param)


def test_runs_and_cancelled_runs_are_those_that_the_world_saw(seen):
    row, runs = seen
    cancelled = sum(run.error is asyncio.CancelledError for run in runs)

    assert row("run_count").value == len(runs) > 100
    assert row("success_rate").n == len(runs) - cancelled
    assert row("stop_reason_distribution", reason="cancelled").value == cancelled / len(runs) > 0


def test_success_is_a_run_whose_model_answered_in_the_end(seen):
    row, runs = seen
    good = sum(run.error is None and run.answer in {"output_text", "end_turn"} for run in runs)

    assert row("success_rate").value == good / row("success_rate").n
    assert row("stop_reason_distribution", reason="completed").value == good / len(runs)


def test_runs_that_an_error_ended_are_told_from_those_that_ran_out_of_steps(seen):
    row, runs = seen
    failed = sum(run.error is not None and issubclass(run.error, VendorError) for run in runs)
    told = [row("stop_reason_distribution", reason=reason).value for reason in ("tool_error", "model_error")]

    assert sum(told) == pytest.approx(failed / len(runs))
    assert row("stop_reason_distribution", reason="max_steps").value > 0


def test_tool_calls_and_tool_errors_are_those_of_the_tools_themselves(seen):
    row, runs = seen
    tools = sum((run.tools for run in runs), Counter())
    failed = tools["late"] + tools["NotFoundError"] + tools["VendorError"]

    assert row("tool_calls_per_run").value == tools.total() / len(runs)
    assert row("tool_error_rate").n == tools.total() - tools["cancelled"]
    assert row("tool_error_rate").value == failed / row("tool_error_rate").n > 0.03


def test_a_cancelled_tool_call_is_no_tool_error(world):
    _, runs = world

    assert sum((run.tools for run in runs), Counter())["cancelled"] > 0


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_quantiles_of_run_time_are_within_15_percent_of_the_true_ones(seen, q):
    row, runs = seen
    seconds = sorted(run.seconds for run in runs if run.error is not asyncio.CancelledError)

    true = seconds[round(q * (len(seconds) - 1))]

    assert row(f"latency_p{q * 100:g}").value == pytest.approx(true, rel=0.15)
    assert row(f"latency_p{q * 100:g}").n == len(seconds)


def test_tokens_per_run_are_those_that_the_vendors_told_for_runs_whose_usage_is_complete(seen):
    row, runs = seen
    whole = [run for run in runs if run.has_all_usage]

    assert row("token_usage_per_run").n == len(whole)
    assert row("token_usage_per_run").value == sum(run.tokens.total() for run in whole) / len(whole)


def test_cost_is_what_the_vendors_would_bill_at_list_prices(seen):
    row, runs = seen
    prices = {provider: next(iter(models.values())) for provider, models in PRICES.items()}
    bill = sum(
        count * prices[provider][kind] / 1e6 for run in runs for (provider, kind), count in run.tokens.items()
    )

    assert row("cost_per_run").value == pytest.approx(bill / len(runs))


def test_stop_reasons_add_up_to_all_runs(played):
    for agent in [*NAMES, None]:
        shares = [
            row.value
            for row in played.rows
            if row.metric == "stop_reason_distribution" and row.agent == agent
        ]

        assert sum(shares) == pytest.approx(1)


def test_the_new_release_of_the_support_bot_does_worse(played):
    releases = {row.release: row for row in played.rows if row.release is not None}

    assert set(releases) == {"1.7.2", "1.8.0"}
    assert releases["1.8.0"].value < releases["1.7.2"].value - 0.05
    assert sum(row.n for row in releases.values()) == played.row("success_rate", "support-bot").n


def test_the_same_seed_gives_the_same_figures(observe):
    assert Played(observe, minutes=5).finish().rows == Played(observe, minutes=5).finish().rows


def test_how_often_the_screen_is_refreshed_changes_no_figure(observe):
    once, often = (Played(observe, minutes=5, advances=advances).finish() for advances in (1, 100))

    assert [(replace(row, value=None), shown(row)) for row in often.rows] == [
        (replace(row, value=None), shown(row)) for row in once.rows
    ]


def test_another_seed_gives_other_runs(observe):
    one, other = (Played(observe, seed=seed, minutes=5).finish() for seed in (7, 8))

    assert one.simulation.started != other.simulation.started
    assert one.rows != other.rows


def test_nothing_is_in_flight_once_the_simulation_is_finished(played):
    assert played.observed.totals(catalog.ACTIVE_RUNS) == 0
    assert played.simulation.started.total() == played.row("run_count", None).value


def test_closing_in_the_middle_breaks_off_what_is_under_way(observe):
    cut = Played(observe, minutes=2)
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


class Histogram:
    def __init__(self, bounds, counts):
        self.explicit_bounds = bounds
        self.bucket_counts = counts


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, (10, 0, 0, 0), 0.5),  # the first bucket begins at 0
        (0.5, (0, 10, 0, 0), 1.5),
        (0.95, (0, 10, 10, 0), 3.8),
        (0.5, (0, 10, 10, 0), 2.0),
        (0.25, (5, 0, 15, 0), 1.0),  # exactly at a bound
        (0.5, (0, 0, 0, 3), 4.0),  # beyond the highest bound nothing is known but that
        (1.0, (1, 1, 1, 1), 4.0),
        (0.5, (0, 0, 0, 0), None),
    ],
)
def test_quantiles_interpolate_as_promql_does(q, counts, expected):
    assert quantile([Histogram((1, 2, 4), counts)], q) == expected


def test_the_lowest_bucket_of_a_histogram_of_counts_is_zero_itself():
    assert quantile([Histogram((0, 1, 2), (10, 0, 0, 0))], 0.5) == 0


def test_series_of_one_histogram_are_added_up_before_the_quantile():
    assert quantile([Histogram((1, 2), (4, 0, 0)), Histogram((1, 2), (0, 4, 0))], 0.75) == 1.5


def test_without_data_every_figure_is_unknown_and_says_so():
    rows = evaluate(None)

    assert [row.metric for row in rows] == [
        "run_count",
        "success_rate",
        "latency_p50",
        "latency_p95",
        "token_usage_per_run",
        "cost_per_run",
        "tool_calls_per_run",
        "tool_error_rate",
    ]
    assert [shown(row) for row in rows] == ["0", *["-"] * 7]


def test_a_cost_with_a_price_missing_is_unknown(observe):
    observed = observe(prices={"house": {"priced": {"input": 1.0, "output": 1.0}}})
    for agent, models in (("known", ["priced"]), ("unknown", ["priced", "unpriced"])):
        with observed.metrics.run(agent) as run:
            for model in models:
                with run.inference(model, provider="house") as call:
                    call.tokens(input=1000, output=1000)

    rows = evaluate(observed.captured._reader.get_metrics_data())

    costs = {row.agent: row.value for row in rows if row.metric == "cost_per_run"}
    assert costs == {"known": pytest.approx(0.002), "unknown": None, None: None}


def test_a_run_inside_a_run_counts_for_its_agent_and_not_again_for_all(observe):
    observed = observe()
    with observed.metrics.run("outer"), observed.metrics.run("inner"):
        pass

    rows = evaluate(observed.captured._reader.get_metrics_data())

    counts = {row.agent: row.value for row in rows if row.metric == "run_count"}
    assert counts == {"inner": 1, "outer": 1, None: 1}


def test_a_stop_reason_of_the_teams_own_stands_after_the_known_ones(observe):
    observed = observe(stop_reasons={"a_review": "incomplete"})
    for reason in ("a_review", "max_steps"):
        with observed.metrics.run("bot") as run:
            run.stop(reason)

    rows = evaluate(observed.captured._reader.get_metrics_data())

    assert [row.reason for row in rows if row.reason and row.agent] == ["max_steps", "a_review"]
    assert "a_review" in printed(Frame(rows, 0, 1, 1), 80)


def printed(frame, width, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(frame)
    file.seek(0)
    return "".join(f"{line.rstrip()}\n" for line in file.read().splitlines())


def frame(rows, **more):
    return Frame(rows, 0, 30, 30, about="simulated: one second here is one minute there", **more)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_from_80_columns_on_nothing_is_cut_or_wrapped(played, width):
    lines = printed(frame(played.rows), width).splitlines()

    assert len(lines) == len({(row.metric, row.reason) for row in played.rows}) + 7
    assert max(map(len, lines)) <= width
    assert [line for line in lines if "…" in line] == []


def test_a_narrow_terminal_loses_the_bars_and_keeps_the_numbers(played):
    lines = printed(frame(played.rows), 56).splitlines()
    (completed,) = [line for line in lines if "completed" in line]

    assert max(map(len, lines)) <= 56
    assert re.fullmatch(r"   completed +85\.5 % +80\.8 % +81\.8 %", completed)


def test_where_the_encoding_has_no_blocks_bars_are_made_of_ascii(played):
    text = printed(frame(played.rows), 80, encoding="ascii")

    assert text.isascii()
    assert re.search(r"completed .*#{7} +85\.5 %", text)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("{run}", 1204, "1,204"),
        ("1", 0.914, "91.4 %"),
        ("1", 1, "100.0 %"),
        ("s", 1.94, "1.9 s"),
        ("s", 112.4, "112 s"),
        ("{token}", 640, "640"),
        ("{token}", 8_912, "8.9k"),
        ("{token}", 1_250_000, "1.2M"),
        ("{USD}", 0.0312, "$0.031"),
        ("{USD}", 12.5, "$12.50"),
        ("{tool_call}", 2.44, "2.4"),
        ("s", None, "-"),
    ],
)
def test_a_figure_is_shown_with_its_unit(unit, value, text):
    assert shown(Row("any", None, value, unit, 1)) == text


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
