"""Reads token usage out of any provider's reply, stream chunk or event, usage object or dict.

Rules:

1. Inclusive counts, as OpenTelemetry and OpenAI have them: `input` contains cache reads and writes, `output`
   contains reasoning. What an API counts apart is added here, as `_SHAPES` says, and nowhere else.
2. Absent is not zero: a kind that a reply doesn't tell is None. A reply that tells none has no usage: None.
3. In a stream the last value of each kind wins, and an absent one never overwrites: `merge`.
4. The shape of what is given selects the reader, never a provider's name, and no client library is imported.
   An unknown shape is None. Nothing here raises.
5. Values are passed on as found: whether they are whole, positive and consistent is for the next stage to say.
   A sum with something that is no count is NaN, so that the next stage sees that too.
6. A chunk must cost next to nothing, so a type is inspected once, and its class rather than its first instance
   (`usage` is None on most chunks). What can hold anything (dicts, plain objects, pydantic's extra fields) is
   looked through each time.

A new API is an entry of `_SHAPES`, and one of `_PLACES` if it keeps its usage where none did so far.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Set
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")
Fields = Mapping[str, Any]


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


class _Shape(NamedTuple):
    """The names that one API gives to its counts, told by any field of `signs`, else by `input` and `output`.

    `cache` is (holder, read, write) and `reasoning` (holder, count): the holder is a field of the usage, or the
    usage itself where it's empty. What is apart isn't contained in its whole, so it is added, as is `more_input`;
    `total` shows whether reasoning was apart. `elsewhere` is (kind, path): where else an absent kind may be.
    """

    input: str
    output: str
    signs: tuple[str, ...] = ()
    cache: tuple[str, str, str] = ("", "", "")
    reasoning: tuple[str, str] = ("", "")
    cache_apart: bool = False
    reasoning_apart: bool = False
    more_input: str = ""
    total: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a usage of this shape, without those that are only sometimes there."""
        cache, reasoning = self.cache[0] or self.cache[1:], self.reasoning[0] or self.reasoning[1]
        names = {
            self.input,
            self.output,
            *([cache] if isinstance(cache, str) else cache),
            reasoning,
            self.more_input,
        }
        return frozenset(names - {""})


