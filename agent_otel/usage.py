"""Reads token usage out of any provider's reply, stream chunk or event, usage object or dict.

Rules:

1. Inclusive counts, as OpenTelemetry and OpenAI have them: `input` contains cache reads and writes, `output`
   contains reasoning. What an API counts apart is added here and nowhere else.
2. Absent is not zero: a kind that a reply doesn't tell is None. A reply that tells none has no usage: None.
3. In a stream the last value of each kind wins, and an absent one never overwrites: `merge`.
4. The shape of what is given selects the reader, never a provider's name, and no client library is imported.
   An unknown shape is None. Nothing here raises.
5. Values are passed on as found: whether they are whole, positive and consistent is for the next stage to say.
   A sum with something that is no count is NaN, so that the next stage sees that too.
6. A chunk must cost next to nothing, so a type is inspected once, and its class rather than its first instance
   (`usage` is None on most chunks). What can hold anything (dicts, plain objects, pydantic's extra fields) is
   looked through each time.

A new API is a line of `_SHAPES`, and one of `_PLACES` if it keeps its usage where none did so far.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")
Fields = Mapping[str, Any]

_NOTHING: Final[Fields] = MappingProxyType({})
_UNKNOWN: Final = (None,) * 5
_new: Final = tuple.__new__
_MOST_TYPES: Final = 512


class Usage(NamedTuple):
    """The tokens of one model call, inclusive; None means unknown, which is not zero."""

    input: object = None
    output: object = None
    cache_read: object = None
    cache_write: object = None
    reasoning: object = None


class _CacheApart(Usage):
    """Read from an API whose input excludes the cache: tells `merge` that a split can arrive in parts."""

    __slots__ = ()


_Shape = Callable[[Fields], Usage | None]


def read(reply: object) -> Usage | None:
    """Read the token usage that a reply, chunk, event, usage object or dict tells.

    Args:
        reply: Anything. The readings of one stream belong together: join them with `merge`.

    Returns:
        The usage, or None where there is none or its shape is unknown.

    Raises:
        Nothing.
    """
    try:
        return _REPLIES[type(reply)](reply)
    except Exception:  # noqa: BLE001  the attributes of a foreign object can raise anything
        return None


def merge(old: Usage | None, new: Usage) -> Usage:
    """Join two readings of one call: of each kind the last value that is present.

    Where input excludes the cache, an event that repeats the input without the cache counts of an earlier one
    says nothing new about the cache, so these stay in the sum.

    Args:
        old: What was read so far.
        new: What was read last.

    Raises:
        Nothing.
    """
    if old is None:
        return new
    merged = Usage(*[was if now is None else now for was, now in zip(old, new, strict=True)])
    if merged.input is None or not isinstance(new, _CacheApart):
        return merged
    uncached = _uncached(old if new.input is None else new)
    return merged._replace(input=_sum(uncached, merged.cache_read, merged.cache_write))


def _uncached(usage: Usage) -> Any:
    cached = _sum(0, usage.cache_read, usage.cache_write)
    return usage.input - cached if _are_counts(usage.input, cached) else math.nan


def _sum(whole: Any, part: Any, other: Any = None) -> Any:
    """What the present ones add up to, NaN if one of them is no count; without a whole there is no sum."""
    if whole is None or (part is None and other is None):
        return whole
    part, other = 0 if part is None else part, 0 if other is None else other
    if type(whole) is type(part) is type(other) is int and whole >= 0 <= part and other >= 0:  # nearly always
        return whole + part + other
    return whole + part + other if _are_counts(whole, part, other) else math.nan


def _are_counts(*values: Any) -> bool:
    return all(type(value) in (int, float) and value >= 0 for value in values)


class _ByType(dict[type, Callable[[Any], T]]):
    """Functions of a value by its type, made at first sight; all are forgotten before they become too many."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[type], Callable[[Any], T]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, cls: type) -> Callable[[Any], T]:
        made = self._make(cls)
        if len(self) >= _MOST_TYPES:
            self.clear()
        self[cls] = made
        return made


