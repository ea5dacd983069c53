"""The vendors' intakes, as their documentation has them: what is refused, what is taken and then lost.

It is written from the vendors' pages alone and never from `agent_otel.backends`, which is tested against it.
A status or a text that no page tells is the one that OTLP over HTTP recommends.
"""

from __future__ import annotations

from base64 import b64encode

from tests.intakes.rules import (
    Attributes,
    ContentType,
    Cumulative,
    Delta,
    Encodings,
    Header,
    InstrumentationKey,
    Intake,
    Keeps,
    Key,
    Lost,
    Names,
    Path,
    Points,
    Refused,
    ResourceAttribute,
    Size,
    malformed,
)

MB = 1_000_000
GZIP = Encodings(("gzip",))  # zstd, which some take as well, nothing of ours sends

_DATADOG = "0123456789abcdef0123456789abcdef"
_NEW_RELIC = "0123456789abcdef0123456789abcdef0123NRAL"
_DYNATRACE = "dt0c01.TESTTOKEN.SECRET"
_AZURE = "00000000-0000-0000-0000-000000000001"
_AZURE_INTAKE = "InstrumentationKey={};IngestionEndpoint=https://eastus-8.in.applicationinsights.azure.com/"
_GRAFANA = "Basic " + b64encode(b"123456:glc_test").decode()

