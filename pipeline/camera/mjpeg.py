"""MJPEG over HTTP, bounded in time and memory (docs/adr/0004). Imported when such a source is opened."""

from __future__ import annotations

import logging
import select
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import httpx

from pipeline.camera.capture import Shot
from pipeline.camera.clock import Clock
from pipeline.camera.cutoff import CutOff, plain_socket, shut
from pipeline.camera.multipart import PartReader, boundary_of
from pipeline.camera.names import redact_url, split_credentials
from pipeline.camera.picture import decode_picture
from pipeline.camera.source import SourceOptions
from pipeline.errors import FrameError, SourceOpenError

MAX_PART_BYTES: Final = 16_000_000
"""A JPEG of 25 megapixels at quality 95 has about 12 MB."""

_MAX_SLICES: Final = 128
"""Slices of at most 64 KiB that one read takes in to catch up, before it decodes what it has."""

_HELD_PICTURES: Final = 4
"""Undecoded pictures that are kept, in case the newest turns out to be damaged."""

_log = logging.getLogger(__name__)


class MjpegCapture:
    """A multipart/x-mixed-replace stream of JPEG pictures as a `Capture`.

    Where several pictures came since the last read, the newest is decoded and the others count as missed, so
    that a slow machine sees the present. Parts that are no whole JPEG are skipped and counted. Redirects are
    not followed and no proxy is used. The password is sent only after the camera asked for it, as digest
    where it offers that; certificates are checked against the system's store.

    Args:
        url: ``http://`` or ``https://``, with credentials if any; nothing shows them.
        options: `open_deadline_s`, `read_deadline_s`, `max_pixels`.
        clock: gives `Shot.t` and the deadline of a read.

    Raises:
        SourceOpenError: no answer, an answer other than 200, or one that is no MJPEG stream.
    """

    def __init__(self, url: str, options: SourceOptions, clock: Clock) -> None:
        address, credentials = split_credentials(url)
        self._name = redact_url(url)
        self._options = options
        self._clock = clock
        self._skipped = 0
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._client = httpx.Client(
            timeout=httpx.Timeout(options.read_deadline_s, connect=options.open_deadline_s),
            verify=_context(address),
            trust_env=False,
            headers={"Accept": "multipart/x-mixed-replace", "Accept-Encoding": "identity"},
        )
        try:
            self._response = self._ask(address, credentials)
            self._parts = PartReader(self._delimiter(), MAX_PART_BYTES)
        except BaseException:
            self._client.close()
            raise
        self._bytes: Iterator[bytes] = self._response.iter_raw()
        self._pictures: list[bytes] = []
        self._missed = 0

    @property
    def skipped(self) -> int:
        """Parts so far that were no whole JPEG."""
        return self._skipped

    def _ask(self, address: str, credentials: tuple[str, str] | None) -> httpx.Response:
        problem = "can't be reached"
        try:
            with CutOff(self._options.open_deadline_s) as cut:
                request = self._client.build_request("GET", address, extensions={"trace": cut.trace})
                response = self._client.send(request, stream=True)
                if response.status_code == 401 and credentials is not None:
                    response.close()
                    response = self._client.send(_answer(response, credentials), stream=True)
        except httpx.TimeoutException:
            problem = "does not answer in time"
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, UnicodeError) as error:
            problem = f"can't be reached ({type(error).__name__})"
        else:
            return response
        # the cause is left out: it holds the request
        raise SourceOpenError(f"{self._name} {problem}", hint="Check host, port and network.") from None

    def _delimiter(self) -> bytes:
        status = self._response.status_code
        kind = self._response.headers.get("content-type", "")
        delimiter = boundary_of(kind)
        if status == 200 and delimiter is not None:
            return delimiter
        self._response.close()
        if status in (401, 403):
            raise SourceOpenError(
                f"{self._name} refuses the user or password (HTTP {status})",
                hint="Put them into the URL: http://user:password@host/path.",
            )
        if status != 200:
            raise SourceOpenError(f"{self._name} answers with HTTP {status}", hint="Check the path.")
        kind = "".join(c for c in kind.partition(";")[0] if c.isprintable())[:60] or "no content type"
        raise SourceOpenError(
            f"{self._name} answers with {kind}, not with an MJPEG stream",
            hint="Use the camera's MJPEG address (multipart/x-mixed-replace), or its rtsp:// one.",
        )

    def read(self) -> Shot | None:
        """Next whole picture; None if the stream ended, broke its limits, or brought none in time."""
        with self._reading:
            shot = None if self._closed.is_set() else self._next_shot()
        if shot is None or self._closed.is_set():
            self.close()
            return None
        return shot

    def _next_shot(self) -> Shot | None:
        end = self._clock.now() + self._options.read_deadline_s
        slices = 0
        while not self._closed.is_set() and self._clock.now() < end:
            if self._pictures and (slices >= _MAX_SLICES or not self._more_is_here()):
                shot = self._newest()
                if shot is not None:
                    return shot
                continue
            try:
                slices += 1
                self._hold(self._parts.feed(next(self._bytes)))
            except (StopIteration, httpx.HTTPError, httpx.StreamError, OSError, FrameError) as error:
                if not self._closed.is_set():
                    _log.debug("%s broke off (%s)", self._name, type(error).__name__)
                # a picture that came with the last slice counts still; the next read finds the end again
                return self._newest()
        return None

    def _hold(self, parts: list[bytes]) -> None:
        self._pictures += parts
        self._missed += max(0, len(self._pictures) - _HELD_PICTURES)
        del self._pictures[:-_HELD_PICTURES]

    def _newest(self) -> Shot | None:
        """The latest whole picture of those that are held, which are used up; None if there is none."""
        while self._pictures:
            data = self._pictures.pop()
            t = self._clock.now()
            try:
                image = decode_picture(data, max_pixels=self._options.max_pixels)
            except FrameError:
                self._skipped += 1
                continue
            missed, self._missed = self._missed + len(self._pictures), 0
            self._pictures.clear()
            return Shot(image, t, missed=missed)
        return None

    def _more_is_here(self) -> bool:
        """Whether bytes wait already, so that a newer picture may be among them."""
        plain = plain_socket(self._response.extensions.get("network_stream"))
        try:
            return plain is not None and bool(select.select([plain], [], [], 0)[0])
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Cut the connection; a read that waits for it ends at once."""
        self._closed.set()
        shut(self._response.extensions.get("network_stream"))
        if self._reading.acquire(blocking=False):
            try:
                with suppress(OSError, httpx.HTTPError, httpx.StreamError):
                    self._response.close()
                    self._client.close()
            finally:
                self._reading.release()


def _context(address: str) -> ssl.SSLContext:
    """The system's certificates; for plain http none, as loading them takes long."""
    if address.lower().startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _answer(refused: httpx.Response, credentials: tuple[str, str]) -> httpx.Request:
    """The request once more, with the password in the form that a 401 asks for; its body is not read."""
    digest = "digest" in refused.headers.get("www-authenticate", "").lower()
    auth: httpx.Auth = httpx.DigestAuth(*credentials) if digest else httpx.BasicAuth(*credentials)
    flow = auth.auth_flow(refused.request)
    request = next(flow)
    return flow.send(refused) if digest else request


class _Redacting(logging.Filter):
    """httpx logs each request's URL at INFO; a camera's may hold a token in its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                redact_url(str(arg)) if isinstance(arg, httpx.URL) else arg for arg in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_Redacting())
