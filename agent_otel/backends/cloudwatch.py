"""Amazon CloudWatch's OTLP metrics endpoint."""

from agent_otel.backends import (
    ANY_HISTOGRAM,
    ANY_TEMPORALITY,
    CUMULATIVE,
    EXPLICIT,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="cloudwatch",
    title="Amazon CloudWatch",
    what="the OTLP metrics endpoint of a region, which PromQL queries",
    docs="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html",
    source="2026-08-22",
    proven=PROTOCOL_ONLY,
    temporality=Choice(CUMULATIVE, ANY_TEMPORALITY),
    histogram=Choice(EXPLICIT, ANY_HISTOGRAM),
    endpoint="https://monitoring.{AWS_REGION}.amazonaws.com/v1/metrics",
    sign_in=(
        SignIn("API key in a header", {"Authorization": "Bearer {CLOUDWATCH_API_KEY}"}),
        SignIn("AWS credentials (SigV4)", provider="aws_sigv4", package="aws-opentelemetry-distro botocore"),
    ),
    variables=(
        Variable(
            "AWS_REGION",
            "the region",
            "the region menu of the console",
            pattern=r"(?!cn-)[a-z]{2}(-[a-z]+)+-\d",
            example="eu-central-1",
        ),
        Variable(
            "CLOUDWATCH_API_KEY",
            "an API key",
            "CloudWatch > Settings > Global > API keys; without one AWS credentials sign each request",
            is_secret=True,
        ),
    ),
    limits=Limits(
        payload_bytes=1_000_000,
        points=1_000,
        text="a request of 1 MB and 1,000 points, 150 labels a point, 500 requests a second",
    ),
    remarks=(
        "The regions in China have another host: set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT to it instead of AWS_REGION.",
        "Both ways need the permission cloudwatch:PutMetricData, an API key cloudwatch:CallWithBearerToken as well.",
        "rate() and increase() are wrong on delta points there, and don't say so.",
        "Names keep their dots, so PromQL there writes them in quotes, inside the braces.",
    ),
)
