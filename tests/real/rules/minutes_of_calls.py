"""Stories of tools, costs, models and lost measurements, a sample a minute."""

from __future__ import annotations

from agent_otel import catalog
from tests.real.rules.names import COST, INCOMPLETE, MODEL_ERRORS, SPAM, TOOL_ERRORS, UNDERREPORTED
from tests.real.rules.story import (
    GONE,
    At,
    Native,
    Says,
    Story,
    Value,
    dropped,
    fires,
    model_calls,
    overflow,
    prices,
    runs,
    tokens,
    tool_calls,
    usage_missing,
)

CALL, FAILED_CALL = Native(4, (4,)), Native(1, (1,))

TOOLS = [
    Story(
        "tool-outage",
        "a quarter of the calls fails from 60 to 120 min, another tool is fine",
        [
            tool_calls({0: 4, 60: 3, 120: 4}, timeout={0: 0, 60: 1, 120: 0}),
            tool_calls({0: 4}, named="read"),
            runs(completed={0: 1}),
        ],
        [
            At(85),
            At(86, fires(TOOL_ERRORS, gen_ai_tool_name="search")),
            At(143, fires(TOOL_ERRORS)),
            At(144),
            Says(118, TOOL_ERRORS, "NAME: tool search failed 24.27% of its calls in the last hour"),
        ],
    ),
    Story(
        "tool-cancelled",
        "cancelled calls are no errors, and 5 % is under the objective",
        [
            tool_calls({0: 4}, cancelled={0: 4}),
            tool_calls({0: 9.5}, timeout={0: 0.5}, named="read"),
            runs(completed={0: 1}),
        ],
        [At(118)],
    ),
    Story(
        "rare-tool",
        "six calls an hour, and all fail",
        [tool_calls({0: 0}, timeout={0: 0.1})],
        [At(20), At(80, fires(TOOL_ERRORS))],
    ),
    Story("one-call", "one call, one failure", [tool_calls({0: 0}, timeout={0: 0, 60: 1, 61: 0})], [At(70)]),
    Story(
        "four-of-eight",
        "4 failures in the hour",
        [tool_calls({0: 0.0666}, timeout={0: 0.0666, 60: 0})],
        [At(59)],
    ),
    Story(
        "eight-of-sixteen",
        "8 failures in the hour",
        [tool_calls({0: 0.1333}, timeout={0: 0.1333, 60: 0})],
        [At(39), At(40, fires(TOOL_ERRORS)), At(89, fires(TOOL_ERRORS)), At(90)],
    ),
    Story(
        "tool-at-once",
        "all calls fail from one minute to the next: not in the first two",
        [tool_calls({0: 10, 100: 0}, timeout={0: 0, 100: 10}), runs(completed={0: 10})],
        [At(107), At(108, fires(TOOL_ERRORS))],
    ),
    Story(
        "tool-mixed-fleet",
        "half of the replicas send native, half classic histograms: they add up",
        [
            tool_calls({0: 4}, timeout={0: 1}),
            tool_calls({0: CALL}, timeout={0: FAILED_CALL}, instance="i2"),
            runs(completed={0: 1}),
        ],
        [At(100, fires(TOOL_ERRORS)), Value(100, "agent_tool:calls:increase1h{%}", 600)],
    ),
    Story(
        "tool-both-forms",
        "one page with both forms counts once",
        [tool_calls({0: 4}), tool_calls({0: CALL})],
        [Value(100, "agent_tool:calls:increase1h{%}", 240)],
    ),
    Story(
        "spam-without-history",
        "60 calls per run: above the hard limit",
        [runs(completed={0: 0.2}), tool_calls({0: 0, 60: 12, 150: 0})],
        [At(114), At(115, fires(SPAM)), At(174, fires(SPAM)), At(175)],
    ),
    Story(
        "much-without-history",
        "20 calls per run, and nothing is known to be usual",
        [runs(completed={0: 0.2}), tool_calls({0: 4})],
        [At(120)],
    ),
    Story(
        "spam-in-one-run",
        "60 calls in one run are not a trend while there are 40 in the hour",
        [runs(completed={0: 0.011}), tool_calls({0: 0.66})],
        [At(100)],
    ),
    Story(
        "spam-in-two-runs",
        "100 calls in the hour",
        [runs(completed={0: 0.0166}), tool_calls({0: 1.7})],
        [At(100, fires(SPAM))],
    ),
    Story(
        "spam-own-limit",
        "a limit of its own",
        [runs(completed={0: 1}), tool_calls({0: 8})],
        [At(100, fires(SPAM))],
        {"tool_calls_per_run": 6},
    ),
]

FIVE_TYPES = {"input": 20000, "cache_read": 100000, "cache_write": 4000, "output": 6000, "reasoning": 2000}

FIVE_PRICES = {
    "input": 3e-6,
    "cache_read": 3e-7,
    "cache_write": 3.75e-6,
    "output": 1.5e-5,
    "reasoning": 1.5e-5,
}

DEAR = {kind: {0: rate, 60: 4 * rate, 120: rate} for kind, rate in FIVE_TYPES.items()}

