"""Programs that replay the recorded runs, each a process of its own that is told everything by its environment."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from tests.receivers import free_port
from tests.recorded_runs import SAID

REPLAY = Path(__file__).resolve().parent / "recorded_runs.py"
EXAMPLE = REPLAY.parent.parent / "examples" / "replay_recorded_runs.py"
LAST_WORDS = {REPLAY: SAID, EXAMPLE: "150 runs replayed\n"}
SECONDS = 60  # nothing is waited for longer


def environment(**variables):
    """This process's, without what would configure OpenTelemetry, and with warnings as errors."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OTEL_"))
    }
    return {**kept, "PYTHONWARNINGS": "error", **variables}


def ended(program, *share, **variables):
    """What the program printed on its way to a good end."""
    done = subprocess.run(
        [sys.executable, program, *share],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert LAST_WORDS[program] == done.stderr
    assert done.returncode == 0

    return done.stdout


@contextmanager
def served(program, *share, **variables):
    """The host and port of the program's page, from the moment that everything is on it."""
    port = free_port()
    place = {"OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, program, *share],
        env=environment(**place, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = threading.Timer(SECONDS, process.kill)
    deadline.start()
    try:
        said = []
        while not said or (said[-1] and "served" not in said[-1]):
            said.append(process.stderr.readline())

        assert said[-1], f"{program.name} ended, or took more than {SECONDS} s: {''.join(said)}"

        yield f"127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        process.wait()

        assert process.stderr.read() == ""
        assert process.returncode == 0
    finally:
        deadline.cancel()
        process.kill()
        process.communicate()
