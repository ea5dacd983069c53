"""Plays stories through promtool, which runs our rules and alerts as a Prometheus does, without its time."""

from __future__ import annotations

import json
import re
import subprocess
from typing import NamedTuple

from agent_otel.artifacts import alerts, objectives, rules
from agent_otel.artifacts.prometheus import Options
from agent_otel.artifacts.rule_file import Rule, rule_file
from tests.real.rules.story import AGENT, Says, Story, Value
from tests.real.servers import tool

DEFAULT = Options()
ALARMS = 'ALERTS{alertstate="firing"}'


class Played(NamedTuple):
    """What promtool saw: labels by minute and query, summaries by minute and alert, and values that aren't as told."""

    seen: dict[tuple[int, str], list[dict[str, str]]]
    said: dict[tuple[int, str], list[str]]
    wrong: dict[tuple[int, str], str]

    def firing(self, story, minute, mutant=""):
        """What fires for a story: of our alerts, or of one mutant."""
        return [
            labels
            for labels in self.seen.get((minute, ALARMS), [])
            if story.tells_of(labels) and labels["alertname"].partition("_")[2] == mutant
        ]


class World(NamedTuple):
    """Stories that share the time, and nothing else.

    Args:
        stories: With names of their own.
        step: Minutes between two samples, and between two evaluations.
        only: The one alert that is played, with what it reads: a hundred rules less, for stories of weeks.
    """

    stories: list[Story]
    step: int = 1
    only: str | None = None


def play(folder, world, alert_rules=None, asked=(), options=DEFAULT):
    """Run promtool over all stories of a world at once.

    Args:
        folder: For its files.
        world: The stories.
        alert_rules: Instead of ours.
        asked: Further queries, each with its minute.
        options: The set-up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stories, step, _ = world
    groups = _write_rules(folder, world, alert_rules or alerts.alert_rules(options), options)
    checks = [(story, check) for story in stories for check in story.checks]
    minutes = sorted({check.minute for _, check in checks})
    assert not [minute for minute in minutes if minute % step]
    asked = [*((minute, ALARMS) for minute in minutes), *asked]
    test = {
        "interval": f"{step}m",
        "input_series": [
            {"series": _selector(story, series), "values": series.values(minutes[-1], step)}
            for story in stories
            for some in story.series
            for series in some
        ],
        "promql_expr_test": [
            *[{"expr": expr, "eval_time": f"{minute}m", "exp_samples": []} for minute, expr in asked],
            *[_value(story, check) for story, check in checks if isinstance(check, Value)],
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []}
            for minute, alert in {
                (check.minute, check.alert) for _, check in checks if isinstance(check, Says)
            }
        ],
    }
    file = folder / "stories.json"  # JSON is YAML
    file.write_text(
        json.dumps(
            {
                "rule_files": list(groups),
                "group_eval_order": list(groups.values()),  # at random otherwise
                "evaluation_interval": f"{step}m",
                "fuzzy_compare": True,
                "tests": [test],
            }
        )
    )
    command = [tool("promtool"), "test", "rules", file]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return _read(done.stdout + done.stderr, {expr for _, expr in asked})


def _write_rules(folder, world, alert_rules, options):
    """Write the three files, and return the group of each, in order."""
    own = [
        Rule("agent_objective:override", f"vector({value})", {"objective": name, AGENT: story.name})
        for story in world.stories
        for name, value in story.objectives.items()
    ]
    recording = rules.recording_rules(options)
    if world.only:
        alert_rules = [alert for alert in alert_rules if alert.name.startswith(world.only)]
        recording = _read_by(alert_rules, recording)
    files = {}
    for name, group, content in (
        ("objectives.yml", objectives.GROUP, own),
        ("rules.yml", rules.GROUP, recording),
        ("alerts.yml", alerts.GROUP, alert_rules),
    ):
        if content:
            (folder / name).write_text(rule_file("", group, content, options.runbook))
            files[name] = group
    return files


def _read_by(readers, recording):
    read = " ".join(reader.expr for reader in readers)
    found = []
    for rule in reversed(recording):
        if re.search(rf"(?<![\w:]){rule.record}(?![\w:])", read):
            found.insert(0, rule)
            read += f" {rule.expr}"
    return found


def _selector(story, series):
    labels = (f'{key}="{value.replace("%", story.name)}"' for key, value in series.labels.items())
    return f"{series.name}{{{','.join(labels)}}}"


def valued(story, check):
    """The query of a story's value."""
    expr = check.expr.replace("%", f'{AGENT}="{story.name}"')
    return f"sum(round({expr}, 0.0001))"


def _value(story, check):
    expected = [] if check.value is None else [{"labels": "{}", "value": check.value}]
    return {"expr": valued(story, check), "eval_time": f"{check.minute}m", "exp_samples": expected}


_QUERY = re.compile(r'expr: "((?:[^"\\]|\\.)*)", time: (\w+),\s+exp: (.*)\n\s+got: (.*)')
_ALERT = re.compile(r"alertname: (\w+), time: (\w+), \n\s+exp:\[\S*, \n\s+got:\[\n(.*?)\n\s+\]\n", re.DOTALL)
_SAMPLE = re.compile(r"\{(.*?)\} [-0-9+]")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def _read(output, asked):
    """promtool says what it got where that isn't what it expected, and of what is asked nothing is."""
    assert "FAILED" in output or "SUCCESS" in output, output
    assert ", err: " not in output, (
        output
    )  # promtool loads 10,000 samples for a rule at most: split the world
    queries = [
        (json.loads(f'"{expr}"'), time, expected, got) for expr, time, expected, got in _QUERY.findall(output)
    ]
    assert output.count("expr: ") == len(queries), output
    seen = {
        (_minutes(time), expr): [_labels(sample) for sample in _SAMPLE.findall(got)]
        for expr, time, _, got in queries
        if expr in asked
    }
    wrong = {
        (_minutes(time), expr): f"{expr} is {got}, told: {told}"
        for expr, time, told, got in queries
        if expr not in asked
    }
    said = {
        (_minutes(time), alert): [
            _labels(line)["summary"] for line in got.splitlines() if "Annotations" in line
        ]
        for alert, time, got in _ALERT.findall(output)
    }
    return Played(seen, said, wrong)


def _labels(text):
    return {key: json.loads(f'"{value}"') for key, value in _LABEL.findall(text)}


def _minutes(text):
    units = {"d": 1440, "h": 60, "m": 1, "s": 0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))
