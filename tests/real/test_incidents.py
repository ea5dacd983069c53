"""Each incident of the demo makes exactly its alert fire and then resolve, in a real Prometheus and Alertmanager."""

from __future__ import annotations

import pytest

from tests.real.incidents import CALM, outcome

ALERTS = {
    "bad-release": "AgentReleaseRegression",
    "tool-outage": "AgentToolErrorRateHigh",
    "token-spike": "AgentTokenSpike",
    "loop": "AgentToolSpam",
    "slow-model": "AgentRunLatencyAboveObjective",
}


@pytest.mark.parametrize(("incident", "alert"), ALERTS.items())
def test_an_incident_makes_exactly_its_alert_fire_once_and_then_resolve(incident, alert):
    found = outcome()

    assert [(told, status) for where, told, status in found.told if where == incident] == [
        (alert, "firing"),
        (alert, "resolved"),
    ]
    assert found.fired[incident] == {alert}  # nothing else, which an Alertmanager might have kept to itself


def test_without_an_incident_nothing_fires():
    found = outcome()

    assert found.fired[CALM] == set()
    assert {where for where, _, _ in found.told} == set(ALERTS)
