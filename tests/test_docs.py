"""What the documents say is run: every Python block, every command, every variable."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from agent_otel import catalog, settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the examples of the pages may take for granted: a vendor's client that answers at once.
PRELUDE = dedent(
    """
    import types
    from openai.types.responses import Response

    def _reply(**_):
        usage = {"input_tokens": 812, "output_tokens": 96, "total_tokens": 908,
                 "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        text = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "done", "annotations": []}]}
        return Response.model_construct(output=[types.SimpleNamespace(**text)], usage=usage, output_text="done")

    TOOLS = []
    client = types.SimpleNamespace(responses=types.SimpleNamespace(create=_reply))
    """
)


def blocks(language):
    return [
        pytest.param(page, text, id=f"{page.name}:{number}")
        for page in PAGES
        for number, (found, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
        if found == language
    ]


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_every_python_block_runs(page, text):
    pytest.importorskip("openai", reason="pip install openai")
    done = run_block(PRELUDE + text)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_error_in_the_configuration_page_is_the_one_that_is_raised():
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    found = FENCE.findall(text)
    code = next(block for language, block in found if language == "python")
    expected = next(block for language, block in found if language == "text")

    assert expected == run_block(code).stdout


@pytest.mark.parametrize(("page", "text"), [*blocks("sh"), *blocks("console")])
def test_every_command_is_one_that_exists(page, text):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = set(
        re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for line in filter(None, (line.split("#")[0].strip().removeprefix("$ ") for line in text.splitlines())):
        words = [word for word in line.split() if "=" not in word]
        if words[0] == "make":
            assert words[1] in targets
        elif words[:2] == ["pip", "install"]:
            assert set(re.findall(r"\[([\w,]+)\]", line)[0].split(",")) <= extras
        else:
            assert words[0] in {"python", "agent-otel", "opentelemetry-instrument"}, line


@pytest.mark.parametrize("variable", settings.VARIABLES)
def test_every_setting_stands_in_the_configuration_page(variable):
    assert f"`{variable}`" in (ROOT / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_a_page_names_is_read_somewhere(page):
    ours = set(re.findall(r"`(AGENT_OTEL_[A-Z_]+)", page.read_text(encoding="utf-8")))

    assert ours <= {*settings.VARIABLES, "AGENT_OTEL_REQUIRE_TOOLS"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_that_a_page_names_is_in_the_catalog(page):
    names = {metric.name for metric in catalog.METRICS} | {attribute.key for attribute in catalog.ATTRIBUTES}
    named = set(re.findall(r"`((?:agent_otel|gen_ai)\.[a-z_.]+)`", page.read_text(encoding="utf-8")))
    modules = {name for name in named if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()}
    functions = {name for name in named if name.count(".") == 1 and not name.startswith("gen_ai")}
    functions |= {name for name in named if name.startswith("agent_otel.testing.")}

    assert named - names - modules - functions - {"gen_ai."} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def run_block(code):
    quiet = {"OTEL_METRICS_EXPORTER": "none"}
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:agent_otel", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**__import__("os").environ, **quiet},
    )


def test_the_picture_in_the_readme_shows_what_the_demo_prints():
    pytest.importorskip("rich", reason="pip install 'agent-otel[cli]'")
    picture = (ROOT / "docs/images/demo.svg").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]+>", " ", picture).replace("&#160;", " ")
    demo = [
        sys.executable,
        "-c",
        "from agent_otel.cli import main; main()",
        "demo",
        "--once",
        "--incident",
        "bad-release",
    ]
    printed = subprocess.run(demo, capture_output=True, text=True, check=True).stdout
    figures = [word for word in printed.split() if re.fullmatch(r"\$?\d+\.\d+k?|\d+", word)]

    assert [figure for figure in figures if figure not in shown] == [], "run: make pictures"
