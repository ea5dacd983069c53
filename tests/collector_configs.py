"""The Collector's configurations as data: which there are, how they are combined, what they ask for."""

import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent.parent / "collector-config"
FILES = sorted(
    str(path.relative_to(FOLDER))
    for path in FOLDER.rglob("*.yaml")
    if path.name != "builder.yaml"
    and re.search(r"^(processors|exporters|service):$", path.read_text(), re.MULTILINE)
)
"""Every configuration; what else is YAML there has none of these."""

# What signs in there is an extension that can't be had: the proxy of Go modules refuses it, or what it needs.
NOT_HERE = {
    "azure_auth": "backends/azure-monitor.yaml",
    "googleclientauth": "backends/google-cloud.yaml",
}


def text_of(file):
    return (FOLDER / file).read_text()


def head_of(file):
    """The comment that a file begins with."""
    return re.match(r"(?:#.*\n)+", text_of(file))[0]


def load(file):
    return yaml.safe_load(text_of(file))


def commands_of(file):
    """The files of each command that its head shows, in the order of `--config`."""
    shown = re.findall(r"\botelcol((?: --config \S+)+)$", head_of(file), re.MULTILINE)
    return [tuple(re.findall(r"--config (\S+)", command)) for command in shown]


COMMANDS = sorted({command for file in FILES for command in commands_of(file)})
"""Every command that a head shows."""


def variables_of(file):
    """The environment variables that it reads, each with its default; None if it must be set."""
    body = text_of(file).removeprefix(head_of(file))
    return {
        name: default[2:] if default else None
        for name, default in re.findall(r"\$\{env:(\w+)(:-[^}]*)?\}", body)
    }


def must_be_set(command):
    """The variables that have no default, over all files of a command."""
    return sorted(
        {name for file in command for name, default in variables_of(file).items() if default is None}
    )


def may_be_set():
    """Each variable that has a default which isn't empty, with every file that reads it."""
    return [(file, name) for file in FILES for name, default in sorted(variables_of(file).items()) if default]


def components(config):
    """The types of its components, by kind."""
    kinds = ("receivers", "processors", "connectors", "exporters", "extensions")
    return {kind: {name.partition("/")[0] for name in config.get(kind, {})} for kind in kinds}
