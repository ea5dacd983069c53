"""PromQL, as much of it as the recording rules, the alerts and the health table are written in.

So the demo's table isn't a second definition of them: it evaluates the very text that Prometheus does, and
`tests/real/test_evaluator.py` compares the two.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_otel.demo import vectors
from agent_otel.demo.vectors import Matching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_otel.demo.series import Labels, Series, Store, Vector

Query = Callable[[float], Any]
"""What an expression is at a moment: a vector, or a number."""

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<duration>\d+[smhdw])|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-zA-Z_][\w:]*)|(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<sign>=~|!~|!=|>=|<=|[-+*/(){}\[\],=<>:]))\s*""",
    re.VERBOSE,
)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BINDS: Final = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys((">", "<", ">=", "<="), 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys("*/", 5),
}
_MATCHERS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}


class PromqlError(ValueError):
    """The text isn't PromQL, or it is a part of it that isn't known here."""


@dataclass(frozen=True)
class Compiled:
    """An expression ready to be asked.

    Args:
        ask: What it is at a moment.
        reads: The names of the series that it reads.
        back: Those of them that it reads back in time, too.
    """

    ask: Query
    reads: frozenset[str]
    back: frozenset[str]


def compiled(text: str, store: Store) -> Compiled:
    """Make an expression ready to be asked.

    Args:
        text: PromQL.
        store: What it is asked of.

    Raises:
        PromqlError: The text isn't PromQL, or it is a part of it that isn't known here.
    """
    parser = _Parser(re.sub("#.*", "", text), store)
    query = parser.expression()
    if parser.word:
        raise PromqlError(f"{parser.word!r} at the end of {text}")
    return Compiled(query, frozenset(parser.reads), frozenset(parser.back))


def seconds(duration: str) -> float:
    """How long a duration is, such as `15m`.

    Args:
        duration: As PromQL writes it, with one unit.

    Raises:
        PromqlError: It isn't one.
    """
    if not re.fullmatch(r"\d+[smhdw]", duration):
        raise PromqlError(f"{duration!r} is no duration")
    return float(duration[:-1]) * _SECONDS[duration[-1]]


class _Selector:
    """Series by name and labels."""

    def __init__(self, store: Store, name: str | None, matchers: list[tuple[str, str, str]]) -> None:
        self._store, self._name, self._matchers = store, name, matchers
        self._known: dict[Labels, tuple[Labels, Series] | None] = {}

    def series(self) -> list[tuple[Labels, Series]]:
        """Those that match, without their name."""
        for labels, series in self._store.named(self._name).items():
            if labels not in self._known:
                bare = vectors.replaced(labels, "__name__", "")
                self._known[labels] = (bare, series) if self._matches(dict(labels)) else None
        return [found for found in self._known.values() if found]

    def _matches(self, labels: Mapping[str, str]) -> bool:
        return all(_MATCHERS[sign](labels.get(name, ""), text) for name, sign, text in self._matchers)

    def __call__(self, at: float) -> Vector:
        values = ((labels, series.value(at)) for labels, series in self.series())
        return {labels: value for labels, value in values if value is not None}


@dataclass(frozen=True)
class _Range:
    """A window of each series, `[1h]`, or of what stood at some moments of it, `[7d:1h]`.

    Args:
        of: The series.
        seconds: How long it is.
        earliest: Before this there is nothing to ask for.
        step: Between two of the moments; 0 for the samples themselves.
        offset: How long ago it ended.
    """

    of: _Selector
    seconds: float
    earliest: Callable[[], float]
    step: float = 0.0
    offset: float = 0.0

    def ago(self, offset: float) -> _Range:
        return _Range(self.of, self.seconds, self.earliest, self.step, offset)

    def increases(self, at: float) -> Vector:
        until = at - self.offset
        found = (
            (labels, series.increase(until - self.seconds, until)) for labels, series in self.of.series()
        )
        return {labels: value for labels, value in found if value is not None}

    def values(self, at: float) -> dict[Labels, list[float]]:
        until = at - self.offset
        if not self.step:
            found = {
                labels: series.values(until - self.seconds, until) for labels, series in self.of.series()
            }
            return {labels: values for labels, values in found.items() if values}
        asked: dict[Labels, list[float]] = {}
        for moment in self._moments(until):
            for labels, value in self.of(moment).items():
                asked.setdefault(labels, []).append(value)
        return asked

    def _moments(self, until: float) -> Iterator[float]:
        """Multiples of the step, whenever the query itself is asked."""
        began = max(until - self.seconds, min(until, self.earliest()) - self.step)
        number = math.floor(began / self.step) + 1
        while number * self.step <= until:
            yield number * self.step
            number += 1


