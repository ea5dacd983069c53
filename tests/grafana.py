"""Grafana's part in a query: its variables, in the choices that a test or a picture makes."""

from __future__ import annotations

import hashlib
import json
import re

from agent_otel.artifacts.dashboards import NAMES, dashboard

DASHBOARDS = {name: json.loads(dashboard(name)) for name in NAMES}
HOURS = 24
CHOICES = {
    "agent": ".+",
    "release": ".+",
    "baseline": "2.3",
    "tool": ".+",
    "model": ".+",
    "__range": f"{HOURS}h",
    "__rate_interval": "5m",
}
PANELS = [
    (name, panel, target)
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]
IDS = [f"{name.removesuffix('.json')}-{panel['id']}{target['refId']}" for name, panel, target in PANELS]


def chosen(text):
    """The query with every variable replaced by its choice."""
    return re.sub(r"\$([a-z_]\w*)", lambda found: CHOICES[found[1]], text)


def fingerprint(board):
    """What a picture was drawn from, in short."""
    return hashlib.sha256(json.dumps(board, sort_keys=True).encode()).hexdigest()[:16]
