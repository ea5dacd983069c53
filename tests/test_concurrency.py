"""Many threads, tasks, readers, signals, finalisers and forks at once: every count stays exact, nothing waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import Counter as CounterInstrument
from opentelemetry.sdk.metrics import Histogram, MeterProvider, MetricsTimeoutError
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from agent_otel import AgentMetrics, Settings, catalog, views

THREADS = 16
TASKS = 1000
EVENTS = 100_000
RUNS_IN_THREADS = 625  # each: 3 tools, 2 model calls, its own end
RUNS_IN_TASKS = 8  # each: 2 tools, 1 model call, its own end, and a verdict
DELTA = {CounterInstrument: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


class Reading:
    """Adds up what a reader collects, whatever its temporality."""

    def __init__(self, reader, is_delta):
        self._reader = reader
        self._is_delta = is_delta
        self.totals = Counter()

    def collect(self):
        data = self._reader.get_metrics_data()
        seen = Counter()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        seen[metric.name] += point.value if hasattr(point, "value") else point.count
        for name, number in seen.items():
            is_added = self._is_delta and name != catalog.ACTIVE_RUNS.name
            self.totals[name] = self.totals[name] + number if is_added else number

    def of(self, metric):
        return self.totals[metric.name]


@pytest.fixture
def readings():
    return [
        Reading(InMemoryMetricReader(), is_delta=False),
        Reading(InMemoryMetricReader(preferred_temporality=DELTA), is_delta=True),
    ]


@pytest.fixture
def metrics(readings):
    provider = MeterProvider(
        [each._reader for each in readings], views=views(Settings()), shutdown_on_exit=False
    )
    return AgentMetrics(provider, settings=Settings())


def run_in_threads(function, count=THREADS):
    """Let `count` threads begin together; their first error is raised here."""
    together, errors = threading.Barrier(count), []

    def begin(number):
        together.wait(120)
        try:
            function(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert [] == errors
    assert not any(thread.is_alive() for thread in threads)


def model_call(run):
    with run.inference("gpt-5", provider="openai") as call:
        call.tokens(input=10, output=5)


def agent_in_a_thread(metrics, number):
    for _ in range(RUNS_IN_THREADS):
        with metrics.run(f"agent {number % 4}") as run:
            for _ in run.steps(range(2)):
                with metrics.tool("search"):
                    pass
                model_call(run)
            with run.tool("answer"):
                pass


async def agent_in_tasks(metrics, number):
    for _ in range(RUNS_IN_TASKS):
        with metrics.run(f"agent {number % 4}") as run:
            with metrics.tool("search"):
                await asyncio.sleep(0)
            model_call(run)
            await asyncio.sleep(0)
            with run.tool("answer"):
                pass
            run.evaluation("solved", "yes")


def test_100_000_events_of_threads_and_tasks_are_exact_for_two_readers_that_collect_meanwhile(
    metrics, readings
):
    done = threading.Event()

    def collect_meanwhile(reading):
        while not done.is_set():
            with contextlib.suppress(
                MetricsTimeoutError
            ):  # on a busy machine: the next collection makes up for it
                reading.collect()

    async def all_tasks():
        await asyncio.gather(*(agent_in_tasks(metrics, number) for number in range(TASKS)))

    def work(number):
        if number == THREADS:
            asyncio.run(all_tasks())
        else:
            agent_in_a_thread(metrics, number)

    collectors = [threading.Thread(target=collect_meanwhile, args=(reading,)) for reading in readings]
    for collector in collectors:
        collector.start()
    try:
        run_in_threads(work, THREADS + 1)
    finally:
        done.set()
        for collector in collectors:
            collector.join(60)
    for reading in readings:
        reading.collect()

    in_threads, in_tasks = THREADS * RUNS_IN_THREADS, TASKS * RUNS_IN_TASKS
    runs = in_threads + in_tasks
    tools = 3 * in_threads + 2 * in_tasks
    calls = 2 * in_threads + in_tasks

    assert runs + tools + calls + in_tasks == EVENTS
    for reading in readings:
        assert {
            catalog.RUNS: runs,
            catalog.RUN_DURATION: runs,
            catalog.RUN_STEPS: runs,
            catalog.RUN_TOKEN_USAGE: runs,
            catalog.TOOL_DURATION: tools,
            catalog.INFERENCE_DURATION: calls,
            catalog.TOKENS: 15 * calls,
            catalog.EVALUATIONS: in_tasks,
            catalog.ACTIVE_RUNS: 0,
            catalog.DROPPED_MEASUREMENTS: 0,
        } == {
            metric: reading.of(metric)
            for metric in (
                catalog.RUNS,
                catalog.RUN_DURATION,
                catalog.RUN_STEPS,
                catalog.RUN_TOKEN_USAGE,
                catalog.TOOL_DURATION,
                catalog.INFERENCE_DURATION,
                catalog.TOKENS,
                catalog.EVALUATIONS,
                catalog.ACTIVE_RUNS,
                catalog.DROPPED_MEASUREMENTS,
            )
        }


# A full buffer


def test_whoever_fills_the_buffer_folds_a_slice_so_that_it_never_grows_past_its_limit(observed, totals):
    recorder = observed.metrics.recorder
    recorder.soft_limit = 64
    longest = 0
    for _ in range(1000):
        with observed.metrics.tool("search"):
            pass
        observed.metrics.evaluation("solved", "yes", agent="bot")
        with observed.metrics.run("bot") as run:
            run.evaluation("solved", "yes")
        longest = max(longest, len(recorder.events))

    assert longest <= 65
    assert (1000, 1000, 2000) == (
        totals(catalog.TOOL_DURATION),
        totals(catalog.RUNS),
        totals(catalog.EVALUATIONS),
    )


def test_an_overflow_counts_exactly_what_it_lost(observed, totals):
    recorder = observed.metrics.recorder
    recorder.soft_limit, recorder.hard_limit = 8, 50

    def work(_number):
        for _ in range(100):
            with observed.metrics.tool("search"):
                pass

    with recorder.lock:  # a fold that takes for ever
        run_in_threads(work, 4)
        kept = len(recorder.events)

    assert 50 == kept
    assert 50 == totals(catalog.TOOL_DURATION)
    assert 400 - 50 == totals(catalog.DROPPED_MEASUREMENTS)


def test_an_overflow_leaves_no_run_active(observed, totals):
    recorder = observed.metrics.recorder
    recorder.soft_limit, recorder.hard_limit = 4, 10
    with recorder.lock:
        for _ in range(100):
            with observed.metrics.run("bot"):
                pass

    assert 0 == totals(catalog.ACTIVE_RUNS)
    assert 100 == totals(catalog.RUNS) + totals(catalog.DROPPED_MEASUREMENTS)


def test_measuring_does_not_wait_for_a_fold_that_is_under_way(observed, totals):
    finished = threading.Event()

    def work():
        with observed.metrics.run("bot") as run, run.tool("search"):
            pass
        finished.set()

    thread = threading.Thread(target=work)
    with observed.metrics.recorder.lock:
        thread.start()

        assert finished.wait(120)

    thread.join(30)

    assert 1 == totals(catalog.RUNS)


# Interruptions of a drain


GUARDED = """
import faulthandler, gc, signal, sys
faulthandler.dump_traceback_later(50, exit=True)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from agent_otel import AgentMetrics, Settings, catalog
from agent_otel.testing import Captured

