"""Every metric and attribute of agent_otel, declared once.

Rules for whoever changes this file:

1. Names are a promise. Renaming, re-bucketing or dropping an attribute breaks dashboards: it is a breaking
   change and says so in the changelog.
2. No other file of the package holds a metric or attribute name as a string; it imports the symbol from here.
   Instruments, Views, caps and `docs/metrics.md` derive from these values (`make generate`).
3. Upstream metrics (OpenTelemetry GenAI conventions) keep upstream's name, instrument, unit and description to
   the letter: a page with two descriptions for one name is refused by Prometheus' parsers. Our bounds contain
   theirs. `tests/test_catalog.py` pins them in a table of its own.
4. Nothing is minted under `gen_ai.` or a bare `agent.`; ours live under `agent_otel.`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agent_otel.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCOPE: Final = "agent_otel"
GENAI: Final = "OpenTelemetry GenAI semantic conventions v0.1.0"
GENAI_1_37: Final = "OpenTelemetry semantic conventions v1.37.0, GenAI"
OWN: Final = "agent_otel: no convention yet"

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"

OTHER: Final = "_OTHER"
"""OpenTelemetry's word for "a value outside the known ones"; also where budgets and caps fold to."""

UNKNOWN: Final = "unknown"

MAX_VALUE_LENGTH: Final = 64
"""An attribute value longer than this is taken for an id or free text and never becomes a label."""