_PLAIN: Final = _Shape(  # what these APIs have in common; Pydantic AI API reference, RequestUsage
    input="input_tokens",
    output="output_tokens",
    cache=("", "cache_read_tokens", "cache_write_tokens"),
    reasoning=("output_tokens_details", "thinking_tokens"),
    elsewhere=(
        ("reasoning", "output_tokens_details.reasoning_tokens"),
        ("reasoning", "details.reasoning_tokens"),
    ),
)
# The first that has a sign in the usage reads it, so each stands before those it could be mistaken for.
_SHAPES: Final = (
    _Shape(  # OpenAI API reference, chat completion and embedding objects; Mistral, xAI and many more follow it
        input="prompt_tokens",
        output="completion_tokens",
        cache=("prompt_tokens_details", "cached_tokens", "cache_write_tokens"),
        reasoning=("completion_tokens_details", "reasoning_tokens"),
        total="total_tokens",  # xAI, "Consumption and rate limits": reasoning is counted in the total only
        # LiteLLM, "Prompt caching": Anthropic's names stand beside prompt_tokens, which contains them.
        elsewhere=(("cache_read", "cache_read_input_tokens"), ("cache_write", "cache_creation_input_tokens")),
    ),
    _Shape(  # OpenAI API reference, response object
        input="input_tokens",
        output="output_tokens",
        signs=("input_tokens_details",),
        cache=("input_tokens_details", "cached_tokens", "cache_write_tokens"),
        reasoning=("output_tokens_details", "reasoning_tokens"),
        total="total_tokens",
    ),
    _Shape(  # LangChain API reference, UsageMetadata: input is the sum of all input token types
        input="input_tokens",
        output="output_tokens",
        signs=("input_token_details", "output_token_details"),
        cache=("input_token_details", "cache_read", "cache_creation"),
        reasoning=("output_token_details", "reasoning"),
        elsewhere=(
            ("cache_read", "input_token_details.cached_tokens"),
        ),  # OpenAI API reference, realtime response
    ),
    _Shape(  # Anthropic API reference, usage: total input is the sum of the three; output contains thinking
        input="input_tokens",
        output="output_tokens",
        signs=("cache_read_input_tokens", "cache_creation_input_tokens"),
        cache=("", "cache_read_input_tokens", "cache_creation_input_tokens"),
        reasoning=("output_tokens_details", "thinking_tokens"),
        cache_apart=True,
    ),
    _PLAIN,
    _Shape(  # Gemini API reference, UsageMetadata: prompt contains cached content; the total adds up the other four
        input="prompt_token_count",
        output="candidates_token_count",
        cache=("", "cached_content_token_count", ""),
        reasoning=("", "thoughts_token_count"),
        reasoning_apart=True,
        more_input="tool_use_prompt_token_count",
        elsewhere=(("output", "response_token_count"),),  # the Live API's name
    ),
    _Shape(  # the same as JSON
        input="promptTokenCount",
        output="candidatesTokenCount",
        cache=("", "cachedContentTokenCount", ""),
        reasoning=("", "thoughtsTokenCount"),
        reasoning_apart=True,
        more_input="toolUsePromptTokenCount",
        elsewhere=(("output", "responseTokenCount"),),
    ),
    _Shape(  # Gemini Interactions API reference, Usage: as above
        input="total_input_tokens",
        output="total_output_tokens",
        cache=("", "total_cached_tokens", ""),
        reasoning=("", "total_thought_tokens"),
        reasoning_apart=True,
        more_input="total_tool_use_tokens",
    ),
    _Shape(  # Amazon Bedrock User Guide, "Prompt caching": total input is the sum of the three
        input="inputTokens",
        output="outputTokens",
        cache=("", "cacheReadInputTokens", "cacheWriteInputTokens"),
        cache_apart=True,
        elsewhere=(
            ("cache_read", "cacheReadInputTokenCount"),
            ("cache_write", "cacheWriteInputTokenCount"),
        ),  # Nova
    ),
)
_PLACES: Final = tuple(
    path.partition(".")[::2]
    for path in (
        "usage",
        "usage_metadata",  # Gemini, LangChain
        "usageMetadata",
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
_BILLED: Final = ("billed_units", "tokens")
_NAMES: Final = frozenset(
    {"type", "cached_tokens", *_BILLED}.union(
        (head for head, _ in _PLACES),
        *(shape.fields | {*shape.signs, shape.total} for shape in _SHAPES),
        *({path.partition(".")[0] for _, path in shape.elsewhere} for shape in _SHAPES),
    )
)
_NOTHING: Final[Fields] = MappingProxyType({})
_MOST_TYPES: Final = 512


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
    if not isinstance(new, _CacheApart):
        return merged
    uncached = _uncached(old if new.input is None else new)
    return merged._replace(input=_sum(uncached, merged.cache_read, merged.cache_write))


def _uncached(usage: Usage) -> Any:
    cached = _sum(0, usage.cache_read, usage.cache_write)
    if usage.input is None:
        return None
    return usage.input - cached if _is_count(usage.input) and _is_count(cached) else math.nan


def _sum(whole: Any, *parts: Any) -> Any:
    """The whole and its present parts, NaN if one of them is no count; None without a whole."""
    if whole is None:
        return None
    for part in parts:
        if part is not None:
            whole = whole + part if _is_count(whole) and _is_count(part) else math.nan
    return whole


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


class _ByType(dict[type, Callable[[Any], T]]):
    """Functions of one value by its type, made at first sight; all are forgotten before they become too many."""

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


def _declared(cls: type) -> Mapping[str, object] | None:
    """The fields of a pydantic model, which its instances all have; None for other classes."""
    fields = getattr(cls, "model_fields", None)
    return fields if isinstance(fields, dict) and hasattr(cls, "__pydantic_extra__") else None


def _is_open(cls: Any) -> bool:
    return bool(cls.model_config.get("extra") == "allow")


def _view_of(cls: type) -> Callable[[Any], Fields]:
    """How to see a value of this type as a mapping of its fields."""
    if issubclass(cls, Mapping):
        return _itself
    if _declared(cls) is not None:
        return _with_extra if _is_open(cls) else attrgetter("__dict__")
    names = [
        name
        for base in cls.__mro__
        for name in _NAMES & base.__dict__.keys()
        if not inspect.isroutine(base.__dict__[name])
    ]

    def with_attributes(value: Any) -> Fields:
        fields: Fields = getattr(value, "__dict__", _NOTHING)
        return {**fields, **{name: getattr(value, name, None) for name in names}} if names else fields

    return with_attributes


def _itself(value: Fields) -> Fields:
    return value


def _with_extra(model: Any) -> Fields:
    fields: Fields = model.__dict__
    extra = model.__pydantic_extra__
    return {**fields, **extra} if extra else fields


def _holders(*names: str) -> _ByType[Fields]:
    """Views by type of what holds these counts; a model that declares them all needn't be asked for extra fields."""

    def view_of(cls: type) -> Callable[[Any], Fields]:
        return attrgetter("__dict__") if (_declared(cls) or {}).keys() >= {*names} else _VIEWS[cls]

    return _ByType(view_of)


def _reader(shape: _Shape) -> Callable[[Fields], Usage | None]:
    """The function that reads usages of this shape."""
    cache_holder, cache_read, cache_write = shape.cache
    reasoning_holder, reasoning = shape.reasoning
    cache_views, reasoning_views = _holders(cache_read, cache_write), _holders(reasoning)
    inputs, outputs, new = shape.input, shape.output, tuple.__new__
    is_plain = not (shape.cache_apart or shape.reasoning_apart or shape.more_input or shape.elsewhere)

    def read_counts(usage: Fields) -> Usage | None:
        get = usage.get
        whole, cache, thoughts = get(inputs), usage, usage
        if cache_holder:
            held = get(cache_holder)
            cache = _NOTHING if held is None else cache_views[type(held)](held)
        if reasoning_holder:
            held = get(reasoning_holder)
            thoughts = _NOTHING if held is None else reasoning_views[type(held)](held)
        thought = thoughts.get(reasoning)
        counts = new(Usage, (whole, get(outputs), cache.get(cache_read), cache.get(cache_write), thought))
        return counts if is_plain and whole is not None and not thought else _finished(shape, usage, counts)

    return read_counts


def _finished(shape: _Shape, usage: Fields, counts: Usage) -> Usage | None:
    """The counts with those that stand elsewhere and those that have to be added; None if there is none at all."""
    for kind, path in shape.elsewhere:
        if getattr(counts, kind) is None:
            counts = counts._replace(**{kind: _at(usage, *path.partition(".")[::2])})
    if all(count is None for count in counts):
        return None
    whole, output, cache_read, cache_write, reasoning = counts
    whole = _sum(whole, usage.get(shape.more_input))
    if shape.reasoning_apart or _is_on_top(usage.get(shape.total), counts):
        # Gemini's JSON leaves a count of 0 out, so an answer cut off while thinking has no output of its own.
        output = reasoning if output is None else _sum(output, reasoning)
    if shape.cache_apart:
        return _CacheApart(_sum(whole, cache_read, cache_write), output, cache_read, cache_write, reasoning)
    return Usage(whole, output, cache_read, cache_write, reasoning)


def _is_on_top(total: Any, counts: Usage) -> bool:
    """Whether the total says that reasoning was counted beside the output."""
    return (
        bool(counts.reasoning)
        and total is not None
        and _sum(counts.input, counts.output, counts.reasoning) == total
    )


def _at(fields: Fields, head: str, tail: str) -> Any:
    held = fields.get(head)
    return _VIEWS[type(held)](held).get(tail) if tail and held is not None else held


def _read_billed(usage: Fields) -> Usage | None:
    """Cohere's: `tokens` contains some that it adds itself and doesn't charge for, so `billed_units` comes first.

    So do Cohere, "How Does Cohere's Pricing Work?", and OpenTelemetry's GenAI conventions. The cached tokens are
    counted among `tokens`, so where they are more than was billed they are left out.
    """
    for holder in _BILLED:
        held = usage.get(holder)
        counts = _read_plain(_VIEWS[type(held)](held))
        if counts is not None:
            cached: Any = usage.get("cached_tokens")
            fits = not (_is_count(cached) and _is_count(counts.input)) or cached <= counts.input
            return counts._replace(cache_read=cached) if fits else counts
    return None


_read_plain: Final = _reader(_PLAIN)
_SIGNS: Final = (
    *((sign, _reader(shape)) for shape in _SHAPES for sign in shape.signs or (shape.input, shape.output)),
    *((sign, _read_billed) for sign in _BILLED),
)


def _count(usage: Fields) -> Usage | None:
    """Read a usage whose shape its own fields tell."""
    for sign, reader in _SIGNS:
        if sign in usage:
            counts = reader(usage)
            if counts is not None:
                return counts
    return None


def _usage_reader(cls: type) -> Callable[[Any], Usage | None]:
    """How to read a usage object of this type."""
    view, declared = _VIEWS[cls], _declared(cls)

    def read_fields(usage: Any) -> Usage | None:
        return _count(view(usage))

    shape = None if declared is None else _shape_of(cls, declared.keys())
    if shape is None:
        return read_fields
    read_shape = _reader(shape)

    def read_declared(usage: Any) -> Usage | None:
        return read_shape(usage.__dict__) or read_fields(usage)

    return read_declared


def _shape_of(cls: type, declared: Set[str]) -> _Shape | None:
    """The shape that a model's declaration tells; None if it leaves that, or a part of it, to extra fields."""
    for shape in _SHAPES:
        if not declared.isdisjoint(shape.signs or shape[:2]):
            elsewhere = [place for place in shape.elsewhere if place[1].partition(".")[0] in declared]
            is_complete = shape.fields <= declared or not _is_open(cls)
            return shape._replace(elsewhere=tuple(elsewhere)) if is_complete else None
    return None


def _reply_reader(cls: type) -> Callable[[Any], Usage | None]:
    """How to read anything of this type: a reply, chunk or event with a usage in it, or the usage itself."""
    view, declared = _VIEWS[cls], _declared(cls)
    places = () if declared is None else tuple(place for place in _PLACES if place[0] in declared)
    if declared is None:
        return lambda reply: _look_through(view(reply))
    if not places and any(sign in declared for sign, _ in _SIGNS):
        return _USAGES[cls]
    is_open = _is_open(cls)

    def read_model(reply: Any) -> Usage | None:
        found = _search(reply.__dict__, places)
        return _look_through(view(reply)) if found is None and is_open and reply.__pydantic_extra__ else found

    return read_model


def _look_through(fields: Fields) -> Usage | None:
    if _NAMES.isdisjoint(fields):
        return None
    return _search(fields, _PLACES) or _count(fields)


def _search(fields: Fields, places: tuple[tuple[str, str], ...]) -> Usage | None:
    for head, tail in places:
        held = fields.get(head)
        if held is not None and tail:
            held = _VIEWS[type(held)](held).get(tail)
        if held is not None:
            usage = _USAGES[type(held)](held)
            if usage is not None:
                return _as_event(fields.get("type"), usage)
    return None


def _as_event(kind: object, usage: Usage) -> Usage | None:
    """What the event tells: Anthropic's come in two parts, and the first one's output is only a placeholder."""
    if kind == "message_start":
        usage = _CacheApart(*usage)._replace(output=None, reasoning=None)
        return None if usage == _CacheApart() else usage
    return _CacheApart(*usage) if kind == "message_delta" else usage


_VIEWS: Final = _ByType(_view_of)
_USAGES: Final = _ByType(_usage_reader)
_REPLIES: Final = _ByType(_reply_reader)
