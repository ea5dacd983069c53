"""The terminal of this process."""

from agent_otel.backends import CUMULATIVE, EXPLICIT, REALLY_RUN, Backend, Choice

BACKEND = Backend(
    name="console",
    title="Console",
    what="JSON on the standard output of this process, to look at",
    docs="https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/stdout/",
    source="2026-11-24",
    proven=REALLY_RUN,
    exporter="console",
    temporality=Choice(CUMULATIVE, (CUMULATIVE,)),
    histogram=Choice(EXPLICIT, (EXPLICIT,)),
    remarks=("OTEL_METRIC_EXPORT_INTERVAL=5000 shows something sooner than in a minute.",),
)
