"""New Relic's OTLP endpoint."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    ANY_PROTOCOL,
    ANY_TEMPORALITY,
    DELTA,
    EXPONENTIAL,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="new-relic",
    title="New Relic",
    what="the OTLP endpoint of an account",
    docs="https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/",
    source="2026-08-22",
    proven=PROTOCOL_ONLY,
    temporality=Choice(DELTA, ANY_TEMPORALITY),
    histogram=Choice(EXPONENTIAL, ANY_HISTOGRAM),
    endpoint="https://{NEW_RELIC_REGION}/v1/metrics",
    grpc_endpoint="https://{NEW_RELIC_REGION}:4317",
    protocol=ANY_PROTOCOL,
    sign_in=(SignIn("license key in a header", {"api-key": "{NEW_RELIC_LICENSE_KEY}"}),),
    variables=(
        Variable(
            "NEW_RELIC_LICENSE_KEY",
            "a license key",
            "user menu > API keys, type INGEST - LICENSE",
            is_secret=True,
        ),
        Variable(
            "NEW_RELIC_REGION",
            "the data center of the account",
            "chosen when the account was made: one.newrelic.com is us, one.eu.newrelic.com is eu",
            default="us",
            choices={
                "us": "otlp.nr-data.net",
                "eu": "otlp.eu01.nr-data.net",
                "jp": "otlp.jp.nr-data.net",
                "gov": "gov-otlp.nr-data.net",
            },
        ),
    ),
    limits=Limits(
        payload_bytes=1_000_000,
        text="a request of 1 MB, 64 attributes a point, names of 255 and values of 4,095 characters",
    ),
    remarks=(
        "It answers before it looks: refused points show up as NrIntegrationError events.",
        "Cumulative points work too, and cost more to keep.",
    ),
)
