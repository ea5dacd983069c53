"""What PromQL does with vectors: match two of them, aggregate one, change its labels."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent_otel.demo.series import Labels, Vector

    Value = Vector | float


@lru_cache(maxsize=65536)
def kept(labels: Labels, names: tuple[str, ...]) -> Labels:
    """Some of the labels.

    Args:
        labels: All.
        names: Which to keep.
    """
    return frozenset(pair for pair in labels if pair[0] in names)


def replaced(labels: Labels, name: str, value: str) -> Labels:
    """The labels with one of another value; an empty one is none.

    Args:
        labels: As they are.
        name: Of which label.
        value: Its value from now on.
    """
    others = frozenset(pair for pair in labels if pair[0] != name)
    return others | {(name, value)} if value else others


@dataclass(frozen=True)
class Matching:
    """Which series of two vectors belong together, and what the result carries.

    Args:
        on: The labels that have to be the same; None for all.
        included: What is taken from the right side, where several on the left meet one; None where one meets one.
    """

    on: tuple[str, ...] | None = None
    included: tuple[str, ...] | None = None

    def key(self, labels: Labels) -> Labels:
        """What has to be the same.

        Args:
            labels: Of one series.
        """
        return labels if self.on is None else kept(labels, self.on)

    def result(self, left: Labels, right: Labels) -> Labels:
        """What the result carries.

        Args:
            left: The labels of the left side.
            right: Those of the right side.
        """
        if self.included is None:
            return self.key(left)
        for name in self.included:
            left = replaced(left, name, dict(right).get(name, ""))
        return left


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.copysign(math.inf, left) if left else math.nan


def _filter(holds: Callable[[float, float], bool]) -> Callable[[float, float], float | None]:
    return lambda left, right: left if holds(left, right) else None


_NUMBERS: Final[Mapping[str, Callable[[float, float], float | None]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    ">": _filter(operator.gt),
    "<": _filter(operator.lt),
    ">=": _filter(operator.ge),
    "<=": _filter(operator.le),
}


def combine(word: str, left: Value, right: Value, matching: Matching) -> Value:
    """What a binary operator makes of two values.

    Args:
        word: The operator.
        left: What stands before it.
        right: What stands behind it.
        matching: How vectors are matched.
    """
    if isinstance(left, dict):
        if not isinstance(right, dict):
            return _each(left, lambda value: _NUMBERS[word](value, right))
        if word in _SETS:
            return _SETS[word](left, right, matching)
        return _matched(_NUMBERS[word], left, right, matching)
    if isinstance(right, dict):
        return _each(right, lambda value: _NUMBERS[word](left, value))
    return _NUMBERS[word](left, right) or 0.0


def _each(vector: Vector, change: Callable[[float], float | None]) -> Vector:
    changed = ((labels, change(value)) for labels, value in vector.items())
    return {labels: value for labels, value in changed if value is not None}


def _matched(
    apply: Callable[[float, float], float | None], left: Vector, right: Vector, matching: Matching
) -> Vector:
    others = {matching.key(labels): (labels, value) for labels, value in right.items()}
    result: Vector = {}
    for labels, value in left.items():
        if other := others.get(matching.key(labels)):
            number = apply(value, other[1])
            if number is not None:
                result[matching.result(labels, other[0])] = number
    return result


def _and(left: Vector, right: Vector, matching: Matching) -> Vector:
    keys = set(map(matching.key, right))
    return {labels: value for labels, value in left.items() if matching.key(labels) in keys}


def _or(left: Vector, right: Vector, matching: Matching) -> Vector:
    keys = set(map(matching.key, left))
    return left | {labels: value for labels, value in right.items() if matching.key(labels) not in keys}


def _unless(left: Vector, right: Vector, matching: Matching) -> Vector:
    keys = set(map(matching.key, right))
    return {labels: value for labels, value in left.items() if matching.key(labels) not in keys}


_SETS: Final = {"and": _and, "or": _or, "unless": _unless}


def grouped(vector: Vector, by: tuple[str, ...]) -> dict[Labels, Vector]:
    """The vector in groups of the same labels.

    Args:
        vector: Which.
        by: The labels.
    """
    groups: dict[Labels, Vector] = {}
    for labels, value in vector.items():
        groups.setdefault(kept(labels, by), {})[labels] = value
    return groups


def top(vector: Vector, count: float) -> Vector:
    """The highest values.

    Args:
        vector: Of these.
        count: How many.
    """
    return dict(sorted(vector.items(), key=lambda each: -each[1])[: int(count)])


def with_label(vector: Vector, name: str, value: Callable[[Mapping[str, str]], str | None]) -> Vector:
    """The vector with a label of another value.

    Args:
        vector: Which.
        name: Of which label.
        value: Its value by all labels; None where it stays as it is.
    """
    result = {}
    for labels, number in vector.items():
        text = value(dict(labels))
        result[labels if text is None else replaced(labels, name, text)] = number
    return result


def replacement(pattern: str, template: str, source: str) -> Callable[[Mapping[str, str]], str | None]:
    """The value that `label_replace` gives a label.

    Args:
        pattern: What the whole source has to look like.
        template: The value, with `$1` for what the first group matched.
        source: The label to look at.
    """
    matches, expanded = re.compile(pattern, re.DOTALL), re.sub(r"\$(\d+)", r"\\g<\1>", template)

    def value(labels: Mapping[str, str]) -> str | None:
        found = matches.fullmatch(labels.get(source, ""))
        return found.expand(expanded) if found else None

    return value


def text(value: float) -> str:
    """A number as `count_values` writes it.

    Args:
        value: Which.
    """
    return f"{value:.0f}" if value.is_integer() else repr(value).replace("nan", "NaN")


def quantile(values: Iterable[float], q: float) -> float:
    """A quantile of numbers, between two of them by distance.

    Args:
        values: At least one.
        q: From 0 to 1.
    """
    ordered = sorted(values)
    rank = q * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = ordered[min(lower + 1, len(ordered) - 1)]
    return ordered[lower] + (upper - ordered[lower]) * (rank - lower)


def bucket_quantile(buckets: Sequence[tuple[float, float]], q: float) -> float:
    """A quantile of a histogram, by linear interpolation in its bucket; above the highest bound that bound.

    Args:
        buckets: Each upper bound and how many values are below it, in order; the last bound is infinite.
        q: From 0 to 1.

    Returns:
        The estimate, NaN of no value at all.
    """
    rank = q * buckets[-1][1]
    if not rank > 0:
        return math.nan
    place = next(place for place, (_, count) in enumerate(buckets) if count >= rank)
    lower, below = buckets[place - 1] if place else (0.0, 0.0)
    bound, count = buckets[place]
    if math.isinf(bound) or bound <= 0:
        return lower if math.isinf(bound) else bound
    return lower + (bound - lower) * (rank - below) / (count - below)
