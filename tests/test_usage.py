"""Token usage of every provider, from documented bodies and from the clients' own classes."""

from __future__ import annotations

import gc
import json
import math
import warnings
import weakref
from collections import UserDict
from dataclasses import dataclass
from functools import reduce
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_otel import usage
from agent_otel.usage import Usage, merge, read
from tests.optional import need


def validate(path: str, body: Any) -> Any:
    """Make an object of the client's class `module:Name` out of a body, as the client does."""
    module, _, name = path.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(need(module), name).model_validate(body)


def botocore_parsed(operation: str, body: Any) -> Any:
    session = need("botocore.session").get_session()
    shape = session.get_service_model("bedrock-runtime").operation_model(operation).output_shape
    parser = need("botocore.parsers").create_parser("rest-json")
    return parser.parse({"body": json.dumps(body).encode(), "headers": {}, "status_code": 200}, shape)


CACHE = "cache_read_input_tokens", "cache_creation_input_tokens"
COUNTS = {"input_tokens": 10, "output_tokens": 5}
CHAT = "openai.types.chat:ChatCompletion"
CHAT_CHUNK = "openai.types.chat:ChatCompletionChunk"
RESPONSE = "openai.types.responses:Response"
MESSAGE = "anthropic.types:Message"
GEMINI = "google.genai.types:GenerateContentResponse"
MISTRAL = "mistralai.client.models:ChatCompletionResponse"
LIVE = "google.genai.types:LiveServerMessage"
MISTRAL_EVENT = "mistralai.client.models:CompletionEvent"
COHERE = "cohere:V2ChatResponse"
COHERE_V1 = "cohere:NonStreamedChatResponse"

body = json.loads
chat = body('{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}')
chunk = {**chat, "object": "chat.completion.chunk"}
response = body("""{
    "id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "tools": [],
    "parallel_tool_calls": true, "tool_choice": "auto", "metadata": {}
}""")
message = body("""{
    "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
    "stop_reason": "end_turn", "stop_sequence": null
}""")
cohere = body('{"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant"}}')

chat_usage = body("""{
    "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 0}
}""")
xai_usage = body("""{
    "prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
    "prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 94}
}""")
response_usage = body("""{
    "input_tokens": 1200, "output_tokens": 350, "total_tokens": 1550,
    "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100},
    "output_tokens_details": {"reasoning_tokens": 256}
}""")
realtime_usage = body("""{
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91}
}""")
message_usage = body("""{
    "input_tokens": 21, "cache_creation_input_tokens": 188086, "cache_read_input_tokens": 5,
    "output_tokens": 393, "output_tokens_details": {"thinking_tokens": 200}
}""")
gemini_usage = body("""{
    "promptTokenCount": 1000, "cachedContentTokenCount": 800, "candidatesTokenCount": 50,
    "thoughtsTokenCount": 70, "toolUsePromptTokenCount": 30, "totalTokenCount": 1150
}""")
cohere_usage = body("""{
    "billed_units": {"input_tokens": 6772, "output_tokens": 248}, "tokens": {"input_tokens": 7596, "output_tokens": 645}
}""")


class Case(NamedTuple):
    """A documented body, the class that the client makes of it, and what it tells."""

    name: str
    client: str
    body: dict[str, Any]
    expected: Usage
    place: str = "usage"


written = {**chat_usage, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1500}}
thinking_alone = {"promptTokenCount": 10, "thoughtsTokenCount": 500, "totalTokenCount": 510}
live = {"promptTokenCount": 10, "responseTokenCount": 30, "totalTokenCount": 40}
unbilled = {"tokens": {"input_tokens": 71, "output_tokens": 418}, "cached_tokens": 64}
embeddings = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
bare_chat = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
message_end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": cohere_usage}}
stream_end = {
    "event_type": "stream-end",
    "finish_reason": "COMPLETE",
    "response": {"text": "", "meta": cohere_usage},
}
OF_CHAT, OF_RESPONSE = Usage(2006, 300, 1920, None, 192), Usage(1200, 350, 1000, 100, 256)
OF_MESSAGE, OF_COHERE = Usage(188112, 393, 5, 188086, 200), Usage(6772, 248)
THOUGHTS_ALONE = Usage(10, 500, None, None, 500)
RESPONSE_EVENT = "openai.types.responses:Response{}Event"
BETA = "anthropic.types.beta:BetaMessage"


