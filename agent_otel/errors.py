"""The exceptions that agent_otel raises itself.

    AgentOtelError
    ├── CatalogError            a metric or attribute is declared wrongly
    ├── ConfigurationError      settings are wrong: one error lists every mistake (also a ValueError)
    └── MeasurementError        a bad value, only with AGENT_OTEL_STRICT=1 (also a ValueError)

Nothing else is raised into the program that is measured. Every message says what was given, what is
allowed and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class AgentOtelError(Exception):
    """The base of every exception that agent_otel raises."""


class CatalogError(AgentOtelError):
    """A metric or attribute is declared in a way that a metric linter refuses."""


class ConfigurationError(AgentOtelError, ValueError):
    """Settings are wrong; `mistakes` holds every one of them, each with its remedy.

    Args:
        mistakes: One sentence for each mistake: what was given, what is allowed, what to do.
    """

    def __init__(self, mistakes: Iterable[str]) -> None:
        """Join the mistakes into one message."""
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        head = "1 setting is wrong" if count == 1 else f"{count} settings are wrong"
        super().__init__("\n  - ".join([f"{head}:", *self.mistakes]))


class MeasurementError(AgentOtelError, ValueError):
    """A value that can't be recorded as it is; raised only with `AGENT_OTEL_STRICT=1`, for tests."""
