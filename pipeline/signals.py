"""SIGTERM and Ctrl-C, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
"""What asks a program to end."""


@contextlib.contextmanager
def signals_to(
    handler: Callable[[int, FrameType | None], object], numbers: Sequence[signal.Signals] = STOPS
) -> Iterator[None]:
    """Give signals to a handler within the block, and to whoever had them again after it.

    Nothing is done outside of the main thread, where Python lets nobody set a handler.

    Args:
        handler: takes the signal's number and the frame that it interrupts.
        numbers: the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
