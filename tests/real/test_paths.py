"""The recorded runs by each path: what the server at its end tells is the same everywhere, and so are its answers."""

import math
from bisect import bisect_left

import pytest

from agent_otel import catalog
from tests.read_back import selected
from tests.real.paths import HALVES, PATHS, VERSION
from tests.real.questions import QUANTILES, QUESTIONS, everything
from tests.recorded_contract import AGENT, OF_ONE_RUN, RELEASE, Buckets, Totals, quantile, recorded

WITH_BOUNDS = [name for name, path in PATHS.items() if path.histograms in {"classic", "custom"}]
WITHOUT_BOUNDS = [name for name in PATHS if name not in WITH_BOUNDS]
# Where several processes chose several scales, their ranges overlap: VictoriaMetrics adds those up to nonsense.
WITH_QUANTILES = [name for name, path in PATHS.items() if path.histograms != "vmrange"]


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture
def told(known, tmp_path):
    """What the server at the end of a path told; each path is gone once, and fails or is skipped once for all."""

    def of(name):
        if name not in known:
            try:
                with PATHS[name].start(tmp_path) as server:
                    known[name] = everything(PATHS[name], server)
            except BaseException as problem:
                known[name] = problem
                raise
        if isinstance(known[name], BaseException):
            raise known[name].with_traceback(None)
        return known[name]

    return of


class TestPathsWithBounds(Buckets):
    @pytest.fixture(params=WITH_BOUNDS)
    def points(self, request, told):
        return told(request.param).points


class TestPathsWithoutBounds(Totals):
    @pytest.fixture(params=WITHOUT_BOUNDS)
    def points(self, request, told):
        return told(request.param).points


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("path", PATHS)
def test_a_question_in_promql_is_answered_with_the_truth(told, path, question):
    cents = {"abs": 0.005} if question == "cost" else {}

    assert pytest.approx(QUESTIONS[question].truth, **cents) == told(path).answers[question]


@pytest.mark.parametrize("metric", OF_ONE_RUN, ids=lambda metric: metric.name)
@pytest.mark.parametrize("path", WITH_QUANTILES)
def test_a_quantile_is_at_most_one_bucket_off(told, path, metric):
    truth = recorded(metric, AGENT)
    bucket = _numbered(metric, told(path).edges[metric] if PATHS[path].histograms == "native" else None)
    one = 1.001  # since logarithms are rounded

    for q in QUANTILES:
        answer = told(path).answers[metric, q]
        off = {
            agent: (*quantile(q, values), answer[agent])
            for agent, values in truth.items()
            for least, greatest in [map(bucket, quantile(q, values))]
            if not least - one <= bucket(answer[agent]) <= greatest + one
        }

        assert truth.keys() == answer.keys()
        assert {} == off


def _numbered(metric, edges):
    """A function from a value to the number of its bucket; with a fraction where the server chose the bounds."""
    if edges is None:
        return lambda value: bisect_left(metric.bounds, value)
    edges = [(low, high) for low, high in edges if low > 0]
    widest = max(high / low for low, high in edges)
    zero = min(low for low, _ in edges) / widest
    return lambda value: math.log(max(value, zero), widest)


@pytest.mark.parametrize("path", PATHS)
def test_every_series_says_which_process_it_is_of(told, path):
    _, labels, names, *_ = PATHS[path]
    expected = set(map(names.key, labels.split()))
    process = "instance" if "instance" in expected else names.key("service.instance.id")
    catalogued = {*names.attributes, "__name__", "le", "vmrange"}
    series = [found["metric"] for found in told(path).series]

    assert {frozenset(expected)} == {frozenset(found.keys() - catalogued) for found in series}
    assert len(HALVES) == len({found[process] for found in series})


@pytest.mark.parametrize("path", PATHS)
def test_the_resource_is_on_each_series_or_in_target_info(told, path):
    _, labels, names, *_ = PATHS[path]
    key = "service.version"
    series = [found["metric"] for found in told(path).series]
    found = series if key in labels.split() else told(path).resources

    assert {VERSION} == {labels.get(names.key(key)) for labels in found}


@pytest.mark.parametrize("path", PATHS)
def test_what_never_happened_is_0_unless_the_program_sends_deltas(told, path):
    points = told(path).points
    runs = selected(points, catalog.RUNS, AGENT, RELEASE, catalog.RUN_STATUS, catalog.STOP_REASON)
    dropped = selected(points, catalog.DROPPED_ATTRIBUTES, catalog.DROP_REASON)

    assert PATHS[path].has_zeros == any(point.value == 0 for point in runs.values())
    assert PATHS[path].has_zeros == ({(reason,) for reason in catalog.DROP_REASONS} == set(dropped))


@pytest.mark.parametrize("path", PATHS)
def test_increase_leaves_out_what_a_series_began_with(told, path):
    assert not told(path).increase  # all runs of an agent had ended before the first export that has it
