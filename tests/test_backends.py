"""Each backend: what it fills in, what of the user's stands, what is refused, and that its block for sh says the same."""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.util.re import parse_env_headers

from agent_otel import ConfigurationError, _plan, _preset, backends, exporters
from agent_otel._answers import Answers
from agent_otel._buckets import fewer_buckets
from agent_otel._pipeline import Pipeline
from agent_otel._readers import Watched
from agent_otel.artifacts.backend_block import block
from tests import receivers as at
from tests.optional import do_without, need

OTLP = "OTEL_EXPORTER_OTLP_"
HTTP = "http/protobuf"
EXPLICIT = "explicit_bucket_histogram"
EXPONENTIAL = "base2_exponential_bucket_histogram"
PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER"

SET = {
    "grafana-cloud": {
        "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/",
        "GRAFANA_CLOUD_INSTANCE_ID": "123456",
        "GRAFANA_CLOUD_API_KEY": "glc_k+y/9==",
    },
    "datadog": {"DD_API_KEY": "0123abcd"},
    "new-relic": {"NEW_RELIC_LICENSE_KEY": "0123NRAL"},
    "dynatrace": {"DT_ENV_ID": "abc12345", "DT_API_TOKEN": "dt0c01.AB.CD"},
    "cloudwatch": {"AWS_REGION": "eu-central-1", "CLOUDWATCH_API_KEY": "ABSK+/=="},
    "google-cloud": {"GOOGLE_CLOUD_PROJECT": "my-project-123"},
    "azure-monitor": {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=0-1;IngestionEndpoint=https://x/"
    },
    "honeycomb": {"HONEYCOMB_API_KEY": "hcaik_1"},
    "elastic": {"ELASTIC_OTLP_ENDPOINT": "https://my.ingest.elastic.cloud:443", "ELASTIC_API_KEY": "a2V5=="},
    "splunk": {"SPLUNK_REALM": "us1", "SPLUNK_ACCESS_TOKEN": "token"},
    "signoz": {"SIGNOZ_REGION": "eu", "SIGNOZ_INGESTION_KEY": "key"},
}
"""The least that each needs."""


def over_otlp(endpoint, temporality, histogram, headers="", **further):
    found = {
        "OTEL_METRICS_EXPORTER": "otlp",
        f"{OTLP}METRICS_PROTOCOL": HTTP,
        f"{OTLP}METRICS_ENDPOINT": endpoint,
        f"{OTLP}METRICS_HEADERS": headers,
        f"{OTLP}METRICS_COMPRESSION": "gzip",
        f"{OTLP}METRICS_TEMPORALITY_PREFERENCE": temporality,
        f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION": histogram,
        **further,
    }
    return {name: value for name, value in found.items() if value}


FILLED = {
    "collector": over_otlp("http://localhost:4318/v1/metrics", "cumulative", EXPLICIT),
    "prometheus": {"OTEL_METRICS_EXPORTER": "prometheus"},
    "prometheus-otlp": over_otlp("http://localhost:9090/api/v1/otlp/v1/metrics", "cumulative", EXPLICIT),
    "grafana-cloud": over_otlp(
        "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/metrics",
        "cumulative",
        EXPLICIT,
        "Authorization=Basic%20MTIzNDU2OmdsY19rK3kvOT09",
    ),
    "datadog": over_otlp(
        "https://otlp.datadoghq.com/v1/metrics",
        "delta",
        EXPONENTIAL,
        "dd-api-key=0123abcd,dd-otel-metric-config=%7B%22resource_attributes_as_tags%22%3Atrue%7D",
    ),
    "new-relic": over_otlp("https://otlp.nr-data.net/v1/metrics", "delta", EXPONENTIAL, "api-key=0123NRAL"),
    "dynatrace": over_otlp(
        "https://abc12345.live.dynatrace.com/api/v2/otlp/v1/metrics",
        "delta",
        EXPLICIT,
        "Authorization=Api-Token%20dt0c01.AB.CD",
    ),
    "cloudwatch": over_otlp(
        "https://monitoring.eu-central-1.amazonaws.com/v1/metrics",
        "cumulative",
        EXPLICIT,
        "Authorization=Bearer%20ABSK+/==",
    ),
    "google-cloud": over_otlp(
        "https://telemetry.googleapis.com/v1/metrics",
        "cumulative",
        EXPLICIT,
        **{PROVIDER: "gcp_http_credentials", "OTEL_RESOURCE_ATTRIBUTES": "gcp.project_id=my-project-123"},
    ),
    "azure-monitor": {
        "OTEL_METRICS_EXPORTER": "azure_monitor_opentelemetry_exporter",
        **SET["azure-monitor"],
    },
    "honeycomb": over_otlp(
        "https://api.honeycomb.io/v1/metrics",
        "cumulative",
        EXPLICIT,
        "x-honeycomb-team=hcaik_1,x-honeycomb-dataset=agent-metrics",
    ),
    "elastic": over_otlp(
        "https://my.ingest.elastic.cloud:443/v1/metrics", "delta", EXPLICIT, "Authorization=ApiKey%20a2V5=="
    ),
    "splunk": over_otlp(
        "https://ingest.us1.signalfx.com/v2/datapoint/otlp", "delta", EXPLICIT, "X-SF-TOKEN=token"
    ),
    "signoz": over_otlp(
        "https://ingest.eu.signoz.cloud:443/v1/metrics", "cumulative", EXPLICIT, "signoz-ingestion-key=key"
    ),
    "victoriametrics": over_otlp("http://localhost:8428/opentelemetry/v1/metrics", "cumulative", EXPLICIT),
    "console": {"OTEL_METRICS_EXPORTER": "console"},
}
BY_OTLP = [name for name, variables in FILLED.items() if variables["OTEL_METRICS_EXPORTER"] == "otlp"]

# What the packages of Google, Amazon and Microsoft register, without their weight and their metadata servers.
PACKAGES = """
import requests
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

def session():
    return requests.Session()

class Exporter(MetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        return MetricExportResult.SUCCESS
    def force_flush(self, timeout_millis=10_000):
        return True
    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass
"""
ENTRY_POINTS = """
[opentelemetry_otlp_credential_provider]
gcp_http_credentials = vendors_packages:session
aws_sigv4 = vendors_packages:session
[opentelemetry_metrics_exporter]
azure_monitor_opentelemetry_exporter = vendors_packages:Exporter
"""


