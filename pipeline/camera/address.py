"""Addresses of streams: what of one may be shown, and which two are the same."""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from pipeline.camera.names import redact_url, split_credentials
from pipeline.errors import SourceOpenError

_DEFAULT_PORTS: Final = {"rtsp": 554, "http": 80, "https": 443}
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """An address that can be compared and shown without giving a secret away.

    Two are equal where RFC 3986 calls them equivalent (6.2.2.1, 6.2.2.2, 6.2.3): the case of scheme, host
    and escapes, escapes of unreserved characters, the scheme's default port, an empty path. User name and
    password don't count. Everything else does, as a server is free to tell by it which camera is meant: the
    whole query with its order, a slash at the end, dot segments, a fragment (FFmpeg sends it).

    Attributes:
        shown: see `redact_url`; it does not tell addresses apart.
        digest: SHA-256 of the address without credentials, hexadecimal; the address itself is not kept, as
            its query may hold a token.
    """

    shown: str = field(compare=False)
    digest: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self | None:
        """Read an address.

        Args:
            url: any text.

        Returns:
            None if it is no address of a stream: another scheme than rtsp, http and https, no host or one
            that is not ASCII (resolvers disagree on those), a bad port, a blank, an ``@`` behind the host, a
            ``%`` that begins no escape.
        """
        try:
            split_credentials(url)
        except SourceOpenError:
            return None
        parts = urlsplit(url)
        default = _DEFAULT_PORTS.get(parts.scheme)
        tail = [parts.path or "/", parts.query, parts.fragment]
        spelled = parts.netloc.rpartition("@")[2]  # not .hostname: lower case makes ASCII of other letters
        if default is None or not spelled.isascii() or "%" in _ESCAPE.sub("", " ".join(tail)):
            return None
        port = default if parts.port is None else parts.port
        whole = [parts.scheme, str(parts.hostname), str(port), *(_ESCAPE.sub(_normal, text) for text in tail)]
        # split_credentials lets no blank through, so the parts can't run into each other
        text = " ".join(whole)
        return cls(redact_url(url), hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def _normal(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
