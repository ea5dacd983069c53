"""The real servers on loopback, each a process of its own on ports of its own, from `with` to its end.

    with Prometheus(tmp_path) as prometheus, Collector(tmp_path, "local.yaml", PROMETHEUS_URL=...) as collector:
        ...
        prometheus.query("sum(agent_otel_runs_total)")

`kill()` is SIGKILL, `start()` begins a stopped or killed server anew with the same ports, files and variables.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.optional import do_without
from tests.receivers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = ROOT / "collector-config"
SECONDS = 60  # a deadline, never a wait


def _tools():
    spec = importlib.util.spec_from_file_location("tools", ROOT / "scripts" / "tools.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tools"] = module
    spec.loader.exec_module(module)
    return module


tools = _tools()


def tool(binary):
    """Where a tool stands; without it the test is skipped, or fails where tools are required."""
    found = tools.find(binary)
    return found or do_without(f"{binary} isn't built: {tools.TYPE_THIS}")


def until(holds, seconds=SECONDS, every=0.05):
    """Wait until `holds()` gives something, and return it; at the deadline the test fails with the last answer."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s, last answer: {found!r}"
        time.sleep(every)
    return found


class Server:
    """A process that listens.

    Args:
        folder: For its files and its log, `NAME.log`.
        name: Of its log.
        command: What to run.
        ready: A URL that answers 200 when it is ready.
        variables: Further environment variables; those of OpenTelemetry are not inherited.
    """

    def __init__(self, folder, name, command, ready, **variables):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "OTELCOL_"))}
        self.environment = kept | {key: str(value) for key, value in variables.items()}
        self.command = [str(part) for part in command]
        self.ready = ready
        self.log_file = Path(folder) / f"{name}.log"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *raised):
        self.stop()

    def start(self):
        """Begin, and wait until it is ready."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(self._is_ready_or_gone)
            assert self.process.poll() is None, f"{self.command[0]} ended: {self.log[-4000:]}"
        except BaseException:
            self.kill()
            raise

    def stop(self):
        """End as SIGTERM does, giving it its time."""
        self._end(signal.SIGTERM)

    def kill(self):
        """End at once, as SIGKILL does."""
        self._end(signal.SIGKILL)

    @property
    def log(self):
        """Everything that it has said."""
        return self.log_file.read_text(errors="replace")

    @property
    def memory(self):
        """Its resident memory in bytes."""
        return self._memory("VmRSS")

    @property
    def peak_memory(self):
        """The most resident memory that it has had, in bytes."""
        return self._memory("VmHWM")

    def _memory(self, what):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) * 1024

    @property
    def cpu_seconds(self):
        """The processor time that it has used."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _is_ready_or_gone(self):
        if self.process.poll() is not None:
            return True
        try:
            with urlopen(self.ready, timeout=SECONDS) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    def _end(self, how):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Collector(Server):
    """An OpenTelemetry Collector.

    Args:
        folder: For its queue, its log and what else it writes.
        configs: Files of collector-config/, in the order of `--config`, or paths.
        variables: What the files read from the environment. Ports and the queue's folder are set.
        name: Where several run in one folder.
    """

    def __init__(self, folder, *configs, name="collector", **variables):
        self.http_port, self.grpc_port, self.scrape_port = free_port(), free_port(), free_port()
        self.telemetry_port, health = free_port(), free_port()
        files = [flag for config in configs for flag in ("--config", CONFIGS / config)]
        super().__init__(
            folder,
            name,
            [tool("otelcol"), *files],
            f"http://127.0.0.1:{health}/",
            **{
                "OTELCOL_HTTP_PORT": self.http_port,
                "OTELCOL_GRPC_PORT": self.grpc_port,
                "OTELCOL_SCRAPE_PORT": self.scrape_port,
                "OTELCOL_TELEMETRY_PORT": self.telemetry_port,
                "OTELCOL_HEALTH_PORT": health,
                "OTELCOL_STORAGE_DIR": Path(folder) / f"{name}-queue",
                **variables,
            },
        )

    @property
    def endpoint(self):
        """Where OTLP over HTTP goes: OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def telemetry(self):
        """The Collector's metrics of itself, as a Prometheus page."""
        with urlopen(f"http://127.0.0.1:{self.telemetry_port}/metrics", timeout=SECONDS) as answer:
            return answer.read().decode()

    def counted(self, name):
        """One of those metrics, added up over its labels; 0 while it isn't told."""
        return _counted(self.telemetry, name)


def _counted(page, name):
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE)))


class PromQL(Server):
    """A server that answers PromQL over HTTP at `url`."""

    url: str

    def query(self, promql, at=None):
        """The instant query's answer: a value by the labels, a frozenset of pairs; `{}` when it is empty."""
        return {
            frozenset(found["metric"].items()): float(found["value"][1])
            for found in self.ask("query", query=promql, **({} if at is None else {"time": at}))["result"]
        }

    def value(self, promql):
        """The only value of an answer; None when it is empty."""
        found = self.query(promql)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def ask(self, path, **parameters):
        """The `data` of an answer of the HTTP API."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=SECONDS) as answer:
            return json.load(answer)["data"]


class Prometheus(PromQL):
    """Prometheus 3, with its OTLP and remote-write receivers on.

    Args:
        folder: For its blocks, its configuration and its log.
        config: Its configuration, as a dict; by default collector-config/prometheus/prometheus.yml's `otlp` and `storage`
            parts are the caller's to give.
        flags: Further flags, such as `--enable-feature=otlp-deltatocumulative`.
        name: Where several run in one folder.
    """

    def __init__(self, folder, config=None, *flags, name="prometheus"):
        folder = Path(folder)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        file = folder / f"{name}.json"  # JSON is YAML
        file.write_text(json.dumps(config or {}))
        super().__init__(
            folder,
            name,
            [
                tool("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / f'{name}-data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-otlp-receiver",
                "--web.enable-remote-write-receiver",
                *flags,
            ],
            f"{self.url}/-/ready",
        )

    def counted(self, name):
        """One of its metrics of itself, added up over its labels; 0 while it isn't told."""
        with urlopen(f"{self.url}/metrics", timeout=SECONDS) as answer:
            return _counted(answer.read().decode(), name)


class VictoriaMetrics(PromQL):
    """VictoriaMetrics, a single node.

    Args:
        folder: For its data and its log.
        flags: Further flags, such as `-opentelemetry.usePrometheusNaming`.
        name: Where several run in one folder.
    """

    def __init__(self, folder, *flags, name="victoriametrics"):
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.url = f"{self.base}/prometheus"
        super().__init__(
            folder,
            name,
            [
                tool("victoria-metrics"),
                f"-storageDataPath={Path(folder) / f'{name}-data'}",
                f"-httpListenAddr=127.0.0.1:{port}",
                "-search.latencyOffset=0s",  # what was just written is shown
                *flags,
            ],
            f"{self.base}/health",
        )


class Balancer(Server):
    """A load balancer of HTTP: vmauth, which tries another target when one is gone.

    Args:
        folder: For its configuration and its log.
        targets: URLs to share the requests among.
    """

    def __init__(self, folder, *targets, name="balancer"):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        file = Path(folder) / f"{name}.json"
        file.write_text(
            json.dumps(
                {"unauthorized_user": {"url_prefix": list(targets), "load_balancing_policy": "least_loaded"}}
            )
        )
        super().__init__(
            folder,
            name,
            [tool("vmauth"), f"-auth.config={file}", f"-httpListenAddr=127.0.0.1:{port}"],
            f"{self.endpoint}/health",
        )
