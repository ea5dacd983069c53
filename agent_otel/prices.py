"""List prices of models: the team's own table first, then genai-prices if it is installed (extra `prices`).

A price is looked up once for each provider and model, when the first call of that model is folded, never over the
network. A model without a price has no series and makes its run's cost unknown.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from agent_otel import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger: Final = logging.getLogger(__name__)

_NONE: Final[Mapping[str, float]] = MappingProxyType({})
_MILLION: Final = 1_000_000
_GENAI_PRICES_NAMES: Final = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}
_GENAI_PRICES_IDS: Final = {
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


class Prices:
    """USD for one token, by provider, model and token type.

    Args:
        table: The team's own, in USD per million tokens; it always wins.
    """

    def __init__(self, table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Load genai-prices now, if it is there: later it would stall whoever measures the first call of a model."""
        self._table = table
        self._snapshot = _genai_prices()
        self._found: dict[tuple[str | None, str | None], Mapping[str, float]] = {}

    def of(self, provider: str | None, model: str | None) -> Mapping[str, float]:
        """USD for one token of each type that has a price; empty when none is known.

        Args:
            provider: As in the call, such as `openai`.
            model: As in the call.
        """
        found = self._found.get((provider, model))
        if found is None:
            found = self._found[provider, model] = self._look_up(provider, model)
        return found

    def _look_up(self, provider: str | None, model: str | None) -> Mapping[str, float]:
        if provider is None or model is None or catalog.OTHER in {provider, model}:
            return _NONE
        own = self._table.get(provider, {}).get(model)
        millions = dict(own) if own is not None else self._listed(provider, model)
        if not millions:
            _logger.info(
                "agent_otel: no price known for model %s of %s: its cost stays unknown", model, provider
            )
        if "output" in millions:
            millions.setdefault("reasoning", millions["output"])
        return {token_type: usd / _MILLION for token_type, usd in millions.items()}

    def _listed(self, provider: str, model: str) -> dict[str, float]:
        if self._snapshot is None:
            return {}
        from datetime import datetime, timezone  # noqa: PLC0415 -- loaded by genai-prices already

        try:
            ours = _GENAI_PRICES_IDS.get(provider, provider)
            _, info = self._snapshot.find_provider_model(model, None, ours, None)
            prices = info.get_prices(datetime.now(timezone.utc))
            named = {kind: getattr(prices, name) for kind, name in _GENAI_PRICES_NAMES.items()}
            # A tiered price has the price of an ordinary prompt as its base.
            base = {kind: getattr(usd, "base", usd) for kind, usd in named.items()}
            return {kind: float(usd) for kind, usd in base.items() if usd is not None}
        except Exception:  # noqa: BLE001 -- unknown models raise, and a price must never break a collection
            return {}


def _genai_prices() -> Any:
    try:
        from genai_prices import data_snapshot  # noqa: PLC0415 -- an extra, loaded when there is something to price

        return data_snapshot.get_snapshot()
    except Exception:  # noqa: BLE001 -- it isn't installed, or it is broken: either way there is no price
        return None
