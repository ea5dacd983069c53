"""Datadog's OTLP metrics intake, without an Agent."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    DELTA,
    EXPONENTIAL,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
    same,
)

BACKEND = Backend(
    name="datadog",
    title="Datadog",
    what="the OTLP metrics intake, without an Agent",
    docs="https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/metrics/",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(DELTA, (DELTA,), "Datadog's intake refuses cumulative counters and histograms"),
    histogram=Choice(EXPONENTIAL, ANY_HISTOGRAM),
    endpoint="https://otlp.{DD_SITE}/v1/metrics",
    sign_in=(
        SignIn(
            "API key in a header",
            {"dd-api-key": "{DD_API_KEY}", "dd-otel-metric-config": '{"resource_attributes_as_tags":true}'},
        ),
    ),
    variables=(
        Variable("DD_API_KEY", "an API key", "Organization Settings > API Keys", is_secret=True),
        Variable(
            "DD_SITE",
            "the site",
            "the address in the browser, without app.",
            default="datadoghq.com",
            choices=same(
                "datadoghq.com",
                "us3.datadoghq.com",
                "us5.datadoghq.com",
                "datadoghq.eu",
                "ap1.datadoghq.com",
                "ap2.datadoghq.com",
            ),
        ),
    ),
    limits=Limits(
        payload_bytes=5_000_000,
        text="a request of 5 MB after decompression, 500 KB if it is sent uncompressed",
    ),
    remarks=(
        "Histograms become distributions; switch on percentiles for them under Metrics > Summary.",
        "Of points with the same second and tags the last one wins.",
        "So dd-otel-metric-config turns resource attributes into tags, which keeps processes apart.",
        "A failed export is lost, as with every delta: the collector configuration retries.",
    ),
)
