"""What became of the exports to a backend, said once and with the backend's own words.

The SDK logs each failure with its status; the sentence that the vendor sent with it, which mostly says what is wrong,
it leaves out, and it overlooks an answer that took a part of the points alone.
"""

from __future__ import annotations

import importlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_logger: Final = logging.getLogger(__name__)

_PROTOBUF: Final = "application/x-protobuf"
_SHOWN: Final = 300


class Answers:
    """Hears what a backend answers, and says so when exports begin to fail, once until one goes well again.

    Args:
        name: Of the backend.
        check: What to look at then.
        secrets: What a vendor may repeat and no log may show.
    """

    def __init__(self, name: str, check: str, secrets: Sequence[str] = ()) -> None:
        """Know the backend."""
        self._name = name
        self._check = check
        self._secrets = secrets
        self._said = ""
        self._told = ""
        self._is_failing = False

    def listen_to(self, exporter: object) -> None:
        """Hear the answers to an exporter over HTTP from now on; others keep theirs to themselves.

        Args:
            exporter: Any exporter; the SDK has no public word for its session.
        """
        transport = getattr(getattr(exporter, "_client", None), "_transport", exporter)
        hooks = getattr(getattr(transport, "_session", None), "hooks", {})
        hooks.setdefault("response", []).append(self._hear)

    def _hear(self, response: Any, *_: Any, **__: Any) -> None:
        with suppress(Exception):  # the export goes on, whatever the answer looks like
            words = " ".join(_words(response).split())
            for secret in self._secrets:
                words = words.replace(secret, "***")
            self._said = words[:_SHOWN]

    def tell(self, *, failed: bool) -> None:
        """Say what became of an export, unless it was said already.

        Args:
            failed: Whether it did.
        """
        said, self._said = self._said, ""
        if failed and not self._is_failing:
            answer = f" It answers: {said}" if said else ""
            _logger.warning("exports to %s fail: %s.%s", self._name, self._check, answer)
        elif said and not failed and said != self._told:
            _logger.warning("%s rejects a part of what it gets: %s", self._name, said)
            self._told = said
        self._is_failing = failed


def _words(response: Any) -> str:
    is_protobuf = response.headers.get("Content-Type", "").startswith(_PROTOBUF)
    if response.ok:
        return _rejection(response.content) if is_protobuf else ""
    return _status(response.content) if is_protobuf else str(response.text)


def _rejection(body: bytes) -> str:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 -- the exporter's
        ExportMetricsServiceResponse,
    )

    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    if not partial.rejected_data_points:
        return str(partial.error_message)
    return f"{partial.rejected_data_points} points: {partial.error_message}"


def _status(body: bytes) -> str:
    status = importlib.import_module("google.rpc.status_pb2").Status  # untyped; comes with the exporter
    return str(status.FromString(body).message)
