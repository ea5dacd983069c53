"""The event buffer and its drain: from the user's thread to the instruments.

Rules for whoever changes this file:

1. The user's thread appends one tuple and goes on. It takes no lock that another thread may hold and raises
   nothing. At a full buffer it folds a slice itself, if nobody else is folding; it never waits for that.
2. The drain runs at the start of every reader's collection, as the callback of the first registered observable
   instrument, and there it does wait for the lock: nothing is older than the scrape, and cumulative, delta and
   several readers all see the same.
3. Nothing is lost silently. Beyond `HARD_LIMIT` events, with another thread folding, an event is counted as a
   dropped measurement.
4. Before a provider exists nothing is kept: the buffer is one of length 0.
5. After a fork the child starts empty: what was in the buffer is the parent's to report.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.context import get_current

from agent_otel import catalog
from agent_otel._fold import Fold
from agent_otel._instruments import Instruments
from agent_otel._policy import Policy, plain
from agent_otel._version import __version__
from agent_otel.errors import MeasurementError
from agent_otel.outcomes import Outcomes
from agent_otel.prices import Prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider

    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)

SOFT_LIMIT: Final = 8_192
"""From here on whoever appends also folds a slice: about 1.5 MB of events."""

SLICE: Final = 256
"""Events folded at once by a thread that found the buffer full, so that its stall stays short."""

HARD_LIMIT: Final = 131_072
"""Beyond it events are counted as dropped instead of kept: about 24 MB, reached only if folding can't keep up."""


def _nothing() -> None:
    """No provider to find."""


