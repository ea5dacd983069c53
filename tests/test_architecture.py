"""Rules about the code itself."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agent_otel
from agent_otel import catalog

PACKAGE = Path(agent_otel.__file__).parent
NAMES = [metric.name for metric in catalog.METRICS] + [attribute.key for attribute in catalog.ATTRIBUTES]
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "catalog.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_file_of_the_package_holds_a_metric_or_attribute_name_as_a_string(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    held = [(name, text) for name in NAMES for text in strings if name in text]

    assert held == []


def test_all_names_that_are_exported_exist_and_are_sorted():
    assert [name for name in agent_otel.__all__ if not hasattr(agent_otel, name)] == []
    assert sorted(set(agent_otel.__all__)) == sorted(agent_otel.__all__)


def test_what_needs_the_sdk_is_there_when_it_is_asked_for():
    from agent_otel import testing

    assert agent_otel.__getattr__("testing") is testing


def test_python_m_agent_otel_is_the_command():
    pytest.importorskip("click", reason="pip install 'agent-otel[cli]'")

    code = (
        "import runpy, sys; sys.argv[1:] = ['--version']; runpy.run_module('agent_otel', run_name='__main__')"
    )

    assert agent_otel.__version__ in run(code)


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'agent_otel' has no attribute 'runn'"):
        agent_otel.runn  # noqa: B018


def test_importing_agent_otel_loads_no_sdk_exporter_grpc_or_terminal_library():
    heavy = (
        "opentelemetry.sdk",
        "opentelemetry.exporter",
        "grpc",
        "click",
        "rich",
        "prometheus_client",
        "genai_prices",
    )
    loaded = run("import sys, agent_otel; print(*sorted(sys.modules))").split()

    assert [name for name in loaded if name.startswith(heavy)] == []


def test_importing_agent_otel_loads_nothing_of_the_standard_library_that_opentelemetry_has_not_loaded():
    ours = set(
        run(
            "import sys, opentelemetry.metrics, opentelemetry.context, agent_otel; print(*sys.modules)"
        ).split()
    )
    theirs = set(run("import sys, opentelemetry.metrics, opentelemetry.context; print(*sys.modules)").split())

    assert {name for name in ours - theirs if not name.startswith("agent_otel")} <= {"errno", "math"}


def test_importing_agent_otel_costs_at_most_an_eighth_of_opentelemetry_metrics(tmp_path):
    """5 ms where `opentelemetry.metrics` takes 40. CPU time with bytecode, the least of several: noise only adds."""
    code = (
        "import time; start = time.process_time(); import opentelemetry.metrics; between = time.process_time();"
        "import agent_otel; print(between - start, time.process_time() - between)"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        "PYTHONPYCACHEPREFIX": str(tmp_path),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    seconds = [[float(part) for part in run(code, environment).split()] for _ in range(9)][1:]
    theirs, ours = (min(column) for column in zip(*seconds, strict=True))

    assert ours <= theirs / 8


def run(code, environment=None):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout
