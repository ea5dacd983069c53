"""`agent-otel`, each command run as a process, as people run it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter

import pytest

import agent_otel
from agent_otel import catalog
from tests.receivers import free_port, needs_pages, otlp_http, over_http, taken_port

PROGRAM = "from agent_otel.cli import main; main()"
AGENTS = ("research-planner", "support-bot")
METRICS = (
    "latency_p95",
    "tool_error_rate",
    "token_usage_per_run",
    "success_rate",
    "cost_per_run",
    "tool_calls_per_run",
    "run_count",
    "stop_reason",
)

ONCE = """\
 agent-otel demo                    simulated minute 30 of 30, runs in flight: 3
 Metric                    Current            Trend           Status
────────────────────────────────────────────────────────────────────────────────
 research-planner
  latency_p95              66.5 s             -3% in 30 min   ok
  tool_error_rate          4.6 %              +2pp in 15 min  ok
  token_usage_per_run      67.1k              0% in 1 hour    ok
  success_rate             96.2 %             -1.3pp in 1     ok
                                              hour
  cost_per_run (estimate)  $0.099             -1% in 1 hour   ok
  tool_calls_per_run       10.2               -2% in 1 hour   ok
  run_count                133 /h             -20% in 1 hour  ok
  stop_reason              1.5 % model_error  -0.8pp not      ok
                                              completed in 1
                                              hour
 support-bot
  latency_p95              32.1 s             +89% in 30 min  ok
  tool_error_rate          21.7 %             -4.3pp in 15    warning: above SLO
                                              min
  token_usage_per_run      8k                 -1% in 1 hour   ok
  success_rate             95.6 %             +0.8pp in 1     ok
                                              hour
  cost_per_run (estimate)  $0.014             -1% in 1 hour   ok
  tool_calls_per_run       2.7                -1% in 1 hour   ok
  run_count                357 /h             -5% in 1 hour   ok
  stop_reason              2.3 % cancelled    -1.7pp not      ok
                                              completed in 1
                                              hour

 alerts        warning: AgentToolErrorRateHigh support-bot get_order
 incident      from minute 1 to 31: half of the calls of get_order never return
 latency_p50   research-planner 38.6 s, support-bot 12.7 s
 stop reasons  research-planner: completed 95.5%, model_error 1.5%, max_steps
               1.5%, cancelled 0.8%, refused 0.8%
               support-bot: completed 93.5%, cancelled 2.3%, human_handoff 1.7%,
               max_steps 1.7%, refused 0.3%, tool_error 0.3%, model_error 0.3%
 about         simulated: one second is a minute, and the day before is taken to
               have been as the hour before
