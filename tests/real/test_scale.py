"""The bench of the gateway tier, small: that it measures what it says, and that nothing gets lost on the way."""

import subprocess
import sys

from tests.real.servers import ROOT, SECONDS, tool

COLUMNS = {"processes": 5, "points": 910, "series": 3215}


def test_every_point_of_every_process_goes_through_the_gateways_and_is_in_the_table():
    for binary in ("otelcol", "prometheus", "vmauth"):
        tool(binary)
    command = [sys.executable, "-m", "benchmarks.scale", "--instances", "5", "--rounds", "2"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert done.returncode == 0, done.stderr

    head, rule, row = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    )
    table = dict(zip(head, row, strict=True))

    assert set(rule) == {"---"}
    assert {name: int(table[name]) for name in COLUMNS} == COLUMNS
    assert float(table["points/s"]) > 0
