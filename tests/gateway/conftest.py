"""A gateway over a fresh SQLite file, a caller that signs, and an embedder without nets."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from pipeline.gateway import Gateway, GatewayOptions, Identity, RawAnswer, RawRequest, open_authority
from pipeline.gateway.authority import EmbeddingModel
from pipeline.gateway.faces import FaceReading
from pipeline.gateway.vault import KEY_VARIABLE
from pipeline.protocol.answers import Answer, Refusal, parse_answer
from pipeline.protocol.signing import AccessKey, form_encode, sign, string_to_sign

NOW = 1_795_480_042.0  # 2026-11-24T00:27:22Z, the time of the recorded requests
NAME, NUMBER = "张三", "11010519491231002X"
FORM = ("content-type", "application/x-www-form-urlencoded")


class FakeEmbedder:
    """Embeds the picture's rough grey shape; pictures that are nearly black have no face."""

    model = EmbeddingModel("fake", "0" * 64)

    def read(self, image: np.ndarray) -> FaceReading | None:
        if image.mean() < 10:
            return None
        small = (
            cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2).ravel()
        )
        small -= small.mean()
        return FaceReading(small / max(float(np.linalg.norm(small)), 1e-6), 100.0, 1, 0.0)


class WaitingEmbedder(FakeEmbedder):
    """The same after a wait, so that a request is known to run.

    Attributes:
        entered: set when a picture came.
        leave: to be set to let it go; otherwise it goes after `longest_s`.
    """

    def __init__(self, longest_s: float = 30.0) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self._longest_s = longest_s

    def read(self, image: np.ndarray) -> FaceReading | None:
        self.entered.set()
        self.leave.wait(self._longest_s)
        return super().read(image)


def face_picture(seed: int, size: int = 96) -> np.ndarray:
    """A smooth random picture that the fake embedder tells from one of another seed."""
    small = np.random.default_rng(seed).integers(30, 255, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST)


def jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def base64_jpeg(image: np.ndarray) -> str:
    return base64.b64encode(jpeg(image)).decode()


def timestamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


@dataclass
class Caller:
    """Signs and sends requests to a gateway's core, each with a nonce of its own."""

    gateway: Gateway
    key: AccessKey
    now: float = NOW
    nonces: Iterator[int] = field(default_factory=itertools.count)

    def params(self, service: dict[str, Any] | str, **public: str | None) -> dict[str, str]:
        """Signed parameters; a public parameter given as None is left out, before signing."""
        text = service if isinstance(service, str) else json.dumps(service, ensure_ascii=False)
        values: dict[str, str | None] = {
            "Format": "JSON",
            "Version": "2017-03-31",
            "AccessKeyId": self.key.key_id,
            "SignatureMethod": "HMAC-SHA1",
            "Timestamp": timestamp(self.now),
            "SignatureVersion": "1.0",
            "SignatureNonce": f"nonce-{next(self.nonces)}",
            "Action": "ExecuteRequest",
            "Service": "face_verify",
            "ServiceParameters": text,
            **public,
        }
        return {name: value for name, value in values.items() if value is not None}

    def signed(self, params: dict[str, str], verb: str = "POST", secret: str | None = None) -> dict[str, str]:
        text = string_to_sign(verb, params)
        return params | {"Signature": sign(secret or self.key.secret, text)}

    def request(self, params: dict[str, str], verb: str = "POST") -> RawRequest:
        """Everything in the form body, or for GET in the query."""
        if verb == "POST":
            return RawRequest("POST", "/", (FORM,), form_encode(params))
        return RawRequest(verb, "/?" + "&".join(f"{quote(k)}={quote(v, safe='')}" for k, v in params.items()))

    def raw(self, service: dict[str, Any] | str, **public: str | None) -> RawAnswer:
        return self.gateway.handle(self.request(self.signed(self.params(service, **public))))

    def call(self, service: dict[str, Any] | str, **public: str | None) -> Answer | Refusal:
        return parse_answer(self.raw(service, **public).body)

    def match(self, image: np.ndarray | str, name: str = NAME, number: str = NUMBER) -> Answer | Refusal:
        picture = image if isinstance(image, str) else base64_jpeg(image)
        return self.call({"method": "match", "name": name, "certNumber": number, "imgbase64": picture})


