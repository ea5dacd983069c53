"""Stories for promtool: what an agent did, minute by minute, and which alerts fire when.

    Story(
        "half-fails",
        "half of the runs fail from 120 to 180 min",
        [runs(completed={0: 2, 120: 1, 180: 2}, error={120: 1, 180: 0})],
        [At(118), At(160, page(BURN)), At(260)],
    )

A story's name is its agent, its model and its job, so that many stories share one world: a run of promtool over all of
them, which costs little more than over one. `At(minute)` names ALL alerts that fire for the story then.

A timeline maps a minute to the rate per minute from then on, until the next entry and beyond the last check: promtool
passes in silence where series end too early. `GONE` takes the series away; where it comes back it begins at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from agent_otel import catalog
from agent_otel.artifacts.prometheus import label_name, metric_name

GONE = None
AGENT, VERSION, MODEL = map(label_name, (catalog.AGENT_NAME, catalog.AGENT_VERSION, catalog.MODEL))


class Reset(NamedTuple):
    """A counter that begins again at 0."""

    rate: float


class Native(NamedTuple):
    """What a native histogram gets per minute: a sum, and counts in buckets of 2^(n-1) to 2^n from `offset` on."""

    sum: float
    buckets: tuple[float, ...]
    offset: int = 0
    custom: tuple[float, ...] = ()

    def __mul__(self, minutes):
        return self._replace(sum=self.sum * minutes, buckets=tuple(count * minutes for count in self.buckets))

    def __add__(self, other):
        buckets = tuple(map(sum, zip(self.buckets, other.buckets, strict=True)))
        return self._replace(sum=self.sum + other.sum, buckets=buckets)

    def __str__(self):
        shape = (
            f"schema:-53 custom_values:[{' '.join(map(_number, self.custom))}]"
            if self.custom
            else f"schema:0 offset:{self.offset}"
        )
        counts = " ".join(map(_number, self.buckets))
        return (
            f"{{{{{shape} count:{_number(sum(self.buckets))} sum:{_number(self.sum)} buckets:[{counts}]}}}}"
        )


@dataclass(frozen=True)
class Series:
    """One series: its name, its labels and its timeline; of a gauge the values themselves."""

    name: str
    labels: dict[str, str]
    timeline: dict[int, float | Reset | Native | None]
    gauge: bool = False
    born_at: float = 0

    def values(self, end, step):
        """In promtool's notation, a sample each `step` minutes."""
        pieces, value, before = [], GONE, GONE
        for minute in range(0, end + step, step):
            began = max((at for at in self.timeline if at <= minute), default=GONE)
            now = GONE if began is GONE else self.timeline[began]
            value, change = self._next(value, now, before, minute == began, step)
            before = now
            if pieces and pieces[-1][1] == change and change is not GONE:
                pieces[-1][2] += 1
            else:
                pieces.append([value, change, 0])
        return " ".join(_piece(*each) for each in pieces)

    def _next(self, value, now, before, begins, step):
        """The sample's value, and how it differs from the sample before it."""
        if now is GONE:
            return GONE, GONE
        if self.gauge:
            return now, f"stays {now}"
        if value is GONE or (isinstance(now, Reset) and begins):
            return now * 0 if isinstance(now, Native) else self.born_at * (value is GONE), "born"
        last = before.rate if isinstance(before, Reset) else before
        return value + last * step, last * step


def _piece(value, change, further):
    if value is GONE:
        return "_"
    if isinstance(change, str):
        return f"{_number(value)}x{further}" if further else _number(value)
    if isinstance(value, Native):
        step = change
        return f"{value}+{step}x{further}" if further else str(value)
    return f"{_number(value)}+{_number(change)}x{further}" if further else _number(value)


def _number(value):
    return str(value) if isinstance(value, Native) else f"{round(value, 8):.12g}"


class Firing(NamedTuple):
    """An alert that fires, with some of its labels."""

    alert: str
    labels: dict[str, str]


def fires(alert, **labels):
    return Firing(alert, labels)


def page(alert, **labels):
    return fires(alert, severity="critical", **labels)


class At:
    """All alerts that fire for a story in a minute."""

    def __init__(self, minute, *firing):
        self.minute, self.firing = minute, firing


class Value(NamedTuple):
    """What a query gives in a minute, rounded to 4 digits; None for nothing."""

    minute: int
    expr: str
    value: float | None


class Says(NamedTuple):
    """The summary of an alert that fires for the story in a minute; NAME is the story's."""

    minute: int
    alert: str
    summary: str


@dataclass(frozen=True)
class Story:
    """What an agent did, and what is seen of it.

    Args:
        name: Of the agent, the model and the job.
        says: What happens, and what follows.
        series: Lists of series.
        checks: What is seen.
        objectives: The agent's own.
    """

    name: str
    says: str
    series: list
    checks: list
    objectives: dict = field(default_factory=dict)

    def __str__(self):
        return self.name

    @property
    def end(self):
        return max(check.minute for check in self.checks)

    def tells_of(self, labels):
        return self.name in (labels.get(AGENT), labels.get(MODEL), labels.get("job"))


def _series(
    metric,
    timeline,
    suffix="",
    *,
    gauge=False,
    born_at=0,
    agent=True,
    model=False,
    version="1",
    instance="i1",
    **labels,
):
    name = metric_name(metric) + suffix
    own = {"job": "%", "instance": instance}
    if agent:
        own |= {AGENT: "%", VERSION: version}
    if model:
        own |= {label_name(catalog.PROVIDER): "openai", MODEL: "%"}
    return Series(name, own | labels, timeline, gauge, born_at)


