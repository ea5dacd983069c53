"""What a team sets: the `AGENT_OTEL_*` variables, read and checked in one place.

Standard `OTEL_*` variables keep their standard meaning and are read where the SDK's parts are built
(`exporters.py`). Arguments win over the environment. Every mistake is collected, so that one error names
them all.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from agent_otel import catalog
from agent_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_logger: Final = logging.getLogger(__name__)

PREFIX: Final = "AGENT_OTEL_"
BACKEND: Final = f"{PREFIX}BACKEND"
_SHOWN: Final = 80
_CHEAPEST: Final = 0.001
_DEAREST: Final = 10_000
"""USD per million tokens. In November 2026 cache reads are sold from 0.0011 on, and the dearest output is 600."""

Prices = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Settings:
    """Everything that can be set about what is recorded; `configure()` takes the same names as arguments.

    Args:
        release: `AGENT_OTEL_RELEASE`: the version of every run that names none. Default: `service.version`.
        agents: `AGENT_OTEL_AGENTS=bot,planner`: agents whose run counts start at 0 at `configure()`, and whose
            names are kept whatever else asks for a place.
        semconv: `AGENT_OTEL_SEMCONV`: the generation of the model-call names, `v0.1`, `v1.37` or `none`.
        attributes: `AGENT_OTEL_ATTRIBUTES=app.tier:5`: own attributes and how many values each may have.
        limits: `AGENT_OTEL_LIMITS=gen_ai.tool.name:200,agent_otel.runs:2000`: budgets and caps to change.
        stop_reasons: `AGENT_OTEL_STOP_REASONS=needs_review:incomplete`: further stop reasons and their status.
        error_types: Exception class path, or provider code, to error type; by argument only.
        prices: `AGENT_OTEL_PRICES=prices.json`: USD per million tokens,
            `{"provider": {"model": {"input": 3, "cache_read": 0.3, "output": 15}}}`.
        cost: `AGENT_OTEL_COST=1`: record the estimated cost of each run.
        strict: `AGENT_OTEL_STRICT=1`: raise on wrong values, for tests.
    """

    release: str | None = None
    agents: tuple[str, ...] = ()
    semconv: str = "v0.1"
    attributes: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    stop_reasons: Mapping[str, str] = field(default_factory=dict)
    error_types: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    cost: bool = False
    strict: bool = False

    @property
    def generation(self) -> catalog.Generation:
        """The metrics that say how a model call went."""
        return catalog.GENERATIONS[self.semconv]

    def tailored(self, metric: catalog.Metric) -> catalog.Metric:
        """The metric as this team has it: own attributes, budgets, caps and vocabularies.

        Args:
            metric: As the catalog declares it.
        """
        own = tuple(
            catalog.Attribute(key, "Declared by the team.", budget) for key, budget in self.attributes.items()
        )
        attributes = metric.attributes
        if metric.per_run:
            attributes = (*catalog.A, *own, *metric.attributes[len(catalog.A) :])
        cap = self.limits.get(metric.name, metric.cap)
        return replace(metric, attributes=tuple(self.tailored_attribute(a) for a in attributes), cap=cap)

    def tailored_attribute(self, attribute: catalog.Attribute) -> catalog.Attribute:
        """The attribute as this team has it.

        Args:
            attribute: As the catalog declares it.
        """
        further: tuple[str, ...] = ()
        if attribute is catalog.STOP_REASON:
            further = tuple(self.stop_reasons)
        elif attribute is catalog.ERROR_TYPE:
            further = tuple(dict.fromkeys(self.error_types.values()))
        values = tuple(dict.fromkeys((*attribute.values, *further)))
        budget = self.limits.get(attribute.key, max(attribute.budget, len(values)))
        return replace(attribute, values=values, budget=budget)


def read(
    environ: Mapping[str, str] | None = None, arguments: Mapping[str, Any] | None = None
) -> tuple[Settings, list[str]]:
    """Read every setting; a wrong one keeps its default and is told in the list of mistakes.

    Args:
        environ: The environment; `os.environ` if not given.
        arguments: Settings given as arguments, by `Settings` field; `None` values are "not given".

    Returns:
        The settings and the mistakes, each saying what was given, what is allowed and what to do.
    """
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, parse in _PARSERS.items():
        variable = PREFIX + name.upper()
        raw, label = (given[name], name) if name in given else (environ.get(variable, "").strip(), variable)
        if raw == "":
            continue
        try:
            values[name] = parse(raw)
        except (ValueError, TypeError, AttributeError) as mistake:
            mistakes.append(f"{label}={_shown(raw)}: {mistake}")
    return Settings(**values), mistakes


def checked(environ: Mapping[str, str] | None = None, arguments: Mapping[str, Any] | None = None) -> Settings:
    """Read every setting and refuse wrong ones.

    Args:
        environ: The environment; `os.environ` if not given.
        arguments: Settings given as arguments, by `Settings` field.

    Raises:
        ConfigurationError: Naming every mistake and its remedy.
    """
    settings, mistakes = read(environ, arguments)
    if mistakes:
        raise ConfigurationError(mistakes)
    return settings


def normal_key(key: str) -> str:
    """An attribute key as `catalog.FORBIDDEN` holds it: lower case, underscores, without a `gen_ai.` prefix."""
    return key.lower().removeprefix("gen_ai.").replace(".", "_").replace("-", "_")


def forbidden(key: str) -> bool:
    """Whether a key must never become a label, whoever declares it and in whatever namespace."""
    normal = normal_key(key)
    return normal in catalog.FORBIDDEN or normal.endswith(catalog.FORBIDDEN_ENDINGS)


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("give a text that is not empty")
    return raw.strip()


def _names(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, (str, list, tuple, set, frozenset)):
        raise ValueError("give names, separated by commas, or a list of them")  # noqa: TRY004 -- a setting's mistake
    parts = raw.split(",") if isinstance(raw, str) else list(raw)
    return tuple(dict.fromkeys(_text(part) for part in parts if part != ""))


def _pairs(raw: object, what: str) -> dict[str, Any]:
    if not isinstance(raw, str):
        return dict(raw)  # type: ignore[call-overload,no-any-return]  # TypeError is told
    pairs = [part.rpartition(":") for part in raw.split(",") if part.strip()]
    if any(not key.strip() or not value.strip() for key, _, value in pairs):
        raise ValueError(f"write {what}, separated by commas")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(key: str, value: object) -> int:
    try:
        number = int(value)  # type: ignore[call-overload]  # TypeError is told
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ValueError(f"{key}:{value} needs a whole number above 0")
    return int(number)


def _attributes(raw: object) -> Mapping[str, int]:
    declared = {attribute.key for attribute in (*catalog.ATTRIBUTES, *catalog.MCP)}
    numbers = {
        key: _number(key, value) for key, value in _pairs(raw, "key:budget, such as app.tier:5").items()
    }
    for key in numbers:
        if key in declared:
            raise ValueError(
                f"{key} is agent_otel's own: choose another key, or set its budget with AGENT_OTEL_LIMITS"
            )
        if not catalog.is_name(key):
            raise ValueError(f"{key} is not a key: use lower-case words joined by dots and underscores")
    return MappingProxyType(numbers)


def _limits(raw: object) -> Mapping[str, int]:
    known = {metric.name for metric in catalog.METRICS} | {
        a.key for a in catalog.ATTRIBUTES if not a.is_closed
    }
    pairs = _pairs(raw, f"name:number, such as {catalog.TOOL_NAME.key}:200")
    for key in pairs:
        if key not in known:
            raise ValueError(f"{key} has no limit: use a metric or an open attribute of docs/metrics.md")
    return MappingProxyType({key: _number(key, value) for key, value in pairs.items()})


def _stop_reasons(raw: object) -> Mapping[str, str]:
    pairs = _pairs(raw, "reason:status, such as needs_review:incomplete")
    for reason, status in pairs.items():
        if status not in catalog.STATUSES:
            raise ValueError(
                f"{reason}:{status} has no such status: use one of {', '.join(catalog.STATUSES)}"
            )
        if catalog.STOP_REASONS.get(reason, status) != status:
            raise ValueError(f"{reason} is {catalog.STOP_REASONS[reason]} already: choose another word")
        if not catalog.is_name(reason):
            raise ValueError(f"{reason} is not a word: use lower-case letters, digits and underscores")
    return MappingProxyType(pairs)


def _error_types(raw: object) -> Mapping[str, str]:
    pairs = _pairs(raw, "class path:error type")
    for path, error_type in pairs.items():
        if error_type != catalog.OTHER and not catalog.is_name(error_type):
            raise ValueError(f"{path}:{error_type}: use a lower-case word, such as {catalog.ERROR_TYPES[0]}")
    return MappingProxyType(pairs)


def _semconv(raw: object) -> str:
    if raw not in catalog.GENERATIONS:
        raise ValueError(f"use one of {', '.join(catalog.GENERATIONS)}")
    return str(raw)


def _switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("use 1 or 0")


def _prices(raw: object) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    table = json_file(raw) if isinstance(raw, (str, os.PathLike)) else raw
    if mistakes := list(_wrong_prices(table)):
        raise ValueError("; ".join(mistakes))
    return {
        str(provider): {
            str(model): {kind: float(usd) for kind, usd in price.items()} for model, price in models.items()
        }
        for provider, models in table.items()  # type: ignore[attr-defined]  # a table, or it is told
    }


def _wrong_prices(table: object) -> Iterator[str]:
    shape = 'write {"provider": {"model": {"input": 3, "output": 15}}}, in USD per million tokens'
    if not isinstance(table, Mapping):
        yield shape
        return
    for provider, models in table.items():
        if not isinstance(models, Mapping):
            yield f"{provider} is no table of models: {shape}"
            continue
        for model, price in models.items():
            if isinstance(price, Mapping) and price:
                yield from (f"{model}: {mistake}" for mistake in _wrong_price(price))
            else:
                yield f"{model} is no table of prices: {shape}"


def _wrong_price(price: Mapping[Any, Any]) -> Iterator[str]:
    for kind, usd in price.items():
        if kind not in catalog.TOKEN_TYPES:
            yield f"{kind} is no token type: use {', '.join(catalog.TOKEN_TYPES)}"
        elif type(usd) not in {int, float} or not 0 <= usd < math.inf:
            yield f"{kind}: {usd!r} is no price: give USD per million tokens, 0 or more"
        elif usd and not _CHEAPEST <= usd <= _DEAREST:
            yield f"{kind}: {usd!r} is far from any price: give USD per million tokens, not per token or per thousand"


def json_file(path: str | os.PathLike[str]) -> object:
    """Read a JSON file.

    Args:
        path: Where it stands.

    Raises:
        ValueError: It can't be read, or it isn't JSON; the message says which.
    """
    import json  # noqa: PLC0415 -- whoever has no file of prices doesn't pay for it at import

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 -- as above, for pathlib
            return json.load(file)
    except OSError as error:
        raise ValueError(f"cannot read the file: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "release": _text,
        "agents": _names,
        "semconv": _semconv,
        "attributes": _attributes,
        "limits": _limits,
        "stop_reasons": _stop_reasons,
        "error_types": _error_types,
        "prices": _prices,
        "cost": _switch,
        "strict": _switch,
    }
)

VARIABLES: Final = (
    BACKEND,
    *(PREFIX + each.name.upper() for each in fields(Settings) if each.name != "error_types"),
)
"""All variables of ours, for the documentation and its test; the backend is read by `configure()`."""


def from_environment() -> Settings:
    """The settings of a program that doesn't call `configure()`: a mistake is logged and keeps its default."""
    settings, mistakes = read()
    for mistake in mistakes:
        _logger.warning("agent_otel leaves a setting at its default: %s", mistake)
    return with_release(settings)


def wants_cumulative() -> bool:
    """Whether the environment leaves OTLP at cumulative temporality."""
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative")
    return preference.strip().lower() == "cumulative"


def with_release(settings: Settings, service_version: str | None = None) -> Settings:
    """The settings with a release, if one is known.

    Args:
        settings: Whose own release wins.
        service_version: The resource's `service.version`; read from `OTEL_RESOURCE_ATTRIBUTES` if not given.
    """
    if settings.release is not None:
        return settings
    return replace(settings, release=service_version or _resource_attribute("service.version"))


def _resource_attribute(key: str) -> str | None:
    from urllib.parse import unquote  # noqa: PLC0415 -- a program that configures needs it once, a library never

    pairs = (pair.partition("=") for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return next(
        (unquote(value.strip()) for name, _, value in pairs if name.strip() == key and value.strip()), None
    )
