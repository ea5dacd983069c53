"""The table of docs/reliability.md and the tests that it names agree."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = set(
    re.findall(
        r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    )
)


def found_in(file):
    text = (ROOT / "tests" / "real" / file).read_text(encoding="utf-8")
    return {(file, name) for name in re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)}


def test_every_test_that_the_page_names_is_there():
    assert {test for file in {file for file, _ in NAMED} for test in found_in(file)} >= NAMED


def test_every_test_of_loss_stands_on_the_page():
    assert found_in("test_loss.py") <= NAMED
