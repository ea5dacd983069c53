"""What is measured: `Run`, `Inference` and `ToolCall`, as blocks, decorators, or `start()` and `end()`.

Rules for whoever changes this file:

1. The same `with` serves sync and async code: measuring waits for nothing.
2. An exception is seen on the way out and always passed on, `BaseException` included: cancellation is normal
   for agents.
3. Context is never reset by token (an async generator may be finalised in another context). An ended run is
   never current: looking for the current run walks up to the nearest live one.
4. On the way out one tuple is appended to the recorder's buffer. Everything that can be wrong with it is found
   when it is folded, not here.
5. Exceptions are named here, while they are at hand, and never kept: a kept traceback keeps its frames alive.
"""

from __future__ import annotations

import functools
import inspect
from collections import deque
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

from agent_otel import catalog, usage
from agent_otel._decorator import body_of, measured
from agent_otel._fold import EVALUATION, INFERENCE, RUN, TOOL
from agent_otel._recorder import SOFT_LIMIT, recording_context
from agent_otel.outcomes import blame

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from agent_otel._fold import Tally
    from agent_otel._recorder import Recorder

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

_current: Final[ContextVar[Run | None]] = ContextVar("agent_otel.current_run", default=None)


class Owner(Protocol):
    """What an operation needs of its `AgentMetrics`."""

    recorder: Recorder

    def current_run(self) -> Run:
        """The run that is current here, or an anonymous one."""


def live_run() -> Run | None:
    """The nearest run in this context that hasn't ended, whoever's it is."""
    run = _current.get()
    while run is not None and run.has_ended:
        run = run.outer
    return run


