"""The Collector's configuration of each vendor sends what that vendor's intake takes, from a program that counts on.

The program sends cumulative points to a real Collector, which sends to the intakes of `tests/intakes`, as each vendor
wants it.
"""

from __future__ import annotations

import re
import time
from urllib.request import Request, urlopen

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from agent_otel import catalog
from tests import receivers as at
from tests.intakes.programs import RECORDED, TWO_EXPORTS, arrived
from tests.intakes.vendors import INTAKES
from tests.optional import need
from tests.real.servers import CONFIGS, Collector, until

REALLY_RUN = {"prometheus", "prometheus-otlp", "prometheus-remote-write", "victoriametrics"}  # in other files
# What signs in there is an extension that can't be built here: one with a fixed token stands in its place, so that all
# but the signing in is covered.
STAND_INS = {
    "azure-monitor": ("azure_auth", "entra-test"),
    "google-cloud": ("googleclientauth", "ya29.test"),
}
CONFIGS_TO_RUN = sorted(
    file.stem for file in (CONFIGS / "backends").glob("*.yaml") if file.stem not in REALLY_RUN
)
# What a file asks of the programs that send to it.
OF_PROGRAMS = {
    "azure-monitor": {
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"
    }
}


@pytest.fixture
def intakes(tmp_path):
    with need("tests.intakes.server").Intakes(tmp_path) as running:
        yield running


def intake_of(vendor):
    return INTAKES.get(f"{vendor}-otlp", INTAKES.get(vendor))


def collector(folder, vendor, intakes, *, token=None, **changes):
    config = f"backends/{vendor}.yaml"
    if vendor in STAND_INS:
        extension, right = STAND_INS[vendor]
        config = folder / f"{vendor}.yaml"
        config.write_text(
            with_token((CONFIGS / "backends" / config.name).read_text(), extension, token or right)
        )
    return Collector(folder, "base.yaml", config, **intake_of(vendor).variables | intakes.variables | changes)


def with_token(text, extension, token):
    """A configuration with an extension that sends this token in the place of another one."""
    block = rf"^  {extension}:\n(?:    .*\n)+"
    assert re.search(block, text, re.MULTILINE), f"{extension} is configured otherwise now"
    swapped = re.sub(block, f"  bearertokenauth:\n    token: {token}\n", text, flags=re.MULTILINE)
    return swapped.replace(extension, "bearertokenauth")


def test_every_vendor_has_a_config():
    assert {vendor.removesuffix("-otlp") for vendor in INTAKES} == set(CONFIGS_TO_RUN)


@pytest.mark.parametrize("vendor", CONFIGS_TO_RUN)
def test_a_config_sends_all_that_a_program_counted_as_the_vendor_wants_it(vendor, intakes, tmp_path):
    with collector(tmp_path, vendor, intakes) as running:
        at.run(TWO_EXPORTS, OTEL_EXPORTER_OTLP_ENDPOINT=running.endpoint, **OF_PROGRAMS.get(vendor, {}))
        until(lambda: RECORDED == arrived(intakes) or "Dropping data" in running.log)

    assert [] == intakes.found_wrong
    assert RECORDED == arrived(intakes)
    assert {intake_of(vendor).prefers} == intakes.temporalities


@pytest.mark.parametrize("vendor", CONFIGS_TO_RUN)
def test_five_thousand_points_at_once_stay_within_the_vendors_limits(vendor, intakes, tmp_path):
    with collector(tmp_path, vendor, intakes) as running:
        send(running, many_points(5000, exponential=vendor in OF_PROGRAMS))
        until(lambda: len(agents(intakes)) == 5000 or "Dropping data" in running.log)

    assert [] == intakes.found_wrong
    assert sorted(agents(intakes)) == sorted(f"agent-{number:04}" for number in range(5000))


def many_points(number, *, exponential):
    """Points of the largest histogram that there is, each of a stream of its own with all its attributes."""
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "agents"
    metric = resource.scope_metrics.add().metrics.add(name=catalog.RUN_DURATION.name, unit="s")
    data = metric.exponential_histogram if exponential else metric.histogram
    data.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    began = time.time_ns()  # a stream that began before the Collector has no first delta
    for each in range(number):
        point = data.data_points.add(start_time_unix_nano=began, time_unix_nano=began + 1, sum=float(each))
        fill(point, exponential=exponential)
        for attribute in catalog.RUN_DURATION.attributes:
            value = f"agent-{each:04}" if attribute == catalog.AGENT_NAME else f"of the usual length {each}"
            point.attributes.add(key=attribute.key).value.string_value = value
    return made


def fill(point, *, exponential):
    if exponential:
        point.positive.bucket_counts.extend([1] * 160)
        point.count = 160
    else:
        point.explicit_bounds.extend(catalog.RUN_DURATION.bounds)
        point.bucket_counts.extend([1] * (len(catalog.RUN_DURATION.bounds) + 1))
        point.count = len(point.bucket_counts)


def send(running, message):
    request = Request(
        f"{running.endpoint}/v1/metrics",
        data=message.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )
    with urlopen(request, timeout=at.SECONDS) as answer:
        assert answer.status == 200


def agents(intakes):
    """The agent of each point that was taken."""
    return [
        pair.value.string_value
        for request in intakes.taken
        for _, point in request.points
        for pair in point.attributes
        if pair.key == catalog.AGENT_NAME.key
    ]


@pytest.mark.parametrize("vendor", CONFIGS_TO_RUN)
def test_a_wrong_key_shows_the_vendors_answer_in_the_collectors_log(vendor, intakes, tmp_path):
    intake = intake_of(vendor)
    mistakes = {"token": "mistaken"} if vendor in STAND_INS else intake.mistakes
    with collector(tmp_path, vendor, intakes, **mistakes) as running:
        at.run(TWO_EXPORTS, OTEL_EXPORTER_OTLP_ENDPOINT=running.endpoint)
        until(lambda: "Dropping data" in running.log)
        log = running.log

    assert [] == intakes.taken
    assert f"Status Code {intakes.refused[0].status}" in log
    assert intake.hosts[0] in log
    if intake.speaks == "status":  # the Collector reads no other form of a reason
        assert intakes.refused[0].reason in log
