"""What genai-prices knows, as it is installed (extra `prices`): looked up in its data, never over the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

DISTRIBUTION: Final = "genai-prices"
INSTALL: Final = "pip install 'agent-otel[prices]'"

_FIELDS: Final = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
}
_HOUR: Final = "cache_write_1h_mtok"
_THEIRS: Final = {
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
    "moonshot_ai": "moonshotai",
}
"""Their name of a provider by OpenTelemetry's, where they differ."""
_OURS: Final = {theirs: ours for ours, theirs in reversed(list(_THEIRS.items()))}


@dataclass(frozen=True)
class Listed:
    """A model of the list.

    Args:
        provider: In OpenTelemetry's words, as the label has it.
        model: The list's name of it.
        usd: USD per million tokens, by token type.
        notes: What these figures leave out.
    """

    provider: str
    model: str
    usd: Mapping[str, float]
    notes: tuple[str, ...]


class PriceList:
    """The prices of today.

    Args:
        snapshot: Of genai-prices.
    """

    def __init__(self, snapshot: Any) -> None:
        """Keep the snapshot; nothing is looked up yet."""
        self._snapshot = snapshot

    def find(self, provider: str | None, model: str) -> Listed | None:
        """The model, found as genai-prices finds it: by dated names, aliases and regional prefixes too.

        Args:
            provider: In OpenTelemetry's words or in theirs; None for the one whose model it is.
            model: As sent to the provider.

        Raises:
            Nothing: what breaks has no price.
        """
        try:
            theirs = None if provider is None else _THEIRS.get(provider, provider)
            found, info = self._snapshot.find_provider_model(model, None, theirs, None)
            listed = _listed(provider or _OURS.get(found.id, found.id), info)
        except Exception:  # noqa: BLE001 -- unknown models raise, and a price must never break a collection
            return None
        return listed if listed.usd else None

    def sellers(self, model: str) -> list[str]:
        """Who has this model in the list.

        Args:
            model: As sent to the provider.
        """
        names = [_OURS.get(each.id, each.id) for each in self._snapshot.providers]
        return [name for name in names if self.find(name, model)]

    def every(self, provider: str | None = None) -> Iterator[Listed]:
        """Every model that is priced by tokens.

        Args:
            provider: Whose; everybody's without.
        """
        theirs = None if provider is None else _THEIRS.get(provider, provider)
        for each in self._snapshot.providers:
            if theirs in {None, each.id}:
                models = (_listed(provider or _OURS.get(each.id, each.id), info) for info in each.models)
                yield from (listed for listed in models if listed.usd)

    def about(self) -> str:
        """Which list it is and how old: the version and the day of the newest price in force."""
        from importlib.metadata import version  # noqa: PLC0415 -- for the command alone

        today = _now().date()
        begins = [
            day
            for provider in self._snapshot.providers
            for info in provider.models
            for day in _starts(info.prices)
            if day <= today
        ]
        newest = f", newest price of {max(begins)}" if begins else ""
        return f"{DISTRIBUTION} {version(DISTRIBUTION)}{newest}"


def load() -> PriceList | None:
    """The list that is installed; None without the extra."""
    try:
        from genai_prices import data_snapshot  # noqa: PLC0415 -- an extra, loaded when there is something to price

        return PriceList(data_snapshot.get_snapshot())
    except Exception:  # noqa: BLE001 -- it isn't installed, or it is broken: either way there is no price
        return None


def _now() -> datetime:
    from datetime import datetime, timezone  # noqa: PLC0415 -- loaded by genai-prices already

    return datetime.now(timezone.utc)


def _listed(provider: str, info: Any) -> Listed:
    prices = info.get_prices(_now())
    named = {token_type: getattr(prices, field, None) for token_type, field in _FIELDS.items()}
    priced = {token_type: usd for token_type, usd in named.items() if usd is not None}
    hour = getattr(prices, _HOUR, None)
    usd = {token_type: _base(price) for token_type, price in priced.items()}
    return Listed(provider, info.id, usd, tuple(_notes(info.prices, priced, hour)))


def _base(price: Any) -> float:
    """What an ordinary prompt costs: a tiered price is higher for the whole of a call with a long one."""
    return float(getattr(price, "base", price))


def _notes(prices: Any, priced: Mapping[str, Any], hour: Any) -> Iterator[str]:
    starts = [tier.start for price in priced.values() for tier in getattr(price, "tiers", ())]
    if starts:
        yield f"base tier: a call of more than {min(starts):,} input tokens costs more"
    if hour is not None and "cache_write" in priced:
        yield f"cache_write for 5 minutes: for an hour it is {_base(hour):g}"
    if any(hasattr(constraint, "start_time") for constraint in _constraints(prices)):
        yield "changes with the time of day: this is the price of now"


def _starts(prices: Any) -> Iterator[Any]:
    for constraint in _constraints(prices):
        if hasattr(constraint, "start_date"):
            yield constraint.start_date


def _constraints(prices: Any) -> list[Any]:
    return [each.constraint for each in prices] if isinstance(prices, list) else []
