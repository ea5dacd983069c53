"""compose.yaml without Docker: its files, commands and variables run with the same servers as native programs.

What a container would give them is given here: a mounted file or folder as a copy in which `host:port` of a service
is a port of this machine, a volume as an empty folder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import pytest
import yaml

from tests import receivers as at
from tests.read_back import from_prometheus
from tests.real.servers import CONFIGS, ROOT, SECONDS, PromQL, Server, tool, until
from tests.recorded_contract import Buckets

COMPOSE = yaml.safe_load((CONFIGS / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
NATIVE = {"collector": "otelcol", "prometheus": "prometheus", "alertmanager": "alertmanager"}
ADDRESSES = {  # what the others, or their users, know of a service
    "collector:4317": "OTELCOL_GRPC_PORT",
    "collector:4318": "OTELCOL_HTTP_PORT",
    "collector:8888": "OTELCOL_TELEMETRY_PORT",
    "collector:13133": "OTELCOL_HEALTH_PORT",
    "prometheus:9090": None,
    "alertmanager:9093": None,
}
ALERT = {"alert": "Always", "expr": "vector(1)", "labels": {"gen_ai_agent_name": "bot"}}


class Machine:
    """The services of compose.yaml as programs of this machine."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder
        self.ports = {address: at.free_port() for address in ADDRESSES}
        self.paths = {}
        for name in NATIVE:
            for volume in SERVICES[name]["volumes"]:
                source, inside, *_ = volume.split(":")
                self.paths[name, inside] = self._mounted(source)

    def _mounted(self, source):
        """A named volume as an empty folder, what stands beside compose.yaml as a copy."""
        place = self.folder / source.removeprefix("./").replace("/", "-")
        if not source.startswith("./"):
            place = place.with_name(f"volume-{source}")
            place.mkdir()
        elif (CONFIGS / source).is_dir():
            shutil.copytree(CONFIGS / source, place)
            for file in place.rglob("*.*"):
                file.write_text(self.translated(file.read_text()))
        else:
            place.write_text((CONFIGS / source).read_text())
        return place

    def translated(self, text, service=None):
        """A text in which addresses and, for a service, its paths are those of this machine."""
        for address, port in self.ports.items():
            text = text.replace(address, f"127.0.0.1:{port}")
        for (name, inside), place in self.paths.items():
            if name == service:
                text = re.sub(rf"(?<![\w/]){inside}(?=/|$)", str(place), text)
        return text

    def start(self, name, ready, *flags, kind=Server, **variables):
        service = SERVICES[name]
        command = [tool(NATIVE[name]), *(self.translated(part, name) for part in service["command"]), *flags]
        environment = {
            key: self.translated(value, name) for key, value in service.get("environment", {}).items()
        }
        server = kind(self.folder, name, command, ready, **environment | variables)
        return self.stack.enter_context(server)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose")
    with ExitStack() as stack:
        machine = Machine(stack, folder)
        rules = machine.paths["prometheus", "/etc/prometheus"] / "rules"
        rules.mkdir(exist_ok=True)
        groups = {"groups": [{"name": "dropped in", "interval": "1s", "rules": [ALERT]}]}
        (rules / "dropped_in.yml").write_text(json.dumps(groups))
        for name in ("alertmanager", "prometheus"):
            port = machine.ports[next(address for address in ADDRESSES if address.startswith(name))]
            url = f"http://127.0.0.1:{port}"
            flag = f"--web.listen-address=127.0.0.1:{port}"
            server = machine.start(name, f"{url}/-/ready", flag, kind=PromQL)
            server.url = url
            setattr(machine, name, server)
        own = {variable: machine.ports[address] for address, variable in ADDRESSES.items() if variable}
        health = f"http://127.0.0.1:{own['OTELCOL_HEALTH_PORT']}/"
        machine.start("collector", health, OTELCOL_LISTEN="127.0.0.1", **own)
        yield machine


