"""Stories of days, a sample each 5 minutes: releases, traffic, quality."""

from __future__ import annotations

from tests.real.rules.names import BURN, QUALITY, RELEASE, SHIFT, SPIKE, STOPPED
from tests.real.rules.story import (
    GONE,
    At,
    Says,
    Story,
    Value,
    fires,
    page,
    run_tokens,
    runs,
    verdicts,
)

NEW = 1500  # when release 2 goes out, a day after the start

TWENTY = [f"j{number}" for number in range(20)]

RELEASES = [
    Story(
        "rollback",
        "release 2 fails 12 points more than 1 and is rolled back after an hour",
        [
            runs(completed={0: 9.8, NEW: 0, NEW + 60: 9.8}, error={0: 0.2, NEW: 0, NEW + 60: 0.2}),
            runs("2", completed={0: GONE, NEW: 8.6, NEW + 60: 0}, error={0: GONE, NEW: 1.4, NEW + 60: 0}),
        ],
        [
            At(NEW + 15),
            At(NEW + 40, page(RELEASE, gen_ai_agent_version="2")),
            At(NEW + 60, page(RELEASE), fires(SHIFT)),
            At(NEW + 125, page(RELEASE)),
            At(NEW + 130),
            Says(NEW + 40, RELEASE, "NAME release 2 fails 12% more of its runs than the releases before it"),
        ],
    ),
    Story(
        "slow-release",
        "6 runs an hour, 20 points worse: silent after two hours, found within twelve",
        [
            runs(completed={0: 9.8, NEW: GONE}, error={0: 0.2, NEW: GONE}),
            runs("2", completed={0: GONE, NEW: 0.078}, error={0: GONE, NEW: 0.022}),
        ],
        [At(NEW + 120), At(NEW + 700, page(RELEASE))],
        {"success_ratio": 0.7},
    ),
    Story(
        "no-release-label",
        "without a release there is no regression, and the other alerts work",
        [runs("", completed={0: 9.8, NEW: 5}, error={0: 0.2, NEW: 5})],
        [At(NEW + 60, page(BURN), fires(SHIFT))],
    ),
    Story(
        "canary",
        "a tenth of the traffic on release 2 while 1 goes on: 2 is named",
        [
            runs(completed={0: 9.8}, error={0: 0.2}),
            runs("2", completed={0: GONE, NEW: 0.8}, error={0: GONE, NEW: 0.2}, instance="c1"),
        ],
        [At(NEW + 100, page(RELEASE, gen_ai_agent_version="2"))],
    ),
    Story(
        "twenty-replicas",
        "3 runs an hour on each of 20 replicas: with series that begin at 0 the drop of 12 points is seen",
        [
            runs(completed={0: 9.8, NEW: GONE}, error={0: 0.2, NEW: GONE}),
            *[
                [
                    *runs("2", completed={0: GONE, NEW: 0.043}, instance=each),
                    *runs("2", error={0: GONE, NEW: 0} | failures, instance=each),
                ]
                for each, failures in zip(
                    TWENTY,
                    [{NEW + 5 * at: 0.2, NEW + 5 * at + 5: 0} for at in range(3, 23)],
                    strict=True,
                )
            ],
        ],
        [At(NEW + 140, page(RELEASE, gen_ai_agent_version="2"))],
        {"success_ratio": 0.8},
    ),
    Story(
        "born-at-one",
        "the same with series that begin with their first failure: it is lost, hence the zeros",
        [
            runs(completed={0: 9.8, NEW: GONE}, error={0: 0.2, NEW: GONE}),
            *[
                [
                    *runs("2", completed={0: GONE, NEW: 0.043}, instance=each),
                    *runs("2", error={0: GONE, NEW + 5 * at: 0}, instance=each, born_at=1),
                ]
                for at, each in enumerate(TWENTY, 3)
            ],
        ],
        [At(NEW + 140), Value(NEW + 140, "agent_version:candidate_failed:since_release{%}", 0)],
        {"success_ratio": 0.8},
    ),
]


def release_tokens(per_minute, old, new, new_per_minute=None):
    new_per_minute = new_per_minute or per_minute
    return [
        runs(completed={0: per_minute, NEW: GONE}),
        run_tokens({0: per_minute, NEW: GONE}, {0: per_minute * old, NEW: GONE}),
        runs("2", completed={0: GONE, NEW: new_per_minute}),
        run_tokens({0: GONE, NEW: new_per_minute}, {0: GONE, NEW: new_per_minute * new}, "2"),
    ]


RELEASE_TOKENS = [
    Story(
        "hungry-release",
        "release 2 uses 22 % more, 600 runs an hour, and is rolled back after two",
        [
            runs(completed={0: 10, NEW: 0, NEW + 120: 10}),
            run_tokens({0: 10, NEW: 0, NEW + 120: 10}, {0: 45000, NEW: 0, NEW + 120: 45000}),
            runs("2", completed={0: GONE, NEW: 10, NEW + 120: 0}),
            run_tokens({0: GONE, NEW: 10, NEW + 120: 0}, {0: GONE, NEW: 54900, NEW + 120: 0}, "2"),
        ],
        [
            At(NEW + 65),
            At(NEW + 70, fires(SPIKE, gen_ai_agent_version="2")),
            At(NEW + 185, fires(SPIKE, gen_ai_agent_version="2")),
            At(NEW + 190),
            Says(NEW + 90, SPIKE, "NAME release 2 uses 1.22 times its usual tokens per run"),
        ],
    ),
    Story("release-30-runs", "22 % more in 30 runs", release_tokens(10, 4500, 5490, 0.3), [At(NEW + 90)]),
    Story("release-80-runs", "22 % more in 80 runs", release_tokens(60, 4500, 5490, 0.8), [At(NEW + 110)]),
    Story("release-15-percent", "15 % more in 6000 runs", release_tokens(60, 4500, 5175), [At(NEW + 110)]),
    Story(
        "release-45-percent",
        "45 % more in 120 runs",
        release_tokens(10, 4500, 6525, 1),
        [At(NEW + 150, fires(SPIKE))],
    ),
]

