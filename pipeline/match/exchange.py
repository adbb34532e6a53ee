"""One HTTP exchange with the service, and what each way of failing means.

With `pipeline.match.lines` the only module of this room that sees httpx. No exception of httpx leaves this
module or is chained to ours: each holds the request, and so the picture.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from pipeline import __version__
from pipeline.addresses import is_loopback
from pipeline.camera.cutoff import CutOff, shut
from pipeline.errors import SettingsError, UsageError
from pipeline.match.lines import LIMITS, Lent, Lines
from pipeline.match.rules import Timeouts
from pipeline.match.waiting import Sending, within
from pipeline.protocol.answers import MAX_ANSWER_BYTES

_HEADERS: Final = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    # A compressed answer could unfold to any size.
    "Accept-Encoding": "identity",
    "User-Agent": f"livegate/{__version__}",
}

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_CUT: Final = (httpx.WriteError, httpx.WriteTimeout)
_LOST: Final = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.CloseError)

GRACE_S: Final = 0.5
"""For an exchange that was cut off to say by itself how far it came, in seconds."""


class Loss(Enum):
    """Why there is no answer."""

    NOT_SENT = auto()
    """No connection: the service has seen nothing."""
    UNTRUSTED = auto()
    """The service's certificate does not verify; another try would end the same."""
    CUT = auto()
    """The request was not sent in full."""
    LOST = auto()
    """The request was sent, and no whole answer came: the service may have acted on it."""
    UNFIT = auto()
    """An answer came that no service of this protocol gives: too large, compressed, or no HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer.

    Attributes:
        status: HTTP status.
        body: body bytes, hidden from the repr.
    """

    status: int
    body: bytes = field(repr=False)