MAX_COUNT: Final = 2**31
"""More tokens than this in one call, or steps in one run, is a bad value: sums stay far inside an int64."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute key: what it means and how many values it may have.

    Args:
        key: The attribute's name, as it is exported.
        description: What it says, one sentence.
        budget: How many distinct values are kept; later ones become `_OTHER`.
        values: The closed vocabulary, if there is one. It is kept whole when a metric reaches its cap, so that
            totals and rates stay exact.
        stability: `stable` or `development`, as in the convention that `source` names.
        source: The convention, with its version.

    Raises:
        CatalogError: The key or the budget is not acceptable.
    """

    key: str
    description: str
    budget: int
    values: tuple[str, ...] = ()
    stability: str = "development"
    source: str = GENAI

    def __post_init__(self) -> None:
        """Refuse what a linter would refuse."""
        _require(
            bool(_NAME.fullmatch(self.key)), self.key, "use lower-case words joined by dots and underscores"
        )
        _require(self.budget > 0, self.key, f"budget {self.budget}: use a number above 0")
        _require(len(set(self.values)) == len(self.values), self.key, "a value stands twice: name each once")

    @property
    def is_closed(self) -> bool:
        """Whether the values are a closed vocabulary, kept when a metric reaches its cap."""
        return bool(self.values)


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric: its instrument, what it measures, and how many attribute sets it may have.

    Args:
        name: As exported; never with the unit or `_total` in it.
        kind: `counter`, `histogram`, `observable_up_down_counter` or `observable_gauge`.
        unit: UCUM, such as `s` or `{token}`.
        description: One sentence; upstream's own words for upstream's metrics.
        attributes: The only keys that it may carry.
        cap: The most distinct attribute sets; beyond it open attributes fold to `_OTHER`.
        bounds: Advisory bucket bounds, for histograms.
        number: `int` or `float`; one instrument never mixes them, which would flip the OTLP type.
        per_run: Whether it carries the run's attributes and so a team's own (`AGENT_OTEL_ATTRIBUTES`).
        stability: `stable` or `development`.
        source: The convention, with its version.

    Raises:
        CatalogError: A metric linter would refuse it.
    """

    name: str
    kind: str
    unit: str
    description: str
    attributes: tuple[Attribute, ...]
    cap: int
    bounds: tuple[float, ...] = ()
    number: type = int
    per_run: bool = True
    stability: str = "development"
    source: str = OWN

    def __post_init__(self) -> None:
        """Refuse what a linter would refuse."""
        _check_name(self)
        _check_bounds(self)
        keys = [attribute.key for attribute in self.attributes]
        _require(len(set(keys)) == len(keys), self.name, "an attribute stands twice: name each once")
        _require(self.cap > 0, self.name, f"cap {self.cap}: use a number above 0")
        _require(bool(self.description), self.name, "no description: say in one sentence what it measures")

    @property
    def kept_sets(self) -> int:
        """How many sets can stand beyond the cap: every combination of the closed vocabularies, or none of each."""
        return math.prod(len(attribute.values) + 1 for attribute in self.attributes if attribute.is_closed)


_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_UNIT: Final = re.compile(r"\{[a-z_]+\}|\{USD\}(/\{token\})?|s|By|1")
_UNIT_WORDS: Final = frozenset(
    {"total", "count", "seconds", "milliseconds", "ms", "bytes", "ratio", "percent", "usd"}
)
_KINDS: Final = frozenset({"counter", "histogram", "observable_up_down_counter", "observable_gauge"})


def _require(holds: bool, name: str, remedy: str) -> None:
    if not holds:
        raise CatalogError(f"{name!r}: {remedy}")


def _check_name(metric: Metric) -> None:
    name = metric.name
    _require(bool(_NAME.fullmatch(name)), name, "use lower-case words joined by dots and underscores")
    last = re.split(r"[._]", name)[-1]
    _require(last not in _UNIT_WORDS, name, f"leave {last!r} out: the unit and the kind say it")
    _require(metric.kind in _KINDS, name, f"kind {metric.kind!r}: use one of {', '.join(sorted(_KINDS))}")
    _require(
        bool(_UNIT.fullmatch(metric.unit)), name, f"unit {metric.unit!r}: use UCUM, such as s or {{token}}"
    )


def _check_bounds(metric: Metric) -> None:
    bounds, name = metric.bounds, metric.name
    if metric.kind != "histogram":
        return _require(not bounds, name, "bounds are for histograms only: leave them out")
    _require(
        bool(bounds), name, "a histogram without bounds gets the SDK's, made for milliseconds: declare them"
    )
    rising = all(low < high for low, high in pairwise(bounds))
    return _require(rising, name, "bounds must rise, each above the one before")


def is_name(text: str) -> bool:
    """Whether a text is a well-formed metric name or attribute key.

    Args:
        text: Such as `app.tier`.
    """
    return bool(_NAME.fullmatch(text))


def check_namespaces(metrics: Iterable[Metric]) -> None:
    """Refuse a name that stands twice or that is also the namespace of another.

    Args:
        metrics: All metrics that are exported together.

    Raises:
        CatalogError: Naming the metric and the remedy.
    """
    names = [metric.name for metric in metrics]
    for name in names:
        _require(names.count(name) == 1, name, "the name stands twice: declare it once")
        inside = [other for other in names if other.startswith(f"{name}.")]
        _require(not inside, name, f"it is also the namespace of {', '.join(inside)}: choose another name")


# Vocabularies

STATUSES: Final = ("ok", "error", "incomplete", "cancelled")

STOP_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "completed": "ok",
        "max_steps": "incomplete",
        "max_tokens": "incomplete",
        "timeout": "incomplete",
        "budget_exceeded": "incomplete",
        "loop_detected": "incomplete",
        "content_filter": "incomplete",
        "refused": "incomplete",
        "guardrail": "incomplete",
        "human_handoff": "incomplete",
        OTHER: "incomplete",
        "tool_error": "error",
        "model_error": "error",
        "error": "error",
        "cancelled": "cancelled",
        "abandoned": "cancelled",
        "shutdown": "cancelled",
    }
)
"""Why a run ended, and the status that follows from it."""

ERROR_TYPES: Final = (
    "timeout",
    "rate_limited",
    "auth",
    "permission_denied",
    "not_found",
    "invalid_request",
    "context_length",
    "content_filter",
    "connection",
    "server_error",
    "overloaded",
    "unknown_tool",
    "cancelled",
    # stop reasons that an exception can mean
    "max_steps",
    "max_tokens",
    "budget_exceeded",
    "loop_detected",
    "refused",
    "guardrail",
    "human_handoff",
    "shutdown",
    OTHER,
)

DROP_REASONS: Final = ("undeclared", "forbidden", "id_like", "budget", "cap", "type")

TOKEN_TYPES: Final = ("input", "cache_read", "cache_write", "output", "reasoning")
"""Disjoint: `input` is what was not cached, `output` what was visible; together they are the bill."""

INFERENCE_OPERATIONS: Final = frozenset({"chat", "generate_content", "text_completion"})
"""Operations that are inference calls; every other client operation is not counted as one."""

TOKEN_OPERATIONS: Final = INFERENCE_OPERATIONS | {"embeddings"}
"""Operations from which token usage is expected; of any other, what is given is recorded."""

TOKENLESS_OPERATIONS: Final = frozenset({"fetch_response"})
"""Operations that must not report usage, by the convention: it was reported when the response was made."""

# Attributes

AGENT_NAME: Final = Attribute(
    key="gen_ai.agent.name", description="The agent, as the application names it.", budget=50
)
AGENT_VERSION: Final = Attribute(
    key="gen_ai.agent.version",
    description="The release: `run(version=)`, else `AGENT_OTEL_RELEASE`, else `service.version`.",
    budget=10,
)
RUN_STATUS: Final = Attribute(
    key="agent_otel.run.status",
    description="How the run ended. Success rate is ok / (all - cancelled).",
    budget=len(STATUSES),
    values=STATUSES,
    source=OWN,
)
STOP_REASON: Final = Attribute(
    key="agent_otel.run.stop_reason",
    description="Why the run ended.",
    budget=len(STOP_REASONS),
    values=tuple(STOP_REASONS),
    source=OWN,
)
RUN_NESTED: Final = Attribute(
    key="agent_otel.run.nested",
    description="`true` for a run inside another run, absent otherwise: count without it what users asked for.",
    budget=1,
    values=("true",),
    source=OWN,
)
ERROR_TYPE: Final = Attribute(
    key="error.type",
    description="The class of error that left the block or was given to `fail()`; absent on success.",
    budget=len(ERROR_TYPES),
    values=ERROR_TYPES,
    stability="stable",
    source="OpenTelemetry semantic conventions v1.45.0",
)
TOOL_NAME: Final = Attribute(
    key="gen_ai.tool.name",
    description="The tool. With `run(tools=...)`, names that a model invents become `_OTHER`.",
    budget=100,
)
TOOL_TYPE: Final = Attribute(
    key="gen_ai.tool.type", description="What kind of tool: `function`, `extension` or `datastore`.", budget=5
)
OPERATION: Final = Attribute(
    key="gen_ai.operation.name",
    description="What was asked of the model, such as `chat` or `embeddings`.",
    budget=20,
)
PROVIDER: Final = Attribute(
    key="gen_ai.provider.name", description="Who served the model call, such as `openai`.", budget=20
)
MODEL: Final = Attribute(
    key="gen_ai.request.model", description="The model that was asked for, exactly as sent.", budget=50
)
MODALITY: Final = Attribute(
    key="gen_ai.token.modality",
    description="The tokens' content type; `unknown`, since replies do not partition their counts by it.",
    budget=4,
    values=("text", "image", "audio", UNKNOWN),
)
GENAI_TOKEN_TYPE: Final = Attribute(
    key="gen_ai.token.type",
    description="`input` (cached tokens included) or `output` (reasoning included).",
    budget=2,
    values=("input", "output"),
    source=GENAI_1_37,
)
TOKEN_TYPE: Final = Attribute(
    key="agent_otel.token.type",
    description="Disjoint kinds of tokens, which add up to the bill.",
    budget=len(TOKEN_TYPES),
    values=TOKEN_TYPES,
    source=OWN,
)
EVALUATION_NAME: Final = Attribute(
    key="gen_ai.evaluation.name", description="What was judged, such as `task_solved`.", budget=20
)
EVALUATION_LABEL: Final = Attribute(
    key="gen_ai.evaluation.score.label", description="The verdict, such as `pass` or `fail`.", budget=10
)
DROP_REASON: Final = Attribute(
    key="agent_otel.drop.reason",
    description="Why an attribute was removed or folded into `_OTHER`.",
    budget=len(DROP_REASONS),
    values=DROP_REASONS,
    source=OWN,
)

# Kept by the View on `mcp.*`, which other instrumentations emit; agent_otel records none of them.
MCP_METHOD: Final = Attribute(
    key="mcp.method.name", description="The MCP method, such as `tools/call`.", budget=30
)
MCP_PROTOCOL: Final = Attribute(
    key="mcp.protocol.version", description="The MCP protocol version.", budget=10
)
PROMPT_NAME: Final = Attribute(key="gen_ai.prompt.name", description="The prompt template's name.", budget=50)
TRANSPORT: Final = Attribute(
    key="network.transport",
    description="`tcp`, `pipe` and the like.",
    budget=5,
    stability="stable",
    source="OpenTelemetry semantic conventions v1.45.0",
)
RPC_STATUS: Final = Attribute(
    key="rpc.response.status_code", description="The JSON-RPC error code.", budget=30
)

A: Final = (AGENT_NAME, AGENT_VERSION)
C: Final = (OPERATION, PROVIDER, MODEL)
MCP: Final = (MCP_METHOD, MCP_PROTOCOL, PROMPT_NAME, TRANSPORT, RPC_STATUS, TOOL_NAME, OPERATION, ERROR_TYPE)

FORBIDDEN: Final = frozenset(
    {
        "run_id",
        "request_id",
        "session_id",
        "conversation_id",
        "thread_id",
        "trace_id",
        "span_id",
        "task_id",
        "message_id",
        "user_id",
        "enduser_id",
        "user",
        "user_name",
        "username",
        "customer_id",
        "account_id",
        "email",
        "e_mail",
        "user_email",
        "ip",
        "client_address",
        "prompt",
        "prompts",
        "completion",
        "input",
        "output",
        "messages",
        "input_messages",
        "output_messages",
        "arguments",
        "args",
        "result",
        "content",
        "query",
        "text",
        "response_id",
        "tool_call_id",
        "tool_call_arguments",
        "tool_call_result",
        "system_instructions",
        "seed",
        "resource_uri",
        "api_key",
        "token",
        "password",
    }
)
"""Keys that never become a label, whoever declares them; compared without case, dots, dashes or a `gen_ai.` prefix."""

FORBIDDEN_ENDINGS: Final = (
    *(f"_{key}" for key in sorted(FORBIDDEN) if "_" in key),
    "_email",
    "_prompt",
    "_password",
)
"""The same keys inside a namespace, such as `app.user_id`."""

# Bounds. Upstream's are always among ours.

RUN_SECONDS: Final = (*(round(0.1 * 2 ** (k / 2), 4) for k in range(33)), 7200.0)
"""Upstream's 0.1 x 2^k with a step between each pair, to two hours: p95 within 15 % for log-normal run times."""

