"""PromQL as the demo evaluates it. That it says the same as a real Prometheus is for `tests/real/test_evaluator.py`."""

import math

import pytest

from agent_otel.demo.evaluator import Evaluator
from agent_otel.demo.promql import PromqlError, compiled, seconds
from agent_otel.demo.series import Store


def labels(**named):
    return frozenset(named.items())


@pytest.fixture
def store():
    """Two counters that grow by 1 and 3 a minute, one of which is reset after 5, and a gauge."""
    store = Store()
    for minute in range(11):
        at = minute * 60.0
        store.append("requests", labels(path="a", code="200"), at, float(minute))
        store.append(
            "requests", labels(path="a", code="500"), at, 3.0 * (minute if minute <= 5 else minute - 5)
        )
        store.append("weight", labels(path="a"), at, 0.5)
    return store


def asked(store, text, at=600.0):
    found = compiled(text, store).ask(at)
    return {tuple(sorted(dict(each).items())): value for each, value in found.items()}


def number(store, text, at=600.0):
    (value,) = asked(store, text, at).values()
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('requests{code="200"}', 10),
        ('requests{code!="500"} offset 1m', 9),
        ('requests{code=~"2.."} + 1', 11),
        ('requests{code!~"5.*"} - 1 * 2', 8),
        ('(requests{code="200"} - 1) * 2', 18),
        ('2 - requests{code="200"} / 4', -0.5),
        ('increase(requests{code="200"}[5m])', 5),
        ('increase(requests{code="500"}[5m])', 15),  # over the reset
        ('rate(requests{code="200"}[5m])', 1 / 60),
        ("sum by (path) (requests)", 25),
        ("sum (requests)", 25),
        ("max by (path) (requests)", 15),
        ("min by () (requests)", 10),
        ("count by (path) (requests)", 2),
        ("topk by (path) (1, requests)", 15),
        ('sum_over_time(requests{code="200"}[3m])', 27),
        ('max_over_time(requests{code="200"}[3m] offset 5m)', 5),
        ('last_over_time(requests{code="200"}[3m])', 10),
        ('count_over_time(requests{code="200"}[1d:2m])', 6),
        ('quantile_over_time(0.5, requests{code="200"}[4m])', 8.5),
        ('requests{code="500"} / on (path, code) requests', 1),
        ("sum by (path) (requests) * on (path) weight", 12.5),
        ('requests{code="200"} * on (path) group_left () weight', 5),
        ('requests{code="200"} and on (path) weight > 0.4', 10),
        ('requests{code="200"} unless on (path) weight > 0.6', 10),
        ('requests{code="200"} > 100 or requests{code="500"}', 15),
        ("requests > 14", 15),
        ("requests <= 10", 10),
        ('20 - requests{code="500"} >= 5', 5),
        ('round(requests{code="500"} / 7, 0.1)', 2.1),
        ('round(requests{code="500"} / 7)', 2),
        ('sqrt(requests{code="500"} + 1)', 4),
        ('clamp_min(requests{code="500"}, 20)', 20),
        ('requests{code="200"} / 0', math.inf),
        ('{__name__=~"wei.+"}', 0.5),
        ('# why\nrequests{code="200"} # and so', 10),
    ],
)
def test_an_expression_is_what_promql_says(store, text, expected):
    assert number(store, text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["round(0 * weight / 0)", "sqrt(weight - 1)", "0 * weight / (weight - weight)"]
)
def test_what_has_no_value_is_nan(store, text):
    assert math.isnan(number(store, text))


@pytest.mark.parametrize(
    "text",
    [
        "requests > 100",
        "weight * on (path, code) requests",
        "weight and on (code) requests",
        "weight unless on (path) requests",
        "increase(weight[30s])",
        "sum_over_time(weight[10s] offset 30s)",
        "nothing",
    ],
)
def test_what_matches_nothing_is_empty(store, text):
    assert asked(store, text) == {}


def test_numbers_are_calculated_and_compared():
    assert compiled("1 + 2 * 3", Store()).ask(0) == 7


def test_a_sample_stands_for_five_minutes(store):
    assert number(store, "weight", at=899.0) == 0.5
    assert asked(store, "weight", at=900.0) == {}


