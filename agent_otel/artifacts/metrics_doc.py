"""`docs/metrics.md`: the catalog as a page for people who build dashboards."""

from __future__ import annotations

from agent_otel import catalog
from agent_otel.artifacts.markdown import table
from agent_otel.artifacts.prometheus import metric_name
from agent_otel.settings import Settings

_HEAD = """\
<!-- Generated from agent_otel/catalog.py by `make generate`; edit that file instead. -->

# Metrics

Every metric and attribute that agent_otel exports. A metric carries the attributes listed here and nothing else,
plus those that a team declares with `AGENT_OTEL_ATTRIBUTES` where it carries A.

A stands for {a}; C for {c}.

*Sets* is the joint cap on a metric's distinct attribute sets; beyond it every open attribute becomes `_OTHER` and
the closed vocabularies stay, so that totals and rates remain exact. *Prometheus* is the name on our page, and what
the OpenTelemetry Collector and Prometheus' OTLP receiver make of it; a histogram adds `_bucket`, `_sum` and
`_count`. Dots in attribute names become underscores there.
"""


def metrics_doc() -> str:
    """The page as Markdown."""
    return "\n".join(
        [
            _HEAD.format(a=_keys(catalog.A), c=_keys(catalog.C)),
            *_metrics_table(),
            "",
            *_generations(),
            "",
            "## Attributes",
            "",
            *_attributes_table(),
            "",
            "## Vocabularies",
            "",
            *_vocabularies(),
            "",
            "## Keys that never become a label",
            "",
            "Whoever declares them, in any case and with dots, dashes or underscores: "
            + ", ".join(f"`{key}`" for key in sorted(catalog.FORBIDDEN))
            + ".",
            "",
            "## Buckets",
            "",
            *_buckets(),
            "",
        ]
    )


def _metrics_table() -> list[str]:
    head = ("metric", "instrument, unit", "attributes", "sets", "Prometheus", "what it says", "source")
    return table(head, map(_metric_cells, catalog.METRICS))


def _metric_cells(metric: catalog.Metric) -> tuple[object, ...]:
    return (
        f"`{metric.name}`",
        f"{metric.kind.replace('_', ' ')}, `{metric.unit}`",
        _short(metric.attributes) or "none",
        metric.cap,
        f"`{metric_name(metric)}`",
        metric.description,
        f"{metric.source} ({metric.stability})",
    )


def _short(attributes: tuple[catalog.Attribute, ...]) -> str:
    """The attributes with A and C for the groups that they begin with."""
    groups = []
    for letter, group in (("A", catalog.A), ("C", catalog.C)):
        if attributes[: len(group)] == group:
            groups.append(letter)
            attributes = attributes[len(group) :]
    return ", ".join([*groups, *([_keys(attributes)] if attributes else [])])


def _keys(attributes: tuple[catalog.Attribute, ...]) -> str:
    return ", ".join(f"`{attribute.key}`" for attribute in attributes)


def _generations() -> list[str]:
    lines = [
        "## Generations of the model-call names",
        "",
        "`AGENT_OTEL_SEMCONV` picks which are recorded:",
        "",
    ]
    for name, generation in catalog.GENERATIONS.items():
        metrics = (
            generation.inference,
            generation.operation,
            generation.first_chunk,
            *generation.usage,
            generation.token_usage,
        )
        used = dict.fromkeys(f"`{metric.name}`" for metric in metrics if metric is not None)
        default = " (default)" if name == Settings().semconv else ""
        lines.append(
            f"- `{name}`{default}: {', '.join(used) or 'none, since another instrumentation emits them'}."
        )
    return lines


def _attributes_table() -> list[str]:
    head = ("attribute", "values kept", "what it says", "source")
    return table(head, map(_attribute_cells, catalog.ATTRIBUTES))


def _attribute_cells(attribute: catalog.Attribute) -> tuple[object, ...]:
    kept = "closed vocabulary" if attribute.is_closed else attribute.budget
    return (f"`{attribute.key}`", kept, attribute.description, f"{attribute.source} ({attribute.stability})")


def _vocabularies() -> list[str]:
    lines = []
    for attribute in catalog.ATTRIBUTES:
        if attribute is catalog.STOP_REASON:
            pairs = ", ".join(f"`{reason}` ({status})" for reason, status in catalog.STOP_REASONS.items())
            lines.append(f"- `{attribute.key}`, with the status that follows from it: {pairs}.")
        elif attribute.is_closed:
            lines.append(f"- `{attribute.key}`: {', '.join(f'`{value}`' for value in attribute.values)}.")
    return lines


def _buckets() -> list[str]:
    by_bounds: dict[tuple[float, ...], list[str]] = {}
    for metric in catalog.METRICS:
        if metric.bounds:
            by_bounds.setdefault(metric.bounds, []).append(f"`{metric.name}`")
    return [
        f"- {', '.join(names)}: {', '.join(format(bound, '.10g') for bound in bounds)}."
        for bounds, names in by_bounds.items()
    ]