CALL_SECONDS: Final = (*(round(0.01 * 2**k, 2) for k in range(15)), 300.0)
"""Upstream's 0.01 x 2^k to 81.92, extended to five minutes."""

CALLS: Final = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Zero has a bucket of its own: a run that called no tool is not a run that called one."""

RUN_TOKENS: Final = (0, *(128 * 2**k for k in range(18)))
CALL_TOKENS: Final = tuple(4**k for k in range(14))
RUN_USD: Final = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)

# Metrics

ACTIVE_RUNS: Final = Metric(
    name="agent_otel.active_runs",
    kind="observable_up_down_counter",
    unit="{run}",
    description="Runs in flight.",
    attributes=A,
    cap=100,
)
OLDEST_AGE: Final = Metric(
    name="agent_otel.run.oldest_age",
    kind="observable_gauge",
    unit="s",
    description="Age of the oldest run in flight, 0 when there is none.",
    attributes=A,
    cap=100,
    number=float,
)
TOKEN_PRICE: Final = Metric(
    name="agent_otel.token_price",
    kind="observable_gauge",
    unit="{USD}/{token}",
    description="List price of one token of a model that was called.",
    attributes=(PROVIDER, MODEL, TOKEN_TYPE),
    cap=250,
    number=float,
    per_run=False,
)
RUNS: Final = Metric(
    name="agent_otel.runs",
    kind="counter",
    unit="{run}",
    description="Runs that ended, by how and why.",
    attributes=(*A, RUN_STATUS, STOP_REASON, RUN_NESTED),
    cap=1000,
)
RUN_DURATION: Final = Metric(
    name="gen_ai.invoke_agent.duration",
    kind="histogram",
    unit="s",
    description=(
        "The end-to-end duration of a single in-process agent invocation, from the moment the invocation starts"
        " until the agent emits the last chunk of its final response or terminates with an error."
    ),
    attributes=(*A, ERROR_TYPE),
    cap=300,
    bounds=RUN_SECONDS,
    number=float,
    source=GENAI,
)
RUN_STEPS: Final = Metric(
    name="agent_otel.run.steps",
    kind="histogram",
    unit="{step}",
    description="Steps of one run; a run that counted none has its model calls as steps.",
    attributes=A,
    cap=100,
    bounds=CALLS,
)
RUN_INFERENCE_CALLS: Final = Metric(
    name="gen_ai.invoke_agent.inference_calls",
    kind="histogram",
    unit="{inference_call}",
    description="The number of inference (model) calls a GenAI agent makes during a single invocation.",
    attributes=A,
    cap=100,
    bounds=CALLS,
    source=GENAI,
)
RUN_TOOL_CALLS: Final = Metric(
    name="gen_ai.invoke_agent.tool_calls",
    kind="histogram",
    unit="{tool_call}",
    description="The number of tool calls a GenAI agent makes during a single invocation.",
    attributes=A,
    cap=100,
    bounds=CALLS,
    source=GENAI,
)
RUN_TOKEN_USAGE: Final = Metric(
    name="agent_otel.run.tokens",
    kind="histogram",
    unit="{token}",
    description="Tokens of one run, its sub-runs included; not recorded when the usage of a call is missing.",
    attributes=A,
    cap=100,
    bounds=RUN_TOKENS,
)
RUN_COST: Final = Metric(
    name="agent_otel.run.cost",
    kind="histogram",
    unit="{USD}",
    description="Estimated cost of one run at list prices, its sub-runs included; only with AGENT_OTEL_COST=1.",
    attributes=A,
    cap=100,
    bounds=RUN_USD,
    number=float,
)
TOOL_DURATION: Final = Metric(
    name="gen_ai.execute_tool.duration",
    kind="histogram",
    unit="s",
    description="The duration of a single tool execution.",
    attributes=(*A, TOOL_NAME, TOOL_TYPE, ERROR_TYPE),
    cap=500,
    bounds=CALL_SECONDS,
    number=float,
    source=GENAI,
)
INFERENCE_DURATION: Final = Metric(
    name="gen_ai.client.inference.duration",
    kind="histogram",
    unit="s",
    description="GenAI client inference operation duration.",
    attributes=(*A, *C, ERROR_TYPE),
    cap=500,
    bounds=CALL_SECONDS,
    number=float,
    source=GENAI,
)
OPERATION_DURATION: Final = Metric(
    name="gen_ai.client.operation.duration",
    kind="histogram",
    unit="s",
    description="GenAI operation duration.",
    attributes=(*A, *C, ERROR_TYPE),
    cap=500,
    bounds=CALL_SECONDS,
    number=float,
    source=GENAI,
)
TIME_TO_FIRST_CHUNK: Final = Metric(
    name="gen_ai.client.inference.time_to_first_chunk",
    kind="histogram",
    unit="s",
    description=(
        "Time to receive the first chunk, measured from when the client issues the generation request to when the"
        " first chunk is received in the response stream."
    ),
    attributes=(*A, *C),
    cap=200,
    bounds=CALL_SECONDS,
    number=float,
    source=GENAI,
)
OPERATION_TIME_TO_FIRST_CHUNK: Final = Metric(
    name="gen_ai.client.operation.time_to_first_chunk",
    kind="histogram",
    unit="s",
    description=TIME_TO_FIRST_CHUNK.description,
    attributes=(*A, *C),
    cap=200,
    bounds=CALL_SECONDS,
    number=float,
    source=GENAI_1_37,
)
TOKENS: Final = Metric(
    name="agent_otel.tokens",
    kind="counter",
    unit="{token}",
    description="Tokens by disjoint type: input (not cached), cache_read, cache_write, output (visible), reasoning.",
    attributes=(*A, PROVIDER, MODEL, TOKEN_TYPE),
    cap=500,
)
INPUT_TOKENS: Final = Metric(
    name="gen_ai.client.inference.usage.input_tokens",
    kind="counter",
    unit="{token}",
    description="The number of input (prompt) tokens used, including cached tokens.",
    attributes=(*A, *C, MODALITY),
    cap=200,
    source=GENAI,
)
OUTPUT_TOKENS: Final = Metric(
    name="gen_ai.client.inference.usage.output_tokens",
    kind="counter",
    unit="{token}",
    description="The number of output (completion) tokens used, including reasoning tokens.",
    attributes=(*A, *C, MODALITY),
    cap=200,
    source=GENAI,
)
CACHE_READ_TOKENS: Final = Metric(
    name="gen_ai.client.inference.usage.cache_read.input_tokens",
    kind="counter",
    unit="{token}",
    description="The number of input tokens served from a provider-managed cache.",
    attributes=(*A, *C, MODALITY),
    cap=200,
    source=GENAI,
)
CACHE_WRITE_TOKENS: Final = Metric(
    name="gen_ai.client.inference.usage.cache_write.input_tokens",
    kind="counter",
    unit="{token}",
    description="The number of input tokens written to a provider-managed cache.",
    attributes=(*A, *C, MODALITY),
    cap=200,
    source=GENAI,
)
REASONING_TOKENS: Final = Metric(
    name="gen_ai.client.inference.usage.reasoning.output_tokens",
    kind="counter",
    unit="{token}",
    description="The number of output tokens used for reasoning (e.g. chain-of-thought, extended thinking).",
    attributes=(*A, *C, MODALITY),
    cap=200,
    source=GENAI,
)
TOKEN_USAGE: Final = Metric(
    name="gen_ai.client.token.usage",
    kind="histogram",
    unit="{token}",
    description="Number of input and output tokens used.",
    attributes=(*A, *C, GENAI_TOKEN_TYPE),
    cap=200,
    bounds=CALL_TOKENS,
    source=GENAI_1_37,
)
EVALUATIONS: Final = Metric(
    name="agent_otel.evaluations",
    kind="counter",
    unit="{evaluation}",
    description="Verdicts on the quality of runs, such as a validator's or a user's.",
    attributes=(*A, EVALUATION_NAME, EVALUATION_LABEL),
    cap=200,
)
USAGE_MISSING: Final = Metric(
    name="agent_otel.usage_missing",
    kind="counter",
    unit="{inference_call}",
    description="Calls that ended without token usage, which is never guessed.",
    attributes=(*A, PROVIDER, MODEL),
    cap=200,
)
DROPPED_ATTRIBUTES: Final = Metric(
    name="agent_otel.dropped_attributes",
    kind="counter",
    unit="{attribute}",
    description="Attributes that the attribute policy removed or folded into _OTHER.",
    attributes=(DROP_REASON,),
    cap=10,
    per_run=False,
)
DROPPED_MEASUREMENTS: Final = Metric(
    name="agent_otel.dropped_measurements",
    kind="counter",
    unit="{measurement}",
    description="Measurements lost to a full buffer or to a value that can't be used.",
    attributes=(),
    cap=1,
    per_run=False,
)

METRICS: Final = (
    ACTIVE_RUNS,
    OLDEST_AGE,
    TOKEN_PRICE,
    RUNS,
    RUN_DURATION,
    RUN_STEPS,
    RUN_INFERENCE_CALLS,
    RUN_TOOL_CALLS,
    RUN_TOKEN_USAGE,
    RUN_COST,
    TOOL_DURATION,
    INFERENCE_DURATION,
    OPERATION_DURATION,
    TIME_TO_FIRST_CHUNK,
    OPERATION_TIME_TO_FIRST_CHUNK,
    TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    REASONING_TOKENS,
    TOKEN_USAGE,
    EVALUATIONS,
    USAGE_MISSING,
    DROPPED_ATTRIBUTES,
    DROPPED_MEASUREMENTS,
)
"""Every metric. The observable ones come first: the first that is registered drains the buffer for all others."""

ATTRIBUTES: Final = tuple({attribute: None for metric in METRICS for attribute in metric.attributes})
"""Every attribute that a metric of ours carries, each once."""

check_namespaces(METRICS)


@dataclass(frozen=True, eq=False)
class Generation:
    """Which metrics say how a model call went, in one generation of upstream's names.

    Args:
        inference: Duration of an inference call.
        operation: Duration of any other client operation, such as embeddings.
        first_chunk: Time to the first chunk of a stream.
        usage: One counter for each of `Usage`'s inclusive counts, in its order.
        token_usage: The one histogram of tokens, by `gen_ai.token.type`.
    """

    inference: Metric | None = None
    operation: Metric | None = None
    first_chunk: Metric | None = None
    usage: tuple[Metric, ...] = ()
    token_usage: Metric | None = None


GENERATIONS: Final[Mapping[str, Generation]] = MappingProxyType(
    {
        "v0.1": Generation(
            inference=INFERENCE_DURATION,
            operation=OPERATION_DURATION,
            first_chunk=TIME_TO_FIRST_CHUNK,
            usage=(INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS),
        ),
        "v1.37": Generation(
            inference=OPERATION_DURATION,
            operation=OPERATION_DURATION,
            first_chunk=OPERATION_TIME_TO_FIRST_CHUNK,
            token_usage=TOKEN_USAGE,
        ),
        "none": Generation(),
    }
)
"""`AGENT_OTEL_SEMCONV`: the generation of the model-call names. `none`: another instrumentation emits them."""
