"""What is lost when a part of the way goes, and what isn't: the rows of docs/reliability.md.

Real programs, Collectors and Prometheus are killed (SIGKILL), held (SIGSTOP: a peer that accepts and never
answers) and begun anew. Nothing waits for minutes: exports are made when asked for, or follow each other in
milliseconds, and what is old is sent with an old time.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from urllib.request import Request, urlopen

import pytest
import yaml

from agent_otel._pipeline import SHUTDOWN_SECONDS
from agent_otel._recorder import SOFT_LIMIT
from tests import receivers as at
from tests.real.intake import intake, points_of
from tests.real.servers import CONFIGS, ROOT, Collector, Prometheus, until

MARGIN = 10  # what a busy machine may take beside a bound
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
both_temporalities = pytest.mark.parametrize("temporality", [{}, DELTA], ids=["cumulative", "delta"])

# What the Collector says of itself.
ACCEPTED, REFUSED = (f"otelcol_receiver_{what}_metric_points" for what in ("accepted", "refused"))
SENT, GIVEN_UP, NOT_QUEUED = (
    f"otelcol_exporter_{what}_metric_points" for what in ("sent", "send_failed", "enqueue_failed")
)
WAITING = "otelcol_exporter_queue_size"
SHORT_OF_MEMORY = "otelcol_processor_memory_limiter_refused_metric_points"

RUNS = 'agent_otel_runs_total{agent_otel_run_status="ok"}'  # as Prometheus names them
SHIPPED = yaml.safe_load((CONFIGS / "prometheus" / "prometheus.yml").read_text())
STORING = {part: SHIPPED[part] for part in ("otlp", "storage")}

# Evaluates each line that it is told, and says what came of it.
PROGRAM = """
import os, signal, sys
agent_otel.configure()
print("ready", flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
"""


def app(endpoint, code=PROGRAM, **settings):
    return at.started(code, OTEL_METRICS_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **settings)


def straight_to(prometheus):
    return {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics"}


def tell(program, line):
    program.stdin.write(f"{line}\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def export(program, runs):
    """Let it do so many runs and export; whether the export went well."""
    return tell(program, f"work(runs={runs}) or agent_otel.flush()") == "True"


def an_export():
    """What a program exports after one run."""
    with at.otlp_http() as received:
        at.run("agent_otel.configure(); work()", **at.over_http(received))
    return received.exports[0]


def points_in(request):
    return [point for resource in request.resource_metrics for _, point in points_of(resource)]


def post(collector, request):
    """Send it an export, as a program does."""
    kind = {"Content-Type": "application/x-protobuf"}
    asked = Request(f"{collector.endpoint}/v1/metrics", request.SerializeToString(), kind)
    urlopen(asked, timeout=at.SECONDS).close()


def collector_to(url, folder, **exporter):
    """The Collector of base.yaml and local.yaml, where retries and batches follow each other fast."""
    retry = {"initial_interval": "50ms", "max_interval": "100ms"} | exporter.pop("retry_on_failure", {})
    queue = {"batch": {"flush_timeout": "10ms"}} | exporter.pop("sending_queue", {})
    quick = exporter | {"retry_on_failure": retry, "sending_queue": queue}
    return collector_with(url, folder, exporters={"otlp_http/backend": quick})


def collector_with(url, folder, **configuration):
    """The Collector of base.yaml and local.yaml, with more configuration over them."""
    file = folder / "over.yaml"
    file.write_text(json.dumps(configuration))  # JSON is YAML
    return Collector(folder, "base.yaml", "local.yaml", file, PROMETHEUS_URL=url)


@contextmanager
def held(server):
    """It accepts and never answers, until the end of the block."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@contextmanager
def killed(server):
    """It is gone, and comes back at the end of the block."""
    server.kill()
    yield
    server.start()


def counted(collector, name):
    """One of the Collector's own metrics, over all its labels."""
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", collector.telemetry, re.MULTILINE)))


def samples(prometheus):
    """Every value of the runs that it keeps, in the order of their time."""
    found = prometheus.ask("query", query=f"{RUNS}[2h]")["result"]
    return [int(value) for _, value in sorted(pair for series in found for pair in series["values"])]


# A backend that is down, and a Collector that ends meanwhile.


@pytest.mark.parametrize("ending", [Collector.kill, Collector.stop])
def test_every_export_queued_while_the_backend_is_down_outlives_the_collector(tmp_path, ending):
    prometheus = Prometheus(tmp_path, STORING)
    with collector_to(prometheus.url, tmp_path) as collector:
        with app(collector.endpoint) as program:
            assert [export(program, runs=1) for _ in range(5)] == [True] * 5
            points = counted(collector, ACCEPTED)
        ending(collector)
        with prometheus:
            collector.start()
            until(lambda: counted(collector, SENT) == points > 100)

            assert samples(prometheus) == [1, 2, 3, 4, 5]


@both_temporalities
def test_a_queue_in_memory_ends_with_its_collector_and_only_totals_recover(tmp_path, temporality):
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path, sending_queue={"storage": None}) as collector,
        app(collector.endpoint, **temporality) as program,
    ):
        backend.mood = "refuses"
        assert [export(program, runs=1) for _ in range(5)] == [True] * 5
        collector.kill()
        backend.mood = "takes"
        collector.start()
        assert export(program, runs=1)
        backend.wait_for(1)

    assert backend.counts == ([1] if temporality else [6])