def response_event(kind):
    return {
        "type": f"response.{kind}",
        "sequence_number": 9,
        "response": {**response, "usage": response_usage},
    }


CASES = [
    Case("chat", CHAT, {**chat, "usage": chat_usage}, OF_CHAT),
    Case("chat, cache written", CHAT, {**chat, "usage": written}, Usage(2006, 300, 0, 1500, 192)),
    Case("chat, no details", CHAT, {**chat, "usage": bare_chat}, Usage(9, 12)),
    Case("chat chunk", CHAT_CHUNK, {**chunk, "usage": chat_usage}, OF_CHAT),
    Case("chat of xai", CHAT, {**chat, "usage": xai_usage}, Usage(32, 103, 6, None, 94)),
    Case("embeddings", "openai.types:CreateEmbeddingResponse", embeddings, Usage(8)),
    Case("responses", RESPONSE, {**response, "usage": response_usage}, OF_RESPONSE),
    *(
        Case(
            f"response.{kind}",
            RESPONSE_EVENT.format(name),
            response_event(kind),
            OF_RESPONSE,
            "response.usage",
        )
        for kind, name in (("completed", "Completed"), ("incomplete", "Incomplete"), ("failed", "Failed"))
    ),
    Case(
        "realtime", "openai.types.realtime:RealtimeResponse", {"usage": realtime_usage}, Usage(132, 121, 64)
    ),
    Case("anthropic", MESSAGE, {**message, "usage": message_usage}, OF_MESSAGE),
    Case("anthropic beta", BETA, {**message, "usage": message_usage}, OF_MESSAGE),
    Case("anthropic, no cache", MESSAGE, {**message, "usage": COUNTS}, Usage(10, 5)),
    Case("gemini", GEMINI, {"usageMetadata": gemini_usage}, Usage(1030, 120, 800, None, 70), "usageMetadata"),
    Case("gemini, thoughts", GEMINI, {"usageMetadata": thinking_alone}, THOUGHTS_ALONE, "usageMetadata"),
    Case("gemini live", LIVE, {"usageMetadata": live}, Usage(10, 30), "usageMetadata"),
    Case("mistral", MISTRAL, {**chat, "usage": chat_usage}, OF_CHAT),
    Case("mistral chunk", MISTRAL_EVENT, {"data": {**chunk, "usage": bare_chat}}, Usage(9, 12), "data.usage"),
    Case("cohere", COHERE, {**cohere, "usage": cohere_usage}, OF_COHERE),
    Case(
        "cohere, cached",
        COHERE,
        {**cohere, "usage": {**cohere_usage, "cached_tokens": 512}},
        Usage(6772, 248, 512),
    ),
    Case(
        "cohere, more cached than billed",
        COHERE,
        {**cohere, "usage": {**cohere_usage, "cached_tokens": 7000}},
        OF_COHERE,
    ),
    Case("cohere, nothing billed", COHERE, {**cohere, "usage": unbilled}, Usage(71, 418, 64)),
    Case(
        "cohere message-end", "cohere:MessageEndV2ChatStreamResponse", message_end, OF_COHERE, "delta.usage"
    ),
    Case("cohere v1", COHERE_V1, {"text": "hi", "meta": cohere_usage}, OF_COHERE, "meta"),
    Case(
        "cohere v1 stream-end", "cohere:StreamEndStreamedChatResponse", stream_end, OF_COHERE, "response.meta"
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def at(body: Any, path: str) -> Any:
    return reduce(
        lambda held, name: held[name] if isinstance(held, dict) else getattr(held, name),
        path.split("."),
        body,
    )


@each_case
def test_a_documented_body_is_read_inclusively(case):
    assert case.expected == read(case.body)


@each_case
def test_the_clients_own_class_tells_the_same_as_its_body(case):
    assert case.expected == read(validate(case.client, case.body))


@each_case
def test_the_usage_alone_tells_the_same_as_the_reply(case):
    assert case.expected == read(at(case.body, case.place))


@each_case
def test_the_clients_own_usage_object_tells_the_same_as_the_reply(case):
    reply = validate(case.client, case.body)

    assert case.expected == read(at(reply, case.place.replace("usageMetadata", "usage_metadata")))


def test_gemini_json_in_snake_case_tells_the_same():
    spelled = body("""{
        "prompt_token_count": 1000, "cached_content_token_count": 800, "candidates_token_count": 50,
        "thoughts_token_count": 70, "tool_use_prompt_token_count": 30, "total_token_count": 1150
    }""")

    assert Usage(1030, 120, 800, None, 70) == read({"usage_metadata": spelled}) == read(spelled)


INTERACTION = body("""{
    "total_input_tokens": 9, "total_cached_tokens": 4, "total_output_tokens": 779,
    "total_thought_tokens": 912, "total_tool_use_tokens": 12, "total_tokens": 1712
}""")


@pytest.mark.parametrize(
    "reply",
    [
        INTERACTION,
        {"id": "v1", "status": "completed", "usage": INTERACTION},
        {"event_type": "interaction.completed", "interaction": {"id": "v1", "usage": INTERACTION}},
    ],
    ids=["usage", "interaction", "event"],
)
def test_a_gemini_interaction_is_read_inclusively(reply):
    assert Usage(21, 1691, 4, None, 912) == read(reply)


CONVERSE = body("""{
    "inputTokens": 125, "outputTokens": 60, "totalTokens": 1395,
    "cacheReadInputTokens": 1110, "cacheWriteInputTokens": 100
}""")


def converse_reply():
    return botocore_parsed(
        "Converse", {"usage": CONVERSE, "stopReason": "end_turn", "metrics": {"latencyMs": 1}}
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: CONVERSE,
        converse_reply,
        lambda: {"metadata": {"usage": CONVERSE, "metrics": {"latencyMs": 1}}},
    ],
    ids=["usage", "converse", "converse_stream"],
)
def test_bedrock_converse_is_read_inclusively(make):
    assert Usage(1335, 60, 1110, 100) == read(make())


def test_bedrock_converse_without_a_cache_says_nothing_of_one():
    assert Usage(125, 60) == read({"usage": {"inputTokens": 125, "outputTokens": 60, "totalTokens": 185}})


def test_novas_own_names_of_the_cache_are_read_once():
    both = {**CONVERSE, "cacheReadInputTokenCount": 1110, "cacheWriteInputTokenCount": 100}
    nova = {
        name: count
        for name, count in both.items()
        if name.endswith(("putTokens", "Count")) and "InputTokens" not in name
    }

    assert Usage(1335, 60, 1110, 100) == read({"usage": both}) == read({"usage": nova})


def litellm(name: str, **fields: Any) -> Any:
    with warnings.catch_warnings():  # its models warn when pydantic builds them
        warnings.simplefilter("ignore")
        return getattr(need("litellm.types.utils"), name)(**fields)


CACHED = body("""{
    "prompt_tokens": 1060, "completion_tokens": 5, "total_tokens": 1065, "reasoning_tokens": 2,
    "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 50
}""")


@pytest.mark.parametrize(
    "make",
    [
        lambda: litellm("ModelResponse", usage=litellm("Usage", **CACHED)),
        lambda: litellm("ModelResponse", usage=CACHED),
        lambda: litellm("ModelResponseStream", usage=CACHED),
        lambda: litellm("TextCompletionResponse", usage=litellm("Usage", **CACHED)),
        lambda: litellm("Usage", **CACHED),
        lambda: litellm("Usage", **CACHED).model_dump(),
    ],
    ids=["reply", "reply of a dict", "chunk", "text completion", "usage", "dict"],
)
def test_litellms_two_spellings_of_the_cache_are_counted_once(make):
    assert Usage(1060, 5, 1000, 50, 2) == read(make())


def test_litellms_top_level_cache_counts_are_read_where_it_tells_no_details():
    raw = {"prompt_tokens": 1060, "completion_tokens": 5, "cache_read_input_tokens": 1000}

    assert Usage(1060, 5, 1000) == read({"usage": raw})


def test_litellms_own_translation_of_anthropic_tells_what_anthropic_tells():
    translate = need("litellm.llms.anthropic.chat.transformation").AnthropicConfig().calculate_usage
    raw = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 50,
    }
    translated = read(translate(usage_object=raw, reasoning_content=None))

    assert read(raw) == translated._replace(reasoning=None)