def runs(version="1", instance="i1", born_at=0, nested=False, **reasons):
    """Finished runs by stop reason, which has its status."""
    further = {label_name(catalog.RUN_NESTED): "true"} if nested else {}
    return [
        _series(
            catalog.RUNS,
            timeline,
            version=version,
            instance=instance,
            born_at=born_at,
            **{
                label_name(catalog.RUN_STATUS): catalog.STOP_REASONS[reason],
                label_name(catalog.STOP_REASON): reason,
            },
            **further,
        )
        for reason, timeline in reasons.items()
    ]


def _classic(metric, buckets, **labels):
    """Cumulative buckets from timelines of the runs in each, by upper bound."""
    bounds = sorted(buckets)
    minutes = sorted({minute for timeline in buckets.values() for minute in timeline})
    found = []
    for bound in (*bounds, float("inf")):
        inside = [buckets[other] for other in bounds if other <= bound]
        timeline = {minute: sum(_rate(each, minute) for each in inside) for minute in minutes}
        found.append(_series(metric, timeline, "_bucket", le=f"{bound:g}".replace("inf", "+Inf"), **labels))
    return found


def _rate(timeline, minute):
    started = [at for at in timeline if at <= minute]
    return timeline[max(started)] if started else 0


def run_seconds(buckets, **labels):
    """Run times: runs per minute in the bucket up to each bound; or a timeline of `Native`."""
    if isinstance(next(iter(buckets.values())), dict):
        return _classic(catalog.RUN_DURATION, buckets, **labels)
    return [_series(catalog.RUN_DURATION, buckets, **labels)]


def _counts(metric, error, timeline, **labels):
    further = {label_name(catalog.ERROR_TYPE): error} if error else {}
    native = isinstance(next(iter(timeline.values())), Native)
    return _series(metric, timeline, "" if native else "_count", **further, **labels)


def tool_calls(ok, instance="i1", named="search", **errors):
    """Tool calls of one tool, and those that ended with an error, by its type."""
    labels = {label_name(catalog.TOOL_NAME): named, "instance": instance}
    return [
        _counts(catalog.TOOL_DURATION, error, timeline, **labels)
        for error, timeline in {"": ok, **errors}.items()
    ]


def model_calls(ok, metric=catalog.INFERENCE_DURATION, **errors):
    """Calls of the story's model, and those that ended with an error, by its type."""
    return [
        _counts(metric, error, timeline, model=True, **{label_name(catalog.OPERATION): "chat"})
        for error, timeline in {"": ok, **errors}.items()
    ]


def run_tokens(finished, tokens=None, version="1"):
    """Runs that finished, and their tokens, per minute; or a timeline of `Native`."""
    if tokens is None:
        return [_series(catalog.RUN_TOKEN_USAGE, finished, version=version)]
    return [
        _series(catalog.RUN_TOKEN_USAGE, finished, "_count", version=version),
        _series(catalog.RUN_TOKEN_USAGE, tokens, "_sum", version=version),
    ]


def per_run(metric, suffix, timeline):
    return [_series(metric, timeline, suffix)]


def tokens(instance="i1", provider="openai", model="%", **types):
    """Tokens of the story's model by type."""
    named = {label_name(catalog.PROVIDER): provider, MODEL: model}
    return [
        _series(
            catalog.TOKENS, timeline, instance=instance, **named, **{label_name(catalog.TOKEN_TYPE): kind}
        )
        for kind, timeline in types.items()
    ]


def prices(instance="i1", provider="openai", model="%", **types):
    """Prices of the story's model by token type: values, not rates."""
    named = {label_name(catalog.PROVIDER): provider, MODEL: model}
    return [
        _series(
            catalog.TOKEN_PRICE,
            price if isinstance(price, dict) else {0: price},
            gauge=True,
            agent=False,
            instance=instance,
            **named,
            **{label_name(catalog.TOKEN_TYPE): kind},
        )
        for kind, price in types.items()
    ]


def usage_missing(timeline):
    return [_series(catalog.USAGE_MISSING, timeline, model=True)]


def active(timeline, instance="i1"):
    """Runs in flight: values, not rates."""
    return [_series(catalog.ACTIVE_RUNS, timeline, gauge=True, instance=instance)]


def oldest(timeline, instance="i1"):
    """Age of the oldest run in seconds: values, not rates."""
    return [_series(catalog.OLDEST_AGE, timeline, gauge=True, instance=instance)]


def verdicts(named="solved", version="1", **labels):
    """Evaluations by their label."""
    return [
        _series(
            catalog.EVALUATIONS,
            timeline,
            version=version,
            **{label_name(catalog.EVALUATION_NAME): named, label_name(catalog.EVALUATION_LABEL): label},
        )
        for label, timeline in labels.items()
    ]


def dropped(measurements=None, **attributes):
    """What got lost: measurements, and attributes by reason."""
    found = [
        _series(
            catalog.DROPPED_ATTRIBUTES, timeline, agent=False, **{label_name(catalog.DROP_REASON): reason}
        )
        for reason, timeline in attributes.items()
    ]
    if measurements:
        found.append(_series(catalog.DROPPED_MEASUREMENTS, measurements, agent=False))
    return found


def overflow(metric, timeline):
    """The SDK's point without labels."""
    return [_series(metric, timeline, agent=False, otel_metric_overflow="true")]
