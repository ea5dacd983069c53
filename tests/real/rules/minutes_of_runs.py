"""Stories of runs, a sample a minute: where `for` and `keep_firing_for` count."""

from __future__ import annotations

from agent_otel import catalog
from tests.real.rules.names import BOTH, BURN, LATENCY, RELEASE, STUCK
from tests.real.rules.story import (
    GONE,
    At,
    Native,
    Reset,
    Says,
    Story,
    Value,
    active,
    dropped,
    fires,
    model_calls,
    oldest,
    page,
    per_run,
    prices,
    run_seconds,
    run_tokens,
    runs,
    tokens,
    tool_calls,
    verdicts,
)


def replica(instance):
    return [
        *runs(completed={0: 2}, error={0: 0}, cancelled={0: 0}, instance=instance),
        *run_seconds({10: {0: 1}, 20: {0: 1}}, instance=instance),
        *tool_calls({0: 6}, instance=instance),
        *tokens(instance=instance, input={0: 9000}),
        *prices(instance=instance, input=0.000003),
        *active({0: 1}, instance=instance),
        *oldest({0: 15}, instance=instance),
    ]


EIGHT_METRICS = [
    Story(
        "calm",
        "two replicas, nothing fires and every figure is right",
        [
            replica("i1"),
            replica("i2"),
            run_tokens({0: 4}, {0: 18000}),
            per_run(catalog.RUN_TOOL_CALLS, "_sum", {0: 12}),
            per_run(catalog.RUN_TOOL_CALLS, "_count", {0: 4}),
            model_calls({0: 20}),
            verdicts(**{"pass": {0: 0.9}, "fail": {0: 0.1}, "skipped": {0: 5}}),
            dropped({0: 0}, budget={0: 0}),
        ],
        [
            At(60),
            At(240),
            Value(240, "agent:runs:increase1h{%}", 240),
            Value(240, "agent_version:runs:increase1h{%}", 240),
            Value(240, "agent:success_ratio:1h{%}", 1),
            Value(240, "agent_version:success_ratio:1h{%}", 1),
            Value(240, "agent:run_seconds:p50_30m{%}", 10),
            Value(240, "agent_version:run_seconds:p50_1h{%}", 10),
            Value(240, "agent:run_seconds:p95_30m{%}", 19),
            Value(240, "agent_version:run_seconds:p95_1h{%}", 19),
            Value(240, "agent:tokens_per_run:1h{%}", 4500),
            Value(240, "agent_version:tokens_per_run:1h{%}", 4500),
            Value(240, "agent:cost_usd:increase1h{%}", 3.24),
            Value(240, "agent:cost_per_run_usd:1h{%}", 0.0135),
            Value(240, "agent_version:cost_per_run_usd:1h{%}", 0.0135),
            Value(240, "agent:tool_calls_per_run:1h{%}", 3),
            Value(240, "agent_version:tool_calls_per_run:1h{%}", 3),
            Value(240, "agent:tool_error_ratio:15m{%}", 0),
            Value(240, "agent_version:tool_error_ratio:1h{%}", 0),
            Value(240, 'agent_stop:share:1h{%,agent_otel_run_stop_reason="completed"}', 1),
            Value(240, 'agent_version_stop:share:1h{%,agent_otel_run_stop_reason="cancelled"}', 0),
            Value(240, "agent_evaluation:pass_ratio:6h{%}", 0.9),
            Value(240, "agent_version_evaluation:pass_ratio:1h{%}", 0.9),
        ],
    ),
    Story(
        "sub-agent",
        "a run inside another counts for its agent, and not as something that a user asked for",
        [
            runs(completed={0: 1}, nested=True),
            runs(completed={0: 1}),
            tokens(input={0: 1000}),
            prices(input=0.00001),
        ],
        [
            Value(240, "agent:runs:increase1h{%}", 120),
            Value(240, "agent:requests:increase1h{%}", 60),
            Value(240, "agent:cost_per_run_usd:1h{%}", 0.005),
        ],
    ),
]

