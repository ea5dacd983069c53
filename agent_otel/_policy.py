"""What may become a label: normalises attribute values and bounds how many there are.

Rules, in the order in which they are applied to a value:

1. Exact types only. Enums and numpy scalars are unwrapped, numbers and booleans become text, `None` and ""
   mean absent; anything else, and text that can't be printed or encoded, is dropped (`type`).
2. A value that looks like an id (UUID, long hex, e-mail, a provider's prefixed id, over 64 characters) becomes
   `_OTHER` (`id_like`). A release that is a full commit hash is shortened to 12 digits instead: that is a release.
3. Each attribute keeps as many values as its budget; later ones become `_OTHER` (`budget`).
4. Each metric keeps as many attribute sets as its cap; beyond it every open attribute becomes `_OTHER` and only
   the closed vocabularies stay, so that totals and rates remain exact (`cap`).

So the number of series is bounded by what the catalog and the settings say, whatever a program, a user or a
model puts in. What was dropped is counted by reason and logged once for each attribute and reason.

Nothing here locks: a `Policy` is used by one drain at a time.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from agent_otel import catalog, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger: Final = logging.getLogger(__name__)

Labels = tuple["str | None", ...]

_ID_LIKE: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # UUID
    r"|(?<![0-9a-z])(?=[a-f]*[0-9])[0-9a-f]{16,}(?![0-9a-z])"  # long hex, or a long number
    r"|[^@\s]+@[^@\s]+\.[^@\s]+"  # e-mail
    r"|\b(?:call|toolu|msg|resp|run|thread|chatcmpl|req|sess|conv)[-_](?=[a-z_-]*[0-9])[0-9a-z]{16,}",
    re.IGNORECASE,
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MOST_LOGGED: Final = 1000
_REMEDY: Final = {
    "undeclared": "declare it (AGENT_OTEL_ATTRIBUTES for an attribute, run(tools=...) for a tool)",
    "forbidden": "such a key has too many values for metrics: put it on spans or logs",
    "id_like": "a value that looks like an id has too many values for metrics: give a name",
    "budget": "further values become _OTHER: raise its budget with AGENT_OTEL_LIMITS if they are real",
    "cap": "further attribute sets fold into _OTHER: raise its cap with AGENT_OTEL_LIMITS if they are real",
    "type": "give a text",
    "value": "give a whole number, 0 or more, no part larger than its whole",
    "word": "use a word of docs/metrics.md, or declare your own: AGENT_OTEL_STOP_REASONS, configure(error_types=...)",
    "late": "call it inside the block, while the call lasts",
    "reuse": "what is under way, or a run that ended, can't begin again: call run(), inference() or tool() for each",
}


class Values:
    """The values of one attribute, as many as its budget.

    Args:
        attribute: Tailored to the team's settings.
        reserved: Values that have their place before any other, such as the declared agents.
    """

    __slots__ = ("attribute", "known")

    def __init__(self, attribute: catalog.Attribute, reserved: tuple[str, ...] = ()) -> None:
        """Admit what has its place from the start."""
        self.attribute = attribute
        self.known: dict[str, str] = {value: value for value in (*attribute.values, *reserved, catalog.OTHER)}

    def admit(self, value: str) -> bool:
        """Whether there is a place left for a new value, which it then takes."""
        if self.attribute.is_closed or len(self.known) > self.attribute.budget:
            return False
        self.known[value] = value
        return True


class Policy:
    """Decides what the labels of a measurement are, and counts what it dropped.

    Args:
        team: The team's settings: own attributes, limits, declared agents.
    """

    def __init__(self, team: settings.Settings) -> None:
        """Prepare the values of every attribute; metrics follow at first sight."""
        self.dropped: Counter[str] = Counter()
        self.dropped_measurements = 0
        self.problems: list[str] = []
        self._team = team
        self._values: dict[catalog.Attribute, Values] = {}
        self._sets: dict[catalog.Metric, dict[Labels, Mapping[str, str]]] = {}
        self._folded: dict[catalog.Metric, dict[Labels, Mapping[str, str]]] = {}
        self._keys: dict[catalog.Metric, tuple[catalog.Attribute, ...]] = {}
        self._caps: dict[catalog.Metric, int] = {}
        self._logged: set[tuple[str, str]] = set()
        self.own = tuple(
            team.tailored_attribute(catalog.Attribute(key, "Declared by the team.", budget))
            for key, budget in team.attributes.items()
        )
        self._reserved = {catalog.AGENT_NAME: team.agents}
        forbidden = [attribute.key for attribute in self.own if settings.forbidden(attribute.key)]
        self._allowed = tuple(attribute for attribute in self.own if attribute.key not in forbidden)
        for key in forbidden:
            self.tell("forbidden", key)
        self.problems = []

    def label(self, attribute: catalog.Attribute, value: object, times: int = 1) -> str | None:
        """The label for a value, or None when it is absent or was dropped.

        Args:
            attribute: As the catalog (or `own`) declares it.
            value: Whatever the program gave.
            times: How many measurements carry it, for the count of what was dropped.
        """
        values = self._values.get(attribute)
        if values is None:
            values = self._values[attribute] = self._open(attribute)
        if type(value) is str and value in values.known:
            return value
        if value is None:
            return None
        text = plain(value)
        if not text:
            if text is None:
                self.drop("type", attribute.key, times)
            return None
        return self._bounded(attribute, values, text, times)

    def _open(self, attribute: catalog.Attribute) -> Values:
        reserved = tuple(text for value in self._reserved.get(attribute, ()) if (text := plain(value)))
        return Values(self._team.tailored_attribute(attribute), reserved)

    def _bounded(self, attribute: catalog.Attribute, values: Values, text: str, times: int) -> str:
        if attribute is catalog.AGENT_VERSION and _COMMIT.fullmatch(text):
            text = text[:12]
        if text in values.known:
            return text
        if not text.isprintable():
            return self._other("type", attribute, times)
        if len(text) > catalog.MAX_VALUE_LENGTH or _ID_LIKE.search(text):
            return self._other("id_like", attribute, times)
        if not values.admit(text):
            return self._other("budget", attribute, times)
        return text

    def _other(self, reason: str, attribute: catalog.Attribute, times: int) -> str:
        self.drop(reason, attribute.key, times)
        return catalog.OTHER

    def attributes(self, metric: catalog.Metric, labels: Labels, times: int = 1) -> Mapping[str, str]:
        """The attribute set of a metric for labels in the order of its attributes, within its cap.

        Args:
            metric: As the catalog declares it.
            labels: One for each attribute of the tailored metric, each already through `label`.
            times: How many measurements carry them.
        """
        sets = self._sets.get(metric)
        if sets is None:
            sets = self._open_metric(metric)
        found = sets.get(labels)
        if found is None:
            if len(sets) < self._caps[metric]:
                found = sets[labels] = self._as_mapping(metric, labels)
            else:
                found = self._beyond(metric, labels, times)
        return found

    def _open_metric(self, metric: catalog.Metric) -> dict[Labels, Mapping[str, str]]:
        tailored = self._team.tailored(metric)
        self._keys[metric] = tailored.attributes
        self._caps[metric] = tailored.cap
        self._folded[metric] = {}
        sets = self._sets[metric] = {}
        return sets

    def _beyond(self, metric: catalog.Metric, labels: Labels, times: int) -> Mapping[str, str]:
        pairs = tuple(zip(self._keys[metric], labels, strict=True))
        lost = sum(1 for key, label in pairs if not key.is_closed and label not in {None, catalog.OTHER})
        self.drop("cap", metric.name, times * lost)
        folded = tuple(label if key.is_closed else catalog.OTHER for key, label in pairs)
        known = self._folded[metric]
        if folded not in known:
            known[folded] = self._as_mapping(metric, folded)
        return known[folded]

    def _as_mapping(self, metric: catalog.Metric, labels: Labels) -> Mapping[str, str]:
        pairs = zip(self._keys[metric], labels, strict=True)
        return {attribute.key: label for attribute, label in pairs if label is not None}

    def own_labels(self, given: tuple[tuple[object, object], ...]) -> Labels:
        """The labels of the team's own attributes, from what `run(attributes=...)` was given.

        Args:
            given: Pairs of key and value; undeclared and forbidden keys are dropped and counted.
        """
        kept: dict[str, object] = {}
        for key, value in given:
            if not isinstance(key, str):
                self.drop("type", "a key that is no text")
            elif settings.forbidden(key):
                self.drop("forbidden", key if len(key) <= catalog.MAX_VALUE_LENGTH else "a long key")
            elif key not in self._team.attributes:
                self.drop("undeclared", "an attribute of run()")
            else:
                kept[key] = value
        labels = {
            attribute.key: self.label(attribute, kept.get(attribute.key)) for attribute in self._allowed
        }
        return tuple(labels.get(attribute.key) for attribute in self.own)

    def drop(self, reason: str, what: str, times: int = 1) -> None:
        """Count attributes that were removed or folded, and log it once.

        Args:
            reason: One of `catalog.DROP_REASONS`.
            what: The attribute or metric that it happened to; never the value.
            times: How many.
        """
        self.dropped[reason] += times
        self.tell(reason, what)

    def drop_measurement(self, what: str, times: int = 1) -> None:
        """Count measurements that can't be used.

        Args:
            what: What was wrong, without the value.
            times: How many.
        """
        self.dropped_measurements += times
        self.tell("value", what)

    def forget(self) -> None:
        """Forget what was dropped and not yet counted: after a fork it is the parent's to report."""
        self.dropped.clear()
        self.dropped_measurements = 0

    def tell(self, reason: str, what: str) -> None:
        """Log a wrong value, once for each reason and place, and keep it for strict mode.

        Args:
            reason: A key of the remedies.
            what: The attribute, metric or argument that it happened to; never the value.
        """
        message = f"{what}: {reason}: {_REMEDY[reason]}"
        if self._team.strict:
            self.problems.append(message)
        if (reason, what) not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add((reason, what))
            _logger.warning("agent_otel: %s (logged once)", message)


def plain(value: object) -> str | None:
    """The value as text of the exact type `str`, or None when it is of a type that can't be a label.

    Args:
        value: Whatever was given: text, an Enum, a number, a numpy scalar.
    """
    try:
        return _text(value)
    except Exception:  # noqa: BLE001 -- a value's own code may raise anything, and no value may raise here
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < catalog.MAX_COUNT):
        return repr(value + 0)
    return None
