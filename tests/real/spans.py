"""Spans of the three dialects, shaped as their instrumentations shape them, sent by OpenTelemetry's own SDK.

otel           opentelemetry-instrumentation-genai-openai-agents 1.3b0; the usage on its agent spans is the
               conventions', which other instrumentations write
openinference  openinference-instrumentation-openai-agents 2.6.0
openllmetry    opentelemetry-instrumentation-openai-agents 0.62.4
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from tests.optional import need

BEGAN = 1_790_000_000  # seconds of the epoch; metrics carry the time at which the Collector saw a span
ERROR = Status(StatusCode.ERROR)
UNSET = Status(StatusCode.UNSET)
OK = Status(StatusCode.OK)


@dataclass
class Span:
    """A span to send, with those inside it."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    begin: float = 0.0
    seconds: float = 1.0
    kind: SpanKind = SpanKind.INTERNAL
    scope: str = "test"
    status: Status = UNSET
    events: tuple[tuple[str, float, dict[str, Any]], ...] = ()
    inside: tuple[Span, ...] = ()


@contextmanager
def sending(endpoint, **resource):
    """A tracer provider whose spans are sent; all have arrived at its end."""
    otlp = need("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    exporter = otlp.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    provider = TracerProvider(
        resource=Resource({key.replace("_", "."): value for key, value in resource.items()}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    try:
        yield provider
        assert provider.force_flush()
    finally:
        provider.shutdown()


def send(provider, span, parent=None):
    """Record a span and those inside it, the inner ones ending first."""
    started = provider.get_tracer(span.scope).start_span(
        span.name, parent, kind=span.kind, attributes=span.attributes, start_time=_nanoseconds(span.begin)
    )
    for name, seconds, attributes in span.events:
        started.add_event(name, attributes, _nanoseconds(span.begin + seconds))
    for inner in span.inside:
        send(provider, inner, set_span_in_context(started))
    started.set_status(span.status)
    started.end(_nanoseconds(span.begin + span.seconds))


def _nanoseconds(seconds):
    return BEGAN * 10**9 + round(seconds * 1e9)


def otel(record):
    """A recorded run as OpenTelemetry's GenAI instrumentations tell it."""
    tokens = {
        f"gen_ai.usage.{kind}": sum(step.get(kind, 0) for step in record["steps"])
        for kind in ("input_tokens", "output_tokens")
    }
    agent = _around(
        record, "invoke_agent " + record["agent"], tuple(map(_otel_step(record), record["steps"]))
    )
    agent.attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": record["agent"],
        "gen_ai.conversation.id": record["task_id"],
        **tokens,
    }
    workflow = _around(record, "invoke_workflow Agent workflow", (agent,))
    workflow.attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "Agent workflow",
    }
    return workflow


def _otel_step(record):
    def of(step):
        if step["type"] == "tool":
            return _step(
                step,
                f"execute_tool {step['name']}",
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": step["name"],
                    "gen_ai.tool.type": "function",
                    **({"error.type": "ToolFailed"} if step["error"] else {}),
                },
                status=ERROR if step["error"] else UNSET,
            )
        return _step(step, f"chat {record['model']}", _otel_chat(record, step), kind=SpanKind.CLIENT)

    return of


def _otel_chat(record, step):
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": record["provider"],
        "gen_ai.request.model": record["model"],
        "gen_ai.response.model": step.get("response_model", record["model"]),
        "gen_ai.response.id": f"resp_{step['at_s']}",
        "gen_ai.response.finish_reasons": (step["finish_reason"],),
        "gen_ai.usage.input_tokens": step["input_tokens"],
        "gen_ai.usage.output_tokens": step["output_tokens"],
        "server.address": "api.example.com",
    }


def openinference(record):
    """A recorded run as OpenInference tells it: two agent spans and a chain around each step."""
    scope = "openinference.instrumentation.openai_agents"

    def around(name, kind, inside, **more):
        span = _around(record, name, inside)
        span.attributes = {"openinference.span.kind": kind, **more}
        span.scope, span.status = scope, OK
        return span

    turns = tuple(
        _step(step, "turn", {"openinference.span.kind": "CHAIN"}, scope=scope, status=OK, inside=(inner,))
        for step in record["steps"]
        for inner in [_openinference_step(record, step, scope)]
    )
    agent = around(record["agent"], "AGENT", turns, **{"agent.name": record["agent"]})
    chain = around("Agent workflow", "CHAIN", (agent,))
    return around("Agent workflow", "AGENT", (chain,), **{"session.id": record["task_id"]})


def _openinference_step(record, step, scope):
    if step["type"] == "tool":
        attributes = {"openinference.span.kind": "TOOL", "tool.name": step["name"], "input.value": "{}"}
        events = (
            (("exception", step["duration_s"], {"exception.type": "ToolFailed"}),) if step["error"] else ()
        )
        return _step(
            step, step["name"], attributes, scope=scope, status=ERROR if step["error"] else OK, events=events
        )
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.system": record["provider"],
        "llm.model_name": step.get("response_model", record["model"]),
        "llm.invocation_parameters": f'{{"model": "{record["model"]}", "temperature": 0}}',
        "llm.token_count.prompt": step["input_tokens"],
        "llm.token_count.completion": step["output_tokens"],
        "llm.token_count.total": step["input_tokens"] + step["output_tokens"],
        "llm.finish_reason": "stop",
        "llm.input_messages.0.message.content": "Where is my order?",
    }
    return _step(step, "response", attributes, scope=scope, status=OK)


def openllmetry(record):
    """A recorded run as OpenLLMetry tells it: a workflow, its agent, and steps that say what they are twice."""
    scope = "opentelemetry.instrumentation.openai_agents"
    inside = tuple(_openllmetry_step(record, step, scope) for step in record["steps"])
    agent = _around(record, f"{record['agent']}.agent", inside)
    agent.attributes = {
        "traceloop.span.kind": "agent",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": record["agent"],
        "gen_ai.provider.name": record["provider"],
    }
    workflow = _around(record, "Agent Workflow", (agent,))
    workflow.attributes = {
        "traceloop.span.kind": "workflow",
        "traceloop.workflow.name": "Agent Workflow",
        "gen_ai.operation.name": "invoke_agent",  # as that of LangChain says
    }
    agent.scope = workflow.scope = scope
    agent.status = workflow.status = OK
    return workflow


def _openllmetry_step(record, step, scope):
    if step["type"] == "tool":
        attributes = {
            "traceloop.span.kind": "tool",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": step["name"],
            "gen_ai.tool.type": "function",
            "gen_ai.provider.name": record["provider"],
        }
        return _step(
            step, f"{step['name']}.tool", attributes, scope=scope, status=ERROR if step["error"] else OK
        )
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": record["provider"].title(),  # as its older versions wrote it
        "gen_ai.request.model": record["model"],
        "gen_ai.response.model": step.get("response_model", record["model"]),
        "gen_ai.usage.input_tokens": step["input_tokens"],
        "gen_ai.usage.output_tokens": step["output_tokens"],
        "gen_ai.usage.total_tokens": step["input_tokens"] + step["output_tokens"],
        "gen_ai.prompt.0.content": "Where is my order?",
    }
    return _step(step, "openai.response", attributes, kind=SpanKind.CLIENT, scope=scope, status=OK)


def _around(record, name, inside):
    return Span(name, seconds=record["duration_s"], inside=inside)


def _step(step, name, attributes, **more):
    return Span(name, attributes, begin=step["at_s"], seconds=step["duration_s"], **more)


DIALECTS = {"otel": otel, "openinference": openinference, "openllmetry": openllmetry}
