"""The way from an event to the SDK: exemplars, values that can't be used, and what goes wrong there."""

import asyncio
import contextvars
import time

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, set_span_in_context

from agent_otel import AgentMetrics, MeasurementError, Settings, _recorder, catalog
from agent_otel._recorder import Recorder
from agent_otel.settings import from_environment
from agent_otel.testing import Captured, FakeClock


@pytest.mark.parametrize(("sampler", "kept"), [(None, True), (ALWAYS_OFF, False)])
def test_an_exemplar_points_to_the_trace_whose_span_was_recording(sampler, kept):
    reader = InMemoryMetricReader()
    metrics = AgentMetrics(MeterProvider([reader], shutdown_on_exit=False))
    tracer = TracerProvider(**({"sampler": sampler} if sampler else {}), shutdown_on_exit=False).get_tracer(
        "test"
    )
    with tracer.start_as_current_span("request") as span, metrics.run("bot"), metrics.tool("search"):
        trace = span.get_span_context().trace_id
    (point,) = Captured(reader).points(catalog.TOOL_DURATION).values()

    assert ([trace] if kept else []) == [exemplar.trace_id for exemplar in point.exemplars]


def test_without_a_span_there_is_no_trace_to_point_to():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    metrics = AgentMetrics(provider)
    with metrics.run("bot"):
        pass
    (point,) = Captured(reader).points(catalog.RUN_DURATION).values()

    assert {exemplar.trace_id for exemplar in point.exemplars} <= {None, 0}


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_duration_that_no_clock_can_have_measured_is_dropped_and_counted(observe, seconds):
    observed = observe()
    with observed.metrics.run("bot"), observed.metrics.tool("search"):
        observed.clock.now += seconds

    assert 0 == observed.totals(catalog.TOOL_DURATION) == observed.totals(catalog.RUN_DURATION)
    assert 2 == observed.totals(catalog.DROPPED_MEASUREMENTS)
    assert 1 == observed.totals(catalog.RUNS)


def test_an_event_that_cannot_be_folded_is_counted_and_the_others_are_kept(observe):
    observed = observe()
    observed.metrics.recorder.append((_recorder.TOOL, "no run"))
    with observed.metrics.run("bot"):
        pass

    assert (1, 1) == (observed.totals(catalog.RUNS), observed.totals(catalog.DROPPED_MEASUREMENTS))


def test_tokens_given_after_the_call_are_not_taken_and_strict_mode_says_so(observe):
    call = observe(strict=True).metrics.inference("m", provider="p")
    with call:
        call.tokens(input=1, output=1)
    with pytest.raises(MeasurementError, match="token usage: late"):
        call.tokens(input=1, output=1)


def test_beyond_the_cap_an_agent_is_zeroed_no_more_and_its_runs_are_counted_all_the_same(observe):
    observed = observe(limits={catalog.RUNS.name: 1, catalog.ACTIVE_RUNS.name: 1})
    for agent in ("a", "b", "c"):
        with observed.metrics.run(agent):
            pass

    assert 3 == observed.totals(catalog.RUNS)


def test_a_forked_child_begins_with_nothing_of_its_parent(observe):
    observed = observe()
    run = observed.metrics.run("bot").start()
    with run.tool("search"):
        pass
    _recorder._forget_all()
    run.end()

    assert 0 == observed.totals(catalog.RUNS) == observed.totals(catalog.TOOL_DURATION)
    assert 0 == observed.totals(catalog.ACTIVE_RUNS)


def test_a_recorder_without_a_provider_keeps_and_tells_nothing():
    recorder = Recorder()
    recorder.append((_recorder.TOOL,))
    recorder.drain()
    recorder.tell("word", "stop(reason)")
    recorder.tell_unknown("stop(reason)", "?", catalog.OTHER)

    assert 0 == len(recorder.events)


def test_steps_of_a_run_that_has_ended_are_not_counted(observe):
    observed = observe()
    run = observed.metrics.run("bot").start()
    steps = run.steps(range(2))
    next(steps)
    run.end()
    next(steps)

    assert {1: 1} == {
        point.sum: point.count for point in observed.captured.points(catalog.RUN_STEPS).values()
    }


def test_a_setting_that_is_wrong_keeps_its_default_where_nobody_configures(monkeypatch, caplog):
    monkeypatch.setenv("AGENT_OTEL_SEMCONV", "v9")

    assert Settings() == from_environment()
    assert "AGENT_OTEL_SEMCONV='v9': use one of" in caplog.text


def test_the_default_clock_measures_seconds():
    reader = InMemoryMetricReader()
    metrics = AgentMetrics(MeterProvider([reader], shutdown_on_exit=False))
    began = time.perf_counter()
    with metrics.run("bot"):
        pass
    most = time.perf_counter() - began
    (point,) = Captured(reader).points(catalog.RUN_DURATION).values()

    assert 0 <= point.sum <= most
    assert FakeClock(2.0)() == 2.0


