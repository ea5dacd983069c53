"""Which run a call belongs to: nesting, hand-over, tasks, threads, late calls, cancellation anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import gc
import inspect
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent_otel import catalog

USAGE = {"input": 100, "output": 20}


def by_agent(observed, metric):
    return observed.sums(metric, catalog.AGENT_NAME)


def tools(totals):
    return totals(catalog.TOOL_DURATION, catalog.AGENT_NAME, catalog.TOOL_NAME)


def use(metrics, name="search"):
    with metrics.tool(name):
        pass


def ask(metrics):
    with metrics.inference("gpt-5", provider="openai") as call:
        call.tokens(**USAGE)


# The current run


def test_outside_any_run_the_current_run_is_an_anonymous_one_whose_calls_carry_no_agent(metrics, totals):
    run = metrics.current_run()
    use(run)
    run.step()
    run.stop("max_steps")
    run.fail("timeout")
    run.end()
    use(metrics)

    assert run is metrics.current_run()
    assert {(None, "search"): 2} == tools(totals)
    assert 0 == totals(catalog.RUNS)


def test_inside_a_run_the_current_run_is_that_run(metrics):
    with metrics.run("bot") as run:
        assert run is metrics.current_run()

    assert run is not metrics.current_run()


def table_of(observed):
    return {metric.name: observed.totals(metric, *metric.attributes) for metric in catalog.METRICS}


def test_a_word_means_the_same_on_the_module_and_on_the_run(metrics, observed, observe):
    other = observe()
    with metrics.run("bot"):
        metrics.step(2)
        list(metrics.steps(range(3)))
        use(metrics)
        ask(metrics)
        metrics.fail("rate_limited")
        metrics.stop("refused")
        metrics.evaluation("solved", "yes")
    with other.metrics.run("bot") as run:
        run.step(2)
        list(run.steps(range(3)))
        use(run)
        ask(run)
        run.fail("rate_limited")
        run.stop("refused")
        run.evaluation("solved", "yes")

    assert table_of(other) == table_of(observed)


# Nesting


def test_nested_runs_keep_their_own_calls_and_steps(metrics, observed, totals):
    with metrics.run("planner") as planner:
        planner.step(3)
        use(metrics)
        with metrics.run("helper") as helper:
            helper.step(2)
            use(metrics)
            use(metrics)
            ask(metrics)
        ask(metrics)

    assert {"planner": 3, "helper": 2} == by_agent(observed, catalog.RUN_STEPS)
    assert {"planner": 1, "helper": 2} == by_agent(observed, catalog.RUN_TOOL_CALLS)
    assert {"planner": 1, "helper": 1} == by_agent(observed, catalog.RUN_INFERENCE_CALLS)
    assert {("planner", None): 1, ("helper", "true"): 1} == totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED
    )


def test_tokens_and_cost_of_a_run_include_its_sub_runs(observe):
    prices = {"openai": {"gpt-5": {"input": 1.0, "output": 10.0}}}
    observed = observe(cost=True, prices=prices)
    metrics = observed.metrics
    with metrics.run("planner"):
        ask(metrics)
        with metrics.run("helper"):
            ask(metrics)
            with metrics.run("helper's helper"):
                ask(metrics)

    dollars = (100 * 1.0 + 20 * 10.0) / 1e6

    assert {"planner": 360, "helper": 240, "helper's helper": 120} == by_agent(
        observed, catalog.RUN_TOKEN_USAGE
    )
    assert {
        "planner": pytest.approx(3 * dollars),
        "helper": pytest.approx(2 * dollars),
        "helper's helper": pytest.approx(dollars),
    } == by_agent(observed, catalog.RUN_COST)
    assert 360 == observed.totals(catalog.TOKENS)


def test_usage_missing_in_a_sub_run_makes_the_tokens_of_the_outer_run_unknown_too(metrics, totals):
    with metrics.run("planner"):
        ask(metrics)
        with metrics.run("helper"), metrics.inference("gpt-5", provider="openai"):
            pass
        with metrics.run("other helper"):
            ask(metrics)

    assert {"other helper": 1} == totals(catalog.RUN_TOKEN_USAGE, catalog.AGENT_NAME)


def test_a_sub_run_that_outlives_its_outer_run_adds_nothing_to_it(metrics, observed):
    planner = metrics.run("planner").start()
    helper = metrics.run("helper").start()
    planner.end()
    ask(helper)
    helper.end()

    assert {"planner": 0, "helper": 120} == by_agent(observed, catalog.RUN_TOKEN_USAGE)


def test_after_a_sub_run_the_outer_run_is_current_again(metrics):
    with metrics.run("planner") as planner:
        with metrics.run("helper"):
            pass

        assert planner is metrics.current_run()


def test_an_error_of_a_sub_run_that_the_outer_run_handles_is_not_the_outer_runs(metrics, totals):
    with metrics.run("planner"), contextlib.suppress(ValueError), metrics.run("helper"):
        raise ValueError

    assert {("planner", "completed"): 1, ("helper", "error"): 1} == totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.STOP_REASON
    )


def test_an_agent_as_a_tool_is_a_tool_call_of_the_outer_run(metrics, observed):
    with metrics.run("planner"), metrics.tool("ask_helper"), metrics.run("helper"):
        use(metrics)

    assert {"planner": 1, "helper": 1} == by_agent(observed, catalog.RUN_TOOL_CALLS)


def test_a_handoff_ends_one_run_and_starts_a_sibling(metrics, observed, totals):
    with metrics.run("triage") as triage:
        use(metrics)
        triage.end()
        with metrics.run("refunds"):
            use(metrics)
            use(metrics)

    assert {"triage": 1, "refunds": 2} == by_agent(observed, catalog.RUN_TOOL_CALLS)
    assert {None: 2} == totals(catalog.RUNS, catalog.RUN_NESTED)


def test_a_handoff_inside_an_outer_run_starts_a_sibling_inside_it(metrics, totals):
    with metrics.run("planner"):
        triage = metrics.run("triage").start()
        triage.end()
        refunds = metrics.run("refunds").start()
        refunds.end()
        use(metrics)

    assert {("planner", None): 1, ("triage", "true"): 1, ("refunds", "true"): 1} == totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED
    )
    assert {("planner", "search"): 1} == tools(totals)


def test_runs_that_end_in_another_order_than_they_started_leave_nothing_current(metrics, totals):
    first = metrics.run("first").start()
    second = metrics.run("second").start()
    third = metrics.run("third").start()
    second.end()
    first.end()

    assert third is metrics.current_run()

    third.end()
    use(metrics)

    assert {(None, "search"): 1} == tools(totals)
    assert 0 == totals(catalog.ACTIVE_RUNS)


# Late calls


def test_a_call_after_its_runs_end_keeps_the_agent_and_misses_the_per_run_counts(metrics, totals, sums):
    with metrics.run("bot") as run:
        use(run)
    use(run, "late")
    ask(run)
    run.step(5)
    list(run.steps(range(3)))

    assert {("bot", "search"): 1, ("bot", "late"): 1} == tools(totals)
    assert {"bot": 120} == totals(catalog.TOKENS, catalog.AGENT_NAME)
    assert [1, 0, 0, 0] == [
        sums(metric)
        for metric in (
            catalog.RUN_TOOL_CALLS,
            catalog.RUN_INFERENCE_CALLS,
            catalog.RUN_STEPS,
            catalog.RUN_TOKEN_USAGE,
        )
    ]


def test_it_makes_no_difference_whether_a_collection_came_between(metrics, totals, sums):
    with metrics.run("bot") as run:
        use(run)
    metrics.drain()
    use(run, "late")
    run.step(5)

    assert {("bot", "search"): 1, ("bot", "late"): 1} == tools(totals)
    assert (1, 0) == (sums(catalog.RUN_TOOL_CALLS), sums(catalog.RUN_STEPS))


def test_a_call_that_ends_after_its_run_is_a_late_call(metrics, totals, sums):
    with metrics.run("bot") as run:
        tool = run.tool("slow").start()
    tool.end()

    assert {("bot", "slow"): 1} == tools(totals)
    assert 0 == sums(catalog.RUN_TOOL_CALLS)


def test_stop_and_fail_after_the_end_change_nothing(metrics, end):
    with metrics.run("bot") as run:
        pass
    run.stop("max_steps")
    run.fail("timeout")
    run.end(ValueError())

    assert ("ok", "completed", None) == end()


def test_an_ended_run_is_never_current_even_where_its_end_was_not_seen(metrics):
    with metrics.run("outer") as outer:
        run = metrics.run("bot").start()
        elsewhere = contextvars.copy_context()
        run.end()

        assert outer is elsewhere.run(metrics.current_run)


def test_runs_whose_end_was_not_seen_here_are_not_kept_by_the_next(metrics):
    def start_two():
        run = metrics.run("bot").start()
        contextvars.Context().run(run.end)
        return metrics.run("bot").start()

    following = contextvars.Context().run(start_two)

    assert following.outer is None
    assert not following.nested


# asyncio


def test_tasks_inherit_the_current_run(metrics, totals, sums):
    async def search(name):
        with metrics.tool(name):
            await asyncio.sleep(0)

    async def agent():
        with metrics.run("bot"):
            await asyncio.gather(search("a"), search("b"), search("c"))

    asyncio.run(agent())

    assert {("bot", "a"): 1, ("bot", "b"): 1, ("bot", "c"): 1} == tools(totals)
    assert 3 == sums(catalog.RUN_TOOL_CALLS)


def test_runs_of_several_tasks_at_once_keep_apart(metrics, observed, totals):
    async def agent(name, count):
        with metrics.run(name):
            for _ in range(count):
                with metrics.tool(name):
                    await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(agent(f"agent {n}", n) for n in range(1, 8)))

    asyncio.run(main())

    assert {f"agent {n}": n for n in range(1, 8)} == by_agent(observed, catalog.RUN_TOOL_CALLS)
    assert {(f"agent {n}", f"agent {n}"): n for n in range(1, 8)} == tools(totals)
    assert {None: 7} == totals(catalog.RUNS, catalog.RUN_NESTED)


def test_a_task_that_outlives_its_run_makes_late_calls_and_starts_no_sub_run(metrics, totals):
    async def background(run_ended):
        await run_ended.wait()
        use(metrics)
        with metrics.run("later"):
            use(metrics)

    async def main():
        run_ended = asyncio.Event()
        with metrics.run("bot"):
            task = asyncio.ensure_future(background(run_ended))
            await asyncio.sleep(0)
        run_ended.set()
        await task

    asyncio.run(main())

    assert {(None, "search"): 1, ("later", "search"): 1} == tools(totals)
    assert {("bot", None): 1, ("later", None): 1} == totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED
    )


# Threads


def in_a_thread(function, *args):
    """Run it in a thread of its own and return what it returned."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(10)


