"""The reference's sequence between app, app server and service: this test plays app and app server.

Step numbers are the reference's. The service is a gateway of ours with the real nets, reached without a
socket; the app is the desktop SDK on the real gate, before a rendered stand-in for a person.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import cv2
import httpx
import numpy as np
import pytest

from pipeline import ClientCode, Gate, Person, Reason, Settings, SyntheticSource
from pipeline.demo.scene import render_person
from pipeline.device import App, DeviceSdk, Response, installation, open_installation
from pipeline.device.channel import AttestedService
from pipeline.errors import ServiceError
from pipeline.gateway import (
    IN_PROCESS_URL,
    AttestationRules,
    Embedder,
    Gateway,
    GatewayOptions,
    Identity,
    InProcessTransport,
    KeyTerms,
    NetEmbedder,
    open_authority,
)
from pipeline.match.client import MatchClient
from pipeline.nets import open_store
from pipeline.protocol.attestation import open_attestation
from pipeline.protocol.signing import AccessKey

pytestmark = pytest.mark.timeout(900)

PERSON = Person("样例", "11010519491231002X")
CONSENT = "form-17"
NOW = 1_795_480_042.0
TILL = {"machine_id": "m", "board": "b", "cpu": "c", "network": "n", "disk": "d", "system": "s"}
OTHER_TILL = TILL | {"machine_id": "m2", "network": "n2", "disk": "d2"}
SERVER = AccessKey("app-server", "server-secret")
APP = AccessKey("app", "app-secret")


class Line(InProcessTransport):
    """Carries requests to the gateway, and notes what each one asked."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.asked: list[tuple[str, dict[str, Any], httpx.Headers]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fields = dict(parse_qsl(request.read().decode()))
        service = json.loads(fields["ServiceParameters"])
        self.asked.append((fields["AccessKeyId"], service, request.headers))
        return super().handle_request(request)

    def close(self) -> None:
        """Both clients share the gateway; the test closes it."""


class World:
    """The service, and the two parties that ask it."""

    def __init__(self, folder: Path, nets: Embedder, portrait: np.ndarray) -> None:
        self.now = NOW
        self.folder = folder
        options = GatewayOptions(
            detailed_codes=True,
            attestation=AttestationRules(required=True, test_sources=True),
            return_image_s=600,
        )
        self.gateway = Gateway(
            open_authority(f"sqlite:///{folder / 'authority.db'}"),
            lambda: nets,
            options=options,
            clock=self.clock,
        )
        reading = nets.read(portrait)
        assert reading is not None
        identity = Identity.of(PERSON.name, PERSON.cert_number)
        self.gateway.authority.enroll(identity, reading.embedding, nets.model, now=NOW)
        for key, methods in ((SERVER, {"init", "query"}), (APP, {"match"})):
            self.gateway.access_keys.put(key, now=NOW, terms=KeyTerms(frozenset(methods)))
        self.line = Line(self.gateway)
        self.server = self.client(SERVER)

    def clock(self) -> float:
        return self.now

    def client(self, key: AccessKey) -> MatchClient:
        return MatchClient(
            IN_PROCESS_URL,
            key.key_id,
            key.secret,
            transport=self.line,
            clock=self.clock,
            allow_plain_http=True,
        )

    def app(self, gate: Gate, traits: dict[str, str] = TILL, name: str = "till") -> DeviceSdk:
        identity = open_installation(self.folder / f"{name}.json", traits=lambda: traits)
        app = App("till", "1.0")
        service = AttestedService(self.client(APP), identity, app, clock=self.clock)
        gate._service = service
        return DeviceSdk(gate, service, identity, app)

    def refusal(self, query_id: str, biz_id: str) -> str | None:
        """Detailed code of a ``query`` that is not answered with 200."""
        with pytest.raises(ServiceError) as caught:
            self.server.query(query_id, biz_id)
        return caught.value.sub_code


@pytest.fixture(scope="module")
def nets() -> NetEmbedder:
    return NetEmbedder(open_store())


@pytest.fixture(scope="module")
def stand_in(astronaut: np.ndarray) -> list[np.ndarray]:
    return list(render_person(astronaut, 60))