@pytest.fixture
def variables(monkeypatch):
    """Sets variables of this process, after taking away those of OpenTelemetry, of ours and of every vendor."""
    vendors = {variable.name for name in backends.NAMES for variable in backends.named(name).variables}

    def set_all(given):
        for name in list(os.environ):
            if name.startswith(("OTEL_", "AGENT_OTEL_")) or name in vendors:
                monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    set_all({})
    return set_all


def need_page():
    need("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")


def exporter_over_http():
    return need("opentelemetry.exporter.otlp.proto.http.metric_exporter", "pip install 'agent-otel[otlp]'")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The vendors' packages that sign in or export."""
    info = tmp_path / "vendors_packages-1.dist-info"
    info.mkdir()
    (tmp_path / "vendors_packages.py").write_text(PACKAGES)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vendors-packages\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        exporter_over_http(), f"_{PROVIDER}", PROVIDER, raising=False
    )  # older ones sign in by no provider
    yield
    sys.modules.pop("vendors_packages", None)


@pytest.fixture
def no_packages(monkeypatch):
    """None of them, whatever is installed here."""
    monkeypatch.setattr(_preset, "entry_points", lambda **_: ())
    monkeypatch.setattr(exporter_over_http(), f"_{PROVIDER}", PROVIDER, raising=False)


@pytest.fixture
def read(variables):
    """Reads the plan of `configure(...)` under these variables."""

    def read_plan(backend=None, exporter=None, is_first=False, **given):
        variables(given)
        return _plan.read({}, exporter=exporter, backend=backend, is_first=is_first)

    return read_plan


@pytest.fixture
def wrong(read):
    """The mistakes of `configure(...)` under these variables."""

    def mistakes(*arguments, **given):
        with pytest.raises(ConfigurationError) as caught:
            read(*arguments, **given)
        return list(caught.value.mistakes)

    return mistakes


@pytest.fixture
def built(packages):
    """Builds a plan's exporters, which send nothing before a reader runs, and closes them."""
    closing = []

    def build(plan):
        pipeline = Pipeline(plan)
        closing.append(pipeline)
        return pipeline

    yield build
    for pipeline in closing:
        for watched in pipeline.exporting.watched:
            watched.export = lambda *_, **__: MetricExportResult.SUCCESS
        pipeline.provider.shutdown()


def preset(read, name, **given):
    if name == "prometheus":
        need_page()
    return read(AGENT_OTEL_BACKEND=name, **SET.get(name, {}), **given).preset


@pytest.mark.parametrize("name", backends.NAMES)
def test_a_backend_fills_in_these_variables(name, read, packages):
    assert FILLED[name] == dict(preset(read, name).variables)


@pytest.mark.parametrize("name", backends.NAMES)
def test_every_variable_of_a_backend_is_used_and_says_what_it_is_and_where_it_is_found(name):
    backend = backends.named(name)
    templates = [
        template
        for way in backend.sign_in
        for protocol in ("", *backend.protocol.takes)
        for template in backend.standard(way, protocol).values()
    ]
    used = {place for template in templates for place in backends.places(template)}

    assert used == {variable.name for variable in backend.variables}
    assert name == backend.name
    assert backend.docs.startswith("https://")
    assert all(variable.what and variable.where for variable in backend.variables)
    assert [] == [each.name for each in backend.variables if each.example and not each.takes(each.example)]
    assert [] == [each.name for each in backend.variables if each.default and not each.takes(each.default)]
    assert all(choice.best in choice.takes for choice in backend.choices.values())


def test_an_argument_wins_over_the_variable_and_any_case_will_do(read):
    plan = read(backend=" Console ", AGENT_OTEL_BACKEND="datadog")

    assert ("console", "backend=console") == (plan.preset.backend.name, plan.preset.asked)


@pytest.mark.parametrize("exporter", ["none", "console", "prometheus"])
def test_another_exporter_stands_and_no_key_is_asked_for(exporter, read):
    if exporter == "prometheus":
        need_page()
    by_variable = read(AGENT_OTEL_BACKEND="datadog", OTEL_METRICS_EXPORTER=exporter)
    by_argument = read(exporter=exporter, AGENT_OTEL_BACKEND="datadog")

    assert (None, {}) == (by_variable.preset, by_variable.filled)
    assert (None, {}) == (by_argument.preset, by_argument.filled)


def test_a_further_exporter_stands_beside_the_backends(read):
    plan = read(AGENT_OTEL_BACKEND="collector", OTEL_METRICS_EXPORTER="console,otlp")

    assert ("console", "otlp") == plan.names
    assert "OTEL_METRICS_EXPORTER" not in plan.filled
    assert "http://localhost:4318/v1/metrics" == plan.filled[f"{OTLP}METRICS_ENDPOINT"]


@pytest.mark.parametrize(
    ("variable", "value", "of_metrics"),
    [
        (f"{OTLP}ENDPOINT", "http://proxy:4318", f"{OTLP}METRICS_ENDPOINT"),
        (f"{OTLP}METRICS_ENDPOINT", "http://proxy:4318/v1/metrics", f"{OTLP}METRICS_ENDPOINT"),
        (f"{OTLP}PROTOCOL", "grpc", f"{OTLP}METRICS_PROTOCOL"),
        (f"{OTLP}METRICS_PROTOCOL", HTTP, f"{OTLP}METRICS_PROTOCOL"),
        (f"{OTLP}COMPRESSION", "none", f"{OTLP}METRICS_COMPRESSION"),
        (f"{OTLP}METRICS_COMPRESSION", "None", f"{OTLP}METRICS_COMPRESSION"),
        (f"{OTLP}METRICS_TEMPORALITY_PREFERENCE", "cumulative", f"{OTLP}METRICS_TEMPORALITY_PREFERENCE"),
        (
            f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            EXPLICIT,
            f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        ),
    ],
)
def test_what_the_user_set_stands_and_the_rest_is_filled_in(variable, value, of_metrics, read):
    need("opentelemetry.exporter.otlp.proto.grpc", "pip install 'agent-otel[grpc]'")
    plan = read(AGENT_OTEL_BACKEND="new-relic", **SET["new-relic"], **{variable: value})

    assert set(FILLED["new-relic"]) - {of_metrics} == set(plan.filled)
    assert value == plan.environ[variable]


