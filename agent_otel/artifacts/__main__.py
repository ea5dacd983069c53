"""Rewrite every generated file: `python -m agent_otel.artifacts`, or `make generate`."""

from __future__ import annotations

import sys
from pathlib import Path

from agent_otel.artifacts.backends_doc import backends_doc
from agent_otel.artifacts.metrics_doc import metrics_doc

FILES = {"docs/backends.md": backends_doc, "docs/metrics.md": metrics_doc}
"""Each generated file, from the project's root, and what makes its text."""


def main() -> None:
    """Write each file that isn't what it would be now."""
    for name, text in FILES.items():
        path = Path(name)
        if not path.parent.is_dir():
            sys.exit(f"no folder {path.parent}: run this in the project's root")
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