def _views_with(*names: str) -> _ByType[Fields]:
    """Views of what holds these counts; a model that declares them all needn't be asked for its extra fields."""

    def view_of(cls: type) -> Callable[[Any], Fields]:
        return attrgetter("__dict__") if (_declared(cls) or frozenset()) >= {*names} else _VIEWS[cls]

    return _ByType(view_of)


def _openai(whole: str, output: str) -> _Shape:
    """OpenAI API reference, usage of chat completions, embeddings and responses; Mistral and many more follow it.

    LiteLLM, "Prompt caching": Anthropic's cache counts stand beside the details, contained in the input.
    xAI, "Consumption and rate limits": reasoning is not contained in the output, which the total shows.
    """
    input_details, output_details = f"{whole}_details", f"{output}_details"
    cache_views = _views_with("cached_tokens", "cache_write_tokens")
    thought_views = _views_with("reasoning_tokens")

    def read_counts(usage: Fields) -> Usage | None:
        get = usage.get
        inputs, outputs, cache, thoughts = get(whole), get(output), get(input_details), get(output_details)
        cache = cache_views[type(cache)](cache)
        cache_read, cache_write = cache.get("cached_tokens"), cache.get("cache_write_tokens")
        if cache_read is None:
            cache_read = get("cache_read_input_tokens")
        if cache_write is None:
            cache_write = get("cache_creation_input_tokens")
        reasoning = thought_views[type(thoughts)](thoughts).get("reasoning_tokens")
        if reasoning and _sum(inputs, outputs, reasoning) == get("total_tokens"):
            outputs = _sum(outputs, reasoning)
        counts = (inputs, outputs, cache_read, cache_write, reasoning)
        return _told(counts) if inputs is None else _new(Usage, counts)

    return read_counts


def _langchain(usage: Fields) -> Usage | None:
    """LangChain API reference, `UsageMetadata`; OpenAI API reference, Realtime, names the details alike."""
    cache, thoughts = _view(usage.get("input_token_details")), _view(usage.get("output_token_details"))
    cache_read = cache.get("cache_read", cache.get("cached_tokens"))
    inputs, outputs = usage.get("input_tokens"), usage.get("output_tokens")
    return _told((inputs, outputs, cache_read, cache.get("cache_creation"), thoughts.get("reasoning")))


def _anthropic(usage: Fields) -> Usage | None:
    """Anthropic API reference, `Usage`: total input is the sum of the three; output contains thinking."""
    get = usage.get
    cache_read, cache_write = get("cache_read_input_tokens"), get("cache_creation_input_tokens")
    inputs = _sum(get("input_tokens"), cache_read, cache_write)
    reasoning = _view(get("output_tokens_details")).get("thinking_tokens")
    return _told((inputs, get("output_tokens"), cache_read, cache_write, reasoning), _CacheApart)


def _plain(usage: Fields) -> Usage | None:
    """What OpenAI's and Anthropic's are without a cache; Pydantic AI API reference, `RequestUsage`: inclusive."""
    get = usage.get
    thoughts = {**_view(get("details")), **_view(get("output_tokens_details"))}
    reasoning = thoughts.get("reasoning_tokens", thoughts.get("thinking_tokens"))
    cache_read, cache_write = get("cache_read_tokens"), get("cache_write_tokens")
    return _told((get("input_tokens"), get("output_tokens"), cache_read, cache_write, reasoning))


def _gemini(whole: str, output: str, live_output: str, cached: str, thoughts: str, tool_use: str) -> _Shape:
    """Gemini API reference, `UsageMetadata`: the prompt contains cached content; the total adds up all the others."""

    def read_counts(usage: Fields) -> Usage | None:
        get = usage.get
        outputs, reasoning = get(output, get(live_output)), get(thoughts)
        # JSON leaves a 0 out, so an answer that was cut off while thinking has no output of its own.
        outputs = reasoning if outputs is None else _sum(outputs, reasoning)
        return _told((_sum(get(whole), get(tool_use)), outputs, get(cached), None, reasoning))

    return read_counts


