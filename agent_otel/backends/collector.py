"""An OpenTelemetry Collector: one of the configurations in collector-config/, or any other."""

from agent_otel.backends import (
    ANY_COMPRESSION,
    ANY_HISTOGRAM,
    ANY_PROTOCOL,
    ANY_TEMPORALITY,
    CUMULATIVE,
    EXPLICIT,
    REALLY_RUN,
    Backend,
    Choice,
)

BACKEND = Backend(
    name="collector",
    title="OpenTelemetry Collector",
    what="a Collector on this machine, which sends on to any other",
    docs="https://opentelemetry.io/docs/collector/",
    source="2026-11-24",
    proven=REALLY_RUN,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="http://localhost:4318/v1/metrics",
    grpc_endpoint="http://localhost:4317",
    protocol=ANY_PROTOCOL,
    compression=ANY_COMPRESSION,
    remarks=(
        "On another machine: set OTEL_EXPORTER_OTLP_ENDPOINT to its address.",
        "Leave the points cumulative up to the Collector: a lost delta is lost for good, a lost total is made up for.",
    ),
)