def test_a_reply_of_litellm_without_usage_has_none_and_a_later_one_of_its_class_has():
    assert read(litellm("ModelResponseStream")) is None
    assert Usage(1060, 5, 1000, 50, 2) == read(litellm("ModelResponseStream", usage=CACHED))


LANGCHAIN = body("""{
    "input_tokens": 350, "output_tokens": 240, "total_tokens": 590,
    "input_token_details": {"audio": 10, "cache_creation": 200, "cache_read": 100},
    "output_token_details": {"audio": 10, "reasoning": 200}
}""")


def langchain_reply(told):
    return need("langchain_core.messages").AIMessage("hi", usage_metadata=told)


def pydantic_ai_usage():
    parts = {"cache_read_tokens": 1000, "cache_write_tokens": 10, "details": {"reasoning_tokens": 7}}
    return need("pydantic_ai.usage").RequestUsage(input_tokens=1200, output_tokens=50, **parts)


def agents_usage():
    agents = need("agents.usage")
    cache = agents.InputTokensDetails(cached_tokens=1000, cache_write_tokens=0)
    thoughts = agents.OutputTokensDetails(reasoning_tokens=7)
    return agents.Usage(1, 1200, cache, 50, thoughts, 1250)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (pydantic_ai_usage, Usage(1200, 50, 1000, 10, 7)),
        (agents_usage, Usage(1200, 50, 1000, 0, 7)),
        (lambda: langchain_reply(LANGCHAIN), Usage(350, 240, 100, 200, 200)),
        (lambda: langchain_reply({**COUNTS, "total_tokens": 15}), Usage(10, 5)),
    ],
    ids=["pydantic_ai", "openai-agents", "langchain", "langchain without details"],
)
def test_an_inclusive_usage_of_a_framework_is_read(make, expected):
    assert expected == read(make())


