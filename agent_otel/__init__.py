"""Production metrics of AI agents through OpenTelemetry: success, latency, steps, tools, tokens, cost, stop reasons.

    import agent_otel

    agent_otel.configure()                      # a program calls it, a library never does

    with agent_otel.run("support-bot") as run:
        for _ in run.steps(range(8)):
            with run.inference("gpt-5", provider="openai") as call:
                call.usage(reply := client.responses.create(...))

Everything below is the methods of a default `AgentMetrics`. What builds on the OpenTelemetry SDK (`configure`,
`flush`, `shutdown`, `views`, `testing`), and what folds measurements, is imported when it is first needed, so that
a library which only measures stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from agent_otel._version import __version__
from agent_otel.agent_metrics import AgentMetrics, default
from agent_otel.calls import Inference, ToolCall
from agent_otel.errors import AgentOtelError, CatalogError, ConfigurationError, MeasurementError
from agent_otel.runs import Run

if TYPE_CHECKING:
    from agent_otel import testing
    from agent_otel._views import views
    from agent_otel.provider import configure, flush, shutdown
    from agent_otel.settings import Settings

bind: Final = default.bind
current_run: Final = default.current_run
evaluation: Final = default.evaluation
fail: Final = default.fail
inference: Final = default.inference
run: Final = default.run
step: Final = default.step
steps: Final = default.steps
stop: Final = default.stop
tool: Final = default.tool

__all__ = [
    "AgentMetrics",
    "AgentOtelError",
    "CatalogError",
    "ConfigurationError",
    "Inference",
    "MeasurementError",
    "Run",
    "Settings",
    "ToolCall",
    "__version__",
    "bind",
    "configure",
    "current_run",
    "evaluation",
    "fail",
    "flush",
    "inference",
    "run",
    "shutdown",
    "step",
    "steps",
    "stop",
    "testing",
    "tool",
    "views",
]

_LATER: Final = {
    "Settings": "settings",
    "configure": "provider",
    "flush": "provider",
    "shutdown": "provider",
    "views": "_views",
}


def __getattr__(name: str) -> Any:
    """Import what a library that only measures doesn't need when it is first asked for."""
    if name == "testing":
        return importlib.import_module("agent_otel.testing")
    if name in _LATER:
        return getattr(importlib.import_module(f"agent_otel.{_LATER[name]}"), name)
    raise AttributeError(f"module 'agent_otel' has no attribute {name!r}")