def test_queued_deltas_outlive_the_collector_and_those_in_flight_arrive_twice(tmp_path):
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path) as collector,
        app(collector.endpoint, **DELTA) as program,
    ):
        backend.mood = "never answers"
        assert export(program, runs=1)
        backend.wait_for(1)
        backend.mood = "refuses"
        assert [export(program, runs=runs) for runs in (2, 3, 4)] == [True] * 3
        collector.kill()
        backend.mood = "takes"
        collector.start()
        until(lambda: counted(collector, WAITING) == 0 and len(backend.counts) == 5)

    assert sorted(backend.counts) == [1, 1, 2, 3, 4]


@both_temporalities
def test_a_backend_away_longer_than_the_retries_last_loses_what_waited(tmp_path, temporality):
    # 0.2 s stand for the 5 minutes that are the Collector's own default; base.yaml never gives up.
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path, retry_on_failure={"max_elapsed_time": "200ms"}) as collector,
        app(collector.endpoint, **temporality) as program,
    ):
        backend.mood = "refuses"
        assert export(program, runs=2)
        until(lambda: counted(collector, GIVEN_UP))
        backend.mood = "takes"
        assert export(program, runs=3)
        backend.wait_for(1)

    assert backend.counts == ([3] if temporality else [5])


# Minutes that an export is late, whether its series has newer samples, and whether each window takes it.
LATE = [(25, True), (35, True), (45, False), (75, False)]


@pytest.mark.parametrize(("window", "taken"), [("30m", [True, False, True, False]), ("6h", [True] * 4)])
def test_prometheus_refuses_what_comes_later_than_its_window_and_the_collector_counts_it(
    tmp_path, window, taken
):
    new, other = an_export(), an_export()
    storing = STORING | {"storage": {"tsdb": {"out_of_order_time_window": window}}}
    found = []
    with (
        Prometheus(tmp_path, storing) as prometheus,
        collector_to(prometheus.url, tmp_path) as collector,
    ):

        def send(request):
            before = counted(collector, GIVEN_UP)
            done = counted(collector, SENT) + before + len(points_in(request))
            post(collector, request)
            until(lambda: counted(collector, SENT) + counted(collector, GIVEN_UP) == done)
            return counted(collector, GIVEN_UP) == before

        assert send(new)
        for minutes, is_known in LATE:
            old = type(new).FromString((new if is_known else other).SerializeToString())
            for point in points_in(old):
                point.time_unix_nano -= minutes * 60 * 10**9
            found.append(send(old))

    assert found == taken


# What the Collector keeps in memory.


def test_delta_to_cumulative_begins_anew_with_its_collector_and_prometheus_sees_a_reset(tmp_path):
    pipeline = {"processors": ["memory_limiter", "delta_to_cumulative"]}
    with (
        Prometheus(tmp_path, STORING) as prometheus,
        collector_with(
            prometheus.url,
            tmp_path,
            processors={"delta_to_cumulative": {}},
            service={"pipelines": {"metrics": pipeline}},
        ) as collector,
        app(collector.endpoint, **DELTA) as program,
    ):
        for runs in (2, 3):
            assert export(program, runs)
        until(lambda: len(samples(prometheus)) == 2)
        collector.kill()
        collector.start()
        assert export(program, runs=4)
        until(lambda: len(samples(prometheus)) == 3)

        assert samples(prometheus) == [2, 5, 4]
        assert prometheus.value(f"resets({RUNS}[1h])") == 1


