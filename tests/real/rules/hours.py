"""Stories of hours, a sample each 5 minutes: what needs to know what was usual before."""

from __future__ import annotations

from tests.real.rules.names import BURN, SHIFT, SPAM, SPIKE, TICKET
from tests.real.rules.story import (
    GONE,
    At,
    Native,
    Says,
    Story,
    Value,
    fires,
    page,
    run_tokens,
    runs,
    tool_calls,
)

SUCCESS = [
    Story(
        "fourteen-percent",
        "14 % fail for 8 h: a ticket and no page; then nothing",
        [runs(completed={0: 4.3, 480: 5}, error={0: 0.7, 480: 0})],
        [
            At(35),
            At(40, TICKET),
            At(500, TICKET),
            At(505),
            Says(400, BURN, "NAME: 14% of runs failed in the last 6 hours"),
        ],
    ),
    Story(
        "five-percent",
        "5 % fail, as the objective allows",
        [runs(completed={0: 4.75}, error={0: 0.25})],
        [At(560)],
    ),
    Story(
        "own-objective",
        "12 % fail where 90 % is the objective",
        [runs(completed={0: 4.4}, error={0: 0.6})],
        [
            At(400),
            Value(400, "agent:objective:success_ratio{%}", 0.9),
            Value(400, "agent:burn_threshold:page{%}", 0.325),
            Value(400, "agent:burn_threshold:ticket{%}", 0.145),
        ],
        {"success_ratio": 0.9},
    ),
    Story(
        "default-objective",
        "12 % fail where 95 % is the objective",
        [runs(completed={0: 4.4}, error={0: 0.6})],
        [
            At(400, TICKET),
            Value(400, "agent:objective:success_ratio{%}", 0.95),
            Value(400, "agent:burn_threshold:page{%}", 0.2875),
            Value(400, "agent:burn_threshold:ticket{%}", 0.0975),
        ],
    ),
    Story("four-of-twenty", "4 failures in 6 h", [runs(completed={0: 0.0444}, error={0: 0.0111})], [At(400)]),
    Story(
        "six-of-twenty", "6 of 20 in 6 h", [runs(completed={0: 0.0389}, error={0: 0.0167})], [At(400, TICKET)]
    ),
    Story(
        "six-of-fifty",
        "6 of 50 in 6 h: 2.3 deviations",
        [runs(completed={0: 0.1222}, error={0: 0.0167})],
        [At(400)],
    ),
    Story(
        "half-an-hour-decides",
        "20 runs an hour fail for 200 min: 30 min after the end there is nothing left to do",
        [runs(completed={0: 0, 200: 0.34}, error={0: 0.34, 200: 0})],
        [At(15), At(20, page(BURN)), At(45, page(BURN), TICKET), At(240, page(BURN), TICKET), At(245)],
    ),
    Story(
        "the-hour-decides",
        "6 runs an hour: 30 min hold too few to say that it is over",
        [runs(completed={0: 0, 200: 0.1}, error={0: 0.1, 200: 0})],
        [At(215, page(BURN), TICKET), At(250, TICKET), At(300)],
    ),
    Story(
        "then-nothing-runs",
        "an incident, an hour of health, then no runs at all: nothing new fires about the past",
        [runs(completed={0: 5, 200: 2, 260: 5, 320: 0}, error={0: 0, 200: 3, 260: 0})],
        [At(320), At(385)],
    ),
]

SPAMS = [
    Story(
        "loop",
        "a tool goes from 3 to 15 calls per run after 8 h: fires for as long as it lasts",
        [runs(completed={0: 2}), tool_calls({0: 6, 480: 30, 720: 6})],
        [
            At(515),
            At(520, fires(SPAM)),
            At(755, fires(SPAM)),
            At(760),
            Says(600, SPAM, "NAME: tool search is called 15.0 times per run"),
        ],
    ),
    Story(
        "endless-loop",
        "every worker loops and no run ends any more",
        [runs(completed={0: 2, 480: 0}), tool_calls({0: 6, 480: 60})],
        [At(480), At(545, fires(SPAM))],
    ),
    Story(
        "less-than-twice",
        "from 8 to 14 calls per run",
        [runs(completed={0: 2}), tool_calls({0: 16, 480: 28})],
        [At(560)],
    ),
    Story(
        "few-calls",
        "from 3 to 9 calls per run",
        [runs(completed={0: 2}), tool_calls({0: 6, 480: 18})],
        [At(560)],
    ),
    Story(
        "twice-and-a-half",
        "from 8 to 20 calls per run",
        [runs(completed={0: 2}), tool_calls({0: 16, 480: 40})],
        [At(560, fires(SPAM))],
    ),
    Story(
        "more-than-ten",
        "from 5 to 12 calls per run",
        [runs(completed={0: 2}), tool_calls({0: 10, 480: 24})],
        [At(560, fires(SPAM))],
    ),
    Story(
        "two-runs-an-hour",
        "from 8 to 22 calls per run, 44 in the hour",
        [runs(completed={0: 0.0333}), tool_calls({0: 0.2666, 480: 0.7333})],
        [At(560)],
    ),
    Story(
        "five-runs-an-hour",
        "from 8 to 22 calls per run, 110 in the hour",
        [runs(completed={0: 0.0833}), tool_calls({0: 0.6666, 480: 1.8333})],
        [At(560, fires(SPAM))],
    ),
]