def test_a_thread_without_bind_knows_no_run(metrics, totals, sums):
    with metrics.run("bot"):
        in_a_thread(use, metrics)

    assert {(None, "search"): 1} == tools(totals)
    assert 0 == sums(catalog.RUN_TOOL_CALLS)


def test_a_bound_function_has_the_run_in_another_thread(metrics, totals, sums):
    with metrics.run("bot") as run:
        in_a_thread(run.bind(use), metrics)
        in_a_thread(metrics.bind(use), metrics)

    assert {("bot", "search"): 2} == tools(totals)
    assert 2 == sums(catalog.RUN_TOOL_CALLS)


def test_a_sub_run_in_a_bound_thread_is_nested(metrics, totals):
    def helper():
        with metrics.run("helper"):
            pass

    with metrics.run("bot") as run:
        in_a_thread(run.bind(helper))

    assert {("bot", None): 1, ("helper", "true"): 1} == totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED
    )


def test_one_bound_function_can_run_in_two_threads_at_once(metrics, sums):
    both_inside = threading.Barrier(2)

    def search():
        with metrics.tool("search"):
            both_inside.wait(10)

    with metrics.run("bot") as run:
        bound = run.bind(search)
        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(bound), pool.submit(bound)]:
                future.result(10)

    assert 2 == sums(catalog.RUN_TOOL_CALLS)