class Exchange:
    """One endpoint, asked over up to eight connections.

    Args:
        endpoint: ``https://host[:port][/path]``; ``http://`` to loopback only.
        timeouts: limits of one exchange.
        proxy: proxy URL; None means the environment's proxies (``HTTPS_PROXY``, ``NO_PROXY``, ...). A
            loopback endpoint is never asked through a proxy.
        ca_file: PEM file with the certificates to trust instead of the usual ones. There is no other way to
            change what is trusted, and none to switch verification off.
        allow_plain_http: lets ``http://`` reach other hosts too; then names and faces travel unencrypted.
        transport: used instead of sockets, for tests and for a gateway in the same process.

    Raises:
        SettingsError: an argument can't be used; the message never shows its value.
    """

    def __init__(
        self,
        endpoint: str,
        timeouts: Timeouts,
        *,
        proxy: str | None = None,
        ca_file: Path | None = None,
        allow_plain_http: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.host, loopback = _checked(endpoint, allow_plain_http=allow_plain_http)
        if loopback and proxy is not None:
            raise SettingsError("A loopback endpoint is not reached through a proxy.")
        self._endpoint = endpoint
        self._timeouts = timeouts
        verify = trust(ca_file, unused=transport is not None or endpoint.startswith("http:"))
        self._transport = transport

        def client() -> httpx.Client:
            return httpx.Client(
                headers=_HEADERS,
                limits=LIMITS,
                proxy=proxy,
                transport=None if transport is None else Lent(transport),
                trust_env=not loopback,
                verify=verify,
            )

        try:
            self._lines = Lines(client)
        except (ValueError, TypeError, ImportError, httpx.InvalidURL):
            unusable = True
        else:
            unusable = False
        if unusable:
            raise SettingsError("The proxy can't be used: it is not a URL of a kind that httpx supports.")

    def post(self, body: bytes, headers: dict[str, str], deadline: float) -> Reply | Loss:
        """Send a form body and read the whole answer.

        Args:
            body: form-encoded.
            headers: further headers.
            deadline: on `time.monotonic`, seconds. What waits for a byte is cut off then, see `CutOff`; what
                can't be, the look-up of a name and a connect to each of its addresses, is left to its thread
                `GRACE_S` later, and never sends.

        Returns:
            The answer, whatever its status, or why there is none.

        Raises:
            UsageError: the exchange was closed.
        """
        if self._lines.closed:
            raise UsageError("This client was closed.")
        with self._lines.take(min(self._timeouts.connect, max(0.0, deadline - time.monotonic()))) as line:
            if line is None:
                return Loss.NOT_SENT
            cut, sending = CutOff(deadline - time.monotonic(), line.stream), Sending()

            def ask() -> Reply | Loss:
                with cut:
                    return self._post(line.client, body, headers, deadline, cut, sending)

            if self._transport is not None:
                return ask()  # there is nothing to look up
            reply = None
            try:
                reply = within(deadline + GRACE_S - time.monotonic(), ask)
            finally:
                line.stream = cut.stream
                if reply is None:  # out of time, or interrupted: its thread may go on for a while
                    line.spent = True
                    unsent = sending.give_up()
                    shut(line.stream)
            if reply is not None:
                return reply
            return Loss.NOT_SENT if unsent else Loss.LOST

    def _post(
        self,
        client: httpx.Client,
        body: bytes,
        headers: dict[str, str],
        deadline: float,
        cut: CutOff,
        sending: Sending,
    ) -> Reply | Loss:
        def trace(event: str, info: Mapping[str, Any]) -> None:
            cut.trace(event, info)
            if event.endswith(".connect_tcp.complete") and time.monotonic() >= deadline:
                info["return_value"].close()  # no TLS over what was shut down: ssl takes it for not connected
                raise httpx.ConnectTimeout("too late")
            if event.endswith(".send_request_headers.started") and not sending.begin():
                raise httpx.ConnectTimeout("given up")

        try:
            with client.stream(
                "POST",
                self._endpoint,
                content=body,
                headers=headers,
                timeout=self._until(deadline),
                extensions={"trace": trace},
            ) as response:
                return _read(response, deadline)
        except _NOT_SENT as error:
            return Loss.UNTRUSTED if _is_certificate_error(error) else Loss.NOT_SENT
        except _CUT:
            return Loss.CUT
        except _LOST:
            return Loss.LOST
        except httpx.HTTPError:
            return Loss.UNFIT

    def close(self) -> None:
        """Close every connection. Idempotent."""
        first = not self._lines.closed
        self._lines.close()
        if first and self._transport is not None:
            self._transport.close()

    def _until(self, deadline: float) -> httpx.Timeout:
        left = max(0.001, deadline - time.monotonic())
        limits = self._timeouts
        return httpx.Timeout(
            connect=min(limits.connect, left),
            read=min(limits.read, left),
            write=min(limits.write, left),
            pool=min(limits.connect, left),
        )


def _read(response: httpx.Response, deadline: float) -> Reply | Loss:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return Loss.UNFIT
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return Loss.UNFIT
        if time.monotonic() > deadline:
            return Loss.LOST
    return Reply(response.status_code, bytes(body))


def _checked(endpoint: str, *, allow_plain_http: bool) -> tuple[str, bool]:
    """Host of an endpoint, and whether it is loopback."""
    try:
        url, asked = urlsplit(endpoint), httpx.URL(endpoint)
        host, _ = url.hostname or "", url.port
    except (ValueError, httpx.InvalidURL):
        host = ""
    if not host or not asked.host or url.scheme not in ("https", "http"):
        raise SettingsError("The endpoint is not a URL of the form https://host[:port].")
    if url.username is not None or url.query or url.fragment:
        raise SettingsError("The endpoint must hold no credentials, query or fragment.")
    loopback = is_loopback(host) and is_loopback(asked.host)  # whoever reads it, it is the same host
    if url.scheme == "http" and not loopback and not allow_plain_http:
        raise SettingsError(
            "A plain http:// endpoint is only allowed on loopback: names and faces would travel unencrypted.",
            hint="Use https://, or allow_plain_http where something else protects the line.",
        )
    return host, loopback


def trust(ca_file: Path | None, *, unused: bool = False) -> ssl.SSLContext:
    """Certificates that a connection trusts; always verifying.

    Args:
        ca_file: PEM certificates instead of the usual ones.
        unused: no TLS connection will be made, so the usual ones need not be read.

    Raises:
        SettingsError: the file can't be read as PEM certificates.
    """
    if ca_file is None and unused:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and trusts nobody: nothing to be read
    if ca_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError):
        pass
    raise SettingsError("The CA file can't be read as PEM certificates.")


def _is_certificate_error(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
