"""A session belongs to the installation that its ``init`` named, and takes no result from anybody else."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import UsageError
from pipeline.gateway import AttestationRules, RawRequest
from pipeline.gateway.risk import NO_LOCKS
from pipeline.protocol.answers import parse_answer
from pipeline.protocol.attestation import Attestation, Camera, InstallKey, sign_attestation
from pipeline.protocol.signing import AccessKey

CAMERA = Camera("c" * 32, "device", "usb", "046d:0825", trusted=True)
REFUSED = "attestation不合法"


class Device:
    """An installation that can say whatever the test wants."""

    def __init__(self, number: int = 1) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.install = InstallKey(f"{number:032x}", self.key.public_key().public_bytes_raw())
        self.meta = json.dumps({"apdidToken": self.install.token, "deviceModel": "M"})

    def say(self, query_id: str, picture: bytes, at: float, **changes: Any) -> str:
        said = Attestation(
            query_id=query_id,
            device_id=self.install.device_id,
            app="till",
            app_version="1",
            sdk_version="0.1.0",
            at=int(at),
            frame_sha256="f" * 64,
            picture_sha256=hashlib.sha256(picture).hexdigest(),
            camera=CAMERA,
        )
        return sign_attestation(replace(said, **changes), self.key)


class Scene:
    def __init__(self, make_caller: Any, kit: Any, **rules: Any) -> None:
        self.kit = kit
        options = {"detailed_codes": True, "risk": NO_LOCKS, "attestation": AttestationRules(**rules)}
        self.caller = make_caller(**options)
        kit.enroll(self.caller, 1)
        self.picture = kit.jpeg(kit.picture(1))

    def init(self, meta: str) -> Any:
        fields = {"name": self.kit.name, "certNumber": self.kit.number, "metainfo": meta}
        return self.caller.call({"method": "init", **fields})

    def match(self, query_id: str | None, *attestations: str, picture: bytes | None = None) -> Any:
        fields: dict[str, Any] = {"method": "match", "name": self.kit.name, "certNumber": self.kit.number}
        fields["imgbase64"] = base64.b64encode(picture or self.picture).decode()
        if query_id is not None:
            fields["queryId"] = query_id
        request = self.caller.request(self.caller.signed(self.caller.params(fields)))
        headers = (*request.headers, *(("X-Livegate-Attestation", text) for text in attestations))
        return parse_answer(self.caller.gateway.handle(RawRequest("POST", "/", headers, request.body)).body)

    def result(self, opened: Any) -> str | None:
        ids = {"bizId": opened.data["bizId"], "queryId": opened.data["queryId"]}
        found = self.caller.call({"method": "query", **ids}).sub_code
        assert isinstance(found, str)
        return found


@pytest.fixture
def scene(make_caller: Any, kit: Any) -> Scene:
    return Scene(make_caller, kit)


def test_the_sessions_own_installation_finishes_it(scene: Scene) -> None:
    device = Device()
    opened = scene.init(device.meta)
    query_id = opened.data["queryId"]
    answer = scene.match(query_id, device.say(query_id, scene.picture, scene.caller.now))
    assert (answer.code, answer.data["score"] >= 95) == (200, True)
    assert scene.result(opened) == "Z8300"


def forged(attestation: str) -> str:
    """The same statement under a signature that differs in its first six bits."""
    statement, _, signature = attestation.rpartition(".")
    return f"{statement}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


@pytest.mark.parametrize(
    ("spoil", "sub_code"),
    [
        (lambda d, q, p, now: (), "Z5102"),
        (lambda d, q, p, now: ("x.y.z",), "Z5101"),
        (lambda d, q, p, now: (forged(d.say(q, p, now)),), "Z5101"),
        (lambda d, q, p, now: (d.say(q, p, now), d.say(q, p, now)), "Z5101"),
        (lambda d, q, p, now: (d.say("0" * 32, p, now),), "Z5103"),
        (lambda d, q, p, now: (d.say(q, p + b"x", now),), "Z5103"),
        (lambda d, q, p, now: (d.say(q, p, now - 301),), "Z5103"),
        (lambda d, q, p, now: (d.say(q, p, now + 301),), "Z5103"),
        (lambda d, q, p, now: (Device(2).say(q, p, now),), "Z1108"),
        (lambda d, q, p, now: (Device(2).say(q, p, now, device_id=d.install.device_id),), "Z1108"),
        (lambda d, q, p, now: (d.say(q, p, now, device_id="e" * 32),), "Z1108"),
        (lambda d, q, p, now: (d.say(q, p, now, camera=replace(CAMERA, trusted=False)),), "Z1108"),
    ],
    ids=[
        "missing", "broken", "wrong signature", "two", "another session", "another picture", "late", "early",
        "another installation", "another key for the id", "another id for the key", "no trusted camera",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_code_and_finishes_nothing(
    scene: Scene, spoil: Any, sub_code: str
) -> None:
    device = Device()
    opened = scene.init(device.meta)
    query_id = opened.data["queryId"]
    answer = scene.match(query_id, *spoil(device, query_id, scene.picture, scene.caller.now))
    assert (answer.code, answer.data["resultCodeSub"]) == (400, sub_code)
    assert answer.message == ("当前设备不支持刷脸（Z1108））" if sub_code == "Z1108" else REFUSED)
    assert "score" not in answer.data
    assert scene.result(opened) == "Z5137"


@pytest.mark.parametrize("late", [-300, 300])
def test_five_minutes_either_way_are_let_through(scene: Scene, late: int) -> None:
    device = Device()
    query_id = scene.init(device.meta).data["queryId"]
    said = device.say(query_id, scene.picture, scene.caller.now + late)
    assert scene.match(query_id, said).code == 200


def test_an_attested_result_is_given_once(scene: Scene) -> None:
    device = Device()
    opened = scene.init(device.meta)
    query_id = opened.data["queryId"]
    other = scene.kit.jpeg(scene.kit.picture(2))
    assert scene.match(query_id, device.say(query_id, other, scene.caller.now), picture=other).code == 200
    again = scene.match(query_id, device.say(query_id, scene.picture, scene.caller.now))
    assert (again.code, again.message, again.data["resultCodeSub"]) == (400, "queryId不合法", "Z8101")
    assert scene.result(opened) == "Z1146"


def test_a_session_that_ended_takes_no_result(scene: Scene) -> None:
    device = Device()
    query_id = scene.init(device.meta).data["queryId"]
    scene.caller.now += 24 * 3600 + 1
    answer = scene.match(query_id, device.say(query_id, scene.picture, scene.caller.now))
    assert (answer.code, answer.message) == (400, "queryId不合法")


@pytest.mark.parametrize("query_id", [None, "0" * 32])
def test_an_attestation_without_its_session_is_refused(scene: Scene, query_id: str | None) -> None:
    said = Device().say("0" * 32, scene.picture, scene.caller.now)
    assert scene.match(query_id, said).sub_code == ("Z5103" if query_id is None else "Z8101")


def test_sessions_without_an_installation_need_no_attestation_and_take_none(scene: Scene) -> None:
    opened = scene.init(json.dumps({"apdidToken": "another SDK's token"}))
    query_id = opened.data["queryId"]
    said = Device().say(query_id, scene.picture, scene.caller.now)
    assert scene.match(query_id, said).sub_code == "Z1108"
    assert scene.match(query_id).code == 200
    assert scene.result(opened) == "Z8300"


def test_the_apps_key_finishes_the_servers_session_and_can_do_nothing_else_to_it(scene: Scene) -> None:
    device = Device()
    opened = scene.init(device.meta)
    query_id = opened.data["queryId"]
    servers, scene.caller.key = scene.caller.key, AccessKey("the-app", "secret")
    scene.caller.gateway.access_keys.put(scene.caller.key, now=scene.caller.now)
    assert scene.result(opened) == "Z8301"
    foreign = Device(2).say(query_id, scene.picture, scene.caller.now)
    assert scene.match(query_id, foreign).sub_code == "Z1108"
    assert scene.match(query_id, device.say(query_id, scene.picture, scene.caller.now)).code == 200
    scene.caller.key = servers
    assert scene.result(opened) == "Z8300"


# where it is required


@pytest.fixture
def strict(make_caller: Any, kit: Any) -> Scene:
    return Scene(make_caller, kit, required=True)


@pytest.mark.parametrize("meta", ['{"appName":"a"}', '{"apdidToken":"x"}', '{"apdidToken":["lg1"]}'])
def test_required_means_that_init_names_an_installation(strict: Scene, meta: str) -> None:
    answer = strict.init(meta)
    assert answer.sub_code in ("Z5102", "Z5103")
    assert (answer.code, answer.message) == (400, "metainfo不合法")


def test_required_means_every_match(strict: Scene) -> None:
    device = Device()
    opened = strict.init(device.meta)
    query_id = opened.data["queryId"]
    assert strict.match(None).sub_code == "Z5102"
    assert strict.match(query_id).sub_code == "Z5102"
    assert strict.match(query_id, device.say(query_id, strict.picture, strict.caller.now)).code == 200
    assert strict.result(opened) == "Z8300"


def test_test_sources_are_let_through_by_their_switch_alone(make_caller: Any, kit: Any) -> None:
    scene, device = Scene(make_caller, kit, test_sources=True), Device()
    query_id = scene.init(device.meta).data["queryId"]
    untrusted = replace(CAMERA, kind="file", trusted=False)
    said = device.say(query_id, scene.picture, scene.caller.now, camera=untrusted)
    assert scene.match(query_id, said).code == 200


def test_neither_device_id_nor_key_is_stored(scene: Scene) -> None:
    device = Device()
    scene.init(device.meta)
    path = scene.caller.gateway.authority.store.path
    if path is None:
        pytest.skip("another database than a file")
    for file in path.parent.iterdir():
        content = file.read_bytes()
        for secret in (device.install.device_id.encode(), device.install.key, device.install.token.encode()):
            assert secret not in content
            assert secret.hex().encode() not in content


@pytest.mark.parametrize("seconds", [0, 3601])
def test_lifetimes_out_of_range_refuse_to_start(seconds: int) -> None:
    with pytest.raises(UsageError):
        AttestationRules(lifetime_s=seconds)
