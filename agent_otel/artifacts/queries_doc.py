"""`docs/queries.md`: the production metrics as queries for each backend's own language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_otel.artifacts.elsewhere import FIGURES, Figure, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """\
<!-- Generated from agent_otel/artifacts/elsewhere.py by `make generate`; edit that file instead. -->

# Queries

The production metrics of an agent, for the backend that you have.

- **Prometheus, Grafana Cloud, Mimir, VictoriaMetrics**: load the recording rules (`agent-otel export rules --to rules`)
  and ask for the short name. The tests run these queries, the dashboards and the alerts against a real Prometheus.
- **Datadog**: `collector-config/datadog/overview.json` and `monitors.json` are bodies for its API. Metrics must arrive
  as delta, which the preset and the Collector configuration see to, and percentiles must be switched on for
  `@run_seconds` (Metrics, Summary). Read a graph with an hour as its interval.
- **CloudWatch**: PromQL with dotted names, on cumulative metrics: on delta `increase()` and `rate()` are wrong and say
  nothing of it. Histograms are histogram samples, without `le`.
- **New Relic**: NRQL on delta metrics; add `TIMESERIES` for a chart. A percentile needs no setting.

The tests check that every metric and attribute below is one that agent_otel exports, and run CloudWatch's queries in a
Prometheus that keeps the dots. Nobody has run those of Datadog, CloudWatch and New Relic at the vendors for this page.
"""


def queries_doc() -> str:
    """The page as Markdown."""
    sections = "\n".join(line for figure in FIGURES for line in _section(figure))
    return dotted(f"{_HEAD}\n{sections}")


def _section(figure: Figure) -> Iterator[str]:
    yield from (f"## {figure.name}", "", figure.says, "")
    if figure.opt_in:
        yield from (f"Outside Prometheus it needs `{figure.opt_in}`: there two metrics can't be joined.", "")
    yield from ("Prometheus, with the recording rules:", "", "```promql", figure.recorded, "```", "")
    yield from ("Datadog:", "", "```text", _datadog(figure), "```", "")
    yield from ("CloudWatch:", "", "```promql", figure.cloudwatch, "```", "")
    window = "6 hours" if "[6h]" in figure.cloudwatch else "1 hour"
    nrql = f"SELECT {figure.new_relic}\nFROM Metric FACET {figure.facet} SINCE {window} ago"
    yield from ("New Relic:", "", "```sql", nrql, "```", "")


def _datadog(figure: Figure) -> str:
    written = re.sub(r"\b[a-z]\b", lambda letter: figure.datadog[letter[0]], figure.formula)
    written = written.replace(" / ", "\n  / ").replace(" BY", " by {@agent_name}")
    return re.sub(r"SCOPE(,| AND )", "", written).replace("SCOPE", "*")
