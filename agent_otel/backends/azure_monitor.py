"""Azure Monitor, Application Insights, by Microsoft's own exporter."""

from agent_otel.backends import (
    DELTA,
    EXPLICIT,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Variable,
)

BACKEND = Backend(
    name="azure-monitor",
    title="Azure Monitor",
    what="an Application Insights resource, by Microsoft's own exporter",
    docs="https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry-configuration",
    source="2026-11-24",
    proven=PROTOCOL_ONLY,
    exporter="azure_monitor_opentelemetry_exporter",
    package="azure-monitor-opentelemetry-exporter",
    temporality=Choice(DELTA, (DELTA,)),
    histogram=Choice(EXPLICIT, (EXPLICIT,)),
    environment={"APPLICATIONINSIGHTS_CONNECTION_STRING": "{APPLICATIONINSIGHTS_CONNECTION_STRING}"},
    variables=(
        Variable(
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "the connection string",
            "Azure portal > Application Insights > your resource > Overview",
            pattern=r"[^\s\"'\\]*InstrumentationKey=[^\s\"'\\]+",
            is_secret=True,
        ),
    ),
    remarks=(
        "No p95: of a histogram the exporter keeps count, sum, least and greatest value alone.",
        "The Collector's way, over OTLP, keeps percentiles: see collector-config.",
        "The exporter is a pre-release, and wants one minor version of the SDK: pip says which.",
        "It reports on itself to Microsoft: APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL=true stops that.",
        "With 1.0.0b58 exports hang after an invalid key unless APPLICATIONINSIGHTS_SDKSTATS_DISABLED=true.",
        "It chooses its temporality itself; OTEL_EXPORTER_OTLP_* variables change nothing.",
    ),
)
