"""Exported prices, read by promtool beside the recording rules."""

from __future__ import annotations

import json
import subprocess

from agent_otel import catalog
from agent_otel.artifacts.prometheus import label_name, metric_name
from agent_otel.artifacts.rules import rules
from agent_otel.prices import export, listing
from tests.real.servers import tool

ROWS = [
    listing.Row("acme", "it's: {odd}", {"input": 2.0, "output": 8.0}, listing.YOURS),
    listing.Row("acme", "1e3", {"input": 3.0}, listing.YOURS),
]


def promtool(*arguments):
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)


def used(model, token_type, per_minute):
    """Two hours of a model's tokens."""
    labels = {
        catalog.AGENT_NAME: "bot",
        catalog.PROVIDER: "acme",
        catalog.MODEL: model,
        catalog.TOKEN_TYPE: token_type,
    }
    matchers = ",".join(f'{label_name(each)}="{value}"' for each, value in labels.items())
    return {"series": f"{metric_name(catalog.TOKENS)}{{{matchers}}}", "values": f"0+{per_minute}x120"}


def test_promtool_has_nothing_to_say_about_exported_rules(tmp_path):
    path = tmp_path / "prices.yml"
    path.write_text(export.as_prometheus_rules(ROWS))
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", path)

    assert (done.returncode, "3 rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_exported_rules_price_the_tokens_of_programs_that_export_no_prices(tmp_path):
    (tmp_path / "prices.yml").write_text(export.as_prometheus_rules(ROWS))
    (tmp_path / "agent.rules.yml").write_text(rules())
    # 10,000 x 60 minutes x 2 + 1,000 x 60 x 8 + 2,000 x 60 x 3, in millionths of a USD: 1.2 + 0.48 + 0.36
    cost = {"labels": 'agent:cost_usd:increase1h{gen_ai_agent_name="bot"}', "value": 2.04}
    test = {
        "interval": "1m",
        "input_series": [
            used("it's: {odd}", "input", 10_000),
            used("it's: {odd}", "output", 1000),
            used("1e3", "input", 2000),
        ],
        "promql_expr_test": [
            {"expr": "agent:cost_usd:increase1h", "eval_time": "100m", "exp_samples": [cost]}
        ],
    }
    story = {
        "rule_files": ["prices.yml", "agent.rules.yml"],
        "fuzzy_compare": True,
        "tests": [test],
    }
    (tmp_path / "test.yml").write_text(json.dumps(story))
    done = promtool("test", "rules", tmp_path / "test.yml")

    assert done.returncode == 0, done.stdout + done.stderr