@pytest.mark.parametrize("operation", ["responses", "Chat", "embeddings", "invoke_model"])
def test_tokens_that_are_given_are_recorded_whatever_the_operation_is_called(observe, operation):
    observed = observe()
    with observed.metrics.run("bot") as run, run.inference("m", provider="p", operation=operation) as call:
        call.tokens(input=5, output=5)
    (tokens,) = observed.captured.points(catalog.RUN_TOKEN_USAGE).values()

    assert (10, 10) == (observed.totals(catalog.TOKENS), tokens.sum)
    assert 0 == observed.totals(catalog.USAGE_MISSING)


def test_fetching_a_response_reports_no_tokens_a_second_time(observe):
    observed = observe()
    with observed.metrics.inference("m", provider="p", operation="fetch_response") as call:
        call.tokens(input=5, output=5)

    assert 0 == observed.totals(catalog.TOKENS)


def test_runs_that_overlap_in_one_context_do_not_hang_on_to_each_other(observe):
    metrics = observe().metrics

    def overlap():
        before = metrics.run("bot").start()
        for _ in range(50):
            run = metrics.run("bot").start()
            before.end()
            metrics.drain()
            before = run
        links = 0
        while run is not None:
            run, links = run.outer, links + 1
        return links

    assert contextvars.Context().run(overlap) <= 2


class Liar(Exception):
    @property
    def __class__(self):
        raise RuntimeError("evil")


@pytest.mark.parametrize("block", ["run", "tool"])
def test_an_exception_that_runs_code_of_its_own_is_passed_on_and_recorded(observe, block):
    observed = observe()
    error = Liar("mine")
    caught = None
    try:
        with getattr(observed.metrics, block)("x"):
            raise error
    except BaseException as passed:
        caught = passed
    metric = catalog.RUN_DURATION if block == "run" else catalog.TOOL_DURATION

    assert caught is error
    assert {catalog.OTHER: 1} == observed.totals(metric, catalog.ERROR_TYPE)


class LyingSpan(NonRecordingSpan):
    def is_recording(self):
        raise RuntimeError("evil")


def test_a_span_that_raises_costs_the_exemplar_alone(observe):
    observed = observe()
    token = attach(set_span_in_context(LyingSpan(INVALID_SPAN_CONTEXT)))
    with observed.metrics.run("bot"):
        pass
    detach(token)

    assert 1 == observed.totals(catalog.RUNS)


def test_a_drain_inside_a_drain_of_the_same_thread_is_left_to_the_outer_one(observe, monkeypatch):
    observed = observe(strict=True)
    plain = "agent_otel._fold.plain"
    inner = []

    def finaliser(value):
        if not inner:
            inner.append(1)
            with observed.metrics.tool("inside a finaliser"):
                pass
        return value

    monkeypatch.setattr(plain, finaliser)
    with observed.metrics.run("bot", tools=["search", "inside a finaliser"]) as run, run.tool("search"):
        pass

    assert 2 == observed.totals(catalog.TOOL_DURATION)


def test_what_a_full_buffer_loses_is_counted_once_whoever_loses_it(observe):
    observed = observe()
    recorder = observed.metrics.recorder
    recorder.soft_limit = recorder.hard_limit = 0
    with recorder.lock:
        for _ in range(5):
            recorder.append((_recorder.TOOL,))
    recorder.drain()
    recorder.drain()
    with recorder.lock:
        recorder.append((_recorder.TOOL,))

    assert 6 == observed.totals(catalog.DROPPED_MEASUREMENTS)


def test_a_forbidden_key_that_a_team_declares_is_told_at_once(observe, caplog):
    observe(attributes={"user_id": 5})

    assert "user_id: forbidden" in caplog.text


def test_async_steps_of_a_run_that_has_ended_are_not_counted(observe):
    observed = observe()

    async def events():
        yield 1
        yield 2

    async def leave_late():
        run = observed.metrics.run("bot").start()
        steps = run.steps(events())
        await anext(steps)
        run.end()
        await anext(steps)

    asyncio.run(leave_late())

    assert {1: 1} == {
        point.sum: point.count for point in observed.captured.points(catalog.RUN_STEPS).values()
    }


def test_a_verdict_on_an_inherited_run_looks_for_the_child_s_own_provider(observe):
    observed = observe()
    run = observed.metrics.run("bot").start()
    bound = observed.metrics.recorder

    def find():
        observed.metrics.recorder = bound

    observed.metrics.recorder = Recorder(find)
    observed.metrics.recorder.is_pending = True
    run.evaluation("solved", "pass")

    assert 1 == observed.totals(catalog.EVALUATIONS)