def test_a_blank_variable_is_one_that_nobody_set(read):
    blank = {f"{OTLP}ENDPOINT": " ", f"{OTLP}METRICS_HEADERS": "", "NEW_RELIC_REGION": ""}

    assert FILLED["new-relic"] == dict(preset(read, "new-relic", **blank).variables)


def test_over_grpc_the_endpoint_is_the_one_of_grpc(read):
    need("opentelemetry.exporter.otlp.proto.grpc", "pip install 'agent-otel[grpc]'")
    filled = preset(read, "new-relic", **{f"{OTLP}PROTOCOL": "grpc"}).variables
    by_name = preset(read, "new-relic", OTEL_METRICS_EXPORTER="otlp_proto_grpc").variables

    assert "https://otlp.nr-data.net:4317" == filled[f"{OTLP}METRICS_ENDPOINT"]
    assert "https://otlp.nr-data.net:4317" == by_name[f"{OTLP}METRICS_ENDPOINT"]


@pytest.mark.parametrize("variable", [f"{OTLP}HEADERS", f"{OTLP}METRICS_HEADERS"])
def test_headers_are_the_users_and_the_backends_by_name(variable, read):
    filled = preset(read, "honeycomb", **{variable: "X-Honeycomb-Dataset=mine,tenant=a"}).variables

    assert "x-honeycomb-team=hcaik_1,X-Honeycomb-Dataset=mine,tenant=a" == filled[f"{OTLP}METRICS_HEADERS"]


def test_the_exporters_name_decides_the_protocol_and_not_the_variable(read):
    asked = {"OTEL_METRICS_EXPORTER": "otlp_proto_http", f"{OTLP}PROTOCOL": "grpc"}
    collector = preset(read, "collector", **asked).variables
    datadog = preset(read, "datadog", **asked).variables  # which speaks no gRPC

    assert "http://localhost:4318/v1/metrics" == collector[f"{OTLP}METRICS_ENDPOINT"]
    assert "https://otlp.datadoghq.com/v1/metrics" == datadog[f"{OTLP}METRICS_ENDPOINT"]


@pytest.mark.parametrize(("exporter", "is_told"), [("prometheus,console", True), ("none", False)])
def test_exporters_that_are_not_the_backends_are_told_once_and_none_is_not(exporter, is_told, read, caplog):
    need_page()
    for is_first in (True, False):
        read(is_first=is_first, AGENT_OTEL_BACKEND="datadog", OTEL_METRICS_EXPORTER=exporter)

    told = (
        "AGENT_OTEL_BACKEND=datadog changes nothing, since the exporters asked for are prometheus,console: ask for"
        " otlp as well, or leave them out"
    )
    assert ([told] if is_told else []) == caplog.messages


def test_headers_of_metrics_alone_are_read_where_both_are_set_as_the_exporter_does(read):
    theirs = {f"{OTLP}HEADERS": "traces=1", f"{OTLP}METRICS_HEADERS": "metrics=1"}

    assert (
        "api-key=0123NRAL,metrics=1"
        == preset(read, "new-relic", **theirs).variables[f"{OTLP}METRICS_HEADERS"]
    )


def test_no_key_is_asked_for_where_the_user_gives_its_header(read):
    plan = read(AGENT_OTEL_BACKEND="splunk", SPLUNK_REALM="us1", **{f"{OTLP}HEADERS": "x-sf-token=mine"})

    assert f"{OTLP}METRICS_HEADERS" not in plan.filled


def test_no_variable_is_asked_for_where_the_user_sets_the_endpoint(read):
    plan = read(
        AGENT_OTEL_BACKEND="splunk",
        SPLUNK_ACCESS_TOKEN="token",
        **{f"{OTLP}METRICS_ENDPOINT": "http://proxy/x"},
    )

    assert {"X-SF-TOKEN=token"} == {plan.filled[f"{OTLP}METRICS_HEADERS"]}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("service.name=bot", "gcp.project_id=my-project-123,service.name=bot"),
        ("gcp.project_id=other", None),
    ],
)
def test_resource_attributes_are_the_users_and_the_backends_by_key(theirs, expected, read, packages):
    filled = preset(read, "google-cloud", OTEL_RESOURCE_ATTRIBUTES=theirs).variables

    assert expected == filled.get("OTEL_RESOURCE_ATTRIBUTES")


@pytest.mark.parametrize(
    "theirs",
    [
        {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "mine"},
        {PROVIDER: "mine"},
        {f"{OTLP}HEADERS": "authorization=mine"},
    ],
)
def test_a_way_to_sign_in_that_the_user_set_needs_neither_package_nor_key(theirs, read, no_packages):
    plan = read(AGENT_OTEL_BACKEND="cloudwatch", AWS_REGION="eu-central-1", **theirs)

    assert {f"{OTLP}METRICS_HEADERS", PROVIDER}.isdisjoint(plan.filled)


def test_without_an_api_key_cloudwatch_is_signed_by_the_credentials_of_the_process(read, packages):
    plan = read(AGENT_OTEL_BACKEND="cloudwatch", AWS_REGION="eu-central-1")

    assert "aws_sigv4" == plan.filled[PROVIDER]
    assert f"{OTLP}METRICS_HEADERS" not in plan.filled


