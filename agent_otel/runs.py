"""`Run`: one run of an agent, as a block, a decorator, or `start()` and `end()`; and which run is current.

Rules for whoever changes this file, besides those of `calls.py`:

1. Context is never reset by token: an async generator may be finalised in another context, where that raises.
2. An ended run is never current: looking for the current run walks up to the nearest live one.
3. A run has one owner, an `AgentMetrics`. Runs of several owners may stand inside each other in one context;
   each owner sees its own.
"""

from __future__ import annotations

import functools
import inspect
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from agent_otel._decorator import body_of, measured
from agent_otel._recorder import EVALUATION, RUN, recording_context
from agent_otel.calls import Inference, ToolCall, tool_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from typing_extensions import Self

    from agent_otel._fold import Tally
    from agent_otel._recorder import Recorder
    from agent_otel.calls import Owner

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

_current: Final[ContextVar[Run | None]] = ContextVar("agent_otel.current_run", default=None)


def live_run() -> Run | None:
    """The nearest run in this context that hasn't ended, whoever's it is."""
    run = _current.get()
    while run is not None and run.has_ended:
        run = run.outer
    if run is not None:  # where runs overlap, ended ones would hang on to each other for ever
        while run.outer is not None and run.outer.has_ended:
            run.outer = run.outer.outer
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
        "_recorder",
        "_stopped",
        "agent",
        "attributes",
        "counted_steps",
        "has_ended",
        "inside",
        "is_anonymous",
        "is_inherited",
        "nested",
        "outer",
        "owner",
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
        self.owner = owner
        self._stopped: str | None = None
        self._failed: tuple[str, str, str | None] | None = None
        self._recorder: Recorder | None = None
        self.inside: Run | None = None
        self.agent = agent
        self.version = version
        self.tools = None if tools is None else _tool_names(tools, owner)
        self.attributes: tuple[tuple[object, object], ...] = () if attributes is None else _pairs(attributes)
        self.counted_steps: list[object] | deque[object] = []
        self.started: float | None = None
        self.has_ended = False
        self.is_inherited = False
        self.is_anonymous = False
        self.parent: Run | None = None
        self.outer: Run | None = None
        self.nested = False
        self.tally: Tally | None = None

    def start(self) -> Run:
        """Begin the run and make it current in this context.

        A run that is current there already becomes its parent. A handler that serves several runs from one
        context starts each in a context of its own: `contextvars.copy_context().run(run.start)`.

        Returns:
            The run itself.
        """
        recorder = self.owner.recorder
        if not recorder.is_settled:
            recorder.find_provider()
            recorder = self.owner.recorder
        if self.started is not None:
            recorder.tell("reuse", "a run that was started before")
            return self
        self.outer = live_run()
        self.parent = _nearest(self.outer, self.owner)
        self.nested = self.parent is not None
        _current.set(self)
        self.started = self.owner.clock()
        if recorder.is_bound:
            self._recorder = recorder
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
        recorder = self._recorder
        duration = self.owner.clock() - self.started
        if _current.get() is self:
            _current.set(self.outer)
        if recorder is None:  # it began before there was a provider, and so did calls that nobody kept
            return
        recorder.live.pop(id(self), None)
        if not self.is_inherited:
            recorder.append((RUN, self, duration, self._outcome(error), recording_context()))

    def age(self) -> float:
        """Seconds since the run's start."""
        return 0.0 if self.started is None else max(0.0, self.owner.clock() - self.started)

    def shut_down(self) -> None:
        """End a run that is still open when the process shuts down, with stop reason `shutdown`."""
        if self._stopped in {None, "completed"}:
            self._stopped = "shutdown"
        self.end()

    def _outcome(self, error: BaseException | None) -> tuple[str, str, str | None]:
        if error is None and self._stopped is None and self._failed is None:
            return ("ok", "completed", None)
        outcomes = self.owner.recorder.outcomes
        if issubclass(type(error), GeneratorExit) and self._failed is not None:
            error = None  # whoever leaves after a failure doesn't undo it
        if error is not None or self._failed is None:
            return outcomes.of_run(self._stopped, error)
        if self._stopped in {None, "completed"}:
            return self._failed
        return (*outcomes.of_run(self._stopped, None)[:2], self._failed[2])

    def __enter__(self) -> Self:
        """Begin the run."""
        self.start()
        return self

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
        run = Run(self.owner, self.agent, self.version, None, None)
        run.tools, run.attributes = self.tools, self.attributes
        return run

    def __reduce__(self) -> Any:
        """Refuse to be pickled or copied: a copy would be a second run that nobody ends."""
        raise TypeError(
            "a Run can't be pickled or copied: give the other process the agent's name, and run() there"
        )

    @overload
    def steps(self, items: Iterable[T]) -> Iterator[T]: ...
    @overload
    def steps(self, items: AsyncIterable[T]) -> AsyncIterator[T]: ...

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
        return Inference(self.owner, self, model, provider, operation)

    @overload
    def tool(self, name: F) -> F: ...
    @overload
    def tool(self, name: str, *, type: str = "function") -> ToolCall: ...

    def tool(self, name: Any, *, type: str = "function") -> Any:  # noqa: A002 -- the attribute's own word
        """Measure one tool call of this run: a block, a decorator, or bare `@run.tool`.

        Args:
            name: `gen_ai.tool.name`; or the function itself, whose name it then is.
            type: `gen_ai.tool.type`: `function`, `extension` or `datastore`.
        """
        return tool_call(self.owner, self, name, type)

    def fail(self, error: BaseException | str) -> None:
        """Say that the run failed though no exception leaves the block.

        Args:
            error: The exception, or an `error.type`. An exception that leaves the block later decides instead.
        """
        given = "" if error is None else error  # type: ignore[redundant-expr]  # None is no success
        recorder = self.owner.recorder
        self._failed = recorder.outcomes.of_run(None, given)
        recorder.tell_unknown("fail(error)", given, self._failed[2])

    def stop(self, reason: str) -> None:
        """Say why the run ends; the last call wins, and nothing but `completed` gives way to an exception.

        Args:
            reason: A stop reason (`max_steps`, `refused`, ...), or a provider's or framework's own word for it;
                an unknown one becomes `_OTHER`.
        """
        recorder = self.owner.recorder
        self._stopped = recorder.outcomes.stop_reason(reason)
        recorder.tell_unknown("stop(reason)", reason, self._stopped)

    def evaluation(self, name: str, label: str) -> None:
        """Record a verdict on this run in `agent_otel.evaluations`, while it lasts or after.

        Args:
            name: `gen_ai.evaluation.name`, such as `task_solved`.
            label: `gen_ai.evaluation.score.label`, such as `pass`.
        """
        recorder = self.owner.recorder
        if recorder.is_pending:
            recorder.find_provider()
            recorder = self.owner.recorder
        recorder.append((EVALUATION, self, None, None, name, label))

    def bind(self, function: F) -> F:
        """The function, for another thread, with this run current there.

        Args:
            function: What the thread, the pool or the loop of another thread will call; not a generator
                function: bind what consumes it.
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

    def folded(self) -> None:
        """Let go of what only the fold of this run's end needed."""
        self.parent = None

    def resumed(self) -> AbstractContextManager[object]:
        """Make the run current while a generator's body runs."""
        return _resumed(self)

    def returned(self, value: object) -> None:
        """A run takes nothing from what the function returned."""

    def yielded(self, value: object) -> None:
        """A run takes nothing from what the generator yielded."""


def _nearest(run: Run | None, owner: Owner) -> Run | None:
    while run is not None and (run.has_ended or run.owner is not owner):
        run = run.outer
    return run


def _tool_names(tools: Iterable[object], owner: Owner) -> frozenset[object] | None:
    try:
        names = [tools] if isinstance(tools, str) else tools
        return frozenset(name if isinstance(name, str) else getattr(name, "__name__", None) for name in names)
    except Exception:  # noqa: BLE001 -- no wrong value raises
        owner.recorder.tell("type", "run(tools=...)")
        return None


def _pairs(attributes: Mapping[str, object]) -> tuple[tuple[object, object], ...]:
    try:
        return tuple((key, value) for key, value in attributes.items())
    except Exception:  # noqa: BLE001 -- no wrong value raises; the fold drops and counts it
        return ((None, attributes),)


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
    run.has_ended = run.is_anonymous = True
    run.counted_steps = deque(maxlen=0)
    return run


def current_run(owner: Owner) -> Run | None:
    """The nearest live run of an `AgentMetrics` in this context.

    Args:
        owner: Whose run is looked for.
    """
    return _nearest(_current.get(), owner)
