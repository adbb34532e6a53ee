"""Names of sources that may be shown: no credentials, no ID numbers."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline.errors import SourceOpenError

_HARMLESS_KEYS: Final = frozenset(
    {"cam", "camera", "ch", "channel", "fps", "height", "profile", "quality", "stream", "subtype", "width"}
)
_LONG_NUMBER: Final = re.compile(r"\d{11}")


def redact_url(url: str) -> str:
    """Form of a URL that may stand in logs and results.

    User name and password go, and so do the values of all query fields but those that select a stream
    (``channel=1``); what can't be told apart safely becomes ``***`` as a whole.

    Args:
        url: any text.

    Returns:
        ``scheme://host[:port]/path?key=***``; never raises.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "***"
    tail = f"{parts.path}{parts.query}{parts.fragment}"
    if not parts.scheme or not parts.hostname or "@" in tail:
        return "***"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    fields = [field.partition("=") for field in parts.query.split("&") if field]
    query = "&".join(
        f"{key}={value if key.lower() in _HARMLESS_KEYS else '***'}" if equals else "***"
        for key, equals, value in fields
    )
    return urlunsplit((parts.scheme, host if port is None else f"{host}:{port}", parts.path, query, ""))


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Take user name and password out of a URL.

    Args:
        url: ``http://user:password@host/path``; both may be percent-encoded.

    Returns:
        The URL without them, and (user name, password) decoded, or None.

    Raises:
        SourceOpenError: it has no host, a bad port, a character that no URL has, or an ``@`` after the host,
            which is how a password with a bare ``/``, ``?`` or ``#`` looks.
    """
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise SourceOpenError("the source's URL holds a blank or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SourceOpenError("the source's URL can't be read: its host or port is malformed") from None
    if not parts.hostname:
        raise SourceOpenError("the source's URL names no host")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise SourceOpenError(
            "the source's URL has an @ after its host",
            hint="Percent-encode / ? # @ in the password (%2F %3F %23 %40).",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    bare = urlunsplit(parts._replace(netloc=host if port is None else f"{host}:{port}", fragment=""))
    if parts.username is None:
        return bare, None
    return bare, (unquote(parts.username), unquote(parts.password or ""))


def shown_path(path: PurePath | str) -> str:
    """Last part of a path, as messages show it.

    A name with 11 or more digits in a row (a telephone number, an ID number, as enrolment pictures carry
    them) is shown as ``***`` and its ending.
    """
    name = PurePath(path)
    return f"***{name.suffix}" if _LONG_NUMBER.search(name.name) else name.name