SUCCESS = [
    Story(
        "half-fails",
        "half of the runs fail from 120 to 180 min: a page, after that a ticket, then nothing",
        [runs(completed={0: 2, 120: 1, 180: 2}, error={0: 0, 120: 1, 180: 0})],
        [
            At(156),
            At(157, page(BURN)),
            At(179, page(BURN)),
            At(180, *BOTH),
            At(196, *BOTH),
            At(197, fires(BURN, severity="warning")),
            At(218, fires(BURN, severity="warning")),
            At(219),
            Says(160, BURN, "NAME: 33.52% of runs failed in the last hour"),
        ],
    ),
    Story(
        "restarted",
        "a counter that begins again, and a replica that had failures before, are no failures",
        [
            runs(completed={0: 2, 60: Reset(2)}, error={0: 0}),
            runs(completed={0: 2, 60: Reset(2)}, error={0: 0, 60: Reset(0)}, instance="i2", born_at=3),
        ],
        [At(62), At(100), Value(90, "agent:failure_ratio:1h{%}", 0)],
    ),
    Story(
        "three-of-six",
        "3 of 6 runs fail: too few to page",
        [runs(completed={0: 0, 60: 1, 63: 0}, error={0: 0, 60: 1, 63: 0})],
        [At(65), At(75)],
    ),
    Story(
        "rare-and-broken",
        "six runs an hour, and all fail",
        [runs(completed={0: 0}, error={0: 0.1})],
        [At(40), At(65, page(BURN))],
    ),
    Story(
        "deploy",
        "a deploy cancels 25 runs in flight",
        [runs(completed={0: 0.5}, error={0: 0}, cancelled={0: 0, 90: 5, 95: 0})],
        [At(95), At(97), At(110)],
    ),
    Story(
        "handed-over",
        "6 of 11 runs fail at an objective of 70 %: 1.8 standard deviations",
        [runs(completed={0: 0, 60: 1, 65: 0}, error={0: 0, 60: 1, 66: 0})],
        [At(64), At(70)],
        {"success_ratio": 0.7},
    ),
    Story(
        "hands-over-too-often",
        "30 of 55 fail at an objective of 70 %: 4 standard deviations",
        [runs(completed={0: 0, 60: 0.5}, error={0: 0, 60: 0.6})],
        [At(112, page(BURN))],
        {"success_ratio": 0.7},
    ),
    Story(
        "page-limit",
        "24 % fail where a page begins at 28.8 %: a ticket",
        [runs(completed={0: 7.6}, error={0: 2.4})],
        [At(100, fires(BURN, severity="warning"))],
    ),
    Story(
        "over-page-limit",
        "33 % fail: a page too",
        [runs(completed={0: 6.7}, error={0: 3.3})],
        [At(100, *BOTH)],
    ),
    Story(
        "in-the-past",
        "40 min of failures that are over: the last hour is bad, the last five minutes aren't",
        [runs(completed={0: 10, 120: 0, 160: 10}, error={0: 0, 120: 10, 160: 0})],
        [At(157, page(BURN)), At(165, *BOTH), At(182, fires(BURN, severity="warning"))],
    ),
    Story(
        "new-release",
        "release 2 fails 12 points more than 1: silent before, fires, ends with the rollback",
        [
            runs(completed={0: 9.8, 70: 0, 190: 9.8}, error={0: 0.2, 70: 0, 190: 0.2}),
            runs("2", completed={0: GONE, 140: 8.6, 190: 0}, error={0: GONE, 140: 1.4, 190: 0}),
        ],
        [
            At(159),
            At(160, page(RELEASE, gen_ai_agent_version="2")),
            At(205, page(RELEASE, gen_ai_agent_version="2")),
            At(206),
            Value(180, "agent_version:failure_ratio_delta:candidate{%}", 0.12),
        ],
    ),
    Story(
        "good-release",
        "release 2 is as good as 1",
        [
            runs(completed={0: 9.8, 70: 0}, error={0: 0.2, 70: 0}),
            runs("2", completed={0: GONE, 140: 9.8}, error={0: GONE, 140: 0.2}),
        ],
        [At(160), At(250)],
    ),
    Story(
        "perfect-releases",
        "two releases that never failed: 0 / 0 stays silent",
        [
            runs(completed={0: 10, 70: 0}, error={0: 0}),
            runs("2", completed={0: GONE, 140: 10}, error={0: GONE, 140: 0}),
        ],
        [At(160), At(250)],
    ),
    Story(
        "first-day",
        "a new Prometheus, where every release is new: no baseline, no verdict",
        [
            runs(completed={0: 8.9}, error={0: 1.1}),
            runs("2", completed={0: GONE, 140: 7.5}, error={0: GONE, 140: 2.5}),
        ],
        [At(135), At(160), At(250)],
        {"success_ratio": 0.7},
    ),
]


def slow(minutes, per_minute=2, before=120, during=490):
    bounds = {before: {0: per_minute, minutes[0]: 0, minutes[1]: per_minute}}
    return run_seconds(bounds | {during: {0: 0, minutes[0]: per_minute, minutes[1]: 0}})


QUICK, LONG = Native(60, (2, 0, 0, 0, 0), 5), Native(800, (0, 0, 0, 0, 2), 5)

SHORT, SLOW = Native(60, (2, 0, 0), custom=(120, 490)), Native(600, (0, 2, 0), custom=(120, 490))

