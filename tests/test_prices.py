"""List prices: the team's own first, then genai-prices, and nothing where none is known; and `agent-otel prices`.

Needs no network, and a test holds it to that.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import subprocess
import sys
from datetime import date, time, timezone
from decimal import Decimal
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from agent_otel import Settings, catalog, settings
from agent_otel.prices import Prices, complete, genai
from tests.optional import need

OWN = {"acme": {"small": {"input": 2, "output": 8}}}
PRICED_BY = (catalog.PROVIDER, catalog.MODEL, catalog.TOKEN_TYPE)


# The program's side


def test_a_price_is_for_one_token_and_reasoning_costs_what_output_costs():
    prices = Prices(OWN).of("acme", "small")

    assert {"input": 2e-6, "output": 8e-6, "reasoning": 8e-6} == prices


def test_reasoning_may_have_a_price_of_its_own():
    assert {"output": 8, "reasoning": 3} == complete({"reasoning": 3, "output": 8})


def test_the_team_s_own_price_wins_over_the_list_and_is_never_mixed_with_it():
    own = {"anthropic": {"claude-sonnet-4-5": {"input": 1}}}

    assert {"input": 1e-6} == Prices(own).of("anthropic", "claude-sonnet-4-5")


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
        # a dated name, in both spellings
        ("openai", "gpt-4.1-2025-04-14", {"input": 2, "cache_read": 0.5, "output": 8}),
        ("anthropic", "claude-sonnet-4-5-20250929", {"input": 3, "output": 15}),
        # somebody else's model, with a region before its name
        ("aws.bedrock", "eu.anthropic.claude-3-5-sonnet-20241022-v2:0", {"input": 3, "output": 15}),
        ("azure.ai.openai", "gpt-4.1", {"input": 2, "output": 8}),
    ],
)
def test_a_listed_model_has_its_list_price_under_opentelemetry_s_provider_name(provider, model, usd):
    need("genai_prices", "pip install 'agent-otel[prices]'")
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


def test_a_list_that_breaks_gives_no_price_and_raises_nothing():
    assert genai.PriceList(object()).find("openai", "gpt-4.1") is None


class Counting:
    """A list that counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def find(self, provider, model):
        self.asked.append((provider, model))


def test_a_model_is_looked_up_once_whether_it_has_a_price_or_not(monkeypatch):
    counting = Counting()
    monkeypatch.setattr(genai, "load", lambda: counting)
    prices = Prices(OWN)
    for _ in range(3):
        prices.of("acme", "small")
        prices.cost("acme", "large", {"input": 1})

    assert counting.asked == [("acme", "large")]


# Only what tries to reach another machine: a library may well make a socket to see what the machine can do.
GUARD = """
import os, sys
def guard(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        os._exit(9)
sys.addaudithook(guard)
"""
LOOK_UP = "from agent_otel.prices import Prices; print(len(Prices({}).of('openai', 'gpt-4.1')))"
LIST = "from agent_otel.cli import main; sys.argv[1:] = ['prices', 'list', 'gpt-4.1']; main()"