def test_a_chunk_of_langchain_is_not_read_since_it_tells_an_increment():
    module = need("langchain_core.messages")
    told = {"input_tokens": 350, "output_tokens": 0, "total_tokens": 350}

    assert read(module.AIMessageChunk("h", usage_metadata=told)) is None


# Streams


def total(*events: Any) -> Usage | None:
    return reduce(lambda was, now: was if now is None else merge(was, now), map(read, events), None)


def counted(fresh: Any, output: Any, *cached: Any) -> dict[str, Any]:
    return dict(zip(("input_tokens", "output_tokens", *CACHE), (fresh, output, *cached), strict=False))


def start_event(told: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message_start", "message": {**message, "usage": told}}


START = start_event(counted(10, 1, 5, 188086))
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
EVENTS = ("RawMessageStartEvent", "RawContentBlockDeltaEvent", "RawMessageDeltaEvent")
OF_START = Usage(188101, None, 5, 188086)
STREAMED = Usage(188101, 15, 5, 188086)
DELTAS = {
    "output alone": ({"output_tokens": 15}, STREAMED),
    "input repeated without the cache": (counted(10, 15), STREAMED),
    "input repeated, cache unknown": (counted(10, 15, None, None), STREAMED),
    "everything repeated": (counted(10, 15, 5, 188086), STREAMED),
    "input grown by a server's tool": (counted(10682, 510, 5, 188086), Usage(198773, 510, 5, 188086)),
    "cache alone": ({"output_tokens": 15, "cache_read_input_tokens": 7}, Usage(188103, 15, 7, 188086)),
    "thinking": (
        {"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 9}},
        Usage(188101, 15, 5, 188086, 9),
    ),
}


def delta_event(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": told,
    }


@pytest.mark.parametrize(("told", "expected"), DELTAS.values(), ids=DELTAS)
@pytest.mark.parametrize("form", ["dicts", "classes"])
def test_an_anthropic_stream_keeps_its_cache_split(told, expected, form):
    events = [START, TEXT, delta_event(told)]
    if form == "classes":
        events = [
            validate(f"anthropic.types:{name}", event) for name, event in zip(EVENTS, events, strict=True)
        ]

    assert expected == total(*events)


def test_a_gateway_that_counts_at_the_end_only_is_believed_at_the_end():
    start = start_event(counted(0, 0))
    end = delta_event({"input_tokens": 180, "cache_read_input_tokens": 1024, "output_tokens": 9})

    assert Usage(1204, 9, 1024) == total(start, end)
    assert Usage(180, 9) == total(start, delta_event(counted(180, 9)))


def test_an_anthropic_stream_left_before_its_end_has_no_output():
    assert OF_START == total(START, TEXT) == read(validate("anthropic.types:RawMessageStartEvent", START))


def test_a_message_start_that_tells_its_placeholder_alone_has_no_usage():
    assert read(start_event({"output_tokens": 1})) is None


def test_the_message_that_anthropics_stream_helper_ends_with_is_whole():
    stop = {"type": "message_stop", "message": {**message, "usage": message_usage}}

    assert OF_MESSAGE == read(stop)


def test_counts_given_by_hand_after_an_anthropic_stream_is_taken_as_it_stands():
    streamed = total(START, delta_event({"output_tokens": 15}))

    assert Usage(9, 3, 5, 188086) == merge(streamed, Usage(input=9, output=3))


def test_an_openai_chat_stream_tells_its_usage_in_its_last_chunk():
    chunks = [validate(CHAT_CHUNK, {**chunk, "usage": told}) for told in (None, None, None, chat_usage)]

    assert [None] * 3 == [read(each) for each in chunks[:3]]
    assert OF_CHAT == total(*chunks)


def test_an_openai_responses_stream_tells_its_usage_when_it_is_completed():
    created = {"type": "response.created", "sequence_number": 0, "response": {**response, "usage": None}}
    text = body("""{
        "type": "response.output_text.delta", "delta": "hi", "item_id": "i", "output_index": 0, "content_index": 0,
        "sequence_number": 1, "logprobs": []
    }""")
    bodies = {"Created": created, "TextDelta": text, "Completed": response_event("completed")}
    events = [validate(RESPONSE_EVENT.format(name), event) for name, event in bodies.items()]

    assert [None, None] == [read(event) for event in events[:2]]
    assert OF_RESPONSE == total(*events) == total(*bodies.values())


def test_the_chunk_events_of_openais_stream_helper_are_read():
    last = validate(CHAT_CHUNK, {**chunk, "usage": chat_usage})
    event = SimpleNamespace(type="chunk", chunk=last, snapshot=None)

    assert OF_CHAT == read(event)


@pytest.mark.parametrize(
    "make", [lambda body: body, lambda body: validate(GEMINI, body)], ids=["dicts", "classes"]
)
def test_a_gemini_stream_repeats_its_usage_and_the_last_wins(make):
    first = make({"usageMetadata": {"promptTokenCount": 10, "thoughtsTokenCount": 40, "totalTokenCount": 50}})
    last = {"promptTokenCount": 10, "thoughtsTokenCount": 60, "candidatesTokenCount": 7}
    chunks = first, make({"candidates": []}), make({"usageMetadata": last})

    assert Usage(10, 67, None, None, 60) == total(*chunks)


def test_joining_readings_keeps_what_the_later_one_does_not_tell():
    assert Usage(1, 5, 3, 0, 7) == merge(Usage(1, 2, 3, 4), Usage(None, 5, None, 0, 7))
    assert Usage(1, 2) == merge(None, Usage(1, 2))
    assert Usage() == merge(Usage(), Usage())


@settings(deadline=None)
@given(st.lists(st.builds(Usage, *[st.none() | st.integers(0, 99)] * 5)))
def test_joining_readings_gives_the_last_present_value_of_each_kind(readings):
    joined = reduce(merge, readings, None)
    expected = [
        next((count for count in reversed(kind) if count is not None), None)
        for kind in zip(*readings, strict=True)
    ]

    assert (Usage(*expected) if readings else None) == joined


# Absent is not zero


@pytest.mark.parametrize(
    "nothing",
    [
        {"usage": None},
        {"usage": {}},
        {
            "usage": {
                "prompt_tokens": None,
                "completion_tokens": None,
                "prompt_tokens_details": {"cached_tokens": None},
            }
        },
        {"usage": {"input_tokens": None, "output_tokens": None}},
        {"usage": {"search_units": 1}},
        {"usage": {"billed_units": {"search_units": 1}}},
        {"meta": {"api_version": {"version": "2"}}},
        {"usageMetadata": {"totalTokenCount": 5}},
        {"metadata": {"usage": "gold"}},
        {"response": "hi", "delta": "usage", "message": [], "data": b"usage", "chunk": 5},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"contentBlockDelta": {"delta": {"text": "hi"}, "contentBlockIndex": 0}},
        {},
        [],
        "usage",
        None,
        0,
        object(),
        Usage,
        dict,
        Usage(1, 2),
        mock.MagicMock(),
    ],
    ids=lambda nothing: repr(nothing)[:40],
)
def test_what_tells_no_counts_has_no_usage(nothing):
    assert read(nothing) is None


def test_zero_is_not_absent():
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}

    assert Usage(0, 0, 0) == read({"usage": zeros})
    assert Usage(0, 0, 0, 0) == read(dict.fromkeys(("input_tokens", "output_tokens", *CACHE), 0))


