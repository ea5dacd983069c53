"""`Inference` and `ToolCall`: the calls of a run, as blocks, decorators, or `start()` and `end()`.

Rules for whoever changes this file; the first two hold for `runs.py` as well:

1. The same `with` serves sync and async code: measuring waits for nothing. An exception is seen on the way out
   and always passed on, `BaseException` included: cancellation is normal for agents.
2. On the way out one tuple is appended to the recorder's buffer. Everything that can be wrong with it is found
   when it is folded, not here. Exceptions are named here, while they are at hand, and never kept: a kept
   traceback keeps its frames alive.
3. This is the hot path: a block is `__init__`, `__enter__` and `__exit__`, each without a detour; the rest is
   built on them.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from agent_otel._decorator import measured
from agent_otel._recorder import INFERENCE, TOOL, recording_context
from agent_otel.usage import Usage, merge, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from typing_extensions import Self

    from agent_otel._fold import MeasuredRun
    from agent_otel._recorder import Recorder

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


class Owner(Protocol):
    """What a call needs of its `AgentMetrics`."""

    recorder: Recorder
    clock: Callable[[], float]

    def current_run(self) -> Any:
        """The run that is current here, or an anonymous one."""


class Call:
    """What `Inference` and `ToolCall` share: one timed call that belongs to a run.

    Without a run given, it belongs to the one that is current when it starts.
    """

    __slots__ = ("_failed", "_owner", "_run", "_started", "_within")

    _owner: Owner
    _within: MeasuredRun | None
    _run: MeasuredRun | None
    _started: float | None
    _failed: str | None
    _blamed: str

    def __enter__(self) -> Self:
        """Begin the call."""
        recorder = self._owner.recorder
        if recorder.is_pending:
            recorder.find_provider()
        if self._started is not None:
            recorder.tell("reuse", "a call that is under way")
        if self._within is None:
            self._run = self._owner.current_run()
        self._started = self._owner.clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call and record it; an exception passes through unchanged."""
        started = self._started
        if started is None:
            return
        self._started = None
        duration = self._owner.clock() - started
        recorder = self._owner.recorder
        error_type = self._failed if error is None else self._named(error)
        events = recorder.events
        events.append(self._event(error_type, duration))
        if len(events) > recorder.soft_limit:
            recorder.relieve()
        self._failed = None

    def _named(self, error: BaseException) -> str | None:
        if issubclass(type(error), GeneratorExit):  # isinstance() would run the exception's own code
            return self._failed
        from agent_otel.outcomes import blame  # noqa: PLC0415 -- a library that only measures stays light

        blame(error, self._blamed)
        return self._owner.recorder.outcomes.error_type(error)

    def _event(self, error_type: str | None, duration: float) -> tuple[Any, ...]:
        raise NotImplementedError

    def start(self) -> Self:
        """Begin the call, where no block does.

        Returns:
            The call itself.
        """
        return self.__enter__()

    def end(self, error: BaseException | None = None) -> None:
        """End the call and record it; a second call is ignored.

        Args:
            error: The exception that ended it, if one did.
        """
        self.__exit__(None, error, None)

    def fail(self, error: BaseException | str) -> None:
        """Say that the call failed though no exception leaves the block.

        Args:
            error: The exception, or an `error.type`. An exception that leaves the block later decides instead.
        """
        recorder = self._owner.recorder
        if self._started is None:
            return recorder.tell("late", "fail(error)")
        self._failed = recorder.outcomes.error_type(error)
        return recorder.tell_unknown("fail(error)", error, self._failed)

    def __call__(self, function: F) -> F:
        """Measure each call of a function as a call of its own.

        Args:
            function: `def`, `async def`, a generator or an async generator function.
        """
        return measured(function, self._again)  # type: ignore[return-value]  # the wrapper keeps the signature

    def _again(self) -> Call:
        raise NotImplementedError

    def resumed(self) -> AbstractContextManager[object]:
        """A call changes nothing about which run is current."""
        return nullcontext()

    def returned(self, value: object) -> None:
        """See what the decorated function returned."""

    def yielded(self, value: object) -> None:
        """See what the decorated generator yielded."""


class ToolCall(Call):
    """One execution of a tool. Made by `agent_otel.tool()` or `run.tool()`.

    Records `gen_ai.execute_tool.duration` (s) at its end, with `error.type` if it failed, and counts in the
    run's `gen_ai.invoke_agent.tool_calls`. A generator lasts until it is exhausted, its consumer's time
    included.

    Convention: OpenTelemetry GenAI v0.1.0, execute_tool.

    Example:
        >>> import agent_otel
        >>> @agent_otel.tool
        ... def search(query: str) -> str:
        ...     return f"about {query}"
        >>> search("otel")
        'about otel'
    """

    __slots__ = ("_name", "_type")

    _blamed = "tool_error"

    def __init__(self, owner: Owner, run: MeasuredRun | None, name: object, kind: object) -> None:
        """Keep what identifies the call."""
        self._owner = owner
        self._within = self._run = run
        self._started = self._failed = None
        self._name = name
        self._type = kind

    def _event(self, error_type: str | None, duration: float) -> tuple[Any, ...]:
        return (TOOL, self._run, self._name, self._type, error_type, duration, recording_context())

    def _again(self) -> ToolCall:
        return ToolCall(self._owner, self._within, self._name, self._type)


