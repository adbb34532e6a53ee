"""Standard error for livegate's own words: what native libraries write there is left out."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

READERS: Final = frozenset({"run", "score", "eval", "calibrate", "enroll", "match"})
"""Commands that decode pictures or videos. They start no process that would inherit the closed mouth, as
``serve`` does with its workers."""

_STDERR: Final = 2


@contextmanager
def libraries_silent() -> Iterator[None]:
    """Send what is written past Python's ``sys.stderr`` to nowhere, for the block.

    libpng and libjpeg print their remarks on a broken file straight to file descriptor 2, FFmpeg and OpenCV
    theirs as well; the error of ours says it once, and in words. The descriptor is the process's: it is moved
    once, before there are threads, not around a call. Python's own output goes on to where it went. What a
    crash of native code would print is lost too, so ``--verbose`` leaves everything as it is.

    Nothing is done where ``sys.stderr`` is not descriptor 2, as in a program that calls the command itself.
    """
    before = sys.stderr
    if not isinstance(before, io.TextIOWrapper) or not _is_stderr(before):
        yield
        return
    before.flush()
    kept = os.dup(_STDERR)
    with open(kept, "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=False) as own:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        sys.stderr = own
        try:
            yield
        finally:
            own.flush()
            sys.stderr = before
            os.dup2(kept, _STDERR)
            os.close(kept)


def _is_stderr(stream: io.TextIOWrapper) -> bool:
    try:
        return stream.fileno() == _STDERR
    except (OSError, ValueError):
        return False