@pytest.fixture
def database(storage: Any) -> str:
    """URL of a migrated database without rows."""
    url: str = storage.database()
    return url


@pytest.fixture
def make_caller(storage: Any, database: str) -> Iterator[Any]:
    """Make a gateway with these options and a caller with a key of its own."""
    opened: list[Gateway] = []

    def make(url: str = database, embedder: Any = None, **options: Any) -> Caller:
        counter = itertools.count()
        options.setdefault("redis_url", storage.redis_url(url))
        gateway = Gateway(
            open_authority(url),
            lambda: embedder or FakeEmbedder(),
            options=GatewayOptions(**options),
            clock=lambda: caller.now,
            new_request_id=lambda: f"REQUEST-{next(counter)}",
        )
        opened.append(gateway)
        caller = Caller(gateway, AccessKey("testid", "testsecret"))
        gateway.access_keys.put(caller.key, now=NOW)
        return caller

    yield make
    for gateway in opened:
        gateway.close()


@pytest.fixture
def caller(make_caller: Any) -> Caller:
    """A caller of a gateway where one person is enrolled with `face_picture(1)`."""
    made: Caller = make_caller()
    enroll_fake(made, 1)
    return made


def enroll_fake(caller: Caller, seed: int, name: str = NAME, number: str = NUMBER) -> None:
    embedder = FakeEmbedder()
    reading = embedder.read(face_picture(seed))
    assert reading is not None
    caller.gateway.authority.enroll(
        Identity.of(name, number), reading.embedding, embedder.model, now=caller.now
    )


@pytest.fixture(scope="session")
def kit() -> Any:
    """This module's helpers, for tests that need them beside the fixtures."""

    class Kit:
        now = NOW
        name, number = NAME, NUMBER
        embedder = FakeEmbedder
        waiting_embedder = WaitingEmbedder
        picture = staticmethod(face_picture)
        jpeg = staticmethod(jpeg)
        base64 = staticmethod(base64_jpeg)
        timestamp = staticmethod(timestamp)
        enroll = staticmethod(enroll_fake)
        form = FORM
        caller = Caller

    return Kit


class Crew:
    """Processes that are ready to do one task at the same moment, see worker.py.

    Attributes:
        size: how many they are.
    """

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.size = size
        self._go = (folder / f"go-{number}" for number in itertools.count())
        command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        self._members = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(size)
        ]
        self._hear("ready")

    def __call__(self, do: str, storage: Any, url: str, each: Any = None, **arguments: Any) -> list[Any]:
        """Let every process do a task on a database of this storage at once.

        Args:
            do: name of a function in worker.py.
            storage: says which key and which Redis go with the database.
            url: the database.
            each: further arguments for each process, a list of dicts.
            arguments: arguments for all of them.

        Returns:
            What each of them found.
        """
        go = next(self._go)
        key = os.environ.get(KEY_VARIABLE)
        task = {"do": do, "url": url, "redis": storage.redis_url(url), "key": key, "go": str(go)}
        for member, own in zip(self._members, each or [{}] * self.size, strict=True):
            assert member.stdin is not None
            member.stdin.write(json.dumps(task | {"with": arguments | own}) + "\n")
            member.stdin.flush()
        self._hear("waiting")
        go.touch()
        answers = [json.loads(member.stdout.readline()) for member in self._members if member.stdout]
        assert [answer.get("error") for answer in answers] == [None] * self.size
        return [answer["answer"] for answer in answers]

    def close(self) -> None:
        for member in self._members:
            member.communicate(timeout=60)

    def _hear(self, word: str) -> None:
        heard = [member.stdout.readline().strip() for member in self._members if member.stdout]
        assert heard == [word] * self.size


@pytest.fixture(scope="session")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Three processes for the whole session: starting one costs more than most tests."""
    members = Crew(tmp_path_factory.mktemp("crew"))
    yield members
    members.close()
