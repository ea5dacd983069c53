"""Writes collector-config/kubernetes/: the same configurations as resources of the OpenTelemetry Operator.

The files of collector-config/ are merged as the Collector merges its `--config` files: maps are merged, a later
list or value replaces an earlier one. One thing is changed: a port that may be set there is its default here, since
the operator reads ports from the text to make Services, and each pod has all ports for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # the stubs are a package of their own

CONFIGS: Final = Path(__file__).resolve().parent.parent / "collector-config"
FOLDER: Final = CONFIGS / "kubernetes"
IMAGE: Final = "otel/opentelemetry-collector-contrib:{version}"
NAMESPACE: Final = "observability"
QUEUE: Final = "/var/lib/otelcol"
USER: Final = 10001  # of the image


@dataclass(frozen=True)
class Tier:
    """One OpenTelemetryCollector.

    Attributes:
        name: Its name; its Service is NAME-collector.
        mode: daemonset or statefulset: what has a queue needs a disk, which a deployment has none of.
        configs: Files of collector-config/, in the order of `--config`.
        memory: The limit, in MiB.
        cpu: The request.
        values: Environment variables with their values.
        secrets: Environment variables with the Secret and its key that hold their values.
        replicas: How many, in a statefulset.
        disk: The size of the queue's volume.
    """

    name: str
    mode: str
    configs: tuple[str, ...]
    memory: int
    cpu: str
    values: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str, str], ...] = ()
    replicas: int = 2
    disk: str = "3Gi"


def agent(*configs: str) -> Tier:
    """The agent tier, a Collector per node."""
    return Tier(
        "agent",
        "daemonset",
        ("base.yaml", "gateway/agent.yaml", *configs),
        memory=256,
        cpu="50m",
        values=(("GATEWAY_ENDPOINT", "http://gateway-collector:4318"),),
    )


PROMETHEUS: Final = (("PROMETHEUS_URL", "http://prometheus:9090"),)
GATEWAYS: Final = tuple(f"adder-collector-{each}.adder-collector-headless:4317" for each in range(2))

FILES: Final[dict[str, tuple[str, tuple[Tier, ...]]]] = {
    "agent.yaml": (
        """\
The agent tier: a Collector on each node. Programs send to http://agent-collector.observability:4318, a Service that
the operator keeps on the node (internalTrafficPolicy: Local); app.yaml shows how. The queue outlives the container
and not the pod: what was in it then, the next cumulative points say again.""",
        (agent(),),
    ),
    "gateway.yaml": (
        """\
The stateless gateway tier behind agent.yaml, before a Prometheus 3 that takes OTLP; ../prometheus/prometheus.yml is
one. Change replicas at any time: a queue that is left behind on its volume is sent when its pod comes back.""",
        (
            Tier(
                "gateway",
                "statefulset",
                ("base.yaml", "local.yaml", "gateway/gateway.yaml"),
                memory=1024,
                cpu="250m",
                values=PROMETHEUS,
            ),
        ),
    ),
    "datadog.yaml": (
        """\
Both tiers before a backend that wants delta and a key, as Datadog does: the agents convert, the gateways have
the key.

  kubectl -n observability create secret generic datadog --from-literal=api-key=...""",
        (
            agent("gateway/agent-to-delta.yaml"),
            Tier(
                "gateway",
                "statefulset",
                ("base.yaml", "backends/datadog.yaml", "gateway/gateway.yaml"),
                memory=1024,
                cpu="250m",
                values=(("DD_SITE", "datadoghq.com"),),
                secrets=(("DD_API_KEY", "datadog", "api-key"),),
            ),
        ),
    ),
    "balancer.yaml": (
        """\