KNOWN = ", ".join(backends.NAMES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"AGENT_OTEL_BACKEND": "datdog"},
            [f"AGENT_OTEL_BACKEND='datdog': no such backend: did you mean datadog? known are {KNOWN}"],
        ),
        (
            {"AGENT_OTEL_BACKEND": "__init__"},
            [f"AGENT_OTEL_BACKEND='__init__': no such backend: known are {KNOWN}"],
        ),
        ({"backend": 7}, ["backend=7: give a name, such as 'collector'"]),
        (
            {"AGENT_OTEL_BACKEND": "datadog"},
            ["AGENT_OTEL_BACKEND=datadog needs DD_API_KEY, an API key: Organization Settings > API Keys"],
        ),
        (
            {"backend": "datadog", "DD_API_KEY": "two words", "DD_SITE": "datadog.com"},
            [
                "DD_API_KEY isn't an API key, by its shape: copy it again: Organization Settings > API Keys",
                (
                    "DD_SITE='data...': use one of datadoghq.com, us3.datadoghq.com, us5.datadoghq.com, datadoghq.eu,"
                    " ap1.datadoghq.com, ap2.datadoghq.com; it is the site: the address in the browser, without app."
                ),
            ],
        ),
        (
            {
                "AGENT_OTEL_BACKEND": "dynatrace",
                "DT_ENV_ID": "https://x.live.dynatrace.com",
                "DT_API_TOKEN": "t",
            },
            [
                (
                    "DT_ENV_ID='https://x.live.dynatrace.com': write it as abc12345; it is the id of the environment:"
                    " the address in the browser, https://ID.apps.dynatrace.com"
                )
            ],
        ),
        (
            {
                "AGENT_OTEL_BACKEND": "victoriametrics",
                "VICTORIAMETRICS_URL": "http://user:PASSW@vm:8428/?token=SECRET",
            },
            [
                (
                    "VICTORIAMETRICS_URL='http://***@vm:8428/?***': write it as http://victoriametrics:8428; it is the"
                    " address of VictoriaMetrics: -httpListenAddr of the server; of a cluster that of vminsert with"
                    " /insert/0"
                )
            ],
        ),
        *[
            (
                {"AGENT_OTEL_BACKEND": "prometheus-otlp", "PROMETHEUS_URL": wrong},
                [
                    (
                        f"PROMETHEUS_URL={told!r}: write it as http://prometheus:9090; it is the address of Prometheus:"
                        " without a path, unless --web.route-prefix sets one"
                    )
                ],
            )
            for wrong, told in [
                ("http:///", "http:///"),
                ("http://h:99999", "http://h:99999"),
                ("http://h#x", "http://h?***"),
            ]
        ],
        (
            {
                "AGENT_OTEL_BACKEND": "grafana-cloud",
                "GRAFANA_CLOUD_OTLP_ENDPOINT": "glc_SECRET",
                "GRAFANA_CLOUD_INSTANCE_ID": "glc_SECRET",
                "GRAFANA_CLOUD_API_KEY": "123456",
            },
            [
                (
                    "GRAFANA_CLOUD_OTLP_ENDPOINT='glc_...': write it as"
                    " https://otlp-gateway-prod-eu-west-2.grafana.net/otlp; it is the OTLP endpoint of the stack: Cloud"
                    " Portal > your stack > OpenTelemetry > Configure"
                ),
                (
                    "GRAFANA_CLOUD_INSTANCE_ID='glc_...': write it as 123456; it is the number of the stack: Cloud"
                    " Portal > your stack > OpenTelemetry > Configure"
                ),
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "cloudwatch", "CLOUDWATCH_API_KEY": "k", "AWS_REGION": "cn-north-1"},
            [
                (
                    "AWS_REGION='cn-n...': write it as eu-central-1; it is the region: the region menu of the"
                    " console"
                )
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "cloudwatch", "AWS_REGION": "eu-central-1"},
            [
                (
                    "AGENT_OTEL_BACKEND=cloudwatch signs in with AWS credentials (SigV4), which needs a package:"
                    " pip install aws-opentelemetry-distro botocore, or set CLOUDWATCH_API_KEY"
                )
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "google-cloud", **SET["google-cloud"]},
            [
                (
                    "AGENT_OTEL_BACKEND=google-cloud signs in with Application Default Credentials, which needs a package:"
                    " pip install opentelemetry-exporter-credential-provider-gcp"
                )
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "azure-monitor", **SET["azure-monitor"]},
            [
                "AGENT_OTEL_BACKEND=azure-monitor needs a package: pip install azure-monitor-opentelemetry-exporter"
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "victoriametrics", "VICTORIAMETRICS_URL": "victoria:8428"},
            [
                (
                    "VICTORIAMETRICS_URL='victoria:8428': write it as http://victoriametrics:8428; it is the address of"
                    " VictoriaMetrics: -httpListenAddr of the server; of a cluster that of vminsert with /insert/0"
                )
            ],
        ),
        (
            {
                "AGENT_OTEL_BACKEND": "datadog",
                **SET["datadog"],
                f"{OTLP}METRICS_TEMPORALITY_PREFERENCE": "Cumulative",
            },
            [
                (
                    f"{OTLP}METRICS_TEMPORALITY_PREFERENCE='Cumulative': Datadog's intake refuses cumulative counters and"
                    " histograms: use delta, or unset it"
                )
            ],
        ),
        (
            {
                "AGENT_OTEL_BACKEND": "dynatrace",
                "DT_ENV_ID": "abc12345",
                f"{OTLP}PROTOCOL": "grpc",
                f"{OTLP}COMPRESSION": "deflate",
                f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION": EXPONENTIAL,
                "OTEL_METRIC_EXPORT_INTERVAL": "never",
            },
            [
                (
                    "AGENT_OTEL_BACKEND=dynatrace needs DT_API_TOKEN, an access token with the scope metrics.ingest:"
                    " Access Tokens > Generate new token"
                ),
                f"{OTLP}PROTOCOL='grpc': its intake speaks OTLP over HTTP alone: use http/protobuf, or unset it",
                f"{OTLP}COMPRESSION='deflate': it documents gzip alone: use gzip or none, or unset it",
                (
                    f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION='{EXPONENTIAL}': Dynatrace keeps no buckets of exponential"
                    " histograms, so there would be no percentiles: use explicit_bucket_histogram, or unset it"
                ),
                "OTEL_METRIC_EXPORT_INTERVAL='never': use a number above 0, in milliseconds",
            ],
        ),
        (
            {"AGENT_OTEL_BACKEND": "splunk", **SET["splunk"], "OTEL_METRICS_EXPORTER": "otlp_proto_grpc"},
            ["exporter otlp_proto_grpc: its intake speaks OTLP over HTTP alone: use otlp"],
        ),
    ],
    ids=lambda value: (
        value.get("AGENT_OTEL_BACKEND", value.get("backend")) if isinstance(value, dict) else ""
    ),
)
def test_every_mistake_is_named_at_once_with_its_remedy(given, expected, wrong, no_packages):
    need("opentelemetry.exporter.otlp.proto.grpc", "pip install 'agent-otel[grpc]'")

    assert expected == wrong(**given)


