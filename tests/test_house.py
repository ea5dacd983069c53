"""The house: what a clone, a lock, a build and CI rely on, in files that no other test reads."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = [line for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if not line.startswith("#")]
MAKEFILE = (ROOT / "Makefile").read_text()
FOLDERS = ("agent_otel", "benchmarks", "collector-config", "docs", "examples", "scripts", "tests")
WRITTEN_BY_HAND = sorted(
    path
    for path in chain(ROOT.glob("*"), *(ROOT.joinpath(folder).rglob("*") for folder in FOLDERS))
    if path.suffix in {".md", ".py", ".toml", ".yaml", ".yml"}
)


@pytest.fixture(scope="module")
def matrix():
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "scripts" / "matrix.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["matrix"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["matrix"]


def named_requirements():
    project = PROJECT["project"]
    groups = chain.from_iterable(PROJECT["dependency-groups"].values())
    lines = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    lines += [line for line in groups if isinstance(line, str)]
    return [asked for asked in map(Requirement, lines) if asked.name != project["name"]]


def test_the_lock_pins_every_requirement_at_a_version_that_fits():
    pinned = {}
    for line in map(Requirement, LOCK):
        pinned.setdefault(canonicalize_name(line.name), []).append(str(line.specifier).removeprefix("=="))

    misfits = [
        str(asked)
        for asked in named_requirements()
        if not all(
            asked.specifier.contains(version, prereleases=True)
            for version in pinned.get(asked.name, ["none"])
        )
    ]

    assert misfits == [], "run `make lock`"


def test_the_lock_names_versions_and_no_place():
    strays = [line for line in LOCK if not re.match(r"[a-z0-9-]+==[0-9][^ ]*( ; .+)?$", line)]

    assert strays == []


def test_the_matrix_runs_every_python_that_the_package_claims(matrix):
    claimed = [
        line.rpartition(" ")[2]
        for line in PROJECT["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", line)
    ]

    assert claimed == sorted({row.python for row in matrix.ROWS}, key=lambda python: int(python[2:]))


def test_the_ends_of_the_matrix_are_the_oldest_and_the_newest_that_the_package_claims(matrix):
    (floor,) = (asked.specifier for asked in named_requirements() if asked.name == "opentelemetry-sdk")
    oldest, newest = matrix.ROWS[0], matrix.ROWS[-1]

    assert SpecifierSet(f">={oldest.sdk.removesuffix('.0')}") == floor
    assert f">={oldest.python}" == PROJECT["project"]["requires-python"]
    assert (newest.python, newest.sdk) == (max(row.python for row in matrix.ROWS), matrix.LOCKED)


def test_a_row_replaces_leaves_out_and_adds_packages_of_the_lock(matrix):
    lock = ["# head", "a==1", "a-b==1 ; python_full_version < '3.11'", "c==1"]

    laid = list(matrix.lay_pins(lock, {"a": "2", "c": None, "d": "3"}))

    assert laid == ["# head", "a-b==1 ; python_full_version < '3.11'", "a==2", "d==3"]


def test_a_candidate_that_fails_or_is_of_another_version_is_no_interpreter(matrix):
    running = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert matrix.real_path(sys.executable, running) == Path(sys.executable)
    assert matrix.real_path(sys.executable, "3.1") is None
    assert matrix.real_path("no-such-python", running) is None


def test_every_make_target_is_explained_by_make_help():
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE).group(1).split()
    explained = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)

    assert explained == phony


def test_ci_runs_make_check_and_that_runs_the_tests():
    prerequisites = re.search(r"^check: (.+)  ##", MAKEFILE, re.MULTILINE).group(1).split()

    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make check"
    assert prerequisites == ["lint", "types", "layers", "tools", "test", "test-real", "test-ends"]


def test_the_first_screen_of_the_readme_has_the_two_commands():
    first_screen = (ROOT / "README.md").read_text().splitlines()[:40]

    assert any("make demo" in line for line in first_screen)
    assert any("make test" in line for line in first_screen)


@pytest.mark.parametrize("entry_point", distribution("agent-otel").entry_points, ids=lambda each: each.group)
def test_every_entry_point_names_something_that_is_there(entry_point):
    assert callable(entry_point.load())


@pytest.mark.parametrize("path", WRITTEN_BY_HAND, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_file_ends_in_one_newline_and_no_line_in_a_blank(path):
    text = path.read_text(encoding="utf-8")

    assert text == "" or text.endswith("\n")
    assert not text.endswith("\n\n")
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
