"""SigNoz Cloud's OTLP ingestion."""

from agent_otel.backends import (
    ANY_PROTOCOL,
    ANY_TEMPORALITY,
    CUMULATIVE,
    EXPLICIT,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="signoz",
    title="SigNoz Cloud",
    what="the OTLP ingestion of a region",
    docs="https://signoz.io/docs/ingestion/signoz-cloud/overview/",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, (EXPLICIT,), "SigNoz Cloud takes no exponential histograms"),
    endpoint="https://ingest.{SIGNOZ_REGION}.signoz.cloud:443/v1/metrics",
    grpc_endpoint="https://ingest.{SIGNOZ_REGION}.signoz.cloud:443",
    protocol=ANY_PROTOCOL,
    sign_in=(SignIn("ingestion key in a header", {"signoz-ingestion-key": "{SIGNOZ_INGESTION_KEY}"}),),
    variables=(
        Variable(
            "SIGNOZ_REGION",
            "the region",
            "Settings > Ingestion",
            pattern=r"[a-z]{2}\d?",
            example="us",
        ),
        Variable("SIGNOZ_INGESTION_KEY", "an ingestion key", "Settings > Ingestion", is_secret=True),
    ),
    remarks=(
        "A SigNoz of one's own is a Collector: AGENT_OTEL_BACKEND=collector and OTEL_EXPORTER_OTLP_ENDPOINT.",
    ),
)
