"""Parts of a multipart/x-mixed-replace stream (MJPEG), out of bytes that come in any slices. No I/O here.

RFC 2046, 5.1.1, read with leniency where cameras break it: a boundary that the header already writes with its
two dashes, bare line feeds, no Content-Length, text before the first boundary.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.errors import FrameError

_MAX_HEADER: Final = 8192
_LENGTH: Final = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$")
_LONG_LENGTH: Final = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*\d{13}")
_END_OF_HEADER: Final = re.compile(rb"\r?\n\r?\n")


def boundary_of(content_type: str) -> bytes | None:
    """Delimiter that separates parts, with its two dashes; None if this is no multipart type.

    Args:
        content_type: value of the HTTP header.
    """
    if not content_type.lower().lstrip().startswith("multipart/"):
        return None
    found = re.search(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', content_type, re.IGNORECASE)
    if found is None:
        return None
    name = (found[1] or found[2]).encode("latin-1", "replace")
    return name if name.startswith(b"--") else b"--" + name


class PartReader:
    """Cuts a stream into the bodies of its parts.

    Bytes that are held never exceed `max_part` and one slice of input, whatever lengths the stream declares.

    Args:
        delimiter: of `boundary_of`.
        max_part: largest body in bytes.
    """

    def __init__(self, delimiter: bytes, max_part: int) -> None:
        self._delimiter = delimiter
        self._max_part = max_part
        self._held = bytearray()
        self._searched = 0
        self._in_body = False
        self._length: int | None = None
        self._broken: FrameError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes.

        Args:
            data: any slice.

        Returns:
            Bodies that are complete now, in order.

        Raises:
            FrameError: a part or its header is larger than allowed; the stream can't be read on. Bodies that
                were complete before are returned first; the call after that raises.
        """
        parts: list[bytes] = []
        if self._broken is not None:
            raise self._broken
        self._held += data
        try:
            while (step := self._body(parts) if self._in_body else self._header()) is not None:
                del self._held[:step]
                self._searched = 0
        except FrameError as error:
            self._broken = error
            self._held.clear()
            if not parts:
                raise
        return parts

    def _header(self) -> int | None:
        """Bytes used up by a header, after which a body begins; None while it is not complete."""
        start = self._held.find(self._delimiter, self._searched)
        if start < 0:
            # keep what could be the delimiter's beginning
            self._searched = max(0, len(self._held) - len(self._delimiter))
            if len(self._held) > self._max_part:
                raise FrameError("the stream shows no boundary between its pictures")
            return None
        end = _END_OF_HEADER.search(self._held, start + len(self._delimiter))
        if end is None:
            self._searched = start
            if len(self._held) - start > _MAX_HEADER:
                raise FrameError("the header of a part of the stream does not end")
            return None
        header = bytes(self._held[start + len(self._delimiter) : end.start()])
        length = _LENGTH.search(header)
        self._length = int(length[1]) if length else None
        if _LONG_LENGTH.search(header) or (self._length is not None and self._length > self._max_part):
            raise FrameError(f"a part of the stream is declared larger than {self._max_part} bytes")
        self._in_body = True
        return end.end()

    def _body(self, parts: list[bytes]) -> int | None:
        """Bytes used up by a body; None while it is not complete."""
        if self._length is not None:
            if len(self._held) < self._length:
                return None
            end = self._length
        else:
            end = self._held.find(self._delimiter, self._searched)
            if end < 0:
                self._searched = max(0, len(self._held) - len(self._delimiter))
                if len(self._held) > self._max_part:
                    raise FrameError(f"a part of the stream is larger than {self._max_part} bytes")
                return None
        parts.append(bytes(self._held[:end]))
        self._in_body = False
        return end