def test_counts_that_a_reply_does_not_tell_are_absent():
    assert Usage(output=5) == read({"usage": {"completion_tokens": 5}})
    assert Usage(cache_read=5) == read({"usage": {"cache_read_input_tokens": 5}})
    assert Usage(10, 5) == read({"input_tokens": 10, "output_tokens": 5, **dict.fromkeys(CACHE)})


# Values as found


def test_values_are_passed_on_as_found():
    assert Usage("12", -3, True) == read(
        {"prompt_tokens": "12", "completion_tokens": -3, "prompt_tokens_details": {"cached_tokens": True}}
    )


@pytest.mark.parametrize("bad", ["5", True, -5, 5j, math.nan, [5]], ids=repr)
def test_a_sum_with_something_that_is_no_count_is_not_a_number(bad):
    sums = [
        read({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": bad}).input,
        read({"input_tokens": bad, "output_tokens": 5, "cache_read_input_tokens": 10}).input,
        read({"promptTokenCount": 10, "toolUsePromptTokenCount": bad}).input,
        read({"candidatesTokenCount": 10, "thoughtsTokenCount": bad}).output,
        total(START, delta_event({"input_tokens": bad, "output_tokens": 5})).input,
        total(START, delta_event({"output_tokens": 5, "cache_read_input_tokens": bad})).input,
    ]

    assert ["nan"] * 6 == [repr(each) for each in sums]


def test_whole_numbers_given_as_floats_add_up():
    assert Usage(15.0, 5, 5.0) == read(
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 5.0}
    )


# Types


@dataclass
class Plain:
    usage: Any = None


class Slotted:
    __slots__ = ("input_tokens", "output_tokens", "usage")

    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)


