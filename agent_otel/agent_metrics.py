"""`AgentMetrics`: the object that measures agents, and the default one behind `agent_otel.run()` and the like."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry import metrics

from agent_otel._recorder import EVALUATION, Recorder, keeps_nothing
from agent_otel.calls import Inference, ToolCall, tool_call
from agent_otel.runs import Run, anonymous_run, current_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping

    from opentelemetry.metrics import MeterProvider

    from agent_otel.settings import Settings

F = TypeVar("F", bound="Callable[..., Any]")
T = TypeVar("T")


class AgentMetrics:
    """Measures agents on one meter provider.

    Without arguments it uses the global meter provider, from the moment that there is one; before, it keeps
    nothing and costs next to nothing. Programs use the module's own functions, which are the methods of a default
    object; this is the explicit form, for a provider of your own, two providers, tests and replays.

    Args:
        meter_provider: Where measurements go. Give it `agent_otel.views()` when you build it.
        clock: Seconds, rising; `time.perf_counter` unless a test or a replay brings its own.
        settings: What to record by; the `AGENT_OTEL_*` variables if not given. Wrong ones are logged and left at
            their default, since nothing here may raise into a program.

    Example:
        >>> from agent_otel import AgentMetrics
        >>> agents = AgentMetrics()
        >>> with agents.run("planner") as run:
        ...     run.step()
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        settings: Settings | None = None,
    ) -> None:
        """Bind to the provider if there is one."""
        self.settings = settings
        self.clock = clock
        self.recorder = Recorder(self._find_provider)
        self._anonymous = anonymous_run(self)
        self._binding = threading.Lock()
        if meter_provider is not None:
            self.bind_to(meter_provider)

    def bind_to(self, provider: MeterProvider, *, zeros: bool | None = None) -> bool:
        """Record on this provider from now on; the first binding stands.

        All `AgentMetrics` on one provider share what was bound first: its settings, budgets and caps.

        Args:
            provider: Any real meter provider.
            zeros: Whether run counters start at 0 for each outcome; by default unless the environment asks for
                delta temporality.

        Returns:
            Whether measurements are kept.
        """
        from agent_otel import settings  # noqa: PLC0415 -- a library that only measures stays light
        from agent_otel._ledger import recorder_on  # noqa: PLC0415 -- as above

        with self._binding:
            if not self.recorder.is_bound:
                if self.settings is None:
                    self.settings = settings.from_environment()
                zeros = settings.wants_cumulative() if zeros is None else zeros
                self.recorder = recorder_on(provider, self.settings, zeros=zeros)
        return self.recorder.is_bound

    def _find_provider(self) -> None:
        provider = metrics.get_meter_provider()
        if not keeps_nothing(provider):
            self.bind_to(provider)

    def run(
        self,
        agent: str,
        *,
        version: str | None = None,
        tools: Iterable[object] | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Run:
        """Measure one run of an agent: a block, or a decorator that makes a run for each call.

        Args:
            agent: `gen_ai.agent.name`, of low cardinality: the kind of agent, never a user or a session.
            version: `gen_ai.agent.version`, the release; else `AGENT_OTEL_RELEASE`, else `service.version`.
            tools: Names (or functions) of the tools that it has; names that a model invents become `_OTHER`.
            attributes: Values of your own attributes, declared in `AGENT_OTEL_ATTRIBUTES`.
        """
        return Run(self, agent, version, tools, attributes)

    def inference(self, model: str | None, *, provider: str | None, operation: str = "chat") -> Inference:
        """Measure one model call of the current run.

        Args:
            model: `gen_ai.request.model`, exactly as sent.
            provider: `gen_ai.provider.name`, such as `openai`.
            operation: `gen_ai.operation.name`, such as `chat` or `embeddings`.
        """
        return Inference(self, None, model, provider, operation)

    @overload
    def tool(self, name: F) -> F: ...
    @overload
    def tool(self, name: str, *, type: str = "function") -> ToolCall: ...

    def tool(self, name: Any, *, type: str = "function") -> Any:  # noqa: A002 -- the attribute's own word
        """Measure one tool call of the current run: a block, a decorator, or bare `@agent_otel.tool`.

        Args:
            name: `gen_ai.tool.name`; or the function itself, whose name it then is.
            type: `gen_ai.tool.type`: `function`, `extension` or `datastore`.
        """
        return tool_call(self, None, name, type)

    def current_run(self) -> Run:
        """The run that is current here; outside any, an anonymous one whose calls carry no agent. Never None."""
        run = current_run(self)
        if run is None:
            run = self._anonymous
            if not self.recorder.is_settled:
                self.recorder.find_provider()
        return run

    @overload
    def steps(self, items: Iterable[T]) -> Iterator[T]: ...
    @overload
    def steps(self, items: AsyncIterable[T]) -> AsyncIterator[T]: ...

    def steps(self, items: Any) -> Any:
        """Count a step of the current run for each item handed over.

        Args:
            items: Any iterable or async iterable.
        """
        return self.current_run().steps(items)

    def step(self, n: int = 1) -> None:
        """Count steps of the current run by hand.

        Args:
            n: How many, 0 or more.
        """
        self.current_run().step(n)

    def stop(self, reason: str) -> None:
        """Say why the current run ends.

        Args:
            reason: A stop reason, or a provider's word for it.
        """
        self.current_run().stop(reason)

    def fail(self, error: BaseException | str) -> None:
        """Say that the current run failed though no exception leaves its block.

        Args:
            error: The exception, or an `error.type`.
        """
        self.current_run().fail(error)

    def bind(self, function: F) -> F:
        """The function, for another thread, with the current run current there.

        Args:
            function: What the thread or the pool will call.
        """
        return self.current_run().bind(function)

    def evaluation(
        self, name: str, label: str, *, agent: str | None = None, version: str | None = None
    ) -> None:
        """Record a verdict in `agent_otel.evaluations`: on the current run, or days later on an agent.

        Args:
            name: `gen_ai.evaluation.name`, such as `task_solved`.
            label: `gen_ai.evaluation.score.label`, such as `pass`.
            agent: The agent, when the run has ended long ago.
            version: Its release then.
        """
        if agent is None:
            self.current_run().evaluation(name, label)
        else:
            if not self.recorder.is_settled:
                self.recorder.find_provider()
            self.recorder.append((EVALUATION, None, agent, version, name, label))

    def drain(self) -> None:
        """Hand what is buffered to the instruments now; collections do it by themselves."""
        self.recorder.drain()

    def end_runs(self) -> None:
        """End every run that is still open, with stop reason `shutdown`."""
        for run in list(self.recorder.live.copy().values()):
            run.shut_down()

    def settle(self) -> None:
        """Keep nothing from now on: the SDK is disabled, or shut down."""
        self.recorder.settle()

    def begin_anew(self) -> None:
        """Forget the provider and everything buffered, in a forked child."""
        self.recorder = Recorder(self._find_provider)
        self.recorder.is_pending = True
        self._binding = threading.Lock()


default: Final = AgentMetrics()
"""Behind `agent_otel.run()`, `agent_otel.tool()` and the others."""