@pytest.mark.parametrize("name", SET)
def test_a_missing_variable_is_named_with_where_it_is_found_and_a_secret_is_never_shown(
    name, wrong, packages
):
    for variable in backends.named(name).variables:
        without = {key: value for key, value in SET[name].items() if key != variable.name}
        if variable.default is None and variable.name != "CLOUDWATCH_API_KEY":
            assert wrong(AGENT_OTEL_BACKEND=name, **without) == [
                f"AGENT_OTEL_BACKEND={name} needs {variable.name}, {variable.what}: {variable.where}"
            ]
        if variable.is_secret:
            for value in ('shown, "or not"', "shown\u200b", "\u201cshown\u201d", "sh\x7fown", "sh\xa0own"):
                assert [
                    f"{variable.name} isn't {variable.what}, by its shape: copy it again: {variable.where}"
                ] == wrong(AGENT_OTEL_BACKEND=name, **{**SET[name], variable.name: value})


def test_an_exporter_too_old_to_sign_in_by_a_provider_is_a_mistake(wrong, packages, monkeypatch):
    monkeypatch.delattr(exporter_over_http(), f"_{PROVIDER}")

    assert wrong(AGENT_OTEL_BACKEND="google-cloud", **SET["google-cloud"]) == [
        (
            "AGENT_OTEL_BACKEND=google-cloud signs in with Application Default Credentials, which this"
            " opentelemetry-exporter-otlp-proto-http is too old for: pip install --upgrade"
            " opentelemetry-exporter-otlp-proto-http"
        )
    ]


def test_a_missing_exporter_is_told_once_by_its_extra(wrong, packages, monkeypatch):
    for module in ("", ".metric_exporter"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.http{module}", None)

    assert wrong(AGENT_OTEL_BACKEND="google-cloud", **SET["google-cloud"]) == [
        "OTEL_METRICS_EXPORTER=otlp with http/protobuf needs its extra: pip install 'agent-otel[otlp]'"
    ]


@pytest.mark.parametrize("name", backends.NAMES)
def test_the_block_for_sh_gives_exactly_what_is_filled_in(name, read, packages):
    given = SET.get(name, {})

    assert dict(preset(read, name).variables) == by_sh(name, given)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("new-relic", {"NEW_RELIC_REGION": "jp"}),
        ("honeycomb", {"HONEYCOMB_REGION": "eu", "HONEYCOMB_DATASET": "bots"}),
        ("datadog", {"DD_SITE": "us5.datadoghq.com"}),
        ("victoriametrics", {"VICTORIAMETRICS_URL": "http://victoria:8428/insert/0/"}),
        ("victoriametrics", {"VICTORIAMETRICS_URL": "http://victoria:8428//"}),
        ("google-cloud", {"OTEL_RESOURCE_ATTRIBUTES": "service.name=bot"}),
    ],
)
def test_so_it_does_in_another_region(name, given, read, packages):
    filled = dict(preset(read, name, **given).variables)

    assert filled == by_sh(name, SET.get(name, {}) | given)


@pytest.mark.parametrize("name", backends.NAMES)
def test_the_block_gives_the_same_in_bash(name, read, packages):
    if not shutil.which("bash"):
        do_without("no bash: apt-get install bash")

    assert by_sh(name, SET.get(name, {})) == by_sh(name, SET.get(name, {}), "bash")


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_no_block_is_a_syntax_error(shell):
    if not shutil.which(shell):
        do_without(f"no {shell}: apt-get install {shell}")
    wrong = {
        name: done.stderr
        for name in backends.NAMES
        if (
            done := subprocess.run(
                [shell, "-n"],
                input=block(backends.named(name)),
                capture_output=True,
                text=True,
                check=False,
            )
        ).returncode
    }

    assert {} == wrong


def test_what_is_told_of_a_variable_can_be_quoted_in_sh():
    told = [
        text
        for name in backends.NAMES
        for variable in backends.named(name).variables
        for text in (variable.what, variable.where, variable.default or "", *variable.choices)
    ]

    assert [] == [text for text in told if set(text) & set("'\"`${}\\")]


def test_a_resource_attribute_of_the_users_wins_in_the_block_too():
    theirs = {"OTEL_RESOURCE_ATTRIBUTES": "gcp.project_id=other"}
    attributes = by_sh("google-cloud", SET["google-cloud"] | theirs)["OTEL_RESOURCE_ATTRIBUTES"]

    # Of two attributes of one name the SDK keeps the last.
    assert "gcp.project_id=my-project-123,gcp.project_id=other" == attributes


def by_sh(name, given, shell="sh"):
    """What a shell's variables are after the block."""
    done = in_sh(name, given, shell)
    assert done.returncode == 0, done.stderr
    names = set(backends.named(name).environment)
    return {
        key: value
        for key, value in json.loads(done.stdout).items()
        if key.startswith("OTEL_") or key in names
    }


def in_sh(name, given, shell="sh"):
    look = f"exec '{sys.executable}' -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    return subprocess.run(
        [shell, "-e", "-c", block(backends.named(name)) + look],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("datadog", {}, "DD_API_KEY: an API key: Organization Settings > API Keys"),
        (
            "new-relic",
            {**SET["new-relic"], "NEW_RELIC_REGION": "mars"},
            "NEW_RELIC_REGION is one of us, eu, jp, gov",
        ),
        ("datadog", {**SET["datadog"], "DD_SITE": "datadoghq.moon"}, "DD_SITE is one of datadoghq.com, us3."),
        (
            "dynatrace",
            {"DT_ENV_ID": "abc12345"},
            "DT_API_TOKEN: an access token with the scope metrics.ingest: Access Tokens > Generate new token",
        ),
    ],
)
def test_the_block_fails_in_sh_where_a_variable_is_missing_or_wrong(name, given, told):
    done = in_sh(name, given)

    assert done.returncode != 0
    assert told in done.stderr