@pytest.mark.parametrize(
    ("code", "ended"),
    [(LOOK_UP, 0), (LIST, 0), ("import socket; socket.create_connection(('127.0.0.1', 9))", 9)],
    ids=["program", "command", "the guard"],
)
def test_no_price_is_looked_up_over_the_network(code, ended):
    need("genai_prices", "pip install 'agent-otel[prices]'")
    done = subprocess.run([sys.executable, "-c", GUARD + code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (ended, "")


# What others got wrong: the provider's own body, the prices, and the bill worked out by hand


class Bill(NamedTuple):
    body: dict
    usd: dict
    total: float
    provider: str = "openai"


SONNET = {"input": 3, "cache_read": 0.3, "cache_write": 3.75, "output": 15}
GROK = {"input": 3, "cache_read": 0.75, "output": 15}
OPUS_EU = {"input": 5.5, "cache_read": 0.55, "cache_write": 6.875, "output": 27.5}

BILLS = {
    # BerriAI/litellm#6215: all of the prompt at full price, and the cached part once more.
    # 86 x 2.5 + 1920 x 1.25 + 300 x 10 = 215 + 2400 + 3000
    "openai: cached tokens are part of the prompt": Bill(
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        {"input": 2.5, "cache_read": 1.25, "output": 10},
        5615,
    ),
    # langfuse/langfuse#4590, LangChain's usage_metadata: no price for cached tokens at all.
    # 2370 x 2.5 + 60024 x 1.25 + 214 x 10 = 5925 + 75030 + 2140
    "langchain: cached tokens at their price": Bill(
        {
            "input_tokens": 62394,
            "total_tokens": 62608,
            "output_tokens": 214,
            "input_token_details": {"audio": 0, "cache_read": 60024},
            "output_token_details": {"audio": 0, "reasoning": 0},
        },
        {"input": 2.5, "cache_read": 1.25, "output": 10},
        83095,
    ),
    # langfuse/codex-observability-plugin#22: input 117231 and cache_read 115584 were added up.
    # 1647 x 1.25 + 115584 x 0.125 + 225 x 10 = 2058.75 + 14448 + 2250
    "openai responses: cached input isn't counted twice": Bill(
        {
            "input_tokens": 117231,
            "input_tokens_details": {"cached_tokens": 115584},
            "output_tokens": 225,
            "total_tokens": 117456,
        },
        {"input": 1.25, "cache_read": 0.125, "output": 10},
        18756.75,
    ),
    # pydantic/logfire#1316: cached input left out; the reporter's own sum is 0.000584.
    # 538 x 0.25 + 2208 x 0.025 + 197 x 2 = 134.5 + 55.2 + 394; 64 of the 197 are reasoning
    "openai responses: reasoning is part of the output": Bill(
        {
            "input_tokens": 2746,
            "input_tokens_details": {"cached_tokens": 2208},
            "output_tokens": 197,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 2943,
        },
        {"input": 0.25, "cache_read": 0.025, "output": 2},
        583.7,
    ),
    # decolua/9router#2762: reasoning billed on top of the output that contains it. Since GPT-5.6 OpenAI bills cache
    # writes at 1.25 x input (genai-prices, gpt-5.6-sol).
    # 100 x 4 + 1000 x 0.4 + 100 x 5 + 350 x 20 = 400 + 400 + 500 + 7000; 256 of the 350 are reasoning
    "openai responses: cache writes, and reasoning once": Bill(
        {
            "input_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100},
            "output_tokens": 350,
            "output_tokens_details": {"reasoning_tokens": 256},
            "total_tokens": 1550,
        },
        {"input": 4, "cache_read": 0.4, "cache_write": 5, "output": 20},
        8300,
    ),
    # BerriAI/litellm#9812: cache writes billed as input, and again as writes: 0.091311. The vendor's console: 0.05439.
    # 3 x 3 + 12304 x 3.75 + 550 x 15 = 9 + 46140 + 8250
    "anthropic: cache writes stand beside the input": Bill(
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 12304,
            "cache_read_input_tokens": 0,
            "output_tokens": 550,
        },
        SONNET,
        54399,
        "anthropic",
    ),
    # openlit/openlit#1378: LiteLLM's prompt_tokens contain both cache counts; all were billed as input.
    # 200 x 3 + 5000 x 0.3 + 1000 x 3.75 + 300 x 15 = 600 + 1500 + 3750 + 4500
    "litellm: anthropic's cache in the prompt": Bill(
        {
            "prompt_tokens": 6200,
            "completion_tokens": 300,
            "total_tokens": 6500,
            "prompt_tokens_details": {"cached_tokens": 5000},
            "cache_read_input_tokens": 5000,
            "cache_creation_input_tokens": 1000,
        },
        SONNET,
        10350,
        "anthropic",
    ),
    # BerriAI/litellm#11364, eu.anthropic.claude-opus-4-5: told 0.047080.
    # 10 x 5.5 + 66360 x 0.55 + 32435 x 6.875 + 5120 x 27.5 = 55 + 36498 + 222990.625 + 140800
    "litellm: bedrock's cache writes and reasoning": Bill(
        {
            "total_tokens": 103925,
            "prompt_tokens": 98805,
            "completion_tokens": 5120,
            "prompt_tokens_details": {"cached_tokens": 66360, "cache_creation_tokens": 32435},
            "cache_read_input_tokens": 66360,
            "cache_creation_input_tokens": 32435,
            "completion_tokens_details": {"reasoning_tokens": 1710},
        },
        OPUS_EU,
        400343.625,
        "aws.bedrock",
    ),
    # The same call as Bedrock's Converse tells it (Amazon Bedrock User Guide, "Prompt caching"): the cache apart.
    "bedrock converse: the cache stands beside the input": Bill(
        {
            "inputTokens": 10,
            "outputTokens": 5120,
            "totalTokens": 103925,
            "cacheReadInputTokens": 66360,
            "cacheWriteInputTokens": 32435,
        },
        OPUS_EU,
        400343.625,
        "aws.bedrock",
    ),
    # langfuse/langfuse#12306: Pydantic AI's input contains the cache, and it was added once more.
    # 5 x 3 + 128955 x 0.3 + 1253 x 3.75 + 100 x 15 = 15 + 38686.5 + 4698.75 + 1500; the output is ours
    "pydantic ai: an inclusive input": Bill(
        {
            "input_tokens": 130213,
            "cache_read_tokens": 128955,
            "cache_write_tokens": 1253,
            "output_tokens": 100,
        },
        SONNET,
        44900.25,
        "anthropic",
    ),
    # BerriAI/litellm#14874: xAI's text_tokens contain the cached ones, which were charged twice.
    # 108 x 3 + 2585 x 0.75 + 5 x 15 = 324 + 1938.75 + 75
    "xai: cached tokens are part of the text tokens": Bill(
        {
            "prompt_tokens": 2693,
            "completion_tokens": 5,
            "total_tokens": 2698,
            "prompt_tokens_details": {"text_tokens": 2693, "cached_tokens": 2585},
        },
        GROK,
        2337.75,
        "x_ai",
    ),
    # xAI's own documentation, "Consumption and rate limits": reasoning stands beside the completion.
    # 26 x 3 + 6 x 0.75 + (9 + 94) x 15 = 78 + 4.5 + 1545
    "xai: reasoning is billed, and not part of the completion": Bill(
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        GROK,
        1627.5,
        "x_ai",
    ),
    # Agenta-AI/agenta#5711: 0.039084 told where 0.005955 was right, which leaves 13 tokens of output.
    # 1438 x 1.5 + 24540 x 0.15 + 13 x 9 = 2157 + 3681 + 117
    "gemini: cached content is part of the prompt": Bill(
        {
            "promptTokenCount": 25978,
            "cachedContentTokenCount": 24540,
            "candidatesTokenCount": 13,
            "totalTokenCount": 25991,
        },
        {"input": 1.5, "cache_read": 0.15, "output": 9},
        5955,
        "gcp.gemini",
    ),
    # simonw/llm-gemini#75 and confident-ai/deepeval#2943: thoughts stand beside the candidates, and were forgotten.
    # 8 x 0.3 + (9 + 107) x 2.5 = 2.4 + 290
    "gemini: thoughts are billed as output": Bill(
        {"promptTokenCount": 8, "candidatesTokenCount": 9, "thoughtsTokenCount": 107, "totalTokenCount": 124},
        {"input": 0.3, "output": 2.5},
        292.4,
        "gcp.gemini",
    ),
    # BerriAI/litellm#31714: a provider's cached tokens at full price; expected 0.00860376.
    # 1 x 1.4 + 27146 x 0.26 + 351 x 4.4 = 1.4 + 7057.96 + 1544.4
    "fireworks: cached tokens at their price": Bill(
        {
            "prompt_tokens": 27147,
            "completion_tokens": 351,
            "total_tokens": 27498,
            "prompt_tokens_details": {"cached_tokens": 27146},
        },
        {"input": 1.4, "cache_read": 0.26, "output": 4.4},
        8603.76,
        "fireworks",
    ),
}


def called(observed, provider, usage, model="model"):
    """One run with one call, in whose reply this usage stands."""
    with observed.metrics.run("bot") as run, run.inference(model, provider=provider) as call:
        call.usage({"usage": usage})


@pytest.mark.parametrize("bill", BILLS.values(), ids=BILLS)
def test_tokens_times_price_and_the_cost_of_the_run_are_the_bill(observe, bill):
    observed = observe(prices={bill.provider: {"model": bill.usd}}, cost=True)
    called(observed, bill.provider, bill.body)
    tokens = observed.totals(catalog.TOKENS, *PRICED_BY)
    price = observed.totals(catalog.TOKEN_PRICE, *PRICED_BY)

    assert sum(count * price[key] for key, count in tokens.items()) == pytest.approx(bill.total / 1e6)
    assert observed.sums(catalog.RUN_COST) == pytest.approx(bill.total / 1e6)


UNPRICED = {
    # jfive-ai/nowcast#135, BerriAI/litellm#36561: an unknown model recorded as one that costs nothing.
    "a model that nobody knows": ("acme", "large", {"prompt_tokens": 10, "completion_tokens": 5}, {"input", "output"}),
    # datacurve-ai/pier#9: cache reads at the price of input where they have none, five times too high.
    "cache reads without a price": (
        "acme",
        "small",
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}},
        {"cache_read"},
    ),
    # assafelovic/gpt-researcher#1986: Anthropic's cache writes priced at nothing.
    "cache writes without a price": (
        "acme",
        "small",
        {"input_tokens": 2, "cache_creation_input_tokens": 8, "output_tokens": 5},
        {"cache_write"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "body", "unpriced"), UNPRICED.values(), ids=UNPRICED)
