"""What a backend fills in of what the user left unset, and what is wrong with the rest.

Rules:

1. The user's word stands, in whichever variable it is: a generic one counts as well as that of metrics, headers and
   resource attributes by name.
2. A variable of the vendor's is asked for only where something that is filled in needs it. A secret is never shown.
3. What is filled in stands in the environment only while exporters are built, so that no other process inherits it.
"""

from __future__ import annotations

import base64
import importlib
import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

from agent_otel import backends
from agent_otel._urls import is_url, shown
from agent_otel.backends import GRPC, HTTP, SignIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agent_otel.backends import Backend, Variable

_logger: Final = logging.getLogger(__name__)

_ANY_SIGNAL: Final = {
    backends.PROTOCOL: "OTEL_EXPORTER_OTLP_PROTOCOL",
    backends.ENDPOINT: "OTEL_EXPORTER_OTLP_ENDPOINT",
    backends.COMPRESSION: "OTEL_EXPORTER_OTLP_COMPRESSION",
    backends.HEADERS: "OTEL_EXPORTER_OTLP_HEADERS",
    backends.CREDENTIALS: "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
}
"""The variable of all signals that also sets the one of metrics."""

_OFFICIAL: Final = {"otlp": ("otlp", "otlp_proto_http", "otlp_proto_grpc")}
"""The names under which an exporter is asked for, where there are several."""

_BY_NAME: Final = {"otlp_proto_http": HTTP, "otlp_proto_grpc": GRPC}
"""Those that speak one protocol, whatever the variables say."""

_SHARED: Final = (backends.HEADERS, backends.RESOURCE)

_SHOWN: Final = 4
"""Characters of a wrong value that a backend's key may have taken the place of."""


@dataclass(frozen=True)
class Preset:
    """A backend that was asked for, and what it fills in.

    Args:
        backend: The backend.
        asked: How it was asked for.
        variables: What it fills in; secrets stand among it.
        secrets: Those, which no log may show.
    """

    backend: Backend
    asked: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def check(self) -> str:
        """What to look at when it takes nothing."""
        names = ", ".join([each.name for each in self.backend.variables] or ["its address"])
        return f"check {names}; `agent-otel backends {self.backend.name}` shows what is sent where"

    def is_of(self, exporter: str) -> bool:
        """Whether that exporter sends to the backend.

        Args:
            exporter: As it is asked for.
        """
        return exporter in _OFFICIAL.get(self.backend.exporter, (self.backend.exporter,))

    def lacks(self, exporter: str) -> bool:
        """Whether that exporter is the backend's, and its package isn't installed.

        Args:
            exporter: As it is asked for.
        """
        return (
            bool(self.backend.package)
            and exporter == self.backend.exporter
            and not entry_points(group="opentelemetry_metrics_exporter", name=exporter)
        )


def asked_for(name: str, label: str) -> tuple[Preset | None, list[str]]:
    """The backend of that name, which fills in nothing yet, or what is wrong with the name.

    Args:
        name: As the user gave it.
        label: Where it was given.
    """
    try:
        backend = backends.named(name.strip().lower())
    except LookupError as error:
        return None, [f"{label}={name!r}: {error}"]
    return Preset(backend, f"{label}={backend.name}"), []


_powerless: Final[set[str]] = set()


def warn_of_powerless(backend: str, decider: str) -> None:
    """Say that a backend can't fill anything in, once in a process.

    Args:
        backend: How it was asked for, and its name.
        decider: Who decides instead.
    """
    name = backend.rpartition("=")[2]
    if name not in _powerless:
        _powerless.add(name)
        _logger.warning(
            "%s changes nothing, since %s decides: set the variables of agent-otel backends %s",
            backend,
            decider,
            name,
        )


def warn_of_others(preset: Preset, names: Sequence[str]) -> None:
    """Say that a backend fills in nothing, since other exporters than its own are asked for.

    Args:
        preset: The backend.
        names: Those exporters; with none, nothing is to be exported, which needs no word.
    """
    if names:
        _logger.warning(
            "%s changes nothing, since the exporters asked for are %s: ask for %s as well, or leave them out",
            preset.asked,
            ",".join(names),
            preset.backend.exporter,
        )


def fill(preset: Preset, names: Sequence[str], environ: Mapping[str, str]) -> tuple[Preset | None, list[str]]:
    """What a backend fills in; None where the user asked for other exporters than its own.

    Args:
        preset: The backend.
        names: The exporters that are asked for.
        environ: The environment.
    """
    backend, asked = preset.backend, preset.asked
    if not any(preset.is_of(name) for name in names):
        return None, []
    by_name = [_BY_NAME[name] for name in names if name in _BY_NAME]
    protocol = by_name[0] if by_name else _set(backends.PROTOCOL, environ)[1].lower()
    sign_in = _sign_in(backend, environ)
    templates = _unset(backend.standard(sign_in, protocol), environ) | dict(backend.environment)
    values, found = _values(backend, templates.values(), environ, asked)
    found += _refused(backend, names, environ)
    if preset.lacks(backend.exporter):
        found.append(f"{asked} needs a package: pip install {backend.package}")
    if backends.CREDENTIALS in templates:
        found += _provider_mistakes(backend, sign_in, asked)
    if found:
        return preset, found
    variables = {
        name: backends.filled(template, values.__getitem__, _base64(values))
        for name, template in templates.items()
    }
    variables |= {
        name: f"{variables[name]},{environ[read_from]}"
        for name in _SHARED
        if name in variables and (read_from := _set(name, environ)[0])
    }
    secrets = tuple(value for name, value in values.items() if backend.variable(name).is_secret)
    return Preset(backend, asked, variables, secrets), []