reader = InMemoryMetricReader()
metrics = AgentMetrics(MeterProvider([reader], shutdown_on_exit=False), settings=Settings())
metrics.recorder.soft_limit = 100
captured = Captured(reader)
"""


def guarded(program):
    """What a program prints; a deadlock ends it, and the test, with a traceback.

    Coverage stays out: its tracer takes a lock of its own, which a signal handler in the middle of it waits for.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", GUARDED + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=Path(__file__).parent.parent,
        env=environment,
    )

    assert 0 == done.returncode, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(
    not hasattr(__import__("signal"), "setitimer"), reason="this platform has no interval timer"
)
def test_recording_in_a_signal_handler_does_not_deadlock_a_drain():
    handled, ended, measured = guarded("""
        handled = interrupted = 0

        def handler(_number, _frame):
            global handled, interrupted
            interrupted += metrics.recorder.lock.locked()
            for _ in range(20):
                with metrics.run("handler") as run, run.tool("in the handler"):
                    handled += 1

        signal.signal(signal.SIGALRM, handler)
        work = 0
        while interrupted < 20:
            signal.setitimer(signal.ITIMER_REAL, 0.0002 * (1 + work % 7))
            for _ in range(50):
                with metrics.run("bot") as run, run.tool("in the program"):
                    work += 1
            metrics.drain()
            if work % 2000 == 0:
                captured.points(catalog.RUNS)
        signal.setitimer(signal.ITIMER_REAL, 0)
        tools = captured.value(catalog.TOOL_DURATION)
        print(handled + work, captured.value(catalog.RUNS), tools)
    """)

    assert handled == ended == measured


