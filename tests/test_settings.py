"""The `AGENT_OTEL_*` variables: what each accepts, what it says when it can't, and who wins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent_otel import ConfigurationError, Settings, catalog, settings

TABLE = {"openai": {"gpt-5": {"input": 1.25, "output": 10}}}


def test_without_anything_set_every_setting_has_its_default():
    assert settings.read({}) == (Settings(), [])


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("RELEASE", " 1.2 ", {"release": "1.2"}),
        ("RELEASE", "  ", {}),
        ("AGENTS", "bot, planner,,bot", {"agents": ("bot", "planner")}),
        ("SEMCONV", "v1.37", {"semconv": "v1.37"}),
        ("ATTRIBUTES", "app.tier:5, app.region:12", {"attributes": {"app.tier": 5, "app.region": 12}}),
        (
            "LIMITS",
            "gen_ai.tool.name:200,agent_otel.runs:2000",
            {"limits": {"gen_ai.tool.name": 200, "agent_otel.runs": 2000}},
        ),
        ("STOP_REASONS", "needs_review:incomplete", {"stop_reasons": {"needs_review": "incomplete"}}),
        *[("COST", word, {"cost": True}) for word in ("1", "true", "Yes", "on")],
        *[("STRICT", word, {"strict": False}) for word in ("0", "False", "no", "OFF")],
    ],
)
def test_a_variable_is_read_as_what_it_says(variable, text, expected):
    assert settings.read({f"AGENT_OTEL_{variable}": text}) == (Settings(**expected), [])


@pytest.mark.parametrize(
    ("variable", "text", "mistake"),
    [
        ("SEMCONV", "v2", "use one of v0.1, v1.37, none"),
        ("AGENTS", "bot, ,planner", "give a text that is not empty"),
        ("ATTRIBUTES", "app.tier", "write key:budget, such as app.tier:5, separated by commas"),
        ("ATTRIBUTES", "app.tier:many", "app.tier:many needs a whole number above 0"),
        ("ATTRIBUTES", "app.tier:0", "app.tier:0 needs a whole number above 0"),
        (
            "ATTRIBUTES",
            "App Tier:5",
            "App Tier is not a key: use lower-case words joined by dots and underscores",
        ),
        (
            "ATTRIBUTES",
            "gen_ai.tool.name:5",
            "gen_ai.tool.name is agent_otel's own: choose another key, or set its budget with AGENT_OTEL_LIMITS",
        ),
        (
            "LIMITS",
            "app.tier:5",
            "app.tier has no limit: use a metric or an open attribute of docs/metrics.md",
        ),
        (
            "STOP_REASONS",
            "needs_review:waiting",
            "needs_review:waiting has no such status: use one of ok, error, incomplete, cancelled",
        ),
        ("STOP_REASONS", "max_steps:ok", "max_steps is incomplete already: choose another word"),
        (
            "STOP_REASONS",
            "Needs review:incomplete",
            "Needs review is not a word: use lower-case letters, digits and underscores",
        ),
        ("COST", "maybe", "use 1 or 0"),
        ("PRICES", "no-such-file.json", "cannot read the file: No such file or directory"),
    ],
)
def test_a_wrong_value_keeps_the_default_and_is_told_with_what_is_allowed(variable, text, mistake):
    found, mistakes = settings.read({f"AGENT_OTEL_{variable}": text})

    assert mistakes == [f"AGENT_OTEL_{variable}={text.strip()!r}: {mistake}"]
    assert found == Settings()


def test_every_mistake_is_told_and_arguments_win_over_variables():
    environ = {"AGENT_OTEL_SEMCONV": "v2", "AGENT_OTEL_COST": "maybe", "AGENT_OTEL_RELEASE": "1"}
    found, mistakes = settings.read(environ, {"semconv": "none", "release": "2", "agents": 7, "strict": None})

    assert (found.semconv, found.release, found.strict) == ("none", "2", False)
    assert [mistake.partition("=")[0] for mistake in mistakes] == ["agents", "AGENT_OTEL_COST"]


def test_a_switch_may_be_given_as_what_it_is():
    assert settings.read({}, {"cost": True, "strict": False}) == (Settings(cost=True), [])


def test_a_long_value_is_cut_in_the_message():
    _, (mistake,) = settings.read({}, {"cost": "x" * 200})

    assert mistake == f"cost='{'x' * 79}...: use 1 or 0"


def test_checked_settings_are_all_right_or_an_error():
    assert settings.checked({"AGENT_OTEL_COST": "1"}).cost is True
    with pytest.raises(ConfigurationError) as caught:
        settings.checked({"AGENT_OTEL_COST": "maybe"})
    assert str(caught.value) == "1 setting is wrong:\n  - AGENT_OTEL_COST='maybe': use 1 or 0"


def test_prices_are_read_from_a_file_or_given_as_a_table(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(TABLE))
    from_file, _ = settings.read({"AGENT_OTEL_PRICES": str(path)})
    from_path, _ = settings.read({}, {"prices": path})
    given, _ = settings.read({}, {"prices": TABLE})

    assert from_file.prices == from_path.prices == given.prices == TABLE


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ("nonsense", "not JSON"),
        ([], "write {"),
        ({"openai": 7}, "write {"),
        ({"openai": {"gpt-5": 7}}, "write {"),
        (
            {"openai": {"gpt-5": {"prompt": 1}}},
            "gpt-5: prompt is no token type: use input, cache_read, cache_write, output, reasoning",
        ),
        (
            {"openai": {"gpt-5": {"input": -1}}},
            "gpt-5: input: -1 is no price: give USD per million tokens, 0 or more",
        ),
        (
            {"openai": {"gpt-5": {"input": True}}},
            "gpt-5: input: True is no price: give USD per million tokens, 0 or more",
        ),
    ],
)
def test_a_wrong_price_table_says_where_it_is_wrong(tmp_path, table, mistake):
    path = tmp_path / "prices.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    found, (told,) = settings.read({"AGENT_OTEL_PRICES": str(path)})

    assert mistake in told
    assert found.prices == {}


def test_own_error_types_are_words():
    _, mistakes = settings.read({}, {"error_types": {"shop.Declined": "Payment Declined"}})
    found, _ = settings.read({}, {"error_types": {"shop.Declined": "payment_declined", "shop.Odd": "_OTHER"}})

    assert mistakes == [
        (
            "error_types={'shop.Declined': 'Payment Declined'}: shop.Declined:Payment Declined: use a lower-case word, such"
            f" as {catalog.ERROR_TYPES[0]}"
        )
    ]
    assert found.error_types == {"shop.Declined": "payment_declined", "shop.Odd": "_OTHER"}


@pytest.mark.parametrize(
    ("given", "version", "variable", "expected"),
    [
        (Settings(release="9"), "1", "service.version=2", "9"),
        (Settings(), "1", "service.version=2", "1"),
        (Settings(), None, "a=b, service.version = 2%2B1", "2+1"),
        (Settings(), None, "service.version=", None),
        (Settings(), None, "", None),
    ],
)
def test_the_release_is_the_settings_own_else_the_services_version(
    monkeypatch, given, version, variable, expected
):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", variable)

    assert settings.with_release(given, version) == replace(given, release=expected)


def test_a_tailored_metric_has_the_teams_attributes_cap_and_words():
    team = Settings(
        attributes={"app.tier": 5},
        limits={"agent_otel.runs": 7, "gen_ai.agent.name": 3},
        stop_reasons={"needs_review": "incomplete"},
        error_types={"shop.Declined": "payment_declined"},
    )
    runs = team.tailored(catalog.RUNS)
    price = team.tailored(catalog.TOKEN_PRICE)
    by_key = {attribute.key: attribute for attribute in runs.attributes}

    assert (runs.cap, by_key["app.tier"].budget, by_key["gen_ai.agent.name"].budget) == (7, 5, 3)
    assert by_key["agent_otel.run.stop_reason"].values[-1] == "needs_review"
    assert "payment_declined" in team.tailored_attribute(catalog.ERROR_TYPE).values
    assert [attribute.key for attribute in price.attributes] == [
        each.key for each in catalog.TOKEN_PRICE.attributes
    ]


def test_every_variable_of_the_list_is_read():
    wrong = dict.fromkeys(settings.VARIABLES, "?:?")
    _, mistakes = settings.read(wrong)

    free = {
        "AGENT_OTEL_RELEASE",
        "AGENT_OTEL_AGENTS",
        settings.BACKEND,
    }  # the last one is read by configure()
    assert {mistake.partition("=")[0] for mistake in mistakes} == set(settings.VARIABLES) - free
