"""Reads token usage out of any provider's reply, stream chunk or event, usage object or dict.

Rules:

1. Inclusive counts, as OpenTelemetry and OpenAI have them: `input` contains cache reads and writes, `output`
   contains reasoning. APIs that count these apart are added up here, as `_SHAPES` says, and nowhere else.
2. Absent is not zero: a kind that a reply doesn't tell is None. A reply that tells none has no usage: None.
3. In a stream the last value of each kind wins, and an absent one never overwrites: `merge`.
4. The shape of what is given selects the reader, never a provider's name, and no client library is imported.
   An unknown shape is None. Nothing here raises.
5. Values are passed on as found: whether they are whole, positive and consistent is for the next stage to say.
   A sum with something that is no count is NaN, so that the next stage sees that too.
6. A chunk must cost next to nothing. So a type is looked at once, and its class rather than its first instance
   (`usage` is None on most chunks); what can hold anything (dicts, plain objects, pydantic's extra fields) is
   looked through each time.

A new API is an entry of `_SHAPES`, and one of `_PLACES` if it keeps its usage where none did so far.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from operator import attrgetter
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
    """The names one API gives to its counts; `signs` are fields of which one is enough to tell the shape.

    The parts are fields of a holder, itself a field of the usage, or of the usage where no holder is named.
    A part that is `apart` isn't contained in its whole, so it is added; so is `more_input`. `elsewhere` are
    (kind, field) to try when a kind is absent from a dict.
    """

    signs: tuple[str, ...]
    input: str
    output: str
    input_holder: str = ""
    cache_read: str = ""
    cache_write: str = ""
    output_holder: str = ""
    reasoning: str = ""
    cache_apart: bool = False
    reasoning_apart: bool = False
    more_input: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()


# The first shape with a sign in the usage reads it, so each stands before those it could be mistaken for.
_SHAPES: Final = (
    _Shape(  # OpenAI API reference: chat completions, embeddings. Mistral, xAI, LiteLLM and many others follow it.
        signs=("prompt_tokens", "completion_tokens"),
        input="prompt_tokens",
        output="completion_tokens",
        input_holder="prompt_tokens_details",
        cache_read="cached_tokens",
        cache_write="cache_write_tokens",
        output_holder="completion_tokens_details",
        reasoning="reasoning_tokens",
        # LiteLLM repeats Anthropic's names beside prompt_tokens, which contains them.
        elsewhere=(("cache_read", "cache_read_input_tokens"), ("cache_write", "cache_creation_input_tokens")),
    ),
    _Shape(  # OpenAI API reference: responses.
        signs=("input_tokens_details",),
        input="input_tokens",
        output="output_tokens",
        input_holder="input_tokens_details",
        cache_read="cached_tokens",
        cache_write="cache_write_tokens",
        output_holder="output_tokens_details",
        reasoning="reasoning_tokens",
    ),
    _Shape(  # Anthropic API reference, usage: total input is the sum of the three.
        signs=("cache_read_input_tokens", "cache_creation_input_tokens"),
        input="input_tokens",
        output="output_tokens",
        cache_read="cache_read_input_tokens",
        cache_write="cache_creation_input_tokens",
        output_holder="output_tokens_details",
        reasoning="thinking_tokens",
        cache_apart=True,
    ),
)
