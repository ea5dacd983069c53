"""The resources for Kubernetes: written from the same files, and an app's environment that does what it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests import receivers as at
from tests.optional import need

yaml = need("yaml")
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "collector-config" / "kubernetes"


def script():
    spec = importlib.util.spec_from_file_location("kubernetes", ROOT / "scripts" / "kubernetes.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["kubernetes"] = module  # a dataclass looks itself up
    spec.loader.exec_module(module)
    return module


kubernetes = script()
RESOURCES = [resource for name in kubernetes.FILES for resource in yaml.safe_load_all(kubernetes.text(name))]


@pytest.mark.parametrize("name", kubernetes.FILES)
def test_a_generated_file_is_current(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == kubernetes.text(name), "run: make generate"


def test_maps_are_merged_and_lists_and_values_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(kubernetes, "CONFIGS", tmp_path)
    (tmp_path / "first.yaml").write_text("{map: {one: 1, both: 1}, list: [1, 2], value: {a: 1}}")
    (tmp_path / "second.yaml").write_text("{map: {both: 2, two: 2}, list: [3], value: 4}")

    assert kubernetes.merged("first.yaml", "second.yaml") == {
        "map": {"one": 1, "both": 2, "two": 2},
        "list": [3],
        "value": 4,
    }


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["metadata"]["name"])
def test_a_tier_has_every_variable_that_its_configuration_reads_or_a_default(resource):
    given = {variable["name"] for variable in resource["spec"]["env"]}
    required = set(re.findall(r"\$\{env:(\w+)\}", yaml.safe_dump(resource["spec"]["config"])))

    assert required <= given
    assert {"OTELCOL_LISTEN", "OTELCOL_STORAGE_DIR", "GOMEMLIMIT"} <= given


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["metadata"]["name"])
def test_a_service_can_be_made_of_the_ports(resource):
    config = resource["spec"]["config"]
    endpoints = [protocol["endpoint"] for protocol in config["receivers"]["otlp"]["protocols"].values()]
    (reader,) = config["service"]["telemetry"]["metrics"]["readers"]

    # The operator looks for the first colon with digits behind it.
    assert sorted(re.search(r":([0-9]+)", endpoint).group(1) for endpoint in endpoints) == ["4317", "4318"]
    assert reader["pull"]["exporter"]["prometheus"]["port"] == 8888


def test_a_key_comes_from_a_secret():
    variables = [variable for resource in RESOURCES for variable in resource["spec"]["env"]]
    keys = [variable for variable in variables if re.search("KEY|TOKEN|PASSWORD", variable["name"])]

    assert keys
    assert all("secretKeyRef" in variable["valueFrom"] for variable in keys)


def test_the_environment_of_an_app_names_it_its_release_and_its_pod():
    config_map, deployment = yaml.safe_load_all((FOLDER / "app.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    fields = {
        "metadata.labels['app.kubernetes.io/name']": labels["app.kubernetes.io/name"],
        "metadata.labels['app.kubernetes.io/version']": labels["app.kubernetes.io/version"],
        "metadata.name": "my-agent-7d4b9-x2x",
        "metadata.namespace": "shop",
    }
    (container,) = pod["spec"]["containers"]
    environment = dict(config_map["data"])
    for variable in container["env"]:
        value = variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        environment[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], value)
    with at.otlp_http() as received:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{received.port}"
        at.run("agent_otel.configure(); work(); agent_otel.shutdown()", **environment)

    (resource,) = received.resources.values()
    assert {
        "service.name": "my-agent",
        "k8s.pod.name": "my-agent-7d4b9-x2x",
        "k8s.namespace.name": "shop",
        "deployment.environment.name": "production",
    }.items() <= resource.items()
    assert re.fullmatch(r"[0-9a-f-]{36}", resource["service.instance.id"])
    releases = {dict(labels)["gen_ai.agent.version"] for _, labels in received.points("agent_otel.runs")}
    assert releases == {"1.4.2"}
