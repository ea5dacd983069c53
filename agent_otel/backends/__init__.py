"""Where metrics can go: each backend is one frozen value, in a module of its own.

Rules for whoever adds one:

1. Data, not code: a module holds `BACKEND` and its name stands in `NAMES`. It imports this file alone.
2. A fact has a source (`docs`, `source`); `proven` says whether a real server took our metrics.
3. In a template `{NAME}` is that variable's value and `{A:B}` the base64 of both with a colon between, as HTTP Basic
   wants it. Everything else stands there as it is sent: whoever fills a template in encodes it.
"""

from __future__ import annotations

import difflib
import importlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMES: Final = (
    "collector",
    "prometheus",
    "prometheus-otlp",
    "grafana-cloud",
    "datadog",
    "new-relic",
    "dynatrace",
    "cloudwatch",
    "google-cloud",
    "azure-monitor",
    "honeycomb",
    "elastic",
    "splunk",
    "signoz",
    "victoriametrics",
    "console",
)
"""Every backend, as `AGENT_OTEL_BACKEND` names it."""

PLACE: Final = re.compile(r"\{([A-Z_]+)(?::([A-Z_]+))?\}")
"""A variable's place in a template, or that of two."""

REALLY_RUN: Final = "really run"
PROTOCOL_ONLY: Final = "protocol only"

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
CUMULATIVE: Final = "cumulative"
DELTA: Final = "delta"
LOWMEMORY: Final = "lowmemory"
EXPLICIT: Final = "explicit_bucket_histogram"
EXPONENTIAL: Final = "base2_exponential_bucket_histogram"

_OTLP: Final = "OTEL_EXPORTER_OTLP_"
EXPORTER: Final = "OTEL_METRICS_EXPORTER"
PROTOCOL: Final = f"{_OTLP}METRICS_PROTOCOL"
ENDPOINT: Final = f"{_OTLP}METRICS_ENDPOINT"
COMPRESSION: Final = f"{_OTLP}METRICS_COMPRESSION"
HEADERS: Final = f"{_OTLP}METRICS_HEADERS"
TEMPORALITY: Final = f"{_OTLP}METRICS_TEMPORALITY_PREFERENCE"
HISTOGRAM: Final = f"{_OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
CREDENTIALS: Final = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER"
RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"


@dataclass(frozen=True)
class Variable:
    """A variable that a backend needs, beside the standard ones.

    Args:
        name: The vendor's own name, wherever there is one.
        what: What it is, as a noun; no quote, brace, dollar sign or backtick, since a block for sh quotes it.
        where: Where its value is found, in the vendor's words; the same holds.
        default: Its value where it isn't set; without one it must be set.
        choices: What may be given, and what then stands in its place; anything that fits the pattern if empty.
        pattern: What a value looks like.
        example: A value that fits, for messages; a secret has none.
        is_secret: Whether its value may never be shown.
    """

    name: str
    what: str
    where: str
    default: str | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    pattern: str = r"[^\s,;%\"'\\]+"
    example: str = ""
    is_secret: bool = False

    @property
    def is_url(self) -> bool:
        """Whether slashes at its end are left out, since a path follows."""
        return self.pattern.startswith("https?")

    def takes(self, value: str) -> bool:
        """Whether a value looks right.

        Args:
            value: As the user gave it.
        """
        if self.choices:
            return value in self.choices
        # What else there is in a header, such as an invisible character that was copied along, the SDK doesn't send.
        return value.isascii() and value.isprintable() and bool(re.fullmatch(self.pattern, value))


@dataclass(frozen=True)
class Choice:
    """What a backend takes of one standard setting.

    Args:
        best: What is filled in.
        takes: All that it takes.
        why: Why the rest is refused; empty if nothing is.
    """

    best: str
    takes: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class SignIn:
    """One way to sign in.

    Args:
        how: In a few words.
        headers: Name to template.
        provider: The official exporter's credential provider that signs each request instead.
        package: What brings that provider, as `pip install` wants it.
    """

    how: str
    headers: Mapping[str, str] = field(default_factory=dict)
    provider: str = ""
    package: str = ""


