"""URLs that the user gave: whether one can be used, and how it is shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_url(text: str) -> bool:
    """Whether requests can be sent there.

    Args:
        text: As the user gave it.
    """
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def shown(url: str) -> str:
    """A URL, right or wrong, without the password and the query that may stand in it.

    Args:
        url: As the user gave it.
    """
    return re.sub(
        r"[?#].*", "?***", re.sub(r"^(\w+://)?.*@", r"\1***@", url, flags=re.DOTALL), flags=re.DOTALL
    )