class _Parser:
    """Reads a text from left to right and makes a query of it."""

    def __init__(self, text: str, store: Store) -> None:
        self.reads: set[str] = set()
        self.back: set[str] = set()
        self._text, self._store, self._at = text, store, 0
        self._next()

    def _next(self) -> str:
        """The word that is read, and on to the next one."""
        read = getattr(self, "word", "")
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if self._text[self._at :].strip():
                raise PromqlError(f"not known here: {self._text[self._at :]}")
            self.word, self._kind = "", "end"
            return read
        self._at = found.end()
        self._kind = str(found.lastgroup)
        self.word = found[self._kind]
        return read

    def _take(self, word: str) -> None:
        if self._next() != word:
            raise PromqlError(f"no {word!r} before {self._text[self._at :]!r} in {self._text}")

    def _takes(self, word: str) -> bool:
        return self.word == word and bool(self._next())

    def expression(self, binding: int = 1) -> Query:
        """What is joined by operators that bind as strongly, or more so."""
        left: Query = self._operand()
        while _BINDS.get(self.word, 0) >= binding:
            word = self._next()
            matching = self._matching()
            left = _combined(word, left, self.expression(_BINDS[word] + 1), matching)
        return left

    def _matching(self) -> Matching:
        on = self._labels() if self._takes("on") else None
        return Matching(on, self._labels() if self._takes("group_left") else None)

    def _labels(self) -> tuple[str, ...]:
        self._take("(")
        names = []
        while not self._takes(")"):
            names.append(self._next())
            self._takes(",")
        return tuple(names)

    def _operand(self) -> Any:
        if self._kind == "number":
            number = float(self._next())
            return lambda _: number
        if self._takes("("):
            query = self.expression()
            self._take(")")
            return query
        if self.word in _AGGREGATES:
            return self._aggregate(self._next())
        if self.word in _FUNCTIONS:
            word = self._next()
            return _FUNCTIONS[word](*self._arguments())
        return self._selector()

    def _aggregate(self, word: str) -> Query:
        by = self._labels() if self._takes("by") else ()
        *parameter, query = self._arguments()
        return _AGGREGATES[word](query, by, *parameter)

    def _arguments(self) -> list[Any]:
        self._take("(")
        arguments = []
        while not self._takes(")"):
            arguments.append(json.loads(self._next()) if self._kind == "string" else self.expression())
            self._takes(",")
        return arguments

    def _selector(self) -> Any:
        name = self._next() if self._kind == "name" else None
        matchers = []
        if self._takes("{"):
            while not self._takes("}"):
                matchers.append((self._next(), self._next(), json.loads(self._next())))
                self._takes(",")
        elif name is None:
            raise PromqlError(f"not known here: {self.word!r} in {self._text}")
        self.reads.add(name or "")
        if self.word in {"[", "offset"}:
            self.back.add(name or "")
        return self._window(_Selector(self._store, name, matchers))

    def _window(self, of: _Selector) -> Any:
        window = None
        if self._takes("["):
            window = _Range(of, seconds(self._next()), lambda: self._store.earliest)
            if self._takes(":"):
                window = _Range(of, window.seconds, window.earliest, seconds(self._next()))
            self._take("]")
        if not self._takes("offset"):
            return window or of
        offset = seconds(self._next())
        return window.ago(offset) if window else lambda at: of(at - offset)