def test_a_bound_function_maps_over_a_pool(metrics, sums):
    def search(query):
        with metrics.tool("search"):
            return query.upper()

    with metrics.run("bot") as run, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run.bind(search), "abcdefgh"))

    assert list("ABCDEFGH") == found
    assert 8 == sums(catalog.RUN_TOOL_CALLS)


def test_a_bound_function_sees_the_rest_of_the_context_too(metrics):
    language = contextvars.ContextVar("language", default="en")
    language.set("cy")
    with metrics.run("bot") as run:
        assert "cy" == in_a_thread(run.bind(language.get))


def test_a_bound_coroutine_function_has_the_run_on_another_threads_loop(metrics, sums):
    async def search():
        with metrics.tool("search"):
            await asyncio.sleep(0)
        return "found"

    def other_loop(function):
        return asyncio.run(function())

    with metrics.run("bot") as run:
        bound = run.bind(search)

        assert inspect.iscoroutinefunction(bound)
        assert "found" == in_a_thread(other_loop, bound)

    assert 1 == sums(catalog.RUN_TOOL_CALLS)


def test_a_bound_coroutine_function_leaves_the_callers_run_current(metrics, totals):
    async def search():
        use(metrics)

    async def main(bound):
        with metrics.run("caller") as caller:
            await bound()

            assert caller is metrics.current_run()

    with metrics.run("bot") as run:
        asyncio.run(main(run.bind(search)))

    assert {("bot", "search"): 1} == tools(totals)