def hour_tokens(per_minute, old, new, until=4000):
    tokens = {0: per_minute * old, 480: per_minute * new, until: per_minute * old}
    return [runs(completed={0: per_minute}), run_tokens({0: per_minute}, tokens)]


PLAIN, DOUBLE = Native(9000, (2,)), Native(18000, (2,))

HOUR_TOKENS = [
    Story(
        "hungry",
        "twice the tokens without a release after 8 h: fires, still does 6 h later, ends",
        hour_tokens(2, 4500, 9000, 880),
        [At(515), At(520, fires(SPIKE)), At(920, fires(SPIKE)), At(925)],
    ),
    Story(
        "hungry-native",
        "the same with native histograms",
        [runs(completed={0: 2}), run_tokens({0: PLAIN, 480: DOUBLE})],
        [At(480), At(560, fires(SPIKE))],
    ),
    Story("hour-1.4", "1.4 times", hour_tokens(2, 4500, 6300), [At(560)]),
    Story("hour-1.8", "1.8 times", hour_tokens(2, 4500, 8100), [At(560, fires(SPIKE))]),
    Story("hour-20-runs", "1.6 times in 20 runs an hour", hour_tokens(0.3333, 4500, 7200), [At(560)]),
    Story(
        "hour-double", "twice in 20 runs an hour", hour_tokens(0.3333, 4500, 9000), [At(560, fires(SPIKE))]
    ),
]

SHIFTS = [
    Story(
        "max-steps",
        "max_steps goes from 5 to 25 % after 8 h",
        [runs(completed={0: 1.9, 480: 1.5, 660: 1.9}, max_steps={0: 0.1, 480: 0.5, 660: 0.1})],
        [
            At(515),
            At(520, fires(SHIFT, agent_otel_run_stop_reason="max_steps")),
            At(620, fires(SHIFT), TICKET),
            At(700, fires(SHIFT)),
            At(705),
            Says(560, SHIFT, "NAME: 20% more runs than usual end by max_steps"),
        ],
    ),
    Story(
        "usual-max-tokens",
        "12 % max_tokens are usual for this agent",
        [runs(completed={0: 1.76}, max_tokens={0: 0.24})],
        [At(590)],
        {"success_ratio": 0.85},
    ),
    Story(
        "never-seen",
        "a reason that was never seen before takes 20 %",
        [runs(completed={0: 2, 480: 1.6}, loop_detected={0: GONE, 480: 0.4})],
        [At(560, fires(SHIFT, agent_otel_run_stop_reason="loop_detected"))],
        {"success_ratio": 0.8},
    ),
    Story(
        "eight-points",
        "8 points more in many runs",
        [runs(completed={0: 19, 480: 17.4}, max_steps={0: 1, 480: 2.6})],
        [At(560)],
        {"success_ratio": 0.8},
    ),
    Story(
        "twenty-runs",
        "15 points more in 20 runs an hour",
        [runs(completed={0: 0.3166, 480: 0.2667}, max_steps={0: 0.0166, 480: 0.0667})],
        [At(560)],
        {"success_ratio": 0.8},
    ),
    Story(
        "forty-runs",
        "30 points more in 40 runs an hour",
        [runs(completed={0: 0.6, 480: 0.4}, max_steps={0: 0.0333, 480: 0.2333})],
        [At(560, fires(SHIFT))],
        {"success_ratio": 0.6},
    ),
]

STORIES = [*SUCCESS, *SPAMS, *HOUR_TOKENS, *SHIFTS]
