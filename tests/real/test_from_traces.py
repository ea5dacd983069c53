"""`collector-config/from-traces.yaml` in a real Collector, fed with real spans, and asked by PromQL."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from opentelemetry.trace import SpanKind

from agent_otel import catalog
from agent_otel._policy import Policy
from agent_otel.outcomes import _CLASSES, Outcomes, _key
from agent_otel.settings import Settings
from tests.optional import do_without, need
from tests.read_back import PAGE
from tests.real.servers import CONFIGS, ROOT, Collector, Prometheus, tool, until
from tests.real.spans import BEGAN, DIALECTS, ERROR, Span, send, sending
from tests.recorded_runs import load

RECORDS = load()
LLM = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "llm"]
TOOL = [(record, step) for record in RECORDS for step in record["steps"] if step["type"] == "tool"]
USAGE = (
    catalog.INPUT_TOKENS,
    catalog.OUTPUT_TOKENS,
    catalog.CACHE_READ_TOKENS,
    catalog.CACHE_WRITE_TOKENS,
    catalog.REASONING_TOKENS,
)
GIVEN = (
    catalog.RUNS,
    catalog.RUN_DURATION,
    catalog.RUN_TOKEN_USAGE,
    catalog.TOOL_DURATION,
    catalog.INFERENCE_DURATION,
    catalog.OPERATION_DURATION,
    catalog.TIME_TO_FIRST_CHUNK,
    catalog.TOKENS,
    *USAGE,
    catalog.USAGE_MISSING,
)
RUNS, RUN_SECONDS, RUN_TOKENS = (
    PAGE[metric] for metric in (catalog.RUNS, catalog.RUN_DURATION, catalog.RUN_TOKEN_USAGE)
)
TOOL_SECONDS, LLM_SECONDS = PAGE[catalog.TOOL_DURATION], PAGE[catalog.INFERENCE_DURATION]
TOKENS, MISSING = PAGE[catalog.TOKENS], PAGE[catalog.USAGE_MISSING]
NAME, RELEASE = "gen_ai_agent_name", "gen_ai_agent_version"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.fixture(scope="module")
def collector(tmp_path_factory, prometheus):
    with Collector(
        tmp_path_factory.mktemp("collector"),
        "base.yaml",
        "local.yaml",
        "from-traces.yaml",
        PROMETHEUS_URL=prometheus.url,
        OTELCOL_FROM_TRACES_INTERVAL="500ms",
        OTELCOL_FROM_TRACES_EXCLUDE="has-agent-otel|twice.the.client",
    ) as running:
        yield running
        assert [] == [line for line in running.log.splitlines() if "\terror\t" in line]


@pytest.fixture
def ask(prometheus):
    """Ask for the values of one service by labels, as soon as there are any (or as many as are expected)."""

    def of(service, metric, *labels, expected=None, **where):
        matchers = ",".join(f'{key}="{value}"' for key, value in {"job": service, **where}.items())
        promql = f"sum by ({','.join(labels)}) ({metric}{{{matchers}}})"

        def found():
            answer = prometheus.query(promql)
            by_labels = {
                tuple(dict(key).get(label) for label in labels): value for key, value in answer.items()
            }
            return by_labels if expected in (None, by_labels) else {}

        if expected is None:
            return until(found)
        try:
            return until(found)
        except AssertionError:
            return {
                tuple(dict(key).get(label) for label in labels): value
                for key, value in prometheus.query(promql).items()
            }

    return of


@pytest.fixture
def service():
    return f"service-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def sent(collector, service):
    """Send spans of a new service."""

    def of(*spans, **resource):
        with sending(collector.endpoint, **({"service_name": service} | resource)) as provider:
            for span in spans:
                send(provider, span)

    return of


@pytest.fixture(scope="module", params=DIALECTS)
def dialect(request, collector, prometheus):
    """The service that sent all recorded runs in a dialect, when all of them are in Prometheus."""
    name = request.param
    for model in {record["model"] for record in RECORDS}:
        with sending(collector.endpoint, service_name=name, service_version=model) as provider:
            for record in RECORDS:
                if record["model"] == model:
                    send(provider, DIALECTS[name](record))

    def arrived():
        return [
            prometheus.value(f'sum({metric}{{job="{name}"}})')
            for metric in (RUNS, f"{LLM_SECONDS}_count", f"{TOOL_SECONDS}_count")
        ]

    until(lambda: arrived() == [150, 1780, 967])
    return name


def test_every_run_is_counted_by_agent_and_release(dialect, ask):
    expected = Counter((record["agent"], record["model"], "ok", "completed") for record in RECORDS)

    assert expected == ask(
        dialect, RUNS, NAME, RELEASE, "agent_otel_run_status", "agent_otel_run_stop_reason"
    )


def test_every_run_lasted_as_long_as_recorded(dialect, ask):
    expected = defaultdict(float)
    for record in RECORDS:
        expected[record["agent"], record["model"]] += record["duration_s"]

    assert pytest.approx(expected) == ask(dialect, f"{RUN_SECONDS}_sum", NAME, RELEASE)


def test_every_model_call_is_counted_by_model_and_release(dialect, ask):
    expected = Counter(("chat", record["provider"], record["model"], record["model"]) for record, _ in LLM)
    labels = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", RELEASE)

    assert expected == ask(dialect, f"{LLM_SECONDS}_count", *labels)


def test_every_tool_call_is_counted_by_tool(dialect, ask):
    expected = Counter((step["name"],) for _, step in TOOL)

    assert expected == ask(dialect, f"{TOOL_SECONDS}_count", "gen_ai_tool_name")


def test_every_tool_error_is_counted_by_its_tool(dialect, ask):
    expected = Counter((step["name"],) for _, step in TOOL if step["error"])

    assert sum(expected.values()) == 14
    assert expected == ask(dialect, f"{TOOL_SECONDS}_count", "gen_ai_tool_name", error_type="_OTHER")


def test_tokens_are_exact_by_model_and_type(dialect, ask):
    expected = Counter()
    for record, step in LLM:
        expected[record["model"], "input"] += step["input_tokens"]
        expected[record["model"], "output"] += step["output_tokens"]
    upstream = {
        (model, kind): count
        for kind, metric in (("input", catalog.INPUT_TOKENS), ("output", catalog.OUTPUT_TOKENS))
        for (model,), count in ask(dialect, PAGE[metric], "gen_ai_request_model").items()
    }

    assert expected == ask(dialect, TOKENS, "gen_ai_request_model", "agent_otel_token_type")
    assert expected == upstream


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_run_time_quantiles_are_within_one_bucket(dialect, ask, prometheus, quantile):
    for agent in sorted({record["agent"] for record in RECORDS}):
        seconds = sorted(record["duration_s"] for record in RECORDS if record["agent"] == agent)
        true = seconds[math.ceil(quantile * len(seconds)) - 1]
        buckets = f'sum by (le) ({RUN_SECONDS}_bucket{{job="{dialect}",{NAME}="{agent}"}})'
        low, high = next(
            (low, high) for low, high in pairwise((0, *catalog.RUN_DURATION.bounds)) if low < true <= high
        )

        assert low <= prometheus.value(f"histogram_quantile({quantile}, {buckets})") <= high


def test_tokens_per_run_are_those_that_the_agent_span_states(ask, prometheus, collector, service, sent):
    record = RECORDS[0]
    sent(DIALECTS["otel"](record), DIALECTS["openinference"](record))
    expected = sum(step["input_tokens"] + step["output_tokens"] for _, step in LLM if step in record["steps"])

    assert {(record["agent"],): expected} == ask(service, f"{RUN_TOKENS}_sum", NAME)
    assert {(record["agent"],): 1} == ask(service, f"{RUN_TOKENS}_count", NAME)


# What a single span says, or doesn't


def run(name="bot", **attributes):
    return Span(
        f"invoke_agent {name}",
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **attributes},
    )


def chat(**attributes):
    base = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
    }
    return Span("chat gpt-5", {**base, **attributes}, kind=SpanKind.CLIENT)


def tool_call(name="search", **attributes):
    return Span(
        f"execute_tool {name}",
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, **attributes},
    )


def usage(**counts):
    return {f"gen_ai.usage.{key.replace('__', '.')}": count for key, count in counts.items()}


def failed(span, **event):
    span.status = ERROR
    span.events = (
        (("exception", 0.5, {f"exception.{key}": value for key, value in event.items()}),) if event else ()
    )
    return span


ENDINGS = [
    (run(), "ok", "completed"),
    (failed(run(), type="builtins.RuntimeError"), "error", "error"),
    (failed(run()), "error", "error"),
    (failed(run(**{"error.type": "agents.exceptions.MaxTurnsExceeded"})), "incomplete", "max_steps"),
    (failed(run(), type="TimeoutError"), "incomplete", "timeout"),
    (failed(run(**{"error.type": "_OTHER"}), type="asyncio.CancelledError"), "cancelled", "cancelled"),
    (run(**{"agent_otel.run.stop_reason": "max_steps"}), "incomplete", "max_steps"),
    (run(**{"agent_otel.run.stop_reason": "tired"}), "incomplete", "_OTHER"),
    (failed(run(**{"agent_otel.run.stop_reason": "completed"})), "error", "error"),
    (failed(run(**{"agent_otel.run.stop_reason": "tool_error"})), "error", "tool_error"),
    (run(**{"agent_otel.run.status": "splendid"}), "ok", "completed"),
    (run(**{"gen_ai.response.finish_reasons": ("length",)}), "ok", "completed"),  # of a call, not of the run
]


def test_a_run_ended_as_its_span_says(sent, ask, service):
    for number, (span, *_) in enumerate(ENDINGS):
        span.attributes["gen_ai.agent.name"] = f"bot {number}"
    sent(*(span for span, *_ in ENDINGS))
    expected = {(f"bot {number}", *ending): 1 for number, (_, *ending) in enumerate(ENDINGS)}

    assert expected == ask(
        service, RUNS, NAME, "agent_otel_run_status", "agent_otel_run_stop_reason", expected=expected
    )


def test_only_an_agent_is_a_run(sent, ask, service):
    sent(
        Span("invoke_workflow w", {"gen_ai.operation.name": "invoke_workflow"}),
        Span("chain", {"openinference.span.kind": "CHAIN"}),
        Span("chain", {"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "invoke_agent"}),
        Span("w", {"traceloop.span.kind": "workflow", "gen_ai.operation.name": "invoke_agent"}),
        Span("t", {"traceloop.span.kind": "task"}),
        Span("invoke_agent remote", run("remote").attributes, kind=SpanKind.CLIENT),
        Span("invoke_agent served", run("served").attributes, kind=SpanKind.SERVER),
        Span("create_agent x", {"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "x"}),
        Span("create_agent x", {"gen_ai.operation.name": "create_agent", "traceloop.span.kind": "agent"}),
        Span("GET /", {"http.request.method": "GET"}, kind=SpanKind.SERVER),
        run("otel"),
        Span("a", {"openinference.span.kind": "AGENT", "agent.name": "openinference"}),
        Span("unnamed", {"openinference.span.kind": "AGENT"}, scope="openinference.instrumentation.crewai"),
        Span("a", {"traceloop.span.kind": "agent", "traceloop.entity.name": "openllmetry"}),
    )
    expected = {("otel",): 1, ("openinference",): 1, ("openllmetry",): 1, (None,): 1}

    assert expected == ask(service, RUNS, NAME, expected=expected)


def test_a_sub_agent_is_nested_where_its_span_says_so(sent, ask, service):
    outer = run("boss")
    outer.inside = (run("told", **{"agent_otel.run.nested": True}), run("untold"))
    sent(
        outer, run("word", **{"agent_otel.run.nested": "true"}), run("no", **{"agent_otel.run.nested": False})
    )
    expected = {
        ("boss", None): 1,
        ("told", "true"): 1,
        ("untold", None): 1,
        ("word", "true"): 1,
        ("no", None): 1,
    }

    assert expected == ask(service, RUNS, NAME, "agent_otel_run_nested", expected=expected)


ERRORS = {
    "openai.RateLimitError": "rate_limited",
    "openai.APITimeoutError": "timeout",
    "anthropic.AuthenticationError": "auth",
    "google.genai.errors.ServerError": "server_error",
    "BadRequestError": "invalid_request",
    "java.net.SocketTimeoutException": "_OTHER",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "429": "rate_limited",
    "503": "overloaded",
    "502": "server_error",
    "422": "invalid_request",
    "overloaded_error": "overloaded",
    "context_length_exceeded": "context_length",
    "insufficient_quota": "budget_exceeded",
    "langgraph.errors.GraphRecursionError": "max_steps",
    "builtins.PermissionError": "permission_denied",
    "FileNotFoundError": "not_found",
    "Customer 4711 has no order": "_OTHER",
    "server_error": "server_error",
    "content_filter": "content_filter",
    "httpx.ProtocolError": "connection",
    "ToolNotFoundException": "unknown_tool",
    "cancelled": "cancelled",
    "openai.LengthFinishReasonError": "max_tokens",
    "infinite_loop": "loop_detected",
    "ModelRefusalError": "refused",
    "agents.exceptions.InputGuardrailTripwireTriggered": "guardrail",
    "GraphInterrupt": "human_handoff",
    "SystemExit": "shutdown",
}


def test_an_error_is_one_of_the_catalog(sent, ask, service):
    sent(*(chat(**{"error.type": error, "gen_ai.request.model": error}) for error in ERRORS))
    expected = dict.fromkeys(ERRORS.items(), 1)

    assert set(catalog.ERROR_TYPES) == set(ERRORS.values())
    assert expected == ask(
        service, f"{LLM_SECONDS}_count", "gen_ai_request_model", "error_type", expected=expected
    )


def test_an_error_without_a_class_is_other(sent, ask, service):
    sent(
        failed(tool_call()),
        failed(tool_call(), type="ValueError"),
        tool_call(**{"gen_ai.tool.status": "error"}),
        tool_call(),
    )
    expected = {("_OTHER",): 3, (None,): 1}

    assert expected == ask(service, f"{TOOL_SECONDS}_count", "error_type", expected=expected)


SPELLINGS = [
    ("gen_ai.usage.", "input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens",
     "reasoning.output_tokens"),
    ("gen_ai.usage.", "prompt_tokens", "completion_tokens", "cache_read_input_tokens",
     "cache_creation_input_tokens", "reasoning_tokens"),
    ("gen_ai.usage.", "input_tokens", "output_tokens", "cache_read.input_tokens", "cache_creation.input_tokens",
     "reasoning_tokens"),
    ("llm.token_count.", "prompt", "completion", "prompt_details.cache_read", "prompt_details.cache_write",
     "completion_details.reasoning"),
]  # fmt: skip
COUNTS = (100, 20, 40, 10, 5)


NUMBERS = [(int, int), (float, int), (int, float), (float, float)]  # as languages send them


def test_token_types_are_disjoint_and_add_up(sent, ask, service):
    sent(
        *(
            chat(**{f"{prefix}{name}": count for name, count in zip(names, counts, strict=True)})
            for prefix, *names in SPELLINGS
            for whole, part in NUMBERS
            for counts in [(*map(whole, COUNTS[:2]), *map(part, COUNTS[2:]))]
        )
    )
    calls = len(SPELLINGS) * len(NUMBERS)
    total = [calls * count for count in COUNTS]
    disjoint = {"input": 50, "cache_read": 40, "cache_write": 10, "output": 15, "reasoning": 5}
    expected = {(kind,): calls * count for kind, count in disjoint.items()}

    assert expected == ask(service, TOKENS, "agent_otel_token_type", expected=expected)
    for metric, count in zip(USAGE, total, strict=True):
        name = f"{metric.name.replace('.', '_')}_total"
        assert {("unknown", "gpt-5"): count} == ask(
            service, name, "gen_ai_token_modality", "gen_ai_request_model"
        )


WRONG_USAGE = [
    {"input_tokens": 10, "output_tokens": 1, "cache_read__input_tokens": 11},
    {"input_tokens": 10, "output_tokens": 1, "reasoning__output_tokens": 2},
    {"input_tokens": -1, "output_tokens": 1},
    {"input_tokens": "many", "output_tokens": 1},
    {"input_tokens": 2**40, "output_tokens": 1},
    {},
]


def test_usage_that_is_missing_or_wrong_is_counted_and_not_guessed(sent, ask, service):
    half = {"input_tokens": 10}
    cases = (*WRONG_USAGE, half)
    sent(
        *(
            chat(**usage(**counts), **{"gen_ai.request.model": f"m{number}"})
            for number, counts in enumerate(cases)
        )
    )
    expected = {(f"m{number}",): 1 for number in range(len(cases))}

    assert expected == ask(service, MISSING, "gen_ai_request_model", expected=expected)
    assert {("m6", "input"): 10} == ask(service, TOKENS, "gen_ai_request_model", "agent_otel_token_type")


UNMEASURED = {"backwards": (100, -7), "from 0": (-BEGAN, BEGAN), "to 0": (0, -BEGAN), "never": (-BEGAN, 0)}
UNMEASURED |= {"a month": (0, 30 * 86400)}
MEASURED = {"good": (0, 10), "instant": (0, 0), "long": (0, 30 * 86400 - 1)}


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (run, RUN_SECONDS),
        (tool_call, TOOL_SECONDS),
        (chat, LLM_SECONDS),
        (
            lambda **more: chat(**{**more, "gen_ai.operation.name": "embeddings"}),
            "gen_ai_client_operation_duration_seconds",
        ),
    ],
    ids=["run", "tool", "inference", "embeddings"],
)
def test_a_duration_that_cant_be_one_isnt_recorded(sent, ask, service, make, seconds):
    spans = []
    for name, (begin, lasted) in (UNMEASURED | MEASURED).items():
        span = make(**{"gen_ai.agent.version": name})
        span.begin, span.seconds = begin, lasted
        spans.append(span)
    sent(*spans)
    expected = {(name,): lasted for name, (_, lasted) in MEASURED.items()}

    assert expected == ask(service, f"{seconds}_sum", RELEASE, expected=expected)
    assert dict.fromkeys(expected, 1) == ask(service, f"{seconds}_count", RELEASE)


def test_what_was_measured_wrongly_is_counted_all_the_same(sent, ask, service):
    for name, (begin, lasted) in UNMEASURED.items():
        wrong = run(name), chat(**usage(input_tokens=2, output_tokens=1), **{"gen_ai.agent.name": name})
        for span in wrong:
            span.begin, span.seconds = begin, lasted
        sent(*wrong)
    expected = {(name,): 1 for name in UNMEASURED}

    assert expected == ask(service, RUNS, NAME, expected=expected)
    assert expected == ask(service, TOKENS, NAME, agent_otel_token_type="output")


def test_usage_is_missing_of_a_stream_that_broke_and_not_of_a_call_that_failed(sent, ask, service):
    first = {"gen_ai.response.time_to_first_chunk": 0.25}
    broken = Span(
        "LLM",
        {"openinference.span.kind": "LLM", "llm.model_name": "gpt-5"},
        status=ERROR,
        events=(("First Token Stream Event", 0.25, {}), ("exception", 0.9, {"exception.type": "x.APIError"})),
    )
    sent(failed(chat(**first)), failed(chat()), broken)

    assert {("gpt-5",): 2} == ask(service, MISSING, "gen_ai_request_model")
    name = "gen_ai_client_inference_time_to_first_chunk_seconds"
    assert {("gpt-5",): 0.5} == ask(service, f"{name}_sum", "gen_ai_request_model")
    assert {("gpt-5",): 3} == ask(service, f"{LLM_SECONDS}_count", "gen_ai_request_model")


def test_embeddings_cost_tokens_and_are_no_inference(sent, ask, service, prometheus):
    embed = chat(**{"gen_ai.operation.name": "embeddings", **usage(input_tokens=7)})
    sent(embed, Span("e", {"openinference.span.kind": "EMBEDDING", "llm.token_count.prompt": 5}))

    assert {("input",): 12} == ask(service, TOKENS, "agent_otel_token_type")
    assert {("embeddings",): 2} == ask(
        service, "gen_ai_client_operation_duration_seconds_count", "gen_ai_operation_name"
    )
    assert {} == prometheus.query(f'{{__name__=~"{LLM_SECONDS}_count|{MISSING}",job="{service}"}}')


def test_a_span_without_attributes_or_with_empty_ones_is_counted_without_labels(sent, ask, service):
    keys = ("gen_ai.agent.name", "gen_ai.agent.version", "gen_ai.tool.name", "gen_ai.tool.type")
    keys += ("gen_ai.request.model", "gen_ai.provider.name", "error.type")
    empty = dict.fromkeys(keys, "")
    for operation in ("invoke_agent", "chat", "execute_tool"):
        sent(*(Span("x", {"gen_ai.operation.name": operation, **more}) for more in ({}, empty)))
    twice = {(None, None): 2}

    assert twice == ask(service, RUNS, NAME, RELEASE, expected=twice)
    labels = ("gen_ai_request_model", "gen_ai_provider_name")
    assert twice == ask(service, f"{LLM_SECONDS}_count", *labels, expected=twice)
    labels = ("gen_ai_tool_name", "gen_ai_tool_type")
    assert twice == ask(service, f"{TOOL_SECONDS}_count", *labels, expected=twice)
    assert {(None,): 2} == ask(service, MISSING, "gen_ai_request_model")


def test_a_label_is_a_text_whatever_a_language_sends(sent, ask, service):
    sent(
        *(run(7, **{"gen_ai.agent.version": version}) for version in (2, "2")),
        run("7"),
        run(True),
        run("true"),
    )
    expected = {("7", "2"): 2, ("7", None): 1, ("true", None): 2}

    assert expected == ask(service, RUNS, NAME, RELEASE, expected=expected)


def test_an_mcp_span_repeats_its_tool(sent, ask, service):
    call = tool_call()
    call.inside = (
        Span(
            "tools/call search",
            tool_call(**{"mcp.method.name": "tools/call"}).attributes,
            kind=SpanKind.CLIENT,
        ),
    )
    sent(call)

    assert {("search",): 1} == ask(service, f"{TOOL_SECONDS}_count", "gen_ai_tool_name")


def test_a_provider_has_the_name_that_opentelemetry_gives_it(sent, ask, service):
    names = [
        ("gen_ai.provider.name", "anthropic", "anthropic"),
        ("gen_ai.system", "OpenAI", "openai"),
        ("gen_ai.system", "az.ai.openai", "azure.ai.openai"),
        ("gen_ai.system", "vertex_ai", "gcp.vertex_ai"),
        ("gen_ai.system", "gemini", "gcp.gemini"),
        ("llm.provider", "azure", "azure.ai.openai"),
        ("llm.provider", "aws", "aws.bedrock"),
        ("llm.provider", "google", "gcp.gen_ai"),
        ("llm.provider", "mistralai", "mistral_ai"),
        ("llm.provider", "xai", "x_ai"),
        ("llm.system", "vertexai", "gcp.vertex_ai"),
    ]
    sent(
        *(
            Span("c", {"gen_ai.operation.name": "chat", "gen_ai.request.model": f"m{number}", key: value})
            for number, (key, value, _) in enumerate(names)
        )
    )
    expected = {(f"m{number}", name): 1 for number, (*_, name) in enumerate(names)}

    assert expected == ask(
        service, f"{LLM_SECONDS}_count", "gen_ai_request_model", "gen_ai_provider_name", expected=expected
    )


def test_the_span_s_own_release_wins_and_a_commit_is_shortened(sent, ask, service):
    sent(
        run("own", **{"gen_ai.agent.version": "7"}),
        run("commit", **{"gen_ai.agent.version": "0123456789abcdef0123456789abcdef01234567"}),
        run("service"),
        service_version="1.4",
    )
    expected = {("own", "7"): 1, ("commit", "0123456789ab"): 1, ("service", "1.4"): 1}

    assert expected == ask(service, RUNS, NAME, RELEASE, expected=expected)


IDS = [
    str(uuid.UUID(int=2**100)),
    "bot-" + "f00d" * 5 + "-x",
    "someone@example.com",
    "call_Ab3dEf6hIj9kLm2nOp5q",
    "a" * 65,
    "order 12345678901234567890",
]
NAMES = ["support-bot", "gpt-4.1-mini-2025-04-14", "Größe 3", "run_the_whole_database", "n" * 64]


def test_an_id_never_becomes_a_label(sent, ask, service):
    values = [*IDS, *NAMES]
    sent(
        *map(run, values),
        *map(tool_call, values),
        *(chat(**{"gen_ai.request.model": value}) for value in values),
    )
    expected = {("_OTHER",): len(IDS), **{(name,): 1 for name in NAMES}}

    assert expected == ask(service, RUNS, NAME, expected=expected)
    assert expected == ask(service, f"{TOOL_SECONDS}_count", "gen_ai_tool_name")
    assert expected == ask(service, f"{LLM_SECONDS}_count", "gen_ai_request_model")


@pytest.mark.parametrize("value", [*IDS, *NAMES])
def test_an_id_is_what_the_library_takes_for_one(value):
    expected = catalog.OTHER if value in IDS else value

    assert expected == Policy(Settings()).label(catalog.AGENT_NAME, value)


def test_no_label_is_out_of_the_catalog(sent, ask, service, prometheus):
    forbidden = {f"gen_ai.{key}": "x" for key in sorted(catalog.FORBIDDEN)}
    forbidden |= {
        "session.id": "s",
        "user.id": "u",
        "gen_ai.conversation.id": "c",
        "gen_ai.tool.call.id": "t",
    }
    sent(
        run(**forbidden), tool_call(**forbidden), chat(**forbidden, **usage(input_tokens=1, output_tokens=1))
    )
    ask(service, RUNS)
    allowed = {attribute.key.replace(".", "_") for metric in GIVEN for attribute in metric.attributes}

    found = prometheus.query('{job!~".*-program",__name__=~"(gen_ai|agent_otel)_.*"}')

    assert {key for labels in found for key, _ in labels} <= {*allowed, "__name__", "job", "instance", "le"}


def test_what_a_span_forges_counts_for_nothing(sent, ask, service, prometheus):
    forged = {
        "agent_otel.kind": "inference",
        "agent_otel.run.status": "ok",
        "agent_otel.run.stop_reason": "completed",
        "agent_otel.token.type": "x",
        "agent_otel.tokens.input": 99,
        "agent_otel.usage_missing": True,
        "gen_ai.token.modality": "x",
    }
    workflow = Span("w", {"gen_ai.operation.name": "invoke_workflow", **usage(input_tokens=9), **forged})
    sent(
        workflow, tool_call(**usage(input_tokens=9)), chat(**usage(input_tokens=3, output_tokens=1), **forged)
    )

    assert {("input",): 3, ("output",): 1} == ask(service, TOKENS, "agent_otel_token_type")
    assert {("unknown",): 3} == ask(service, PAGE[catalog.INPUT_TOKENS], "gen_ai_token_modality")
    assert {(None,): 1} == ask(service, f"{LLM_SECONDS}_count", "error_type")
    assert {} == prometheus.query(f'{{__name__=~"{RUNS}|{MISSING}",job="{service}"}}')


HOSTILE = [
    True,
    -1,
    2**62,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 10_000,
    "a\nb",
    b"\xff",
    ("a", "b"),
    (1, 2),
]


def test_nothing_that_a_span_carries_stops_the_collector(sent, ask, service):
    text = (CONFIGS / "from-traces.yaml").read_text(encoding="utf-8")
    keys = sorted({*re.findall(r'span\.attributes\["([^"]+)"\]', text)} - {"mcp.method.name"})
    for value in HOSTILE:
        sent(*(make(**{key: value}) for key in keys for make in (run, tool_call, chat)))
    sent(run("the end"))

    assert {(): 1} == ask(service, RUNS, gen_ai_agent_name="the end")


def test_older_openllmetry_says_it_in_its_own_words(sent, ask, service):
    sent(
        Span("search.tool", {"traceloop.span.kind": "tool", "traceloop.entity.name": "search"}),
        *(
            Span("openai", {"llm.request.type": kind, **usage(prompt_tokens=7, completion_tokens=2)})
            for kind in ("chat", "completion", "embedding", "rerank")
        ),
    )

    assert {("search",): 1} == ask(service, f"{TOOL_SECONDS}_count", "gen_ai_tool_name")
    expected = {("chat",): 1, ("text_completion",): 1}
    assert expected == ask(service, f"{LLM_SECONDS}_count", "gen_ai_operation_name", expected=expected)
    assert {("input",): 21, ("output",): 6} == ask(service, TOKENS, "agent_otel_token_type")


def test_the_model_is_the_one_asked_for_else_the_one_that_answered(sent, ask, service):
    llm = {"openinference.span.kind": "LLM", "llm.model_name": "answered"}
    chats = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "response"}
    sent(
        Span("a", {**llm, "llm.invocation_parameters": '{"model": "asked"}'}),
        Span("b", {**llm, "llm.invocation_parameters": '{"tempera'}),
        Span("c", llm),
        Span("d", chats),
        Span("e", {**chats, "gen_ai.request.model": "own", "llm.invocation_parameters": '{"model": "x"}'}),
    )
    expected = {("asked",): 1, ("answered",): 2, ("response",): 1, ("own",): 1}

    assert expected == ask(service, f"{LLM_SECONDS}_count", "gen_ai_request_model", expected=expected)


def test_a_tool_s_type_is_one_of_the_conventions(sent, ask, service):
    sent(*(tool_call(**{"gen_ai.tool.type": kind}) for kind in ("function", "FunctionTool", "datastore")))
    expected = {("function",): 1, ("datastore",): 1, (None,): 1}

    assert expected == ask(service, f"{TOOL_SECONDS}_count", "gen_ai_tool_type", expected=expected)


def test_a_service_or_scope_that_is_left_out_makes_nothing(collector, ask, service, sent, prometheus):
    with sending(collector.endpoint, service_name="has-agent-otel") as provider:
        send(provider, run())
    twice = chat(**usage(input_tokens=3, output_tokens=1))
    twice.inside = (Span("inner", twice.attributes, kind=SpanKind.CLIENT, scope="twice.the.client"),)
    sent(twice, run())

    assert {("input",): 3, ("output",): 1} == ask(service, TOKENS, "agent_otel_token_type")
    assert {} == prometheus.query(f'{RUNS}{{job="has-agent-otel"}}')


def test_a_service_with_an_empty_name_isnt_left_out_by_an_empty_variable(tmp_path, prometheus, service):
    files = ("base.yaml", "local.yaml", "from-traces.yaml")
    given = {"PROMETHEUS_URL": prometheus.url, "OTELCOL_FROM_TRACES_INTERVAL": "500ms"}
    with Collector(tmp_path, *files, OTELCOL_FROM_TRACES_EXCLUDE="", **given) as running:
        with sending(running.endpoint, service_name="") as provider:
            send(provider, run(service))

        assert until(lambda: prometheus.value(f'sum({RUNS}{{{NAME}="{service}"}})')) == 1


def test_requests_at_once_lose_nothing_and_are_one_series(collector, ask, service):
    senders, spans = 8, 150

    def work(_):
        for _ in range(spans):
            with sending(collector.endpoint, service_name=service) as provider:
                send(provider, run())

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(work, range(senders)))
    expected = {("bot",): senders * spans}

    assert expected == ask(service, RUNS, NAME, expected=expected)
    assert 1 == len(ask(service, RUNS, "instance"))


def test_environments_are_series_of_their_own(collector, service, ask):
    for environment, runs in (("prod", 2), ("staging", 3)):
        with sending(
            collector.endpoint, service_name=service, deployment_environment_name=environment
        ) as provider:
            for _ in range(runs):
                send(provider, run())

    expected = {("bot",): 5}
    assert expected == ask(service, RUNS, NAME, expected=expected)
    by_instance = ask(service, RUNS, "instance")
    assert {"prod": 2, "staging": 3} == {
        key.partition("/")[0]: value for (key,), value in by_instance.items()
    }


def test_a_program_s_own_metrics_pass_beside_them(collector, ask, sent, service):
    program = f"{service}-program"
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import agent_otel; agent_otel.configure()\nwith agent_otel.run('bot'): pass\nagent_otel.shutdown()",
        ],
        env={
            "OTEL_SERVICE_NAME": program,
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    sent(run())

    assert {("completed",): 1} == ask(service, RUNS, "agent_otel_run_stop_reason")
    assert 1 == ask(program, RUNS, "agent_otel_run_stop_reason")["completed",]


# Together with other files


@pytest.fixture(scope="module")
def blocks():
    """The YAML blocks of the page: without conversion, and the traces handed on."""
    text = (ROOT / "docs" / "from-traces.md").read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_traces_can_be_handed_on_as_they_came(tmp_path, prometheus, ask, service, blocks):
    onward = tmp_path / "onward.yaml"
    onward.write_text(blocks[1])
    files = ("base.yaml", "local.yaml", "from-traces.yaml")
    settings = {"PROMETHEUS_URL": prometheus.url, "OTELCOL_FROM_TRACES_INTERVAL": "500ms"}
    with (
        Collector(tmp_path, *files, name="second", **settings) as second,
        Collector(tmp_path, *files, onward, TRACES_ENDPOINT=second.endpoint, **settings) as first,
    ):
        with sending(first.endpoint, service_name=service) as provider:
            send(provider, run())
            send(provider, tool_call(**{"mcp.method.name": "tools/call"}))  # the mapping takes this key away
        twice = {("bot",): 2}  # one of each Collector

        assert twice == ask(service, RUNS, NAME, expected=twice)
        assert [1, 1] == [*ask(service, RUNS, "instance").values()]
        assert {} == prometheus.query(f'{TOOL_SECONDS}_count{{job="{service}"}}')


def test_delta_goes_out_as_it_was_made(tmp_path, service, blocks):
    delta = tmp_path / "delta.yaml"
    delta.write_text(blocks[0])
    files = ("base.yaml", "local.yaml", "from-traces.yaml", delta)
    with (
        Prometheus(tmp_path, None, "--enable-feature=otlp-deltatocumulative", name="adds-up") as adds_up,
        Collector(tmp_path, *files, PROMETHEUS_URL=adds_up.url) as running,
    ):
        for _ in range(3):
            with sending(running.endpoint, service_name=service) as provider:
                send(provider, run())

        assert until(lambda: adds_up.value(f"sum({RUNS})") == 3)


def test_streams_are_bounded_and_what_is_left_out_is_told(tmp_path, prometheus, ask, service):
    with Collector(
        tmp_path,
        "base.yaml",
        "local.yaml",
        "from-traces.yaml",
        PROMETHEUS_URL=prometheus.url,
        OTELCOL_FROM_TRACES_INTERVAL="500ms",
        OTELCOL_FROM_TRACES_MAX_STREAMS=10,
    ) as bounded:
        with sending(bounded.endpoint, service_name=service) as provider:
            for number in range(50):
                send(provider, run(f"bot {number}"))
        ask(service, RUNS)
        left_out = re.findall(
            r'^otelcol_deltatocumulative_datapoints\S*error="limit"\S* (\d+)', bounded.telemetry, re.MULTILINE
        )

    assert 90 == sum(map(int, left_out))  # runs and their durations are 100 streams
    assert 10 == prometheus.value(f'count({{job="{service}",__name__=~"{RUNS}|{RUN_SECONDS}_count"}})')


@pytest.mark.parametrize("backend", sorted(path.name for path in (CONFIGS / "backends").glob("*.yaml")))
def test_every_backend_takes_them(backend):
    file = f"backends/{backend}"
    text = (CONFIGS / file).read_text(encoding="utf-8")
    variables = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", text), "http://127.0.0.1:1")
    for order in (file, "from-traces.yaml"), ("from-traces.yaml", file):
        configs = [flag for name in ("base.yaml", *order) for flag in ("--config", CONFIGS / name)]
        done = subprocess.run(
            [tool("otelcol"), "validate", *configs],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        built = not re.search(r'unknown type: "(azure_auth|googleclientauth)"', done.stderr)

        assert done.returncode == 0 or not built, done.stderr


# Real instrumentations


@pytest.fixture(scope="module")
def instrumented():
    """Run the program that a real instrumentation watches, in the environment that its head asks for."""
    program = str(ROOT / "tests" / "real" / "instrumented.py")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    if subprocess.run([*uv, "sync", "--script", program], cwd=ROOT, check=False).returncode:
        do_without("the instrumentations that tests/real/instrumented.py names can't be installed from PyPI")

    def of(*arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        command = [*uv, "run", "--script", program, *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)

    return of


@pytest.mark.parametrize(
    ("name", "model"),
    [("otel", "gpt-4o"), ("openinference", "gpt-4o-2024-08-06"), ("openllmetry", "gpt-4o-2024-08-06")],
)
def test_what_a_real_instrumentation_sends_is_counted(instrumented, collector, ask, service, name, model):
    instrumented(name, collector.endpoint, service)
    runs = {
        ("support", "1.4", "completed"): 1,
        ("support", "1.4", "error"): 1,  # no turn was left, which none of them says
        ("boss", "1.4", "completed"): 1,
        ("helper", "1.4", "completed"): 1,
    }
    tokens = {("input",): 420, ("cache_read",): 280, ("output",): 105, ("reasoning",): 35}

    assert runs == ask(service, RUNS, NAME, RELEASE, "agent_otel_run_stop_reason", expected=runs)
    assert {("openai", model, "1.4"): 7} == ask(
        service, f"{LLM_SECONDS}_count", "gen_ai_provider_name", "gen_ai_request_model", RELEASE
    )
    assert {("search",): 3, ("ask_helper",): 1} == ask(service, f"{TOOL_SECONDS}_count", "gen_ai_tool_name")
    found = ask(service, TOKENS, "agent_otel_token_type")
    assert tokens == {key: count for key, count in found.items() if count}


# The file itself


@pytest.fixture(scope="module")
def config():
    return need("yaml").safe_load((CONFIGS / "from-traces.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def statements(config):
    groups = config["processors"]["transform/from_traces"]["trace_statements"]
    return [statement for group in groups for statement in group["statements"]]


def test_metrics_are_the_catalog_s_to_the_letter(config):
    def declared(metric):
        bounds = tuple(map(float, metric.bounds))
        keys = {attribute.key for attribute in metric.attributes}
        return metric.name, metric.unit, metric.description, metric.kind, bounds, frozenset(keys)

    found = {
        (
            entry["name"],
            entry["unit"],
            entry["description"],
            "counter" if entry.get("sum", {}).get("monotonic") else "histogram",
            tuple(map(float, entry.get("histogram", {}).get("buckets", ()))),
            frozenset(attribute["key"] for attribute in entry["attributes"]),
        )
        for entry in config["connectors"]["signal_to_metrics/from_traces"]["spans"]
    }

    assert {declared(metric) for metric in GIVEN} == found


def test_every_word_for_an_error_means_the_same_to_the_library(statements):
    outcomes = Outcomes()
    classes = {_key(name.rpartition(".")[2]): kind for name, kind in _CLASSES.items()}
    mapped = re.findall(
        r'error\.type"\], "(\w+)"\) where IsMatch\(span\.attributes\["agent_otel\.error"\], "\^\((.*)\)\$\$"\)',
        "\n".join(statements),
    )

    assert set(dict(mapped)) == set(catalog.ERROR_TYPES) - {catalog.OTHER}
    for kind, words in mapped:
        for word in words.replace("4[0-9][0-9]", "422").replace("5[0-9][0-9]", "500").split("|"):
            forms = [f"{word}{ending}" for ending in ("", "_error", "_exceeded")]
            meant = {*map(outcomes.error_type, forms), *map(classes.get, forms)}

            assert kind in meant, word


def test_stop_reasons_and_their_status_are_the_catalog_s(statements):
    text = "\n".join(statements)

    def words(before):
        (found,) = re.findall(re.escape(before) + r'[^"]*"\^\(([^"]*)\)\$\$"', text)
        return set(found.split("|"))

    by_status = defaultdict(set)
    for reason, status in catalog.STOP_REASONS.items():
        by_status[status].add(reason)
    reason = 'span.attributes["agent_otel.run.stop_reason"]'
    status = 'set(span.attributes["agent_otel.run.status"], "{}") where IsMatch(' + reason + ","

    assert by_status["error"] == words(status.format("error"))
    assert by_status["cancelled"] == words(status.format("cancelled"))
    assert by_status["incomplete"] - {catalog.OTHER} == words(f"not IsMatch({reason},")
    assert (set(catalog.STOP_REASONS) & set(catalog.ERROR_TYPES)) - {catalog.OTHER} == words(
        f'{reason} == nil and IsMatch(span.attributes["error.type"],'
    )