RUN_TIME = [
    Story(
        "slow",
        "p95 of 472 s from 120 to 180 min against 300: fires, and ends",
        [runs(completed={0: 2}), slow((120, 180))],
        [
            At(132),
            At(133, fires(LATENCY)),
            At(216, fires(LATENCY)),
            At(217),
            Says(160, LATENCY, "NAME: p95 run time is 7m 51s, above its objective"),
        ],
    ),
    Story(
        "slow-native",
        "the same with native histograms",
        [runs(completed={0: 2}), run_seconds({0: QUICK, 120: LONG, 180: QUICK})],
        [At(118), At(160, fires(LATENCY)), At(235)],
    ),
    Story(
        "slow-custom-buckets",
        "the same with native histograms of custom buckets: equal to classic to the digit",
        [runs(completed={0: 2}), run_seconds({0: SHORT, 120: SLOW, 180: SHORT})],
        [At(118), At(160, fires(LATENCY)), At(235), Value(160, "agent:run_seconds:p95_30m{%}", 471.5)],
    ),
    Story(
        "slow-and-rare",
        "15 runs in 30 min: too few for a p95",
        [runs(completed={0: 0.5}), slow((120, 180), 0.5)],
        [At(170)],
    ),
    Story(
        "slow-and-less-rare",
        "24 runs in 30 min",
        [runs(completed={0: 0.8}), slow((120, 180), 0.8)],
        [At(160, fires(LATENCY)), At(235)],
    ),
    Story(
        "left",
        "runs that their user left are no slow runs",
        [
            runs(completed={0: 2}),
            run_seconds({120: {0: 2}}),
            run_seconds({480: {0: 2}}, error_type="cancelled"),
        ],
        [At(170), Value(170, "agent:run_seconds:p95_30m{%}", 114)],
    ),
    Story(
        "impatient",
        "an objective of 20 s of its own",
        [runs(completed={0: 2}), run_seconds({10: {0: 0}, 30: {0: 2}})],
        [At(90, fires(LATENCY))],
        {"run_p95_seconds": 20},
    ),
    Story(
        "mixed-fleet",
        "fast replicas with classic histograms hide slow native ones in a quantile, not in a count: a known limit",
        [runs(completed={0: 2}), run_seconds({120: {0: 2}}), run_seconds({0: LONG}, instance="i2")],
        [At(150), Value(150, "agent:run_seconds:p95_30m{%}", 114)],
    ),
    Story(
        "hang",
        "10 runs hang from 60 min on while the others finish in 30 s",
        [runs(completed={0: 1}), active({0: 1, 60: 11, 180: 1})],
        [
            At(98),
            At(99, fires(STUCK)),
            At(219, fires(STUCK)),
            At(220),
            Says(150, STUCK, "NAME: runs hang, 9m 17s in flight and counting"),
        ],
    ),
    Story(
        "one-hangs",
        "one run of many hangs: seen by its age alone, after 5 times the objective and 10 min",
        [
            runs(completed={0: 10}),
            active({0: 3, 60: 4, 120: 3}),
            oldest({0: 20} | {minute: 60 * (minute - 60) for minute in range(61, 120)} | {120: 20}),
        ],
        [At(95), At(96, fires(STUCK)), At(124, fires(STUCK)), At(125)],
    ),
    Story(
        "a-slow-one",
        "one run takes 4 times the objective",
        [runs(completed={0: 10}), active({0: 3}), oldest({0: 20, 60: 1200})],
        [At(100)],
    ),
    Story(
        "ramp-up",
        "runs of 4 min with an objective of 5 begin all at once",
        [runs(completed={0: 0, 4: 5}), active({0: 0, 1: 5, 2: 10, 3: 15, 4: 20})],
        [At(5), At(30), At(100)],
    ),
    Story(
        "rolling-deploy",
        "a deploy kills replicas with runs in flight",
        [
            runs(completed={0: 1, 100: GONE}),
            active({0: 4, 100: GONE}),
            runs(completed={0: GONE, 100: 1}, instance="i2"),
            active({0: GONE, 100: 4}, instance="i2"),
        ],
        [At(102), At(130), At(190)],
    ),
    Story(
        "slow-not-stuck",
        "runs that are slow are the latency alert's",
        [runs(completed={0: 1}), active({0: 10}), oldest({0: 2000}), run_seconds({120: {0: 0}, 960: {0: 1}})],
        [At(150, fires(LATENCY))],
    ),
    Story(
        "slow-twelve",
        "12 slow runs in half an hour are too few for the latency alert, so what hangs is this one's",
        [
            runs(completed={0: 0.4}),
            active({0: 1}),
            oldest({0: 2000}),
            run_seconds({120: {0: 0}, 960: {0: 0.4}}),
        ],
        [At(150, fires(STUCK))],
    ),
    Story(
        "slow-and-few",
        "two slow runs an hour, of which one hangs: too few for the latency alert, so it is this one's",
        [
            runs(completed={0: 0.04}),
            active({0: 1}),
            oldest({0: 2000}),
            run_seconds({120: {0: 0}, 960: {0: 0.04}}),
        ],
        [At(150, fires(STUCK))],
    ),
    Story(
        "killed",
        "15 runs hang for 50 min, then the process is killed: nothing flies any more",
        [runs(completed={0: 1}), active({0: 1, 60: 16, 110: 0})],
        [At(105, fires(STUCK)), At(122)],
    ),
    Story(
        "slow-by-nature",
        "an objective of 40 min, runs of 20: six hours decide",
        [runs(completed={0: 0.5}), active({0: 10})],
        [At(240)],
        {"run_p95_seconds": 2400},
    ),
]

STORIES = [*EIGHT_METRICS, *SUCCESS, *RUN_TIME]
