"""Libraries and tools that a test can do without: an extra, or something of the development set.

A missing one skips the test, saying what to install. Where AGENT_OTEL_REQUIRE_TOOLS=1, as in CI, it fails instead:
nothing is skipped in silence there, but for what the installed OpenTelemetry SDK can't have.
"""

from __future__ import annotations

import importlib
import os
import warnings
from importlib.metadata import version
from typing import Any, NoReturn
from unittest import mock

import pytest

INSTALL = {  # where the distribution has another name than the package, or another one brings it
    "agents": "openai-agents",
    "google": "google-genai",
    "grpc": "grpcio",
    "langchain_core": "langgraph",
    "pydantic_ai": "pydantic-ai-slim",
}
SINCE_SDK = {
    "azure.monitor.opentelemetry.exporter": (1, 45),
    "mistralai": (1, 33),
    "opentelemetry.configuration": (1, 44),
    "opentelemetry.exporter.prometheus": (1, 43),
}
SDK = tuple(int(part) for part in version("opentelemetry-sdk").split(".")[:2])


def need(name: str, hint: str | None = None) -> Any:
    """Import a module, or do without it."""
    try:
        # litellm downloads its prices otherwise, and warns while it is imported, as others do.
        with warnings.catch_warnings(), mock.patch.dict(os.environ, LITELLM_LOCAL_MODEL_COST_MAP="True"):
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        install = hint or f"pip install {INSTALL.get(package, package)}"
        needed = max((since for prefix, since in SINCE_SDK.items() if name.startswith(prefix)), default=(0,))
        do_without(f"{name} can't be imported ({error}): {install}", can_be_had=needed <= SDK)


def do_without(reason: str, *, can_be_had: bool = True) -> NoReturn:
    """Skip the test, or fail it where everything that can be had is required."""
    if can_be_had and os.environ.get("AGENT_OTEL_REQUIRE_TOOLS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