def test_cumulative_to_delta_misses_what_was_counted_while_its_collector_was_gone(tmp_path):
    pipeline = {"processors": ["memory_limiter", "cumulative_to_delta"]}
    with (
        intake() as backend,
        collector_with(backend.url, tmp_path, service={"pipelines": {"metrics": pipeline}}) as collector,
        app(collector.endpoint) as program,
    ):
        for runs in (1, 2):
            assert export(program, runs)
        until(lambda: counted(collector, SENT) > 0 == counted(collector, WAITING))
        assert sum(backend.counts) == 1 + 2
        collector.kill()
        collector.start()
        for runs in (3, 4):
            assert export(program, runs)
        until(lambda: sum(backend.counts) == 1 + 2 + 4)


def test_a_killed_collector_forgets_its_page_and_shows_a_program_again_at_its_next_export(tmp_path):
    def shown():
        page = at.scrape(collector.scrape_port)
        return sorted(
            map(int, re.findall(r'^agent_otel_runs_total{.*status="ok".*} (\S+)', page, re.MULTILINE))
        )

    with (
        Collector(tmp_path, "base.yaml", "backends/prometheus.yaml") as collector,
        app(collector.endpoint) as stays,
        app(collector.endpoint) as ends,
    ):
        assert export(stays, runs=1)
        assert export(ends, runs=5)
        ends.communicate("")
        assert shown() == [1, 5]
        collector.kill()
        collector.start()
        assert shown() == []
        assert export(stays, runs=1)
        assert shown() == [2]


def test_what_waits_for_remote_write_ends_with_its_collector(tmp_path):
    prometheus = Prometheus(tmp_path, STORING)
    remote_write = ("base.yaml", "backends/prometheus-remote-write.yaml")
    with (
        Collector(tmp_path, *remote_write, PROMETHEUS_URL=prometheus.url) as collector,
        app(collector.endpoint) as program,
    ):
        assert [export(program, runs=1) for _ in range(3)] == [True] * 3
        collector.kill()
        with prometheus:
            collector.start()
            assert export(program, runs=1)
            until(lambda: samples(prometheus))

            assert samples(prometheus) == [4]


# A Collector that is away, full or short of memory, as the program sees it.

# Runs until it has done enough and enough exports have failed, and tells what that took. The rest between its
# runs is the model's: a loop without any makes more events than one core folds.
SPELL = """
import gc, json, logging, time

failed = []

class Failed(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.ERROR:
            failed.append(1)

logging.getLogger("opentelemetry").addHandler(Failed())
logging.getLogger("opentelemetry").propagate = False

def memory():
    (line,) = (line for line in open("/proc/self/status") if "VmRSS" in line)
    return int(line.split()[1]) * 1024

def spell(exports):
    before, done, waiting = len(failed), 0, 0
    cpu = time.process_time()
    while done < 6_000 or len(failed) < before + exports:
        work(runs=10)
        done += 10
        waiting = max(waiting, len(agent_otel.agent_metrics.default.recorder.events))
        time.sleep(0.001)
    cpu = time.process_time() - cpu
    gc.collect()
    return json.dumps({
        "runs": done, "cpu": cpu / done, "waiting": waiting, "objects": len(gc.get_objects()), "memory": memory()
    })
"""


@pytest.mark.parametrize("absence", [killed, held])
def test_a_long_absence_of_the_collector_costs_the_program_no_memory_no_time_and_no_count(tmp_path, absence):
    often = {"OTEL_METRIC_EXPORT_INTERVAL": 50, "OTEL_EXPORTER_OTLP_TIMEOUT": 0.3}
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path) as collector,
        app(collector.endpoint, code=SPELL + PROGRAM, **often) as program,
    ):
        spells = [json.loads(tell(program, "spell(0)")) for _ in range(2)]
        with absence(collector):
            spells += [json.loads(tell(program, "spell(6)")) for _ in range(2)]
        until(lambda: tell(program, "agent_otel.flush()") == "True")
        done = sum(spell["runs"] for spell in spells)
        until(lambda: max(backend.counts) == done)
    _, there, early, late = spells

    # What waits is bounded, and no more after twice the time.
    assert max(early["waiting"], late["waiting"]) < 2 * SOFT_LIMIT < 3 * late["runs"]
    assert late["objects"] - early["objects"] < SOFT_LIMIT
    assert late["memory"] - early["memory"] < 2**20
    assert max(early["cpu"], late["cpu"]) < 2 * there["cpu"]


# What makes a program ready for its end, and what ends it.
RECIPE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
TERM = "os.kill(os.getpid(), signal.SIGTERM)"
ENDINGS = {
    "exit": ("None", "sys.exit(0)"),
    "orderly SIGTERM": (RECIPE, TERM),
    "SIGTERM": ("None", TERM),
    "SIGKILL": ("None", "os.kill(os.getpid(), signal.SIGKILL)"),
}
DELIVERING = ("exit", "orderly SIGTERM")