class Recorder:
    """Keeps events until a collection and folds them into the instruments of one provider.

    Args:
        find_provider: Called at the start of a run while there is no provider; binds if there is one by now.
        soft_limit: From how many events on whoever appends also folds a slice.
        hard_limit: From how many events on they are counted as dropped, if folding can't keep up.
    """

    def __init__(
        self,
        find_provider: Callable[[], None] = _nothing,
        soft_limit: int = SOFT_LIMIT,
        hard_limit: int = HARD_LIMIT,
    ) -> None:
        """Start unbound: nothing is kept."""
        self.soft_limit = soft_limit
        self.hard_limit = hard_limit
        self.find_provider = find_provider
        self.is_bound = False
        self.is_settled = False
        self.events: deque[tuple[Any, ...]] = deque(maxlen=0)
        self.outcomes = Outcomes()
        self.live: dict[int, Any] = {}
        self.strict = False
        self._lock = threading.Lock()
        self._fold: Fold | None = None
        self._policy: Policy | None = None
        self._instruments: Instruments | None = None
        self._lost: dict[int, int] = {}
        self._provider: Callable[[], object] = _nothing
        self._team: Settings | None = None
        _alive.add(self)

    def bind(self, provider: MeterProvider, team: Settings, *, zeros: bool = True) -> bool:
        """Create the instruments on a provider and begin to keep events.

        Args:
            provider: Any real meter provider.
            team: The settings to record by.
            zeros: Whether run counters start at 0 for each outcome (a reader is cumulative).

        Returns:
            False when the provider hands out meters that keep nothing, as with `OTEL_SDK_DISABLED`.
        """
        meter = provider.get_meter(catalog.SCOPE, __version__, catalog.SCHEMA_URL)
        if isinstance(meter, metrics.NoOpMeter):
            return False
        self._provider, self._team = weakref.ref(provider), team
        self.outcomes = Outcomes(team.stop_reasons, team.error_types)
        policy = self._policy = Policy(team)
        fold = Fold(team, policy, self.outcomes, Prices(team.prices), zeros)
        # The fold is in place before the first instrument is: a reader may collect at once.
        self._fold, self.strict = fold, team.strict
        observe = {
            catalog.ACTIVE_RUNS: self._observe_active,
            catalog.OLDEST_AGE: self._observe_oldest,
            catalog.TOKEN_PRICE: fold.prices,
        }
        self._instruments = Instruments(meter, recorded_metrics(team), observe)
        if zeros:
            self._write_zeros(team)
        self.events = StrictBuffer(self) if team.strict else deque()
        self.is_bound = self.is_settled = True
        return True

    def serves(self, provider: MeterProvider, team: Settings) -> bool:
        """Whether this is the recorder of a provider; other settings than its own are told, and not taken.

        Args:
            provider: Compared by identity.
            team: The settings that are asked for.
        """
        if self._provider() is not provider:
            return False
        if team != self._team:
            _logger.warning(
                "agent_otel records on this provider already: the settings it was first bound with stand"
            )
        return True

    def settle(self) -> None:
        """Keep nothing from now on, and look for no provider either."""
        self.is_bound, self.is_settled = False, True
        self.events = deque(maxlen=0)
        self.live = {}

    def _write_zeros(self, team: Settings) -> None:
        fold, policy, instruments = self._fold, self._policy, self._instruments
        if fold is None or policy is None or instruments is None:
            return
        with self._lock:
            for agent in team.agents:
                fold.zero_agent(agent, team.release)
            fold.flush(instruments)
            for reason in catalog.DROP_REASONS:
                instruments.add(
                    catalog.DROPPED_ATTRIBUTES, policy.attributes(catalog.DROPPED_ATTRIBUTES, (reason,)), 0
                )
            instruments.add(catalog.DROPPED_MEASUREMENTS, {}, 0)

    def append(self, event: tuple[Any, ...]) -> None:
        """Keep an event; calls do the same in line.

        Args:
            event: Its kind, then what the fold takes for that kind.
        """
        self.events.append(event)
        if len(self.events) > self.soft_limit:
            self.relieve()

    def relieve(self) -> None:
        """Fold a slice of a full buffer, unless somebody else is folding; called by whoever appended."""
        if self._lock.acquire(blocking=False):
            try:
                self._drain(SLICE)
            finally:
                self._lock.release()
        elif len(self.events) > self.hard_limit:
            with suppress(IndexError):
                self.events.pop()
                ident = threading.get_ident()
                self._lost[ident] = self._lost.get(ident, 0) + 1

    def drain(self) -> None:
        """Fold every event that is in the buffer now; waits for a drain that is under way."""
        with self._lock:
            self._drain(len(self.events))

    def problems(self) -> list[str]:
        """What strict mode found wrong since the last time."""
        if self._policy is None:
            return []
        found, self._policy.problems = self._policy.problems, []
        return found

    def tell(self, reason: str, what: str) -> None:
        """Log a wrong value that is no attribute and no measurement; strict mode raises.

        Args:
            reason: A key of the policy's remedies.
            what: The argument that was wrong, never its value.
        """
        if self._policy is None:
            return
        self._policy.tell(reason, what)
        if self.strict and (found := self.problems()):
            raise MeasurementError("; ".join(found))

    def tell_unknown(self, what: str, word: object, known: str | None) -> None:
        """Log a word that no vocabulary knows; strict mode raises.

        Args:
            what: The argument.
            word: What was given; an exception is never a wrong word.
            known: What became of it.
        """
        if (
            known == catalog.OTHER
            and plain(word) != catalog.OTHER
            and not issubclass(type(word), BaseException)
        ):
            self.tell("word", what)

    def _drain(self, count: int) -> None:
        fold, instruments = self._fold, self._instruments
        if fold is None or instruments is None:
            return
        take = self.events.popleft
        for _ in range(count):
            try:
                event = take()
            except IndexError:  # another thread's overflow took it
                break
            self._fold_one(fold, event)
        for run in self.live.copy().values():
            fold.zero(fold.tally(run).base, "true" if run.nested else None)
        lost, self._lost = self._lost, {}
        if lost and self._policy is not None:
            self._policy.drop_measurement("the event buffer", sum(lost.values()))
        self._write(fold, instruments)

    def _fold_one(self, fold: Fold, event: tuple[Any, ...]) -> None:
        try:
            fold.event(event)
        except Exception:
            # One strange event must neither lose the others nor break a collection.
            _logger.debug("agent_otel could not fold an event", exc_info=True)
            if self._policy is not None:
                self._policy.drop_measurement("an event")

    def _write(self, fold: Fold, instruments: Instruments) -> None:
        fold.flush(instruments)
        try:
            fold.flush_drops(instruments)
        except Exception:
            _logger.exception("agent_otel could not hand its own counts to the SDK")

    def _observe_active(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        """Drain, then report runs in flight; an agent that ever ran goes on at 0."""
        self.drain()
        return self._observed(catalog.ACTIVE_RUNS, len)

    def _observe_oldest(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        return self._observed(catalog.OLDEST_AGE, lambda ages: max(ages, default=0.0))

    def _observed(
        self, metric: catalog.Metric, value: Callable[[list[float]], float]
    ) -> Iterable[tuple[float, Mapping[str, str]]]:
        """One value for each attribute set, from the ages of its runs in flight; several labels may fold into one."""
        fold, policy = self._fold, self._policy
        if fold is None or policy is None:
            return []
        with self._lock:
            runs = [(fold.tally(run).base, run.age()) for run in self.live.copy().values()]
            sets = {
                base: policy.attributes(metric, base) for base in (*fold.bases, *(base for base, _ in runs))
            }
        ages: dict[tuple[tuple[str, str], ...], list[float]] = {tuple(a.items()): [] for a in sets.values()}
        for base, age in runs:
            ages[tuple(sets[base].items())].append(age)
        return [(value(found), dict(attributes)) for attributes, found in ages.items()]

    def forget(self) -> None:
        """Begin anew in a forked child: another lock, no events; inherited runs are the parent's to end."""
        self._lock = threading.Lock()
        self._lost = {}
        self.events.clear()
        if self._fold is not None:
            self._fold.forget()
        for run in self.live.values():
            run.is_inherited = True
        self.live = {}


_alive: Final[weakref.WeakSet[Recorder]] = weakref.WeakSet()


class StrictBuffer(deque[tuple[Any, ...]]):
    """A buffer for tests: folds each event at once and raises what was wrong with it.

    Args:
        recorder: Whose events these are.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Start empty."""
        super().__init__()
        self._recorder = recorder

    def append(self, event: tuple[Any, ...], /) -> None:
        """Fold the event.

        Args:
            event: As any buffer takes it.

        Raises:
            MeasurementError: A value of the event can't be recorded as it is.
        """
        super().append(event)
        self._recorder.drain()
        # An exception on its way out of a block is never replaced; the next event tells what was wrong.
        if sys.exc_info()[1] is None and (found := self._recorder.problems()):
            raise MeasurementError("; ".join(found))


_recorders: Final[weakref.WeakValueDictionary[int, Recorder]] = weakref.WeakValueDictionary()


def recorder_on(provider: MeterProvider, team: Settings, *, zeros: bool) -> Recorder:
    """The recorder of a provider; there is one, whoever asks, since the SDK hands out each instrument once.

    A second one would find its callbacks ignored, and so would never be drained.

    Args:
        provider: Any real meter provider.
        team: The settings to record by.
        zeros: Whether run counters start at 0 for each outcome.

    Returns:
        A recorder that is bound, or one that keeps nothing when the provider doesn't.
    """
    found = _recorders.get(id(provider))
    if found is not None and found.serves(provider, team):
        return found
    recorder = Recorder()
    if recorder.bind(provider, team, zeros=zeros):
        _recorders[id(provider)] = recorder
    else:
        recorder.settle()
    return recorder


def recorded_metrics(team: Settings) -> tuple[catalog.Metric, ...]:
    """The metrics that these settings record.

    Args:
        team: The settings: another generation of names, or no cost, leaves metrics out.
    """
    generation = team.generation
    used = {generation.inference, generation.operation, generation.first_chunk, generation.token_usage}
    used.update(generation.usage)
    every = {
        metric
        for each in catalog.GENERATIONS.values()
        for metric in (each.inference, each.operation, each.first_chunk, each.token_usage, *each.usage)
    }
    left_out = every - used
    if not team.cost:
        left_out.add(catalog.RUN_COST)
    return tuple(metric for metric in catalog.METRICS if metric not in left_out)


def recording_context() -> Context | None:
    """The current trace context if a span is recording in it, so that exemplars point to the right trace."""
    context = get_current()
    if not context or "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 -- not loaded where nobody traces

    return context if get_current_span(context).is_recording() else None


def keeps_nothing(provider: MeterProvider) -> bool:
    """Whether a provider is one of the API's own, which stand in until a real one is set.

    Args:
        provider: What `get_meter_provider()` gave.
    """
    return type(provider).__module__.startswith("opentelemetry.metrics")


def _forget_all() -> None:
    for recorder in list(_alive):
        recorder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
