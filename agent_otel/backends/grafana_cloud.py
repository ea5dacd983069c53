"""Grafana Cloud's OTLP gateway."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    CUMULATIVE,
    EXPLICIT,
    PROTOCOL_ONLY,
    URL,
    Backend,
    Choice,
    SignIn,
    Variable,
)

_WHERE = "Cloud Portal > your stack > OpenTelemetry > Configure"

BACKEND = Backend(
    name="grafana-cloud",
    title="Grafana Cloud",
    what="the OTLP gateway of a Grafana Cloud stack",
    docs="https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(CUMULATIVE, (CUMULATIVE,), "its store, Mimir, takes cumulative points alone"),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="{GRAFANA_CLOUD_OTLP_ENDPOINT}/v1/metrics",
    sign_in=(
        SignIn(
            "HTTP Basic, instance and token",
            {"Authorization": "Basic {GRAFANA_CLOUD_INSTANCE_ID:GRAFANA_CLOUD_API_KEY}"},
        ),
    ),
    variables=(
        Variable(
            "GRAFANA_CLOUD_OTLP_ENDPOINT",
            "the OTLP endpoint of the stack",
            _WHERE,
            pattern=f"{URL}/otlp/*",
            example="https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
        ),
        Variable(
            "GRAFANA_CLOUD_INSTANCE_ID",
            "the number of the stack",
            _WHERE,
            pattern=r"\d+",
            example="123456",
        ),
        Variable(
            "GRAFANA_CLOUD_API_KEY",
            "a token with the scope metrics:write",
            f"{_WHERE} > API Token",
            is_secret=True,
        ),
    ),
    remarks=(
        "Exponential histograms need native histograms enabled for the stack.",
        "Resource attributes stand on target_info; job is service.namespace/service.name.",
    ),
)
