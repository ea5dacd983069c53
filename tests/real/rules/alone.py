"""Stories that are played alone, since they look at everything."""

from __future__ import annotations

from tests.real.rules.names import BURN, LATENCY
from tests.real.rules.story import (
    GONE,
    At,
    Story,
    Value,
    fires,
    model_calls,
    page,
    prices,
    run_seconds,
    run_tokens,
    runs,
    tokens,
    tool_calls,
    usage_missing,
    verdicts,
)

TABLE = Story(
    "table",
    "two of five runs fail and one is slow: the table says so, and no row vanishes for want of history",
    [
        runs(completed={0: 2, 120: 1.2}, error={0: 0, 120: 0.8}),
        run_seconds({120: {0: 2}, 490: {0: 0, 120: 1}}),
        run_tokens({0: 2}, {0: 9000}),
        tool_calls({0: 4}),
        verdicts(**{"pass": {0: GONE, 120: 0.9}, "fail": {0: GONE, 120: 0.1}}),
    ],
    [At(182, page(BURN), fires(BURN), fires(LATENCY))],
)

WITHOUT_PRICES = [
    Story(
        "no-prices",
        "where nobody uses prices no cost is wrong",
        [tokens(input={0: 100}), model_calls({0: 10}), usage_missing({0: 1}), runs(completed={0: 1})],
        [At(60), Value(60, "agent:cost_usd:increase1h{%}", None), Value(60, "agent:runs:increase1h{%}", 60)],
    )
]

NOTHING = [
    Story(
        "nothing",
        "without any data there is no alert and no figure",
        [],
        [
            At(60),
            Value(
                60, '{__name__=~"agent.*:.*|model.*:.*|fleet:.*",__name__!="agent_objective:override"}', None
            ),
        ],
        {"success_ratio": 0.9},
    )
]

FLEET = [
    Story(
        "planner",
        "what users asked for: 60 runs, of which 57 went well, whatever becomes of the runs inside them",
        [
            runs(completed={0: 0.95}, error={0: 0.05}),
            runs(completed={0: 1}, error={0: 2}, nested=True),
            tokens(input={0: 1000}),
            prices(input=0.00001),
        ],
        [
            Value(60, "agent:runs:increase1h{%}", 240),
            Value(60, "agent:requests:increase1h{%}", 60),
            Value(60, "fleet:requests:increase1h", 60),
            Value(60, "fleet:success_ratio:1h", 0.95),
            Value(60, "fleet:cost_per_request_usd:1h", 0.01),
        ],
    )
]
