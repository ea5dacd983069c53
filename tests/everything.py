"""A program in which every metric and every attribute occurs that a rule, an alert or a panel may name."""

from __future__ import annotations

from contextlib import suppress

from agent_otel import AgentMetrics, Settings, _readers, views
from agent_otel.testing import FakeClock

PRICES = {"openai": {"gpt-5": {"input": 1.25, "cache_read": 0.125, "cache_write": 1.5, "output": 10}}}


def record_everything(agents, clock):
    """Record on an `AgentMetrics` whose settings have `PRICES` and `cost`."""
    with agents.run("support-bot", version="1.2") as run:
        for _ in run.steps(range(2)):
            with run.inference("gpt-5", provider="openai") as call:
                clock.advance(0.25)
                call.first_chunk()
                call.tokens(input=1200, output=300, cache_read=900, cache_write=100, reasoning=200)
        with suppress(TimeoutError), run.inference("gpt-5", provider="openai"):
            raise TimeoutError
        with run.inference("gpt-5", provider="openai"):
            clock.advance(0.25)  # without usage
        with suppress(TimeoutError), run.inference("embed-3", provider="openai", operation="embeddings"):
            raise TimeoutError
        with run.inference("embed-3", provider="openai", operation="embeddings") as call:
            call.tokens(input=10)
        with run.tool("search", type="datastore"):
            clock.advance(0.5)
        with suppress(TimeoutError), run.tool("search", type="datastore"):
            raise TimeoutError
        with agents.run("researcher", version="1.2") as nested:
            nested.stop("max_steps")
        run.evaluation("solved", "pass")
    with agents.run("support-bot", version="1.2") as run, run.inference("gpt-5", provider="openai") as call:
        call.tokens(input=1200, output=300)
    with suppress(ValueError), agents.run("support-bot", version="1.2"):
        raise ValueError
    agents.run("support-bot", version="1.2").start()
    clock.advance(30)


def printed_labels():
    """The labels that the real exporter prints for each series, once everything was recorded."""
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    reader, registry = _readers.page_reader()
    settings, clock = Settings(prices=PRICES, cost=True), FakeClock()
    provider = MeterProvider([reader], views=views(settings), shutdown_on_exit=False)
    record_everything(AgentMetrics(provider, clock=clock, settings=settings), clock)
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
            if family.type == "histogram":  # a native one has the name alone
                found.setdefault(family.name, set()).update(set(sample.labels) - {"le"})
    provider.shutdown()
    return found
