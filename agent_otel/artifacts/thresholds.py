"""What counts as usual, slow, dear or too much: every threshold of the rules and alerts, once, with its reason.

A change here changes when people are woken: for every number in an alert `tests/real/test_rules.py` has a story that
notices.
"""

from __future__ import annotations

from typing import Final

# Objectives: the defaults for an agent that has none of its own in agent.objectives.yml.

SUCCESS_RATIO: Final = 0.95
"""Runs that end as completed: agents in production stand at 90 to 98 %."""

RUN_P95_SECONDS: Final = 300
"""The recorded agents have a p95 of 39 to 470 s; 30 s, the figure of a web service, would fire for all of them."""

COST_USD_PER_HOUR: Final = 50
"""Above what an agent costs in a normal hour, below what a loop over a week-end costs unseen."""

TOOL_ERROR_RATIO: Final = 0.1
"""Tools fail now and then and the agent tries again: below a tenth its runs still succeed."""

TOOL_CALLS_PER_RUN: Final = 50
"""Calls of one tool in one run: a hard limit for agents of which nothing is known to be usual yet."""

# Success: how fast the budget of failures burns. See `agent:burn_threshold:page` for what comes out.

PAGE_BURN: Final = 14.4
TICKET_BURN: Final = 6
"""Google's factors for a budget of 30 days, good for objectives of 99 % and more."""

PAGE_SHARE: Final = 0.25
TICKET_SHARE: Final = 0.05
"""Below that 14.4 budgets are more than all runs. So a page is at most this share of the runs within the objective,
beside the budget itself, and can be reached at every objective."""

FEWEST_FAILURES: Final = 5
"""Fewer are told as cases, not as a trend: of runs, of a tool's calls, of a model's calls, of verdicts."""

FEWEST_RUNS_NOW: Final = 5
"""The shortest window that holds as many runs, or verdicts, says whether it still goes on."""

SURE: Final = 3
"""Standard errors: by chance once in 740 looks."""

SURE_FOR_LONG: Final = 3.7
"""The same where a test is repeated every minute for a day or for ever: simulated releases without any difference page
in 0.7 % of the cases or fewer, where 2.33 on the last hour did in 60 %."""

# Releases

WORSE: Final = 0.05
"""Points of success that a release may lose before it matters."""

STILL_WORSE: Final = 0.025
"""Points in the last hour: less, and it has been mended meanwhile."""

FEWEST_RELEASE_RUNS: Final = 30
FEWEST_BASELINE_RUNS: Final = 100
"""With less the normal approximation of two proportions doesn't hold."""

# Run time

FEWEST_RUNS_FOR_P95: Final = 20
"""In 30 minutes: of fewer, the slowest run alone is the p95."""

STUCK_AGE: Final = 5
"""Times the objective of p95, for the age of one run: of log-normal run times with a sigma of 1, one in 1,700."""

SLOW_OBJECTIVE_SECONDS: Final = 1800
"""Up to this objective the runs of an hour tell of those in flight; slower agents need six."""

# Tools

USUAL_TIMES: Final = 2
FEWEST_CALLS_PER_RUN: Final = 10
FEWEST_CALLS: Final = 50
"""Twice the usual calls per run, but not from 1 to 2, nor of one run alone."""

# Tokens

RELEASE_TOKENS: Final = 1.2
HOUR_TOKENS: Final = 1.5
"""Times the usual tokens per run: of a release, which is compared with a week, and of an hour, which has its moods.
Both with `(ratio - 1) * sqrt(runs) > SURE`, three standard errors for a spread as large as the mean (the recorded runs
have a third of that): 1.2 needs 225 runs, 1.5 needs 36."""

# Cost

USAGE_MISSING_RATIO: Final = 0.05
"""Calls without usage: the cost is under-reported by about as much."""

# Stop reasons

SHIFT: Final = 0.1
"""Points of all runs that one stop reason gains over its own median."""

# Models

MODEL_ERROR_RATIO: Final = 0.05
"""Calls that end with one class of error: clients try again, so users feel more than this."""

# Runs that stop

BUSY: Final = 20
"""Runs an hour at this time a week or a day ago: with fewer, half an hour without one is chance."""

# Quality

QUALITY_DROP: Final = 0.1
QUALITY_STILL_DOWN: Final = 0.05
"""Points of the share of passed verdicts below its own week: in six hours, and lately."""

FEWEST_BASELINE_VERDICTS: Final = 50

# History

FEWEST_HOURS: Final = 6
"""Of history before a median is called usual."""