class WithProperty:
    def __init__(self, usage):
        self._usage = usage

    @property
    def usage_metadata(self):
        return self._usage

    @property
    def costly(self):
        raise AssertionError("only what is looked for is asked for")


class OfClass:
    class usage:  # noqa: N801
        prompt_tokens = 10
        completion_tokens = 5


class Raising:
    @property
    def __dict__(self):
        raise RuntimeError("looked into")

    @property
    def usage(self):
        raise RuntimeError("asked")


def open_model(**fields):
    return need("pydantic").create_model("Open", __config__={"extra": "allow"}, **fields)


@pytest.mark.parametrize(
    "reply",
    [
        SimpleNamespace(usage=SimpleNamespace(**COUNTS)),
        SimpleNamespace(**COUNTS),
        Plain(COUNTS),
        Plain(SimpleNamespace(**COUNTS)),
        Slotted(usage=Slotted(**COUNTS)),
        Slotted(**COUNTS),
        WithProperty(COUNTS),
        OfClass(),
        UserDict(usage=UserDict(COUNTS)),
        mock.Mock(usage=SimpleNamespace(**COUNTS)),
    ],
    ids=lambda reply: type(reply).__name__,
)
def test_any_object_with_a_usage_is_read(reply):
    assert Usage(10, 5) == read(reply)