def test_the_block_tells_the_other_way_to_sign_in_and_what_to_install():
    lines = block(backends.named("cloudwatch")).splitlines()

    assert lines[-2:] == [
        (
            "# Without CLOUDWATCH_API_KEY, by AWS credentials (SigV4): pip install aws-opentelemetry-distro botocore, and"
            " in place of the headers"
        ),
        f"# export {PROVIDER}=aws_sigv4",
    ]
    assert "# It needs: pip install azure-monitor-opentelemetry-exporter" in block(
        backends.named("azure-monitor")
    )


@pytest.mark.parametrize("name", BY_OTLP)
def test_the_official_exporter_sends_where_and_how_the_backend_says(name, read, built):
    plan = read(AGENT_OTEL_BACKEND=name, **SET.get(name, {}))
    before = dict(os.environ)
    (watched,) = built(plan).exporting.watched
    exporter, filled = watched.exporter, FILLED[name]
    kind = (
        ExplicitBucketHistogramAggregation
        if filled[f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION"] == EXPLICIT
        else ExponentialBucketHistogramAggregation
    )

    assert before == dict(os.environ)
    assert filled[f"{OTLP}METRICS_ENDPOINT"] == exporter._endpoint
    assert "gzip" == exporter._compression.value
    assert (
        filled[f"{OTLP}METRICS_TEMPORALITY_PREFERENCE"]
        == watched._preferred_temporality[Counter].name.lower()
        == watched._preferred_temporality[Histogram].name.lower()
    )
    assert kind is type(watched._preferred_aggregation[Histogram])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grafana-cloud", {"authorization": "Basic MTIzNDU2OmdsY19rK3kvOT09"}),
        (
            "datadog",
            {"dd-api-key": "0123abcd", "dd-otel-metric-config": '{"resource_attributes_as_tags":true}'},
        ),
        ("dynatrace", {"authorization": "Api-Token dt0c01.AB.CD"}),
        ("cloudwatch", {"authorization": "Bearer ABSK+/=="}),
        ("elastic", {"authorization": "ApiKey a2V5=="}),
        ("splunk", {"x-sf-token": "token"}),
    ],
)
def test_the_exporters_own_reader_of_headers_decodes_what_is_filled_in(name, expected, read):
    headers = preset(read, name).variables[f"{OTLP}METRICS_HEADERS"]

    assert expected == parse_env_headers(headers, liberal=True)


def decoded(header):
    """The user and password of a header for HTTP Basic."""
    scheme, _, rest = header.partition(" ")
    return base64.b64decode(rest).decode() if scheme == "Basic" else ""


@pytest.mark.parametrize("name", [name for name in SET if name in BY_OTLP and name != "google-cloud"])
def test_every_character_that_a_key_may_have_reaches_the_header_beside_any_header_of_the_users(
    name, read, caplog
):
    (secret,) = [variable for variable in backends.named(name).variables if variable.is_secret]
    key = "".join(
        character for character in map(chr, range(sys.maxunicode + 1)) if secret.takes(f"a{character}b")
    )
    theirs = {secret.name: key, f"{OTLP}HEADERS": "tenant=a;b,nonsense,x-other=1"}
    headers = read(AGENT_OTEL_BACKEND=name, **SET[name] | theirs).filled[f"{OTLP}METRICS_HEADERS"]
    parsed = parse_env_headers(headers, liberal=True)
    sent = " ".join([*parsed.values(), *(decoded(value) for value in parsed.values())])

    assert len(key) > 80
    assert key in sent
    assert "1" == parsed["x-other"]
    assert key not in caplog.text


def test_a_vendors_own_exporter_is_built_with_its_variable_in_the_environment(read, built):
    (watched,) = built(read(AGENT_OTEL_BACKEND="azure-monitor", **SET["azure-monitor"])).exporting.watched

    assert ("vendors_packages", "Exporter") == (
        type(watched.exporter).__module__,
        type(watched.exporter).__name__,
    )


def test_a_resource_attribute_of_the_backend_is_in_the_resource(read, built):
    pipeline = built(read(AGENT_OTEL_BACKEND="google-cloud", **SET["google-cloud"]))

    assert "my-project-123" == pipeline.provider._sdk_config.resource.attributes["gcp.project_id"]
    assert "OTEL_RESOURCE_ATTRIBUTES" not in os.environ


def test_credentials_that_are_not_found_are_told_as_a_mistake_of_the_backend(read, packages, monkeypatch):
    if at.SDK < (1, 37):
        pytest.skip("this SDK's exporter signs in by no provider")
    import vendors_packages

    def session():
        raise OSError("no credentials were found")

    monkeypatch.setattr(vendors_packages, "session", session)
    plan = read(AGENT_OTEL_BACKEND="google-cloud", **SET["google-cloud"])
    with pytest.raises(ConfigurationError) as caught:
        Pipeline(plan)

    assert (
        "AGENT_OTEL_BACKEND=google-cloud: its exporter refuses its variables: no credentials were found",
    ) == tuple(caught.value.mistakes)


def test_requests_are_split_where_the_backend_limits_their_points(read, built):
    (watched,) = built(read(AGENT_OTEL_BACKEND="cloudwatch", **SET["cloudwatch"])).exporting.watched
    if not hasattr(watched.exporter, "_max_export_batch_size"):
        pytest.skip("this SDK's exporter over HTTP can't split requests")

    assert 1_000 == watched.exporter._max_export_batch_size


def test_an_exporter_that_cannot_split_requests_is_built_as_it_is(read, packages):
    plan = read(AGENT_OTEL_BACKEND="azure-monitor", **SET["azure-monitor"])
    limited = replace(plan.preset.backend, limits=backends.Limits(points=10))
    (watched,) = exporters.build(plan.names, plan.environ, replace(plan.preset, backend=limited)).watched

    assert "Exporter" == type(watched.exporter).__name__


