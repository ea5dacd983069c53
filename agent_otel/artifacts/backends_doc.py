"""`docs/backends.md`: every backend as a page for people who choose one and set it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_otel import backends
from agent_otel.artifacts.backend_block import block
from agent_otel.artifacts.markdown import table

if TYPE_CHECKING:
    from agent_otel.backends import Backend, Choice

_HEAD = """\
<!-- Generated from agent_otel/backends/ by `make generate`; edit those files instead. -->

# Backends

One variable says where metrics go, and no line of code changes:

```sh
AGENT_OTEL_BACKEND=datadog DD_API_KEY=... python app.py
```

- It stands for the standard `OTEL_*` variables in the block of its section, and fills in those that nobody has set:
  yours stand, headers and resource attributes by name.
- A missing key, a key or region that can't be one by its shape, a region that isn't in the vendor's list where that
  is closed, or a setting of yours that the backend is known to refuse is a `ConfigurationError` that says what to do,
  before anything is sent. A well-formed key or region that there isn't shows at the first export: a line in the log
  gives the vendor's answer and the variables to check.
- `agent-otel backends` lists them; `agent-otel backends datadog` prints the block, for programs whose provider
  agent_otel doesn't build: under `opentelemetry-instrument`, with `OTEL_CONFIG_FILE`, in other languages.
- Keys go to the exporter alone: never into a log, and not into the environment of other processes.

*Really run*: a real server took our metrics and gave them back. *Protocol only*: a double did, which enforces what
the documentation says of path, key, temporality, histograms and size. *Source* is the day of that. A variable in
parentheses can be left out.
"""


def backends_doc() -> str:
    """The page as Markdown."""
    every = [backends.named(name) for name in backends.NAMES]
    head = ("backend", "set", "temporality", "histograms", "proven", "source")
    sections = [line for backend in every for line in _section(backend)]
    return "\n".join([_HEAD, *table(head, map(_cells, every)), *sections, ""])


def variables(backend: Backend) -> str:
    """The variables to set; those that can be left out stand in parentheses.

    Args:
        backend: Any.
    """
    last = backend.standard(backend.sign_in[-1])
    needed = {name for template in last.values() for name in backends.places(template)}
    return ", ".join(
        each.name if each.name in needed and each.default is None else f"({each.name})"
        for each in backend.variables
    )


def histogram(kind: str) -> str:
    """The kind of histogram, in a word.

    Args:
        kind: A value of the standard variable.
    """
    return "exponential" if kind == backends.EXPONENTIAL else "explicit"


def _cells(backend: Backend) -> tuple[object, ...]:
    return (
        f"[`{backend.name}`](#{backend.name})",
        ", ".join(f"`{name}`" for name in variables(backend).split(", ") if name),
        backend.temporality.best + _only(backend.temporality),
        histogram(backend.histogram.best) + _only(backend.histogram),
        backend.proven,
        backend.source,
    )


def _only(choice: Choice) -> str:
    return " only" if len(choice.takes) == 1 else ""


def _section(backend: Backend) -> list[str]:
    return [
        "",
        f"## {backend.name}",
        "",
        f"[{backend.title}]({backend.docs}): {backend.what}.",
        "",
        "```bash",
        *block(backend).splitlines(),
        "```",
        "",
        *_notes(backend),
    ]


def _notes(backend: Backend) -> list[str]:
    refused = [
        f"{', '.join(f'`{word}`' for word in backends.WORDS[name] if word not in choice.takes)} ({choice.why})"
        for name, choice in backend.choices.items()
        if choice.why
    ]
    notes = [
        f"Sign-in: {', else '.join(way.how for way in backend.sign_in)}."
        if backend.sign_in[0].how != "none"
        else "",
        f"Limits: {backend.limits.text}." if backend.limits.text else "",
        f"Refused at `configure()`: {', '.join(refused)}." if refused else "",
        *backend.remarks,
    ]
    return [f"- {note}" for note in notes if note]
