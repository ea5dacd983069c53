"""Token counts: which are plausible, and what they add up to.

Counts arrive inclusive, as `Usage` has them: input contains cache reads and writes, output contains reasoning.
`disjoint` gives the parts that add up to the bill. A count that is no whole number, or a part that is larger than its
whole, makes the whole usage unusable: it is never guessed which of the two was meant.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_otel import catalog

if TYPE_CHECKING:
    from agent_otel.usage import Usage


class Counts(NamedTuple):
    """Token counts that were checked: inclusive, whole and consistent; None is unknown."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


def checked(usage: Usage) -> Counts | None:
    """The usage with exact counts, or None when it can't be used.

    Args:
        usage: As a reply, or a program, gave it.
    """
    counts = Counts(*(None if count is None else whole(count) for count in usage))
    unusable = any(given is not None and count is None for given, count in zip(usage, counts, strict=True))
    return None if unusable or _parts_exceed_whole(counts) else counts


def whole(count: object) -> int | None:
    """The count as an exact `int`, or None when it is no plausible whole number.

    Args:
        count: An int, an integral float or a numpy integer is accepted; a bool, text, a negative number, NaN and
            anything above `catalog.MAX_COUNT` is not.
    """
    try:
        number = _index(count)
    except Exception:  # noqa: BLE001 -- a value's own code may raise anything, and no value may raise here
        return None
    return number if 0 <= number <= catalog.MAX_COUNT else None


def _index(count: Any) -> int:
    if isinstance(count, bool):
        raise TypeError
    if isinstance(count, float) and not count.is_integer():
        raise ValueError
    return int(count) if isinstance(count, float) else int(operator.index(count))


def _parts_exceed_whole(usage: Counts) -> bool:
    return any(whole is not None and sum(parts) > whole for whole, parts in _sides(usage))


def _sides(usage: Counts) -> tuple[tuple[int | None, tuple[int, ...]], ...]:
    return (
        (usage.input, (usage.cache_read or 0, usage.cache_write or 0)),
        (usage.output, (usage.reasoning or 0,)),
    )


def disjoint(usage: Counts) -> dict[str, int]:
    """The token types that add up to the bill; what isn't known is left out.

    Args:
        usage: Inclusive, checked counts.
    """
    (input_tokens, cached), (output_tokens, reasoning) = _sides(usage)
    parts = {
        "input": None if input_tokens is None else input_tokens - sum(cached),
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "output": None if output_tokens is None else output_tokens - sum(reasoning),
        "reasoning": usage.reasoning,
    }
    return {token_type: count for token_type, count in parts.items() if count is not None}