def work_and_end(program, ending, runs):
    """Let it do so many runs and end; the seconds that its end takes, and what it says."""
    prepare, finish = ENDINGS[ending]
    tell(program, prepare)
    tell(program, f"work(runs={runs})")
    seconds, (_, said) = at.took(lambda: program.communicate(f"{finish}\n", timeout=at.SECONDS))
    return seconds, said


def test_a_program_whose_collector_is_away_ends_in_bounded_time_and_says_what_it_lost(tmp_path):
    def leave(ending, endpoint, settings):
        with app(endpoint, **settings) as program:
            return work_and_end(program, ending, runs=1)

    gone = f"http://127.0.0.1:{at.free_port()}"
    quick = {"OTEL_EXPORTER_OTLP_TIMEOUT": 0.2}
    with Collector(tmp_path, "base.yaml", "local.yaml") as away, held(away), ThreadPoolExecutor() as pool:
        found = list(
            pool.map(
                leave,
                ["exit", "orderly SIGTERM", "exit", "orderly SIGTERM"],
                [away.endpoint, gone, gone, away.endpoint],
                [{}, {}, quick, quick],
            )
        )
    (*slow, _, _), (_, _, *fast) = [seconds for seconds, _ in found], [seconds for seconds, _ in found]

    assert max(slow) < SHUTDOWN_SECONDS + MARGIN
    assert max(fast) < max(slow)
    assert all(
        "agent_otel could not deliver its last metrics; it waits 5 s at the most" in said for _, said in found
    )


@both_temporalities
def test_what_a_failed_export_held_is_lost_as_deltas_and_comes_later_as_a_total(tmp_path, temporality):
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path) as collector,
        app(collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=0.5, **temporality) as program,
    ):
        assert export(program, runs=1)
        with killed(collector):
            assert not export(program, runs=2)
            assert not export(program, runs=3)
        assert export(program, runs=4)
        until(lambda: len(backend.counts) == 2)

    assert sorted(backend.counts) == ([1, 4] if temporality else [1, 10])


@both_temporalities
def test_a_full_queue_refuses_the_program_and_counts_what_it_refused(tmp_path, temporality):
    three = {"sizer": "requests", "queue_size": 3}
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path, sending_queue=three) as collector,
        app(collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=0.5, **temporality) as program,
    ):
        backend.mood = "refuses"
        assert [export(program, runs=1) for _ in range(6)] == [True] * 3 + [False] * 3
        assert counted(collector, NOT_QUEUED) == counted(collector, REFUSED) > 0
        backend.mood = "takes"
        until(lambda: counted(collector, WAITING) == 0)
        assert export(program, runs=1)
        until(lambda: len(backend.counts) == 4)

    assert sorted(backend.counts) == ([1, 1, 1, 1] if temporality else [1, 2, 3, 7])


def test_a_full_queue_file_refuses_the_program_and_what_it_holds_still_arrives(tmp_path):
    mebibyte = {"max_size": 2**20, "compaction": {"on_rebound": False}}
    took = []

    def goes_well():
        took.append(export(program, runs=1))
        return took[-1]

    with (
        intake() as backend,
        collector_with(backend.url, tmp_path, extensions={"file_storage/queue": mebibyte}) as collector,
        app(collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=0.5) as program,
    ):
        backend.mood = "refuses"
        while goes_well():
            pass
        assert counted(collector, NOT_QUEUED) > 0
        backend.mood = "takes"
        until(lambda: len(backend.counts) == sum(took))
        until(goes_well)
        until(lambda: len(backend.counts) == sum(took))

    assert sorted(backend.counts) == [number for number, taken in enumerate(took, 1) if taken]


def test_a_collector_short_of_memory_refuses_and_the_program_tries_again(tmp_path):
    tiny = {"check_interval": "100ms", "limit_percentage": 0, "spike_limit_percentage": 0}
    tiny |= {"limit_mib": 2, "spike_limit_mib": 1}
    with (
        intake() as backend,
        collector_with(backend.url, tmp_path, processors={"memory_limiter": tiny}) as collector,
        app(collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=3) as program,
    ):
        until(lambda: not export(program, runs=1))
        refused = counted(collector, SHORT_OF_MEMORY)
        program.kill()
        said = program.communicate()[1]

    assert refused > 0
    assert "Service Unavailable encountered while exporting metrics batch, retrying" in said