def test_the_environment_is_filled_in_only_for_a_while_whatever_happens_then(variables):
    variables({f"{OTLP}HEADERS": "theirs"})
    before = dict(os.environ)
    seen = []

    def fail():
        with _preset.in_environment({f"{OTLP}HEADERS": "ours", "AGENT_OTEL_X": "1"}):
            seen.extend([os.environ[f"{OTLP}HEADERS"], os.environ["AGENT_OTEL_X"]])
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        fail()

    assert ["ours", "1"] == seen
    assert before == dict(os.environ)


FORKED_WHILE_FILLED_IN = """
import os, threading
from agent_otel import _preset

agent_otel.configure(backend="elastic")
is_filled, is_over = threading.Event(), threading.Event()

def fill():
    with _preset.in_environment({"X": "1"}):
        is_filled.set()
        is_over.wait()

filling = threading.Thread(target=fill)
filling.start()
is_filled.wait()
if (child := os.fork()) == 0:
    work(runs=3)
    print(agent_otel.flush(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
is_over.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_a_child_that_is_forked_while_another_thread_fills_the_environment_in_is_not_kept_waiting():
    with at.otlp_http() as received:
        done = at.run(
            "import warnings; warnings.simplefilter('ignore')\n" + FORKED_WHILE_FILLED_IN,
            ELASTIC_OTLP_ENDPOINT=f"http://127.0.0.1:{received.port}",
            ELASTIC_API_KEY="key",
        )

    assert ("True\n", "") == (done.stdout, done.stderr)
    assert 3 == received.total("agent_otel.runs")


def test_another_key_is_another_plan_and_stands_in_no_text_of_it(read):
    plans = [
        read(AGENT_OTEL_BACKEND="datadog", DD_API_KEY=key) for key in ("key-1234", "key-5678", "key-1234")
    ]

    assert (True, False) == (plans[0] == plans[2], plans[0] == plans[1])
    assert "key-" not in repr(plans) + str(plans[0].preset)


@pytest.mark.parametrize("name", ["collector", "datadog"])
def test_a_key_that_goes_to_an_endpoint_of_all_signals_is_told(name, read, caplog):
    with caplog.at_level(logging.WARNING):
        read(
            is_first=True,
            AGENT_OTEL_BACKEND=name,
            **SET.get(name, {}),
            **{f"{OTLP}ENDPOINT": "http://proxy:4318"},
        )

    told = [
        f"{OTLP}ENDPOINT is set and wins over AGENT_OTEL_BACKEND=datadog: metrics, and the key of that backend, go there"
    ]
    assert (told if name == "datadog" else []) == caplog.messages


class Answering:
    """An exporter that answers as it is told; an exception is raised."""

    _preferred_temporality = _preferred_aggregation = None

    def __init__(self, *answers):
        self.answers = list(answers)
        self.given = []

    def export(self, metrics_data, **_):
        self.given.append(metrics_data)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def collected(*values):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("x").create_histogram(
        "h", explicit_bucket_boundaries_advisory=[float(bound) for bound in range(1, 35)]
    )
    provider.get_meter("x").create_counter("c").add(1)
    for value in values:
        histogram.record(value)
    return reader.get_metrics_data()


GOOD, BAD = MetricExportResult.SUCCESS, MetricExportResult.FAILURE


def test_a_backend_that_fails_is_told_once_until_it_takes_something_again(caplog):
    exporter = Answering(BAD, BAD, GOOD, OSError("away"), BAD, GOOD)
    watched = Watched(lambda: exporter, Answers("datadog", "check DD_SITE"))
    seen = []
    for _ in range(6):
        try:
            watched.export(collected(1))
        except OSError:
            seen.append("raised")
        seen.append(len(caplog.messages))

    assert [1, 1, 1, "raised", 2, 2, 2] == seen
    assert ["exports to datadog fail: check DD_SITE."] * 2 == caplog.messages


def test_what_to_check_are_the_backends_variables_and_its_block(read):
    assert (
        "check DD_API_KEY, DD_SITE; `agent-otel backends datadog` shows what is sent where"
        == preset(read, "datadog").check
    )
    assert (
        "check its address; `agent-otel backends collector` shows what is sent where"
        == preset(read, "collector").check
    )
    assert ("0123abcd",) == preset(read, "datadog").secrets


def test_over_grpc_the_official_exporter_sends_where_the_backend_says_with_its_key(read, built):
    need("opentelemetry.exporter.otlp.proto.grpc", "pip install 'agent-otel[grpc]'")
    plan = read(AGENT_OTEL_BACKEND="new-relic", **SET["new-relic"], **{f"{OTLP}PROTOCOL": "grpc"})
    (watched,) = built(plan).exporting.watched

    assert "otlp.nr-data.net:4317" == watched.exporter._endpoint
    assert ("api-key", "0123NRAL") in watched.exporter._headers


@pytest.mark.parametrize("name", ["datadog", "new-relic"])
def test_the_official_exporter_over_http_lets_its_answers_be_heard(name, read, built):
    (watched,) = built(read(AGENT_OTEL_BACKEND=name, **SET[name])).exporting.watched
    exporter = watched.exporter
    session = getattr(exporter, "_session", None) or exporter._client._transport._session

    assert ["_hear"] == [hook.__name__ for hook in session.hooks["response"]]


@pytest.mark.parametrize("most", [2, 5, 18, 31, 34])
def test_a_histogram_of_fewer_buckets_counts_the_same_between_bounds_that_it_had(most):
    values = [number / 7 for number in range(300)]
    data = collected(*values)
    point = fewer_buckets(data, most).resource_metrics[0].scope_metrics[0].metrics[-1].data.data_points[0]
    bounds = [-math.inf, *point.explicit_bounds, math.inf]

    assert most == len(point.bucket_counts)
    assert set(point.explicit_bounds) <= set(range(1, 35))
    assert tuple(point.bucket_counts) == tuple(
        sum(low < value <= high for value in values) for low, high in pairwise(bounds)
    )


def test_a_histogram_of_few_buckets_and_a_counter_stay_as_they_are():
    data = collected(1, 2)

    assert data.to_json() == fewer_buckets(data, 35).to_json()


def test_the_bounds_that_go_first_are_low_ones_and_always_the_same():
    bounds = [
        fewer_buckets(collected(value), 31)
        .resource_metrics[0]
        .scope_metrics[0]
        .metrics[-1]
        .data.data_points[0]
        .explicit_bounds
        for value in (1, 100)
    ]

    assert bounds[0] == bounds[1] == [1, 3, 5, 7, *range(9, 35)]


def test_an_exporter_gets_no_more_buckets_than_its_backend_takes(read, built):
    (watched,) = built(read(AGENT_OTEL_BACKEND="splunk", **SET["splunk"])).exporting.watched
    exporter = Answering(MetricExportResult.SUCCESS)
    watched.exporter, real = exporter, watched.exporter
    watched.export(collected(1, 2, 3))
    watched.exporter = real
    (point,) = exporter.given[0].resource_metrics[0].scope_metrics[0].metrics[-1].data.data_points

    assert (31, 3) == (len(point.bucket_counts), point.count)


def test_an_empty_export_stays_empty():
    watched = Watched(Answering, None, 31)

    assert MetricExportResult.SUCCESS is watched.export(MetricsData(resource_metrics=[]))


IN_THREE_PROCESSES = """
import os
from opentelemetry import metrics