INTAKES = {
    "datadog": Intake(
        hosts=("otlp.datadoghq.com", "otlp.datadoghq.eu", "otlp.us5.datadoghq.com"),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "dd-api-key",
                _DATADOG,
                host="otlp.datadoghq.com",
                without=Refused(403, "Forbidden: no API key"),
                wrong=Refused(403, "Forbidden: the API key is not of this site"),
            ),
            GZIP,
            Size(plain=500_000, unpacked=5 * MB),
            Delta(malformed, "only delta metrics are accepted"),
        ),
        prefers="delta",
        source="docs.datadoghq.com/opentelemetry/setup/otlp_ingest/metrics",
        variables={"DD_API_KEY": _DATADOG},
        mistakes={"DD_API_KEY": "f" * 32},
    ),
    "new-relic": Intake(
        hosts=("otlp.nr-data.net", "otlp.eu01.nr-data.net", "gov-otlp.nr-data.net"),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "api-key",
                _NEW_RELIC,
                host="otlp.nr-data.net",
                without=Refused(403, "The API key was missing"),
                wrong=Refused(403, "The API key was invalid"),
            ),
            GZIP,
            Size(sent=MB),
            Attributes(
                Lost, 64, name_length=255, value_length=4095
            ),  # told later, as an NrIntegrationError event
        ),
        prefers="delta",
        source="docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp",
        variables={"NEW_RELIC_LICENSE_KEY": _NEW_RELIC},
        mistakes={"NEW_RELIC_LICENSE_KEY": "f" * 36 + "NRAL"},
    ),
    "dynatrace": Intake(
        hosts=("abc12345.live.dynatrace.com",),
        rules=(
            Path("/api/v2/otlp/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                f"Api-Token {_DYNATRACE}",
                host="abc12345.live.dynatrace.com",
                without=Refused(401, "Missing authorization parameter"),
                wrong=Refused(401, "Token Authentication failed"),
            ),
            GZIP,
            Size(unpacked=4 * MB),
            Points(15_000),
            Attributes(Lost, 50, name_length=100, value_length=255),
            Delta(Lost, "UNSUPPORTED_METRIC_TYPE_MONOTONIC_CUMULATIVE_SUM"),
            Keeps("histogram"),
        ),
        prefers="delta",
        source="docs.dynatrace.com/docs/shortlink/opentelemetry-metrics-limitations,"
        " docs.dynatrace.com/docs/dynatrace-api/environment-api/opentelemetry/post-metrics",
        variables={"DT_ENV_ID": "abc12345", "DT_API_TOKEN": _DYNATRACE},
        mistakes={"DT_API_TOKEN": "dt0c01.OTHER.SECRET"},
    ),
    "grafana-cloud": Intake(
        hosts=("otlp-gateway-prod-eu-west-2.grafana.net", "otlp-gateway-prod-us-east-0.grafana.net"),
        rules=(
            Path("/otlp/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                _GRAFANA,
                host="otlp-gateway-prod-eu-west-2.grafana.net",
                without=Refused(401, "authentication error: no credentials provided"),
                wrong=Refused(401, "authentication error: invalid authentication credentials"),
            ),
            GZIP,
            Cumulative("invalid temporality"),
        ),
        prefers="cumulative",
        source="grafana.com/docs/grafana-cloud/send-data/otlp/otlp-format-considerations",
        variables={
            "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
            "GRAFANA_CLOUD_INSTANCE_ID": "123456",
            "GRAFANA_CLOUD_API_KEY": "glc_test",
        },
        mistakes={"GRAFANA_CLOUD_API_KEY": "glc_other"},
    ),
    "cloudwatch": Intake(
        hosts=("monitoring.us-east-1.amazonaws.com", "monitoring.eu-central-1.amazonaws.com"),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                "Bearer cw-test",
                host="monitoring.us-east-1.amazonaws.com",
                without=Refused(403, "Missing Authentication Token"),
                wrong=Refused(403, "The security token included in the request is invalid."),
            ),
            GZIP,
            Size(unpacked=MB),
            Points(1000),
            Attributes(malformed, 150),
            Cumulative("rate() and increase() are wrong on deltas"),
        ),
        prefers="cumulative",
        source="docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html,"
        " docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPTroubleshooting.html",
        variables={"AWS_REGION": "us-east-1", "CLOUDWATCH_API_KEY": "cw-test"},
        mistakes={"CLOUDWATCH_API_KEY": "cw-other"},
        speaks="status",
    ),
    "google-cloud": Intake(
        hosts=("telemetry.googleapis.com",),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                "Bearer ya29.test",
                host="telemetry.googleapis.com",
                without=Refused(401, "Request is missing required authentication credential."),
                wrong=Refused(401, "Request had invalid authentication credentials."),
            ),
            GZIP,
            ResourceAttribute("gcp.project_id", "my-project", "resource names no project"),
            Names("[a-zA-Z][a-zA-Z0-9_:./]*", "[a-zA-Z_][a-zA-Z0-9_.]*"),
        ),
        prefers="cumulative",
        source="docs.cloud.google.com/stackdriver/docs/otlp-metrics/overview",
        variables={"GOOGLE_CLOUD_PROJECT": "my-project"},
        mistakes={"GOOGLE_CLOUD_PROJECT": "other-project"},
        speaks="status",
    ),
    "honeycomb": Intake(
        hosts=("api.honeycomb.io", "api.eu1.honeycomb.io"),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "x-honeycomb-team",
                "hcaik_test",
                host="api.honeycomb.io",
                without=Refused(401, "missing 'x-honeycomb-team' header"),
                wrong=Refused(401, "unknown API key - check your credentials"),
            ),
            Header("x-honeycomb-dataset", Lost("filed under unknown_metrics")),
            GZIP,
        ),
        prefers="cumulative",
        source="docs.honeycomb.io/send-data/metrics/application, docs.honeycomb.io/api/errors",
        variables={"HONEYCOMB_API_KEY": "hcaik_test"},
        mistakes={"HONEYCOMB_API_KEY": "hcaik_other"},
        speaks="status",
    ),
    "elastic": Intake(
        hosts=("my-project.ingest.us-east-1.aws.elastic.cloud",),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                "ApiKey essu_test",
                host="my-project.ingest.us-east-1.aws.elastic.cloud",
                without=Refused(401, "ApiKey prefix not found"),
                wrong=Refused(401, "unable to authenticate the ApiKey"),
            ),
            GZIP,
            Size(unpacked=4 * MB),
        ),
        prefers="delta",
        source="elastic.co/docs/reference/opentelemetry/motlp/troubleshooting",
        variables={
            "ELASTIC_OTLP_ENDPOINT": "https://my-project.ingest.us-east-1.aws.elastic.cloud",
            "ELASTIC_API_KEY": "essu_test",
        },
        mistakes={"ELASTIC_API_KEY": "essu_other"},
        speaks="status",
    ),
    "splunk": Intake(
        hosts=("ingest.us1.signalfx.com", "ingest.eu0.signalfx.com"),
        rules=(
            Path("/v2/datapoint/otlp"),
            ContentType(),
            Key(
                "x-sf-token",
                "splunk-test",
                host="ingest.us1.signalfx.com",
                without=Refused(401, "Unauthorized: no token"),
                wrong=Refused(401, "Unauthorized: unknown token"),
            ),
            GZIP,
            Delta(Lost, "histograms are kept as deltas", kinds=("histogram",)),
            Keeps("histogram", most_buckets=31),
        ),
        prefers="delta",
        source="help.splunk.com/en/splunk-observability-cloud/manage-data/metrics-metadata-and-events/"
        "metrics-in-splunk-observability-cloud/get-histogram-data-in",
        variables={"SPLUNK_REALM": "us1", "SPLUNK_ACCESS_TOKEN": "splunk-test"},
        mistakes={"SPLUNK_ACCESS_TOKEN": "splunk-other"},
    ),
    "signoz": Intake(
        hosts=("ingest.us.signoz.cloud", "ingest.eu.signoz.cloud"),
        rules=(
            Path("/v1/metrics"),
            ContentType(),
            Key(
                "signoz-ingestion-key",
                "signoz-test",
                host="ingest.us.signoz.cloud",
                without=Refused(401, "missing ingestion key"),
                wrong=Refused(401, "invalid ingestion key"),
            ),
            GZIP,
        ),
        prefers="cumulative",
        source="signoz.io/docs/ingestion/signoz-cloud/keys",
        variables={"SIGNOZ_REGION": "us", "SIGNOZ_INGESTION_KEY": "signoz-test"},
        mistakes={"SIGNOZ_INGESTION_KEY": "signoz-other"},
    ),
    "azure-monitor": Intake(  # of Microsoft's exporter, which doesn't speak OTLP
        hosts=("eastus-8.in.applicationinsights.azure.com",),
        rules=(
            Path("/v2.1/track"),
            ContentType("application/json"),
            InstrumentationKey(_AZURE),
        ),
        prefers="delta",
        source="learn.microsoft.com/azure/azure-monitor/app/opentelemetry-configuration",
        variables={"APPLICATIONINSIGHTS_CONNECTION_STRING": _AZURE_INTAKE.format(_AZURE)},
        mistakes={"APPLICATIONINSIGHTS_CONNECTION_STRING": _AZURE_INTAKE.format(_AZURE.replace("0", "f"))},
        speaks="track",
    ),
    "azure-monitor-otlp": Intake(  # of the Collector
        hosts=("dce-1234.eastus-1.metrics.ingest.monitor.azure.com",),
        rules=(
            Path("/dataCollectionRules/dcr-1234/streams/Custom-Metrics-Otel/otlp/v1/metrics"),
            ContentType(),
            Key(
                "authorization",
                "Bearer entra-test",
                host="dce-1234.eastus-1.metrics.ingest.monitor.azure.com",
                without=Refused(401, "Authentication failed: no token"),
                wrong=Refused(403, "Authentication failed: role Monitoring Metrics Publisher is missing"),
            ),
            GZIP,
            Delta(Lost, "views of Application Insights show deltas"),
            Keeps("exponential_histogram"),
        ),
        prefers="delta",
        source="learn.microsoft.com/azure/azure-monitor/app/opentelemetry-protocol-ingestion",
        variables={
            "AZURE_OTLP_METRICS_URL": "https://dce-1234.eastus-1.metrics.ingest.monitor.azure.com"
            "/dataCollectionRules/dcr-1234/streams/Custom-Metrics-Otel/otlp/v1/metrics"
        },
        mistakes={},
    ),
}