def test_a_bound_object_with_an_async_call_has_the_run(metrics, totals):
    class Search:
        async def __call__(self):
            use(metrics)

    with metrics.run("bot") as run:
        bound = run.bind(Search())
    with metrics.run("caller"):
        pass

    async def main():
        with metrics.run("caller"):
            await bound()

    asyncio.run(main())

    assert 1 == totals(catalog.TOOL_DURATION)
    assert "caller" not in {agent for agent, _ in tools(totals)}


def test_a_bound_function_keeps_its_name_and_passes_its_error(metrics):
    error = LookupError()

    def search(x):
        """Look it up."""
        raise error

    bound = metrics.run("bot").start().bind(search)

    assert ("search", "Look it up.") == (bound.__name__, bound.__doc__)
    with pytest.raises(LookupError) as caught:
        bound(3)
    assert error is caught.value


def test_a_function_bound_outside_any_run_has_no_agent(metrics, totals):
    bound = metrics.bind(use)
    with metrics.run("bot"):
        bound(metrics)

    assert {(None, "search"): 1} == tools(totals)


def test_a_function_that_runs_after_the_end_of_its_run_makes_late_calls_of_the_outer_run(metrics, totals):
    with metrics.run("outer"):
        with metrics.run("bot") as run:
            bound = run.bind(use)
        bound(metrics)

    assert {("outer", "search"): 1} == tools(totals)


def test_runs_of_several_threads_at_once_keep_apart(metrics, observed, totals):
    all_inside = threading.Barrier(8)

    def agent(n):
        with metrics.run(f"agent {n}"):
            all_inside.wait(10)
            for _ in range(n):
                use(metrics)
            all_inside.wait(10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(agent, range(8)))

    assert {f"agent {n}": n for n in range(8)} == by_agent(observed, catalog.RUN_TOOL_CALLS)
    assert {None: 8} == totals(catalog.RUNS, catalog.RUN_NESTED)


def test_a_run_that_is_started_in_one_thread_may_end_in_another(metrics, end, totals):
    run = in_a_thread(metrics.run("bot").start)
    in_a_thread(run.end)

    assert ("ok", "completed", None) == end()
    assert 0 == totals(catalog.ACTIVE_RUNS)


def test_a_run_that_two_threads_end_at_once_ends_once(metrics, totals):
    for _ in range(200):
        run = metrics.run("bot").start()
        together = threading.Barrier(2)

        def end(run=run, together=together):
            together.wait(10)
            run.end()

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(end), pool.submit(end)]:
                future.result(10)

    assert 200 == totals(catalog.RUNS)


# Copies


