"""What the agents stand on: which tool or model is slow, fails, is thrown away money on, or has no price."""

from __future__ import annotations

from typing import Final

from agent_otel import catalog
from agent_otel.artifacts.dashboards.panels import (
    AGENT,
    DOLLARS,
    PERCENT,
    SECONDS,
    WHOLE,
    Dashboard,
    Label,
    Panel,
    Query,
    Variable,
)
from agent_otel.artifacts.prometheus import Options, Promql, metric_name
from agent_otel.artifacts.rules import NOT_CANCELLED

_TOOLS: Final = '@agent_name=~"$agent",@tool=~"$tool"'
_MODELS: Final = '@model=~"$model"'
_TOOL: Final = "{{@tool}} {{@agent_name}}"
_CACHEABLE: Final = "input|cache_read|cache_write"


def _tool_quantile(q: float, window: str) -> str:
    return Promql(Options()).quantile(q, "tool_seconds", f"{_TOOLS},{NOT_CANCELLED}", "@agent, @tool", window)


def _model_quantile(q: float, window: str) -> str:
    """Of inference calls in every generation of the conventions."""
    forms = (
        Promql(Options()).quantile(q, metric, f"{_MODELS},{NOT_CANCELLED}", "@model_call", window)
        for metric in ("inference_seconds", "operation_seconds")
    )
    return "\n  or ".join(forms)


def _first_chunk(q: float, window: str) -> str:
    of, name = f"{{{_MODELS}}}", metric_name(catalog.TIME_TO_FIRST_CHUNK)
    return f"""\
histogram_quantile({q}, sum by (@model_call, le) (rate({name}_bucket{of}[{window}])))
  or histogram_quantile({q}, sum by (@model_call) (rate({name}{of}[{window}])))"""


def _over(record: str, of: str, window: str, range_: str = "$__range") -> str:
    return f"sum_over_time({record}:increase{window}{{{of}}}[{range_}:{window}])"


def _model_errors(range_: str) -> str:
    errors, calls = (_over(name, _MODELS, "15m", range_) for name in ("model_error:calls", "model:calls"))
    return f"{errors} / on (@model_call) group_left () ({calls} > 0)"


_CACHE_READ: Final = f"""\
sum by (@model_call) (agent_model:tokens:increase1h{{{_MODELS},@token_type="cache_read"}})
  / (sum by (@model_call) (agent_model:tokens:increase1h{{{_MODELS},@token_type=~"{_CACHEABLE}"}}) > 0)"""
_PRICED: Final = f"""\
agent_model:tokens:increase1h{{{_MODELS}}}
  * on (@provider, @model, @token_type) group_left () model:token_price_usd:last1h"""

_TABLES: Final = (
    Panel(
        title="Tools, over the time shown",
        means="Every tool that was called, by agent: how often, how well and how fast.",
        do="Much called and often failing costs most: begin there.",
        queries=(
            Query(_over("agent_tool:calls", _TOOLS, "1h"), "Calls", WHOLE),
            Query(
                f"{_over('agent_tool:errors', _TOOLS, '1h')} / ({_over('agent_tool:calls', _TOOLS, '1h')} > 0)",
                "Errors",
                PERCENT,
                ((None, "text"), (0.1, "red")),
            ),
            Query(_tool_quantile(0.5, "$__range"), "p50", SECONDS),
            Query(_tool_quantile(0.95, "$__range"), "p95", SECONDS),
        ),
        labels=(Label("@agent_name", "Agent", width=150), Label("@tool", "Tool", width=120)),
        sort=("@agent_name", "@tool"),
        width=12,
        height=8,
    ),
    Panel(
        title="Models, over the time shown",
        means="Every model that was called: how often, how well, how fast, and what it cost at list prices.",
        do="Compare the p95 with that of the agents' runs: most of a run's time is model time.",
        queries=(
            Query(_over("model:calls", _MODELS, "15m"), "Calls", WHOLE),
            Query(
                f"sum by (@model_call) ({_over('model_error:calls', _MODELS, '15m')})\n"
                f"  / ({_over('model:calls', _MODELS, '15m')} > 0)",
                "Errors",
                PERCENT,
                ((None, "text"), (0.05, "red")),
            ),
            Query(_model_quantile(0.5, "$__range"), "p50", SECONDS),
            Query(_model_quantile(0.95, "$__range"), "p95", SECONDS),
            Query(f"sum by (@model_call) (sum_over_time(({_PRICED})[$__range:1h]))", "Cost", DOLLARS),
        ),
        labels=(Label("@provider", "Provider", width=100), Label("@model", "Model", width=170)),
        sort=("@provider", "@model"),
        width=12,
        height=8,
    ),
)

