"""The configurations inside the resources for Kubernetes, read by the Collector that they are for."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.real.servers import SECONDS, tool
from tests.test_kubernetes import RESOURCES


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["metadata"]["name"])
def test_the_collector_takes_the_configuration_with_the_variables_that_the_resource_gives(tmp_path, resource):
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(resource["spec"]["config"]))  # JSON is YAML
    given = {
        variable["name"]: variable.get("value", "from-the-cluster") for variable in resource["spec"]["env"]
    }

    done = subprocess.run(
        [tool("otelcol"), "validate", "--config", file],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
