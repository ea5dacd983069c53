"""How it ends, and what forks: flush, shutdown, exit, signals, children; bounded in time, and honest."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.request import urlopen

import pytest

from tests import receivers as at

OTLP = {"OTEL_METRICS_EXPORTER": "otlp"}
MARGIN = 2.0  # what a busy machine may take beside the timeout


@contextmanager
def refusing():
    """A port where nobody listens."""
    yield at.free_port()


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request, require):
    if request.param == "grpc":
        require("grpc", "pip install 'agent-otel[grpc]'")
    return request.param


def to(port, protocol="http/protobuf"):
    return OTLP | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


# Says what each call gave and how long it took, then leaves without atexit.
TIMED = """
import os, sys, time

def timed(action, *args):
    began = time.monotonic()
    print(action.__name__, action(*args), time.monotonic() - began)

def leave():
    sys.stdout.flush()
    os._exit(0)
"""


def lines(done):
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("dead", [refusing, at.black_hole])
def test_flush_and_shutdown_end_in_time_and_say_that_nothing_was_delivered(dead, protocol):
    with dead() as port:
        done = at.run(
            TIMED
            + """
agent_otel.configure(); work()
timed(agent_otel.flush, 0.4)
timed(agent_otel.shutdown, 0.4)
timed(agent_otel.shutdown, 0.4)
leave()
""",
            **to(port, protocol),
        )
    found = lines(done)

    assert [line[:2] for line in found] == [["flush", "False"], ["shutdown", "False"], ["shutdown", "False"]]
    assert [
        float(line[2]) < limit for line, limit in zip(found, (0.4 + MARGIN, 0.4 + MARGIN, 0.1), strict=True)
    ] == [True] * 3


def test_a_program_exits_in_time_when_nobody_takes_its_metrics_and_says_so():
    def leave(port):
        with at.started(
            "agent_otel.configure(); work(); print('leaving', flush=True)", **to(port)
        ) as program:
            seconds, (_, said) = at.took(lambda: program.communicate(timeout=at.SECONDS))
            return seconds, said.splitlines()

    with at.black_hole() as hole, ThreadPoolExecutor() as pool:
        (silent, told), (refused, told_too) = pool.map(leave, [hole, at.free_port()])

    assert max(silent, refused) < 5 + MARGIN
    assert "agent_otel could not deliver its last metrics; it waits 5 s at the most" in told
    assert "agent_otel could not deliver its last metrics; it waits 5 s at the most" in told_too


def test_delivery_is_told_and_what_is_final_stays_final(protocol):
    with at.otlp_grpc() if protocol == "grpc" else at.otlp_http() as received:
        done = at.run(
            """
import threading
provider = agent_otel.configure(); work(runs=2)
print(agent_otel.flush(), agent_otel.shutdown(), agent_otel.shutdown(), agent_otel.flush())
work(runs=5)
print(agent_otel.configure() is provider)
agent_otel.flush()
""",
            **to(received.port, protocol),
        )

    assert done.stdout == "True True False False\nTrue\n"
    assert done.stderr == "agent_otel was shut down, which is final: this configure() changes nothing\n"
    assert received.total("agent_otel.runs") == 2


def test_before_anything_is_configured_there_is_nothing_to_end_and_configure_may_still_come():
    with at.otlp_http() as received:
        done = at.run(
            "print(agent_otel.flush(), agent_otel.shutdown()); agent_otel.configure(); work()",
            **to(received.port),
        )

    assert done.stdout == "False False\n"
    assert received.total("agent_otel.runs") == 1


def test_one_dead_collector_keeps_nothing_from_the_others():
    with at.black_hole() as hole, at.otlp_http() as received:
        done = at.run(
            TIMED
            + f"""
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
alive = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint="http://127.0.0.1:{received.port}/v1/metrics"))
agent_otel.configure(readers=[alive]); work()
timed(agent_otel.flush, 1.0)
work()
timed(agent_otel.shutdown, 2.0)
leave()
""",
            **to(hole),
        )

    assert [line[:2] for line in lines(done)] == [["flush", "False"], ["shutdown", "False"]]
    assert float(lines(done)[1][2]) < 2 + MARGIN
    assert received.total("agent_otel.runs") == 2


@pytest.mark.parametrize("code", ["", "sys.exit(3)", "raise KeyError"])
def test_what_was_measured_last_is_delivered_at_exit(code):
    with at.otlp_http() as received:
        at.run(f"import sys\nagent_otel.configure(); work()\n{code}", check=False, **to(received.port))

    assert received.total("agent_otel.runs") == 1


def reasons(received):
    return {
        dict(labels)["agent_otel.run.stop_reason"]: point.as_int
        for (_, labels), (_, point) in received.points("agent_otel.runs").items()
        if point.as_int
    }


@pytest.mark.parametrize("ending", ["agent_otel.shutdown()\nrun.end()", ""])
def test_a_run_that_is_open_at_the_end_is_recorded_as_shut_down(ending):
    with at.otlp_http() as received:
        at.run(f"agent_otel.configure(); run = agent_otel.run('bot').start()\n{ending}", **to(received.port))

    assert reasons(received) == {"shutdown": 1}


def test_the_recipe_for_sigterm_delivers_and_records_the_run_as_shut_down():
    program = """
