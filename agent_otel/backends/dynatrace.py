"""Dynatrace's OTLP API."""

from agent_otel.backends import (
    DELTA,
    EXPLICIT,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="dynatrace",
    title="Dynatrace",
    what="the OTLP API of an environment",
    docs="https://docs.dynatrace.com/docs/ingest-from/opentelemetry/otlp-api/ingest-otlp-metrics/about-metrics-ingest",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(DELTA, (DELTA,), "Dynatrace refuses cumulative counters and histograms"),
    histogram=Choice(
        EXPLICIT,
        (EXPLICIT,),
        "Dynatrace keeps no buckets of exponential histograms, so there would be no percentiles",
    ),
    endpoint="https://{DT_ENV_ID}.live.dynatrace.com/api/v2/otlp/v1/metrics",
    sign_in=(SignIn("API token in a header", {"Authorization": "Api-Token {DT_API_TOKEN}"}),),
    variables=(
        Variable(
            "DT_ENV_ID",
            "the id of the environment",
            "the address in the browser, https://ID.apps.dynatrace.com",
            pattern=r"[a-z0-9-]+",
            example="abc12345",
        ),
        Variable(
            "DT_API_TOKEN",
            "an access token with the scope metrics.ingest",
            "Access Tokens > Generate new token",
            is_secret=True,
        ),
    ),
    limits=Limits(
        payload_bytes=4_000_000,
        points=15_000,
        text="a request of 4 MB and 15,000 points, 50 attributes a point, keys of 100 and values of 255 characters",
    ),
    remarks=(
        "Histograms need Dynatrace 1.300 or newer.",
        "An ActiveGate takes them too: set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT to its URL.",
        "A failed export is lost, as with every delta: the collector configuration retries.",
    ),
)