def _combined(word: str, left: Query, right: Query, matching: Matching) -> Query:
    return lambda at: vectors.combine(word, left(at), right(at), matching)


def _mapped(change: Callable[..., float]) -> Callable[..., Query]:
    """A function of each value, and of numbers."""

    def function(query: Query, *numbers: Query) -> Query:
        def asked(at: float) -> Vector:
            parameters = [number(at) for number in numbers]
            return {labels: change(value, *parameters) for labels, value in query(at).items()}

        return asked

    return function


def _round(value: float, nearest: float = 1.0) -> float:
    return math.floor(value * (1 / nearest) + 0.5) / (1 / nearest) if math.isfinite(value) else value


def _over_time(change: Callable[[list[float]], float]) -> Callable[[_Range], Query]:
    """A function of each series' window."""
    return lambda window: lambda at: {labels: change(found) for labels, found in window.values(at).items()}


def _quantile_over_time(q: Query, window: _Range) -> Query:
    return lambda at: {labels: vectors.quantile(found, q(at)) for labels, found in window.values(at).items()}


def _rate(window: _Range) -> Query:
    return lambda at: {labels: value / window.seconds for labels, value in window.increases(at).items()}


def _histogram_quantile(q: Query, query: Query) -> Query:
    def asked(at: float) -> Vector:
        buckets: dict[Labels, list[tuple[float, float]]] = {}
        for labels, count in query(at).items():
            bound = float(dict(labels)["le"])
            buckets.setdefault(vectors.replaced(labels, "le", ""), []).append((bound, count))
        return {labels: vectors.bucket_quantile(sorted(each), q(at)) for labels, each in buckets.items()}

    return asked


def _label_replace(query: Query, name: str, template: str, source: str, pattern: str) -> Query:
    value = vectors.replacement(pattern, template, source)
    return lambda at: vectors.with_label(query(at), name, value)


def _label_join(query: Query, name: str, between: str, *sources: str) -> Query:
    def value(labels: Mapping[str, str]) -> str:
        return between.join(labels.get(source, "") for source in sources)

    return lambda at: vectors.with_label(query(at), name, value)


def _aggregate(change: Callable[[list[float]], float]) -> Callable[..., Query]:
    def aggregate(query: Query, by: tuple[str, ...]) -> Query:
        def asked(at: float) -> Vector:
            groups = vectors.grouped(query(at), by)
            return {labels: change([*group.values()]) for labels, group in groups.items()}

        return asked

    return aggregate


def _topk(query: Query, by: tuple[str, ...], count: Query) -> Query:
    def asked(at: float) -> Vector:
        groups = vectors.grouped(query(at), by).values()
        return {labels: value for group in groups for labels, value in vectors.top(group, count(at)).items()}

    return asked


def _count_values(query: Query, by: tuple[str, ...], name: str) -> Query:
    def asked(at: float) -> Vector:
        counts: Vector = {}
        for labels, value in query(at).items():
            group = vectors.replaced(vectors.kept(labels, by), name, vectors.text(value))
            counts[group] = counts.get(group, 0.0) + 1
        return counts

    return asked


_AGGREGATES: Final[Mapping[str, Callable[..., Query]]] = {
    "sum": _aggregate(math.fsum),
    "max": _aggregate(max),
    "min": _aggregate(min),
    "count": _aggregate(len),
    "topk": _topk,
    "count_values": _count_values,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Query]]] = {
    "increase": lambda window: window.increases,
    "rate": _rate,
    "sum_over_time": _over_time(math.fsum),
    "max_over_time": _over_time(max),
    "count_over_time": _over_time(len),
    "last_over_time": _over_time(lambda values: values[-1]),
    "quantile_over_time": _quantile_over_time,
    "histogram_quantile": _histogram_quantile,
    "round": _mapped(_round),
    "sqrt": _mapped(lambda value: math.sqrt(value) if value >= 0 else math.nan),
    "clamp_min": _mapped(max),
    "label_replace": _label_replace,
    "label_join": _label_join,
}
