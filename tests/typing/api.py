"""User-side code, as people write it. Read by `mypy --strict`, never run."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from typing_extensions import assert_type

import agent_otel
from agent_otel import AgentMetrics, Inference, Run, Settings, ToolCall
from agent_otel.testing import FakeClock, capture_metrics


@agent_otel.tool
def search(query: str, *, limit: int = 10) -> list[str]:
    return [query] * limit


@agent_otel.tool
async def fetch(url: str) -> bytes:
    return url.encode()


@agent_otel.tool("browse", type="datastore")
def pages(start: int) -> Iterator[str]:
    yield str(start)


@agent_otel.tool
async def events(topic: str) -> AsyncIterator[int]:
    yield len(topic)


@agent_otel.run("support-bot", version="v7", tools=[search, "fetch"], attributes={"app.tier": "gold"})
def answer(question: str) -> str:
    return question


@agent_otel.run("support-bot")
async def answer_async(question: str) -> str:
    return question


@agent_otel.inference("gpt-5", provider="openai")
def ask(prompt: str) -> dict[str, int]:
    return {"prompt_tokens": len(prompt)}


class Toolbox:
    @agent_otel.tool
    def method(self, x: int) -> int:
        return x

    @classmethod
    @agent_otel.tool
    def of_the_class(cls, x: int) -> int:
        return x

    @staticmethod
    @agent_otel.tool
    def of_nobody(x: int) -> int:
        return x


def decorators_keep_signatures() -> None:
    assert_type(search("a", limit=3), list[str])
    assert_type(next(pages(1)), str)
    assert_type(answer("why"), str)
    assert_type(ask("why"), dict[str, int])
    assert_type(Toolbox().method(1), int)
    assert_type(Toolbox.of_the_class(1), int)
    assert_type(Toolbox.of_nobody(1), int)
    search(7)  # type: ignore[arg-type]
    search("a", depth=3)  # type: ignore[call-arg]
    answer()  # type: ignore[call-arg]


async def async_decorators_keep_signatures() -> None:
    assert_type(await fetch("u"), bytes)
    assert_type(await answer_async("why"), str)
    async for event in events("t"):
        assert_type(event, int)
    await asyncio.gather(fetch("a"), fetch("b"))


def blocks() -> str:
    with agent_otel.run("support-bot") as run:
        assert_type(run, Run)
        for step in run.steps(range(8)):
            assert_type(step, int)
            with run.inference("gpt-5", provider="openai", operation="chat") as call:
                assert_type(call, Inference)
                call.usage({"prompt_tokens": 3})
                call.tokens(input=3, output=2, cache_read=1, cache_write=0, reasoning=1)
                call.first_chunk()
                for chunk in call.chunks(["a", "b"]):
                    assert_type(chunk, str)
            with run.tool("search") as tool:
                assert_type(tool, ToolCall)
                tool.fail(TimeoutError())
                tool.fail("rate_limited")
            if step == 7:
                return "the type checker knows that no block swallows this return"
        run.step()
        run.step(2)
        run.fail("timeout")
        run.evaluation("task_solved", "pass")
        run.stop("max_steps")
    return "no answer"


async def async_blocks(stream: AsyncIterator[bytes]) -> None:
    with agent_otel.run("support-bot") as run, agent_otel.inference("gpt-5", provider=None) as call:
        async for chunk in call.chunks(stream):
            assert_type(chunk, bytes)
        async for event in run.steps(events("t")):
            assert_type(event, int)
        async for event in agent_otel.steps(events("t")):
            assert_type(event, int)


def an_exception_is_never_swallowed() -> int:
    with agent_otel.run("bot"), agent_otel.tool("t"), agent_otel.inference(None, provider="p"):
        return 1


def start_and_end(error: BaseException | None) -> None:
    run = agent_otel.run("bot").start()
    assert_type(run, Run)
    call = run.inference("m", provider="p").start()
    assert_type(call, Inference)
    call.end()
    tool = run.tool("t").start()
    assert_type(tool, ToolCall)
    tool.end(error)
    run.end(error)


def threads() -> None:
    with agent_otel.run("bot") as run, ThreadPoolExecutor() as pool:
        assert_type(pool.submit(run.bind(search), "a").result(), list[str])
        assert_type(agent_otel.bind(search)("a"), list[str])
        for found in pool.map(run.bind(search), ["a", "b"]):
            assert_type(found, list[str])


def the_module_speaks_of_the_current_run() -> None:
    assert_type(agent_otel.current_run(), Run)
    agent_otel.step(2)
    for item in agent_otel.steps(["a"]):
        assert_type(item, str)
    agent_otel.stop("max_steps")
    agent_otel.fail(ValueError())
    agent_otel.evaluation("thumbs", "up")
    agent_otel.evaluation("thumbs", "up", agent="bot", version="v7")


def wrong_calls(anything: Any) -> None:
    agent_otel.run()  # type: ignore[call-arg]
    agent_otel.run("bot", "v7")  # type: ignore[call-arg]
    agent_otel.inference("m")  # type: ignore[call-arg]
    agent_otel.inference("m", provider="p").tokens(3)  # type: ignore[call-arg]
    agent_otel.step("two")  # type: ignore[arg-type]
    agent_otel.stop(3)  # type: ignore[arg-type]
    agent_otel.fail(None)  # type: ignore[arg-type]
    agent_otel.run(anything, version=anything)


def own_objects() -> None:
    clock = FakeClock()
    metrics = AgentMetrics(clock=clock, settings=Settings(strict=True))
    with capture_metrics(metrics, strict=True) as captured:
        with metrics.run("bot") as run:
            assert_type(run, Run)
            clock.advance(1.5)
        assert_type(captured.value("agent_otel.runs", {"gen_ai.agent.name": "bot"}), float)


def exporting() -> None:
    agent_otel.configure(release="v7", agents=("bot",))
    agent_otel.views()
