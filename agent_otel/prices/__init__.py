"""List prices of models: the team's own table first, then genai-prices if it is installed (extra `prices`).

A price is looked up once for each provider and model, when the first call of that model is folded, never over the
network. What isn't priced has no series and makes its run's cost unknown: no price is derived from another one, but
for reasoning, which nearly every provider bills as output.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agent_otel import catalog
from agent_otel.prices import genai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_otel.settings import Prices as Table

_logger: Final = logging.getLogger(__name__)

_NONE: Final[Mapping[str, float]] = MappingProxyType({})
_MILLION: Final = 1_000_000
_UNPRICED: Final = (
    "agent_otel: no price for %s tokens of model %s of %s: the cost of its runs stays unknown; its price goes into"
    " AGENT_OTEL_PRICES, 0 if it costs nothing"
)


class Prices:
    """USD for one token, by provider, model and token type.

    Args:
        table: The team's own, in USD per million tokens; a model that stands in it is priced by it alone.
    """

    def __init__(self, table: Table | Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Load genai-prices now, if it is there: later it would stall whoever measures the first call of a model."""
        self._table = table
        self._list = genai.load()
        self._found: dict[tuple[str | None, str | None], Mapping[str, float]] = {}
        self._said: set[tuple[str | None, str | None, str]] = set()
        self._level = logging.WARNING if table or self._list else logging.INFO

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

    def cost(self, provider: str | None, model: str | None, tokens: Mapping[str, int]) -> float | None:
        """USD for the tokens of a call; None when some of them have no price, which is said once.

        Args:
            provider: As in the call.
            model: As in the call.
            tokens: How many of each type, disjoint.
        """
        prices = self.of(provider, model)
        unpriced = [token_type for token_type, count in tokens.items() if count and token_type not in prices]
        for token_type in unpriced:
            if (provider, model, token_type) not in self._said:
                self._said.add((provider, model, token_type))
                _logger.log(self._level, _UNPRICED, token_type, model, provider)
        if unpriced:
            return None
        return sum(count * prices.get(token_type, 0.0) for token_type, count in tokens.items())

    def _look_up(self, provider: str | None, model: str | None) -> Mapping[str, float]:
        if provider is None or model is None or catalog.OTHER in {provider, model}:
            return _NONE
        own = self._table.get(provider, {}).get(model)
        if own is not None:
            millions = own
        else:
            listed = self._list.find(provider, model) if self._list else None
            millions = listed.usd if listed else _NONE
        return {token_type: usd / _MILLION for token_type, usd in complete(millions).items()}


def complete(usd: Mapping[str, float]) -> dict[str, float]:
    """A model's prices with that of reasoning, in the order of the catalog's token types.

    Args:
        usd: The price of each token type that has one.
    """
    whole = {"reasoning": usd["output"], **usd} if "output" in usd else usd
    return {token_type: whole[token_type] for token_type in catalog.TOKEN_TYPES if token_type in whole}