"""


def agent_otel_cli(*arguments, before=""):
    return subprocess.run(
        [sys.executable, "-c", f"{before}{PROGRAM}", *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_with_what_it_does():
    done = agent_otel_cli("--help")

    assert done.returncode == 0
    assert "Usage: agent-otel [OPTIONS] COMMAND" in done.stdout
    assert "backends  Where metrics can go; with NAME, its variables for sh." in done.stdout
    assert "demo      Two simulated agents and their production metrics" in done.stdout
    assert "export    Recording rules, alerts and dashboards, for your set-up." in done.stdout


def test_the_version_is_the_packages():
    done = agent_otel_cli("--version")

    assert (done.returncode, done.stdout) == (0, f"agent-otel {agent_otel.__version__}\n")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_extra_it_says_in_one_line_what_to_install(missing):
    done = agent_otel_cli("demo", before=f"import sys; sys.modules[{missing!r}] = None; ")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "agent-otel needs its extra: pip install 'agent-otel[cli]'\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["dmeo"], "No such command 'dmeo'"),
        (["demo", "--seconds", "0"], "0 is not in the range 1<=x<=3600"),
        (
            ["demo", "--incident", "fire"],
            "'fire' is not one of 'bad-release', 'tool-outage', 'token-spike', 'loop', 'slow-model'",
        ),
        (["demo", "--export", "statsd"], "'statsd' is not one of 'prometheus', 'otlp'"),
        (["demo", "--port", "65536"], "65536 is not in the range 0<=x<=65535"),
    ],
)
def test_a_wrong_command_or_option_is_named_and_exits_with_2(arguments, complaint):
    done = agent_otel_cli(*arguments)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version_load_neither_the_sdk_nor_an_exporter():
    code = (
        "import atexit, sys; from agent_otel.cli import main;"
        " atexit.register(lambda: print(*sorted(sys.modules))); sys.argv[1:] = ['--help']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = done.stdout.split()

    assert [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []


def demo(*arguments, cwd=None, before="", **variables):
    return subprocess.run(
        command(*arguments, before=before),
        env=environment(variables),
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def command(*arguments, before=""):
    return [sys.executable, "-c", f"{before}from agent_otel.cli import main; main()", "demo", *arguments]


def environment(variables):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OTEL_"))
    }
    return {**kept, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **variables}


def stripped(text):
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_once_prints_the_table_as_plain_text_and_leaves_nothing_behind(tmp_path):
    done = demo("--once", "--seed", "7", "--incident", "tool-outage", cwd=tmp_path, HOME=str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert stripped(done.stdout) == ONCE
    assert list(tmp_path.iterdir()) == []


def test_once_as_json_is_one_object_with_every_figure_of_every_agent():
    done = demo("--once", "--json", "--seconds", "32", "--incident", "tool-outage")
    record = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert {
        key: record[key]
        for key in ("schema_version", "seed", "incident", "simulated_minutes", "export", "delivered")
    } == {
        "schema_version": 2,
        "seed": 7,
        "incident": "tool-outage",
        "simulated_minutes": 32,
        "export": "",
        "delivered": None,
    }
    assert {tuple(row) for row in record["rows"]} == {
        ("agent", "metric", "value", "current", "trend", "status", "level")
    }
    assert {(row["agent"], row["metric"]) for row in record["rows"]} == {
        (agent, metric) for agent in AGENTS for metric in METRICS
    }
    assert [row["metric"] for row in record["rows"] if row["level"]] == ["tool_error_rate"]
    assert [(each["alert"], each["severity"]) for each in record["alerts"]] == [
        ("AgentToolErrorRateHigh", "warning")
    ]
    assert {agent: sum(shares.values()) for agent, shares in record["stop_reasons"].items()} == {
        agent: pytest.approx(1) for agent in AGENTS
    }
    assert set(record["latency_p50"]) == set(AGENTS)
    assert [(each["agent"], each["name"]) for each in record["releases"]] == [
        ("research-planner", "3.1.0"),
        ("support-bot", "1.7.2"),
    ]


def test_an_incident_that_is_over_says_so():
    done = demo("--once", "--seconds", "31", "--incident", "loop")

    assert "from minute 1 to 31 (over)" in done.stdout


@pytest.fixture(scope="module")
def live():
    """Two seconds of the demo as JSON lines, and its page after the first."""
    process = subprocess.Popen(
        command("--seconds", "2", "--json", "--port", "0"),
        env=environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [json.loads(process.stdout.readline())]
    with urllib.request.urlopen(lines[0]["export"], timeout=10) as answer:
        page = answer.read().decode()
    lines += map(json.loads, process.communicate(timeout=60)[0].splitlines())
    return process.returncode, lines, page


@needs_pages
def test_json_is_a_line_each_second_and_one_at_the_end(live):
    code, lines, _ = live

    assert (code, [line["simulated_minutes"] for line in lines]) == (0, [1, 2, 2])
    assert all(line["runs_in_flight"] >= 0 for line in lines)
    assert lines[-1]["export"] == f"the page was at {lines[0]['export']} while the demo ran"


@needs_pages
def test_the_prometheus_page_and_the_table_tell_the_same(live):
    _, lines, page = live
    counted = Counter()
    for agent, value in re.findall(
        r'^agent_otel_runs_total\{.*gen_ai_agent_name="([^"]+)".*\} (\S+)$', page, re.MULTILINE
    ):
        counted[agent] += float(value)

    shown_then = [
        {row["agent"]: row["value"] for row in line["rows"] if row["metric"] == "run_count"} for line in lines
    ]

    assert any(
        counted[agent] == pytest.approx(now[agent], rel=0.05) for now in shown_then for agent in AGENTS
    )


@needs_pages
def test_it_ends_with_the_figures_that_once_prints_at_once(live):
    _, lines, _ = live

    assert json.loads(demo("--once", "--json", "--seconds", "2").stdout)["rows"] == lines[-1]["rows"]


@needs_pages
def test_a_pipe_gets_no_control_codes_and_the_table_once_at_the_end():
    port = free_port()
    done = demo("--seconds", "1", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))

    assert done.returncode == 0
    assert done.stderr == f"metrics: http://127.0.0.1:{port}/metrics\n"
    assert "\x1b" not in done.stdout
    assert done.stdout.count("agent-otel demo") == 1
    assert "simulated minute 1 of 1, runs in flight: " in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_a_terminal_gets_a_table_that_is_refreshed():
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("--seconds", "1", "--port", "0"),
        env=environment({"TERM": "xterm-256color", "LINES": "30"}),
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
    os.close(ours)

    assert process.wait(timeout=60) == 0
    assert written.count("run_count") >= 2
    assert "\x1b[" in written
    assert "Traceback" not in written


def read_terminal(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux' word for "the other end is closed"
        return b""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_ctrl_c_ends_it_with_130_and_no_traceback():
    process = subprocess.Popen(
        command("--json", "--port", "0"),
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (130, "")


@needs_pages
def test_where_the_usual_port_is_taken_the_page_stands_on_a_free_one_and_says_so():
    with taken_port() as taken:
        done = demo("--seconds", "1", OTEL_EXPORTER_PROMETHEUS_PORT=str(taken))

    assert done.returncode == 0
    assert re.fullmatch(
        rf"metrics: http://127\.0\.0\.1:(?!{taken}/)\d+/metrics, since port {taken} is taken\n", done.stderr
    )


@needs_pages
def test_a_port_that_was_asked_for_and_is_taken_is_an_error():
    with taken_port() as taken:
        done = demo("--port", str(taken))

    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot serve on 127.0.0.1:{taken}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_told_as_configure_tells_it():
    done = demo("--once", AGENT_OTEL_SEMCONV="v9")

    assert (done.returncode, done.stdout) == (1, "")
    assert "AGENT_OTEL_SEMCONV='v9'" in done.stderr
    assert "Traceback" not in done.stderr


@needs_pages
@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "http", "'http': use a port from 0 to 65535"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "65536", "'65536': use a port from 0 to 65535"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "no.such.host.invalid", "look at OTEL_EXPORTER_PROMETHEUS_HOST"),
    ],
)
def test_a_page_that_cannot_be_served_is_an_error_that_names_the_variable(variable, value, complaint):
    done = demo(**{variable: value})

    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("prometheus", ["opentelemetry.exporter", "opentelemetry.exporter.prometheus"])
def test_without_the_prometheus_extra_there_is_no_page_but_a_table(prometheus):
    done = demo("--seconds", "1", before=f"import sys; sys.modules[{prometheus!r}] = None; ")

    assert done.returncode == 0
    assert "a page needs pip install 'agent-otel[prometheus]'" in done.stderr
    assert "run_count" in done.stdout


def test_a_disabled_sdk_is_an_error_that_names_the_variable():
    done = demo("--once", OTEL_SDK_DISABLED="true")

    assert (done.returncode, done.stdout) == (1, "")
    assert "unset OTEL_SDK_DISABLED" in done.stderr
    assert "Traceback" not in done.stderr


def test_otlp_without_a_collector_ends_in_time_and_says_that_nothing_was_delivered():
    endpoint = f"http://user:secret@127.0.0.1:{free_port()}"
    done = demo(
        *("--once", "--json", "--seconds", "2", "--export", "otlp"),
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    record = json.loads(done.stdout)

    assert done.returncode == 0
    assert record["delivered"] is False
    assert record["export"] == (
        f"nothing was delivered to {endpoint.replace('user:secret@', '')}: no collector there?"
    )
    assert len(record["rows"]) == len(AGENTS) * len(METRICS)
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def test_otlp_pushes_to_the_collector_of_the_standard_variables_what_the_table_tells():
    with otlp_http() as received:
        done = demo("--once", "--json", "--seconds", "2", "--export", "otlp", **over_http(received))
    record = json.loads(done.stdout)

    count = sum(row["value"] for row in record["rows"] if row["metric"] == "run_count")

    assert (done.returncode, done.stderr) == (0, "")
    assert (record["export"], record["delivered"]) == (f"delivered to http://127.0.0.1:{received.port}", True)
    assert count == pytest.approx(
        received.total(catalog.RUNS.name), rel=0.05
    )  # of an hour, and of 62 minutes
    assert {each["service.name"] for each in received.resources.values()} == {"agent-otel-demo"}