_TOOL_CHARTS: Final = (
    Panel(
        title="Tool calls, last hour",
        means="How often a tool is called.",
        do="Compare with the runs: more calls for as many runs show under calls per run.",
        queries=(Query(f"agent_tool:calls:increase1h{{{_TOOLS}}}", _TOOL),),
    ),
    Panel(
        title="Tool calls per run, last hour",
        means="Calls of a tool for each finished run of its agent.",
        do="A rise is a loop, or a tool whose answers don't help: read what it answers.",
        queries=(Query(f"agent_tool:calls_per_run:1h{{{_TOOLS}}}", _TOOL),),
    ),
    Panel(
        title="Tool error rate, last hour",
        means="Calls of a tool that ended with an error; dashed is the objective of its agent.",
        do="Its class says who has to act: timeout and server_error the tool's owner, invalid_request the agent's.",
        queries=(
            Query(f"agent_tool:error_ratio:1h{{{_TOOLS}}}", _TOOL),
            Query(
                'agent:objective:tool_error_ratio{@agent_name=~"$agent"}',
                "objective {{@agent_name}}",
                objective=True,
            ),
        ),
        unit=PERCENT,
    ),
    *(
        Panel(
            title=f"Tool time p{q * 100:.0f}, last 30 min",
            means=f"{part} of a tool's calls take longer.",
            do="A tool that became slow makes every run of its agent slow: give it a timeout, then mend it.",
            queries=(Query(_tool_quantile(q, "30m"), _TOOL),),
            unit=SECONDS,
        )
        for q, part in ((0.5, "Half"), (0.95, "One in twenty"))
    ),
    Panel(
        title="Tool errors by class, last hour",
        means="How many calls ended with which class of error.",
        do="unknown_tool: the model invents tools. invalid_request: it misreads a schema. Others: the tool's service.",
        queries=(
            Query(
                'sum by (@tool, @error) (agent_tool_error:calls:increase1h{@agent_name=~"$agent",@tool=~"$tool"}) > 0',
                "{{@tool}} {{@error}}",
            ),
        ),
        stacked=True,
        empty="no tool call failed",
    ),
)

_MODEL_CHARTS: Final = (
    Panel(
        title="Model calls, last hour",
        means="How often a model is called; your own second attempts count, a client library's don't.",
        do="A model that should be gone and is still called: some agent was left out of the change.",
        queries=(Query(_over("model:calls", _MODELS, "15m", "1h"), "{{@provider}} {{@model}}"),),
    ),
    Panel(
        title="Model time p50 and p95, last 30 min",
        means="How long calls of a model take, from request to last chunk.",
        do="A provider that became slow: its status page, then another model or region.",
        queries=tuple(
            Query(_model_quantile(q, "30m"), f"p{q * 100:.0f} {{{{@model}}}}") for q in (0.5, 0.95)
        ),
        unit=SECONDS,
    ),
    Panel(
        title="Time to first chunk p50 and p95, last 30 min",
        means="How long a user of a stream waits for the first word.",
        do="It grows with the prompt and with a missed cache: see the share of cache reads.",
        queries=tuple(Query(_first_chunk(q, "30m"), f"p{q * 100:.0f} {{{{@model}}}}") for q in (0.5, 0.95)),
        unit=SECONDS,
        empty="no call is streamed",
    ),
    Panel(
        title="Model errors by class, last hour",
        means="The share of calls that ended with a class of error; rate_limited and overloaded are throttling.",
        do="Throttling: slow down, spread, or ask for quota. auth: a key. server_error: the provider's status page.",
        queries=(Query(f"{_model_errors('1h')} > 0", "{{@model}} {{@error}}"),),
        unit=PERCENT,
        stacked=True,
        empty="no model call failed",
    ),
    Panel(
        title="Tokens by kind, last hour",
        means="Disjoint kinds, which add up to the bill: input is what no cache had, output what was visible.",
        do="Much input and little cache_read: keep the beginning of prompts unchanged, so that it can be cached.",
        queries=(
            Query(f"sum by (@token_type) (agent_model:tokens:increase1h{{{_MODELS}}})", "{{@token_type}}"),
        ),
        stacked=True,
    ),
    Panel(
        title="Share of cache reads, last hour",
        means="Which share of what was sent to a model came from its cache, at about a tenth of the price.",
        do="A fall is money: something at the beginning of the prompt changes with each call, such as the time.",
        queries=(Query(_CACHE_READ, "{{@model}}"),),
        unit=PERCENT,
    ),
    Panel(
        title="Cost by model, last hour",
        means="An estimate: tokens at list prices.",
        do="Compare with AgentCostAboveBudget; a cheaper model for the easy steps saves most.",
        queries=(Query(f"sum by (@model_call) (\n{_PRICED})", "{{@model}}"),),
        unit=DOLLARS,
        stacked=True,
    ),
    Panel(
        title="Tokens without a price, last hour",
        means="Tokens of models that have no price: every figure of cost leaves them out.",
        do="Add the model to your own price file.",
        queries=(Query(f"model:tokens_unpriced:increase1h{{{_MODELS}}}", "{{@provider}} {{@model}}"),),
        empty="every model has a price",
    ),
    Panel(
        title="Calls without usage, last hour",
        means="The share of successful calls that reported no tokens: tokens and cost are too low by about as much.",
        do="Hand the reply to call.usage(), and ask the provider for usage in streams.",
        queries=(Query(f"model:usage_missing_ratio:1h{{{_MODELS}}}", "{{@provider}} {{@model}}"),),
        unit=PERCENT,
        empty="every call reports its usage",
    ),
)

TOOLS_AND_MODELS: Final = Dashboard(
    uid="agent-otel-tools-models",
    title="Agents / Tools and models",
    description="Which tool or model is slow, fails or costs, and for which agent?",
    variables=(
        AGENT,
        Variable("tool", "Tool", 'agent_tool:calls:increase1h{@agent_name=~"$agent"}', "@tool"),
        Variable("model", "Model", "model:calls:increase15m", "@model"),
    ),
    panels=(*_TABLES, *_TOOL_CHARTS, *_MODEL_CHARTS),
)
