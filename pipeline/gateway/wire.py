"""What goes in and out of the gateway, whatever carries it: `RawRequest` and `RawAnswer`.

Neither shows its content in a repr: a request line holds a name, an ID number and a picture.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class RawRequest:
    """One HTTP request, undecoded.

    Attributes:
        method: HTTP method, upper case.
        target: path and query as on the request line, ``/?Action=...``.
        headers: name and value pairs; names in any case.
        body: body bytes. A carrier that stops reading at `Limits.body` hands over at least one byte more
            than that, so that the request is refused and not judged by its head.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """First value of a header, or None. Names are compared without case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def __repr__(self) -> str:
        return f"RawRequest({len(self.target)} characters, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class RawAnswer:
    """One HTTP answer.

    Attributes:
        status: HTTP status.
        headers: name and value pairs, lower-case names; the carrier adds ``content-length`` and ``date``.
        body: body bytes, UTF-8.
        admitted: True where the request's signature, time and nonce were right. Not sent.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    admitted: bool = False

    def __repr__(self) -> str:
        return f"RawAnswer({self.status}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes beyond which a request is refused before it is looked into.

    Attributes:
        target: longest request target in characters. A picture of 1 MB in the query is 1.4 MB as base64, and
            at most 4 MB percent-encoded.
        body: longest body in bytes.
        fields: most parameters in query and form together.
    """

    target: int = 4 * 1024 * 1024
    body: int = 4 * 1024 * 1024
    fields: int = 64
