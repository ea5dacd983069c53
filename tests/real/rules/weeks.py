"""Stories of weeks, a sample each 5 minutes, each played for one alert alone."""

from __future__ import annotations

from tests.real.rules.names import RELEASE, SPAM, SPIKE, STOPPED
from tests.real.rules.story import GONE, At, Story, fires, page, run_tokens, runs, tool_calls

DAY = 1440


def on_days(rate, *days):
    """A rate on these days, nothing on the others."""
    return {day * DAY: rate if day in days else 0 for day in range(max(days) + 2)}


def at_night(rate, *nights):
    """Two hours of work, from one to three."""
    return {0: 0} | {
        night * DAY + hour * 60: rate if night in nights and hour == 1 else 0
        for night in range(3)
        for hour in (1, 3)
    }


STOPPING = [
    Story(
        "idle-weekends",
        "nothing from the second Saturday on: silent on Saturday and Sunday, fires on Monday",
        [runs(completed=on_days(0.5, 0, 1, 2, 3, 4, 7, 8, 9, 10, 11))],
        [At(12 * DAY + 720), At(13 * DAY + 720), At(14 * DAY + 600, page(STOPPED))],
    ),
    Story(
        "quiet-week",
        "10 runs an hour a week ago are too few",
        [runs(completed={0: 0.1666, 8 * DAY: 0})],
        [At(8 * DAY + 200)],
    ),
    Story(
        "scaled-to-zero",
        "no series at the weekend: silent; switched off for good in the week: fires, and gives up after 3 days",
        [runs(completed={0: 1, 5 * DAY: GONE, 7 * DAY: 1, 12 * DAY: GONE, 14 * DAY: 1, 16 * DAY: GONE})],
        [
            At(12 * DAY + 200),
            At(16 * DAY + 200, page(STOPPED)),
            At(21 * DAY + 200),
        ],
    ),
]

RELEASING = [
    Story(
        "every-second-night",
        "a release that sleeps every second night is no new one",
        [
            runs("2", completed=at_night(9.8, 0, 1, 2), error=at_night(0.2, 0, 1, 2)),
            runs("1", completed=at_night(8, 0, 2), error=at_night(2, 0, 2)),
        ],
        [At(2 * DAY + 175)],
    )
]

SPAMMING = [
    Story(
        "loops-for-days",
        "still firing 3 days later: a mean of the last day had silenced it within 9 h",
        [runs(completed={0: 2}), tool_calls({0: 6, 4 * DAY: 30})],
        [At(4 * DAY), At(4 * DAY + 120, fires(SPAM)), At(7 * DAY - 20, fires(SPAM))],
    )
]

SPIKING = [
    Story(
        "hungry-for-days",
        "still firing 3 days later: a mean and sigma of the last day had silenced it within 3 h",
        [runs(completed={0: 2}), run_tokens({0: 2}, {0: 9000, 4 * DAY: 18000})],
        [At(4 * DAY), At(4 * DAY + 120, fires(SPIKE)), At(7 * DAY - 20, fires(SPIKE))],
    )
]

BY_ALERT = {STOPPED: STOPPING, RELEASE: RELEASING, SPAM: SPAMMING, SPIKE: SPIKING}
