"""Prices for others: as a team's own file, as recording rules, as a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agent_otel import catalog
from agent_otel.artifacts.prometheus import label_name, metric_name
from agent_otel.artifacts.rule_file import Rule, rule_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_otel.prices.listing import Row

_MILLION: Final = 1_000_000
_HEAD: Final = """\
Written by `agent-otel prices export`: list prices, so that what is computed from them is an estimate.
For programs that don't export this metric themselves; where one does, the higher price counts.
USD for one token. From: """


def as_json(rows: Sequence[Row]) -> str:
    """What `AGENT_OTEL_PRICES` takes.

    Args:
        rows: The models.
    """
    prices: dict[str, dict[str, Mapping[str, float]]] = {}
    for row in rows:
        prices.setdefault(row.provider, {})[row.model] = row.usd
    return json.dumps(prices, indent=2) + "\n"


def as_prometheus_rules(rows: Sequence[Row]) -> str:
    """A file of recording rules that make the gauge's series.

    Args:
        rows: The models.
    """
    keys = [label_name(each) for each in (catalog.PROVIDER, catalog.MODEL, catalog.TOKEN_TYPE)]
    rules = [
        Rule(
            metric_name(catalog.TOKEN_PRICE),
            f"vector({usd / _MILLION:.10g})",
            dict(zip(keys, (row.provider, row.model, token_type), strict=True)),
        )
        for row in rows
        for token_type, usd in row.usd.items()
    ]
    sources = ", ".join(dict.fromkeys(row.source for row in rows))
    return rule_file(_HEAD + sources, "agent-otel.prices", rules)


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each model, in USD per million tokens.

    Args:
        rows: The models.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("provider", "model", *catalog.TOKEN_TYPES, "source"))
    for row in rows:
        figures = (row.usd.get(token_type) for token_type in catalog.TOKEN_TYPES)
        writer.writerow((row.provider, row.model, *figures, row.source))
    return text.getvalue()


FORMATS: Final[Mapping[str, Callable[[Sequence[Row]], str]]] = MappingProxyType(
    {"json": as_json, "prometheus-rules": as_prometheus_rules, "csv": as_csv}
)