def _set(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Which variable sets this one, and to what; two empty strings if none does."""
    for variable in (name, _ANY_SIGNAL.get(name, name)):
        if value := environ.get(variable, "").strip():
            return variable, value
    return "", ""


def _unset(templates: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Those that the user left unset; of headers and resource attributes those names that are."""
    left = {name: template for name, template in templates.items() if not _set(name, environ)[1]}
    for name in _SHARED:
        theirs = _keys(_set(name, environ)[1])
        pairs = [pair for pair in templates.get(name, "").split(",") if not _keys(pair) <= theirs]
        if pairs:
            left[name] = ",".join(pairs)
    return left


def _keys(pairs: str) -> set[str]:
    return {pair.partition("=")[0].strip().lower() for pair in pairs.split(",") if pair.strip()}


def _sign_in(backend: Backend, environ: Mapping[str, str]) -> SignIn:
    """The first way whose variables are set, else the last; none where the user signs in by a header of their own."""
    for way in backend.sign_in:
        needed = {name for template in way.headers.values() for name in backends.places(template)}
        if needed and all(environ.get(name, "").strip() for name in needed):
            return way
    theirs = _keys(_set(backends.HEADERS, environ)[1])
    ours = {name.lower() for way in backend.sign_in for name in way.headers}
    last = backend.sign_in[-1]
    return SignIn("a header of yours") if last.provider and theirs & ours else last


def _values(
    backend: Backend, templates: Iterable[str], environ: Mapping[str, str], asked: str
) -> tuple[dict[str, str], list[str]]:
    needed = {name for template in templates for name in backends.places(template)}
    has_secrets = any(variable.is_secret for variable in backend.variables)
    values: dict[str, str] = {}
    found: list[str] = []
    for variable in backend.variables:
        if variable.name in needed:
            given = environ.get(variable.name, "").strip() or variable.default
            if given is None:
                found.append(f"{asked} needs {variable.name}, {variable.what}: {variable.where}")
            elif mistake := _mistake(variable, given, is_beside_secrets=has_secrets):
                found.append(mistake)
            else:
                values[variable.name] = _value(variable, given)
    return values, found


def _mistake(variable: Variable, given: str, *, is_beside_secrets: bool) -> str:
    if variable.takes(given) and (not variable.is_url or is_url(given)):
        return ""
    if variable.is_secret:
        return f"{variable.name} isn't {variable.what}, by its shape: copy it again: {variable.where}"
    allowed = (
        f"use one of {', '.join(variable.choices)}" if variable.choices else f"write it as {variable.example}"
    )
    value = shown(given)
    if is_beside_secrets and not value.startswith(("http://", "https://")) and len(value) > _SHOWN:
        value = f"{value[:_SHOWN]}..."  # a key may stand in the wrong variable
    return f"{variable.name}={value!r}: {allowed}; it is {variable.what}: {variable.where}"


def _value(variable: Variable, given: str) -> str:
    return given.rstrip("/") if variable.is_url else variable.choices.get(given, given)


def _base64(values: Mapping[str, str]) -> Callable[[str, str], str]:
    return lambda user, password: base64.b64encode(f"{values[user]}:{values[password]}".encode()).decode()


def _refused(backend: Backend, names: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """What the user set that the backend is known to refuse; what nobody knows is told elsewhere."""
    found = []
    if "otlp_proto_grpc" in names and GRPC not in backend.protocol.takes:
        found.append(f"exporter otlp_proto_grpc: {backend.protocol.why}: use otlp")
    for name, choice in backend.choices.items():
        variable, value = _set(name, environ)
        if name == backends.PROTOCOL and "otlp" not in names:
            continue  # the exporter's name decides
        if value.lower() in backends.WORDS[name] and value.lower() not in choice.takes:
            takes = " or ".join(choice.takes)
            found.append(f"{variable}={value!r}: {choice.why}: use {takes}, or unset it")
    return found


def _provider_mistakes(backend: Backend, sign_in: SignIn, asked: str) -> list[str]:
    what = f"{asked} signs in with {sign_in.how}"
    found = []
    if sign_in.provider not in {
        point.name for point in entry_points(group="opentelemetry_otlp_credential_provider")
    }:
        others = [
            name
            for way in backend.sign_in
            for template in way.headers.values()
            for name in backends.places(template)
        ]
        other_way = f", or set {', '.join(others)}" if others else ""
        found.append(f"{what}, which needs a package: pip install {sign_in.package}{other_way}")
    if not _knows_providers():
        package = "opentelemetry-exporter-otlp-proto-http"
        found.append(f"{what}, which this {package} is too old for: pip install --upgrade {package}")
    return found


def _knows_providers() -> bool:
    try:
        exporter = importlib.import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    except ImportError:
        return True  # that it isn't installed is told where exporters are checked
    return hasattr(exporter, f"_{backends.CREDENTIALS}")


_turn: Final = SimpleNamespace(lock=threading.RLock())


def begin_anew() -> None:
    """Free the environment in a forked child, whose parent may have been filling it in."""
    _turn.lock = threading.RLock()


@contextmanager
def in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let whoever reads the environment find these variables, one thread at a time, and put back what was there.

    Args:
        variables: Name to value.
    """
    with _turn.lock:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