class Run:
    """One run of an agent, from task to answer or error. Made by `agent_otel.run()`.

    Records at its end: `agent_otel.runs`, `gen_ai.invoke_agent.duration` (s), `agent_otel.run.steps`,
    `gen_ai.invoke_agent.inference_calls` and `.tool_calls`, and `agent_otel.run.tokens` unless the usage of a
    call is missing. While it lasts it counts in `agent_otel.active_runs`.

    A run is used once: as a block, as a decorator (a new run for each call), or with `start()` and `end()`.

    Convention: OpenTelemetry GenAI v0.1.0, invoke_agent (internal).

    Example:
        >>> import agent_otel
        >>> with agent_otel.run("support-bot") as run:
        ...     for _ in run.steps(range(3)):
        ...         with run.tool("search"):
        ...             pass
        ...     run.stop("max_steps")
    """

    __slots__ = (
        "_failed",
        "_owner",
        "_stopped",
        "agent",
        "attributes",
        "counted_steps",
        "has_ended",
        "inside",
        "is_inherited",
        "nested",
        "outer",
        "parent",
        "started",
        "tally",
        "tools",
        "version",
    )

    def __init__(
        self,
        owner: Owner,
        agent: object,
        version: object = None,
        tools: Iterable[object] | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        """Keep what identifies the run; nothing is measured yet."""
        self._owner = owner
        self._stopped: str | None = None
        self._failed: tuple[str, str, str | None] | None = None
        self.inside: Run | None = None
        self.agent = agent
        self.version = version
        self.tools = None if tools is None else _tool_names(tools, owner)
        self.attributes: tuple[tuple[object, object], ...] = () if attributes is None else _pairs(attributes)
        self.counted_steps: list[object] | deque[object] = []
        self.started: float | None = None
        self.has_ended = False
        self.is_inherited = False
        self.parent: Run | None = None
        self.outer: Run | None = None
        self.nested = False
        self.tally: Tally | None = None

    def start(self) -> Run:
        """Begin the run and make it current in this context.

        Returns:
            The run itself.
        """
        recorder = self._owner.recorder
        if not recorder.is_settled:
            recorder.find_provider()
        if self.started is not None:
            recorder.tell("reuse", "a run that was started before")
            return self
        self.outer = live_run()
        self.parent = _nearest(self.outer, self._owner)
        self.nested = self.parent is not None
        _current.set(self)
        self.started = recorder.clock()
        if recorder.is_bound:
            recorder.live[id(self)] = self
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End the run and record it; a second call is ignored.

        Args:
            error: The exception that ended it, if one did.
        """
        if self.started is None or self.has_ended:
            return
        self.has_ended = True  # at once, lest another thread or a signal handler ends it too
        recorder = self._owner.recorder
        duration = recorder.clock() - self.started
        self._leave(recorder)
        if not self.is_inherited:
            _append(recorder, (RUN, self, duration, self._outcome(error), recording_context()))

    def _leave(self, recorder: Recorder) -> None:
        recorder.live.pop(id(self), None)
        if _current.get() is self:
            _current.set(self.outer)

    def shut_down(self) -> None:
        """End a run that is still open when the process shuts down, with stop reason `shutdown`."""
        if self._stopped in {None, "completed"}:
            self._stopped = "shutdown"
        self.end()

    def _outcome(self, error: BaseException | None) -> tuple[str, str, str | None]:
        if error is None and self._stopped is None and self._failed is None:
            return ("ok", "completed", None)
        outcomes = self._owner.recorder.outcomes
        if isinstance(error, GeneratorExit) and self._failed is not None:
            error = None  # whoever leaves after a failure doesn't undo it
        if error is not None or self._failed is None:
            return outcomes.of_run(self._stopped, error)
        if self._stopped in {None, "completed"}:
            return self._failed
        return (*outcomes.of_run(self._stopped, None)[:2], self._failed[2])

    def __enter__(self) -> Run:
        """Begin the run."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run; an exception passes through unchanged."""
        self.end(error)

    def __call__(self, function: F) -> F:
        """Measure each call of a function as a run of its own.

        Args:
            function: `def`, `async def`, a generator or an async generator function.
        """
        return measured(function, self._again)  # type: ignore[return-value]  # the wrapper keeps the signature

    def _again(self) -> Run:
        run = Run(self._owner, self.agent, self.version, None, None)
        run.tools, run.attributes = self.tools, self.attributes
        return run

    def __reduce__(self) -> Any:
        """Refuse to be pickled or copied: a copy would be a second run that nobody ends."""
        raise TypeError("a Run can't be pickled or copied: give the other process the agent's name, and run() there")

    def steps(self, items: Any) -> Any:
        """Count a step for each item handed over: `for step in run.steps(items)`, or `async for`.

        A step lasts from asking for one item to asking for the next. The loop decides no outcome.

        Args:
            items: Any iterable or async iterable, such as `range(8)` or a framework's events.

        Returns:
            An iterator of the same kind over the same items.
        """
        return self._async_steps(items) if hasattr(items, "__aiter__") else self._steps(items)

    def _steps(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if not self.has_ended:
                self.counted_steps.append(1)
            yield item

    async def _async_steps(self, items: AsyncIterable[T]) -> AsyncIterator[T]:
        async for item in items:
            if not self.has_ended:
                self.counted_steps.append(1)
            yield item

    def step(self, n: int = 1) -> None:
        """Count steps by hand, where no loop hands them over.

        Args:
            n: How many, 0 or more.
        """
        if not self.has_ended:
            self.counted_steps.append(n)

    def inference(self, model: str | None, *, provider: str | None, operation: str = "chat") -> Inference:
        """Measure one model call of this run.

        Args:
            model: `gen_ai.request.model`, exactly as sent.
            provider: `gen_ai.provider.name`, such as `openai` or `anthropic`.
            operation: `gen_ai.operation.name`: `chat`, `generate_content` or `text_completion` are inference
                calls; others, such as `embeddings`, are measured but not counted as one.
        """
        return Inference(self._owner, self, model, provider, operation)

    @overload
    def tool(self, name: F) -> F: ...
    @overload
    def tool(self, name: str, *, type: str = "function") -> ToolCall: ...  # noqa: A002 -- the attribute's own word

    def tool(self, name: Any, *, type: str = "function") -> Any:  # noqa: A002 -- the attribute's own word
        """Measure one tool call of this run: a block, a decorator, or bare `@run.tool`.

        Args:
            name: `gen_ai.tool.name`; or the function itself, whose name it then is.
            type: `gen_ai.tool.type`: `function`, `extension` or `datastore`.
        """
        return tool_call(self._owner, self, name, type)

    def fail(self, error: BaseException | str) -> None:
        """Say that the run failed though no exception leaves the block.

        Args:
            error: The exception, or an `error.type`. An exception that leaves the block later decides instead.
        """
        given = catalog.OTHER if error is None else error  # type: ignore[redundant-expr]  # None is no success
        self._failed = self._owner.recorder.outcomes.of_run(None, given)

    def stop(self, reason: str) -> None:
        """Say why the run ends; the last call wins, and nothing but `completed` gives way to an exception.

        Args:
            reason: A stop reason (`max_steps`, `refused`, ...), or a provider's or framework's own word for it;
                an unknown one becomes `_OTHER`.
        """
        recorder = self._owner.recorder
        self._stopped = recorder.outcomes.stop_reason(reason)
        if self._stopped == catalog.OTHER and not (type(reason) is str and reason == catalog.OTHER):
            recorder.tell("word", "stop(reason)")

    def evaluation(self, name: str, label: str) -> None:
        """Record a verdict on this run in `agent_otel.evaluations`, while it lasts or after.

        Args:
            name: `gen_ai.evaluation.name`, such as `task_solved`.
            label: `gen_ai.evaluation.score.label`, such as `pass`.
        """
        _append(self._owner.recorder, (EVALUATION, self, None, None, name, label))

    def bind(self, function: F) -> F:
        """The function, for another thread, with this run current there.

        Args:
            function: What the thread, the pool or the loop of another thread will call.
        """
        context = copy_context()
        context.run(_current.set, self)
        if inspect.iscoroutinefunction(body_of(function)):

            @functools.wraps(function)
            async def bound_coroutine(*args: Any, **kwargs: Any) -> Any:
                before = _current.get()
                _current.set(self)
                try:
                    return await function(*args, **kwargs)
                finally:
                    _current.set(before)

            return bound_coroutine  # type: ignore[return-value]  # same signature

        @functools.wraps(function)
        def bound(*args: Any, **kwargs: Any) -> Any:
            # One context can't be entered by two threads: each call gets its own copy.
            return context.copy().run(function, *args, **kwargs)

        return bound  # type: ignore[return-value]  # same signature

    def resumed(self) -> AbstractContextManager[object]:
        """Make the run current while a generator's body runs."""
        return _resumed(self)

    def returned(self, value: object) -> None:
        """A run takes nothing from what the function returned."""

    yielded = returned


class Call:
    """What `Inference` and `ToolCall` share: one timed call that belongs to a run."""

    __slots__ = ("_failed", "_owner", "_run", "_started", "_within")

    blamed: str

    def __init__(self, owner: Owner, run: Run | None) -> None:
        """Keep whose call it is; without a run, the one that is current at its start."""
        self._owner = owner
        self._within = run
        self._run = run
        self._started: float | None = None
        self._failed: str | None = None

    def start(self) -> Any:
        """Begin the call.

        Returns:
            The call itself.
        """
        self._failed = None
        if self._within is None:
            self._run = self._owner.current_run()
        self._started = self._owner.recorder.clock()
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End the call and record it; a second call is ignored.

        Args:
            error: The exception that ended it, if one did.
        """
        started, run, recorder = self._started, self._run, self._owner.recorder
        if started is None or run is None:
            return
        self._started = None
        duration = recorder.clock() - started
        error_type = self._failed if error is None else self._named(error)
        _append(recorder, self._event(run, error_type, duration))

    def _named(self, error: BaseException) -> str | None:
        if isinstance(error, GeneratorExit):
            return self._failed
        blame(error, self.blamed)
        return self._owner.recorder.outcomes.error_type(error)

    def _event(self, run: Run, error_type: str | None, duration: float) -> tuple[Any, ...]:
        raise NotImplementedError

    def __enter__(self) -> Any:
        """Begin the call."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call; an exception passes through unchanged."""
        self.end(error)

    def fail(self, error: BaseException | str) -> None:
        """Say that the call failed though no exception leaves the block.

        Args:
            error: The exception, or an `error.type`. An exception that leaves the block later decides instead.
        """
        self._failed = self._owner.recorder.outcomes.error_type(error)

    def resumed(self) -> AbstractContextManager[object]:
        """A call changes nothing about which run is current."""
        return nullcontext()


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

    blamed = "tool_error"

    def __init__(self, owner: Owner, run: Run | None, name: object, kind: object) -> None:
        """Keep what identifies the call."""
        super().__init__(owner, run)
        self._name = name
        self._type = kind

    def _event(self, run: Run, error_type: str | None, duration: float) -> tuple[Any, ...]:
        return (TOOL, run, self._name, self._type, error_type, duration, recording_context())

    def __call__(self, function: F) -> F:
        """Measure each call of a function as a tool call of its own.

        Args:
            function: `def`, `async def`, a generator or an async generator function.
        """
        return measured(function, self._again)  # type: ignore[return-value]  # the wrapper keeps the signature

    def _again(self) -> ToolCall:
        return ToolCall(self._owner, self._within, self._name, self._type)

    def returned(self, value: object) -> None:
        """A tool call takes nothing from what the function returned."""

    yielded = returned


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

    blamed = "model_error"

    def __init__(self, owner: Owner, run: Run | None, model: object, provider: object, operation: object) -> None:
        """Keep what identifies the call."""
        super().__init__(owner, run)
        self._call = (operation, provider, model)
        self._first_chunk: float | None = None
        self._usage: usage.Usage | None = None

    def start(self) -> Inference:
        """Begin the call.

        Returns:
            The call itself.
        """
        self._first_chunk = self._usage = None
        super().start()
        return self

    def _event(self, run: Run, error_type: str | None, duration: float) -> tuple[Any, ...]:
        context = recording_context()
        return (INFERENCE, run, self._call, error_type, duration, self._first_chunk, self._usage, context)

    def __enter__(self) -> Inference:
        """Begin the call."""
        return self.start()

    def __call__(self, function: F) -> F:
        """Measure each call of a function as a model call, and read the usage of what it returns or yields.

        Args:
            function: `def`, `async def`, a generator or an async generator function.
        """
        return measured(function, self._again)  # type: ignore[return-value]  # the wrapper keeps the signature

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
        found = usage.read(reply)
        if found is not None:
            self._usage = usage.merge(self._usage, found)

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
        given = usage.Usage(input, output, cache_read, cache_write, reasoning)
        self._usage = usage.merge(self._usage, given)

    def first_chunk(self) -> None:
        """Mark the first chunk of a stream that `chunks()` doesn't see; later calls change nothing."""
        if self._first_chunk is None and self._started is not None:
            self._first_chunk = self._owner.recorder.clock() - self._started

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


def tool_call(owner: Owner, run: Run | None, name: Any, kind: str) -> Any:
    """A tool call as a block or decorator, or the decorated function itself for a bare decorator.

    Args:
        owner: Whose it is.
        run: The run that it belongs to; None for the run that is current when it starts.
        name: The tool's name, or the function.
        kind: `gen_ai.tool.type`.
    """
    if not callable(name) and not isinstance(name, classmethod):
        return ToolCall(owner, run, name, kind)
    return ToolCall(owner, run, _name_of(name), kind)(name)


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _append(recorder: Recorder, event: tuple[Any, ...]) -> None:
    events = recorder.events
    events.append(event)
    if len(events) > SOFT_LIMIT:
        recorder.relieve()


def _nearest(run: Run | None, owner: Owner) -> Run | None:
    while run is not None and (run.has_ended or run._owner is not owner):
        run = run.outer
    return run


def _tool_names(tools: Iterable[object], owner: Owner) -> frozenset[object] | None:
    names = [tools] if isinstance(tools, str) else tools
    try:
        return frozenset(name if isinstance(name, str) else getattr(name, "__name__", None) for name in names)
    except Exception:  # noqa: BLE001 -- no wrong value raises
        owner.recorder.tell("type", "run(tools=...)")
        return None


def _pairs(attributes: Mapping[str, object]) -> tuple[tuple[object, object], ...]:
    try:
        return tuple((key, value) for key, value in attributes.items())
    except Exception:  # noqa: BLE001 -- no wrong value raises; the fold drops and counts it
        return ((attributes, None),)


@contextmanager
def _resumed(run: Run) -> Iterator[None]:
    before = _current.get()
    if run.started is not None:
        _current.set(run.inside or run)
    try:
        yield
    finally:
        run.inside = _current.get()  # a block that the body opened may still be open when it goes on
        _current.set(before)


def anonymous_run(owner: Owner) -> Run:
    """A run that is never recorded itself: calls outside any run belong to it and carry no agent.

    Args:
        owner: Whose it is.
    """
    run = Run(owner, None)
    run.started = 0.0
    run.has_ended = True
    run.counted_steps = deque(maxlen=0)
    return run


def current_run(owner: Owner) -> Run | None:
    """The nearest live run of an `AgentMetrics` in this context.

    Args:
        owner: Whose run is looked for.
    """
    return _nearest(_current.get(), owner)
