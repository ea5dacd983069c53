"""Elastic Cloud's managed OTLP endpoint."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    ANY_PROTOCOL,
    ANY_TEMPORALITY,
    DELTA,
    EXPLICIT,
    PROTOCOL_ONLY,
    URL,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
)

_WHERE = "Elastic Cloud > your project > Add data > Application > OpenTelemetry"

BACKEND = Backend(
    name="elastic",
    title="Elastic Observability",
    what="the managed OTLP endpoint of Elastic Cloud",
    docs="https://www.elastic.co/docs/reference/opentelemetry/motlp",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(DELTA, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="{ELASTIC_OTLP_ENDPOINT}/v1/metrics",
    grpc_endpoint="{ELASTIC_OTLP_ENDPOINT}",
    protocol=ANY_PROTOCOL,
    sign_in=(SignIn("API key in a header", {"Authorization": "ApiKey {ELASTIC_API_KEY}"}),),
    variables=(
        Variable(
            "ELASTIC_OTLP_ENDPOINT",
            "the managed OTLP endpoint",
            _WHERE,
            pattern=URL,
            example="https://my-project.ingest.eu-west-1.aws.elastic.cloud:443",
        ),
        Variable("ELASTIC_API_KEY", "an API key", _WHERE, is_secret=True),
    ),
    limits=Limits(payload_bytes=4_000_000, text="a request of 4 MB"),
    remarks=(
        "Delta, because cumulative histograms need Elastic Cloud Serverless, or a deployment of version 9.5 or newer.",
        "Exemplars are dropped.",
    ),
)