@dataclass(frozen=True)
class Limits:
    """What a backend refuses beyond; `None` where it names no number.

    Args:
        payload_bytes: Bytes of a request, after decompression; the batches of collector-config/ stay within.
        points: Points in a request; requests are split where the exporter can.
        buckets: Buckets of a histogram; finer ones are merged.
        text: The same and what else there is, for people.
    """

    payload_bytes: int | None = None
    points: int | None = None
    buckets: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Backend:
    """Where metrics can go, and how.

    Args:
        name: As `AGENT_OTEL_BACKEND` names it.
        title: As its maker writes it.
        what: What it is, in one line.
        docs: The maker's own page.
        source: The day of the source, or of the run if it was really run.
        proven: `REALLY_RUN`, or `PROTOCOL_ONLY`: a double that enforces what the documentation says.
        temporality: Of its points.
        histogram: Of its histograms; the values of the standard variable.
        exporter: The official exporter, as `OTEL_METRICS_EXPORTER` names it.
        package: What brings that exporter, if no extra does.
        endpoint: Template of the URL that takes metrics over HTTP; nothing is appended.
        grpc_endpoint: The same over gRPC; empty if it has none.
        protocol: OTLP's.
        compression: OTLP's.
        sign_in: Ways to sign in: the first whose variables are set is taken, else the last.
        resource: Resource attributes that it needs, key to template.
        environment: Further variables for its exporter, name to template.
        variables: What its templates need.
        limits: What it refuses beyond.
        remarks: What is lost there or must be known, each a sentence.
    """

    name: str
    title: str
    what: str
    docs: str
    source: str
    proven: str
    temporality: Choice
    histogram: Choice
    exporter: str = "otlp"
    package: str = ""
    endpoint: str = ""
    grpc_endpoint: str = ""
    protocol: Choice = Choice(HTTP, (HTTP,), "its intake speaks OTLP over HTTP alone")
    compression: Choice = Choice("gzip", ("gzip", "none"), "it documents gzip alone")
    sign_in: tuple[SignIn, ...] = (SignIn("none"),)
    resource: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()
    limits: Limits = Limits()
    remarks: tuple[str, ...] = ()

    def variable(self, name: str) -> Variable:
        """Its variable of that name.

        Args:
            name: As it stands in a template.
        """
        return next(variable for variable in self.variables if variable.name == name)

    @property
    def choices(self) -> dict[str, Choice]:
        """The standard variables that it takes some values of; none where its exporter isn't OTLP's."""
        if self.exporter != "otlp":
            return {}
        return {
            PROTOCOL: self.protocol,
            COMPRESSION: self.compression,
            TEMPORALITY: self.temporality,
            HISTOGRAM: self.histogram,
        }

    def standard(self, sign_in: SignIn, protocol: str = "") -> dict[str, str]:
        """The standard variables that it stands for, name to template, encoded as the exporters read them.

        Args:
            sign_in: One of its ways.
            protocol: OTLP's, if it isn't the best one.
        """
        best = {name: choice.best for name, choice in self.choices.items()}
        found = {
            EXPORTER: self.exporter,
            PROTOCOL: protocol or best.pop(PROTOCOL, ""),
            ENDPOINT: self.grpc_endpoint if protocol == GRPC else self.endpoint,
            HEADERS: _joined(sign_in.headers),
            CREDENTIALS: sign_in.provider,
            **best,
            RESOURCE: _joined(self.resource),
            **self.environment,
        }
        return {name: template for name, template in found.items() if template}


def _joined(templates: Mapping[str, str]) -> str:
    """As the exporters and the SDK read headers and resource attributes: percent-encoded, joined by commas."""
    return ",".join(f"{name}={_encoded(template)}" for name, template in templates.items())


def _encoded(template: str) -> str:
    places = [match.group() for match in PLACE.finditer(template)]
    between = [quote(text, safe="") for text in PLACE.split(template)[::3]]
    return "".join(text + place for text, place in zip(between, [*places, ""], strict=True))


def filled(template: str, one: Callable[[str], str], both: Callable[[str, str], str]) -> str:
    """A template with something in its places.

    Args:
        template: Any.
        one: What stands for a variable.
        both: What stands for the base64 of two.
    """
    return PLACE.sub(lambda found: both(found[1], found[2]) if found[2] else one(found[1]), template)


def named(name: str) -> Backend:
    """The backend of that name; its module alone is loaded.

    Args:
        name: One of `NAMES`.

    Raises:
        LookupError: There is none; the message names the closest and all.
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise LookupError(f"no such backend: {hint}known are {', '.join(NAMES)}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    backend: Backend = module.BACKEND
    return backend


def same(*values: str) -> dict[str, str]:
    """Choices that stand in their place as they are given.

    Args:
        *values: What may be given.
    """
    return {value: value for value in values}


def places(template: str) -> tuple[str, ...]:
    """The variables of a template.

    Args:
        template: Any.
    """
    return tuple(name for pair in PLACE.findall(template) for name in pair if name)


ANY_TEMPORALITY: Final = (CUMULATIVE, DELTA, LOWMEMORY)
ANY_HISTOGRAM: Final = (EXPLICIT, EXPONENTIAL)
ANY_PROTOCOL: Final = Choice(HTTP, (HTTP, GRPC))
ANY_COMPRESSION: Final = Choice("gzip", ("gzip", "deflate", "none"))
WORDS: Final = {
    PROTOCOL: ANY_PROTOCOL.takes,
    COMPRESSION: ANY_COMPRESSION.takes,
    TEMPORALITY: ANY_TEMPORALITY,
    HISTOGRAM: ANY_HISTOGRAM,
}
"""What each of those standard variables can be set to."""
URL: Final = r"https?://[^\s,;%\"'\\/?#][^\s,;%\"'\\?#]*"
"""The pattern of a URL; slashes at its end are left out."""