provider = agent_otel.configure()
metrics.get_meter("theirs").create_counter("theirs").add(1)
work(runs=2)
agent_otel.flush()
before = dict(os.environ)
if (child := os.fork()) == 0:
    metrics.get_meter("theirs").create_counter("of_the_child").add(1)
    work(runs=3)
    agent_otel.flush()
    print(os.environ == before, [name for name in os.environ if "METRICS" in name])
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_a_forked_child_sends_to_the_same_backend_and_finds_no_key_in_its_environment():
    with at.otlp_http() as received:
        done = at.run(
            "import warnings; warnings.simplefilter('ignore')\n" + IN_THREE_PROCESSES,
            AGENT_OTEL_BACKEND="elastic",
            ELASTIC_OTLP_ENDPOINT=f"http://127.0.0.1:{received.port}",
            ELASTIC_API_KEY="key",
        )
        received.wait_for(3)

    assert "True []\n" == done.stdout
    assert "" == done.stderr
    assert [2, 3] == sorted(received.totals("agent_otel.runs").values())
    assert {"theirs", "of_the_child"} <= set(received.names())


def test_under_the_wrapper_a_backend_changes_nothing_and_says_which_command_helps():
    need("opentelemetry.distro", "pip install opentelemetry-distro")
    done = at.run(
        "work()",
        *at.WRAPPER,
        AGENT_OTEL_BACKEND="datadog",
        OTEL_METRICS_EXPORTER="none",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )

    assert (
        "AGENT_OTEL_BACKEND=datadog changes nothing, since opentelemetry-instrument decides: set the variables of"
        " agent-otel backends datadog" in done.stderr
    )


def test_with_configure_under_the_wrapper_it_is_said_once():
    need("opentelemetry.distro", "pip install opentelemetry-distro")
    need("opentelemetry.exporter.otlp.proto.http.metric_exporter", "pip install 'agent-otel[otlp]'")
    done = at.run(
        "agent_otel.configure()",
        *at.WRAPPER,
        AGENT_OTEL_BACKEND="collector",
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TIMEOUT=1,
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )

    assert 1 == done.stderr.count("AGENT_OTEL_BACKEND=collector changes nothing")


def test_with_another_provider_a_backend_changes_nothing_and_says_so():
    done = at.run(
        """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
metrics.set_meter_provider(MeterProvider())
agent_otel.configure(backend="collector")
"""
    )

    assert (
        "backend=collector changes nothing, since that provider decides: set the variables of agent-otel backends"
        " collector\n" in done.stderr
    )


@at.needs_files
def test_with_a_configuration_file_a_backend_changes_nothing_asks_for_nothing_and_says_so(tmp_path):
    need("opentelemetry.configuration", "pip install --pre opentelemetry-configuration")
    file = tmp_path / "otel.yaml"
    file.write_text('file_format: "1.0"\nmeter_provider:\n  readers: []\n')
    done = at.run(
        "agent_otel.configure()", AGENT_OTEL_BACKEND="datadog", OTEL_CONFIG_FILE=str(file), check=False
    )

    assert (
        "AGENT_OTEL_BACKEND=datadog changes nothing, since OTEL_CONFIG_FILE decides: set the variables of agent-otel"
        " backends datadog\n" in done.stderr
    )


COMMAND = "import sys; from agent_otel.cli import main; sys.argv = ['agent-otel', *sys.argv[1:]]; main()"


def command(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command_lists_every_backend_a_line_each():
    need("rich", "pip install 'agent-otel[cli]'")
    done = command("backends")
    rows = [line.split("\t") for line in done.stdout.splitlines()]

    assert (0, "") == (done.returncode, done.stderr)
    assert ["backend", *backends.NAMES] == [row[0] for row in rows]
    assert ["datadog", "delta", "exponential", "protocol only", "DD_API_KEY, (DD_SITE)"] == rows[5][:5]
    assert "AWS_REGION, (CLOUDWATCH_API_KEY)" == rows[8][4]


def test_in_a_terminal_it_is_a_table():
    need("rich", "pip install 'agent-otel[cli]'")
    done = command("backends", FORCE_COLOR="1", COLUMNS="200", TERM="xterm-256color")

    assert 0 == done.returncode
    assert "\x1b[" in done.stdout
    assert "\t" not in done.stdout
    assert all(name in done.stdout for name in backends.NAMES)


def test_the_command_prints_the_block_of_one_backend_and_nothing_else():
    need("rich", "pip install 'agent-otel[cli]'")
    done = command("backends", "Datadog")

    assert (0, block(backends.named("datadog")), "") == (done.returncode, done.stdout, done.stderr)


def test_an_unknown_backend_exits_with_2_and_names_the_close_one():
    need("rich", "pip install 'agent-otel[cli]'")
    done = command("backends", "datdog")

    assert (2, "") == (done.returncode, done.stdout)
    assert "no such backend: did you mean datadog? known are collector" in done.stderr


def test_a_process_loads_its_own_backend_alone():
    code = (
        "import sys; from agent_otel import _plan; _plan.read({}, backend='console', is_first=True);"
        "print(*sorted(name for name in sys.modules if name.startswith('agent_otel.backends.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "agent_otel.backends.console\n" == done.stdout