@pytest.mark.parametrize("make_a_copy", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_run_refuses_to_be_copied(metrics, make_a_copy):
    run = metrics.run("bot").start()

    with pytest.raises(TypeError, match="a Run can't be pickled or copied"):
        make_a_copy(run)


def test_an_ended_run_and_its_error_are_not_kept(metrics):
    class Witness:
        pass

    seen = []

    def fails():
        witness = Witness()
        seen.append(weakref.ref(witness))
        with contextlib.suppress(ValueError), metrics.run("bot"), metrics.tool("search"):
            raise ValueError(witness)

    fails()
    metrics.drain()
    gc.collect()

    assert [None] == [witness() for witness in seen]


# Cancellation at every await


class Log:
    """What an agent went into, to be compared with what was recorded."""

    def __init__(self):
        self.entered = []


class Pause:
    """Something to await that gives way once."""

    def __await__(self):
        yield


async def one_run(metrics, log):
    with metrics.run("bot") as run:
        log.entered.append("bot")
        for _ in run.steps(range(2)):
            with run.inference("gpt-5", provider="openai") as call:
                log.entered.append("model")
                await Pause()
                call.tokens(**USAGE)
            with run.tool("search"):
                log.entered.append("search")
                await Pause()
            await Pause()


async def with_a_sub_run_and_clean_up(metrics, log):
    with metrics.run("bot") as run:
        log.entered.append("bot")
        try:
            with run.tool("ask_helper"), metrics.run("helper"):
                log.entered += ["search", "helper"]
                await Pause()
                await Pause()
            await Pause()
        finally:
            with metrics.tool("clean_up"):
                log.entered.append("search")
            use(metrics)
            log.entered.append("search")


def decorated(metrics, log):
    @metrics.tool
    async def search():
        log.entered.append("search")
        await Pause()
        await Pause()

    @metrics.run("bot")
    async def agent():
        log.entered.append("bot")
        await Pause()
        await search()
        await Pause()

    return agent()


async def consuming_a_generator_agent(metrics, log):
    @metrics.tool
    async def pages():
        log.entered.append("search")
        await Pause()
        yield 1
        await Pause()
        yield 2

    @metrics.run("bot")
    async def agent():
        log.entered.append("bot")
        async for page in pages():
            await Pause()
            yield page

    async for _ in agent():
        await Pause()


AGENTS = [(one_run, 6), (with_a_sub_run_and_clean_up, 3), (decorated, 4), (consuming_a_generator_agent, 6)]


def interrupted(coroutine, at, interrupt):
    """Drive a coroutine to its `at`-th await and interrupt it there; False when it ended before."""
    try:
        for _ in range(at):
            coroutine.send(None)
    except StopIteration:
        return False
    if interrupt is GeneratorExit:
        coroutine.close()
        return True
    error = interrupt()
    with pytest.raises(interrupt) as caught:
        coroutine.throw(error)
    assert error is caught.value
    return True


@pytest.mark.parametrize(("agent", "awaits"), AGENTS)
@pytest.mark.parametrize(
    ("interrupt", "reasons"),
    [
        (asyncio.CancelledError, {"cancelled"}),
        (KeyboardInterrupt, {"cancelled"}),
        (GeneratorExit, {"abandoned"}),
        (ConnectionError, {"error", "tool_error", "model_error"}),
    ],
)
def test_an_agent_can_be_interrupted_at_every_await(observe, agent, awaits, interrupt, reasons):
    if agent is consuming_a_generator_agent:  # its consumer has awaits of its own, and leaves it there
        reasons = reasons | {"abandoned"}
    for at in range(1, awaits + 2):
        observed, log = observe(), Log()
        was_interrupted = interrupted(agent(observed.metrics, log), at, interrupt)
        gc.collect()
        reasons_seen = {
            reason
            for name, reason in observed.totals(catalog.RUNS, catalog.AGENT_NAME, catalog.STOP_REASON)
            if name == "bot"
        }

        assert (at <= awaits) == was_interrupted
        assert reasons_seen <= (reasons if was_interrupted else {"completed"})
        assert {name: 1 for name in ("bot", "helper") if name in log.entered} == observed.totals(
            catalog.RUNS, catalog.AGENT_NAME
        )
        assert log.entered.count("model") == observed.totals(catalog.INFERENCE_DURATION)
        assert log.entered.count("search") == observed.totals(catalog.TOOL_DURATION)
        assert 0 == observed.totals(catalog.ACTIVE_RUNS)
        assert 0 == observed.totals(catalog.DROPPED_MEASUREMENTS)
        assert observed.metrics.current_run().agent is None
