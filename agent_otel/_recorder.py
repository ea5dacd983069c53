"""The event buffer: what the user's thread touches.

Rules for whoever changes this file:

1. The user's thread appends one tuple and goes on. It takes no lock that another thread may hold and raises
   nothing. At a full buffer it folds a slice itself, if nobody else is folding; it never waits for that.
2. Nothing is lost silently. Beyond `HARD_LIMIT` events, with another thread folding, an event is counted as a
   dropped measurement.
3. Before a provider exists nothing is kept: the buffer is one of length 0.
4. After a fork the child starts empty: what was in the buffer is the parent's to report.
5. This file is imported by whoever measures; what folds (`_ledger.py` and all below it) is imported when there is
   a provider to fold for.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.context import get_current

from agent_otel.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider

    from agent_otel.outcomes import Outcomes

RUN: Final = 0
TOOL: Final = 1
INFERENCE: Final = 2
EVALUATION: Final = 3
"""The kinds of events, as the fold lists its handlers; an event is its kind and what that handler takes."""

SOFT_LIMIT: Final = 8_192
"""From here on whoever appends also folds a slice: about 1.5 MB of events."""

SLICE: Final = 256
"""Events folded at once by a thread that found the buffer full, so that its stall stays short."""

HARD_LIMIT: Final = 131_072
"""Beyond it events are counted as dropped instead of kept: about 24 MB, reached only if folding can't keep up."""


class Ledger(Protocol):
    """What a buffer needs of the ledger that it is folded into."""

    outcomes: Outcomes
    strict: bool

    def zero_live(self) -> None:
        """Let the run counters of what is in flight start at 0; the lock is held."""

    def take(self, count: int, lost: int) -> None:
        """Fold so many events of the buffer; the lock is held."""

    def tell(self, reason: str, what: str) -> None:
        """Log a wrong value."""

    def tell_unknown(self, what: str, word: object, known: str | None) -> None:
        """Log a word that no vocabulary knows."""

    def problems(self) -> list[str]:
        """What strict mode found wrong since the last time."""

    def forget(self) -> None:
        """Forget what is folded and not yet handed over."""


def _nothing() -> None:
    """No provider to find."""


class Recorder:
    """Keeps events until a collection folds them; one for each provider, and one for whoever has none yet.

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
        self.is_pending = False
        self.events: deque[tuple[Any, ...]] = deque(maxlen=0)
        self.live: dict[int, Any] = {}
        self.lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._outcomes: Outcomes | None = None
        self._lost: dict[int, int] = {}
        self._lost_told = 0
        self._taker = 0
        _alive.add(self)

    def bind(self, ledger: Ledger) -> None:
        """Begin to keep events.

        Args:
            ledger: What they are folded into.
        """
        self._ledger, self._outcomes = ledger, ledger.outcomes
        self.events = StrictBuffer(self, ledger) if ledger.strict else deque()
        self.is_bound = self.is_settled = True
        self.is_pending = False

    def settle(self) -> None:
        """Keep nothing from now on, and look for no provider either."""
        self.is_bound, self.is_settled, self.is_pending = False, True, False
        self.events = deque(maxlen=0)
        self.live = {}

    @property
    def outcomes(self) -> Outcomes:
        """How exceptions and words are named."""
        if self._outcomes is None:
            from agent_otel.outcomes import Outcomes  # noqa: PLC0415 -- rule 5

            self._outcomes = Outcomes()
        return self._outcomes

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
        if self.lock.acquire(blocking=False):
            try:
                self._take(SLICE)
            finally:
                self.lock.release()
        elif len(self.events) > self.hard_limit:
            with suppress(IndexError):
                self.events.pop()
                ident = threading.get_ident()
                self._lost[ident] = self._lost.get(ident, 0) + 1

    def drain(self) -> None:
        """Fold every event that is in the buffer now; waits for a drain that is under way in another thread."""
        if (
            self._taker == threading.get_ident()
        ):  # a finaliser or a signal handler, in the middle of the drain
            return
        with self.lock:
            if self._ledger is not None:
                self._ledger.zero_live()
            self._take(len(self.events))

    def _take(self, count: int) -> None:
        if self._ledger is None:
            return
        # Each thread writes its own total and nobody resets it, so that no loss is told twice or not at all.
        lost = sum(self._lost.copy().values())
        self._taker = threading.get_ident()
        try:
            self._ledger.take(count, lost - self._lost_told)
        finally:
            self._taker = 0
        self._lost_told = lost

    def tell(self, reason: str, what: str) -> None:
        """Log a wrong value that is no attribute and no measurement; strict mode raises.

        Args:
            reason: A key of the policy's remedies.
            what: The argument that was wrong, never its value.

        Raises:
            MeasurementError: In strict mode.
        """
        if self._ledger is not None:
            self._ledger.tell(reason, what)
            self._raise_problems(self._ledger)

    def tell_unknown(self, what: str, word: object, known: str | None) -> None:
        """Log a word that no vocabulary knows; strict mode raises.

        Args:
            what: The argument.
            word: What was given; an exception is never a wrong word.
            known: What became of it.

        Raises:
            MeasurementError: In strict mode.
        """
        if self._ledger is not None:
            self._ledger.tell_unknown(what, word, known)
            self._raise_problems(self._ledger)

    @staticmethod
    def _raise_problems(ledger: Ledger) -> None:
        if ledger.strict and (found := ledger.problems()):
            raise MeasurementError("; ".join(found))

    def forget(self) -> None:
        """Begin anew in a forked child: another lock, no events; inherited runs are the parent's to end."""
        self.lock = threading.Lock()
        self._lost, self._lost_told, self._taker = {}, 0, 0
        self.events.clear()
        if self._ledger is not None:
            self._ledger.forget()
        for run in self.live.values():
            run.is_inherited = True
        self.live = {}


_alive: Final[weakref.WeakSet[Recorder]] = weakref.WeakSet()


class StrictBuffer(deque[tuple[Any, ...]]):
    """A buffer for tests: folds each event at once and raises what was wrong with it.

    Args:
        recorder: Whose events these are.
        ledger: What they are folded into.
    """

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        """Start empty."""
        super().__init__()
        self._recorder = recorder
        self._ledger = ledger

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
        if sys.exc_info()[1] is None and (found := self._ledger.problems()):
            raise MeasurementError("; ".join(found))


def recording_context() -> Context | None:
    """The current trace context if a span is recording in it, so that exemplars point to the right trace."""
    context = get_current()
    if not context or "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 -- not loaded where nobody traces

    try:
        return context if get_current_span(context).is_recording() else None
    except Exception:  # noqa: BLE001 -- a span of somebody else must not raise into whoever measures
        return None


def keeps_nothing(provider: MeterProvider) -> bool:
    """Whether a provider is one of the API's own, which stand in until a real one is set.

    Args:
        provider: What `get_meter_provider()` gave.
    """
    return type(provider).__module__.startswith("opentelemetry.metrics")


def _forget_all() -> None:
    for recorder in list(_alive):
        recorder.forget()


if hasattr(os, "register_at_fork"):  # pragma: no branch -- Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)
