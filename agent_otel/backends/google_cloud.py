"""Google Cloud's Telemetry API."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    ANY_TEMPORALITY,
    CUMULATIVE,
    EXPLICIT,
    HTTP,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="google-cloud",
    title="Google Cloud",
    what="the Telemetry API, which keeps metrics as Managed Prometheus does",
    docs="https://docs.cloud.google.com/stackdriver/docs/reference/telemetry/v1.metrics",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="https://telemetry.googleapis.com/v1/metrics",
    protocol=Choice(HTTP, (HTTP,), "its credentials are read by the exporter over HTTP"),
    sign_in=(
        SignIn(
            "Application Default Credentials",
            provider="gcp_http_credentials",
            package="opentelemetry-exporter-credential-provider-gcp",
        ),
    ),
    resource={"gcp.project_id": "{GOOGLE_CLOUD_PROJECT}"},
    variables=(
        Variable(
            "GOOGLE_CLOUD_PROJECT",
            "the id of the project",
            "the project menu of the console",
            pattern=r"[a-z][a-z0-9.:-]{4,}",
            example="my-project-123",
        ),
    ),
    remarks=(
        "Credentials are those of gcloud auth application-default login, or of the machine's service account.",
        "They need the role roles/telemetry.writer.",
        "Add cloud.region to OTEL_RESOURCE_ATTRIBUTES: it becomes the location that every series there has.",
        "What it does with delta points isn't documented; PromQL there expects cumulative ones.",
    ),
)
