"""Decorated functions of every kind: each call is one operation, and nothing else about the function changes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import gc
import inspect
import threading
import weakref

import pytest

from agent_otel import catalog

USAGE = {"prompt_tokens": 812, "completion_tokens": 96}


def tools(totals):
    return totals(catalog.TOOL_DURATION, catalog.TOOL_NAME)


def drive(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


# What a decorated function is


def plain(question: str, *, depth: int = 1) -> str:
    """Answer it."""
    return f"{question}/{depth}"


async def coroutine(question: str, *, depth: int = 1) -> str:
    """Answer it."""
    return f"{question}/{depth}"


def generator(question: str, *, depth: int = 1):
    """Answer it."""
    yield question
    yield depth


async def async_generator(question: str, *, depth: int = 1):
    """Answer it."""
    yield question
    yield depth


KINDS = [plain, coroutine, generator, async_generator]


def called(function, *args, **kwargs):
    """Call a function of any kind to its end and return what came out."""
    result = function(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isgenerator(result):
        return list(result)
    if inspect.isasyncgen(result):

        async def collect():
            return [item async for item in result]

        return asyncio.run(collect())
    return result


def decorators(metrics):
    return {
        "run": metrics.run("bot"),
        "tool": metrics.tool("named"),
        "bare tool": metrics.tool,
        "inference": metrics.inference("gpt-5", provider="openai"),
    }


@pytest.mark.parametrize("decorator", ["run", "tool", "bare tool", "inference"])
@pytest.mark.parametrize("function", KINDS)
def test_a_decorated_function_looks_and_behaves_like_the_function(metrics, decorator, function):
    decorated = decorators(metrics)[decorator](function)

    assert inspect.signature(function) == inspect.signature(decorated)
    assert (function.__name__, function.__qualname__) == (decorated.__name__, decorated.__qualname__)
    assert (function.__doc__, function.__module__) == (decorated.__doc__, decorated.__module__)
    assert function is decorated.__wrapped__
    for is_kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert is_kind(function) == is_kind(decorated)
    assert called(function, "why", depth=2) == called(decorated, "why", depth=2)


@pytest.mark.parametrize("function", KINDS)
def test_each_call_is_a_run_of_its_own(metrics, totals, function):
    decorated = metrics.run("bot", version="v7")(function)
    for _ in range(3):
        called(decorated, "why")

    assert {("bot", "v7", "ok", "completed"): 3} == totals(
        catalog.RUNS, *catalog.A, catalog.RUN_STATUS, catalog.STOP_REASON
    )


@pytest.mark.parametrize("function", KINDS)
def test_a_bare_tool_has_the_name_of_its_function(metrics, totals, function):
    decorated = metrics.tool(function)
    with metrics.run("bot"):
        called(decorated, "why")

    assert {(function.__name__, "function"): 1} == totals(
        catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.TOOL_TYPE
    )


@pytest.mark.parametrize("function", KINDS)
def test_a_function_that_is_never_called_or_whose_body_never_starts_is_not_recorded(
    metrics, totals, function
):
    decorated = metrics.run("bot")(function)
    if function is not plain:
        result = decorated("why")
        if inspect.iscoroutine(result):
            result.close()
        del result
    gc.collect()

    assert 0 == totals(catalog.RUNS) == totals(catalog.ACTIVE_RUNS)


@pytest.mark.parametrize("function", KINDS)
def test_wrong_arguments_raise_what_python_raises(metrics, function):
    decorated = metrics.tool(function)

    with pytest.raises(TypeError, match=f"{function.__name__}.. got an unexpected keyword argument 'colour'"):
        called(decorated, "why", colour="red")


def failing(kind):
    error = LookupError("mine")

    def plain():
        raise error

    async def coroutine():
        raise error

    def generator():
        yield 1
        raise error

    async def async_generator():
        yield 1
        raise error

    return error, {"plain": plain, "coroutine": coroutine, "generator": generator, "async": async_generator}[
        kind
    ]


@pytest.mark.parametrize("kind", ["plain", "coroutine", "generator", "async"])
def test_the_error_of_a_function_is_the_one_raised(metrics, end, totals, kind):
    error, function = failing(kind)
    tool = metrics.tool("search")(function)

    def passes_on():
        return called(tool)

    with pytest.raises(LookupError) as caught:
        metrics.run("bot")(passes_on)()

    assert error is caught.value
    assert error.__cause__ is None
    assert "tool_error" == end()[1]
    assert {("search", "_OTHER"): 1} == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE)


def test_a_decorated_run_knows_itself_as_the_current_run(metrics, end):
    @metrics.run("bot")
    def agent():
        metrics.stop("max_steps")

    agent()

    assert ("incomplete", "max_steps", None) == end()


def test_a_decorated_function_may_call_itself(metrics, totals):
    @metrics.run("bot")
    def agent(depth):
        return depth and agent(depth - 1)

    agent(2)

    assert {None: 1, "true": 2} == totals(catalog.RUNS, catalog.RUN_NESTED)


def test_a_decorated_run_keeps_what_the_run_declared(observe):
    observed = observe(attributes={"app.tier": 3})
    tier = observed.metrics.settings.tailored(catalog.RUNS).attributes[2]

    @observed.metrics.run("bot", version="v7", tools=["search"], attributes={"app.tier": "gold"})
    def agent():
        with observed.metrics.tool("made_up"):
            pass

    agent()

    assert {("bot", "v7", "gold"): 1} == observed.totals(catalog.RUNS, *catalog.A, tier)
    assert {"_OTHER": 1} == tools(observed.totals)


# What can be decorated


class Toolbox:
    """One method of each kind; `decorate` makes a class whose methods are measured."""

    @staticmethod
    def decorate(tool):
        class Measured:
            @tool
            def method(self, x):
                return ("method", x)

            @tool
            async def async_method(self, x):
                return ("async_method", x)

            @classmethod
            @tool
            def class_inside(cls, x):
                return ("class_inside", x)

            @tool
            @classmethod
            def class_outside(cls, x):
                assert isinstance(cls, type)
                return ("class_outside", x)

            @staticmethod
            @tool
            def static_inside(x):
                return ("static_inside", x)

            @tool
            @staticmethod
            def static_outside(x):
                return ("static_outside", x)

            @tool
            @staticmethod
            async def async_static(x):
                return ("async_static", x)

        return Measured


METHODS = [
    "method",
    "async_method",
    "class_inside",
    "class_outside",
    "static_inside",
    "static_outside",
    "async_static",
]


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_every_kind_can_be_tools(metrics, totals, name):
    toolbox = Toolbox.decorate(metrics.tool)()

    assert (name, 1) == called(getattr(toolbox, name), 1)
    assert {name: 1} == tools(totals)


@pytest.mark.parametrize("name", METHODS[2:])
def test_class_and_static_methods_can_be_called_on_the_class(metrics, totals, name):
    toolbox = Toolbox.decorate(metrics.tool)

    assert (name, 1) == called(getattr(toolbox, name), 1)
    assert {name: 1} == tools(totals)


def test_a_bound_method_can_be_a_tool(metrics, totals):
    class Shop:
        def find(self, x):
            return x

    assert 3 == metrics.tool(Shop().find)(3)
    assert {"find": 1} == tools(totals)


@pytest.mark.parametrize("function", KINDS)
def test_a_partial_is_measured_as_its_function_is(metrics, totals, function):
    decorated = metrics.tool(functools.partial(function, depth=3))

    assert called(function, "why", depth=3) == called(decorated, "why")
    assert {function.__name__: 1} == tools(totals)


def test_a_callable_object_is_measured_as_its_call_is(metrics, totals):
    class Fetch:
        def __init__(self):
            self.seen = []

        async def __call__(self, x):
            await asyncio.Event().wait() if x is None else None
            self.seen.append(x)
            return x

    fetch = Fetch()
    decorated = metrics.tool(fetch)

    assert inspect.iscoroutinefunction(decorated)
    assert 3 == called(decorated, 3)
    assert [3] == fetch.seen
    assert {"Fetch": 1} == tools(totals)


def test_a_builtin_and_a_class_can_be_tools(metrics, totals):
    class Query:
        def __init__(self, text):
            self.text = text

        async def __call__(self):
            """Of its instances, not of the class."""

    assert 3 == metrics.tool(len)("abc")
    assert "abc" == metrics.tool(Query)("abc").text
    assert {"len": 1, "Query": 1} == tools(totals)


def test_a_decorator_object_serves_several_functions_and_blocks(metrics, totals):
    search = metrics.tool("search")
    first, second = search(lambda: 1), search(lambda: 2)
    with search:
        pass

    assert [1, 2] == [first(), second()]
    assert {"search": 3} == tools(totals)


def test_calls_of_one_decorated_function_in_several_threads_are_calls_each(metrics, totals):
    inside = threading.Barrier(8)

    @metrics.tool
    def search():
        inside.wait(10)

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {"search": 8} == tools(totals)


# Generators


def agent_of(metrics):
    """A generator agent that tells what happened to it."""

    @metrics.run("bot")
    def agent(log):
        with metrics.tool("first"):
            pass
        try:
            got = yield "one"
            log.append(got)
            try:
                yield "two"
            except LookupError as error:
                log.append(repr(error))
                yield "rescued"
            with metrics.tool("last"):
                pass
        finally:
            log.append("closed")
        return "result"

    return agent


def test_an_exhausted_generator_is_a_completed_run(metrics, end, sums):
    log = []

    assert ["one", "two"] == list(agent_of(metrics)(log))
    assert [None, "closed"] == log
    assert ("ok", "completed", None) == end()
    assert 2 == sums(catalog.RUN_TOOL_CALLS)


def test_a_generator_keeps_what_is_sent_thrown_and_returned(metrics, end):
    log = []
    agent = agent_of(metrics)(log)

    assert "one" == next(agent)
    assert "two" == agent.send("more")
    assert "rescued" == agent.throw(LookupError("gone"))
    with pytest.raises(StopIteration) as stop:
        next(agent)
    assert "result" == stop.value.value
    assert ["more", "LookupError('gone')", "closed"] == log
    assert ("ok", "completed", None) == end()


def test_yield_from_gives_the_value_that_a_generator_returned(metrics):
    def outer():
        return (yield from agent_of(metrics)([]))

    got = outer()

    assert ["one", "two"] == [next(got), next(got)]
    with pytest.raises(StopIteration) as stop:
        next(got)
    assert "result" == stop.value.value


def test_an_exception_thrown_in_that_the_body_does_not_catch_is_the_runs(metrics, end):
    log, error = [], KeyError("mine")
    agent = agent_of(metrics)(log)
    next(agent)

    with pytest.raises(KeyError) as caught:
        agent.throw(error)

    assert error is caught.value
    assert ["closed"] == log
    assert ("error", "error", "_OTHER") == end()


def leave_by_break(agent):
    for _ in agent:
        break
    del agent
    gc.collect()


def leave_by_close(agent):
    next(agent)
    agent.close()


def leave_by_throw(agent):
    next(agent)
    with pytest.raises(GeneratorExit):
        agent.throw(GeneratorExit())


def leave_by_an_exception_of_the_consumer(agent):
    def consume(items):
        for _ in items:
            raise ValueError

    with contextlib.suppress(ValueError):
        consume(agent)
    del agent
    gc.collect()


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_close, leave_by_throw, leave_by_an_exception_of_the_consumer]
)
def test_a_generator_that_its_caller_leaves_is_abandoned_and_closed(metrics, end, leave, totals):
    log = []
    agent = [agent_of(metrics)(log)]
    leave(agent.pop())

    assert ["closed"] == log
    assert ("cancelled", "abandoned", None) == end()
    assert 0 == totals(catalog.ACTIVE_RUNS)


def test_a_generator_tool_that_its_caller_leaves_is_no_error(metrics, end, totals):
    @metrics.tool
    def pages():
        yield from range(100)

    with metrics.run("bot"):
        for _ in pages():
            break
        gc.collect()

    assert ("ok", "completed", None) == end()
    assert {("pages", None): 1} == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE)


def test_a_generator_that_refuses_to_close_is_pythons_runtime_error(metrics, end):
    @metrics.run("bot")
    def stubborn():
        with contextlib.suppress(GeneratorExit):
            yield 1
        yield 2

    agent = stubborn()
    next(agent)

    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        agent.close()

    assert ("error", "error", "_OTHER") == end()


def test_an_error_while_a_generator_closes_is_the_runs(metrics, end):
    @metrics.run("bot")
    def agent():
        try:
            yield 1
        finally:
            raise ConnectionError

    left = agent()
    next(left)

    with pytest.raises(ConnectionError):
        left.close()

    assert ("error", "error", "connection") == end()


def test_a_stop_iteration_that_escapes_a_body_is_pythons_runtime_error(metrics, end):
    @metrics.run("bot")
    def agent():
        yield 1
        raise StopIteration  # noqa: PLR1708 -- the mistake under test

    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(agent())

    assert ("error", "error", "_OTHER") == end()


def test_a_generator_tool_lasts_until_it_is_exhausted_its_consumers_time_included(metrics, clock, sums):
    @metrics.tool
    def pages():
        for _ in range(3):
            clock.advance(1)
            yield

    for _ in pages():
        clock.advance(10)

    assert {"pages": 33} == sums(catalog.TOOL_DURATION, catalog.TOOL_NAME)


def named_agent(metrics, name):
    @metrics.run(name)
    def agent():
        for _ in range(3):
            with metrics.tool(f"{name}'s"):
                pass
            yield name

    return agent()


def test_interleaved_generators_get_their_own_calls(metrics, totals, sums):
    for _ in zip(
        named_agent(metrics, "ant"), named_agent(metrics, "bee"), named_agent(metrics, "cat"), strict=True
    ):
        assert metrics.current_run().agent is None

    assert {("ant", "ant's"): 3, ("bee", "bee's"): 3, ("cat", "cat's"): 3} == totals(
        catalog.TOOL_DURATION, catalog.AGENT_NAME, catalog.TOOL_NAME
    )
    assert {"ant": 3, "bee": 3, "cat": 3} == sums(catalog.RUN_TOOL_CALLS, catalog.AGENT_NAME)
    assert {None: 3} == totals(catalog.RUNS, catalog.RUN_NESTED)


def test_a_generator_run_is_not_current_while_its_consumer_runs(metrics):
    with metrics.run("consumer") as consumer:
        for _ in named_agent(metrics, "ant"):
            assert consumer is metrics.current_run()

        assert consumer is metrics.current_run()


def test_a_generator_iterated_in_a_context_of_its_own_each_time_gets_all_its_calls(metrics, sums, end):
    """As Starlette does with a sync generator: each `next` runs in a copy of the context, in any thread."""
    agent = named_agent(metrics, "ant")
    with contextlib.suppress(StopIteration):
        while True:
            contextvars.copy_context().run(next, agent)

    assert 3 == sums(catalog.RUN_TOOL_CALLS)
    assert ("ok", "completed", None) == end()


def test_a_generator_iterated_by_a_thread_each_time_gets_all_its_calls(metrics, sums, end):
    agent, got = named_agent(metrics, "ant"), []
    for _ in range(4):
        thread = threading.Thread(target=lambda: got.append(next(agent, "end")))
        thread.start()
        thread.join()

    assert ["ant", "ant", "ant", "end"] == got
    assert 3 == sums(catalog.RUN_TOOL_CALLS)


def test_a_block_that_a_generator_run_opens_across_yields_keeps_its_calls(metrics, sums):
    @metrics.run("outer")
    def agent():
        with metrics.run("inner"):
            yield 1
            with metrics.tool("in the inner run"):
                pass
            yield 2
        with metrics.tool("in the outer run"):
            pass
        yield 3

    for _ in agent():
        assert metrics.current_run().agent is None

    assert {"inner": 1, "outer": 1} == sums(catalog.RUN_TOOL_CALLS, catalog.AGENT_NAME)


def test_calls_while_a_left_generator_cleans_up_are_its_own(metrics, sums):
    @metrics.run("bot")
    def agent():
        try:
            yield 1
        finally:
            with metrics.tool("clean_up"):
                pass

    left = agent()
    next(left)
    left.close()

    assert {"bot": 1} == sums(catalog.RUN_TOOL_CALLS, catalog.AGENT_NAME)


# Async generators


def async_agent_of(metrics):
    @metrics.run("bot")
    async def agent(log):
        with metrics.tool("first"):
            await asyncio.sleep(0)
        try:
            log.append((yield "one"))
            try:
                yield "two"
            except LookupError as error:
                log.append(repr(error))
                yield "rescued"
            with metrics.tool("last"):
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    return agent


def test_an_exhausted_async_generator_is_a_completed_run(metrics, end, sums):
    log = []

    assert ["one", "two"] == called(async_agent_of(metrics), log)
    assert [None, "closed"] == log
    assert ("ok", "completed", None) == end()
    assert 2 == sums(catalog.RUN_TOOL_CALLS)


def test_an_async_generator_keeps_what_is_sent_and_thrown(metrics, end):
    log = []

    async def consume():
        agent = async_agent_of(metrics)(log)
        got = [await agent.__anext__(), await agent.asend("more"), await agent.athrow(LookupError("gone"))]
        with pytest.raises(StopAsyncIteration):
            await agent.__anext__()
        return got

    assert ["one", "two", "rescued"] == asyncio.run(consume())
    assert ["more", "LookupError('gone')", "closed"] == log
    assert ("ok", "completed", None) == end()


async def aclose(agent):
    await agent.__anext__()
    await agent.aclose()


async def break_and_let_the_loop_finalise(agent):
    async for _ in agent:
        break
    del agent
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)


async def break_and_end_the_loop(agent):
    KEPT.append(agent)
    async for _ in agent:
        break


async def break_in_a_cycle_and_let_the_loop_finalise(agent):
    cycle = [agent]
    cycle.append(cycle)
    async for _ in agent:
        break
    del cycle, agent
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)


KEPT = []


@pytest.mark.parametrize(
    "leave",
    [
        aclose,
        break_and_let_the_loop_finalise,
        break_in_a_cycle_and_let_the_loop_finalise,
        *[pytest.param(break_and_end_the_loop, id=f"break_and_end_the_loop-{n}") for n in range(5)],
    ],
)
def test_an_async_generator_that_its_caller_leaves_is_abandoned_and_closed(
    metrics, end, totals, leave, caplog
):
    log = []
    agent = async_agent_of(metrics)

    async def main():
        await leave(agent(log))

    asyncio.run(main())
    KEPT.clear()

    assert ["closed"] == log
    assert ("cancelled", "abandoned", None) == end()
    assert 0 == totals(catalog.ACTIVE_RUNS)
    assert [] == caplog.messages


def test_a_cancelled_async_generator_is_cancelled(metrics, end, totals):
    @metrics.run("bot")
    async def agent(started):
        yield 1
        with metrics.tool("slow"):
            started.set()
            await asyncio.Event().wait()

    async def consume(started):
        async for _ in agent(started):
            pass

    async def main():
        started = asyncio.Event()
        task = asyncio.ensure_future(consume(started))
        await started.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert ("cancelled", "cancelled", "cancelled") == end()
    assert {("slow", "cancelled"): 1} == totals(catalog.TOOL_DURATION, catalog.TOOL_NAME, catalog.ERROR_TYPE)


def test_interleaved_async_generators_get_their_own_calls(metrics, sums):
    def agent_named(name):
        @metrics.run(name)
        async def agent():
            for _ in range(3):
                with metrics.tool("search"):
                    await asyncio.sleep(0)
                yield name

        return agent()

    async def main():
        ant, bee = agent_named("ant"), agent_named("bee")
        for _ in range(3):
            await ant.__anext__()
            assert metrics.current_run().agent is None
            await bee.__anext__()
        await ant.aclose()
        await bee.aclose()

    asyncio.run(main())

    assert {"ant": 3, "bee": 3} == sums(catalog.RUN_TOOL_CALLS, catalog.AGENT_NAME)


def test_an_async_generator_runs_without_any_event_loop(metrics, end):
    @metrics.run("bot")
    async def agent():
        yield 1

    driven = agent()

    assert 1 == drive(driven.__anext__())
    with pytest.raises(StopAsyncIteration):
        drive(driven.__anext__())
    assert ("ok", "completed", None) == end()


# Model calls


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_decorated_model_call_reads_the_usage_of_what_it_returns(metrics, totals, kind):
    def plain_call():
        return {"usage": USAGE}

    async def async_call():
        return {"usage": USAGE}

    function = plain_call if kind == "plain" else async_call

    assert {"usage": USAGE} == called(metrics.inference("gpt-5", provider="openai")(function))
    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert 0 == totals(catalog.TIME_TO_FIRST_CHUNK)


@pytest.mark.parametrize("kind", ["generator", "async"])
def test_a_decorated_stream_marks_its_first_chunk_and_reads_usage_as_it_passes(
    metrics, clock, totals, sums, kind
):
    def stream():
        clock.advance(1)
        yield {"delta": "He"}
        clock.advance(1)
        yield {"usage": USAGE}

    async def async_stream():
        for chunk in stream():
            yield chunk

    function = stream if kind == "generator" else async_stream

    assert [{"delta": "He"}, {"usage": USAGE}] == called(
        metrics.inference("gpt-5", provider="openai")(function)
    )
    assert {"input": 812, "output": 96} == totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert (1, 1) == (totals(catalog.TIME_TO_FIRST_CHUNK), sums(catalog.TIME_TO_FIRST_CHUNK))


def test_a_decorated_stream_that_is_left_early_is_no_error_and_its_usage_is_missing(metrics, totals):
    @metrics.inference("gpt-5", provider="openai")
    def stream():
        yield {"delta": "He"}
        yield {"usage": USAGE}

    left = stream()
    next(left)
    left.close()

    assert {None: 1} == totals(catalog.INFERENCE_DURATION, catalog.ERROR_TYPE)
    assert 1 == totals(catalog.USAGE_MISSING) == totals(catalog.TIME_TO_FIRST_CHUNK)


# What is not kept


def test_a_generator_keeps_no_exception_that_was_thrown_in_and_handled(metrics):
    agent = agent_of(metrics)([])
    next(agent)
    next(agent)
    error = type("Witness", (LookupError,), {})()
    thrown = weakref.ref(error)
    agent.throw(error)
    del error
    next(agent, None)
    gc.collect()

    assert thrown() is None


def test_a_decorated_function_can_be_copied(metrics):
    decorated = metrics.tool(plain)

    assert decorated is copy.deepcopy(decorated)


def plainly(function):
    """What many decorators are: a plain function around whatever there is."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(("fails", "error"), [(False, None), (True, "timeout")])
def test_a_plain_wrapper_around_an_async_function_is_measured_until_it_is_awaited(observed, fails, error):
    @observed.metrics.tool
    @plainly
    async def search():
        observed.clock.advance(2)
        if fails:
            raise TimeoutError
        return "found"

    with contextlib.suppress(TimeoutError):
        assert "found" == asyncio.run(search())
    (point,) = observed.captured.points(catalog.TOOL_DURATION).values()

    assert 2 == point.sum
    assert {error: 1} == observed.totals(catalog.TOOL_DURATION, catalog.ERROR_TYPE)