def test_a_series_that_ended_is_not_shown_until_it_begins_again(store):
    store.append("weight", labels(path="a"), 660.0, None)

    assert asked(store, "weight", at=660.0) == {}
    assert number(store, "sum_over_time(weight[3m])", at=660.0) == 1.0


def test_a_counter_is_not_extended_below_zero():
    store = Store()
    for minute in range(3):
        store.append("young", labels(), 300.0 + minute * 60.0, float(minute))

    assert number(store, "increase(young[10m])", at=450.0) == pytest.approx(2.5)


def test_a_window_that_is_half_empty_is_extended_by_half_a_step(store):
    assert number(store, 'increase(requests{code="200"}[10m])', at=900.0) == pytest.approx(4 * 330 / 240)


def test_labels_are_written_replaced_and_joined(store):
    assert asked(store, 'count_values by (path) ("value", weight)') == {(("path", "a"), ("value", "0.5")): 1}
    assert asked(store, 'count_values by () ("value", 2 * weight)') == {(("value", "1"),): 1}
    assert asked(store, 'label_replace(weight, "to", "<$1>", "path", "(.*)")') == {
        (("path", "a"), ("to", "<a>")): 0.5
    }
    assert asked(store, 'label_replace(weight, "to", "x", "path", "b")') == {(("path", "a"),): 0.5}
    assert asked(store, 'label_replace(weight, "path", "", "", "")') == {(): 0.5}
    assert asked(store, 'label_join(weight, "to", "-", "path", "path")') == {
        (("path", "a"), ("to", "a-a")): 0.5
    }
    assert asked(store, "sum by (code) (requests) * on () group_left (path) weight") == {
        (("code", "200"), ("path", "a")): 5,
        (("code", "500"), ("path", "a")): 7.5,
    }


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, (10, 0, 0, 0), 0.5),  # the first bucket begins at 0
        (0.5, (0, 10, 0, 0), 1.5),
        (0.95, (0, 10, 10, 0), 3.8),
        (0.5, (0, 10, 10, 0), 2.0),
        (0.25, (5, 0, 15, 0), 1.0),  # exactly at a bound
        (0.5, (0, 0, 0, 3), 4.0),  # beyond the highest bound nothing is known but that
        (1.0, (1, 1, 1, 1), 4.0),
        (0.5, (0, 0, 0, 0), math.nan),
    ],
)
def test_quantiles_of_a_histogram_interpolate_in_their_bucket(q, counts, expected):
    store = Store()
    for place, bound in enumerate(("1", "2", "4", "inf")):
        store.append("seconds_bucket", labels(le=bound), 0.0, float(sum(counts[: place + 1])))

    found = number(store, f"histogram_quantile({q}, sum by (le) (seconds_bucket))", at=0.0)

    assert found == pytest.approx(expected, nan_ok=True)


def test_the_lowest_bucket_of_a_histogram_of_counts_is_zero_itself():
    store = Store()
    for bound in ("0", "inf"):
        store.append("calls_bucket", labels(le=bound), 0.0, 10.0)

    assert number(store, "histogram_quantile(0.5, calls_bucket)", at=0.0) == 0


@pytest.mark.parametrize(
    "text",
    [
        "requests[5",
        "requests[5:1m]",
        "sum by (a) requests",
        "a b",
        "avg(requests) 5",
        "a ^ 2",
        ")",
        "1 offset 5",
        "a offset b",
    ],
)
def test_what_is_no_promql_or_none_that_is_known_here_is_an_error(store, text):
    with pytest.raises(PromqlError):
        compiled(text, store)


def test_a_duration_has_one_unit():
    assert [seconds(text) for text in ("90s", "15m", "6h", "7d", "1w")] == [90, 900, 21600, 604800, 604800]
    with pytest.raises(PromqlError, match="'soon' is no duration"):
        seconds("soon")


def test_an_expression_tells_what_it_reads_and_what_of_it_back_in_time(store):
    found = compiled("a + b[5m] + c offset 1h", store)

    assert (found.reads, found.back) == ({"a", "b", "c"}, {"b", "c"})


def test_without_data_there_is_no_row_and_no_alert():
    evaluator = Evaluator()
    evaluator.observe(60.0, None)
    evaluator.assume(60.0, 3600.0)
    evaluator.evaluate(120.0)

    assert (evaluator.rows(120.0), evaluator.firing()) == ([], [])
