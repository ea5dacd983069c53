"""`make tools`: where the servers are put, what is built again, and what is said when a build fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "scripts" / "tools.py"

# Writes the binaries it is asked for, and a line into the log of each call.
GO = r"""#!/bin/sh
echo "$@" >> "{log}"
case "$1 $2" in
    "env GOVERSION") echo go{version} ;;
    "get {refused}"*) echo "go: {refused}: no matching versions" >&2; exit 1 ;;
esac
[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
out="$2"; shift 2
for package in "$@"; do
    printf '%s\n' '#!/bin/sh' 'mkdir -p out && echo built > out/otelcol' > "$out/${{package##*/}}"
    chmod +x "$out/${{package##*/}}"
done
"""
ANY_VERSION = "1.99.0"


class Workplace:
    """A cache and a `go` of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.cache = folder / "cache"
        self.log = folder / "go.log"
        (folder / "bin").mkdir()
        self.lay_go()

    def lay_go(self, version=ANY_VERSION, refused="nothing"):
        go = self.folder / "bin" / "go"
        go.write_text(GO.format(log=self.log, version=version, refused=refused))
        go.chmod(0o755)

    def begin(self, *options, program=PROGRAM):
        return subprocess.Popen(
            [sys.executable, program, *options],
            env=os.environ
            | {
                "XDG_CACHE_HOME": str(self.cache),
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options, program=PROGRAM):
        process = self.begin(*options, program=program)
        said, wrong = process.communicate(timeout=60)
        return process.returncode, said, wrong

    def builds(self):
        return [line for line in self.log.read_text().splitlines() if line.startswith("build")]

    def home(self):
        return Path(self.run("--where")[1].strip())


@pytest.fixture
def workplace(tmp_path):
    return Workplace(tmp_path)


def test_every_tool_is_built_with_progress_into_the_cache(workplace):
    code, said, wrong = workplace.run()

    assert (code, wrong) == (0, "")
    assert {path.name for path in workplace.home().iterdir()} == {
        *("otelcol", "prometheus", "promtool", "alertmanager", "amtool", "victoria-metrics", "vmauth")
    }
    assert re.findall(r"\[(\d)/4\] \S+", said) == ["1", "2", "3", "4"]
    assert said.endswith(f"tools: {workplace.home()}\n")
    assert {path.suffix for path in (workplace.cache / "agent-otel" / "tools").iterdir()} == {"", ".lock"}
    assert workplace.home().parent == workplace.cache / "agent-otel" / "tools"


def test_what_is_there_is_not_built_again(workplace):
    workplace.run()
    before = workplace.builds()

    code, said, _ = workplace.run()

    assert (code, said) == (0, f"tools: {workplace.home()}\n")
    assert workplace.builds() == before


@pytest.mark.parametrize(("lost", "again"), [("amtool", "alertmanager and amtool"), ("otelcol", "otelcol")])
def test_a_build_that_was_interrupted_is_finished(workplace, lost, again):
    workplace.run()
    (workplace.home() / lost).unlink()
    leftover = workplace.home().with_suffix(".build") / "alertmanager-module"
    leftover.mkdir(parents=True)

    _, said, _ = workplace.run()

    assert f"[1/1] {again}" in said
    assert (workplace.home() / lost).exists()
    assert not leftover.exists()


def test_two_builds_at_once_build_each_tool_once(workplace):
    both = [workplace.begin() for _ in range(2)]
    ends = [process.communicate(timeout=60) and process.returncode for process in both]

    assert ends == [0, 0]
    assert len(workplace.builds()) == len(set(workplace.builds())) == 4


def test_a_build_that_fails_shows_the_command_and_what_it_said(workplace):
    module = "github.com/prometheus/alertmanager"
    workplace.lay_go(refused=f"{module}/cmd/alertmanager@v0.31.1")

    code, _, wrong = workplace.run()

    assert code == 1
    assert f"get {module}/cmd/alertmanager@v0.31.1" in wrong
    assert "no matching versions" in wrong
    assert (workplace.home() / "prometheus").exists()
    assert not (workplace.home() / "alertmanager").exists()


@pytest.mark.parametrize("changed", ["the Collector's manifest", "a pin of the script"])
def test_another_pin_is_another_folder(workplace, tmp_path, changed):
    program, manifest = tmp_path / "scripts" / "tools.py", tmp_path / "collector-config" / "builder.yaml"
    for path in (program, manifest):
        path.parent.mkdir()
        path.write_text((ROOT / path.relative_to(tmp_path)).read_text())
    same = workplace.run("--where", program=program)[1]
    path = manifest if "manifest" in changed else program
    path.write_text(re.sub(r"v0\.\d+\.\d", "v0.999.0", path.read_text()))

    other = workplace.run("--where", program=program)[1]

    assert same.strip() == str(workplace.home())
    assert other != same


def test_a_go_too_old_is_passed_over_for_the_wheel(workplace, tmp_path):
    workplace.lay_go(version="1.22.0")
    wheel = workplace.home().with_suffix(".go") / "bin"
    wheel.mkdir(parents=True)
    of_wheel = tmp_path / "wheel.log"
    (wheel / "go").write_text(GO.format(log=of_wheel, version=ANY_VERSION, refused="nothing"))
    (wheel / "go").chmod(0o755)

    assert workplace.run()[0] == 0
    assert "build" in of_wheel.read_text()
    assert workplace.builds() == []


def test_the_collector_is_built_by_the_builder_of_its_own_version():
    manifest = (ROOT / "collector-config" / "builder.yaml").read_text()
    parts = set(
        re.findall(r"gomod: (?:go\.opentelemetry\.io/collector|github\S+)/(?!confmap)\S+ v([\d.]+)", manifest)
    )
    version = re.search(r"^  version: ([\d.]+)$", manifest, re.MULTILINE).group(1)

    assert {version} == {part for part in parts if part.startswith("0.")}
    assert f'"v{version}"' in PROGRAM.read_text()