import signal, sys
agent_otel.configure()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with agent_otel.run("bot"):
    print("ready", flush=True)
    sys.stdin.read()
"""
    with at.otlp_http() as received, at.started(program, **to(received.port)) as process:
        assert process.first_line == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(at.SECONDS) == 0

    assert reasons(received) == {"shutdown": 1}


def test_a_signal_handler_that_shuts_down_in_the_middle_of_a_drain_comes_back_in_time():
    with at.otlp_http() as received:
        done = at.run(
            TIMED
            + """
import signal
from agent_otel import agent_metrics
agent_otel.configure(); work()
signal.signal(signal.SIGALRM, lambda *_: timed(agent_otel.shutdown, 0.5))
with agent_metrics.default.recorder.lock:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
leave()
""",
            **to(received.port),
        )
    ((name, answer, seconds),) = lines(done)

    assert (name, answer) == ("shutdown", "False")
    assert float(seconds) < 0.5 + MARGIN


def test_a_foreign_provider_is_asked_to_flush_and_what_became_of_it_is_unknown():
    done = at.run("""
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
agent_otel.configure(); work()
print(agent_otel.flush(1))
print(reader._metrics_data is not None)
run = agent_otel.run("bot").start()
print(agent_otel.shutdown(1))
names = {
    point.attributes["agent_otel.run.stop_reason"]
    for resource in reader.get_metrics_data().resource_metrics for scope in resource.scope_metrics
    for metric in scope.metrics if metric.name == "agent_otel.runs" for point in metric.data.data_points if point.value
}
print(*sorted(names))
""")

    assert done.stdout == "False\nTrue\nFalse\ncompleted shutdown\n"


@at.needs_pages
def test_shutdown_gives_the_port_of_the_page_back(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    port = at.free_port()
    done = at.run(
        f"""
import socket
agent_otel.configure(); work()
print(agent_otel.shutdown())
socket.create_server(("127.0.0.1", {port})).close()
""",
        **at.page_on(port),
    )

    assert done.stdout == "True\n"


# Forks a child that ends as the body says; `how` is the way that Python programs have of it.
FORKING = """
import multiprocessing.util, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads, which is what is tested

def fork(body):
    pid = os.fork()
    if not pid:
        body()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def spawn(body):
    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_process_and_its_forked_children_report_each_its_own_and_nothing_twice(protocol, how):
    with at.otlp_grpc() if protocol == "grpc" else at.otlp_http() as received:
        at.run(
            FORKING
            + f"""
agent_otel.configure(); work(runs=5)
agent_otel.flush()
def child(): work(runs=10)
for _ in range(4): {how}(child)
""",
            **to(received.port, protocol),
        )

    assert sorted(received.totals("agent_otel.runs").values()) == [5, 10, 10, 10, 10]
    assert sorted(received.totals("agent_otel.tokens").values()) == [75, 150, 150, 150, 150]


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_child_that_is_forked_inside_a_run_reports_its_calls_with_that_agent_and_leaves_the_run_to_its_parent(
    how,
):
    with at.otlp_http() as received:
        at.run(
            FORKING
            + f"""
agent_otel.configure()
def child():
    for _ in range(3):
        with agent_otel.tool("sandbox"): pass
with agent_otel.run("coder") as run:
    def explicit():
        with run.tool("sandbox"): pass
        with run.inference("m", provider="p") as call: call.tokens(input=1, output=1)
        run.evaluation("compiles", "pass")
    {how}(child)
    {how}(explicit)
""",
            **to(received.port, "http/protobuf"),
        )
    assert sorted(received.totals("gen_ai.execute_tool.duration").values()) == [1, 3]
    assert received.total("agent_otel.tokens") == 2
    assert received.total("agent_otel.evaluations") == received.total("agent_otel.runs") == 1
    agents = {
        dict(attributes)["gen_ai.agent.name"]
        for _, attributes in received.points("gen_ai.execute_tool.duration")
    }

    assert agents == {"coder"}


