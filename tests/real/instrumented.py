# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "openai==2.54.0",
#     "openai-agents==0.20.0",
#     "openinference-instrumentation-openai-agents==2.6.0",
#     "opentelemetry-exporter-otlp-proto-http==1.45.2",
#     "opentelemetry-instrumentation-genai-openai==1.3b0",
#     "opentelemetry-instrumentation-genai-openai-agents==1.3b0",
#     "opentelemetry-instrumentation-openai-agents==0.62.4",
# ]
# ///
"""An agent program that a real instrumentation watches; its model is made up, its spans are sent.

    uv run --script tests/real/instrumented.py openinference http://localhost:4318 my-service

It has an environment of its own: in the tests' own one, `opentelemetry-instrument` would load all three.
"""

import json
import sys
from contextlib import suppress

import agents
import httpx
import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODEL, ANSWERED = "gpt-4o", "gpt-4o-2024-08-06"


def main(dialect, endpoint, service):
    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.version": "1.4"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    agents.set_trace_processors([])  # its own would send to its vendor
    instrument(dialect, provider)
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    agents.set_default_openai_client(
        openai.AsyncOpenAI(api_key="none", http_client=http), use_for_tracing=False
    )

    @agents.function_tool
    def search(query: str) -> str:
        """Search."""
        return query

    support = agents.Agent(name="support", model=MODEL, tools=[search])
    helper = agents.Agent(name="helper", model=MODEL, tools=[search])
    boss = agents.Agent(name="boss", model=MODEL, tools=[helper.as_tool("ask_helper", "Ask.")])
    agents.Runner.run_sync(support, "Hello")
    agents.Runner.run_sync(boss, "Hello")
    with suppress(agents.MaxTurnsExceeded):
        agents.Runner.run_sync(support, "Hello", max_turns=1)
    provider.shutdown()


def instrument(dialect, provider):
    if dialect == "otel":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
        from opentelemetry.instrumentation.genai.openai_agents import (
            OpenAIAgentsInstrumentor,
        )

        OpenAIInstrumentor().instrument(tracer_provider=provider)
    elif dialect == "openinference":
        from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
    else:
        from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


def answer(request):
    """As the Responses API does: first a call of the agent's tool, then a text."""
    asked = json.loads(request.content)
    if any(isinstance(part, dict) and part.get("type") == "function_call_output" for part in asked["input"]):
        part = {"type": "output_text", "text": "Done", "annotations": []}
        output = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    else:
        name = asked["tools"][0]["name"]
        arguments = json.dumps({"query" if name == "search" else "input": "x"})
        output = {
            "type": "function_call",
            "id": "f",
            "call_id": "call_1",
            "name": name,
            "arguments": arguments,
        }
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": ANSWERED,
        "status": "completed",
        "output": [output],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 5},
        },
    }
    return httpx.Response(200, json=body)


if __name__ == "__main__":
    main(*sys.argv[1:])
