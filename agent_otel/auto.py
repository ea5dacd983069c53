"""The entry points that other programs call by name.

A hook catches everything, since an exception in one would stop the instrumentation of all others.

- `opentelemetry_meter_provider`: `OTEL_PYTHON_METER_PROVIDER=agent_otel` gives our provider without any code.
- `opentelemetry_pre_instrument` and `opentelemetry_instrumentor`: under `opentelemetry-instrument` the default
  `AgentMetrics` records on the provider that the wrapper has set.

There is no `opentelemetry_configurator` and no `opentelemetry_distro`: they would replace somebody else's set-up.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics

from agent_otel import agent_metrics
from agent_otel import settings as team_settings
from agent_otel._preset import warn_of_powerless
from agent_otel._recorder import keeps_nothing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

_logger: Final = logging.getLogger(__name__)


def meter_provider() -> MeterProvider:
    """The provider that `configure()` would build; wrong settings are logged and give one that keeps nothing."""
    try:
        from agent_otel.provider import build_from_environment  # noqa: PLC0415 -- the SDK, only when asked for

        return build_from_environment()
    except Exception as error:  # noqa: BLE001 -- a hook catches everything
        _logger.error("agent_otel records nothing: %s", error)  # noqa: TRY400 -- the message says all, with remedies
        return metrics.NoOpMeterProvider()


def pre_instrument() -> None:
    """Record on the provider that `opentelemetry-instrument` has set, from now on if agents are declared.

    Otherwise from the first run on, as anywhere else: so the settings of a `configure()` in the program still
    count, while the declared agents' run counts start at 0 now.
    """
    if name := os.environ.get(team_settings.BACKEND, "").strip():
        warn_of_powerless(f"{team_settings.BACKEND}={name}", "opentelemetry-instrument")
    if os.environ.get(f"{team_settings.PREFIX}AGENTS", "").strip():
        _record_on(None)


def _record_on(provider: MeterProvider | None) -> None:
    try:
        present = metrics.get_meter_provider() if provider is None else provider
        if not keeps_nothing(present):
            agent_metrics.default.bind_to(present)
    except Exception:
        _logger.exception("agent_otel records nothing")


class Instrumentor:
    """What `opentelemetry-instrument` loads for the name `agent_otel`."""

    def instrument(self, *, meter_provider: MeterProvider | None = None, **_options: Any) -> None:
        """Record on a meter provider; on the one that is set, from the first run on, if none is given.

        Args:
            meter_provider: As every instrumentor takes it.
            **_options: What else the wrapper passes; nothing of it is needed.
        """
        if meter_provider is not None:
            _record_on(meter_provider)

    def uninstrument(self, **_options: Any) -> None:
        """Nothing was patched, so nothing is put back.

        Args:
            **_options: As for `instrument`.
        """
