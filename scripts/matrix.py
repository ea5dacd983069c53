"""Run the tests under every supported Python and OpenTelemetry SDK; `--ends` for the oldest and the newest.

    make test-matrix                                     all rows
    .venv/bin/python scripts/matrix.py --ends -- -k run  two rows, and arguments for pytest

A row's environment is the lock (requirements-dev.txt) with the pins of its SDK laid over it. It stands in
.venv-matrix/ and is kept until the lock, the pins, the interpreter or pyproject.toml change.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements-dev.txt"
ENVIRONMENTS: Final = ROOT / ".venv-matrix"
LOCKED: Final = "locked"


@dataclass(frozen=True)
class Row:
    """One interpreter with one SDK: the lock's own, or one of `SDK_PINS`."""

    python: str
    sdk: str = LOCKED

    def __str__(self) -> str:
        return f"Python {self.python}, SDK {self.sdk}"


ROWS: Final = (
    Row("3.10", "1.32.0"),  # the first and the last are the ends
    Row("3.10"),
    Row("3.11"),
    Row("3.12", "1.43.0"),
    Row("3.12"),
    Row("3.13"),
)

# What an older SDK needs instead of the lock's version; None leaves a package out, and its tests skip.
SDK_PINS: Final[Mapping[str, Mapping[str, str | None]]] = {
    LOCKED: {},
    "1.43.0": {
        "azure-monitor-opentelemetry-exporter": None,  # wants the SDK's newest minor version
        "opentelemetry-api": "1.43.0",
        "opentelemetry-configuration": None,  # first released for SDK 1.44
        "opentelemetry-distro": "0.64b0",
        "opentelemetry-exporter-http-transport": None,  # part of the exporters until SDK 1.45
        "opentelemetry-exporter-otlp-common": None,
        "opentelemetry-exporter-otlp-proto-common": "1.43.0",
        "opentelemetry-exporter-otlp-proto-grpc": "1.43.0",
        "opentelemetry-exporter-otlp-proto-http": "1.43.0",
        "opentelemetry-exporter-prometheus": "0.64b0",
        "opentelemetry-instrumentation": "0.64b0",
        "opentelemetry-proto": "1.43.0",
        "opentelemetry-sdk": "1.43.0",
        "opentelemetry-semantic-conventions": "0.64b0",
    },
    "1.32.0": {
        "azure-monitor-opentelemetry-exporter": None,
        "deprecated": "1.3.1",
        "googleapis-common-protos": "1.70.0",
        "importlib-metadata": "8.6.1",
        "mistralai": None,  # needs API 1.33
        "opentelemetry-api": "1.32.0",
        "opentelemetry-configuration": None,
        "opentelemetry-distro": "0.53b0",
        "opentelemetry-exporter-http-transport": None,
        "opentelemetry-exporter-otlp-common": None,
        "opentelemetry-exporter-otlp-proto-common": "1.32.0",
        "opentelemetry-exporter-otlp-proto-grpc": "1.32.0",
        "opentelemetry-exporter-otlp-proto-http": "1.32.0",
        "opentelemetry-exporter-prometheus": None,  # ours starts at 0.64b0, which needs SDK 1.43
        "opentelemetry-instrumentation": "0.53b0",
        "opentelemetry-proto": "1.32.0",
        "opentelemetry-sdk": "1.32.0",
        "opentelemetry-semantic-conventions": "0.53b0",
        "protobuf": "5.29.6",
        "wrapt": "1.17.3",
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for, print one line for each, and return 0 if none of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ends", action="store_true", help="the first row and the last alone")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args(arguments)

    required = os.environ.get("AGENT_OTEL_REQUIRE_TOOLS") == "1"
    rows = (ROWS[0], ROWS[-1]) if options.ends else ROWS
    verdicts = [verdict(row, options.pytest, missing="FAILED" if required else "skipped") for row in rows]
    print("\n".join(["", "matrix:", *verdicts]), flush=True)
    return 1 if any("FAILED" in line for line in verdicts) else 0


def verdict(row: Row, pytest: Sequence[str], *, missing: str) -> str:
    """Run one row and say in one line how it went."""
    print(f"\nmatrix: {row}", flush=True)
    started = time.monotonic()
    interpreter = find_interpreter(row.python)
    if interpreter is None:
        return f"  {row}: {missing}, no python{row.python} on PATH, under pyenv or known to uv"
    try:
        python = environment(row, interpreter)
        code = run(python, "-m", "pytest", *pytest)
    except subprocess.CalledProcessError as error:
        return f"  {row}: FAILED to install, {error}"
    return f"  {row}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"


def environment(row: Row, interpreter: Path) -> Path:
    """Make or renew the row's environment and return its interpreter."""
    folder = ENVIRONMENTS / f"py{row.python}-sdk-{row.sdk}"
    python = folder / "bin" / "python"
    requirements = "\n".join(lay_pins(LOCK.read_text().splitlines(), SDK_PINS[row.sdk])) + "\n"
    parts = (requirements, (ROOT / "pyproject.toml").read_text(), str(interpreter), str(folder))
    wanted = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    install(folder, interpreter, requirements)
    stamp.write_text(wanted)
    return python


def install(folder: Path, interpreter: Path, requirements: str) -> None:
    """Make the environment anew with exactly these requirements and this project."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    python = folder / "bin" / "python"
    run(interpreter, "-m", "venv", "--without-pip", folder, check=True)
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    uv = (sys.executable, "-m", "uv", "--quiet", "pip")
    run(*uv, "sync", "--strict", "--compile-bytecode", "--python", python, listed, check=True)
    run(*uv, "install", "--no-deps", "--python", python, "--editable", ROOT, check=True)
    run(*uv, "check", "--python", python, check=True)


def lay_pins(lock: Sequence[str], pins: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the lock's lines with the pinned packages replaced, left out or added."""
    for line in lock:
        if re.split(r"[^A-Za-z0-9-]", line, maxsplit=1)[0] not in pins:
            yield line
    for name, version in pins.items():
        if version is not None:
            yield f"{name}=={version}"


def find_interpreter(version: str) -> Path | None:
    """Return an interpreter of this version that really runs, or None."""
    return next(filter(None, (real_path(found, version) for found in candidates(version))), None)


def candidates(version: str) -> Iterator[str]:
    """Yield where an interpreter of this version may be: PATH, pyenv, uv."""
    yield f"python{version}"
    pyenv = output("pyenv", "root")
    if pyenv:
        newest_first = sorted(Path(pyenv, "versions").glob(f"{version}.*"), key=patch_number, reverse=True)
        yield from (str(folder / "bin" / "python") for folder in newest_first)
    found = output(sys.executable, "-m", "uv", "python", "find", "--no-project", "--system", version)
    if found:
        yield found


def patch_number(folder: Path) -> int:
    """Return the last number of a folder named like 3.12.10."""
    digits = re.search(r"\d+$", folder.name)
    return int(digits.group()) if digits else -1


def real_path(candidate: str, version: str) -> Path | None:
    """Return the interpreter's own path if it runs and is of this version: a shim may be there and fail."""
    told = output(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)")
    number, _, path = told.partition(" ")
    return Path(path) if number == version else None


def output(*command: str) -> str:
    """Return what a command prints, or nothing if it can't be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def run(*command: str | Path, check: bool = False) -> int:
    """Run a command from the project's root, its output passed on, and return its exit code."""
    settings = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run(command, check=check, cwd=ROOT, env=settings | os.environ).returncode


if __name__ == "__main__":
    sys.exit(main())
