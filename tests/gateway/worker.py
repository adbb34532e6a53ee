"""One process of a crew (see `crew` in conftest.py): does tasks that come as lines of JSON, at a signal.

A task names a function below and its arguments. It begins when the file ``go`` is there, so all processes of
the crew begin within a millisecond; its answer is one line of JSON.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.gateway import Gateway, GatewayOptions, RawRequest, open_authority, open_shared
from pipeline.gateway.audit import AuditEntry, AuditLog
from pipeline.gateway.counters import Limit
from pipeline.gateway.risk import FailureWindow, Risk, RiskPolicy
from pipeline.gateway.sessions import Sessions
from pipeline.gateway.vault import KEY_VARIABLE

FORM = (("content-type", "application/x-www-form-urlencoded"),)


def handle(url: str, redis: str | None, *, now: float, bodies: list[str]) -> list[Any]:
    """Open a gateway, let it answer, tell the codes."""
    options = GatewayOptions(redis_url=redis)
    gateway = Gateway(open_authority(url), lambda: None, clock=lambda: now, options=options)  # type: ignore[arg-type,return-value]
    try:
        answers = [gateway.handle(RawRequest("POST", "/", FORM, base64.b64decode(body))) for body in bodies]
        return [json.loads(answer.body)["Code"] for answer in answers]
    finally:
        gateway.close()


def use(url: str, redis: str | None, *, nonces: list[str]) -> list[bool]:
    """Use nonces up."""
    with _shared(url, redis) as shared:
        return [shared.nonces.use("key", nonce, now=1000.0) for nonce in nonces]


def take(url: str, redis: str | None, *, turns: int) -> int:
    """Two threads take two places each turn and give every second pair back; how many pairs were kept."""
    kept = []
    with _shared(url, redis) as shared:

        def work() -> None:
            for turn in range(turns):
                places = shared.counters.take([Limit("a" * 64, 17, 100), Limit("b" * 64, 1000, 100)], now=10)
                if places is None:
                    continue
                if turn % 2:
                    shared.counters.release(places)
                else:
                    kept.append(1)

        _in_threads([work, work])
    return len(kept)


def fail(url: str, redis: str | None, *, turns: int, most: int) -> list[bool]:
    """Try so often against one person, always in vain; for each try, whether it was let happen."""
    let = []
    policy = RiskPolicy(FailureWindow(most, 1000, 500), None, None)
    with _shared(url, redis) as shared:
        risk = Risk(shared.counters, shared.vault, policy)
        for _ in range(turns):
            with risk.attempt(cert_number="x", device=None, owner="k", now=10) as attempt:
                let.append(attempt is not None)
                if attempt is not None:
                    attempt.fail()
    return let


def finish(url: str, redis: str | None, *, query_ids: list[str], result: str) -> list[bool]:
    """Give sessions their result; for each, whether this process did."""
    with _shared(url, redis) as shared:
        sessions = Sessions(shared.store)
        return [sessions.finish(query_id, result, now=10) for query_id in query_ids]


def audit(url: str, redis: str | None, *, name: str, rows: int) -> None:
    """Two threads write rows to the audit log."""
    with _shared(url, redis) as shared:
        log = AuditLog(shared.store, shared.vault)

        def write(thread: int) -> None:
            for turn in range(rows):
                log.append(AuditEntry(turn, f"{name}-{thread}", "match", "200", "", "", "R", 1))

        _in_threads([lambda: write(0), lambda: write(1)])


def enroll(
    url: str, redis: str | None, *, faces: list[list[float]], numbers: list[str], refuse: bool
) -> list[str]:
    """Enrol faces under these numbers; for each, ``enrolled`` or ``duplicate``."""
    import numpy as np

    from pipeline.errors import EnrollError
    from pipeline.gateway import FaceIndex, Identity
    from pipeline.gateway.authority import EmbeddingModel

    model = EmbeddingModel("net", "a" * 64)
    told = []
    with _shared(url, redis) as shared:
        index = FaceIndex(shared.authority, model)
        for face, number in zip(faces, numbers, strict=True):
            vector = np.asarray(face, np.float32)

            def check(session: Any, person_id: str, vector: Any = vector) -> None:
                if refuse and index.find(vector, 0.9, exclude=person_id, session=session):
                    raise EnrollError("duplicate")

            try:
                shared.authority.enroll(Identity.of("n", number), vector, model, now=1.0, check=check)
                told.append("enrolled")
            except EnrollError:
                told.append("duplicate")
    return told


class _shared:  # noqa: N801 - reads as a function
    def __init__(self, url: str, redis: str | None) -> None:
        self.authority = open_authority(url)
        self.store, self.vault = self.authority.store, self.authority.vault
        self.shared = open_shared(self.authority, redis)
        self.nonces, self.counters = self.shared.nonces, self.shared.counters

    def __enter__(self) -> _shared:
        return self

    def __exit__(self, *_: object) -> None:
        self.shared.close()
        self.store.close()


def _in_threads(works: list[Any]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        os.environ.pop(KEY_VARIABLE, None)
        if task["key"] is not None:
            os.environ[KEY_VARIABLE] = task["key"]
        go = Path(task["go"])
        print("waiting", flush=True)
        while not go.exists():
            time.sleep(0.0005)
        try:
            answer = {"answer": globals()[task["do"]](task["url"], task["redis"], **task["with"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