def test_an_object_is_seen_as_its_own_fields_and_its_classes():
    reply = OfClass()
    reply.text = "hi"
    seen = usage._view(reply)

    assert {"usage", "text"} == {*seen}
    assert 2 == len(seen)


FIRST_AND_LATER = {
    "SimpleNamespace": lambda usage: SimpleNamespace(usage=usage),
    "SimpleNamespace without the field": lambda usage: (
        SimpleNamespace(usage=usage) if usage else SimpleNamespace()
    ),
    "dataclass": Plain,
    "slots": lambda usage: Slotted(usage=usage) if usage else Slotted(),
    "dict": lambda usage: {"usage": usage},
    "dict without the key": lambda usage: {"usage": usage} if usage else {},
    "openai": lambda usage: validate(CHAT_CHUNK, {**chunk, "usage": usage and {**usage, "total_tokens": 15}}),
    "anthropic": lambda usage: need("anthropic.types").Message.model_construct(usage=usage),
}


@pytest.mark.parametrize("make", FIRST_AND_LATER.values(), ids=FIRST_AND_LATER)
def test_a_class_whose_first_instance_has_no_usage_is_read_later(make, forgetful):
    assert read(make(None)) is None
    assert Usage(10, 5) == read(make({"prompt_tokens": 10, "completion_tokens": 5}))


def test_a_model_of_nothing_but_extra_fields_is_looked_through_each_time():
    anything = open_model()

    assert read(anything()) is None
    assert read(anything(text="hi")) is None
    assert (
        Usage(10, 5)
        == read(anything(usage=COUNTS))
        == read(anything(**COUNTS))
        == read({"usage": anything(**COUNTS)})
    )


def test_a_client_that_is_older_than_its_api_tells_what_it_does_not_declare():
    old_usage = open_model(input_tokens=(int, ...), output_tokens=(int, ...))
    old_reply = open_model(usage=(old_usage, None), type=(str, "message"))
    old_details = open_model(cached_tokens=(int, 0))
    old_chat = open_model(
        prompt_tokens=(int, 0), completion_tokens=(int, 0), prompt_tokens_details=(old_details, None)
    )

    assert Usage(188112, 393, 5, 188086, 200) == read(old_reply(usage=message_usage))
    assert Usage(10, 5, 4, 3) == read(
        old_chat(
            prompt_tokens=10,
            completion_tokens=5,
            prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 3},
        )
    )