Without an agent tier, for programs that send delta: a balancer, and gateways that add up. Programs send to
http://balancer-collector.observability:4318. Another number of gateways is another GATEWAY_HOSTNAMES, and a restart
of all of them: see ../gateway/balancer.yaml. A gateway is known by its name, which operator 0.130 or newer gives
it.""",
        (
            Tier(
                "balancer",
                "statefulset",
                ("base.yaml", "gateway/balancer.yaml"),
                memory=512,
                cpu="250m",
                values=(("GATEWAY_HOSTNAMES", ",".join(GATEWAYS)),),
                replicas=1,
            ),
            Tier(
                "adder",
                "statefulset",
                ("base.yaml", "local.yaml", "gateway/accept-delta.yaml"),
                memory=2048,
                cpu="250m",
                values=PROMETHEUS,
                replicas=len(GATEWAYS),
            ),
        ),
    ),
}
HEAD: Final = """\
# {comment}
#
# Needs the OpenTelemetry Operator and the namespace {namespace}. Written by scripts/kubernetes.py: make generate.
"""


def main() -> None:
    """Writes each file."""
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_text(text(name), encoding="utf-8")


def text(name: str) -> str:
    """What a file should hold.

    Args:
        name: Its name.
    """
    comment, tiers = FILES[name]
    head = HEAD.format(comment=comment.replace("\n", "\n# ").replace("# \n", "#\n"), namespace=NAMESPACE)
    resources = [resource(tier) for tier in tiers]
    return head + str(yaml.safe_dump_all(resources, sort_keys=False, width=110, explicit_start=True))


def resource(tier: Tier) -> dict[str, Any]:
    """A tier as the operator wants it."""
    memory = {"memory": f"{tier.memory}Mi"}
    spec: dict[str, Any] = {
        "mode": tier.mode,
        "image": IMAGE.format(version=_load("builder.yaml")["dist"]["version"]),
        "env": _environment(tier),
        "resources": {"requests": {"cpu": tier.cpu, **memory}, "limits": memory},
        "podSecurityContext": {"fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "queue", "mountPath": QUEUE}],
        **(_on_each_node(tier) if tier.mode == "daemonset" else _on_its_own_disk(tier)),
        "config": _with_ports(merged(*tier.configs)),
    }
    return {
        "apiVersion": "opentelemetry.io/v1beta1",
        "kind": "OpenTelemetryCollector",
        "metadata": {"name": tier.name, "namespace": NAMESPACE},
        "spec": spec,
    }


def merged(*configs: str) -> dict[str, Any]:
    """Files of collector-config/, merged as the Collector merges them."""
    whole: dict[str, Any] = {}
    for config in configs:
        _merge(whole, _load(config))
    return whole


def _load(config: str) -> Any:
    return yaml.safe_load((CONFIGS / config).read_text(encoding="utf-8"))


def _merge(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(whole.get(key), dict):
            _merge(whole[key], value)
        else:
            whole[key] = value


def _with_ports(value: Any) -> Any:
    """The same with each OTELCOL_..._PORT as its default: a number where it stands alone."""
    if isinstance(value, dict):  # without what refuses an empty port
        return {key: _with_ports(part) for key, part in value.items() if not key.endswith("_PORT")}
    if isinstance(value, list):
        return [_with_ports(part) for part in value]
    if not isinstance(value, str):
        return value
    fixed = re.sub(r"\$\{env:OTELCOL_[A-Z]+_PORT:-(\d+)\}", r"\1", value)
    return int(fixed) if fixed != value and fixed.isdigit() else fixed


def _environment(tier: Tier) -> list[dict[str, Any]]:
    given = {
        "OTELCOL_STORAGE_DIR": f"{QUEUE}/queue",
        "GOMEMLIMIT": f"{tier.memory * 4 // 5}MiB",
        **dict(tier.values),
    }
    return [
        {"name": "OTELCOL_LISTEN", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *({"name": name, "value": value} for name, value in given.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, secret, key in tier.secrets
        ),
    ]


def _on_each_node(tier: Tier) -> dict[str, Any]:
    return {
        "tolerations": [{"operator": "Exists"}],
        "volumes": [{"name": "queue", "emptyDir": {"sizeLimit": tier.disk}}],
    }


def _on_its_own_disk(tier: Tier) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": f"{NAMESPACE}.{tier.name}"}
    return {
        "replicas": tier.replicas,
        "podDisruptionBudget": {"maxUnavailable": 1},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "queue"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": tier.disk}},
                },
            }
        ],
    }


if __name__ == "__main__":
    main()
