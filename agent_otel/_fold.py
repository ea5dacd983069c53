"""From events to measurements: what each event of the buffer means in the catalog's metrics.

Rules:

1. Everything that can be wrong is checked here, not on the user's thread: types, sizes, budgets, caps.
2. Events of a run are folded in the order in which they were appended, so the run's own counts are complete
   when its end is folded. A call that comes after its run's end keeps the agent and misses the per-run counts.
3. Token counts are inclusive on arrival (`Usage`): input contains cache reads and writes, output contains
   reasoning. `agent_otel.tokens` gets the disjoint parts, which add up to the bill.
4. Unknown is unknown. A call without usage is counted as missing, never as zero, and its run's total is not
   recorded at all.

A `Fold` is used by one drain at a time.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from agent_otel import catalog
from agent_otel._counts import Counts, checked, disjoint, whole
from agent_otel._policy import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.context import Context

    from agent_otel._instruments import Instruments
    from agent_otel._policy import Labels, Policy
    from agent_otel.outcomes import Outcomes
    from agent_otel.prices import Prices
    from agent_otel.settings import Settings
    from agent_otel.usage import Usage

    Sample = tuple[float, Context | None]

_logger: Final = logging.getLogger(__name__)


class MeasuredRun(Protocol):
    """What the fold needs of a run."""

    agent: object
    version: object
    attributes: tuple[tuple[object, object], ...]
    tools: frozenset[object] | None
    is_anonymous: bool
    nested: bool
    tally: Tally | None

    @property
    def counted_steps(self) -> Iterable[object]:
        """What `step()` was given, and a 1 for each item of `steps()`."""

    @property
    def parent(self) -> MeasuredRun | None:
        """The run that it is nested in."""

    def folded(self) -> None:
        """Let go of what only the fold of its end needed."""


class Tally:
    """What the fold knows of one run: its labels and what it has done so far.

    Args:
        base: The labels of the run, in the order of a per-run metric's first attributes.
        fold: Whose it is: another one has other labels.
    """

    __slots__ = ("base", "cost", "ended", "fold", "inferences", "tokens", "tools")

    def __init__(self, base: Labels, fold: Fold) -> None:
        """Start at nothing; `tokens` and `cost` become None when they can't be known any more."""
        self.base = base
        self.fold = fold
        self.tools = 0
        self.inferences = 0
        self.tokens: int | None = 0
        self.cost: float | None = 0.0
        self.ended = False

    def add(self, tokens: int | None, cost: float | None) -> None:
        """Add a call's, or a sub-run's, tokens and cost; one unknown makes the sum unknown."""
        self.tokens = None if self.tokens is None or tokens is None else self.tokens + tokens
        self.cost = None if self.cost is None or cost is None else self.cost + cost