def test_what_has_no_price_has_no_series_and_no_cost_and_is_said_once(
    observe, caplog, provider, model, body, unpriced
):
    observed = observe(prices=OWN, cost=True)
    for _ in range(2):
        called(observed, provider, body, model)
    priced = {kind for _, found, kind in observed.totals(catalog.TOKEN_PRICE, *PRICED_BY) if found == model}
    said = [record.getMessage() for record in caplog.records]

    assert priced.isdisjoint(unpriced)
    assert observed.totals(catalog.RUN_COST) == 0
    assert observed.totals(catalog.RUNS) == observed.totals(catalog.RUN_TOKEN_USAGE) == 2
    assert said == [
        f"agent_otel: no price for {kind} tokens of model {model} of {provider}: the cost of its runs stays unknown;"
        " its price goes into AGENT_OTEL_PRICES, 0 if it costs nothing"
        for kind in catalog.TOKEN_TYPES
        if kind in unpriced
    ]


def test_one_unpriced_call_among_others_leaves_the_cost_of_its_run_and_the_run_above_unknown(observe):
    observed = observe(prices=OWN, cost=True)
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    with observed.metrics.run("above"):
        called(observed, "acme", usage, "small")
        with observed.metrics.run("bot") as run:
            for model in ("small", "large"):
                with run.inference(model, provider="acme") as call:
                    call.usage({"usage": usage})
    called(observed, "acme", usage, "small")

    # 10 x 2 + 5 x 8 = 60, in the two runs whose calls were all priced
    assert observed.totals(catalog.RUN_COST, catalog.AGENT_NAME) == {"bot": 2}
    assert observed.sums(catalog.RUN_COST) == pytest.approx(120e-6)


