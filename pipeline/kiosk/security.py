"""`Guard`: who may talk to the kiosk's server at all, and the headers that every answer carries.

- `Host` must be this kiosk's own name or address: a page of elsewhere whose name was turned to this address
  (DNS rebinding) sends its own name.
- `Origin`, where there is one, must be that very host; a WebSocket must have one. Browsers set it, pages
  can't.
- The person's page and its preview are for a browser on this machine, unless the settings say otherwise.
- The operator's pages want the token, where one is set; beyond the loopback interface one must be set.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.addresses import is_loopback

log = logging.getLogger("livegate.kiosk")

LEAST_TOKEN: Final = 16
"""Characters of an operator token: a guess a millisecond never ends."""

HEADERS: Final = {
    # No inline script or style, no other origin, no frame around it. `connect-src 'self'` holds for the
    # WebSocket too (Content Security Policy Level 3, 6.7.2.8 "scheme-part matches").
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

SCREEN_PATHS: Final = ("/", "/socket")
OPERATOR_PATHS: Final = ("/operator", "/operator.json")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what.

    Attributes:
        host: address that is listened at.
        names: further names under which the kiosk may be asked.
        token: what the operator's pages want; None for no question. Never shown.
        remote_screen: the person's page may be on another machine.
    """

    host: str
    names: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    remote_screen: bool = False

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header names this kiosk.

        Beyond the loopback interface any literal address does: a page of elsewhere can turn a name of its own
        to this address, and can't make the browser send an address instead.
        """
        name = host_name(host)
        if name is None:
            return False
        if name in {self.host.lower(), *(known.lower() for known in self.names)} or is_loopback(name):
            return True
        return not is_loopback(self.host) and _is_address(name)

    def admits(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header holds the operator's token, as Basic password or Bearer."""
        if self.token is None:
            return True
        scheme, _, value = (authorization or "").partition(" ")
        given = b""
        if scheme.lower() == "bearer":
            given = value.strip().encode()
        elif scheme.lower() == "basic":
            try:
                given = base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                given = b""
        return hmac.compare_digest(given, self.token.encode())


def host_name(header: str) -> str | None:
    """Name or address of a ``Host`` header, in lower case and without port; None if it is malformed."""
    if not header or not header.isascii() or any(character in header for character in " \t/@\\?#,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return (parts.hostname or "").lower() or None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware that answers what may not come in, and puts `HEADERS` on everything.

    Args:
        app: the kiosk's.
        access: the rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "http":
            await refusal(scope, receive, send_guarded)
        else:
            log.warning("a WebSocket was refused")
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._access.knows(hosts[0]):
            return PlainTextResponse("This kiosk is not known by that name.\n", 421)
        wanted = {f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"}
        if any(origin.lower() not in wanted for origin in origins) or len(origins) > 1:
            return PlainTextResponse("Pages of elsewhere may not ask here.\n", 403)
        if scope["type"] == "websocket" and not origins:
            return PlainTextResponse("A WebSocket needs an origin.\n", 403)
        path = scope["path"]
        if path in SCREEN_PATHS and not self._access.remote_screen and not self._is_here(scope):
            return PlainTextResponse("The kiosk's page is for the screen of this machine.\n", 403)
        if path in OPERATOR_PATHS and not self._access.admits(headers.get("authorization")):
            ask = {"www-authenticate": 'Basic realm="livegate operator", charset="UTF-8"'}
            return PlainTextResponse("The operator's token is wanted as the password.\n", 401, headers=ask)
        return None

    def _is_here(self, scope: Scope) -> bool:
        client = scope.get("client")
        return client is not None and is_loopback(client[0])
