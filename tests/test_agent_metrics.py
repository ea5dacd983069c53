"""`AgentMetrics` as a whole: providers, strict mode, and what holds for whatever is thrown at it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import weakref
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_otel
from agent_otel import AgentMetrics, MeasurementError, Settings, catalog
from agent_otel._instruments import Instruments
from agent_otel.agent_metrics import default
from agent_otel.testing import Captured, capture_metrics

TOKENS = {"input": 100, "output": 20}


def a_bit_of_everything(metrics, agent="bot"):
    """One run with two steps, a tool, a model call and a verdict."""
    with metrics.run(agent) as run:
        for _ in run.steps(range(2)):
            pass
        with metrics.tool("search"):
            pass
        with metrics.inference("gpt-5", provider="openai") as call:
            call.tokens(**TOKENS)
        run.evaluation("solved", "yes")


# Providers


@pytest.mark.parametrize(
    "name", ["bind", "current_run", "evaluation", "fail", "inference", "run", "step", "steps", "stop", "tool"]
)
def test_the_modules_functions_are_the_methods_of_a_default_agent_metrics(name):
    assert getattr(default, name) == getattr(agent_otel, name)


def test_two_agent_metrics_with_two_providers_do_not_mix(observe):
    left, right = observe(), observe()
    with left.metrics.run("left") as outer, right.metrics.run("right") as inner:
        assert (outer, inner) == (left.metrics.current_run(), right.metrics.current_run())

        for _ in range(2):
            with left.metrics.tool("l"):
                pass
        with right.metrics.tool("r"):
            pass
        with left.metrics.run("left again"):
            pass

    assert {("left", "l"): 2} == left.totals(catalog.TOOL_DURATION, catalog.AGENT_NAME, catalog.TOOL_NAME)
    assert {("right", "r"): 1} == right.totals(catalog.TOOL_DURATION, catalog.AGENT_NAME, catalog.TOOL_NAME)
    assert {("left", None): 1, ("left again", "true"): 1} == left.totals(
        catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED
    )
    assert {("right", None): 1} == right.totals(catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED)


def unbound():
    """An `AgentMetrics` that finds no provider, whatever the process has."""
    metrics = AgentMetrics()
    metrics.recorder.find_provider = lambda: None
    return metrics


def test_before_a_provider_exists_nothing_is_kept_and_nothing_grows():
    metrics = unbound()
    for _ in range(100):
        a_bit_of_everything(metrics)
        metrics.evaluation("solved", "yes", agent="bot")
        metrics.stop("max_steps")
        metrics.step()

    assert 0 == len(metrics.recorder.events) == len(metrics.recorder.live)
    assert 0 == len(metrics.current_run().counted_steps)


def test_before_a_provider_exists_runs_are_not_kept_alive():
    metrics = unbound()
    runs = []

    class Witness:
        pass

    for _ in range(3):
        witness = Witness()
        runs.append(weakref.ref(witness))
        with metrics.run("bot", attributes={"app.witness": witness}):
            pass
        del witness

    assert [None] * 3 == [run() for run in runs]


def test_what_came_before_the_provider_is_not_recorded_and_what_comes_after_is(observe):
    metrics, reader = unbound(), InMemoryMetricReader()
    a_bit_of_everything(metrics)
    is_recording = metrics.bind_to(MeterProvider([reader], shutdown_on_exit=False))
    a_bit_of_everything(metrics)

    assert is_recording
    assert 1 == Captured(reader).value(catalog.RUNS)
    assert 1 == Captured(reader).value(catalog.TOOL_DURATION)


def test_a_second_provider_is_not_taken(observe, observed):
    reader = InMemoryMetricReader()
    observed.metrics.bind_to(MeterProvider([reader], shutdown_on_exit=False))
    a_bit_of_everything(observed.metrics)

    assert 1 == observed.totals(catalog.RUNS)
    assert 0 == Captured(reader).value(catalog.RUNS)


def test_on_a_provider_that_keeps_nothing_nothing_is_kept():
    metrics = AgentMetrics(NoOpMeterProvider(), settings=Settings())
    a_bit_of_everything(metrics)

    assert not metrics.recorder.is_bound
    assert 0 == len(metrics.recorder.events) == len(metrics.recorder.live)


def test_after_settling_nothing_is_kept(observed):
    a_bit_of_everything(observed.metrics)
    observed.metrics.drain()
    observed.metrics.settle()
    a_bit_of_everything(observed.metrics)

    assert 0 == len(observed.metrics.recorder.events) == len(observed.metrics.recorder.live)
    assert 1 == observed.totals(catalog.RUNS)


def test_the_release_is_the_runs_own_else_the_settings(observe):
    observed = observe(release="v7")
    with observed.metrics.run("bot"):
        pass
    with observed.metrics.run("bot", version="v8"):
        pass

    assert {"v7": 1, "v8": 1} == observed.totals(catalog.RUNS, catalog.AGENT_VERSION)


def test_a_run_starts_at_zero_for_every_outcome_so_that_the_first_failure_is_an_increase(metrics, captured):
    with metrics.run("bot"):
        at_start = captured.points(catalog.RUNS)

    assert {0} == {point.value for point in at_start.values()}
    assert {(reason, status) for reason, status in catalog.STOP_REASONS.items()} == {
        (dict(carried)[catalog.STOP_REASON.key], dict(carried)[catalog.RUN_STATUS.key])
        for carried in at_start
    }


def test_own_attributes_stand_on_every_metric_of_the_run_and_others_are_dropped(observe):
    observed = observe(attributes={"app.tier": 3})
    with observed.metrics.run("bot", attributes={"app.tier": "gold", "app.mood": "calm", "user_id": "u1"}):
        with observed.metrics.tool("search"):
            pass
        with observed.metrics.inference("gpt-5", provider="openai") as call:
            call.tokens(**TOKENS)

    for metric in (
        catalog.RUNS,
        catalog.RUN_STEPS,
        catalog.TOOL_DURATION,
        catalog.INFERENCE_DURATION,
        catalog.TOKENS,
    ):
        assert {"gold"} == {dict(carried).get("app.tier") for carried in observed.captured.points(metric)}
    assert {"undeclared": 1, "forbidden": 1} == observed.totals(
        catalog.DROPPED_ATTRIBUTES, catalog.DROP_REASON
    )


@pytest.mark.parametrize("attributes", [7, "app.tier", ["app.tier"], [("app.tier", "gold")], object()])
def test_attributes_that_are_no_mapping_are_dropped_and_counted(observe, attributes):
    observed = observe(attributes={"app.tier": 3})
    with observed.metrics.run("bot", attributes=attributes) as run, run.tool("search"):
        pass

    assert 1 == observed.totals(catalog.RUNS) == observed.totals(catalog.TOOL_DURATION)
    assert 1 == observed.totals(catalog.DROPPED_ATTRIBUTES)


# Wrong values: never an exception, always counted, logged once; strict mode raises

WRONG = {
    "stop": lambda run: run.stop("out of cheese"),
    "steps": lambda run: run.step(-1),
    "tokens": lambda run: tokens_of(run, input=-1, output=5),
    "a part larger than its whole": lambda run: tokens_of(run, input=1, output=5, cache_read=2),
    "a tool nobody declared": lambda run: enter(run.tool("made_up")),
    "a tool's name": lambda run: enter(run.tool(["search"])),
    "a model's name": lambda run: enter(run.inference(object(), provider="openai")),
    "a model like an id": lambda run: enter(run.inference("a" * 100, provider="openai")),
    "a verdict": lambda run: run.evaluation("solved", object()),
    "a second start": lambda run: run.start(),
}


def tokens_of(run, **counts):
    with run.inference("gpt-5", provider="openai") as call:
        call.tokens(**counts)


def enter(call):
    with call:
        pass


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_value_raises_nothing_and_is_logged_once(observe, caplog, wrong):
    observed = observe()
    with caplog.at_level(logging.WARNING, logger="agent_otel"):
        for _ in range(3):
            with observed.metrics.run("bot", tools=["search"]) as run:
                wrong(run)
        observed.metrics.drain()

    assert 3 == observed.totals(catalog.RUNS)
    assert 1 == sum("logged once" in message for message in caplog.messages)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_strict_mode_raises_on_a_wrong_value(observe, wrong):
    observed = observe(strict=True)
    run = observed.metrics.run("bot", tools=["search"]).start()

    def until_the_end():
        wrong(run)
        run.end()

    with pytest.raises(MeasurementError):
        until_the_end()


@pytest.mark.parametrize("arguments", [{"tools": 7}, {"attributes": {"user_id": "u1"}}, {"attributes": 7}])
def test_strict_mode_raises_on_a_wrong_argument_of_run(observe, arguments):
    observed = observe(strict=True)

    with pytest.raises(MeasurementError), observed.metrics.run("bot", **arguments):
        pass


def test_strict_mode_raises_nothing_where_nothing_is_wrong(observe):
    observed = observe(strict=True)
    a_bit_of_everything(observed.metrics)
    with (
        pytest.raises(ValueError, match="mine"),
        observed.metrics.run("bot"),
        observed.metrics.tool("search"),
    ):
        raise ValueError("mine")

    assert 2 == observed.totals(catalog.RUNS)


# Anything at all


class Evil:
    """Raises whatever is asked of it."""

    def _raise(self, *_args, **_kwargs):
        raise RuntimeError("evil")

    __eq__ = __ne__ = __lt__ = __hash__ = __bool__ = __str__ = __repr__ = __format__ = _raise
    __len__ = __iter__ = __getitem__ = __contains__ = __index__ = __int__ = __float__ = __add__ = __sub__ = (
        _raise
    )
    __getattr__ = _raise


class Impostor:
    """Raises when asked what it is."""

    @property
    def __class__(self):
        raise RuntimeError("evil")


class EvilText(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("evil")

    __repr__ = __eq__ = __ne__ = __hash__ = __len__ = __bool__ = __str__


class EvilError(Exception):
    def __getattribute__(self, name):
        raise RuntimeError("evil")


class EvilEnum(enum.Enum):
    A = "a"

    @enum.property if hasattr(enum, "property") else property
    def value(self):
        raise RuntimeError("evil")


class EvilIndex:
    def __index__(self):
        raise ZeroDivisionError


class EvilKeys(dict):
    def items(self):
        raise RuntimeError("evil")


WEIRD = {
    "None": None,
    "True": True,
    "minus one": -1,
    "huge": 10**400,
    "nan": float("nan"),
    "inf": float("inf"),
    "complex": 3j,
    "decimal": Decimal("NaN"),
    "fraction": Fraction(1, 3),
    "empty": "",
    "text": "some words",
    "long text": "x" * 100_000,
    "surrogate": "\ud800",
    "control": "a\x00\n",
    "bytes": b"\xff",
    "list": [1, [2]],
    "tuple": (1,),
    "dict": {"a": 1},
    "object": object(),
    "class": int,
    "enum": enum.Enum("Colour", "RED").RED,
    "array": np.array([1, 2]),
    "numpy scalar": np.float32(1.5),
    "numpy text": np.str_("text"),
    "exception": ValueError("mine"),
    "exception class": ValueError,
    "group of nothing": type("BaseExceptionGroup", (Exception,), {"exceptions": 7})(),
    "evil": Evil(),
    "impostor": Impostor(),
    "evil text": EvilText("evil"),
    "evil error": EvilError(),
    "evil enum": EvilEnum.A,
    "evil index": EvilIndex(),
    "evil keys": EvilKeys(a=1),
}
ARGUMENTS = (
    *("agent", "version", "tools", "attributes", "attribute"),
    *("step", "stop", "run.fail"),
    *("tool", "type", "tool.fail"),
    *("model", "provider", "operation", "usage", "input", "cache_read", "call.fail"),
    *("evaluation", "label", "of agent", "of version"),
)
EXACT = {
    catalog.RUNS.name: 1,
    catalog.RUN_DURATION.name: 1,
    catalog.RUN_STEPS.name: 1,
    catalog.RUN_TOOL_CALLS.name: 1,
    catalog.TOOL_DURATION.name: 1,
    catalog.EVALUATIONS.name: 2,
    catalog.ACTIVE_RUNS.name: 0,
}


def do_everything(metrics, **given):
    """Pass each argument that is given to where it belongs."""

    def value(name, usual):
        return given.get(name, usual)

    def say(method, name):
        if name in given:
            method(given[name])

    declared = value("attributes", {"app.tier": value("attribute", "gold")})
    run = metrics.run(
        value("agent", "bot"), version=value("version", "v7"), tools=value("tools", None), attributes=declared
    )
    with run:
        say(run.step, "step")
        say(run.stop, "stop")
        say(run.fail, "run.fail")
        tool_name = value("tool", "search")
        is_a_function = callable(tool_name) and type(tool_name) is type  # to be decorated: no wrong value
        with run.tool("search" if is_a_function else tool_name, type=value("type", "function")) as tool:
            say(tool.fail, "tool.fail")
        operation = value("operation", "chat")
        with run.inference(value("model", "m"), provider=value("provider", "p"), operation=operation) as call:
            say(call.usage, "usage")
            call.tokens(input=value("input", 10), output=5, cache_read=value("cache_read", 3))
            say(call.fail, "call.fail")
        run.evaluation(value("evaluation", "solved"), value("label", "yes"))
    metrics.evaluation("solved", "yes", agent=value("of agent", "bot"), version=value("of version", "v7"))


def counted(observed):
    numbers = observed.numbers()
    calls = numbers[catalog.INFERENCE_DURATION.name] + numbers[catalog.OPERATION_DURATION.name]
    return {name: numbers[name] for name in EXACT}, calls


@pytest.mark.parametrize("name", sorted(WEIRD))
def test_no_value_of_any_argument_makes_anything_raise_and_every_count_stays_exact(observe, name):
    for argument in ARGUMENTS:
        observed = observe(attributes={"app.tier": 3})
        do_everything(observed.metrics, **{argument: WEIRD[name]})

        assert (EXACT, 1) == counted(observed), argument
        assert 1 == observed.sums(catalog.RUN_TOOL_CALLS), argument


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(names=st.fixed_dictionaries({}, optional=dict.fromkeys(ARGUMENTS, st.sampled_from(sorted(WEIRD)))))
def test_no_combination_of_values_does_either(observe, names):
    observed = observe(attributes={"app.tier": 3})
    do_everything(observed.metrics, **{argument: WEIRD[name] for argument, name in names.items()})

    assert (EXACT, 1) == counted(observed)


@pytest.mark.parametrize("name", sorted(WEIRD))
def test_calls_outside_any_run_take_anything_too(observe, name):
    observed, value = observe(), WEIRD[name]
    metrics = observed.metrics
    metrics.step(value)
    metrics.stop(value)
    metrics.fail(value)
    metrics.evaluation(value, value)
    with metrics.inference(value, provider=value):
        pass

    assert 1 == observed.totals(catalog.INFERENCE_DURATION) == observed.totals(catalog.EVALUATIONS)


# Any tree of operations

ERRORS = (ValueError, TimeoutError, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)

counts = st.one_of(
    st.none(), st.fixed_dictionaries({"input": st.integers(0, 1000), "output": st.integers(0, 1000)})
)
ways = st.sampled_from(["end", "end", "end", "stop", "fail", "raise"])


def node(kind, **parts):
    return st.fixed_dictionaries(
        {
            "kind": st.just(kind),
            "name": st.sampled_from(["a", "b", "c"]),
            "way": ways,
            "error": st.sampled_from(ERRORS),
            "is_handled": st.booleans(),
            **parts,
        }
    )


def inner(children):
    return st.one_of(
        node("run", children=st.lists(children, max_size=4)),
        node("tool", children=st.lists(children, max_size=3)),
        node("model", children=st.just([]), tokens=counts),
        node("step", children=st.just([])),
    )


trees = st.recursive(node("tool", children=st.just([])), inner, max_leaves=15)


class Played:
    """What playing a tree of operations went into, to be compared with what was recorded."""

    def __init__(self, metrics):
        self.metrics = metrics
        self.runs = Counter()
        self.tools = Counter()
        self.models = Counter()
        self.steps = Counter()
        self.tokens = Counter()
        self.missing = 0
        self.strangers = 0

    def play(self, tree, agents=()):
        if tree["kind"] == "step":
            self.metrics.step()
            self.steps[agents[-1] if agents else None] += 1
            return
        error = tree["error"]("mine")
        try:
            with self.operation(tree, agents) as operation:
                if tree["kind"] == "run":
                    agents = (*agents, tree["name"])
                for child in tree["children"]:
                    self.play(child, agents)
                self.close(tree, operation, error)
        except BaseException as raised:
            raised.__traceback__ = None
            if not tree["is_handled"]:
                raise
            self.strangers += raised is not error and not tree["children"]

    def operation(self, tree, agents):
        agent, name = agents[-1] if agents else None, tree["name"]
        if tree["kind"] == "run":
            self.runs[name, "true" if agents else None] += 1
            return self.metrics.run(name)
        if tree["kind"] == "tool":
            self.tools[agent, name] += 1
            return self.metrics.tool(name)
        self.models[agent, name] += 1
        return self.metrics.inference(name, provider="p")

    def close(self, tree, operation, error):
        if tree["kind"] == "model" and tree["tokens"]:
            operation.tokens(**tree["tokens"])
            self.tokens.update(tree["tokens"])
        if tree["way"] == "stop" and tree["kind"] == "run":
            operation.stop("max_steps")
        if tree["way"] == "fail":
            operation.fail(error)
        is_left = tree["way"] == "raise"
        if tree["kind"] == "model" and not tree["tokens"]:
            self.missing += tree["way"] != "fail" and (not is_left or isinstance(error, GeneratorExit))
        if is_left:
            raise error


@settings(max_examples=200, deadline=None)
@given(forest=st.lists(trees, max_size=5))
def test_for_any_tree_of_operations_what_is_recorded_is_what_was_entered(observe, forest):
    observed = observe()
    played = Played(observed.metrics)
    for tree in forest:
        with contextlib.suppress(*ERRORS):
            played.play(tree)

    steps = Counter(agent for agent in played.steps.elements() if agent is not None)

    assert played.runs == observed.totals(catalog.RUNS, catalog.AGENT_NAME, catalog.RUN_NESTED)
    assert played.tools == observed.totals(catalog.TOOL_DURATION, catalog.AGENT_NAME, catalog.TOOL_NAME)
    assert played.models == observed.totals(catalog.INFERENCE_DURATION, catalog.AGENT_NAME, catalog.MODEL)
    assert +played.tokens == observed.totals(catalog.TOKENS, catalog.TOKEN_TYPE)
    assert 0 == played.strangers
    assert played.missing == observed.totals(catalog.USAGE_MISSING)
    assert sum(number for (agent, _), number in played.tools.items() if agent) == observed.sums(
        catalog.RUN_TOOL_CALLS
    )
    assert sum(number for (agent, _), number in played.models.items() if agent) == observed.sums(
        catalog.RUN_INFERENCE_CALLS
    )
    assert sum(steps.values()) <= observed.sums(catalog.RUN_STEPS)
    assert (
        sum(played.runs.values())
        == observed.totals(catalog.RUN_DURATION)
        == observed.totals(catalog.RUN_STEPS)
    )
    assert 0 == observed.totals(catalog.ACTIVE_RUNS)
    assert 0 == observed.totals(catalog.DROPPED_MEASUREMENTS)
    for metric in catalog.METRICS:
        declared = {attribute.key for attribute in metric.attributes}
        assert all({key for key, _ in carried} <= declared for carried in observed.captured.points(metric))


def test_a_run_that_began_before_there_was_a_provider_is_not_recorded(clock):
    metrics = AgentMetrics(clock=clock)
    metrics.recorder.find_provider = lambda: None
    run = metrics.run("bot").start()
    reader = InMemoryMetricReader()
    metrics.bind_to(MeterProvider([reader], shutdown_on_exit=False))
    with run.tool("search"):
        pass
    run.end()
    captured = Captured(reader)

    assert (0, 1) == (captured.value(catalog.RUNS), captured.value(catalog.TOOL_DURATION))


def test_a_run_ends_where_it_began_whatever_is_captured_meanwhile(clock):
    reader = InMemoryMetricReader()
    metrics = AgentMetrics(MeterProvider([reader], shutdown_on_exit=False), clock=clock)
    run = metrics.run("bot").start()
    with capture_metrics(metrics) as inner:
        run.end()
        elsewhere = inner.value(catalog.RUNS)
    captured = Captured(reader)

    assert (0, 1, 0) == (elsewhere, captured.value(catalog.RUNS), captured.value(catalog.ACTIVE_RUNS))


def test_a_call_outside_any_run_has_the_attributes_of_whoever_captures_it(clock):
    metrics = AgentMetrics(clock=clock)
    for team in ({}, {"attributes": {"app.tier": 3}}):
        with capture_metrics(metrics, **team) as captured, metrics.tool("search"):
            pass

        assert 1 == captured.value(catalog.TOOL_DURATION)


def test_several_agent_metrics_on_one_provider_are_all_collected(clock):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    first, second = AgentMetrics(provider), AgentMetrics(provider, clock=clock)
    for metrics, agent in ((first, "a"), (second, "b")):
        with metrics.run(agent):
            clock.advance(1)
    captured = Captured(reader)

    assert [1, 1] == [captured.value(catalog.RUNS, {catalog.AGENT_NAME.key: agent}) for agent in ("a", "b")]


def test_other_settings_on_a_provider_that_is_recorded_on_already_are_told(caplog):
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    AgentMetrics(provider, settings=Settings())
    AgentMetrics(provider, settings=Settings(cost=True))

    assert "the settings it was first bound with stand" in caplog.text


def test_what_the_sdk_refuses_is_counted_and_the_rest_is_recorded(observe, monkeypatch):
    observed = observe()
    record = Instruments.record

    def refuse(self, metric, attributes, values):
        if metric is catalog.TOOL_DURATION:
            raise RuntimeError("refused")
        record(self, metric, attributes, values)

    monkeypatch.setattr(Instruments, "record", refuse)
    with observed.metrics.run("bot"), observed.metrics.tool("search"):
        pass

    assert 1 == observed.totals(catalog.RUN_DURATION)
    assert 1 == observed.totals(catalog.DROPPED_MEASUREMENTS)


def test_a_fork_in_the_middle_of_a_fold_leaves_it_to_the_parent(observe):
    observed = observe()
    with observed.metrics.run("bot"):
        pass
    recorder = observed.metrics.recorder
    recorder._ledger._fold.event(recorder.events.popleft())
    recorder.forget()

    assert 0 == observed.totals(catalog.RUNS)
