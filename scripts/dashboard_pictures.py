"""Draw the dashboards from a real Prometheus with Grafana's own components: `make pictures`, after `make tools`.

Grafana itself can't be had from a package registry, its components can: npm brings them into a cache outside this
folder.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.grafana import CHOICES, DASHBOARDS, HOURS, chosen, fingerprint  # noqa: E402 -- from the root, which isn't installed
from tests.real.history import NOW, history  # noqa: E402
from tests.real.servers import tools  # noqa: E402

HERE: Final = Path(__file__).resolve().parent / "dashboard_pictures"
IMAGES: Final = ROOT / "docs" / "images"
DRAWN: Final = IMAGES / "dashboards.json"
WIDTH: Final = 1440
TIMES: Final = range(NOW - HOURS * 3600, NOW + 300, 300)
PAGE: Final = (
    "<!doctype html><meta charset=utf-8><link rel=stylesheet href=page.css><div id=root></div>"
    "<script>window.SHOWN = DRAWN</script><script type=module src=page.js></script>"
)

Board = dict[str, Any]
Series = dict[str, Any]
Field = dict[str, Any]
Frame = dict[str, Any]
"""Pieces of JSON: of Grafana, and of Prometheus' answers."""


def main() -> None:
    """Draw every dashboard, light and dark, and note what was drawn."""
    chromium = _needed("Chromium", "chromium", "chromium-browser", "google-chrome")
    npm = _needed("Node.js with npm", "npm")
    if tools.find("prometheus") is None:
        sys.exit(f"make pictures: Prometheus isn't built: {tools.TYPE_THIS}")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        _bundle(npm, scratch)
        with history(scratch) as prometheus:
            for board in DASHBOARDS.values():
                _draw(chromium, scratch, board, _data(prometheus, board))
    hashes = {name: fingerprint(board) for name, board in DASHBOARDS.items()}
    DRAWN.write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")


def _needed(what: str, *names: str) -> str:
    for found in filter(None, map(shutil.which, names)):
        return found
    sys.exit(f"make pictures: {what} isn't on PATH, as {' or '.join(names)}: install it")


def _data(prometheus: Any, board: Board) -> dict[int, list[Frame]]:
    """The panels' data as Grafana's data source would give them."""
    return {
        panel["id"]: [frame for target in panel["targets"] for frame in _frames(prometheus, panel, target)]
        for panel in board["panels"]
    }


def _frames(prometheus: Any, panel: Board, target: Board) -> list[Frame]:
    query = chosen(target["expr"])
    if target["format"] == "table":
        found = prometheus.ask("query", query=query, time=NOW)["result"]
        column = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
        return [_frame(target, _table(found, column))]
    found = prometheus.ask("query_range", query=query, start=TIMES[0], end=NOW, step=TIMES.step)["result"]
    return [_frame(target, _line(series, target["legendFormat"])) for series in found]


def _frame(target: Board, fields: list[Field]) -> Frame:
    return {"refId": target["refId"], "fields": fields}


def _table(found: list[Series], column: str) -> list[Field]:
    labels = sorted({label for series in found for label in series["metric"]})
    columns = {label: [series["metric"].get(label, "") for series in found] for label in labels}
    return [
        {"name": "Time", "type": "time", "values": [NOW * 1000] * len(found)},
        *({"name": label, "type": "string", "values": values} for label, values in columns.items()),
        {"name": column, "type": "number", "values": [_number(series["value"][1]) for series in found]},
    ]


def _line(series: Series, legend: str) -> list[Field]:
    labels = series["metric"]
    by_time = {float(time): _number(value) for time, value in series["values"]}
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    values = [by_time.get(time) for time in TIMES]
    return [
        {"name": "Time", "type": "time", "values": [time * 1000 for time in TIMES]},
        {"name": "Value", "type": "number", "values": values, "config": {"displayNameFromDS": legend}},
    ]


def _number(text: str) -> float | None:
    return float(text) if math.isfinite(float(text)) else None


def _bundle(npm: str, scratch: Path) -> None:
    """Make page.js and page.css of page.jsx and Grafana's components."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-otel" / "pictures"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text(encoding="utf-8")
    installed = cache / "installed.json"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print("pictures: taking Grafana's components from npm, some 500 MB, once", flush=True)
        (cache / "package.json").write_text(wanted, encoding="utf-8")
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=cache, check=True)
        installed.write_text(wanted, encoding="utf-8")
    shutil.copy(HERE / "page.jsx", cache)
    loaders = ["--loader:.woff2=dataurl", "--loader:.woff=empty", "--loader:.ttf=empty"]
    flags = ["--bundle", "--format=esm", "--jsx=automatic", "--minify", "--log-level=error", *loaders]
    production = '--define:process.env.NODE_ENV="production"'
    esbuild = cache / "node_modules" / ".bin" / "esbuild"
    out = scratch / "page.js"
    subprocess.run([esbuild, "page.jsx", *flags, production, f"--outfile={out}"], cwd=cache, check=True)


def _draw(chromium: str, scratch: Path, board: Board, data: dict[int, list[Frame]]) -> None:
    height = 56 + 38 * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
    ]
    size = [f"--window-size={WIDTH},{height}", "--force-device-scale-factor=1", "--virtual-time-budget=20000"]
    page = scratch / "page.html"
    for mode in ("light", "dark"):
        drawn = {
            "dashboard": board,
            "data": data,
            "range": [TIMES[0] * 1000, NOW * 1000],
            "mode": mode,
            "baseline": CHOICES["baseline"],
        }
        page.write_text(PAGE.replace("DRAWN", json.dumps(drawn), 1), encoding="utf-8")
        picture = IMAGES / f"{board['uid'].replace('agent-otel', 'agents')}-{mode}.webp"
        command = [chromium, *flags, *size, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        print(f"wrote {picture.relative_to(ROOT)}: {picture.stat().st_size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