@pytest.fixture
def world(
    tmp_path: Path, nets: NetEmbedder, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(installation._SCRYPT, "n", 2)
    made = World(tmp_path, nets, astronaut)
    yield made
    made.gateway.close()


@pytest.fixture
def gate(world: World) -> Iterator[Gate]:
    """A real gate. Rendered frames are let through by the test switches of gate and gateway."""
    settings = Settings(mode="verify", allow_test_source=True)
    with Gate(settings, service=AttestedService(world.client(APP), None, App("-", "-"))) as made:  # type: ignore[arg-type]
        yield made


def verify(sdk: DeviceSdk, query_id: str, frames: list[np.ndarray]) -> Response:
    heard: list[Response] = []
    running = sdk.verify(
        query_id, heard.append, person=PERSON, consent=CONSENT, source=SyntheticSource(frames)
    )
    assert running.wait(240) is not None
    assert heard == [running.response]
    return heard[0]


def test_the_thirteen_steps(world: World, gate: Gate, stand_in: list[np.ndarray]) -> None:
    # 1. The app initialises the SDK.
    sdk = world.app(gate)
    # 2., 3. The app asks the SDK for metainfo and gets it.
    meta = sdk.get_meta_info()
    assert json.loads(meta)["apdidToken"].startswith(f"lg1.{sdk.device_id}.")
    assert world.line.asked == []
    # 4. The app uploads it to its server, with the name and number that the person gave.
    uploaded = {"person": PERSON, "metainfo": meta}
    # 5., 6. The server asks the service to begin, and gets the query id.
    opened = world.server.init(uploaded["person"], uploaded["metainfo"])  # type: ignore[arg-type]
    assert len(bytes.fromhex(opened.query_id)) == 16
    assert opened.biz_id.startswith("ZSTP20261124")
    assert world.refusal(opened.query_id, opened.biz_id) == "Z5137"
    # 7. The server hands the query id to the app, and keeps the bizId.
    query_id = opened.query_id
    # 8., 9. The app lets the SDK verify; it does so and ends.
    response = verify(sdk, query_id, stand_in)
    assert (response.code, response.reason, response.query_id) == (ClientCode.PASSED, None, query_id)
    who, sent, headers = world.line.asked[-1]
    assert (who, sent["method"], sent["queryId"]) == ("app", "match", query_id)
    attested = open_attestation(headers["x-livegate-attestation"])
    assert attested is not None
    assert (attested[0].query_id, attested[0].device_id) == (query_id, sdk.device_id)
    # 10. The app tells its server that there is a result to be had, and says nothing of what it is.
    # 11., 12. The server asks the service for it, and gets it with the picture that was judged.
    result = world.server.query(opened.query_id, opened.biz_id, return_image=True)
    assert (result.code, result.sub_code) == (200, "Z8300")
    assert result.image == base64.b64decode(sent["imgbase64"])
    picture = cv2.imdecode(np.frombuffer(result.image, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert min(np.abs(picture.astype(int) - frame).mean() for frame in stand_in) < 6
    # 13. The server acts on it; asked again, it is the same result, and the picture is gone.
    again = world.server.query(opened.query_id, opened.biz_id, return_image=True)
    assert (again.code, again.sub_code, again.image) == (200, "Z8300", None)
    steps = [(who, asked["method"]) for who, asked, _ in world.line.asked]
    assert steps == [
        ("app-server", "init"),
        ("app-server", "query"),
        ("app", "match"),
        ("app-server", "query"),
        ("app-server", "query"),
    ]

    # A query id is good for one result.
    second = verify(sdk, query_id, stand_in)
    assert (second.code, second.reason) == (ClientCode.SYSTEM_ERROR, Reason.BAD_REQUEST)
    assert world.server.query(opened.query_id, opened.biz_id).sub_code == "Z8300"

    # It ends: nobody can ask about it or finish it after a day.
    world.now += 24 * 3600 + 1
    assert world.refusal(opened.query_id, opened.biz_id) == "Z8301"


def test_the_result_belongs_to_the_device_and_the_session(
    world: World, gate: Gate, stand_in: list[np.ndarray]
) -> None:
    till = world.app(gate)
    mine = world.server.init(PERSON, till.get_meta_info())
    thief = world.app(gate, OTHER_TILL, "other")
    theirs = world.server.init(PERSON, thief.get_meta_info())
    # The other device was told this one's query id: its upload is refused, the session stays open.
    response = verify(thief, mine.query_id, stand_in)
    assert response.code is not ClientCode.PASSED
    assert world.refusal(mine.query_id, mine.biz_id) == "Z5137"
    # With its own session it passes, and only that one is finished.
    assert verify(thief, theirs.query_id, stand_in).code is ClientCode.PASSED
    assert world.server.query(theirs.query_id, theirs.biz_id).sub_code == "Z8300"
    assert world.refusal(mine.query_id, mine.biz_id) == "Z5137"
    # The ids of two sessions don't go together.
    assert world.refusal(mine.query_id, theirs.biz_id) == "Z8301"


def test_a_cancelled_verification_leaves_the_session_open(world: World, gate: Gate) -> None:
    sdk = world.app(gate)
    opened = world.server.init(PERSON, sdk.get_meta_info())
    response = verify(sdk, opened.query_id, [])
    assert response.code is ClientCode.INTERRUPTED
    assert world.refusal(opened.query_id, opened.biz_id) == "Z5137"


def test_the_apps_key_can_neither_begin_nor_ask(world: World, gate: Gate) -> None:
    app = world.client(APP)
    opened = world.server.init(PERSON, world.app(gate).get_meta_info())
    for call in (lambda: app.init(PERSON, "{}"), lambda: app.query(opened.query_id, opened.biz_id)):
        with pytest.raises(ServiceError) as caught:
            call()
        assert caught.value.service_code == 403
