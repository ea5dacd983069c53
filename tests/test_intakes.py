"""The fake intakes themselves: each of their rules bites, on what breaks that rule and on nothing else."""

from __future__ import annotations

import gzip
import math
import random
import zlib
from dataclasses import replace

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from tests.intakes import rules
from tests.intakes.requests import add_attribute, counter_of, message, sent
from tests.intakes.vendors import INTAKES
from tests.optional import need


def without_path(intake, rule):
    yield "another path", replace(sent(intake), path="/v1/elsewhere")


def without_content_type(intake, rule):
    yield "none", sent(intake, **{"content-type": None})
    yield "gRPC", sent(intake, **{"content-type": "application/grpc"})


def without_key(intake, rule):
    yield "no key", sent(intake, **{rule.header: None})
    yield "another key", sent(intake, **{rule.header: f"{rule.value}x"})
    if " " in rule.value:
        yield "no scheme", sent(intake, **{rule.header: rule.value.split()[1]})
    for host in intake.hosts[1:]:
        yield f"at {host}", replace(sent(intake), host=host)


def without_header(intake, rule):
    yield "no header", sent(intake, **{rule.header: None})


def without_encoding(intake, rule):
    yield "deflate", sent(intake, pack=zlib.compress, encoding="deflate")


def too_large(intake, rule):
    noise = random.Random(0).randbytes(100_000).hex()
    if rule.plain < math.inf:
        yield "plain", sent(intake, padded(intake, "x" * rule.plain), pack=bytes, encoding=None)
    if rule.sent < math.inf:
        yield "packed", sent(intake, padded(intake, noise * (rule.sent // 100_000 + 1)), pack=hardly)
    if rule.unpacked < math.inf:
        yield "unpacked", sent(intake, padded(intake, "x" * rule.unpacked))


def hardly(data):
    return gzip.compress(data, 0)


def padded(intake, text):
    made = message(intake)
    counter_of(made).description = text
    return made


def too_many_points(intake, rule):
    made = message(intake)
    for _ in range(rule.most - 1):
        counter_of(made).sum.data_points.add(as_int=1)
    yield "points", sent(intake, made)


def too_many_attributes(intake, rule):
    made = message(intake)
    for number in range(rule.most + 1):
        add_attribute(counter_of(made).sum.data_points[0], f"key{number}", "value")
    yield "attributes", sent(intake, made)
    for label, limit, pair in (
        ("a long name", rule.name_length, lambda size: ("k" * size, "value")),
        ("a long value", rule.value_length, lambda size: ("key", "v" * size)),
    ):
        if limit < math.inf:
            made = message(intake)
            add_attribute(counter_of(made).sum.data_points[0], *pair(limit + 1))
            yield label, sent(intake, made)


def not_delta(intake, rule):
    for name in rule.kinds:
        made = message(intake)
        for metric in made.resource_metrics[0].scope_metrics[0].metrics:
            if metric.WhichOneof("data") == name:
                rules.data_of(metric).aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
                yield name, sent(intake, made)


def not_cumulative(intake, rule):
    yield "delta", sent(intake, message(intake, temporality="delta"))


def not_kept(intake, rule):
    other = "histogram" if rule.kind == "exponential_histogram" else "exponential_histogram"
    yield other, sent(intake, message(intake, kind=other))
    if rule.most_buckets:
        yield "buckets", sent(intake, message(intake, buckets=rule.most_buckets + 1))


def without_resource(intake, rule):
    made = message(intake)
    del made.resource_metrics[0].resource.attributes[:]
    yield "none", sent(intake, made)
    add_attribute(made.resource_metrics[0].resource, rule.key, "another")
    yield "another", sent(intake, made)


def misnamed(intake, rule):
    made = message(intake)
    counter_of(made).name = "runs per agent"
    yield "metric", sent(intake, made)
    made = message(intake)
    add_attribute(counter_of(made).sum.data_points[0], "agent-name", "bot")
    yield "attribute", sent(intake, made)


def without_instrumentation_key(intake, rule):
    yield "another", sent(intake, [{"iKey": "another"}])


BREAK = {
    rules.Path: without_path,
    rules.ContentType: without_content_type,
    rules.Key: without_key,
    rules.Header: without_header,
    rules.Encodings: without_encoding,
    rules.Size: too_large,
    rules.Points: too_many_points,
    rules.Attributes: too_many_attributes,
    rules.Delta: not_delta,
    rules.Cumulative: not_cumulative,
    rules.Keeps: not_kept,
    rules.ResourceAttribute: without_resource,
    rules.Names: misnamed,
    rules.InstrumentationKey: without_instrumentation_key,
}


@pytest.mark.parametrize("vendor", INTAKES)
def test_a_request_that_keeps_all_rules_is_taken(vendor):
    intake = INTAKES[vendor]

    assert [] == intake.judge(sent(intake))
    assert [] == intake.judge(sent(intake, pack=bytes, encoding=None))


@pytest.mark.parametrize(
    ("vendor", "rule"),
    [
        pytest.param(vendor, rule, id=f"{vendor}-{type(rule).__name__}")
        for vendor, intake in INTAKES.items()
        for rule in intake.rules
    ],
)
def test_a_request_that_breaks_one_rule_is_found_wrong_for_that_alone(vendor, rule):
    intake = INTAKES[vendor]
    others = replace(intake, rules=tuple(each for each in intake.rules if each is not rule))
    broken = list(BREAK[type(rule)](intake, rule))

    assert broken
    for what, request in broken:
        assert [] != intake.judge(request), what
        assert [] == others.judge(request), what


@pytest.mark.parametrize(
    ("vendor", "headers", "status", "reason"),
    [
        ("datadog", {"dd-api-key": "x"}, 403, "not of this site"),
        ("dynatrace", {"authorization": "Bearer x"}, 401, "Token Authentication failed"),
        ("honeycomb", {"x-honeycomb-team": None}, 401, "missing 'x-honeycomb-team' header"),
        ("elastic", {"authorization": "essu_test"}, 401, "ApiKey"),
        ("cloudwatch", {"content-type": "application/json"}, 415, "content type"),
    ],
)
def test_a_refusal_goes_over_the_wire_with_its_status_and_its_reason(
    tmp_path, vendor, headers, status, reason
):
    intakes = need("tests.intakes.server").Intakes(tmp_path)
    request = sent(INTAKES[vendor], **headers)
    with intakes:
        answer = post(intakes, request)

    assert answer.status_code == status
    assert reason in answer.text
    assert [status] == [refused.status for refused in intakes.refused]


def test_what_is_taken_is_kept_and_a_host_that_no_vendor_has_is_refused(tmp_path):
    intakes = need("tests.intakes.server").Intakes(tmp_path)
    requests = need("requests")
    request = sent(INTAKES["signoz"])
    with intakes:
        assert post(intakes, request).status_code == 200
        with pytest.raises(requests.exceptions.ProxyError):
            post(intakes, replace(request, host="ingest.moon.signoz.cloud"))

    assert [request.message] == [taken.message for taken in intakes.taken]
    assert ["ingest.moon.signoz.cloud"] == intakes.strangers


def post(intakes, request):
    variables = intakes.variables
    return need("requests").post(
        f"https://{request.host}{request.path}",
        data=request.body,
        headers=request.headers,
        proxies={"https": variables["HTTPS_PROXY"]},
        verify=variables["REQUESTS_CA_BUNDLE"],
        timeout=60,
    )
