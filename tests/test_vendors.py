"""Each vendor's preset sends what that vendor's intake takes; a wrong setting is refused, and the user is told why.

The programs keep the vendors' URLs: see `tests/intakes/server.py`. Not covered here, and why:

- `cloudwatch` with AWS credentials: aws-opentelemetry-distro, which signs, pins its own SDK. The API key is covered.
- `google-cloud` asks a provider for its token: the test's own stands for Google's, which asks Google's servers.
- gRPC, which `new-relic`, `honeycomb`, `elastic` and `signoz` take as well: the intakes speak HTTP/1.1, as presets do.
"""

from __future__ import annotations

import inspect
import os
from collections import Counter

import pytest
from opentelemetry.sdk import environment_variables

from agent_otel import ConfigurationError, backends, catalog, configure
from tests import receivers as at
from tests.intakes.programs import RECORDED, TWO_EXPORTS, arrived
from tests.intakes.requests import message, sent
from tests.intakes.vendors import INTAKES
from tests.optional import need

VENDORS = [vendor for vendor in INTAKES if vendor in backends.NAMES]
BY_OTLP = [vendor for vendor in VENDORS if vendor != "azure-monitor"]

KINDS = {backends.EXPLICIT: "histogram", backends.EXPONENTIAL: "exponential_histogram"}

# A team's own counter, beside what is recorded of agents.
OWN = """
import os
from opentelemetry import metrics
agent_otel.configure()
counter = metrics.get_meter("team").create_counter({name!r})
for number in range({sets}):
    counter.add(1, {{"session": {value}}})
"""

# Switches off what Microsoft's exporter tells of itself, and asks, elsewhere.
AZURE_SELF_REPORTS = (
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
)

PROVIDER = """
import requests

def session():
    made = requests.Session()
    made.headers["Authorization"] = "Bearer {token}"
    return made
"""


@pytest.fixture
def intakes(tmp_path):
    with need("tests.intakes.server").Intakes(tmp_path) as running:
        yield running


@pytest.fixture
def said(intakes, tmp_path):
    """Runs a program with a preset, its right variables and these changes, and gives what it says on stderr."""

    def run(vendor, code=TWO_EXPORTS, *, token="ya29.test", **changes):
        given = INTAKES[vendor].variables | {"AGENT_OTEL_BACKEND": vendor} | intakes.variables
        if vendor == "google-cloud":
            given |= google_sign_in(tmp_path, token)
        if vendor == "azure-monitor":
            need("azure.monitor.opentelemetry.exporter", "pip install azure-monitor-opentelemetry-exporter")
            given |= dict.fromkeys(AZURE_SELF_REPORTS, "true")
        return at.run(code, **given | changes).stderr

    return run


def google_sign_in(folder, token):
    """A distribution with an entry point that is named as Google's credential provider."""
    if not hasattr(environment_variables, "_OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER"):
        pytest.skip("this SDK's exporter has no credential providers")
    (folder / "signs_in.py").write_text(PROVIDER.format(token=token))
    info = folder / "signs_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: signs-in\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\ngcp_http_credentials = signs_in:session\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_every_backend_that_is_a_vendors_has_an_intake_here():
    ones_own = {"collector", "prometheus", "prometheus-otlp", "victoriametrics", "console"}

    assert set(VENDORS) == {*backends.NAMES} - ones_own


@pytest.mark.parametrize("vendor", BY_OTLP)
def test_a_preset_sends_all_that_was_recorded_and_nothing_is_refused_or_lost(vendor, intakes, said):
    assert "" == said(vendor)
    assert [] == intakes.found_wrong
    assert {INTAKES[vendor].hosts[0]} == set(intakes.asked)
    assert RECORDED == arrived(intakes)
    assert {INTAKES[vendor].prefers} == intakes.temporalities


def test_azures_own_exporter_sends_all_that_was_recorded_and_nothing_is_refused(intakes, said):
    assert "" == said("azure-monitor")
    assert [] == intakes.found_wrong

    sums, counts = Counter(), Counter()
    for item in intakes.track_items:
        for metric in item["data"]["baseData"]["metrics"]:
            sums[metric["name"]] += metric["value"]
            counts[metric["name"]] += metric["count"]

    assert (5, 75) == (sums[catalog.RUNS.name], sums[catalog.TOKENS.name])
    assert (5, 5) == (counts[catalog.RUN_DURATION.name], counts[catalog.TOOL_DURATION.name])


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_key_is_refused_and_the_user_reads_why_and_what_to_check(vendor, intakes, said):
    intake = INTAKES[vendor]
    told = said(vendor, **intake.mistakes or {"token": "ya29.other"})

    assert [] == intakes.taken
    assert all(word in told for word in [vendor, *intake.mistakes])
    # Microsoft's exporter tells the status alone, and nobody else hears the answer.
    assert ("Bad Request" if vendor == "azure-monitor" else intakes.refused[0].reason) in told


