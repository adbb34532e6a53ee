"""`make_app`: the kiosk's pages, its WebSocket and the operator's JSON, behind the guard."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from pipeline.kiosk.operator import Overview
from pipeline.kiosk.page import PageDoor
from pipeline.kiosk.security import Access, Guard

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FILES: Final = {
    "/kiosk.css": "kiosk.css",
    "/kiosk.js": "kiosk.js",
    "/operator": "operator.html",
    "/operator.css": "operator.css",
    "/operator.js": "operator.js",
    "/icon.svg": "icon.svg",
}
"""Path to static file. There is no other way to a file; `/` is made by `person_page`."""


def read_static(name: str) -> str:
    """Text of a file of `pipeline/kiosk/static`, wherever the package is installed."""
    return (resources.files("pipeline.kiosk") / "static" / name).read_text(encoding="utf-8")


def person_page(consent: tuple[str, str]) -> str:
    """The person's page with the consent's text in it.

    Args:
        consent: what the person agrees to, Chinese and English.
    """
    page = read_static("index.html")
    for mark, text in (("{consent_zh}", consent[0]), ("{consent_en}", consent[1])):
        page = page.replace(mark, escape(text))
    return page


def make_app(door: PageDoor, overview: Overview, access: Access, page: str) -> Starlette:
    """Put the kiosk's server together.

    Args:
        door: lets the person's page in.
        overview: tells the operator.
        access: who may do what.
        page: the person's page, of `person_page`.
    """

    async def person(_: Request) -> Response:
        return Response(page, media_type=_TYPES["html"])

    async def operator(_: Request) -> Response:
        return JSONResponse(overview.to_json())

    async def health(_: Request) -> Response:
        healthy = overview.healthy
        return JSONResponse({"status": "ok" if healthy else "no camera"}, 200 if healthy else 503)

    def file_route(path: str, name: str) -> Route:
        text, kind = read_static(name), _TYPES[name.rpartition(".")[2]]

        async def file(_: Request) -> Response:
            return Response(text, media_type=kind)

        return Route(path, file)

    return Starlette(
        routes=[
            Route("/", person),
            Route("/operator.json", operator),
            Route("/healthz", health),
            *(file_route(path, name) for path, name in FILES.items()),
            WebSocketRoute("/socket", door.serve),
        ],
        middleware=[Middleware(Guard, access=access)],
    )
