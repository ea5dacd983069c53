"""VictoriaMetrics, single-node."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    ANY_TEMPORALITY,
    CUMULATIVE,
    EXPLICIT,
    REALLY_RUN,
    URL,
    Backend,
    Choice,
    Variable,
)

BACKEND = Backend(
    name="victoriametrics",
    title="VictoriaMetrics",
    what="a single-node VictoriaMetrics, or vminsert by its URL",
    docs="https://docs.victoriametrics.com/victoriametrics/integrations/opentelemetry/",
    source="2026-11-24",
    proven=REALLY_RUN,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="{VICTORIAMETRICS_URL}/opentelemetry/v1/metrics",
    variables=(
        Variable(
            "VICTORIAMETRICS_URL",
            "the address of VictoriaMetrics",
            "-httpListenAddr of the server; of a cluster that of vminsert with /insert/0",
            default="http://localhost:8428",
            pattern=URL,
            example="http://victoriametrics:8428",
        ),
    ),
    remarks=(
        "Names keep their dots unless the server runs with -opentelemetry.usePrometheusNaming.",
        "Deltas stay deltas, which need other queries than Prometheus'.",
        "Exponential histograms become vmrange buckets: totals are exact, percentiles over several processes are not.",
    ),
)
