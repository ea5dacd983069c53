"""All stories, by the world that they are played in, and how what is seen differs from what is told."""

from __future__ import annotations

from tests.real.rules import alone, days, hours, minutes_of_calls, minutes_of_releases, minutes_of_runs, weeks
from tests.real.rules.promtool import World, valued
from tests.real.rules.story import At, Says, Value

WORLDS = {
    "minutes": World([*minutes_of_runs.STORIES, *minutes_of_releases.STORIES, *minutes_of_calls.STORIES]),
    "without-prices": World(alone.WITHOUT_PRICES),
    "nothing": World(alone.NOTHING),
    "fleet": World(alone.FLEET),
    "hours": World(hours.STORIES, 5),
    "days": World(days.STORIES, 5),
    **{f"weeks-{alert}": World(stories, 5, alert) for alert, stories in weeks.BY_ALERT.items()},
}


def surprises(story, played):
    """What isn't as the story tells it."""
    found = []
    for check in story.checks:
        if isinstance(check, Value) and (said := played.wrong.get((check.minute, valued(story, check)))):
            found.append(said)
        if isinstance(check, At) and not agree(check.firing, played.firing(story, check.minute)):
            found.append(f"at {check.minute}: {played.firing(story, check.minute)}, told: {check.firing}")
        if isinstance(check, Says):
            said = played.said.get((check.minute, check.alert), [])
            if check.summary.replace("NAME", story.name) not in said:
                found.append(f"at {check.minute}: {said}, told: {check.summary}")
    return found


def agree(told, seen):
    """Whether as many fire as are told, each told of, and each seen."""
    pairs = [
        [{"alertname": firing.alert, **firing.labels}.items() <= labels.items() for labels in seen]
        for firing in told
    ]
    return (
        len(told) == len(seen)
        and all(map(any, pairs))
        and all(any(column) for column in zip(*pairs, strict=True))
    )


def notices(story, played, mutant):
    """Whether a story tells a mutant from its original."""
    for check in story.checks:
        if not isinstance(check, At):
            continue
        told = [
            firing._replace(alert=mutant.alert.name)
            for firing in check.firing
            if firing.alert == mutant.original
            and firing.labels.get("severity", mutant.severity) == mutant.severity
        ]
        seen = played.firing(story, check.minute, mutant.alert.name.partition("_")[2])
        if not agree(told, seen):
            return True
    return False
