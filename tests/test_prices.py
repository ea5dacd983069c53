"""List prices: the team's own first, then genai-prices, and nothing where none is known."""

import sys
from importlib.util import find_spec

import pytest

from agent_otel import catalog
from agent_otel.prices import Prices

OWN = {"acme": {"small": {"input": 2, "output": 8}}}


def test_a_price_is_for_one_token_and_reasoning_costs_what_output_costs():
    prices = Prices(OWN).of("acme", "small")

    assert {"input": 2e-6, "output": 8e-6, "reasoning": 8e-6} == prices


def test_the_team_s_own_price_wins_over_the_list():
    own = {"anthropic": {"claude-sonnet-4-5": {"input": 1}}}

    assert {"input": 1e-6} == Prices(own).of("anthropic", "claude-sonnet-4-5")


@pytest.mark.skipif(find_spec("genai_prices") is None, reason="pip install 'agent-otel[prices]'")
@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        (
            "anthropic",
            "claude-sonnet-4-5",
            {"input": 3, "cache_read": 0.3, "cache_write": 3.75, "output": 15},
        ),
        ("openai", "gpt-4.1", {"input": 2, "cache_read": 0.5, "output": 8}),
        ("gcp.gemini", "gemini-2.5-flash", {"input": 0.3, "output": 2.5}),
    ],
)
def test_a_listed_model_has_its_list_price_under_opentelemetry_s_provider_name(provider, model, usd):
    prices = Prices({}).of(provider, model)

    assert {kind: pytest.approx(price / 1e6) for kind, price in usd.items()}.items() <= prices.items()


@pytest.mark.parametrize(
    ("provider", "model"),
    [("acme", "large"), ("nobody", "small"), (None, "small"), ("acme", None), ("acme", catalog.OTHER)],
)
def test_an_unknown_model_has_no_price_at_all(provider, model):
    assert {} == Prices(OWN).of(provider, model)


def test_without_genai_prices_only_the_team_s_own_prices_are_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices = Prices(OWN)

    assert {} == prices.of("openai", "gpt-4.1")
    assert prices.of("acme", "small")


def test_a_list_that_breaks_gives_no_price_and_raises_nothing(monkeypatch):
    prices = Prices({})
    monkeypatch.setattr(prices, "_snapshot", object())

    assert {} == prices.of("openai", "gpt-4.1")
