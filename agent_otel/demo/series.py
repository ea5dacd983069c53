"""Samples over time, as Prometheus keeps them: what the demo's queries read."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

LOOKBACK: Final = 300.0
"""Seconds for which a sample stands, as in Prometheus."""

_GAP: Final = 1.1
"""How much longer than usual the way to the edge of a window may be for an increase to be extended up to it."""


class Series:
    """The samples of one series, the oldest first. None marks where it ended, if only for a while."""

    __slots__ = ("_grown", "_times", "_values")

    def __init__(self) -> None:
        """Begin without a sample."""
        self._times: list[float] = []
        self._values: list[float | None] = []
        self._grown: list[float] = []  # as if the counter had never been reset

    def append(self, at: float, value: float | None) -> None:
        """Add a sample.

        Args:
            at: Seconds, later than the last.
            value: The value; None where the series ends.
        """
        last = self._values[-1] if self._values else None
        grown = self._grown[-1] if self._grown else 0.0
        number = value or 0.0
        self._grown.append(grown + (number if last is None or number < last else number - last))
        self._times.append(at)
        self._values.append(value)

    def hold_since(self, began: float, step: float) -> None:
        """Let the first sample have stood for a while.

        Args:
            began: Since when.
            step: Seconds between two samples.
        """
        first = self._times[0]
        count = int((first - began) / step)
        self._times[:0] = [first - step * number for number in range(count, 0, -1)]
        self._values[:0] = self._values[:1] * count
        self._grown[:0] = self._grown[:1] * count

    def value(self, at: float) -> float | None:
        """The latest sample that still stands.

        Args:
            at: When.
        """
        index = bisect_right(self._times, at) - 1
        return self._values[index] if index >= 0 and self._times[index] > at - LOOKBACK else None

    def values(self, after: float, until: float) -> list[float]:
        """The samples of a window, which leaves its beginning out.

        Args:
            after: Its beginning.
            until: Its end.
        """
        window = self._values[bisect_right(self._times, after) : bisect_right(self._times, until)]
        return [value for value in window if value is not None]

    def increase(self, after: float, until: float) -> float | None:
        """How much a counter grew, extended to the edges of the window as PromQL does; None for a single sample.

        Args:
            after: The beginning of the window.
            until: Its end.
        """
        first, last = bisect_right(self._times, after), bisect_right(self._times, until) - 1
        if last <= first:
            return None
        began, ended = self._times[first], self._times[last]
        grown, covered = self._grown[last] - self._grown[first], ended - began
        usual = covered / (last - first)
        before, behind = (gap if gap < usual * _GAP else usual / 2 for gap in (began - after, until - ended))
        if grown > 0:  # no counter was ever below zero
            before = min(before, covered * (self._values[first] or 0.0) / grown)
        return grown * (covered + before + behind) / covered


class Store:
    """All series, by name and labels."""

    def __init__(self) -> None:
        """Begin without a series."""
        self._series: defaultdict[str, dict[Labels, Series]] = defaultdict(dict)
        self.earliest = float("inf")

    def append(self, name: str, labels: Labels, at: float, value: float | None) -> None:
        """Add a sample.

        Args:
            name: Of the series.
            labels: Its labels.
            at: Seconds, later than the series' last.
            value: The value; None where the series ends.
        """
        series = self._series[name].get(labels) or self._series[name].setdefault(labels, Series())
        series.append(at, value)
        self.earliest = min(self.earliest, at)

    def hold_since(self, name: str, began: float, step: float) -> None:
        """Let the first sample of each series of a name have stood for a while.

        Args:
            name: Of the series.
            began: Since when.
            step: Seconds between two samples.
        """
        for series in self._series[name].values():
            series.hold_since(began, step)
            self.earliest = min(self.earliest, began)

    def named(self, name: str | None) -> Mapping[Labels, Series]:
        """The series of a name.

        Args:
            name: Which; None for all, each with its name as the label `__name__`.
        """
        if name is not None:
            return self._series[name]
        return {
            labels | {("__name__", each)}: series
            for each, named in self._series.items()
            for labels, series in named.items()
        }