def test_children_that_run_side_by_side_and_children_of_children_report_each_its_own():
    with at.otlp_http() as received:
        at.run(
            FORKING
            + """
agent_otel.configure(); work(runs=5)
def grandchild(): work(runs=100)
def child():
    work(runs=10)
    fork(grandchild)
pids = []
for _ in range(2):
    pids.append(os.fork())
    if not pids[-1]:
        child()
        sys.exit(0)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
""",
            **to(received.port),
        )

    assert sorted(received.totals("agent_otel.runs").values()) == [5, 10, 10, 100, 100]


def test_a_child_of_a_child_that_measured_nothing_reports_its_own():
    with at.otlp_http() as received:
        at.run(
            FORKING
            + """
agent_otel.configure(); work(runs=5)
def grandchild(): work(runs=100)
fork(lambda: fork(grandchild))
""",
            **to(received.port),
        )

    assert sorted(received.totals("agent_otel.runs").values()) == [5, 100]


def test_threads_that_measure_first_in_a_child_share_what_the_quickest_of_them_built():
    with at.otlp_http() as received:
        at.run(
            FORKING
            + """
import threading
from agent_otel import agent_metrics
agent_otel.configure(); work(runs=5)
def child():
    of_a_slow_thread = agent_metrics.default.recorder.find_provider
    threads = [threading.Thread(target=work, kwargs={"runs": 10}) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    of_a_slow_thread()
    work()
fork(child)
""",
            **to(received.port),
        )

    assert sorted(received.totals("agent_otel.runs").values()) == [5, 41]


def test_a_child_that_comes_after_shutdown_records_nothing():
    with at.otlp_http() as received:
        at.run(
            FORKING + "agent_otel.configure(); work(runs=5); agent_otel.shutdown(); fork(work)",
            **to(received.port),
        )

    assert received.total("agent_otel.runs") == 5


def test_a_child_of_a_process_with_a_foreign_provider_goes_on_there():
    done = at.run(
        FORKING
        + """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from agent_otel.testing import Captured
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
agent_otel.configure()
def child():
    work(runs=2)
    print(Captured(reader).value("agent_otel.runs"), flush=True)
fork(child)
"""
    )

    assert done.stdout == "2\n"


def test_an_instance_id_of_the_users_own_is_told_apart_in_each_child():
    with at.otlp_http() as received:
        at.run(
            FORKING
            + "agent_otel.configure(); work(runs=5)\nfork(lambda: (print(os.getpid(), flush=True), work()))",
            **to(received.port),
            OTEL_RESOURCE_ATTRIBUTES="service.instance.id=pod-7",
        )
    totals = received.totals("agent_otel.runs")
    (child,) = set(totals) - {"pod-7"}

    assert totals == {"pod-7": 5, child: 1}
    assert child.startswith("pod-7-")


def test_a_child_that_measures_nothing_starts_nothing():
    with at.otlp_http() as received:
        done = at.run(
            FORKING
            + """
import threading
agent_otel.configure(exporter="none"); work()
def child(): print(agent_otel.flush(), [each.name for each in threading.enumerate()], flush=True)
fork(child)
""",
            **to(received.port),
        )

    assert done.stdout == "True ['MainThread']\n"


def test_what_a_child_measures_with_the_otel_api_still_leaves():
    with at.otlp_http() as received:
        at.run(
            FORKING
            + """
from opentelemetry import metrics
agent_otel.configure()
counter = metrics.get_meter("app").create_counter("app.calls")
def child():
    counter.add(3)
    work()
    assert agent_otel.flush()
fork(child)
""",
            **to(received.port),
        )
    points = [point.as_int for export in received.exports for point in app_points(export)]

    assert points[0] == 3
    assert received.total("agent_otel.runs") == 1


def app_points(export):
    return [
        point
        for resource in export.resource_metrics
        for scope in resource.scope_metrics
        if scope.scope.name == "app"
        for metric in scope.metrics
        for point in metric.sum.data_points
    ]


def test_a_fork_in_the_middle_of_an_export_hurts_neither_parent_nor_child():
    with at.black_hole() as hole, at.otlp_http() as received:
        done = at.run(
            FORKING
            + f"""
import threading, time
from opentelemetry import metrics
from agent_otel import _pipeline
agent_otel.configure(); work(runs=5)
counter = metrics.get_meter("app").create_counter("app.calls")
counter.add(7)
threading.Thread(target=agent_otel.flush, args=(60,), daemon=True).start()
(watched,) = _pipeline.here.pipeline.exporting.watched
while not watched._is_busy:
    pass
def child():
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:{received.port}"
    work(runs=10)
    counter.add(3)
    print(agent_otel.flush(30), agent_otel.shutdown(30), flush=True)
fork(child)
os._exit(0)
""",
            **to(hole),
        )

    assert done.stdout == "True True\n"
    assert received.total("agent_otel.runs") == 10
    assert received.total("app.calls") == 10