def test_another_region_does_not_know_the_key_and_the_user_is_told(intakes, said):
    told = said("new-relic", NEW_RELIC_REGION="eu")

    assert {"otlp.eu01.nr-data.net"} == set(intakes.asked)
    assert ([], []) == (intakes.taken, intakes.strangers)
    assert intakes.refused[0].reason in told
    assert "NEW_RELIC_REGION" in told


def test_a_region_that_there_is_not_is_told_as_the_variable_to_check(intakes, said):
    told = said("cloudwatch", AWS_REGION="eu-moon-9", OTEL_EXPORTER_OTLP_TIMEOUT=1)

    assert ["monitoring.eu-moon-9.amazonaws.com"] == sorted(set(intakes.strangers))
    assert "AWS_REGION" in told


def test_more_points_than_a_request_may_have_are_split(intakes, said):
    exporter = need("opentelemetry.exporter.otlp.proto.http.metric_exporter").OTLPMetricExporter
    if "max_export_batch_size" not in inspect.signature(exporter).parameters:
        pytest.skip("this SDK's exporter splits nothing")

    assert "" == said("cloudwatch", OWN.format(name="lookups", sets=1500, value="str(number)"))
    assert [] == intakes.found_wrong
    assert 1500 == sum(metric.name == "lookups" for request in intakes.taken for metric, _ in request.points)


def test_a_payload_that_is_too_large_is_refused_and_the_user_reads_why(intakes, said):
    told = said("new-relic", OWN.format(name="lookups", sets=1500, value="os.urandom(700).hex()"))

    assert [413] == [refused.status for refused in intakes.refused]
    assert intakes.refused[0].reason in told


def test_points_that_are_rejected_while_others_are_taken_are_told(intakes, said):
    told = said("google-cloud", OWN.format(name="team-lookups", sets=2, value="str(number)"))

    assert [(2, "invalid names: team-lookups")] == intakes.rejected
    assert "invalid names: team-lookups" in told


@pytest.mark.parametrize(
    ("vendor", "changes", "why"),
    [
        ("datadog", {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative"}, "use delta"),
        ("dynatrace", {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "lowmemory"}, "use delta"),
        ("grafana-cloud", {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}, "use cumulative"),
        (
            "dynatrace",
            {
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"
            },
            "no percentiles",
        ),
        ("datadog", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "over HTTP alone"),
        ("cloudwatch", {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, "over HTTP alone"),
        ("splunk", {"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"}, "gzip"),
        ("datadog", {"DD_SITE": "datadoghq.moon"}, "use one of datadoghq.com"),
        ("new-relic", {"NEW_RELIC_REGION": "moon"}, "use one of us"),
        ("splunk", {"SPLUNK_REALM": "moon"}, "write it as us1"),
    ],
)
def test_what_an_intake_is_known_to_refuse_is_refused_before_anything_is_sent(
    vendor, changes, why, monkeypatch
):
    for name in [name for name in os.environ if name.startswith(("OTEL_", "AGENT_OTEL_"))]:
        monkeypatch.delenv(name)
    for name, value in (INTAKES[vendor].variables | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        configure(backend=vendor)
    (variable,) = changes

    assert variable in str(raised.value)
    assert why in str(raised.value)


@pytest.mark.parametrize("vendor", BY_OTLP)
def test_what_a_user_may_choose_is_taken_and_kept(vendor):
    intake, backend = INTAKES[vendor], backends.named(vendor)
    wrong = {
        temporality
        for temporality in backend.temporality.takes
        for histogram in backend.histogram.takes
        if temporality in {"cumulative", "delta"}
        and intake.judge(sent(intake, message(intake, temporality, KINDS[histogram])))
    }

    # CloudWatch stores deltas, so whoever asks for them gets them; the preset's remarks warn of rate().
    assert ({"delta"} if vendor == "cloudwatch" else set()) == wrong
