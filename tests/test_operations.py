"""What a run, a model call and a tool call record, and how each ends: design §5, sentence by sentence."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import numpy as np
import pytest

from agent_otel import MeasurementError, catalog

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

needs_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has it since Python 3.11")

USAGE = {"prompt_tokens": 812, "completion_tokens": 96}
OPEN_CALLS = [
    ("tool", catalog.TOOL_DURATION, "tool_error"),
    ("inference", catalog.INFERENCE_DURATION, "model_error"),
]


class UnheardOf(BaseException):
    """Of no class that an `except Exception` would see."""


def call_of(run, kind):
    return run.tool("search") if kind == "tool" else run.inference("gpt-5", provider="openai")


# How a run ends


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("completed", "ok"),
        ("max_steps", "incomplete"),
        ("max_tokens", "incomplete"),
        ("timeout", "incomplete"),
        ("budget_exceeded", "incomplete"),
        ("loop_detected", "incomplete"),
        ("content_filter", "incomplete"),
        ("refused", "incomplete"),
        ("guardrail", "incomplete"),
        ("human_handoff", "incomplete"),
        ("_OTHER", "incomplete"),
        ("tool_error", "error"),
        ("model_error", "error"),
        ("error", "error"),
        ("cancelled", "cancelled"),
        ("abandoned", "cancelled"),
        ("shutdown", "cancelled"),
    ],
)
def test_every_stop_reason_has_its_status_and_no_error(metrics, end, reason, status):
    with metrics.run("bot") as run:
        run.stop(reason)

    assert (status, reason, None) == end()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("length", "max_tokens"),
        ("end_turn", "completed"),
        ("SAFETY", "content_filter"),
        ("refusal", "refused"),
    ],
)
def test_stop_takes_a_providers_own_word(metrics, end, word, reason):
    with metrics.run("bot") as run:
        run.stop(word)

    assert reason == end()[1]


@pytest.mark.parametrize("word", ["out of cheese", "", None, 7, object(), np.array([1, 2]), ["max_steps"]])
def test_an_unknown_stop_reason_becomes_other(metrics, end, word):
    with metrics.run("bot") as run:
        run.stop(word)

    assert ("incomplete", "_OTHER", None) == end()


def test_the_last_stop_wins(metrics, end):
    with metrics.run("bot") as run:
        run.stop("max_steps")
        run.stop("refused")

    assert ("incomplete", "refused", None) == end()


NOTHING = None
ENDINGS = [
    # stop()         fail()            leaves the block            status       stop reason    error.type
    (NOTHING, NOTHING, NOTHING, "ok", "completed", None),
    ("completed", NOTHING, NOTHING, "ok", "completed", None),
    (NOTHING, NOTHING, ValueError(), "error", "error", "_OTHER"),
    (NOTHING, NOTHING, ConnectionError(), "error", "error", "connection"),
    (NOTHING, NOTHING, TimeoutError(), "incomplete", "timeout", "timeout"),
    (NOTHING, NOTHING, asyncio.CancelledError(), "cancelled", "cancelled", "cancelled"),
    (NOTHING, NOTHING, KeyboardInterrupt(), "cancelled", "cancelled", "cancelled"),
    (NOTHING, NOTHING, SystemExit(), "cancelled", "shutdown", "shutdown"),
    (NOTHING, NOTHING, GeneratorExit(), "cancelled", "abandoned", None),
    (NOTHING, NOTHING, UnheardOf(), "error", "error", "_OTHER"),
    # a reason other than completed stands, and the error type tells the rest
    ("max_steps", NOTHING, ValueError(), "incomplete", "max_steps", "_OTHER"),
    ("max_steps", NOTHING, asyncio.CancelledError(), "incomplete", "max_steps", "cancelled"),
    ("max_steps", NOTHING, GeneratorExit(), "incomplete", "max_steps", None),
    ("completed", NOTHING, ValueError(), "error", "error", "_OTHER"),
    ("completed", NOTHING, asyncio.CancelledError(), "cancelled", "cancelled", "cancelled"),
    ("completed", NOTHING, GeneratorExit(), "cancelled", "abandoned", None),
    # fail(): an error that doesn't leave the block
    (NOTHING, "rate_limited", NOTHING, "error", "error", "rate_limited"),
    (NOTHING, "timeout", NOTHING, "incomplete", "timeout", "timeout"),
    (NOTHING, "tool_error", NOTHING, "error", "tool_error", "_OTHER"),
    (NOTHING, "no such type", NOTHING, "error", "error", "_OTHER"),
    (NOTHING, ConnectionError(), NOTHING, "error", "error", "connection"),
    (NOTHING, asyncio.CancelledError(), NOTHING, "cancelled", "cancelled", "cancelled"),
    ("completed", "rate_limited", NOTHING, "error", "error", "rate_limited"),
    ("refused", "rate_limited", NOTHING, "incomplete", "refused", "rate_limited"),
    # an exception that leaves the block decides instead
    (NOTHING, "rate_limited", TimeoutError(), "incomplete", "timeout", "timeout"),
    ("refused", "rate_limited", TimeoutError(), "incomplete", "refused", "timeout"),
    # but whoever stops reading after a failure doesn't undo it
    (NOTHING, "rate_limited", GeneratorExit(), "error", "error", "rate_limited"),
    ("refused", "rate_limited", GeneratorExit(), "incomplete", "refused", "rate_limited"),
]


@pytest.mark.parametrize(("stop", "fail", "leaves", "status", "reason", "error_type"), ENDINGS)
def test_how_a_run_ends(metrics, end, stop, fail, leaves, status, reason, error_type):
    with contextlib.suppress(BaseException), metrics.run("bot") as run:
        if stop is not None:
            run.stop(stop)
        if fail is not None:
            run.fail(fail)
        if leaves is not None:
            raise leaves

    assert (status, reason, error_type) == end()


@pytest.mark.parametrize(("stop", "fail", "leaves", "status", "reason", "error_type"), ENDINGS)
def test_end_with_the_error_is_the_same_as_the_error_that_leaves(
    metrics, end, stop, fail, leaves, status, reason, error_type
):
    run = metrics.run("bot").start()
    if stop is not None:
        run.stop(stop)
    if fail is not None:
        run.fail(fail)
    run.end(leaves)

    assert (status, reason, error_type) == end()


def test_failing_with_nothing_is_still_a_failure(metrics, end):
    with metrics.run("bot") as run:
        run.fail(None)

    assert ("error", "error", "_OTHER") == end()


@pytest.mark.parametrize("stop", [None, "completed"])
def test_a_run_still_open_at_shutdown_ends_as_shutdown(metrics, end, stop):
    with metrics.run("bot") as run:
        if stop:
            run.stop(stop)
        metrics.end_runs()

    assert ("cancelled", "shutdown", None) == end()


def test_a_run_that_was_stopped_keeps_its_reason_at_shutdown(metrics, end):
    with metrics.run("bot") as run:
        run.stop("max_steps")
        metrics.end_runs()

    assert ("incomplete", "max_steps", None) == end()


# How a call ends, and what that means for its run


@pytest.mark.parametrize(("kind", "metric", "reason"), OPEN_CALLS)
@pytest.mark.parametrize(
    ("fail", "leaves", "error_type"),
    [
        (None, None, None),
        (None, ValueError(), "_OTHER"),
        (None, TimeoutError(), "timeout"),
        (None, PermissionError(), "permission_denied"),
        (None, asyncio.CancelledError(), "cancelled"),
        (None, KeyboardInterrupt(), "cancelled"),
        (None, SystemExit(), "shutdown"),
        (None, GeneratorExit(), None),
        ("rate_limited", None, "rate_limited"),
        (ConnectionError(), None, "connection"),
        ("no such type", None, "_OTHER"),
        ("rate_limited", TimeoutError(), "timeout"),
        ("rate_limited", GeneratorExit(), "rate_limited"),
    ],
)
def test_how_a_call_ends(metrics, totals, kind, metric, reason, fail, leaves, error_type):
    with contextlib.suppress(BaseException), metrics.run("bot") as run, call_of(run, kind) as call:
        if fail is not None:
            call.fail(fail)
        if leaves is not None:
            raise leaves

    assert {error_type: 1} == totals(metric, catalog.ERROR_TYPE)


def raised_as_it_is(error):
    raise error


def raised_as_the_cause(error):
    raise RuntimeError("gave up") from error


def raised_in_a_group(error):
    raise ExceptionGroup("parallel tools", [ValueError("another"), error])


def raised_in_a_group_of_groups(error):
    raise ExceptionGroup("outer", [ExceptionGroup("inner", [error])])


def raised_as_the_cause_of_a_member(error):
    other = RuntimeError("gave up")
    other.__cause__ = error
    raise ExceptionGroup("parallel tools", [other])


def raised_as_a_cause_of_the_cause(error):
    other = RuntimeError("gave up")
    other.__cause__ = error
    raise LookupError from other


@pytest.mark.parametrize(("kind", "metric", "reason"), OPEN_CALLS)
@pytest.mark.parametrize(
    "raised",
    [
        raised_as_it_is,
        raised_as_the_cause,
        raised_as_a_cause_of_the_cause,
        raised_in_a_group,
        raised_in_a_group_of_groups,
        raised_as_the_cause_of_a_member,
    ],
)
def test_an_exception_that_left_a_block_is_blamed_on_it(metrics, end, kind, metric, reason, raised):
    def run_it():
        with metrics.run("bot") as run:
            try:
                with call_of(run, kind):
                    raise KeyError("from the block")
            except KeyError as error:
                raised(error)

    with contextlib.suppress(Exception):
        run_it()

    assert ("error", reason) == end()[:2]


@pytest.mark.parametrize(("kind", "metric", "reason"), OPEN_CALLS)
def test_an_exception_that_came_after_a_handled_one_is_not_blamed_on_the_block(
    metrics, end, kind, metric, reason
):
    with contextlib.suppress(LookupError), metrics.run("bot") as run:
        try:
            with call_of(run, kind):
                raise ValueError
        except ValueError:
            raise LookupError from None

    assert ("error", "error", "_OTHER") == end()


@pytest.mark.parametrize(("kind", "metric", "reason"), OPEN_CALLS)
def test_an_error_that_is_handled_in_the_run_stays_with_the_call(metrics, end, totals, kind, metric, reason):
    with metrics.run("bot") as run, contextlib.suppress(ValueError), call_of(run, kind):
        raise ValueError

    assert ("ok", "completed", None) == end()
    assert {"_OTHER": 1} == totals(metric, catalog.ERROR_TYPE)


def test_a_model_call_that_fails_inside_a_tool_is_blamed_on_the_tool(metrics, end):
    with (
        contextlib.suppress(ConnectionError),
        metrics.run("bot") as run,
        run.tool("summarise"),
        run.inference("gpt-5", provider="openai"),
    ):
        raise ConnectionError

    assert ("error", "tool_error", "connection") == end()


def test_a_timeout_that_left_a_tool_is_a_tool_error_of_type_timeout(metrics, end):
    with contextlib.suppress(TimeoutError), metrics.run("bot") as run, run.tool("search"):
        raise TimeoutError

    assert ("error", "tool_error", "timeout") == end()


@pytest.mark.parametrize(("kind", "metric", "reason"), OPEN_CALLS)
def test_cancellation_comes_before_blame(metrics, end, kind, metric, reason):
    with contextlib.suppress(asyncio.CancelledError), metrics.run("bot") as run, call_of(run, kind):
        raise asyncio.CancelledError

    assert ("cancelled", "cancelled", "cancelled") == end()


def test_a_group_of_cancellations_alone_is_a_cancellation(metrics, end):
    group = BaseExceptionGroup("all", [asyncio.CancelledError(), asyncio.CancelledError()])
    with contextlib.suppress(BaseException), metrics.run("bot") as run, run.tool("search"):
        raise group

    assert ("cancelled", "cancelled", "cancelled") == end()


def test_one_real_error_among_cancellations_is_an_error(metrics, end):
    group = BaseExceptionGroup("all", [asyncio.CancelledError(), ConnectionError()])
    with contextlib.suppress(BaseException), metrics.run("bot"):
        raise group

    assert ("error", "error", "connection") == end()


@pytest.mark.parametrize("kind", ["run", "tool", "inference"])
@pytest.mark.parametrize("error_class", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, UnheardOf])
def test_an_exception_passes_through_unchanged(metrics, kind, error_class):
    error = error_class("mine")
    error.__cause__ = cause = LookupError()
    block = {
        "run": metrics.run("bot"),
        "tool": metrics.tool("t"),
        "inference": metrics.inference("m", provider="p"),
    }

    def fails():
        raise error

    with pytest.raises(error_class) as caught, block[kind]:
        fails()

    assert error is caught.value
    assert cause is error.__cause__
    assert error.__context__ is None
    assert ["test_an_exception_passes_through_unchanged", "fails"] == [
        entry.name for entry in caught.traceback
    ]


# Timeouts and tasks


async def for_ever():
    await asyncio.Event().wait()


def test_a_timeout_around_the_run_cancels_it(metrics, end):
    async def agent():
        with metrics.run("bot"):
            await for_ever()

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(agent(), 0.001))

    assert ("cancelled", "cancelled", "cancelled") == end()


def test_a_timeout_inside_the_run_is_a_timeout(metrics, end):
    async def agent():
        with metrics.run("bot"):
            await asyncio.wait_for(for_ever(), 0.001)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(agent())

    assert ("incomplete", "timeout", "timeout") == end()


@needs_3_11
def test_asyncio_timeout_around_the_run_cancels_it(metrics, end):
    async def agent():
        async with asyncio.timeout(0):
            with metrics.run("bot"):
                await for_ever()

    with pytest.raises(TimeoutError):
        asyncio.run(agent())

    assert ("cancelled", "cancelled", "cancelled") == end()


@needs_3_11
def test_asyncio_timeout_inside_the_run_is_a_timeout_though_the_tool_was_cancelled(metrics, end, totals):
    async def agent():
        with metrics.run("bot") as run:
            async with asyncio.timeout(0):
                with run.tool("slow"):
                    await for_ever()

    with pytest.raises(TimeoutError):
        asyncio.run(agent())

    assert ("incomplete", "timeout", "timeout") == end()
    assert {"cancelled": 1} == totals(catalog.TOOL_DURATION, catalog.ERROR_TYPE)


@needs_3_11
def test_asyncio_timeout_inside_the_tool_is_the_tools_error(metrics, end, totals):
    async def agent():
        with metrics.run("bot") as run, run.tool("slow"):
            async with asyncio.timeout(0):
                await for_ever()

    with pytest.raises(TimeoutError):
        asyncio.run(agent())

    assert ("error", "tool_error", "timeout") == end()
    assert {"timeout": 1} == totals(catalog.TOOL_DURATION, catalog.ERROR_TYPE)


@needs_3_11
def test_one_failing_tool_of_three_in_a_task_group_gives_one_error_and_two_cancellations(
    metrics, end, totals, sums
):
    async def use(tool, wait):
        with metrics.tool(tool):
            await wait

    async def fail():
        raise ConnectionError

    async def agent():
        with metrics.run("bot"):
            async with asyncio.TaskGroup() as group:
                group.create_task(use("patient", for_ever()))
                group.create_task(use("patient", for_ever()))
                group.create_task(use("broken", fail()))

    with pytest.raises(ExceptionGroup):
        asyncio.run(agent())

    assert ("error", "tool_error", "connection") == end()
    assert {("patient", "cancelled"): 2, ("broken", "connection"): 1} == totals(
        catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE
    )
    assert 3 == sums(catalog.RUN_TOOL_CALLS)


# What a run counts


def test_a_run_records_its_duration_its_calls_and_its_steps_once(metrics, clock, sums, totals):
    with metrics.run("bot", version="v7") as run:
        for _ in run.steps(range(3)):
            with run.inference("gpt-5", provider="openai") as call:
                call.usage(USAGE)
                clock.advance(2)
            with run.tool("search"):
                clock.advance(0.5)

    bot = ("bot", "v7")
    per_run = {
        metric: sums(metric, *catalog.A)
        for metric in (
            catalog.RUN_DURATION,
            catalog.RUN_STEPS,
            catalog.RUN_INFERENCE_CALLS,
            catalog.RUN_TOOL_CALLS,
            catalog.RUN_TOKEN_USAGE,
            catalog.INFERENCE_DURATION,
            catalog.TOOL_DURATION,
        )
    }

    assert {
        catalog.RUN_DURATION: {bot: 7.5},
        catalog.RUN_STEPS: {bot: 3},
        catalog.RUN_INFERENCE_CALLS: {bot: 3},
        catalog.RUN_TOOL_CALLS: {bot: 3},
        catalog.RUN_TOKEN_USAGE: {bot: 3 * (812 + 96)},
        catalog.INFERENCE_DURATION: {bot: 6.0},
        catalog.TOOL_DURATION: {bot: 1.5},
    } == per_run
    assert {bot: 1} == totals(catalog.RUN_DURATION, *catalog.A)


def test_a_run_that_did_nothing_records_zeros(metrics, sums, totals):
    with metrics.run("bot"):
        pass

    for metric in (
        catalog.RUN_STEPS,
        catalog.RUN_INFERENCE_CALLS,
        catalog.RUN_TOOL_CALLS,
        catalog.RUN_TOKEN_USAGE,
    ):
        assert (1, 0) == (totals(metric), sums(metric))


def test_a_run_counts_as_active_while_it_lasts(metrics, totals, clock, sums, captured):
    with metrics.run("bot"):
        clock.advance(60)
        during = totals(catalog.ACTIVE_RUNS, catalog.AGENT_NAME)
        age = totals(catalog.OLDEST_AGE, catalog.AGENT_NAME)
    after = [point.value for point in captured.points(catalog.ACTIVE_RUNS).values()]
    age_after = [point.value for point in captured.points(catalog.OLDEST_AGE).values()]

    assert {"bot": 1} == during
    assert {"bot": 60} == age
    assert [0] == after
    assert [0] == age_after


def items(count):
    return range(count)


def iterator(count):
    return iter(range(count))


def generator(count):
    yield from range(count)


@pytest.mark.parametrize("make", [items, iterator, generator])
def test_a_step_is_counted_for_each_item_handed_over(metrics, sums, make):
    with metrics.run("bot") as run:
        got = list(run.steps(make(5)))

    assert [0, 1, 2, 3, 4] == got
    assert 5 == sums(catalog.RUN_STEPS)


def test_a_loop_that_is_left_counts_the_step_it_was_left_in(metrics, sums, end):
    with metrics.run("bot") as run:
        for item in run.steps(range(8)):
            if item == 2:
                break

    assert 3 == sums(catalog.RUN_STEPS)
    assert ("ok", "completed", None) == end()


def test_an_exception_of_the_items_passes_through_the_steps(metrics, sums):
    def breaking():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"), metrics.run("bot") as run:
        for _ in run.steps(breaking()):
            pass

    assert 1 == sums(catalog.RUN_STEPS)


def test_steps_take_an_async_iterable_and_count_what_was_handed_over(metrics, sums):
    async def events():
        for number in range(5):
            yield number

    async def agent():
        with metrics.run("bot") as run:
            return [number async for number in run.steps(events())]

    assert [0, 1, 2, 3, 4] == asyncio.run(agent())
    assert 5 == sums(catalog.RUN_STEPS)


def test_steps_that_decide_no_outcome_end_as_completed(metrics, end):
    with metrics.run("bot") as run:
        for _ in run.steps(range(8)):
            pass

    assert ("ok", "completed", None) == end()


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ([], 0),
        ([()], 1),
        ([(3,)], 3),
        ([(), (2,), (0,)], 3),
        ([(0,)], 0),
        ([(2.0,)], 2),
        ([(np.int64(4),)], 4),
    ],
)
def test_step_counts_by_hand(metrics, sums, given, steps):
    with metrics.run("bot") as run:
        for arguments in given:
            run.step(*arguments)

    assert steps == sums(catalog.RUN_STEPS)


def test_a_run_that_counted_no_steps_records_its_model_calls_as_steps(metrics, sums):
    with metrics.run("bot") as run:
        for _ in range(4):
            with run.inference("gpt-5", provider="openai") as call:
                call.usage(USAGE)

    assert 4 == sums(catalog.RUN_STEPS)


@pytest.mark.parametrize("bad", [-1, 1.5, "3", None, True, float("nan"), float("inf"), object(), 2**40, [1]])
def test_a_wrong_number_of_steps_is_left_out_and_counted_as_dropped(metrics, sums, totals, bad):
    with metrics.run("bot") as run:
        run.step(2)
        run.step(bad)

    assert 2 == sums(catalog.RUN_STEPS)
    assert 1 == totals(catalog.DROPPED_MEASUREMENTS)


@pytest.mark.parametrize(
    ("tools", "counted"),
    [
        (["search"], {"search": 1, "_OTHER": 1}),
        ({"search", "made_up"}, {"search": 1, "made_up": 1}),
        ([], {"_OTHER": 2}),
        (None, {"search": 1, "made_up": 1}),
        ("search", {"search": 1, "_OTHER": 1}),
        ([items, "search"], {"search": 1, "_OTHER": 1}),
        (7, {"search": 1, "made_up": 1}),
    ],
)
def test_a_tool_that_the_run_did_not_declare_becomes_other(metrics, totals, tools, counted):
    with metrics.run("bot", tools=tools) as run:
        for name in ("search", "made_up"):
            with run.tool(name):
                pass

    assert counted == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME)


def test_a_declared_tool_can_be_the_function_itself(metrics, totals):
    @metrics.tool
    def search():
        pass

    with metrics.run("bot", tools=[search]):
        search()

    assert {"search": 1} == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME)


@pytest.mark.parametrize(("given", "kind"), [({}, "function"), ({"type": "datastore"}, "datastore")])
def test_a_tool_call_carries_its_type(metrics, totals, given, kind):
    with metrics.tool("lookup", **given):
        pass

    assert {("lookup", kind): 1} == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.TOOL_TYPE)


# Without a block


def test_start_and_end_are_the_block_in_two_calls(metrics, clock, totals, sums):
    run = metrics.run("bot").start()
    call = run.inference("gpt-5", provider="openai").start()
    clock.advance(2)
    call.usage(USAGE)
    call.end()
    tool = run.tool("search").start()
    clock.advance(1)
    tool.end(ConnectionError())
    run.end()

    assert {None: 1} == totals(catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert {"connection": 1} == totals(catalog.TOOL_DURATION, catalog.ERROR_TYPE)
    assert {("ok", "completed"): 1} == totals(catalog.RUNS, catalog.RUN_STATUS, catalog.STOP_REASON)
    assert (3, 2, 1) == (
        sums(catalog.RUN_DURATION),
        sums(catalog.INFERENCE_DURATION),
        sums(catalog.TOOL_DURATION),
    )


@pytest.mark.parametrize("kind", ["run", "tool", "inference"])
def test_a_second_end_is_ignored(metrics, totals, kind):
    measured = metrics.run("bot") if kind == "run" else call_of(metrics, kind)
    metric = {"run": catalog.RUNS, "tool": catalog.TOOL_DURATION, "inference": catalog.INFERENCE_DURATION}[
        kind
    ]
    measured.start()
    measured.end()
    measured.end(ValueError())

    assert 1 == totals(metric)
    assert {} == {error: n for error, n in totals(metric, catalog.ERROR_TYPE).items() if error is not None}


@pytest.mark.parametrize("kind", ["run", "tool", "inference"])
def test_an_end_without_a_start_is_ignored(metrics, totals, kind):
    measured = metrics.run("bot") if kind == "run" else call_of(metrics, kind)
    metric = {"run": catalog.RUNS, "tool": catalog.TOOL_DURATION, "inference": catalog.INFERENCE_DURATION}[
        kind
    ]
    measured.end()

    assert 0 == totals(metric)


def test_the_end_inside_its_block_is_the_end(metrics, clock, sums, end):
    with metrics.run("bot") as run:
        clock.advance(1)
        run.end()
        clock.advance(10)

    assert 1 == sums(catalog.RUN_DURATION)
    assert ("ok", "completed", None) == end()


def test_a_run_that_is_started_twice_is_one_run(metrics, clock, sums, end):
    run = metrics.run("bot").start()
    clock.advance(1)
    again = run.start()
    clock.advance(1)
    run.end()

    assert again is run
    assert 2 == sums(catalog.RUN_DURATION)
    assert ("ok", "completed", None) == end()


def test_a_run_that_has_ended_does_not_begin_again(metrics, totals):
    run = metrics.run("bot")
    with run:
        pass
    with run, metrics.tool("late"):
        assert run is not metrics.current_run()

    assert 1 == totals(catalog.RUNS)
    assert {None: 1} == totals(catalog.TOOL_DURATION, catalog.AGENT_NAME)


@pytest.mark.parametrize(("kind", "metric", "_reason"), OPEN_CALLS)
def test_a_call_object_that_is_used_twice_measures_two_calls(
    metrics, clock, totals, sums, kind, metric, _reason
):
    with metrics.run("bot") as run:
        call = call_of(run, kind)
        with contextlib.suppress(ValueError), call:
            clock.advance(1)
            raise ValueError
        with call:
            clock.advance(2)

    assert {"_OTHER": 1, None: 1} == totals(metric, catalog.ERROR_TYPE)
    assert {"_OTHER": 1, None: 2} == sums(metric, catalog.ERROR_TYPE)


def test_a_model_call_object_that_is_used_twice_forgets_the_first_calls_usage_and_first_chunk(
    metrics, totals
):
    call = metrics.inference("gpt-5", provider="openai")
    with call:
        call.first_chunk()
        call.usage(USAGE)
    with call:
        pass

    assert 1 == totals(catalog.USAGE_MISSING)
    assert 1 == totals(catalog.TIME_TO_FIRST_CHUNK)
    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)


# Tokens


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ([{"input": 10, "output": 5}], {"input": 10, "output": 5}),
        (
            [{"input": 10, "output": 5, "cache_read": 3, "cache_write": 2, "reasoning": 1}],
            {"input": 5, "cache_read": 3, "cache_write": 2, "output": 4, "reasoning": 1},
        ),
        ([{"input": 10, "cache_read": 10, "output": 5, "reasoning": 5}], {"cache_read": 10, "reasoning": 5}),
        # per kind the last value wins; absent is not zero
        ([{"input": 10, "output": 1}, {"output": 5}], {"input": 10, "output": 5}),
        ([{"input": 10, "output": 5}, {"input": None, "output": None}], {"input": 10, "output": 5}),
        ([{"input": 10, "output": 5}, {"input": 7, "output": 0}], {"input": 7}),
        ([{"input": 10, "output": 5}, {"cache_read": 4}], {"input": 6, "cache_read": 4, "output": 5}),
        ([{"input": np.int64(10), "output": 5.0}], {"input": 10, "output": 5}),
    ],
)
def test_tokens_are_given_inclusive_and_recorded_as_disjoint_parts(metrics, totals, sums, given, parts):
    with metrics.run("bot") as run, run.inference("gpt-5", provider="openai") as call:
        for counts in given:
            call.tokens(**counts)

    assert parts == totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert sum(parts.values()) == sums(catalog.RUN_TOKEN_USAGE)
    assert 0 == totals(catalog.USAGE_MISSING)


def test_tokens_are_recorded_inclusive_under_upstreams_names(metrics, totals):
    with metrics.inference("gpt-5", provider="openai") as call:
        call.tokens(input=10, output=5, cache_read=3, cache_write=2, reasoning=1)

    assert [10, 5, 3, 2, 1] == [totals(metric) for metric in catalog.GENERATIONS["v0.1"].usage]


@pytest.mark.parametrize(
    "counts",
    [
        {"input": 10, "output": 5, "cache_read": 11},
        {"input": 10, "output": 5, "cache_read": 6, "cache_write": 5},
        {"input": 10, "output": 5, "reasoning": 6},
        {"input": -1, "output": 5},
        {"input": 10, "output": 5.5},
        {"input": "10", "output": 5},
        {"input": True, "output": 5},
        {"input": 10, "output": float("nan")},
        {"input": 10, "output": 2**40},
        {"input": object(), "output": 5},
    ],
)
def test_a_bad_count_drops_the_usage_of_its_call_and_nothing_else(metrics, totals, counts):
    with metrics.run("bot") as run, run.inference("gpt-5", provider="openai") as call:
        call.tokens(**counts)

    assert {} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert 1 == totals(catalog.USAGE_MISSING)
    assert 1 == totals(catalog.DROPPED_MEASUREMENTS)
    assert 0 == totals(catalog.RUN_TOKEN_USAGE)
    assert 1 == totals(catalog.INFERENCE_DURATION) == totals(catalog.RUNS)


def test_usage_is_read_from_a_reply_and_an_unknown_shape_changes_nothing(metrics, totals):
    with metrics.inference("gpt-5", provider="openai") as call:
        call.usage({"usage": USAGE})
        call.usage(object())
        call.usage(None)
        call.usage({"usage": None})

    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)


# usage_missing


@pytest.mark.parametrize(
    ("first_chunk", "tokens", "leaves", "missing"),
    [
        # ended normally
        (False, {"input": 10, "output": 5}, None, 0),
        (False, {"input": 0, "output": 0}, None, 0),
        (False, {}, None, 1),
        (False, {"input": 10}, None, 1),
        (False, {"output": 5}, None, 1),
        (True, {}, None, 1),
        (True, {"input": 10, "output": 5}, None, 0),
        # what fails before a chunk cost nothing that anybody knows of
        (False, {}, ConnectionError(), 0),
        (True, {}, ConnectionError(), 1),
        (True, {"input": 10, "output": 5}, ConnectionError(), 0),
        (False, {}, asyncio.CancelledError(), 0),
        (True, {}, asyncio.CancelledError(), 1),
        # left early: no failure
        (True, {}, GeneratorExit(), 1),
        (False, {}, GeneratorExit(), 1),
    ],
)
def test_usage_missing_counts_calls_that_ended_well_or_after_a_first_chunk(
    metrics, totals, first_chunk, tokens, leaves, missing
):
    with (
        contextlib.suppress(BaseException),
        metrics.run("bot") as run,
        run.inference("gpt-5", provider="openai") as call,
    ):
        if first_chunk:
            call.first_chunk()
        call.tokens(**tokens)
        if leaves is not None:
            raise leaves

    assert missing == totals(catalog.USAGE_MISSING)
    assert 1 - missing == totals(catalog.RUN_TOKEN_USAGE)


def test_a_call_that_failed_softly_before_any_chunk_is_not_missing(metrics, totals):
    with metrics.inference("gpt-5", provider="openai") as call:
        call.fail("overloaded")

    assert 0 == totals(catalog.USAGE_MISSING)


def test_one_call_without_usage_makes_the_tokens_of_its_run_unknown(metrics, totals):
    with metrics.run("bot") as run:
        with run.inference("gpt-5", provider="openai") as call:
            call.usage(USAGE)
        with run.inference("gpt-5", provider="openai"):
            pass

    assert 0 == totals(catalog.RUN_TOKEN_USAGE)
    assert {("openai", "gpt-5"): 1} == totals(catalog.USAGE_MISSING, catalog.PROVIDER, catalog.MODEL)


# Operations


@pytest.mark.parametrize("operation", ["chat", "generate_content", "text_completion"])
def test_these_operations_are_inference_calls(metrics, totals, sums, operation):
    with metrics.run("bot") as run, run.inference("m", provider="p", operation=operation) as call:
        call.usage(USAGE)

    assert {(operation, "p", "m"): 1} == totals(catalog.INFERENCE_DURATION, *catalog.C)
    assert 1 == sums(catalog.RUN_INFERENCE_CALLS)
    assert 0 == totals(catalog.OPERATION_DURATION)


def test_embeddings_are_measured_but_are_no_inference_call(metrics, totals, sums):
    with metrics.run("bot") as run, run.inference("e", provider="p", operation="embeddings") as call:
        call.tokens(input=40)

    assert {("embeddings", "p", "e"): 1} == totals(catalog.OPERATION_DURATION, *catalog.C)
    assert 0 == totals(catalog.INFERENCE_DURATION)
    assert 0 == sums(catalog.RUN_INFERENCE_CALLS) == sums(catalog.RUN_STEPS)
    assert {"input": 40} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert 0 == totals(catalog.USAGE_MISSING)
    assert 40 == sums(catalog.RUN_TOKEN_USAGE)


def test_embeddings_without_usage_are_missing_it(metrics, totals):
    with metrics.inference("e", provider="p", operation="embeddings"):
        pass

    assert 1 == totals(catalog.USAGE_MISSING)


def test_no_usage_is_expected_of_another_operation(metrics, totals):
    with metrics.run("bot") as run, run.inference("m", provider="p", operation="fetch_response"):
        pass

    assert 0 == totals(catalog.USAGE_MISSING)
    assert 1 == totals(catalog.RUN_TOKEN_USAGE)
    assert {"fetch_response": 1} == totals(catalog.OPERATION_DURATION, catalog.OPERATION)


@pytest.mark.parametrize(
    ("semconv", "recorded"),
    [
        ("v0.1", {catalog.INFERENCE_DURATION: 1, catalog.OPERATION_DURATION: 1, catalog.TOKEN_USAGE: 0}),
        ("v1.37", {catalog.INFERENCE_DURATION: 0, catalog.OPERATION_DURATION: 2, catalog.TOKEN_USAGE: 2}),
        ("none", {catalog.INFERENCE_DURATION: 0, catalog.TOKEN_USAGE: 0}),
    ],
)
def test_the_generation_decides_the_names_and_nothing_is_recorded_twice(observe, semconv, recorded):
    observed = observe(semconv=semconv)
    with observed.metrics.run("bot") as run:
        with run.inference("m", provider="p") as call:
            call.usage(USAGE)
        with run.inference("m", provider="p", operation="embeddings") as call:
            call.fail("overloaded")

    assert recorded == {metric: observed.totals(metric) for metric in recorded}
    assert 812 + 96 == observed.totals(catalog.TOKENS)
    assert 1 == observed.sums(catalog.RUN_INFERENCE_CALLS)


# Streams


def stream():
    yield {"choices": ["He"]}
    yield {"choices": ["llo"]}
    yield {"choices": [], "usage": USAGE}


async def async_stream():
    for chunk in stream():
        yield chunk


def test_chunks_mark_the_first_and_read_usage_as_it_passes(metrics, clock, totals, sums):
    def slow():
        for chunk in stream():
            clock.advance(1)
            yield chunk

    with metrics.inference("gpt-5", provider="openai") as call:
        got = list(call.chunks(slow()))

    assert list(stream()) == got
    assert (1, 1) == (totals(catalog.TIME_TO_FIRST_CHUNK), sums(catalog.TIME_TO_FIRST_CHUNK))
    assert 3 == sums(catalog.INFERENCE_DURATION)
    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)


def test_async_chunks_mark_the_first_and_read_usage_as_it_passes(metrics, clock, totals, sums):
    async def slow():
        async for chunk in async_stream():
            clock.advance(1)
            yield chunk

    async def agent():
        with metrics.inference("gpt-5", provider="openai") as call:
            return [chunk async for chunk in call.chunks(slow())]

    assert list(stream()) == asyncio.run(agent())
    assert (1, 1) == (totals(catalog.TIME_TO_FIRST_CHUNK), sums(catalog.TIME_TO_FIRST_CHUNK))
    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)


def test_only_the_first_mark_of_a_first_chunk_counts(metrics, clock, sums, totals):
    with metrics.inference("gpt-5", provider="openai") as call:
        clock.advance(1)
        call.first_chunk()
        clock.advance(1)
        call.first_chunk()

    assert (1, 1) == (totals(catalog.TIME_TO_FIRST_CHUNK), sums(catalog.TIME_TO_FIRST_CHUNK))


def test_a_call_without_a_stream_has_no_first_chunk(metrics, totals):
    with metrics.inference("gpt-5", provider="openai") as call:
        call.usage(USAGE)

    assert 0 == totals(catalog.TIME_TO_FIRST_CHUNK)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_first_chunk_outside_the_call_is_ignored(metrics, totals, when):
    call = metrics.inference("gpt-5", provider="openai")
    if when == "before":
        call.first_chunk()
    with call:
        call.usage(USAGE)
    if when == "after":
        call.first_chunk()

    assert 0 == totals(catalog.TIME_TO_FIRST_CHUNK)


def test_a_stream_that_is_left_early_is_no_error_and_its_usage_is_missing(metrics, totals):
    def answer():
        with metrics.inference("gpt-5", provider="openai") as call:
            yield from call.chunks(stream())

    answering = answer()
    next(answering)
    answering.close()

    assert {None: 1} == totals(catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert 1 == totals(catalog.TIME_TO_FIRST_CHUNK) == totals(catalog.USAGE_MISSING)


def test_a_stream_that_breaks_off_is_an_error_and_its_usage_is_missing(metrics, totals):
    def broken():
        yield {"choices": ["He"]}
        raise ConnectionError

    with pytest.raises(ConnectionError), metrics.inference("gpt-5", provider="openai") as call:
        for _ in call.chunks(broken()):
            pass

    assert {"connection": 1} == totals(catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert 1 == totals(catalog.TIME_TO_FIRST_CHUNK) == totals(catalog.USAGE_MISSING)


# Verdicts


def test_a_verdict_can_come_during_the_run_after_it_and_days_later(metrics, totals):
    with metrics.run("bot", version="v7") as run:
        run.evaluation("task_solved", "pass")
        metrics.evaluation("task_solved", "fail")
    run.evaluation("task_solved", "pass")
    metrics.evaluation("thumbs", "up", agent="bot", version="v6")
    metrics.evaluation("thumbs", "up")

    assert {
        ("bot", "v7", "task_solved", "pass"): 2,
        ("bot", "v7", "task_solved", "fail"): 1,
        ("bot", "v6", "thumbs", "up"): 1,
        (None, None, "thumbs", "up"): 1,
    } == totals(catalog.EVALUATIONS, *catalog.A, catalog.EVALUATION_NAME, catalog.EVALUATION_LABEL)


def test_a_verdict_changes_no_outcome(metrics, end):
    with metrics.run("bot") as run:
        run.evaluation("task_solved", "fail")

    assert ("ok", "completed", None) == end()


# Signatures


@pytest.mark.parametrize(
    "wrong",
    [
        lambda metrics: metrics.run(),
        lambda metrics: metrics.run("bot", "v7"),
        lambda metrics: metrics.run("bot", release="v7"),
        lambda metrics: metrics.run("bot").inference("m"),
        lambda metrics: metrics.run("bot").inference("m", "p"),
        lambda metrics: metrics.inference(provider="p"),
        lambda metrics: metrics.tool(),
        lambda metrics: metrics.tool("t", "function"),
        lambda metrics: metrics.run("bot").stop(),
        lambda metrics: metrics.run("bot").fail(),
        lambda metrics: metrics.run("bot").evaluation("task_solved"),
        lambda metrics: metrics.run("bot").steps(),
        lambda metrics: metrics.inference("m", provider="p").tokens(10, 5),
        lambda metrics: metrics.inference("m", provider="p").tokens(prompt=10),
        lambda metrics: metrics.inference("m", provider="p").usage(),
        lambda metrics: metrics.inference("m", provider="p").chunks(),
    ],
)
def test_a_wrong_signature_raises_at_once(metrics, wrong):
    with pytest.raises(TypeError):
        wrong(metrics)


def test_a_call_that_is_under_way_cannot_begin_again_and_strict_mode_says_so(observe):
    call = observe(strict=True).metrics.tool("search")
    with call, pytest.raises(MeasurementError, match="under way"):
        call.start()


def test_fail_outside_a_call_marks_nothing(metrics, totals):
    call = metrics.tool("search")
    with call:
        pass
    call.fail("timeout")
    with call:
        pass

    assert {None: 2} == totals(catalog.TOOL_DURATION, catalog.ERROR_TYPE)


@pytest.mark.parametrize("word", ["no such type", 7])
def test_an_unknown_error_type_becomes_other_and_strict_mode_says_so(observe, word):
    observed = observe(strict=True)
    with (
        pytest.raises(MeasurementError, match="word"),
        observed.metrics.run("bot"),
        observed.metrics.tool("search") as call,
    ):
        call.fail(word)


def test_strict_mode_never_replaces_the_exception_that_leaves_a_block(observe):
    metrics = observe(strict=True).metrics
    with pytest.raises(KeyError, match="mine"), metrics.run("bot"), metrics.tool(b"bytes are no name"):
        raise KeyError("mine")

    with pytest.raises(MeasurementError, match="give a text"), metrics.tool("search"):
        pass
