"""What the answers to exports over HTTP say, beyond what the SDK makes of them.

The SDK logs each failure with its status, and leaves out the sentence that came with it, which mostly says what is
wrong. It counts every status from 200 to 399 as delivered: a redirect, which it doesn't follow, a page of a proxy, and
an answer that rejects points. None of these is.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from agent_otel._urls import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_logger: Final = logging.getLogger(__name__)

_OTLP: Final = "opentelemetry.exporter.otlp."
_PROTOBUF: Final = "application/x-protobuf"
_SHOWN: Final = 300
_REDIRECTS: Final = range(300, 400)

# Headers that every request has; all others may be keys.
_OF_ALL: Final = {
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
}
# Shorter ones are no keys, and stand in other words.
_SHORTEST: Final = 4


@dataclass(frozen=True)
class _Heard:
    """One answer.

    Args:
        host: Whose it is.
        words: What it says.
        is_refusal: Whether nothing was taken, though the SDK counts it as delivered.
        rejected: How many points were not taken, while the others were.
    """

    host: str
    words: str = ""
    is_refusal: bool = False
    rejected: int = 0


class Answers:
    """Hears what an exporter is answered, and says so: a failure once until an export goes well again.

    Args:
        name: Of the backend; without one the SDK's own line on a failure is enough.
        check: What to look at when exports fail.
        secrets: What may be repeated in an answer and no log may show, beside the headers that were sent.
    """

    def __init__(
        self, name: str = "", check: str = "check the endpoint", secrets: Sequence[str] = ()
    ) -> None:
        """Know the backend."""
        self._name = name
        self._check = check
        self._secrets = secrets
        # The last answer to each request: an export may be several, and a redirect may be followed.
        self._heard: dict[object, _Heard] = {}
        self._told: set[str] = set()
        self._is_failing = False

    def listen_to(self, exporter: object) -> None:
        """Hear the answers to OTLP over HTTP from now on; to other exporters another answer may be right.

        Args:
            exporter: Any exporter; the SDK has no public word for its session.
        """
        if any(kind.__module__.startswith(_OTLP) for kind in type(exporter).__mro__):
            transport = getattr(getattr(exporter, "_client", None), "_transport", exporter)
            hooks = getattr(getattr(transport, "_session", None), "hooks", {})
            hooks.setdefault("response", []).append(self._hear)

    def _hear(self, response: Any, *_: Any, **__: Any) -> None:
        with suppress(Exception):  # the export goes on, whatever the answer looks like
            heard = _heard(response, _masks(response.request, self._secrets))
            self._heard[response.request.body] = heard

    def delivered(self, *, taken: bool) -> bool:
        """Whether an export was delivered, all of it; what else became of it is said, unless it was already.

        Args:
            taken: Whether the exporter says so.
        """
        heard, self._heard = list(self._heard.values()), {}
        name = self._name or next((each.host for each in heard), "")
        refusals = [each.words for each in heard if each.is_refusal]
        if not taken or refusals:
            if not self._is_failing and (self._name or refusals):
                words = next(iter([*refusals, *(each.words for each in reversed(heard))]), "")
                answer = f" It answers: {words}" if words else ""
                _logger.warning("exports to %s fail: %s.%s", name, self._check, answer)
                self._is_failing = True
            return False
        self._is_failing = False
        self._tell_of_parts(name, heard)
        return not any(each.rejected for each in heard)

    def _tell_of_parts(self, name: str, heard: Sequence[_Heard]) -> None:
        # The count differs from export to export, so the words alone tell whether it is the same again.
        parts: Counter[str] = Counter()
        for each in heard:
            if each.words or each.rejected:
                parts[each.words] += each.rejected
        for words, rejected in parts.items():
            if words in self._told:
                continue
            if rejected:
                _logger.warning("%s rejects %d points: %s", name, rejected, words or "it says no reason")
            else:
                _logger.warning("%s takes what it gets, and says: %s", name, words)
        self._told = set(parts) or self._told


def _heard(response: Any, masks: Sequence[str]) -> _Heard:
    host = urlsplit(response.request.url).netloc.rpartition("@")[2]
    status = f"{response.status_code} {response.reason}"
    if response.status_code in _REDIRECTS:
        where = shown(response.headers.get("Location", ""))
        return _Heard(host, _clean(f"{status}, a redirect to {where or 'nowhere'}", masks), is_refusal=True)
    if not response.ok:
        return _Heard(host, _clean(_reason(response), masks))
    try:
        rejected, words = _rejection(response.content, response.headers.get("Content-Type", ""))
    except Exception:  # noqa: BLE001 -- whatever it is, it isn't OTLP's
        kind = response.headers.get("Content-Type") or "no Content-Type"
        return _Heard(
            host, _clean(f"{status} with {kind}, which is no answer of OTLP", masks), is_refusal=True
        )
    return _Heard(host, _clean(words, masks), rejected=rejected)


def _clean(words: str, masks: Sequence[str]) -> str:
    words = " ".join(words.split())
    for secret in masks:
        words = words.replace(secret, "***")
    return words[:_SHOWN]


def _reason(response: Any) -> str:
    """The words of a failure."""
    if not response.headers.get("Content-Type", "").startswith(_PROTOBUF):
        return str(response.text)
    status = importlib.import_module("google.rpc.status_pb2").Status  # untyped; comes with the exporter
    with suppress(Exception):
        return str(status.FromString(response.content).message)
    return ""


def _rejection(body: bytes, kind: str) -> tuple[int, str]:
    """How many points a success rejects, and why; an error if it is neither protobuf nor JSON."""
    if not body:
        return 0, ""
    if "json" in kind or kind.startswith("text/"):
        answer = json.loads(body)
        told = (answer.get("partialSuccess") if isinstance(answer, dict) else None) or {}
        return int(told.get("rejectedDataPoints", 0)), str(told.get("errorMessage", ""))
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 -- the exporter's
        ExportMetricsServiceResponse,
    )

    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    return partial.rejected_data_points, str(partial.error_message)


def _masks(request: Any, secrets: Sequence[str]) -> list[str]:
    """All that no log may show of a request, the longest first: a part of one may be another."""
    found = {
        *secrets,
        *_of_headers(request.headers),
        *_of_user(urlsplit(request.url).netloc.rpartition("@")[0]),
    }
    found |= {quote(secret, safe="") for secret in found}
    return sorted((each for each in found if len(each) >= _SHORTEST), key=len, reverse=True)


def _of_headers(headers: Any) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() not in _OF_ALL:
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            scheme, _, rest = text.partition(" ")
            yield from (text, rest)
            if scheme.lower() == "basic":
                with suppress(binascii.Error, UnicodeDecodeError):
                    yield from _of_user(base64.b64decode(rest).decode())


def _of_user(user: str) -> Iterator[str]:
    for text in (user, unquote(user)):
        yield from (text, text.partition(":")[2], base64.b64encode(text.encode()).decode())
