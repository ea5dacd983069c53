"""The demo's evaluator against a real Prometheus with our rules, on the same samples at the same moments.

Both extend an increase to the edges of its window in the same way, so that the values agree to the last digits but two:
sums are added up in another order. The alerts are another group of Prometheus, evaluated within the minute before or
after: only there may a status differ.
"""

from __future__ import annotations

import math

import pytest

from tests.real.incidents import CALM, COMPARED, ENVIRONMENTS, outcome


def agree(ours, theirs):
    return theirs is not None and (
        math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(ours) and math.isnan(theirs))
    )


def test_most_of_the_minutes_can_be_compared():
    assert len(outcome().table) >= 0.7 * len(COMPARED) * len(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_recorded_series_has_the_value_that_prometheus_records(environment):
    found, compared = outcome(), 0
    for key in (key for key in found.recorded if key[0] == environment):
        ours, theirs = found.evaluated[key], found.recorded[key]
        names = {name for name, _ in ours}

        assert {series for series in theirs if series[0] in names} <= set(ours), key
        assert {
            series: (value, theirs.get(series))
            for series, value in ours.items()
            if not agree(value, theirs.get(series))
        } == {}, key
        compared += len(ours)

    assert compared > 1000


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_table_has_the_same_current_values_and_trends(environment):
    found = outcome()
    for key in (key for key in found.table if key[0] == environment):
        ours = {row: words[:2] for row, words in found.rows[key].items()}
        theirs = {row: words[:2] for row, words in found.table[key].items()}

        assert ours == theirs, key
        assert len(ours) == 16


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_table_has_the_same_statuses_within_a_minute(environment):
    found, told = outcome(), set()
    for _, minute in (key for key in found.table if key[0] == environment):
        for row, (_, _, status) in found.table[environment, minute].items():
            near = {
                found.rows[environment, each][row][2]
                for each in (minute - 1, minute, minute + 1)
                if (environment, each) in found.rows
            }
            told.add(status)

            assert status in near, (minute, row)

    assert (told == {"ok"}) == (environment == CALM)