def test_a_child_may_configure_anew_and_the_plan_of_its_parent_is_the_one_it_has():
    with at.otlp_http() as theirs, at.otlp_http() as ours:
        done = at.run(
            FORKING
            + f"""
agent_otel.configure(); work(runs=5)
def same():
    agent_otel.configure(); work()
    agent_otel.configure(release="3")
def other():
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:{ours.port}"
    agent_otel.configure(release="2"); work(runs=2)
fork(same)
fork(other)
""",
            **to(theirs.port),
        )

    assert sorted(theirs.totals("agent_otel.runs").values()) == [1, 5]
    assert ours.total("agent_otel.runs") == 2
    assert done.stderr == (
        "agent_otel is configured already: the first configure() stands, this different one does not\n"
    )


@at.needs_pages
def test_a_child_cant_serve_the_page_of_its_parent_is_told_so_and_may_open_its_own(require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    port, other = at.free_port(), at.free_port()
    done = at.run(
        FORKING
        + f"""
from urllib.request import urlopen
def completed(port):
    page = urlopen(f"http://127.0.0.1:{{port}}/metrics").read().decode()
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("agent_otel_runs_total"))
agent_otel.configure(); work(runs=5)
def child():
    work(runs=10)
    os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = "{other}"
    agent_otel.configure(); work(runs=2)
    print(completed({port}), completed({other}), agent_otel.flush(), agent_otel.shutdown(), flush=True)
fork(child)
print(completed({port}))
""",
        **at.page_on(port),
    )

    assert done.stdout == "5.0 2.0 True True\n5.0\n"
    assert done.stderr == (
        "agent_otel: a forked process can't serve the Prometheus page of its parent, nor use its readers: export with"
        " otlp, or call configure() after the fork, with a port for each process\n"
    )


def test_a_child_that_cant_build_what_its_parent_has_runs_on_without_metrics():
    done = at.run(
        FORKING
        + """
from agent_otel import _pipeline
agent_otel.configure(exporter="console")
def child():
    _pipeline.Pipeline = None
    work()
    print("ran", agent_otel.shutdown(1), flush=True)
fork(child)
os._exit(0)
"""
    )

    assert done.stdout == "ran False\n"
    assert done.stderr.splitlines()[0] == (
        "agent_otel records nothing in this forked process: call configure() after the fork"
    )


def test_a_fork_that_goes_wrong_is_logged_and_the_child_runs_on():
    done = at.run(
        FORKING
        + """
from agent_otel import _pipeline
agent_otel.configure(exporter="console")
def refuse(scope_name): raise RuntimeError("not today")
_pipeline.here.pipeline.exporting.inherit = refuse
fork(lambda: print("ran", flush=True))
os._exit(0)
"""
    )

    assert done.stdout == "ran\n"
    assert done.stderr.splitlines()[0] == (
        "agent_otel records nothing in this forked process: call configure() after the fork"
    )


def test_gunicorn_with_a_preloaded_app_counts_every_request_once(require, tmp_path):
    require("gunicorn", "pip install gunicorn")
    (tmp_path / "app.py").write_text("""
import agent_otel
agent_otel.configure()
with agent_otel.run("boot"):
    pass
def app(environ, start_response):
    with agent_otel.run("web"):
        start_response("200 OK", [("Content-Length", "0")])
    return [b""]
""")
    port = at.free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket", "-w", "2"]
    with at.otlp_http() as received:
        server = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{port}", "--chdir", tmp_path, "app:app"],
            env=at.environment(to(received.port)),
            stderr=subprocess.DEVNULL,
        )
        with server:
            wait_for(port)
            for _ in range(39):
                urlopen(f"http://127.0.0.1:{port}", timeout=at.SECONDS).close()
            server.terminate()
    webs = [value for value in received.totals("agent_otel.runs").values() if value != 1]

    assert sum(webs) == 40
    assert received.total("agent_otel.runs") == 41


def wait_for(port):
    deadline = time.monotonic() + at.SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            return urlopen(f"http://127.0.0.1:{port}", timeout=at.SECONDS).close()
    pytest.fail("gunicorn did not come up")