class Fold:
    """Groups events into measurements and hands the groups to the instruments.

    Args:
        team: The team's settings.
        policy: What may become a label.
        outcomes: The stop reasons and their status, for the zeros.
        prices: The list prices of models.
        zeros: Whether the run counter starts at 0 for each outcome of an agent and release.
    """

    def __init__(
        self, team: Settings, policy: Policy, outcomes: Outcomes, prices: Prices, zeros: bool
    ) -> None:
        """Start with nothing seen."""
        self._team = team
        self._policy = policy
        self._outcomes = outcomes
        self._generation = team.generation
        self._prices = prices
        self._zeros = zeros
        self._zeroed: set[tuple[Labels, str | None]] = set()
        self._sums: dict[tuple[catalog.Metric, Labels], int] = defaultdict(int)
        self._samples: dict[tuple[catalog.Metric, Labels], list[Sample]] = defaultdict(list)
        self._priced: dict[Labels, float] = {}
        self._caps = {metric: team.tailored(metric).cap for metric in (catalog.RUNS, catalog.ACTIVE_RUNS)}
        self.bases: dict[Labels, None] = {}
        self._handlers: tuple[Callable[..., None], ...] = (
            self._run,
            self._tool,
            self._inference,
            self._evaluation,
        )

    def event(self, event: tuple[Any, ...]) -> None:
        """Fold one event.

        Args:
            event: Its kind, then what the handler of that kind takes.
        """
        self._handlers[event[0]](*event[1:])

    def flush(self, instruments: Instruments) -> None:
        """Hand every group to its instrument and forget it.

        Args:
            instruments: Where the groups go.
        """
        sums, self._sums = self._sums, defaultdict(int)
        samples, self._samples = self._samples, defaultdict(list)
        for (metric, labels), total in sums.items():
            with self._counted(metric, 1):
                instruments.add(metric, self._policy.attributes(metric, labels), total)
        for (metric, labels), values in samples.items():
            with self._counted(metric, len(values)):
                instruments.record(metric, self._policy.attributes(metric, labels, len(values)), values)
        self._flush_drops(instruments)

    def _flush_drops(self, instruments: Instruments) -> None:
        dropped, self._policy.dropped = self._policy.dropped, Counter()
        for reason, count in dropped.items():
            with self._counted(catalog.DROPPED_ATTRIBUTES, 1):
                attributes = self._policy.attributes(catalog.DROPPED_ATTRIBUTES, (reason,))
                instruments.add(catalog.DROPPED_ATTRIBUTES, attributes, count)
        lost, self._policy.dropped_measurements = self._policy.dropped_measurements, 0
        if lost:
            with self._counted(catalog.DROPPED_MEASUREMENTS, lost):
                instruments.add(catalog.DROPPED_MEASUREMENTS, {}, lost)

    @contextmanager
    def _counted(self, metric: catalog.Metric, measurements: int) -> Iterator[None]:
        """Whatever the SDK does with one group, the others are recorded and this one is counted."""
        try:
            yield
        except Exception:
            _logger.exception("agent_otel could not hand %s to the SDK", metric.name)
            self._policy.drop_measurement(metric.name, measurements)

    def forget(self) -> None:
        """Forget what was folded and not yet flushed: after a fork it is the parent's to report."""
        self._sums.clear()
        self._samples.clear()
        self._policy.forget()

    def zero(self, base: Labels, nested: str | None) -> None:
        """Let the run counter of an agent and release start at 0 for each outcome, once.

        A counter that is born at 1 hides its first event from `increase()`.

        Args:
            base: The labels of the run.
            nested: `true` for a sub-run.
        """
        if not self._zeros or (base, nested) in self._zeroed:
            return
        if len(self._zeroed) < self._caps[catalog.RUNS]:
            self._zeroed.add((base, nested))
        for reason, status in self._outcomes.statuses.items():
            self._sums[catalog.RUNS, (*base, status, reason, nested)] += 0

    def zero_run(self, run: MeasuredRun) -> str | None:
        """Zero the agent and release of a run.

        Args:
            run: The run object that the events carry.

        Returns:
            The label that says whether the run is nested.
        """
        nested = catalog.RUN_NESTED.values[0] if run.nested else None
        self.zero(self.tally(run).base, nested)
        return nested

    def zero_agent(self, agent: str, release: str | None) -> None:
        """Zero an agent before its first run.

        Args:
            agent: One of the declared agents.
            release: The default release.
        """
        base = self._base(agent, release, ())
        self._meet(base)
        self.zero(base, None)

    def tally(self, run: MeasuredRun) -> Tally:
        """What the fold knows of a run, its labels resolved at first sight.

        Args:
            run: The run object that the events carry.
        """
        tally = run.tally
        if tally is None or tally.fold is not self:
            tally = run.tally = Tally(self._base(run.agent, run.version, run.attributes), self)
            tally.ended = run.is_anonymous
            if not run.is_anonymous:
                self._meet(tally.base)
        return tally

    def _meet(self, base: Labels) -> None:
        """Remember an agent and release, so that its runs in flight are reported as 0 when there are none."""
        if len(self.bases) < self._caps[catalog.ACTIVE_RUNS]:
            self.bases[base] = None

    def prices(self) -> list[tuple[float, Mapping[str, str]]]:
        """The list price of every model seen, for the gauge."""
        metric = catalog.TOKEN_PRICE
        return [(price, self._policy.attributes(metric, labels)) for labels, price in self._priced.items()]

    def _base(self, agent: object, version: object, given: tuple[tuple[object, object], ...]) -> Labels:
        name = self._policy.label(catalog.AGENT_NAME, agent)
        release = self._policy.label(
            catalog.AGENT_VERSION, self._team.release if version is None else version
        )
        if name is None:
            release = None
        return (name, release, *self._policy.own_labels(given))

    def _run(
        self,
        run: MeasuredRun,
        duration: object,
        outcome: tuple[str, str, str | None],
        context: Context | None,
    ) -> None:
        tally = self.tally(run)
        status, reason, error = outcome
        tally.ended = True
        nested = self.zero_run(run)
        self._sums[catalog.RUNS, (*tally.base, status, reason, nested)] += 1
        self._seconds(catalog.RUN_DURATION, (*tally.base, error), duration, context)
        steps = self._steps(run.counted_steps)
        per_run = (
            (catalog.RUN_STEPS, tally.inferences if steps is None else steps),
            (catalog.RUN_INFERENCE_CALLS, tally.inferences),
            (catalog.RUN_TOOL_CALLS, tally.tools),
            (catalog.RUN_TOKEN_USAGE, tally.tokens),
            (catalog.RUN_COST, tally.cost if self._team.cost else None),
        )
        for metric, value in per_run:
            if value is not None:
                self._samples[metric, tally.base].append((value, context))
        if run.parent is not None:
            self.tally(run.parent).add(tally.tokens, tally.cost)
        run.folded()

    def _steps(self, counted: Iterable[object]) -> int | None:
        """The steps that the run counted; None when it counted none, so that its model calls are its steps."""
        numbers = [whole(given) for given in counted]
        for number in numbers:
            if number is None:
                self._policy.drop_measurement("step(n)")
        good = [number for number in numbers if number is not None]
        return min(sum(good), catalog.MAX_COUNT) if good else None

    def _tool(
        self,
        run: MeasuredRun,
        name: object,
        kind: object,
        error: str | None,
        duration: object,
        context: Context | None,
    ) -> None:
        tally = self.tally(run)
        if not tally.ended:
            tally.tools += 1
        tool, tool_type = self._tool_name(run.tools, name), self._policy.label(catalog.TOOL_TYPE, kind)
        self._seconds(catalog.TOOL_DURATION, (*tally.base, tool, tool_type, error), duration, context)

    def _tool_name(self, declared: frozenset[object] | None, name: object) -> str | None:
        if declared is not None and plain(name) not in declared:
            self._policy.drop("undeclared", catalog.TOOL_NAME.key)
            return catalog.OTHER
        return self._policy.label(catalog.TOOL_NAME, name)

    def _inference(
        self,
        run: MeasuredRun,
        call: tuple[object, object, object],
        error: str | None,
        duration: object,
        first_chunk: float | None,
        usage: Usage | None,
        context: Context | None,
    ) -> None:
        tally = self.tally(run)
        operation = self._policy.label(catalog.OPERATION, call[0])
        provider = self._policy.label(catalog.PROVIDER, call[1])
        model = self._policy.label(catalog.MODEL, call[2])
        is_inference = operation in catalog.INFERENCE_OPERATIONS
        if is_inference and not tally.ended:
            tally.inferences += 1
        labels = (*tally.base, operation, provider, model)
        metric = self._generation.inference if is_inference else self._generation.operation
        if metric is not None:
            self._seconds(metric, (*labels, error), duration, context)
        if self._generation.first_chunk is not None and first_chunk is not None:
            self._seconds(self._generation.first_chunk, labels, first_chunk, context)
        counts = self._checked(usage)
        expected = operation in catalog.TOKEN_OPERATIONS and (error is None or first_chunk is not None)
        if operation not in catalog.TOKENLESS_OPERATIONS:
            self._tokens(tally, labels, counts, is_inference, expected)

    def _checked(self, usage: Usage | None) -> Counts:
        """The usage with exact, plausible counts; all absent when there is none or it contradicts itself."""
        if usage is None:
            return Counts()
        counts = checked(usage)
        if counts is None:
            self._policy.drop_measurement("token usage")
        return counts or Counts()

    def _tokens(
        self, tally: Tally, labels: Labels, usage: Counts, is_inference: bool, expected: bool
    ) -> None:
        place = (*tally.base, *labels[-2:])
        complete = usage.input is not None and (usage.output is not None or not is_inference)
        missing = not complete and expected
        if missing:
            self._sums[catalog.USAGE_MISSING, place] += 1
        parts = disjoint(usage)
        for token_type, count in parts.items():
            self._sums[catalog.TOKENS, (*place, token_type)] += count
        self._inclusive(labels, usage, is_inference)
        cost = self._cost(labels[-2:], parts)
        if not tally.ended:
            tally.add(None if missing else sum(parts.values()), None if missing else cost)

    def _inclusive(self, labels: Labels, usage: Counts, is_inference: bool) -> None:
        """The counts as upstream's conventions have them."""
        counters = self._generation.usage if is_inference else ()
        for metric, count in zip(counters, usage, strict=False):
            if count is not None:
                self._sums[metric, (*labels, catalog.UNKNOWN)] += count
        histogram = self._generation.token_usage
        for token_type, count in zip(catalog.GENAI_TOKEN_TYPE.values, usage, strict=False):
            if histogram is not None and count is not None:
                self._samples[histogram, (*labels, token_type)].append((count, None))

    def _cost(self, provider_and_model: Labels, parts: dict[str, int]) -> float | None:
        provider, model = provider_and_model
        for token_type, price in self._prices.of(provider, model).items():
            self._priced[provider, model, token_type] = price
        return self._prices.cost(provider, model, parts)

    def _evaluation(
        self, run: MeasuredRun | None, agent: object, version: object, name: object, label: object
    ) -> None:
        base = self._base(agent, version, ()) if run is None else self.tally(run).base
        verdict = (
            self._policy.label(catalog.EVALUATION_NAME, name),
            self._policy.label(catalog.EVALUATION_LABEL, label),
        )
        self._sums[catalog.EVALUATIONS, (*base, *verdict)] += 1

    def _seconds(
        self, metric: catalog.Metric, labels: Labels, value: object, context: Context | None
    ) -> None:
        if isinstance(value, (int, float)) and 0 <= value < math.inf:
            self._samples[metric, labels].append((float(value), context))
        else:
            self._policy.drop_measurement(metric.name)
