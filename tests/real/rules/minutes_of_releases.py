"""Stories of releases, a sample a minute: on both sides of each threshold."""

from __future__ import annotations

from tests.real.rules.names import RELEASE
from tests.real.rules.story import GONE, At, Story, page, runs

STORIES = [
    Story(
        "release-4-points",
        "4 points worse after 600 runs",
        [
            runs(completed={0: 9.8, 70: 0}, error={0: 0.2, 70: 0}),
            runs("2", completed={0: GONE, 140: 9.4}, error={0: GONE, 140: 0.6}),
        ],
        [At(200), At(250)],
    ),
    Story(
        "release-20-runs",
        "20 runs, of which 8 failed",
        [
            runs(completed={0: 10, 70: 0}, error={0: 0}),
            runs("2", completed={0: GONE, 140: 0.12, 241: 0}, error={0: GONE, 140: 0.08, 241: 0}),
        ],
        [At(240)],
        {"success_ratio": 0.7},
    ),
    Story(
        "release-40-runs",
        "40 runs, of which 16 failed",
        [
            runs(completed={0: 10, 70: 0}, error={0: 0}),
            runs("2", completed={0: GONE, 140: 0.26}, error={0: GONE, 140: 0.14}),
        ],
        [At(250, page(RELEASE))],
        {"success_ratio": 0.6},
    ),
    Story(
        "baseline-60",
        "60 runs to compare with",
        [
            runs(completed={0: 0.95, 60: 0}, error={0: 0.05, 60: 0}),
            runs("2", completed={0: GONE, 140: 0.7}, error={0: GONE, 140: 0.3}),
        ],
        [At(250)],
        {"success_ratio": 0.6},
    ),
    Story(
        "baseline-150",
        "150 runs to compare with",
        [
            runs(completed={0: 2.4, 60: 0}, error={0: 0.1, 60: 0}),
            runs("2", completed={0: GONE, 140: 0.7}, error={0: GONE, 140: 0.3}),
        ],
        [At(250, page(RELEASE))],
        {"success_ratio": 0.6},
    ),
    Story(
        "release-z-2",
        "10 % before, 20 % of 40: two standard errors",
        [
            runs(completed={0: 9, 70: 0}, error={0: 1, 70: 0}),
            runs("2", completed={0: GONE, 140: 0.32}, error={0: GONE, 140: 0.08}),
        ],
        [At(250)],
        {"success_ratio": 0.7},
    ),
    Story(
        "release-z-5",
        "10 % before, 35 % of 40: five standard errors",
        [
            runs(completed={0: 9, 70: 0}, error={0: 1, 70: 0}),
            runs("2", completed={0: GONE, 140: 0.26}, error={0: GONE, 140: 0.14}),
        ],
        [At(250, page(RELEASE))],
        {"success_ratio": 0.6},
    ),
    Story(
        "release-mended",
        "bad for half an hour, then mended without a new version: closed when the last hour is well",
        [
            runs(completed={0: 9.8, 70: 0}, error={0: 0.2, 70: 0}),
            runs("2", completed={0: GONE, 130: 8, 160: 9.8}, error={0: GONE, 130: 2, 160: 0.2}),
        ],
        [At(149), At(150, page(RELEASE)), At(225, page(RELEASE)), At(226)],
        {"success_ratio": 0.7},
    ),
    Story(
        "release-4-points-left",
        "bad for half an hour, then 4 points worse than before: open",
        [
            runs(completed={0: 9.8, 70: 0}, error={0: 0.2, 70: 0}),
            runs("2", completed={0: GONE, 130: 8, 160: 9.4}, error={0: GONE, 130: 2, 160: 0.6}),
        ],
        [At(250, page(RELEASE))],
        {"success_ratio": 0.7},
    ),
    Story(
        "release-1-point-left",
        "bad for half an hour, then 1.5 points worse than before: closed",
        [
            runs(completed={0: 9.8, 70: 0}, error={0: 0.2, 70: 0}),
            runs("2", completed={0: GONE, 130: 8, 160: 9.65}, error={0: GONE, 130: 2, 160: 0.35}),
        ],
        [At(250)],
        {"success_ratio": 0.7},
    ),
]