COSTS = [
    Story(
        "dear",
        "five token types and two replicas that both export the price: 27.00 USD an hour, then four times as much",
        [
            *[
                [*tokens(instance=each, **DEAR), *prices(instance=each, **FIVE_PRICES)]
                for each in ("i1", "i2")
            ],
            runs(completed={0: 2}),
        ],
        [
            At(81),
            At(82, fires(COST)),
            At(177, fires(COST)),
            At(178),
            Says(100, COST, "NAME spent an estimated $81.92 in the last hour"),
            Value(60, "agent:cost_usd:increase1h{%}", 27),
            Value(60, "agent:cost_per_run_usd:1h{%}", 0.225),
        ],
    ),
    Story(
        "own-budget",
        "a budget of its own",
        [tokens(input={0: 100000}), prices(input=3e-6), runs(completed={0: 2})],
        [At(100, fires(COST))],
        {"cost_usd_per_hour": 15},
    ),
    Story(
        "two-providers",
        "the same model at two providers has two prices",
        [
            tokens(input={0: 1000}),
            prices(input=2e-6),
            tokens(provider="azure", input={0: 1000}),
            prices(provider="azure", input=5e-6),
        ],
        [At(60), Value(60, "agent:cost_usd:increase1h{%}", 0.42)],
    ),
    Story(
        "short-job",
        "a job of 10 min: its price is gone with it, its cost is not",
        [tokens(input={0: 45000, 11: GONE}), prices(input={0: 3e-6, 11: GONE})],
        [At(50), Value(30, "agent:cost_usd:increase1h{%} >= bool 1.35", 1)],
    ),
    Story(
        "unpriced",
        "no price for output at first: said, until it has one",
        [
            tokens(input={0: 100}, output={0: 100}),
            prices(input=3e-6, output={0: GONE, 120: 1e-5}),
        ],
        [
            At(10),
            At(60, fires(UNDERREPORTED, reason="no_price", gen_ai_provider_name="openai")),
            At(130),
            Value(60, 'model:tokens_unpriced:increase1h{gen_ai_request_model="unpriced"}', 6000),
            Value(60, "agent:tokens_unpriced:increase1h{%}", 6000),
        ],
    ),
    Story(
        "no-usage",
        "a tenth of the calls brings no usage",
        [model_calls({0: 10}), usage_missing({0: 1})],
        [
            At(12),
            At(30, fires(UNDERREPORTED)),
            At(60, fires(UNDERREPORTED, reason="usage_missing")),
            Says(60, UNDERREPORTED, "cost of openai NAME is under-reported: usage_missing"),
        ],
    ),
    Story(
        "little-usage-missing",
        "4 % of the calls bring no usage",
        [model_calls({0: 10}), usage_missing({0: 0.4})],
        [At(60)],
    ),
]

MODELS = [
    Story(
        "throttled",
        "a tenth of the calls is rate_limited from 60 to 120 min; cancelled ones don't count",
        [model_calls({0: 9}, rate_limited={0: 0, 60: 1, 120: 0}, cancelled={0: 5})],
        [
            At(72),
            At(73, fires(MODEL_ERRORS, error_type="rate_limited")),
            At(137, fires(MODEL_ERRORS)),
            At(138),
            Says(90, MODEL_ERRORS, "10% of NAME calls end with rate_limited"),
        ],
    ),
    Story(
        "overloaded",
        "the same with native histograms",
        [model_calls({0: Native(9, (9,))}, overloaded={0: Native(1, (1,))})],
        [At(60, fires(MODEL_ERRORS, error_type="overloaded"))],
    ),
    Story(
        "older-conventions",
        "the same with the names of semantic conventions 1.37",
        [model_calls({0: 9}, catalog.OPERATION_DURATION, auth={0: 1})],
        [At(60, fires(MODEL_ERRORS, error_type="auth"))],
    ),
    Story(
        "outage",
        "all calls fail: after 5 min, not before, and closed 10 min after the quarter of an hour",
        [model_calls({0: 10, 60: 0, 70: 10}, server_error={0: 0, 60: 10, 70: 0})],
        [At(65), At(66, fires(MODEL_ERRORS)), At(93, fires(MODEL_ERRORS)), At(94)],
    ),
    Story("four-percent", "4 % fail", [model_calls({0: 9.6}, timeout={0: 0.4})], [At(50)]),
    Story("three-errors", "3 of 20 calls fail", [model_calls({0: 1.13}, timeout={0: 0.2})], [At(50)]),
    Story(
        "eight-errors",
        "8 of 40 calls fail",
        [model_calls({0: 2.13}, timeout={0: 0.5333})],
        [At(50, fires(MODEL_ERRORS))],
    ),
]

TELEMETRY = [
    Story(
        "dropping",
        "measurements are dropped from 60 to 80 min",
        [dropped({0: 0, 60: 5, 80: 0})],
        [
            At(65),
            At(66, fires(INCOMPLETE, reason="measurements_dropped")),
            At(108, fires(INCOMPLETE)),
            At(109),
            Says(75, INCOMPLETE, "metrics of NAME are incomplete: measurements_dropped"),
        ],
    ),
    Story(
        "too-many-values",
        "an attribute's budget is full; forbidden ones are nobody's loss",
        [dropped(budget={0: 1}, forbidden={0: 1})],
        [At(50, fires(INCOMPLETE, reason="attribute_budget"))],
    ),
    Story(
        "policy",
        "attributes are dropped as the policy wants",
        [dropped(forbidden={0: 1}, undeclared={0: 1})],
        [At(50)],
    ),
    Story(
        "overflowing",
        "the SDK's limit on two metrics: one alert, and none about runs that have no status",
        [overflow(catalog.RUNS, {0: 2}), overflow(catalog.TOKENS, {0: 2})],
        [At(50, fires(INCOMPLETE, reason="sdk_cardinality_limit"))],
    ),
]

STORIES = [*TOOLS, *COSTS, *MODELS, *TELEMETRY]
