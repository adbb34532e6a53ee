"""An end to waiting for what nothing can interrupt: a resolver, a connect to address after address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class Sending:
    """Whether a request has begun to be sent or was given up before: one of the two, for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: bool | None = None

    def begin(self) -> bool:
        """Ask before the first byte. False where it was given up: then none may be sent."""
        with self._lock:
            if self._begun is None:
                self._begun = True
            return self._begun

    def give_up(self) -> bool:
        """False where it has begun: then nobody knows what came of it."""
        with self._lock:
            if self._begun is None:
                self._begun = False
            return not self._begun


def within(seconds: float, call: Callable[[], T]) -> T | None:
    """What a call gives, or raises; None where it takes longer.

    It runs in a thread of its own, which is left to itself then, and does not keep the process from ending.

    Args:
        seconds: to wait; at once where it is not above 0.
        call: anything that does not give None.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="livegate exchange", daemon=True).start()
    wait([future], max(0.0, seconds))
    return future.result() if future.done() else None
