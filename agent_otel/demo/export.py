"""Where the demo's metrics go: to a page on this machine, or to a collector, by the standard variables."""

from __future__ import annotations

import importlib.util
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from agent_otel import exporters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOST: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
PORT: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"
_NO_PAGE: Final = "in this process alone: a page needs pip install 'agent-otel[prometheus]'"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_DEFAULTS: Final = {
    "OTEL_SERVICE_NAME": "agent-otel-demo",
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",  # the usual minute is longer than most demos
    HOST: "127.0.0.1",
}


@dataclass(frozen=True)
class Export:
    """An exporter, and what to say of it.

    Args:
        exporter: `prometheus`, `otlp` or `none`.
        during: What to say while the demo runs.
        after: What to say at the end.
        failed: What to say at the end when nothing was delivered.
        pushes: Whether there is something to deliver.
    """

    exporter: str
    during: str = ""
    after: str = ""
    failed: str = ""
    pushes: bool = False

    def told(self, delivered: bool | None) -> str:
        """What to say at the end.

        Args:
            delivered: Whether everything was; None where nothing is pushed.
        """
        return self.failed if delivered is False else self.after


def chosen(asked: str | None, port: int | None) -> Export:
    """Set the variables that nobody has set, and say where the metrics will go.

    Args:
        asked: `prometheus`, `otlp` or `none`; None for a page if its extra is installed.
        port: Of the page; None for the usual one, or a free one where that is taken.

    Raises:
        OSError: There is no such host, or no port of it is free.
    """
    for variable, value in _DEFAULTS.items():
        os.environ.setdefault(variable, value)
    return _CHOICES[asked](port)


def _page(port: int | None) -> Export:
    host, usual = os.environ[HOST], os.environ.get(PORT, "").strip() or str(exporters.DEFAULT_PORT)
    if port is None and not usual.isdecimal():
        return Export("prometheus")  # configure() says what is wrong with it
    wanted = int(usual) if port is None else port
    taken = port is None and wanted > 0 and not _is_free(host, wanted)
    number = _listen(host, 0) if taken or not wanted else wanted
    os.environ[PORT] = str(number)
    url = f"http://{f'[{host}]' if ':' in host else host}:{number}/metrics"
    why = f", since port {wanted} is taken" if taken else ""
    return Export("prometheus", f"{url}{why}", f"the page was at {url} while the demo ran")


def _page_if_installed(port: int | None) -> Export:
    try:
        installed = importlib.util.find_spec("opentelemetry.exporter.prometheus") is not None
    except ImportError:
        installed = False
    return _page(port) if installed else Export("none", _NO_PAGE, _NO_PAGE)


def _collector(port: int | None) -> Export:
    del port  # of the page alone
    url = endpoint(os.environ)
    return Export(
        "otlp",
        f"to {url}",
        f"delivered to {url}",
        f"nothing was delivered to {url}: no collector there?",
        pushes=True,
    )


def _nowhere(port: int | None) -> Export:
    del port  # of the page alone
    return Export("none")


_CHOICES: Final[Mapping[str | None, Callable[[int | None], Export]]] = {
    None: _page_if_installed,
    "prometheus": _page,
    "otlp": _collector,
    "none": _nowhere,
}


def endpoint(environ: Mapping[str, str]) -> str:
    """Where the OTLP exporter pushes to, without a user or a key that stands in the URL.

    Args:
        environ: The environment.
    """
    default = (
        "http://localhost:4317" if exporters.protocol_of(environ)[1] == "grpc" else "http://localhost:4318"
    )
    given = environ.get(f"{_OTLP}METRICS_ENDPOINT", "").strip() or environ.get(f"{_OTLP}ENDPOINT", "").strip()
    parts = urlsplit(given or default)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _is_free(host: str, port: int) -> bool:
    try:
        _listen(host, port)
    except OSError:
        return False
    return True


def _listen(host: str, port: int) -> int:
    """Listen for an instant, and say on which port."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.create_server(address[:2], family=family) as listener:
        return int(listener.getsockname()[1])