def _bedrock(usage: Fields) -> Usage | None:
    """Amazon Bedrock User Guide, "Prompt caching": total input is the sum of the three. Nova's own API says Count."""
    get = usage.get
    cache_read = get("cacheReadInputTokens", get("cacheReadInputTokenCount"))
    cache_write = get("cacheWriteInputTokens", get("cacheWriteInputTokenCount"))
    inputs = _sum(get("inputTokens"), cache_read, cache_write)
    return _told((inputs, get("outputTokens"), cache_read, cache_write, None), _CacheApart)


def _cohere(usage: Fields) -> Usage | None:
    """Cohere, "How Does Cohere's Pricing Work?": `tokens` contains some that it adds itself and doesn't charge for.

    So `billed_units` comes first, as OpenTelemetry's conventions ask. Cached tokens are counted among `tokens`:
    where they are more than what was billed, they are left out.
    """
    for held in (usage.get("billed_units"), usage.get("tokens")):
        counts = _plain(_view(held))
        if counts is not None:
            cached: Any = usage.get("cached_tokens")
            is_larger = _are_counts(cached, counts.input) and cached > counts.input
            return counts if is_larger else counts._replace(cache_read=cached)
    return None


def _told(counts: tuple[object, ...], kind: type[Usage] = Usage) -> Usage | None:
    return None if counts == _UNKNOWN else _new(kind, counts)


_GEMINI: Final = (
    "prompt_token_count",
    "candidates_token_count",
    "response_token_count",
    "cached_content_token_count",
    "thoughts_token_count",
    "tool_use_prompt_token_count",
)
_GEMINI_JSON: Final = (
    "promptTokenCount",
    "candidatesTokenCount",
    "responseTokenCount",
    "cachedContentTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
)
_INTERACTIONS: Final = (
    "total_input_tokens",
    "total_output_tokens",
    "",
    "total_cached_tokens",
    "total_thought_tokens",
    "total_tool_use_tokens",
)
# The first that has a sign in the usage reads it, so each stands before those it could be mistaken for.
_SHAPES: Final[tuple[tuple[tuple[str, ...], _Shape], ...]] = (
    (("prompt_tokens", "completion_tokens"), _openai("prompt_tokens", "completion_tokens")),
    (("input_tokens_details",), _openai("input_tokens", "output_tokens")),
    (("input_token_details", "output_token_details"), _langchain),
    (("cache_read_input_tokens", "cache_creation_input_tokens"), _anthropic),
    (("input_tokens", "output_tokens"), _plain),
    (_GEMINI[:2], _gemini(*_GEMINI)),
    (_GEMINI_JSON[:2], _gemini(*_GEMINI_JSON)),
    (_INTERACTIONS[:2], _gemini(*_INTERACTIONS)),
    (("inputTokens", "outputTokens"), _bedrock),
    (("billed_units", "tokens"), _cohere),
)
_PLACES: Final = tuple(
    path.partition(".")[::2]
    for path in (
        "usage",
        "usage_metadata",  # Gemini, LangChain
        "usageMetadata",  # Gemini as JSON
        "response.usage",  # OpenAI, response.completed and its like
        "message.usage",  # Anthropic, message_start
        "delta.usage",  # Cohere v2, message-end
        "data.usage",  # Mistral, CompletionEvent
        "metadata.usage",  # Bedrock, ConverseStream
        "chunk.usage",  # OpenAI, the stream helper's ChunkEvent
        "interaction.usage",  # Gemini Interactions, interaction.completed
        "meta",  # Cohere v1
        "response.meta",  # Cohere v1, stream-end
    )
)


def _view(value: object) -> Fields:
    return _VIEWS[type(value)](value)


def _count(usage: Fields) -> Usage | None:
    """Read a usage whose shape its own fields tell."""
    for sign, shape in _SIGNS:
        if sign in usage:
            counts = shape(usage)
            if counts is not None:
                return counts
    return None


def _search(fields: Fields, places: tuple[tuple[str, str], ...]) -> Usage | None:
    """Read the first usage that stands in one of these places of a reply, chunk or event."""
    for head, tail in places:
        held = fields.get(head)
        if tail and held is not None:
            held = _VIEWS[type(held)](held).get(tail)
        usage = None if held is None else _USAGES[type(held)](held)
        if usage is not None:
            kind = fields.get("type")
            return usage if kind is None else _of_event(kind, usage)
    return None


