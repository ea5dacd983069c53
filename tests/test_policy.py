"""What may become a label, and how many there are."""

import enum
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_otel import catalog
from agent_otel._policy import Policy, plain
from agent_otel.settings import Settings, forbidden

SHA = "3f2a9c1b7d4e5f60718293a4b5c6d7e8f9012345"


class Plan(str, enum.Enum):
    GOLD = "gold"


class Level(enum.Enum):
    HIGH = 3


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("bot", "bot"),
        (Plan.GOLD, "gold"),
        (Level.HIGH, "3"),
        (Name("bot"), "bot"),
        (np.str_("bot"), "bot"),
        (np.int64(7), "7"),
        (np.float64(1.5), "1.5"),
        (np.bool_(True), "true"),
        (True, "true"),
        (5, "5"),
        (None, None),
        ("", None),
        ("größe 大", "größe 大"),
    ],
)
def test_values_become_text_of_the_exact_type_str(value, label):
    policy = Policy(Settings())

    found = policy.label(catalog.AGENT_NAME, value)

    assert label == found
    assert type(found) in {str, type(None)}
    assert policy.dropped == {}


@pytest.mark.parametrize("value", [b"bot", [1], {"a": 1}, object(), 10**30, ("a",), {1}])
def test_values_of_other_types_are_dropped_and_counted(value):
    policy = Policy(Settings())

    assert policy.label(catalog.AGENT_NAME, value, 3) is None
    assert policy.dropped == {"type": 3}


@pytest.mark.parametrize("value", ["a\nb", "\ud800", "a\x00", "tab\there"])
def test_text_that_cannot_be_printed_or_encoded_becomes_other(value):
    policy = Policy(Settings())

    assert policy.label(catalog.AGENT_NAME, value) == catalog.OTHER
    assert policy.dropped == {"type": 1}


@pytest.mark.parametrize(
    "value",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "support-bot-550E8400-E29B-41D4-A716-446655440000",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "1234567890123456",
        "ada@example.com",
        "call_abc123DEF456ghi789jkl",
        "chatcmpl-9xYz12AbCdEf34GhIjKl",
        "a" * 65,
        "x" * 100_000,
    ],
)
def test_values_that_look_like_an_id_become_other(value):
    policy = Policy(Settings())

    assert policy.label(catalog.AGENT_NAME, value) == catalog.OTHER
    assert policy.dropped == {"id_like": 1}


@pytest.mark.parametrize(
    "value",
    [
        "support-bot",
        "gpt-5-2025-08-07",
        "claude-sonnet-4-5-20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "ft:gpt-4.1:acme::Bx7Kq2",
        "run_database_migrations",
        "call_customer_service_agent",
        "meta-llama/Llama-3.3-70B-Instruct",
        "a" * 64,
        "2026-03-21",
        "defaced",
    ],
)
def test_names_are_not_taken_for_ids(value):
    policy = Policy(Settings())

    assert policy.label(catalog.MODEL, value) == value


def test_a_release_that_is_a_full_commit_hash_is_shortened_and_kept():
    policy = Policy(Settings())

    assert policy.label(catalog.AGENT_VERSION, SHA) == SHA[:12]
    assert policy.dropped == {}


def test_an_attribute_keeps_as_many_values_as_its_budget():
    policy = Policy(Settings())
    labels = {policy.label(catalog.TOOL_NAME, f"tool {n}") for n in range(500)}

    assert len(labels) == catalog.TOOL_NAME.budget + 1
    assert policy.dropped == {"budget": 500 - catalog.TOOL_NAME.budget}


def test_a_value_that_has_its_place_keeps_it_after_the_budget_is_spent():
    policy = Policy(Settings(limits={catalog.TOOL_NAME.key: 2}))
    labels = [policy.label(catalog.TOOL_NAME, name) for name in ("a", "b", "c", "a")]

    assert labels == ["a", "b", catalog.OTHER, "a"]


def test_a_declared_agent_has_its_place_whatever_came_before_it():
    policy = Policy(Settings(agents=("bot",), limits={catalog.AGENT_NAME.key: 2}))
    labels = [policy.label(catalog.AGENT_NAME, name) for name in ("x", "y", "z", "bot")]

    assert labels == ["x", catalog.OTHER, catalog.OTHER, "bot"]


def test_beyond_the_cap_open_attributes_fold_and_vocabularies_stay():
    policy = Policy(Settings(limits={catalog.TOOL_DURATION.name: 1}))
    policy.attributes(catalog.TOOL_DURATION, ("bot", "1", "search", "function", None))

    folded = policy.attributes(catalog.TOOL_DURATION, ("bot", "1", "fetch", "function", "timeout"), 5)

    assert folded == {
        "gen_ai.agent.name": "_OTHER",
        "gen_ai.agent.version": "_OTHER",
        "gen_ai.tool.name": "_OTHER",
        "gen_ai.tool.type": "_OTHER",
        "error.type": "timeout",
    }
    assert policy.dropped == {"cap": 20}


def test_a_set_below_the_cap_keeps_its_place():
    policy = Policy(Settings(limits={catalog.RUN_STEPS.name: 1}))
    first = policy.attributes(catalog.RUN_STEPS, ("bot", None))
    policy.attributes(catalog.RUN_STEPS, ("other bot", None))

    assert policy.attributes(catalog.RUN_STEPS, ("bot", None)) is first


@pytest.mark.parametrize(
    "key",
    ["user_id", "user.id", "USER-ID", "gen_ai.conversation.id", "app.user_id", "customer.email", "prompt"],
)
def test_forbidden_keys_are_recognised_in_any_spelling_and_namespace(key):
    assert forbidden(key)


@pytest.mark.parametrize("key", ["app.tier", "app.region", "deployment.ring", "app.language"])
def test_ordinary_keys_are_not_forbidden(key):
    assert not forbidden(key)


def test_own_attributes_carry_what_was_declared_and_drop_the_rest():
    policy = Policy(Settings(attributes={"app.tier": 2, "user_id": 2}))
    given_pairs = (("app.tier", "gold"), ("user_id", "u1"), ("app.other", "x"), (5, "y"))

    assert policy.own_labels(given_pairs) == ("gold", None)
    assert policy.dropped == {"forbidden": 1, "undeclared": 1, "type": 1}


def test_what_was_dropped_is_logged_once_and_never_with_the_value(caplog):
    policy = Policy(Settings())
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            policy.label(catalog.AGENT_NAME, f"ada{n}@example.com")

    assert len(caplog.records) == 1
    assert "gen_ai.agent.name: id_like" in caplog.text
    assert "ada" not in caplog.text


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers(), max_size=2),
)


@given(st.lists(SCALARS, max_size=200))
def test_no_input_of_any_kind_makes_more_labels_than_the_budget(values):
    policy = Policy(Settings(limits={catalog.AGENT_NAME.key: 5}))
    labels = {policy.label(catalog.AGENT_NAME, value) for value in values} - {None}

    assert len(labels) <= 6
    assert all(type(label) is str and len(label) <= 64 for label in labels)


@given(SCALARS)
def test_plain_gives_exact_text_or_nothing_and_never_raises(value):
    assert type(plain(value)) in {str, type(None)}
