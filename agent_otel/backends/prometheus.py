"""The page that Prometheus scrapes."""

from agent_otel.backends import CUMULATIVE, EXPLICIT, REALLY_RUN, Backend, Choice

BACKEND = Backend(
    name="prometheus",
    title="Prometheus",
    what="a page that Prometheus scrapes from this process",
    docs="https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/prometheus/",
    source="2026-11-24",
    proven=REALLY_RUN,
    exporter="prometheus",
    temporality=Choice(CUMULATIVE, (CUMULATIVE,)),
    histogram=Choice(EXPLICIT, (EXPLICIT,)),
    remarks=(
        "OTEL_EXPORTER_PROMETHEUS_HOST and OTEL_EXPORTER_PROMETHEUS_PORT say where: localhost, 9464.",
        "A process that ends between two scrapes loses what it measured since the first: push from short ones.",
    ),
)
