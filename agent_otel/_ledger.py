"""What the events of one provider are folded into, and when: the drain.

Rules for whoever changes this file:

1. The drain runs at the start of every reader's collection, as the callback of the first registered observable
   instrument, and there it waits for the lock: nothing is older than the scrape, and cumulative, delta and several
   readers all see the same.
2. A provider has one ledger, whoever asks: the SDK hands out each instrument once, so a second one would find its
   callbacks ignored and would never be drained.
3. Nothing leaves a callback but values: an exception would break somebody's collection.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics

from agent_otel import catalog
from agent_otel._fold import Fold
from agent_otel._instruments import Instruments
from agent_otel._policy import Policy, plain
from agent_otel._recorder import Recorder
from agent_otel._version import __version__
from agent_otel.outcomes import Outcomes
from agent_otel.prices import Prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import Meter, MeterProvider

    from agent_otel.settings import Settings

_logger: Final = logging.getLogger(__name__)


class Ledger:
    """Folds the events of a recorder into the instruments of a provider.

    Args:
        recorder: Whose buffer, lock and runs in flight these are.
        meter: Where the instruments are created.
        team: The settings to record by.
        zeros: Whether run counters start at 0 for each outcome (a reader is cumulative).
    """

    def __init__(self, recorder: Recorder, meter: Meter, team: Settings, *, zeros: bool) -> None:
        """Create the instruments; a reader may collect as soon as the first one is there."""
        self.outcomes = Outcomes(team.stop_reasons, team.error_types)
        self.strict = team.strict
        self.team = team
        self._recorder = recorder
        self._policy = Policy(team)
        self._fold = Fold(team, self._policy, self.outcomes, Prices(team.prices), zeros)
        observe = {
            catalog.ACTIVE_RUNS: self._observe_active,
            catalog.OLDEST_AGE: self._observe_oldest,
            catalog.TOKEN_PRICE: self._observe_prices,
        }
        self._instruments = Instruments(meter, recorded_metrics(team), observe)
        if zeros:
            self._write_zeros()

    def _write_zeros(self) -> None:
        with self._recorder.lock:
            for agent in self.team.agents:
                self._fold.zero_agent(agent, self.team.release)
            self._fold.flush(self._instruments)
            for reason in catalog.DROP_REASONS:
                attributes = self._policy.attributes(catalog.DROPPED_ATTRIBUTES, (reason,))
                self._instruments.add(catalog.DROPPED_ATTRIBUTES, attributes, 0)
            self._instruments.add(catalog.DROPPED_MEASUREMENTS, {}, 0)

    def zero_live(self) -> None:
        """Let the run counters of what is in flight start at 0, ahead of the first end; the lock is held."""
        for run in self._recorder.live.copy().values():
            self._fold.zero_run(run)

    def take(self, count: int, lost: int) -> None:
        """Fold events and hand the groups to the instruments; the recorder's lock is held.

        Args:
            count: How many events, at the most.
            lost: How many a full buffer couldn't take since the last time.
        """
        for _ in range(count):
            try:
                event = self._recorder.events.popleft()
            except IndexError:  # another thread's overflow took it
                break
            self._fold_one(event)
        if lost:
            self._policy.drop_measurement("the event buffer", lost)
        self._fold.flush(self._instruments)

    def _fold_one(self, event: tuple[Any, ...]) -> None:
        try:
            self._fold.event(event)
        except Exception:
            # One strange event must neither lose the others nor break a collection.
            _logger.debug("agent_otel could not fold an event", exc_info=True)
            self._policy.drop_measurement("an event")

    def tell(self, reason: str, what: str) -> None:
        """Log a wrong value that is no attribute and no measurement.

        Args:
            reason: A key of the policy's remedies.
            what: The argument that was wrong, never its value.
        """
        self._policy.tell(reason, what)

    def tell_unknown(self, what: str, word: object, known: str | None) -> None:
        """Log a word that no vocabulary knows.

        Args:
            what: The argument.
            word: What was given; an exception is never a wrong word.
            known: What became of it.
        """
        is_word = plain(word) != catalog.OTHER and not issubclass(type(word), BaseException)
        if known == catalog.OTHER and is_word:
            self._policy.tell("word", what)

    def problems(self) -> list[str]:
        """What strict mode found wrong since the last time."""
        found, self._policy.problems = self._policy.problems, []
        return found

    def forget(self) -> None:
        """Forget what is folded and not yet handed over: after a fork it is the parent's to report."""
        self._fold.forget()

    def _observe_active(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        """Drain, then report runs in flight; an agent that ever ran goes on at 0."""
        self._recorder.drain()
        return self._observed(catalog.ACTIVE_RUNS, len)

    def _observe_oldest(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        return self._observed(catalog.OLDEST_AGE, lambda ages: max(ages, default=0.0))

    def _observe_prices(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        with self._recorder.lock:
            return self._fold.prices()

    def _observed(
        self, metric: catalog.Metric, value: Callable[[list[float]], float]
    ) -> Iterable[tuple[float, Mapping[str, str]]]:
        """One value for each attribute set, from the ages of its runs in flight; several labels may fold into one."""
        with self._recorder.lock:
            runs = [(self._fold.tally(run).base, run.age()) for run in self._recorder.live.copy().values()]
            bases = (*self._fold.bases, *(base for base, _ in runs))
            sets = {base: self._policy.attributes(metric, base) for base in bases}
        ages: dict[tuple[tuple[str, str], ...], list[float]] = {tuple(a.items()): [] for a in sets.values()}
        for base, age in runs:
            ages[tuple(sets[base].items())].append(age)
        return [(value(found), dict(attributes)) for attributes, found in ages.items()]


_recorders: Final[weakref.WeakValueDictionary[int, _Bound]] = weakref.WeakValueDictionary()


class _Bound(Recorder):
    """A recorder with the provider that it is bound to."""

    def __init__(self, provider: MeterProvider, team: Settings) -> None:
        super().__init__()
        self._provider = weakref.ref(provider)
        self._team = team

    def serves(self, provider: MeterProvider, team: Settings) -> bool:
        """Whether this is the recorder of a provider; other settings than its own are told, and not taken."""
        if self._provider() is not provider:
            return False
        if team != self._team:
            _logger.warning(
                "agent_otel records on this provider already: the settings it was first bound with stand"
            )
        return True


def recorder_on(provider: MeterProvider, team: Settings, *, zeros: bool) -> Recorder:
    """The recorder of a provider; there is one, whoever asks.

    Args:
        provider: Any real meter provider.
        team: The settings to record by.
        zeros: Whether run counters start at 0 for each outcome.

    Returns:
        A recorder that is bound; or one that keeps nothing when the provider hands out meters that keep nothing, as
        with `OTEL_SDK_DISABLED`.
    """
    found = _recorders.get(id(provider))
    if found is not None and found.serves(provider, team):
        return found
    recorder = _Bound(provider, team)
    meter = provider.get_meter(catalog.SCOPE, __version__, catalog.SCHEMA_URL)
    if isinstance(meter, metrics.NoOpMeter):
        recorder.settle()
    else:
        recorder.bind(Ledger(recorder, meter, team, zeros=zeros))
        _recorders[id(provider)] = recorder
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
