"""Honeycomb's OTLP endpoint."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
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
    name="honeycomb",
    title="Honeycomb",
    what="a dataset of an environment",
    docs="https://docs.honeycomb.io/send-data/metrics/application/",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="https://{HONEYCOMB_REGION}/v1/metrics",
    grpc_endpoint="https://{HONEYCOMB_REGION}:443",
    protocol=ANY_PROTOCOL,
    sign_in=(
        SignIn(
            "API key in a header",
            {"x-honeycomb-team": "{HONEYCOMB_API_KEY}", "x-honeycomb-dataset": "{HONEYCOMB_DATASET}"},
        ),
    ),
    variables=(
        Variable(
            "HONEYCOMB_API_KEY", "an ingest key", "Environment Settings > API Keys > Ingest", is_secret=True
        ),
        Variable(
            "HONEYCOMB_REGION",
            "the instance",
            "the address in the browser: ui.honeycomb.io is us, ui.eu1.honeycomb.io is eu",
            default="us",
            choices={"us": "api.honeycomb.io", "eu": "api.eu1.honeycomb.io"},
        ),
        Variable(
            "HONEYCOMB_DATASET",
            "the dataset that takes the metrics",
            "any name; it is made when the first metrics come",
            default="agent-metrics",
            pattern=r"[\w.-]+",
            example="agent-metrics",
        ),
    ),
    remarks=("Temporality is read from the points: cumulative and delta are both aggregated correctly.",),
)