@pytest.fixture(scope="module")
def series(machine):
    """What is in Prometheus after the recorded runs were sent to the Collector."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "recorded_runs.py"],
        env=at.environment(
            {
                "OTEL_METRICS_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{machine.ports['collector:4318']}",
            }
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr

    everything = {"query": '{__name__=~"agent_otel_.+|gen_ai_.+"}'}
    until(lambda: machine.prometheus.value("sum(agent_otel_runs_total)") == 150)
    return machine.prometheus.ask("query", **everything)["result"]


class TestTheTotalsInPrometheus(Buckets):
    @pytest.fixture
    def points(self, series):
        return from_prometheus(series)


def test_the_process_and_its_service_are_labels(series):
    labels = set.intersection(*(set(found["metric"]) for found in series))

    assert {"service_name", "service_instance_id", "job", "instance"} <= labels


def test_prometheus_scrapes_the_collector(machine):
    assert until(lambda: machine.prometheus.value('up{job="otelcol"}')) == 1


def test_an_alert_of_a_rule_that_was_dropped_in_reaches_alertmanager(machine):
    def alerts():
        with urlopen(f"{machine.alertmanager.url}/api/v2/alerts", timeout=SECONDS) as answer:
            return json.load(answer)

    (alert,) = until(alerts)

    assert alert["labels"] == {"alertname": "Always", "gen_ai_agent_name": "bot"}
    assert [receiver["name"] for receiver in alert["receivers"]] == ["team"]


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_the_health_check_tells_a_server_that_is_up_from_one_that_is_not(machine, name):
    kind, binary, *arguments = SERVICES[name]["healthcheck"]["test"]
    (address,) = (address for address in ADDRESSES if address.startswith(name))

    def check(port):
        place = address.replace(name, "localhost")
        command = [tool(binary), *(part.replace(place, f"127.0.0.1:{port}") for part in arguments)]
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode

    assert kind == "CMD"
    assert check(machine.ports[address]) == 0
    assert check(at.free_port()) != 0


@pytest.mark.parametrize(
    ("binary", "command", "file"),
    [
        ("promtool", ["check", "config"], "prometheus/prometheus.yml"),
        ("amtool", ["check-config"], "alertmanager/alertmanager.yml"),
    ],
)
def test_the_configuration_is_valid(binary, command, file):
    done = subprocess.run(
        [tool(binary), *command, CONFIGS / file], capture_output=True, text=True, timeout=SECONDS, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


# What no server has to run for.


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_to_a_version(name):
    assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_mounted_file_is_there_and_read_only_and_a_volume_is_declared(name):
    for volume in SERVICES[name]["volumes"]:
        source, _, *mode = volume.split(":")

        if source.startswith("./"):
            assert (CONFIGS / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_every_address_that_a_service_is_given_is_one_that_another_listens_on():
    texts = [
        (CONFIGS / "grafana/provisioning/datasources/prometheus.yaml").read_text(),
        (CONFIGS / "prometheus/prometheus.yml").read_text(),
        *SERVICES["collector"]["environment"].values(),
    ]
    named = set(re.findall(rf"\b(?:{'|'.join(SERVICES)}):\d+\b", "\n".join(texts)))

    assert named == {"prometheus:9090", "alertmanager:9093", "collector:8888"}
    assert named <= set(ADDRESSES)


def test_grafana_asks_the_prometheus_beside_it():
    file = CONFIGS / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]

    assert (source["type"], source["isDefault"], urlparse(source["url"]).hostname) == (
        "prometheus",
        True,
        "prometheus",
    )


def test_the_collector_is_the_version_that_the_tests_run():
    manifest = yaml.safe_load((CONFIGS / "builder.yaml").read_text())

    assert SERVICES["collector"]["image"].endswith(f":{manifest['dist']['version']}")


def test_no_secret_stands_in_the_file():
    text = Path(CONFIGS / "compose.yaml").read_text().lower()

    assert not re.search(r"(password|secret|token|api_?key)\s*[:=]", text)