def _of_event(kind: object, usage: Usage) -> Usage | None:
    """What an event tells: Anthropic's come in two parts, and the first one's output is only a placeholder.

    LangChain's chunks tell increments, which don't join like the totals that everybody else's tell.
    """
    if kind == "message_start":
        return _told((usage.input, None, usage.cache_read, usage.cache_write, None), _CacheApart)
    if kind == "AIMessageChunk":
        return None
    return _CacheApart(*usage) if kind == "message_delta" else usage


def _look_through(fields: Fields) -> Usage | None:
    return None if _NAMES.isdisjoint(fields) else _search(fields, _PLACES) or _count(fields)


class _Attributes(Mapping[str, Any]):
    """An object's fields where its class has some as slots, properties or defaults."""

    __slots__ = ("_fields", "_names", "_value")

    def __init__(self, names: frozenset[str], value: object) -> None:
        self._names, self._value = names, value
        self._fields: Fields = getattr(value, "__dict__", _NOTHING)

    def __getitem__(self, name: str) -> Any:
        return getattr(self._value, name, None) if name in self._names else self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.union(self._fields))

    def __len__(self) -> int:
        return len(self._names.union(self._fields))


def _view_of(cls: type) -> Callable[[Any], Fields]:
    """How to see a value of this type as its fields; of its properties only those looked for are called."""
    if issubclass(cls, Mapping):
        return _itself
    if _declared(cls) is not None:
        return _of_model
    attributes = (item for base in cls.__mro__ for item in vars(base).items() if item[0][:1] != "_")
    names = frozenset(name for name, value in attributes if not inspect.isroutine(value))
    if names:
        return partial(_Attributes, names)
    return attrgetter("__dict__") if cls.__dictoffset__ else _of_nothing


def _declared(cls: type) -> frozenset[str] | None:
    """The fields that every instance of a pydantic model has; None for another class."""
    fields = getattr(cls, "model_fields", None)
    return frozenset(fields) if isinstance(fields, dict) and hasattr(cls, "__pydantic_extra__") else None


def _itself(value: Fields) -> Fields:
    return value


def _of_nothing(_: object) -> Fields:
    return _NOTHING


def _of_model(model: Any) -> Fields:
    fields: Fields = model.__dict__
    extra = model.__pydantic_extra__
    return {**fields, **extra} if extra else fields


def _usage_reader(cls: type) -> Callable[[Any], Usage | None]:
    """How to read a usage of this type."""
    view, declared = _VIEWS[cls], _declared(cls) or ()
    declared_shape = next((shape for sign, shape in _SIGNS if sign in declared), _count)

    def read_usage(usage: Any) -> Usage | None:
        return _count(view(usage))

    def read_model(usage: Any) -> Usage | None:
        # A client older than its API doesn't declare what may tell the shape.
        if usage.__pydantic_extra__:
            return read_usage(usage)
        return declared_shape(usage.__dict__) or read_usage(usage)

    return read_model if declared else read_usage


def _reply_reader(cls: type) -> Callable[[Any], Usage | None]:
    """How to read anything of this type: a reply, chunk or event that may hold a usage, or the usage itself."""
    view, declared = _VIEWS[cls], _declared(cls)
    places = tuple(place for place in _PLACES if place[0] in (declared or ()))

    def read_anything(reply: Any) -> Usage | None:
        return _look_through(view(reply))

    def read_model(reply: Any) -> Usage | None:
        usage = _search(reply.__dict__, places)
        return read_anything(reply) if usage is None and reply.__pydantic_extra__ else usage

    if declared is None:
        return read_anything
    return read_model if places or declared.isdisjoint(sign for sign, _ in _SIGNS) else _USAGES[cls]


_SIGNS: Final = tuple((sign, shape) for signs, shape in _SHAPES for sign in signs)
_NAMES: Final = frozenset(head for head, _ in _PLACES).union(sign for sign, _ in _SIGNS)
_VIEWS: Final = _ByType(_view_of)
_USAGES: Final = _ByType(_usage_reader)
_REPLIES: Final = _ByType(_reply_reader)
