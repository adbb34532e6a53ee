"""Where the time of one match goes on the server's side."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.load_match import FORM, signed
from benchmarks.report import Book
from pipeline.gateway import Gateway, RawRequest

PROFILED: Final = 60
"""Matches of the profile, after as many that are not counted."""


def profile(gateway: Gateway, body: str, book: Book, store: str) -> None:
    """Where the time of one match goes, by wrapping the parts of a gateway in this process."""
    from pipeline.gateway import admission, core
    from pipeline.gateway.store import Store

    spent: dict[str, float] = {}

    def timed(part: str, call: Any) -> Any:
        def inner(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                spent[part] = spent.get(part, 0.0) + time.perf_counter() - began

        return inner

    def timed_session(call: Any) -> Any:
        @contextlib.contextmanager
        def inner(*args: Any, **named: Any) -> Iterator[Any]:
            began = time.perf_counter()
            with call(*args, **named) as session:
                yield session
            spent["database"] = spent.get("database", 0.0) + time.perf_counter() - began

        return inner

    requests = [RawRequest("POST", "/", (("content-type", FORM),), signed(body)) for _ in range(2 * PROFILED)]
    with contextlib.ExitStack() as stack:
        for owner, name, part in (
            (core, "read_parameters", "parameters"),
            (admission, "string_to_sign", "signature"),
            (admission, "verify", "signature"),
        ):
            real = getattr(owner, name)
            setattr(owner, name, timed(part, real))
            stack.callback(setattr, owner, name, real)
        for name in ("read", "write"):
            real = getattr(Store, name)
            setattr(Store, name, timed_session(real))
            stack.callback(setattr, Store, name, real)
        seen: list[Any] = []
        gateway.add_watch(seen.append)
        whole: list[float] = []
        for number, request in enumerate(requests):
            if number == PROFILED:
                spent.clear()
                seen.clear()
            began = time.perf_counter()
            answer = gateway.handle(request)
            if number >= PROFILED:
                whole.append((time.perf_counter() - began) * 1000)
            if b'"score"' not in answer.body:
                raise ValueError("the profile's match did not succeed")
    for part in ("decode", "embed"):
        spent[part] = sum(one.spent[part] for one in seen)
    group = f"profile: {store}"
    book.add_case(f"{group}: one match in process", group, whole, note="no socket, one thread")
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        book.add_number(f"{group}: {part}", 100 * seconds * 1000 / sum(whole), "% of a match")
    rest = 100 * (1 - sum(spent.values()) * 1000 / sum(whole))
    book.add_number(f"{group}: everything else", rest, "% of a match", "JSON, base64, audit, codes, logs")