def test_a_model_that_declares_two_shapes_is_read_by_the_one_it_uses():
    both = need("pydantic").create_model(
        "Both",
        prompt_tokens=(int | None, None),
        input_tokens=(int | None, None),
        output_tokens=(int | None, None),
    )

    assert Usage(10, 5) == read(both(**COUNTS)) == read({"usage": both(**COUNTS)})
    assert read(both()) is None


def test_a_closed_model_without_usage_has_none():
    closed = need("pydantic").create_model("Closed", text=(str, ""))

    assert read(closed()) is None
    assert read({"usage": closed()}) is None


@pytest.fixture
def forgetful():
    """Types are seen for the first time."""
    for types in (usage._VIEWS, usage._USAGES, usage._REPLIES):
        types.clear()


def test_what_is_known_of_types_is_bounded_and_keeps_none_alive_for_ever(forgetful):
    first = type("First", (), {})
    read(first())
    gone = weakref.ref(first)
    del first
    for number in range(2 * usage._MOST_TYPES):
        read(type(f"Made{number}", (), {"usage": COUNTS})())
    gc.collect()

    assert gone() is None
    assert max(len(types) for types in (usage._VIEWS, usage._USAGES, usage._REPLIES)) <= usage._MOST_TYPES


# Junk


class Refusing:
    def __getattribute__(self, name):
        raise RuntimeError(name)


class Loud(str):
    """A key that raises when it is looked at closely."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        raise RuntimeError("compared")


class Meta(type):
    def __hash__(cls):
        raise RuntimeError("hashed")


def circular():
    body: dict[str, Any] = {}
    for name in usage._NAMES:
        body[name] = body
    return body


HOSTILE = {
    "raising": Raising,
    "refusing": Refusing,
    "refusing usage": lambda: SimpleNamespace(usage=Refusing(), type=Refusing()),
    "refusing parts": lambda: {"usage": {"prompt_tokens": 1, "prompt_tokens_details": Raising()}},
    "loud keys": lambda: {Loud("usage"): COUNTS, Loud("message"): 1},
    "unhashable type": lambda: Meta("Unhashable", (), {})(),  # noqa: PLW0108 - pytest hashes what it is given
    "empty name": type("Empty", (), {"": 1}),
    "pretended model": type(
        "Pretender", (), {"model_fields": {"usage": 1}, "__pydantic_extra__": None, "__slots__": ()}
    ),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_is_given_makes_it_raise(make):
    assert read(make()) is None


def test_a_body_that_contains_itself_is_left_alone():
    assert isinstance(read(circular()), Usage | None)


FIELDS = [
    *sorted(usage._NAMES),
    "cached_tokens",
    "prompt_tokens_details",
    "output_tokens_details",
    "total_tokens",
    "type",
]
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(Raising())
)
junk = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner)
        | st.dictionaries(st.sampled_from(FIELDS), inner).map(lambda fields: SimpleNamespace(**fields))
    ),
)


@settings(deadline=None)
@given(junk)
def test_junk_never_raises(given_junk):
    assert isinstance(read(given_junk), Usage | None)


@settings(deadline=None)
@given(junk, junk)
def test_joining_what_was_read_from_junk_never_raises(one, other):
    readings = [found for found in (read(one), read(other)) if found is not None]

    assert isinstance(reduce(merge, readings, None), Usage | None)


@settings(deadline=None)
@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="xyz"), inner)))
def test_junk_without_the_names_of_counts_has_no_usage(given_junk):
    assert read(given_junk) is None


@settings(deadline=None)
@given(st.builds(dict, **{name: st.integers(0, 10**9) for name in ("input_tokens", "output_tokens", *CACHE)}))
def test_anthropics_counts_add_up_however_they_are_split_over_a_stream(counts):
    end = delta_event(counted(counts["input_tokens"], counts["output_tokens"]))

    assert read(counts) == total(start_event(counts), end)
    assert read(counts).input == counts["input_tokens"] + sum(counts[name] for name in CACHE)
