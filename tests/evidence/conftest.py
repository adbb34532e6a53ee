"""A gateway that keeps evidence, a client that sends consent, and key pairs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from pipeline.evidence import PrivateKey, PublicKey, sealed_evidence
from pipeline.evidence.keys import _key_id
from pipeline.gateway import Gateway, GatewayOptions, Identity, InProcessTransport, open_authority
from pipeline.gateway.authority import EmbeddingModel
from pipeline.gateway.faces import FaceReading
from pipeline.gateway.keeping import EvidenceRow
from pipeline.gateway.risk import NO_LOCKS
from pipeline.protocol.signing import AccessKey, signed_form

NOW = 1_795_480_042.0  # 2026-11-24T00:27:22Z
NAME, NUMBER = "欧阳测试", "440524188001010014"
CONSENT = "同意书 2026/0001 欧阳测试"
DAY = 86_400
KEY = AccessKey("testid", "testsecret")


class FakeEmbedder:
    """Embeds the picture's rough grey shape; nearly black pictures have no face."""

    model = EmbeddingModel("fake", "0" * 64)

    def read(self, image: np.ndarray) -> FaceReading | None:
        if image.mean() < 10:
            return None
        small = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2)
        small = small.ravel() - small.mean()
        return FaceReading(small / np.float32(np.linalg.norm(small)), 100.0, 1, 0.0)


def make_jpeg(seed: int, size: int = 160) -> bytes:
    """Noise: its JPEG is long, and no 16 bytes of it occur twice."""
    noise = np.random.default_rng(seed).integers(40, 255, (size, size, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


@dataclass
class Pair:
    """A key pair, and the public half's file."""

    private: PrivateKey
    public: PublicKey
    file: Path


@dataclass
class Client:
    """Signs requests to one gateway. ``path`` is its file, on SQLite."""

    gateway: Gateway
    http: httpx.Client
    clock: list[float]
    path: Path
    url: str

    @property
    def store(self) -> Any:
        return self.gateway.authority.store

    def call(self, service: dict[str, Any], headers: list[tuple[str, str]], key: AccessKey = KEY) -> Any:
        params = {
            "Format": "JSON",
            "Version": "2017-03-31",
            "AccessKeyId": key.key_id,
            "SignatureMethod": "HMAC-SHA1",
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock[0])),
            "SignatureVersion": "1.0",
            "SignatureNonce": str(np.random.default_rng().integers(2**63)),
            "Action": "ExecuteRequest",
            "Service": "face_verify",
            "ServiceParameters": json.dumps(service, ensure_ascii=False),
        }
        body = signed_form(key, params)
        kind = ("content-type", "application/x-www-form-urlencoded")
        return self.http.post("http://livegate.invalid/", content=body, headers=[kind, *headers]).json()

    def match(self, picture: bytes, consent: str | None = "REF-1", key: AccessKey = KEY, **more: Any) -> Any:
        """One match; the consent header is sent as given."""
        import base64

        fields = {"method": "match", "name": NAME, "certNumber": NUMBER}
        fields["imgbase64"] = base64.b64encode(picture).decode()
        headers = [] if consent is None else [("X-Livegate-Consent", consent)]
        return self.call(fields | more, headers, key)

    def rows(self) -> list[EvidenceRow]:
        with self.store.read() as session:
            return list(session.scalars(select(EvidenceRow).order_by(EvidenceRow.created_at)))


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pair]:
    """Make a key pair without the cost of an encrypted file."""

    def make() -> Pair:
        key = X25519PrivateKey.generate()
        public = key.public_key()
        file = tmp_path_factory.mktemp("key") / "public.pem"
        file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        name = _key_id(public)
        return Pair(PrivateKey(key, name), PublicKey(public, name), file)

    return make


@pytest.fixture(scope="session")
def pair(make_pair: Callable[[], Pair]) -> Pair:
    return make_pair()


@pytest.fixture
def make_client(storage: Any, tmp_path: Path, pair: Pair) -> Iterator[Callable[..., Client]]:
    """Make a gateway with evidence on, over one database with a person for the whole test."""
    opened: list[Gateway] = []
    urls: list[str] = []

    def make(key: Path | None = pair.file, evidence: Any = "sealed", **policy: Any) -> Client:
        if not urls:
            urls.append(storage.database("gateway/authority"))
        clock = [NOW]
        factory = sealed_evidence(key, **policy) if evidence == "sealed" else evidence
        gateway = Gateway(
            open_authority(urls[0]),
            FakeEmbedder,
            options=GatewayOptions(evidence=factory, risk=NO_LOCKS, redis_url=storage.redis_url(urls[0])),
            clock=lambda: clock[0],
        )
        if not opened:
            populate(gateway)
        opened.append(gateway)
        http = httpx.Client(transport=InProcessTransport(gateway))
        return Client(gateway, http, clock, tmp_path / "gateway" / "authority.db", urls[0])

    yield make
    for gateway in opened:
        gateway.close()


def populate(gateway: Gateway) -> None:
    """One access key and one person, whose face is `make_jpeg(1)`."""
    gateway.access_keys.put(KEY, now=NOW)
    image = cv2.imdecode(np.frombuffer(make_jpeg(1), np.uint8), cv2.IMREAD_COLOR)
    reading = FakeEmbedder().read(image)
    assert reading is not None
    gateway.authority.enroll(Identity.of(NAME, NUMBER), reading.embedding, FakeEmbedder.model, now=NOW)


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture(scope="session")
def kit() -> Any:
    """This module's helpers and constants."""

    class Kit:
        now, day = NOW, DAY
        name, number, consent = NAME, NUMBER, CONSENT
        key = KEY
        jpeg = staticmethod(make_jpeg)
        embedder = FakeEmbedder

    return Kit
