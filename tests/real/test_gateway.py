"""Two tiers for real: programs, agents, a load balancer, two gateways and Prometheus, whatever is killed in between."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent_otel import catalog
from tests import receivers as at
from tests.read_back import from_otlp
from tests.real.servers import Collector
from tests.real.tiers import (
    ACCEPTED,
    DELTA,
    EXPORTS,
    PROGRAMS,
    REFUSED,
    WAITING,
    Balanced,
    Outcome,
    Tiers,
    empty,
    intake,
    prometheus_as_shipped,
)
from tests.recorded_contract import RECORDS, Buckets

OTLP_DELTA, OTLP_CUMULATIVE = 1, 2  # as OTLP numbers them


def all_goes_well(stack, folder):
    prometheus = prometheus_as_shipped(stack, folder)
    tiers = Tiers(stack, folder, PROMETHEUS_URL=prometheus.url)
    prometheus.start()
    tiers.export(EXPORTS)
    empty(*tiers.gateways)

    assert all(gateway.counted(ACCEPTED) for gateway in tiers.gateways)

    return Outcome(prometheus, tiers.gateways)


def a_gateway_is_killed_and_comes_back_with_its_queue(stack, folder):
    prometheus = prometheus_as_shipped(stack, folder)
    tiers = Tiers(stack, folder, PROMETHEUS_URL=prometheus.url)
    tiers.export(2)

    assert all(gateway.counted(WAITING) for gateway in tiers.gateways)

    tiers.gateways[0].kill()
    prometheus.start()
    tiers.export(3)
    empty(tiers.gateways[1])

    meanwhile = Outcome(prometheus, tiers.gateways[1:])
    tiers.gateways[0].start()
    empty(*tiers.gateways)
    outcome = Outcome(prometheus, tiers.gateways)
    outcome.meanwhile = meanwhile
    return outcome


def agents_add_up_deltas(stack, folder):
    prometheus = prometheus_as_shipped(stack, folder)
    agent = ["gateway/accept-delta.yaml"]
    tiers = Tiers(stack, folder, agent=agent, settings=DELTA, PROMETHEUS_URL=prometheus.url)
    prometheus.start()
    tiers.export(EXPORTS)
    empty(*tiers.gateways)
    return Outcome(prometheus, tiers.gateways)


def gateways_behind_a_balancer_add_up_deltas(stack, folder):
    prometheus = prometheus_as_shipped(stack, folder)
    tiers = Balanced(stack, folder, prometheus)
    prometheus.start()
    tiers.export(EXPORTS)

    assert all(gateway.counted(ACCEPTED) for gateway in tiers.gateways)

    return Outcome(prometheus, tiers.gateways)


def a_gateway_behind_a_balancer_is_killed_and_comes_back(stack, folder):
    prometheus = prometheus_as_shipped(stack, folder)
    tiers = Balanced(stack, folder, prometheus)
    prometheus.start()
    tiers.export(2)
    tiers.gateways[0].kill()
    tiers.programs.export()

    assert tiers.balancer.counted(WAITING)

    tiers.gateways[0].start()
    tiers.export(2)
    return Outcome(prometheus, tiers.gateways)


def agents_convert_to_delta(stack, folder):
    received = stack.enter_context(at.otlp_http())
    tiers = Tiers(
        stack,
        folder,
        backend=["backends/datadog.yaml", intake(folder, received)],
        agent=["gateway/agent-to-delta.yaml"],
        DD_API_KEY="key",
    )
    tiers.export(EXPORTS)
    empty(*tiers.gateways)
    return received.exports


# Each scenario is played once.


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.fixture
def outcome_of(outcomes, tmp_path_factory):
    def of(scenario):
        if scenario not in outcomes:
            outcomes[scenario] = None
            with ExitStack() as stack:
                outcomes[scenario] = scenario(stack, tmp_path_factory.mktemp(scenario.__name__))

        assert outcomes[scenario], "it failed already, in the test that came first"

        return outcomes[scenario]

    return of


SAME_TOTALS = [
    all_goes_well,
    a_gateway_is_killed_and_comes_back_with_its_queue,
    agents_add_up_deltas,
    gateways_behind_a_balancer_add_up_deltas,
]


class TestTheTotalsInPrometheus(Buckets):
    @pytest.fixture(params=SAME_TOTALS)
    def points(self, request, outcome_of):
        return outcome_of(request.param).points


class TestTheTotalsOfABackendThatWantsDelta(Buckets):
    @pytest.fixture
    def points(self, outcome_of):
        exports = outcome_of(agents_convert_to_delta)
        return from_otlp(resource for request in exports for resource in request.resource_metrics)


@pytest.mark.parametrize("scenario", [all_goes_well, a_gateway_is_killed_and_comes_back_with_its_queue])
def test_no_point_is_lost(outcome_of, scenario):
    series = PROGRAMS * len({(record["agent"], record["model"]) for record in RECORDS})

    assert outcome_of(scenario).samples == [EXPORTS] * series


def test_while_a_gateway_is_away_with_its_queue_points_are_missing_and_the_totals_are_right(outcome_of):
    outcome = outcome_of(a_gateway_is_killed_and_comes_back_with_its_queue)

    assert sum(outcome.meanwhile.samples) < sum(outcome.samples)
    assert outcome.meanwhile.points == outcome.points


@pytest.mark.parametrize("scenario", [*SAME_TOTALS, a_gateway_behind_a_balancer_is_killed_and_comes_back])
def test_prometheus_refuses_nothing(outcome_of, scenario):
    outcome = outcome_of(scenario)

    assert outcome.refused == dict.fromkeys(REFUSED, 0)
    assert outcome.given_up == 0


def test_what_comes_back_comes_late_and_is_taken(outcome_of):
    assert outcome_of(a_gateway_is_killed_and_comes_back_with_its_queue).late > 0


def test_a_gateway_that_forgot_its_totals_begins_anew_and_the_increase_is_right(outcome_of):
    outcome = outcome_of(a_gateway_behind_a_balancer_is_killed_and_comes_back)

    assert sum(point.value for point in outcome.points[catalog.RUNS].values()) < len(RECORDS)
    assert outcome.increase == len(RECORDS)


def temporalities(exports):
    return {
        metric.sum.aggregation_temporality
        for request in exports
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.HasField("sum") and metric.sum.is_monotonic
    }


def export_once(collector):
    at.run(
        "agent_otel.configure(); work(); agent_otel.shutdown()",
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
    )


def test_a_backend_that_wants_delta_gets_nothing_else(outcome_of):
    assert temporalities(outcome_of(agents_convert_to_delta)) == {OTLP_DELTA}


def test_a_gateway_converts_nothing_whatever_its_backend_wants(tmp_path):
    with at.otlp_http() as received:
        configs = ("base.yaml", "backends/datadog.yaml", "gateway/gateway.yaml", intake(tmp_path, received))
        with Collector(tmp_path, *configs, DD_API_KEY="key") as gateway:
            export_once(gateway)
            received.wait_for(1)

    assert temporalities(received.exports) == {OTLP_CUMULATIVE}


def test_an_agent_makes_a_connection_per_batch(tmp_path):
    peers = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            peers.append(self.client_address)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        gateway = f"http://127.0.0.1:{server.server_address[1]}"
        with Collector(tmp_path, "base.yaml", "gateway/agent.yaml", GATEWAY_ENDPOINT=gateway) as agent:
            for _ in range(2):
                export_once(agent)
                empty(agent)
        server.shutdown()

    assert len(peers) >= 2
    assert len(peers) == len(set(peers))