def test_recording_in_a_finaliser_does_not_deadlock_a_drain():
    made, ended, measured = guarded("""
        interrupted = 0

        class Resource:
            def __init__(self):
                self.itself = self
            def __del__(self):
                global interrupted
                interrupted += metrics.recorder.lock.locked()
                with metrics.run("finaliser") as run, run.tool("in the finaliser"):
                    pass

        gc.set_threshold(5)
        made = 0
        while interrupted < 20:
            for _ in range(100):
                Resource()
                made += 1
            metrics.drain()
            if made % 1000 == 0:
                captured.points(catalog.RUNS)
        gc.set_threshold(700)
        gc.collect()
        print(made, captured.value(catalog.RUNS), captured.value(catalog.TOOL_DURATION))
    """)

    assert made == ended == measured


# Forks


def in_a_forked_child(function):
    """What a function returned in a forked child, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(write, repr(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)

    assert 0 == status
    return text


needs_quiet_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


@needs_fork
@needs_quiet_fork
def test_a_forked_child_starts_empty_and_the_parent_keeps_everything(observed, totals):
    metrics, recorder = observed.metrics, observed.metrics.recorder
    with metrics.run("bot"):
        with metrics.tool("search"):
            pass
        in_child = in_a_forked_child(lambda: (len(recorder.events), len(recorder.live)))

    assert "(0, 0)" == in_child
    assert 1 == totals(catalog.RUNS) == totals(catalog.TOOL_DURATION)


@needs_fork
@needs_quiet_fork
def test_an_inherited_run_is_the_parents_to_end(observed, totals):
    metrics = observed.metrics
    run = metrics.run("bot").start()

    def end_it():
        run.end()
        return [event[0] for event in metrics.recorder.events]

    in_child = in_a_forked_child(end_it)
    run.end()

    assert "[]" == in_child
    assert 1 == totals(catalog.RUNS)


@needs_fork
@needs_quiet_fork
def test_a_forked_child_can_record_though_a_fold_was_under_way(observed):
    metrics = observed.metrics

    def record():
        with metrics.run("child") as run, run.tool("search"):
            pass
        metrics.recorder.relieve()
        return len(metrics.recorder.events)

    with metrics.recorder.lock:
        in_child = in_a_forked_child(record)

    assert "0" == in_child


@needs_fork
@needs_quiet_fork
def test_an_ended_run_is_not_current_in_a_forked_child_and_a_live_one_is(observed):
    with observed.metrics.run("bot"):
        in_child = in_a_forked_child(lambda: observed.metrics.current_run().agent)

    assert "'bot'" == in_child
    assert "None" == in_a_forked_child(lambda: observed.metrics.current_run().agent)