STOPS = [
    Story(
        "stops",
        "60 runs an hour for a day, then none for 100 min",
        [runs(completed={0: 1, NEW: 0, NEW + 100: 1})],
        [
            At(NEW + 35),
            At(NEW + 40, page(STOPPED)),
            At(NEW + 100, page(STOPPED)),
            At(NEW + 105),
            Says(NEW + 60, STOPPED, "NAME: no run finished for 30 min, usually 60 per hour at this time"),
        ],
    ),
    Story(
        "gone",
        "the process is gone altogether",
        [runs(completed={0: 1, NEW: GONE})],
        [At(NEW + 60, page(STOPPED))],
    ),
    Story("quiet", "10 runs an hour yesterday", [runs(completed={0: 0.1666, NEW: 0})], [At(NEW + 60)]),
    Story(
        "thirty",
        "30 runs an hour yesterday",
        [runs(completed={0: 0.5, NEW: 0})],
        [At(NEW + 35), At(NEW + 60, page(STOPPED))],
    ),
]

DAY = 1200  # when quality changes

QUALITIES = [
    Story(
        "worse-answers",
        "the share of passed verdicts falls from 90 to 70 % and recovers",
        [
            verdicts(
                **{"pass": {0: 0.9, DAY: 0.7, DAY + 300: 0.9}, "fail": {0: 0.1, DAY: 0.3, DAY + 300: 0.1}}
            ),
            runs(completed={0: 1}),
        ],
        [
            At(DAY + 185),
            At(DAY + 190, fires(QUALITY, gen_ai_evaluation_name="solved")),
            At(DAY + 355, fires(QUALITY)),
            At(DAY + 360),
            Says(DAY + 300, QUALITY, "NAME: 16.9% fewer of the solved verdicts pass than usual"),
        ],
    ),
    Story(
        "as-good",
        "90 % as ever, whatever is skipped",
        [verdicts(**{"pass": {0: 0.9}, "fail": {0: 0.1}, "skipped": {0: 0, DAY: 5}})],
        [At(DAY), At(DAY + 280)],
    ),
    Story(
        "eight-points-worse",
        "82 instead of 90 % in many verdicts",
        [verdicts(**{"pass": {0: 9, DAY: 8.2}, "fail": {0: 1, DAY: 1.8}})],
        [At(DAY + 400)],
    ),
    Story(
        "fifteen-points-worse",
        "75 instead of 90 % in many verdicts",
        [verdicts(**{"pass": {0: 9, DAY: 7.5}, "fail": {0: 1, DAY: 2.5}})],
        [At(DAY + 400, fires(QUALITY))],
    ),
    Story(
        "thirty-verdicts",
        "70 instead of 85 % in 30 verdicts: two standard errors",
        [verdicts(**{"pass": {0: 0.85, DAY: 0.0583}, "fail": {0: 0.15, DAY: 0.025}})],
        [At(DAY + 400)],
    ),
    Story(
        "five-errors-of-chance",
        "70 instead of 90 % in 60 verdicts: five standard errors",
        [verdicts(**{"pass": {0: 0.9, DAY: 0.1167}, "fail": {0: 0.1, DAY: 0.05}})],
        [At(DAY + 400, fires(QUALITY))],
    ),
    Story(
        "three-failed",
        "3 of 3 verdicts fail",
        [verdicts(**{"pass": {0: 0.95, DAY: 0}, "fail": {0: 0.05, DAY: 0.0089}})],
        [At(DAY + 400)],
    ),
    Story(
        "eight-failed",
        "8 of 8 verdicts fail",
        [verdicts(**{"pass": {0: 0.95, DAY: 0}, "fail": {0: 0.05, DAY: 0.0222}})],
        [At(DAY + 400, fires(QUALITY))],
    ),
    Story(
        "little-to-compare",
        "30 verdicts before, half of them passing now",
        [verdicts(**{"pass": {0: 0.025, DAY: 0.5}, "fail": {0: 0.001, DAY: 0.5}})],
        [At(DAY + 360)],
    ),
    Story(
        "enough-to-compare",
        "90 verdicts before, half of them passing now",
        [verdicts(**{"pass": {0: 0.07, DAY: 0.5}, "fail": {0: 0.003, DAY: 0.5}})],
        [At(DAY + 360, fires(QUALITY))],
    ),
    Story(
        "own-words",
        "verdicts in words that nobody declared say nothing",
        [verdicts(grounded={0: 0.9}, hallucinated={0: 0.1})],
        [At(DAY), Value(DAY, "agent_evaluation:pass_ratio:6h{%}", None)],
    ),
]

STORIES = [*RELEASES, *RELEASE_TOKENS, *STOPS, *QUALITIES]
