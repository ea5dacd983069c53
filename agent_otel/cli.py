"""`agent-otel`, the command of the extra `cli`.

Rules for whoever adds a command:

1. A command is a module with a `command`, named in `COMMANDS`. All are imported at each start, so such a module
   imports click and the standard library, and what else it needs when it runs.
2. What was asked for goes to standard output, messages go to standard error.
3. Nothing here may need click to be imported: without the extra, this file says what to install.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

from agent_otel._version import __version__

COMMANDS: Final = (
    "agent_otel.artifacts.backends_command",
    "agent_otel.artifacts.export_command",
    "agent_otel.demo.command",
    "agent_otel.prices.command",
)

_HELP: Final = "Production metrics of AI agents through OpenTelemetry."


def main() -> None:
    """Run `agent-otel`, or say what it needs.

    Raises:
        SystemExit: Always: 0 when all went well, 1 without the extra or when something failed, 2 for a wrong
            option, 130 after Ctrl-C.
    """
    try:
        import click  # noqa: PLC0415 -- an extra
        import rich  # noqa: F401, PLC0415 -- an extra, and the commands print with it
    except ImportError:
        sys.exit("agent-otel needs its extra: pip install 'agent-otel[cli]'")
    commands = [importlib.import_module(module).command for module in COMMANDS]
    group = click.Group("agent-otel", commands=commands, help=_HELP)
    click.version_option(__version__, message="%(prog)s %(version)s")(group)
    group(prog_name="agent-otel")
