"""Draw the pictures of the documents from real output: `make pictures`."""

from __future__ import annotations

import io
import re
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.console import Console

from agent_otel.demo.screen import WIDTH
from agent_otel.demo.stage import Stage

DEMO: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
SEED: Final = 7
INCIDENT: Final = "bad-release"
MINUTES: Final = 30


def demo() -> str:
    """The table that `agent-otel demo --once --seed 7 --incident bad-release` ends with, as it looks in a terminal."""
    with closing(Stage(SEED, INCIDENT, "none", None)) as stage:
        for _ in range(MINUTES):
            stage.advance()
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        console.print(stage.frame(MINUTES))
        stage.end()
    picture = console.export_svg(title="agent-otel demo", unique_id="demo")
    # No reader's browser is sent elsewhere for a font.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code, ", "")


if __name__ == "__main__":
    DEMO.parent.mkdir(parents=True, exist_ok=True)
    DEMO.write_text(demo(), encoding="utf-8")
