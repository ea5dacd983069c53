"""The way from an event to the SDK: exemplars, values that can't be used, and what goes wrong there."""

import time

import pytest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from agent_otel import AgentMetrics, MeasurementError, Settings, _recorder, catalog
from agent_otel._recorder import Recorder
from agent_otel.artifacts import __main__ as artifacts
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


def test_generating_writes_every_file_into_the_project_it_is_run_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run this in the project's root"):
        artifacts.main()
    for name in artifacts.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    artifacts.main()

    assert {name: text() for name, text in artifacts.FILES.items()} == {
        name: (tmp_path / name).read_text(encoding="utf-8") for name in artifacts.FILES
    }


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
