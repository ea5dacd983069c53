"""Prometheus 3 with its OTLP receiver."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    CUMULATIVE,
    EXPLICIT,
    REALLY_RUN,
    URL,
    Backend,
    Choice,
    Variable,
)

BACKEND = Backend(
    name="prometheus-otlp",
    title="Prometheus, OTLP receiver",
    what="Prometheus 3 started with --web.enable-otlp-receiver",
    docs="https://prometheus.io/docs/guides/opentelemetry/",
    source="2026-11-24",
    proven=REALLY_RUN,
    temporality=Choice(
        CUMULATIVE,
        (CUMULATIVE,),
        "Prometheus drops deltas unless it runs with otlp-deltatocumulative or otlp-native-delta-ingestion",
    ),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="{PROMETHEUS_URL}/api/v1/otlp/v1/metrics",
    variables=(
        Variable(
            "PROMETHEUS_URL",
            "the address of Prometheus",
            "without a path, unless --web.route-prefix sets one",
            default="http://localhost:9090",
            pattern=URL,
            example="http://prometheus:9090",
        ),
    ),
    remarks=(
        "Resource attributes become labels only where otlp.promote_resource_attributes names them.",
        "Exponential histograms become native ones, which have no _bucket series.",
        "Set storage.tsdb.out_of_order_time_window, or a retried request may be refused as too old.",
    ),
)