@both_temporalities
def test_a_backend_that_takes_and_answers_too_late_gets_the_same_again(tmp_path, temporality):
    with (
        intake() as backend,
        collector_to(backend.url, tmp_path, timeout="200ms") as collector,
        app(collector.endpoint, **temporality) as program,
    ):
        backend.mood = "never answers"
        assert export(program, runs=5)
        backend.wait_for(2)
        backend.mood = "takes"
        until(lambda: counted(collector, SENT))
        came = [{point.time_unix_nano for point in points_in(request)} for request in backend.exports]

    # The same points of the same time: the newest total is right, the sum of the deltas is a multiple.
    assert len(backend.counts) > 2
    assert set(backend.counts) == {5}
    assert [times for times in came if times != came[0]] == []


# A program that ends.


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_orderly_end_pushes_the_last_interval_and_any_other_loses_it(tmp_path, ending):
    with Prometheus(tmp_path, STORING) as prometheus:
        with app("", **straight_to(prometheus)) as program:
            assert export(program, runs=3)
            work_and_end(program, ending, runs=4)

        assert samples(prometheus) == ([3, 7] if ending in DELIVERING else [3])


@at.needs_pages
def test_what_no_scrape_saw_ends_with_the_page_however_the_program_ends(tmp_path, require):
    require("opentelemetry.exporter.prometheus", "pip install 'agent-otel[prometheus]'")
    pages = {ending: at.free_port() for ending in ENDINGS}
    targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"ending": end}} for end, port in pages.items()]
    scraping = {"scrape_configs": [{"job_name": "app", "scrape_interval": "1s", "static_configs": targets}]}
    with ExitStack() as stack:
        programs = {
            ending: stack.enter_context(at.started(PROGRAM, **at.page_on(port)))
            for ending, port in pages.items()
        }
        for program in programs.values():
            tell(program, "work(runs=3)")
        prometheus = stack.enter_context(Prometheus(tmp_path, scraping))
        until(lambda: prometheus.value(f"sum({RUNS})") == 3 * len(programs))
        with held(prometheus):  # between two scrapes
            for ending, program in programs.items():
                work_and_end(program, ending, runs=4)
        until(lambda: prometheus.value("sum(up)") == 0)
        seen = prometheus.query(f"sum by (ending) (max_over_time({RUNS}[1h]))")

    assert seen == {frozenset({("ending", ending)}): 3 for ending in ENDINGS}


SERVICE = """
import os
import agent_otel
agent_otel.configure()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/flush":
        agent_otel.flush()
    else:
        with agent_otel.run("web"):
            pass
    me = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(me)))])
    return [me]
"""


def test_a_killed_worker_loses_its_own_last_interval_alone(tmp_path, require):
    require("gunicorn", "pip install gunicorn")
    (tmp_path / "service.py").write_text(SERVICE)
    port = at.free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket", "-w", "2"]

    def ask(enough, path=""):
        """Ask until enough workers have answered; how often each did."""
        answers = Counter()
        while not enough(answers):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/{path}", timeout=at.SECONDS) as answer:
                answers[int(answer.read())] += 1
        return answers

    def both(answers):
        return len(answers) == 2

    with Prometheus(tmp_path, STORING) as prometheus:
        server = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{port}", "--chdir", tmp_path, "service:app"],
            env=at.environment({"OTEL_METRICS_EXPORTER": "otlp"} | straight_to(prometheus)),
            stderr=subprocess.DEVNULL,
        )
        with server:
            first = ask(both)
            ask(both, "flush")
            second = ask(both)
            killed = min(second)
            os.kill(killed, signal.SIGKILL)
            third = ask(lambda answers: set(answers) - set(second))
            server.terminate()
        total = prometheus.value(f"sum({RUNS})")

    assert total == (first + second + third).total() - second[killed]


# How much a queue holds.


def test_a_point_takes_no_more_of_the_queue_than_the_page_plans_with(tmp_path):
    page = (ROOT / "docs" / "reliability.md").read_text()
    planned = int(re.search(r"(\d+) bytes a point", page)[1])
    request = an_export()
    file = tmp_path / "collector-queue" / "exporter_otlp_http_backend_metrics"
    size = 2**23  # it doubles when it is full
    with Collector(tmp_path, "base.yaml", "local.yaml", PROMETHEUS_URL="http://127.0.0.1:9") as collector:
        exports = next(n for n in count(1) if post(collector, request) or file.stat().st_size > size)
    measured = size / exports / len(points_in(request))

    assert planned / 2 < measured < planned