class Inference(Call):
    """One model call. Made by `agent_otel.inference()` or `run.inference()`.

    Records at its end `gen_ai.client.inference.duration` (s), with `error.type` if it failed,
    `gen_ai.client.inference.time_to_first_chunk` (s) for a stream, and the token counts that were read:
    `agent_otel.tokens` and `gen_ai.client.inference.usage.*` ({token}); without any, `agent_otel.usage_missing`.
    Retries inside a vendor's SDK are one call; attempts of your own are a call each.

    Convention: OpenTelemetry GenAI v0.1.0, client inference; `AGENT_OTEL_SEMCONV` chooses another generation.

    Example:
        >>> import agent_otel
        >>> with agent_otel.inference("gpt-5", provider="openai") as call:
        ...     call.usage({"prompt_tokens": 812, "completion_tokens": 96})
    """

    __slots__ = ("_call", "_first_chunk", "_usage")

    _blamed = "model_error"

    def __init__(
        self, owner: Owner, run: MeasuredRun | None, model: object, provider: object, operation: object
    ) -> None:
        """Keep what identifies the call."""
        self._owner = owner
        self._within = self._run = run
        self._started = self._failed = None
        self._call = (operation, provider, model)
        self._first_chunk: float | None = None
        self._usage: Usage | None = None

    def _event(self, error_type: str | None, duration: float) -> tuple[Any, ...]:
        first_chunk, found = self._first_chunk, self._usage
        self._first_chunk = self._usage = None
        return (
            INFERENCE,
            self._run,
            self._call,
            error_type,
            duration,
            first_chunk,
            found,
            recording_context(),
        )

    def _again(self) -> Inference:
        operation, provider, model = self._call
        return Inference(self._owner, self._within, model, provider, operation)

    def usage(self, reply: object) -> None:
        """Read token usage from a reply, a stream chunk, or a usage object or dict, of any provider.

        The shape selects the reader, not `provider`. For each kind of token the last value wins; a kind that is
        absent is not zero. An unknown shape, or no usage, changes nothing and is never guessed.

        Args:
            reply: What the vendor's client returned.
        """
        found = read(reply)
        if found is not None:
            self._take(found)

    def tokens(
        self,
        *,
        input: int | None = None,  # noqa: A002 -- the field's word
        output: int | None = None,
        cache_read: int | None = None,
        cache_write: int | None = None,
        reasoning: int | None = None,
    ) -> None:
        """Give token counts by hand, as OpenTelemetry and OpenAI count: inclusive.

        A part that is larger than its whole is a bad value: nothing of it is recorded, and the call counts as
        one without usage.

        Args:
            input: All input tokens, cache reads and writes included.
            output: All output tokens, reasoning included.
            cache_read: The part of `input` that was read from a cache.
            cache_write: The part of `input` that was written to a cache.
            reasoning: The part of `output` that was reasoning.
        """
        self._take(Usage(input, output, cache_read, cache_write, reasoning))

    def _take(self, found: Usage) -> None:
        if self._started is None:
            self._owner.recorder.tell("late", "token usage")
        else:
            self._usage = found if self._usage is None else merge(self._usage, found)

    def first_chunk(self) -> None:
        """Mark the first chunk of a stream that `chunks()` doesn't see; later calls change nothing."""
        if self._first_chunk is None and self._started is not None:
            self._first_chunk = self._owner.clock() - self._started

    @overload
    def chunks(self, stream: Iterable[T]) -> Iterator[T]: ...
    @overload
    def chunks(self, stream: AsyncIterable[T]) -> AsyncIterator[T]: ...

    def chunks(self, stream: Any) -> Any:
        """Pass a stream on, mark its first chunk and read usage as it goes by.

        Args:
            stream: The vendor's stream, sync or async.

        Returns:
            An iterator of the same kind over the same chunks.
        """
        return self._async_chunks(stream) if hasattr(stream, "__aiter__") else self._chunks(stream)

    def _chunks(self, stream: Iterable[T]) -> Iterator[T]:
        for chunk in stream:
            self.yielded(chunk)
            yield chunk

    async def _async_chunks(self, stream: AsyncIterable[T]) -> AsyncIterator[T]:
        async for chunk in stream:
            self.yielded(chunk)
            yield chunk

    def returned(self, value: object) -> None:
        """Read usage from what the function returned."""
        self.usage(value)

    def yielded(self, value: object) -> None:
        """Mark the first chunk, and read usage from any."""
        if self._first_chunk is None:
            self.first_chunk()
        self.usage(value)


def tool_call(owner: Owner, run: MeasuredRun | None, name: Any, kind: str) -> Any:
    """A tool call as a block or decorator, or the decorated function itself for a bare decorator.

    Args:
        owner: Whose it is.
        run: The run that it belongs to; None for the run that is current when it starts.
        name: The tool's name, or the function.
        kind: `gen_ai.tool.type`.
    """
    if type(name) is str or not (callable(name) or issubclass(type(name), classmethod)):
        return ToolCall(owner, run, name, kind)
    return ToolCall(owner, run, _name_of(name), kind)(name)


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