def test_a_free_model_costs_nothing_and_is_not_unknown(observe, caplog):
    observed = observe(prices={"house": {"model": {"input": 0, "output": 0}}}, cost=True)
    called(observed, "house", {"prompt_tokens": 10, "completion_tokens": 5})

    assert (observed.totals(catalog.RUN_COST), observed.sums(catalog.RUN_COST)) == (1, 0)
    assert caplog.records == []


def test_no_tokens_of_a_type_need_no_price_of_it(observe, caplog):
    observed = observe(prices={"acme": {"model": {"input": 2, "output": 8}}}, cost=True)
    body = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 0}}
    called(observed, "acme", body)

    assert observed.sums(catalog.RUN_COST) == pytest.approx(60e-6)
    assert caplog.records == []


def test_who_has_no_price_at_all_is_not_warned_of_it(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    caplog.set_level(logging.INFO)
    Prices({}).cost("acme", "small", {"input": 1})

    assert [record.levelname for record in caplog.records] == ["INFO"]


# The team's own file


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([], ["write {"]),
        ({"acme": 7}, ["acme is no table of models: write {"]),
        ({"acme": {"small": 7}}, ["small is no table of prices: write {"]),
        ({"acme": {"small": {}}}, ["small is no table of prices: write {"]),
        # microsoft/autogen#3165, BerriAI/litellm#38167: per thousand tokens, per token, and 100,000 times too much
        ({"acme": {"small": {"input": 0.00015}}}, ["small: input: 0.00015 is far from any price: give USD per million"]),
        ({"acme": {"small": {"input": 1.5e-07}}}, ["small: input: 1.5e-07 is far from any price"]),
        ({"acme": {"small": {"input": 15000}}}, ["small: input: 15000 is far from any price"]),
        (
            {"acme": {"small": {"input": -1, "prompt": 1}, "large": {"output": "3"}}, "house": []},
            [
                "small: input: -1 is no price: give USD per million tokens, 0 or more",
                "small: prompt is no token type: use input, cache_read, cache_write, output, reasoning",
                "large: output: '3' is no price",
                "house is no table of models",
            ],
        ),
    ],
)  # fmt: skip
def test_every_mistake_of_a_price_file_is_told_with_what_is_allowed(tmp_path, table, told):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(table))
    found, mistakes = settings.read({"AGENT_OTEL_PRICES": str(path)})

    assert found == Settings()
    assert len(mistakes) == 1
    assert [part for part in told if part not in mistakes[0]] == []


