"""The catalog as SDK Views, which keep the declared attributes and drop all others.

One exact View for each `agent_otel.*` metric, one for `gen_ai.*` and one for `mcp.*`, each with the union of the
allowed keys: an exact View beside a wildcard that matches the same name would double every stream. No View has
an aggregation, so that the instruments' advisory bounds hold and
`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` still wins.

What agent_otel records is filtered before it reaches the SDK, on any provider. The Views do the same for the
`gen_ai.*` and `mcp.*` metrics of other instrumentations; there they can drop keys, but not values.
"""

from __future__ import annotations

import inspect
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View

from agent_otel import catalog
from agent_otel import settings as team_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_otel.settings import Settings

_LIMIT: Final = "aggregation_cardinality_limit"
_HAS_LIMIT: Final = _LIMIT in inspect.signature(View).parameters

SDK_DEFAULT_LIMIT: Final = 2000


def views(settings: Settings | None = None) -> list[View]:
    """Views for a meter provider of your own: `MeterProvider(views=agent_otel.views(), ...)`.

    The cardinality limit of a View (SDK 1.45.2 and newer) is the metric's cap plus every combination of its
    closed vocabularies, so that the SDK's label-less overflow point can't occur for what agent_otel records.

    Args:
        settings: The team's; read from `AGENT_OTEL_*` if not given.

    Raises:
        ConfigurationError: The variables are wrong; it names every mistake.

    Example:
        >>> import agent_otel
        >>> len(agent_otel.views()) == 14
        True
    """
    team = team_settings.checked() if settings is None else settings
    tailored = [team.tailored(metric) for metric in catalog.METRICS]
    own = [metric for metric in tailored if metric.name.startswith(f"{catalog.SCOPE}.")]
    upstream = [metric for metric in tailored if metric not in own]
    limit = max(SDK_DEFAULT_LIMIT, *(metric.cap + metric.kept_sets for metric in upstream))
    return [
        *(_view(metric.name, metric.attributes, metric.cap + metric.kept_sets) for metric in own),
        _view("gen_ai.*", _keys(upstream), limit),
        _view("mcp.*", catalog.MCP, SDK_DEFAULT_LIMIT),
    ]


def _keys(metrics: Iterable[catalog.Metric]) -> list[catalog.Attribute]:
    return [attribute for metric in metrics for attribute in metric.attributes]


def _view(pattern: str, attributes: Iterable[catalog.Attribute], limit: int) -> View:
    further: dict[str, Any] = {_LIMIT: limit} if _HAS_LIMIT else {}
    return View(
        instrument_name=pattern, attribute_keys={attribute.key for attribute in attributes}, **further
    )


def doubled(further: Iterable[View], settings: Settings) -> str:
    """The catalog's metrics that a further View matches too, joined by commas; every match is a stream of its own.

    Args:
        further: Views beside those of `views()`.
        settings: The team's.
    """
    patterns = [pattern for view in further if (pattern := _Pattern(view)).makes_streams]
    metrics = [settings.tailored(metric) for metric in catalog.METRICS]
    return ", ".join(
        metric.name for metric in metrics if any(pattern.matches(metric) for pattern in patterns)
    )


def is_exponential(view: View) -> bool:
    """Whether a View makes exponential histograms; the SDK has no public word for it.

    Args:
        view: Any View.
    """
    return isinstance(getattr(view, "_aggregation", None), ExponentialBucketHistogramAggregation)


class _Pattern:
    """What a View matches; the SDK has no public word for it.

    Args:
        view: Any View.
    """

    def __init__(self, view: View) -> None:
        """Read the View."""
        self._name: str = getattr(view, "_instrument_name", None) or "*"
        self._kind: type | None = getattr(view, "_instrument_type", None)
        self._unit: str | None = getattr(view, "_instrument_unit", None)
        self._meter: str | None = getattr(view, "_meter_name", None)
        self.makes_streams = not isinstance(getattr(view, "_aggregation", None), DropAggregation)

    def matches(self, metric: catalog.Metric) -> bool:
        """Whether the View would match the instrument of one of our metrics."""
        kind = metric.kind.replace("_", "")
        return (
            fnmatchcase(metric.name, self._name.lower())
            and (self._kind is None or self._kind.__name__.lower() == kind)
            and self._unit in {None, metric.unit}
            and self._meter in {None, catalog.SCOPE}
        )