@pytest.mark.parametrize("usd", [0, 0.001, 0.0011, 600, 10_000])
def test_prices_that_somebody_asks_for_are_accepted(usd):
    table = {"acme": {"small": {"input": usd}}}

    assert settings.read({}, {"prices": table}) == (Settings(prices=table), [])


def test_the_file_in_the_documentation_is_accepted():
    page = (Path(__file__).resolve().parent.parent / "docs/prices.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    _, mistakes = settings.read({}, {"prices": json.loads(shown)})

    assert mistakes == []


# The list that others maintain, in a small version of it

TIERED = "base tier: a call of more than 200,000 input tokens costs more"
HOUR = "cache_write for 5 minutes: for an hour it is 3"


@pytest.fixture(scope="module")
def small_list():
    """Acme's models: one with tiers and two kinds of cache writes, one whose price changes, one that is no text."""
    types = need("genai_prices.types", "pip install 'agent-otel[prices]'")
    from genai_prices.data_snapshot import DataSnapshot

    def model(name, prices):
        return types.ModelInfo(id=name, match=types.ClauseStartsWith(starts_with=name), prices=prices)

    def at(constraint, usd):
        return types.ConditionalPrice(constraint=constraint, prices=types.ModelPrice(input_mtok=Decimal(usd)))

    tiered = types.TieredPrices(Decimal("1.25"), [types.Tier(200_000, Decimal("2.5"))])
    hour = {"cache_write_mtok": Decimal(2), "cache_write_1h_mtok": Decimal(3)}
    morning = types.TimeOfDateConstraint(time(0, tzinfo=timezone.utc), time(12, tzinfo=timezone.utc))
    models = [
        model("tiered", types.ModelPrice(input_mtok=tiered, output_mtok=Decimal(10), **hour)),
        model("shifting", [at(None, "1"), at(morning, "1")]),
        model(
            "risen",
            [
                at(None, "1"),
                at(types.StartDateConstraint(date(2025, 2, 3)), "2"),
                at(types.StartDateConstraint(date(2999, 1, 1)), "9"),
            ],
        ),
        model("painter", types.ModelPrice(requests_kcount=Decimal(1))),
    ]
    by_name = types.ClauseContains(contains="acme-")
    acme = types.Provider(
        id="google", name="Acme", api_pattern="acme", models=models, model_match=types.ClauseContains(contains="tiered"),
        provider_match=by_name,
    )  # fmt: skip
    return genai.PriceList(DataSnapshot(providers=[acme], from_auto_update=False))


def test_a_tiered_price_is_its_base_and_says_so(small_list):
    """NousResearch/hermes-agent#93678: a prompt of 250,000 tokens costs 250,000 x 2.5, and 250,000 x 1.25 is told."""
    found = small_list.find("gcp.vertex_ai", "tiered-2026-01-01")

    assert found == genai.Listed(
        "gcp.vertex_ai",
        "tiered",
        {"input": 1.25, "cache_write": 2, "output": 10},
        (TIERED, HOUR),
    )


def test_a_price_that_changes_is_the_one_of_today(small_list):
    risen, shifting = (small_list.find("google", model) for model in ("risen", "shifting"))

    assert (risen.usd, risen.notes) == ({"input": 2}, ())
    assert shifting.notes == ("changes with the time of day: this is the price of now",)


def test_a_model_that_is_not_billed_by_tokens_is_not_in_the_list(small_list):
    assert small_list.find("google", "painter") is None
    assert [each.model for each in small_list.every()] == ["tiered", "shifting", "risen"]


def test_without_a_provider_the_list_says_whose_model_it_is_in_opentelemetry_s_words(small_list):
    assert small_list.find(None, "tiered").provider == "gcp.gemini"
    assert {each.provider for each in small_list.every()} == {"gcp.gemini"}
    assert {each.provider for each in small_list.every("gcp.gen_ai")} == {"gcp.gen_ai"}
    assert list(small_list.every("openai")) == []


def test_the_age_of_the_list_is_its_version_and_its_newest_price(small_list):
    assert small_list.about() == f"genai-prices {version('genai-prices')}, newest price of 2025-02-03"


def test_a_list_without_any_history_has_its_version_alone():
    snapshot = need("genai_prices.data_snapshot").DataSnapshot(providers=[], from_auto_update=False)

    assert genai.PriceList(snapshot).about() == f"genai-prices {version('genai-prices')}"


# The command

FILE = {
    "google": {"risen": {"input": 0.002, "output": 1}},
    "house": {"llama": {"input": 0, "output": 0}, "risen": {"input": 0.5, "cache_read": 0.05, "output": 2}},
}


@pytest.fixture
def prices(monkeypatch, tmp_path, small_list):
    """`prices(*arguments)` runs the command with `FILE` in AGENT_OTEL_PRICES and the small list installed."""
    testing = need("click.testing", "pip install 'agent-otel[cli]'")
    from agent_otel.prices import command

    path = tmp_path / "prices.json"
    path.write_text(json.dumps(FILE))
    monkeypatch.setenv("AGENT_OTEL_PRICES", str(path))
    monkeypatch.setattr(genai, "load", lambda: small_list)
    return lambda *arguments: testing.CliRunner().invoke(command.command, arguments, prog_name="prices")


def fields(done):
    return [line.split("\t") for line in done.stdout.splitlines()]


AGE = f"genai-prices {version('genai-prices')}, newest price of 2025-02-03"
HEADING = ["provider", "model", *catalog.TOKEN_TYPES, "source", "notes"]


def test_a_pipe_gets_lines_with_tabs_in_the_order_in_which_a_program_takes_prices(prices):
    done = prices("list", "risen", "tiered-2", "llama")

    assert (done.exit_code, done.stderr) == (0, "")
    assert fields(done) == [
        HEADING,
        [
            "google", "risen", "0.002", "", "", "1", "1", "your file",
            "input is 2 in genai-prices: give USD per million tokens",
        ],
        ["house", "risen", "0.5", "0.05", "", "2", "2", "your file", ""],
        [
            "gcp.gemini", "tiered-2", "1.25", "", "2", "10", "10", AGE,
            f"listed as tiered; {TIERED}; {HOUR}",
        ],
        ["house", "llama", "0", "", "", "0", "0", "your file", ""],
    ]  # fmt: skip


def test_the_command_shows_what_a_program_would_take(prices, small_list):
    program = Prices(FILE)
    asked = [("google", "risen"), ("house", "risen"), ("gcp.vertex_ai", "risen"), ("gcp.vertex_ai", "tiered")]
    for provider, model in asked:
        heading, row = fields(prices("list", model, "--provider", provider))
        shown = dict(zip(heading, row, strict=True))
        per_token = {kind: float(shown[kind]) / 1e6 for kind in catalog.TOKEN_TYPES if shown[kind]}

        assert (shown["provider"], shown["model"], per_token) == (
            provider,
            model,
            program.of(provider, model),
        )


def test_without_a_model_everything_is_listed_or_a_file_alone(prices, tmp_path):
    path = tmp_path / "another.json"
    path.write_text(json.dumps({"acme": {"small": {"input": 2}}}))
    everything, house, file = (
        [(provider, model) for provider, model, *_ in fields(prices("list", *options))[1:]]
        for options in ((), ("--provider", "house"), ("--file", str(path)))
    )

    assert everything[:3] == [("google", "risen"), ("house", "llama"), ("house", "risen")]
    assert everything[3:] == [("gcp.gemini", "tiered"), ("gcp.gemini", "shifting"), ("gcp.gemini", "risen")]
    assert house == [("house", "llama"), ("house", "risen")]
    assert file == [("acme", "small")]
    assert ("google", "risen") not in [
        tuple(line[:2]) for line in fields(prices("list", "--provider", "google"))[2:]
    ]


def test_an_unknown_model_is_named_with_the_close_names_and_exits_with_1(prices):
    done = prices("list", "llama", "tierd", "zzz")

    assert done.exit_code == 1
    assert [line[1] for line in fields(done)] == ["model", "llama"]
    assert done.stderr == (
        "Error: no price for tierd: close names: tiered\n"
        "no price for zzz: name a file of your own in AGENT_OTEL_PRICES\n"
    )


def test_a_model_of_nobody_s_own_is_named_with_who_sells_it(prices):
    done = prices("list", "shifting")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: no price for shifting: say whose with --provider: gcp.gemini\n"


def test_a_discount_is_no_mistake(small_list):
    need("rich", "pip install 'agent-otel[cli]'")
    from agent_otel.prices import listing

    book = listing.Book({"google": {"risen": {"input": 0.5}, "tiered": {"output": 0}}}, small_list)

    assert [row.notes for row in book.own()] == [(), ()]


def test_an_unknown_provider_is_named(prices):
    done = prices("list", "llama", "--provider", "nobody")

    assert (done.exit_code, done.stdout) == (1, "")
    assert (
        done.stderr
        == "Error: no price for llama of nobody: name a file of your own in AGENT_OTEL_PRICES\n"
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [("list",), ("list", "gpt-5"), ("export", "gpt-5", "--format", "csv")])
def test_without_any_prices_it_says_what_to_install(prices, monkeypatch, arguments):
    monkeypatch.setattr(genai, "load", lambda: None)
    monkeypatch.delenv("AGENT_OTEL_PRICES")
    done = prices(*arguments)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "pip install 'agent-otel[prices]' for those that others maintain, or name a file" in done.stderr


def test_without_the_extra_the_own_file_is_listed_all_the_same(prices, monkeypatch):
    monkeypatch.setattr(genai, "load", lambda: None)

    assert [line[1] for line in fields(prices("list", "llama"))] == ["model", "llama"]


@pytest.mark.parametrize("command", [("list",), ("export", "llama", "--format", "json")])
def test_a_wrong_file_is_told_and_exits_with_2(prices, tmp_path, command):
    path = tmp_path / "wrong.json"
    path.write_text('{"acme": {"small": {"prompt": 1}}}')
    done = prices(*command, "--file", str(path))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "small: prompt is no token type: use input" in done.stderr


def test_exported_json_is_what_the_variable_takes_and_gives_the_same_prices(prices, tmp_path):
    path = tmp_path / "exported.json"
    path.write_text(prices("export", "risen", "tiered", "--format", "json").stdout)
    found, mistakes = settings.read({"AGENT_OTEL_PRICES": str(path)})

    assert mistakes == []
    assert Prices(found.prices).of("gcp.gemini", "tiered") == Prices({}).of("gcp.gemini", "tiered")
    assert found.prices["google"] == {"risen": {"input": 0.002, "output": 1, "reasoning": 1}}


def test_exported_rules_are_the_series_that_the_gauge_would_have(prices, observe):
    done = prices("export", "risen", "--provider", "house", "--format", "prometheus-rules")

    assert done.stdout == (
        "# Written by `agent-otel prices export`: list prices, so that what is computed from them is an estimate.\n"
        "# For programs that don't export this metric themselves; where one does, the higher price counts.\n"
        "# USD for one token. From: your file\n"
        "groups:\n"
        "- name: agent-otel.prices\n"
        "  interval: 1m\n"
        "  rules:\n"
        + "".join(
            "  - record: agent_otel_token_price\n"
            f"    expr: vector({usd})\n"
            f"    labels: {{gen_ai_provider_name: house, gen_ai_request_model: risen, agent_otel_token_type: {kind}}}\n"
            for kind, usd in (("input", "5e-07"), ("cache_read", "5e-08"), ("output", "2e-06"), ("reasoning", "2e-06"))
        )
    )  # fmt: skip
    observed = observe(prices=FILE)
    called(observed, "house", {"prompt_tokens": 10, "completion_tokens": 5}, "risen")
    assert observed.totals(catalog.TOKEN_PRICE, catalog.TOKEN_TYPE) == pytest.approx(
        {"input": 5e-07, "cache_read": 5e-08, "output": 2e-06, "reasoning": 2e-06}
    )


def test_exported_csv_is_in_usd_per_million_tokens(prices):
    done = prices("export", "risen", "tiered", "--format", "csv")
    heading, *rows = csv.reader(StringIO(done.stdout))

    assert heading == HEADING[:-1]
    assert rows == [
        ["google", "risen", "0.002", "", "", "1.0", "1.0", "your file"],
        ["house", "risen", "0.5", "0.05", "", "2.0", "2.0", "your file"],
        ["gcp.gemini", "tiered", "1.25", "", "2.0", "10.0", "10.0", AGE],
    ]


def test_an_export_with_an_unknown_model_writes_nothing(prices):
    done = prices("export", "llama", "tierd", "--format", "csv")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: no price for tierd: close names: tiered\n"


def test_a_table_has_each_source_and_note_once_below(small_list):
    console = need("rich.console", "pip install 'agent-otel[cli]'").Console(file=StringIO(), width=80)
    from agent_otel.prices import listing

    book = listing.Book(FILE, small_list)
    console.print(listing.table([row for model in ("llama", "tiered") for row in book.find(model)]))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]

    assert lines == [
        "USD per million tokens",
        "                            cache  cache",
        " provider    model   input   read  write  output  reasoning  from",
        " house       llama       0      -      -       0          0  1",
        " gcp.gemini  tiered   1.25      -      2      10         10  2, 3, 4",
        "1  your file",
        f"2  {AGE}",
        f"3  {TIERED}",
        f"4  {HOUR}",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_a_terminal_gets_the_table(tmp_path):
    need("rich", "pip install 'agent-otel[cli]'")
    import pty

    path = tmp_path / "prices.json"
    path.write_text(json.dumps(FILE))
    program = f"import sys; sys.argv[1:] = ['prices', 'list', '--file', {str(path)!r}]"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}; from agent_otel.cli import main; main()"],
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "100"},
        stdout=theirs,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        written = b"".join(iter(lambda: read_terminal(terminal), b"")).decode()

    assert process.wait(timeout=60) == 0
    assert "USD per million tokens" in written
    assert "\t" not in written


def read_terminal(terminal):
    try:
        return terminal.read(65536)
    except OSError:  # Linux' word for "the other end is closed"
        return b""
