"""The gateway with evidence on: sealed before success is told, with consent only, or the request fails."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text, update

from pipeline.errors import SettingsError, StoreError
from pipeline.evidence import SealedBox, sealed_evidence
from pipeline.evidence.sealing import consent_digest
from pipeline.gateway.keeping import CONSENT_HEADER, MAX_CONSENT, EvidenceRow
from pipeline.gateway.schema import SessionRow
from pipeline.gateway.vault import Vault
from pipeline.match.client import CONSENT_HEADER as SENT_HEADER
from pipeline.match.client import MAX_CONSENT as MOST_SENT
from pipeline.protocol.attestation import (
    ATTESTATION_HEADER,
    Attestation,
    Camera,
    InstallKey,
    sign_attestation,
)
from pipeline.protocol.signing import AccessKey


def opened(row: EvidenceRow, pair: Any) -> Any:
    return SealedBox.parse(row.sealed).open(pair.private)


def open_session(client: Any, kit: Any, meta: dict[str, str] | None = None) -> dict[str, str]:
    """Ask for a session; a match that names it finishes it."""
    init = {"method": "init", "name": kit.name, "certNumber": kit.number}
    init["metainfo"] = json.dumps({"appName": "a", **(meta or {})})
    data = client.call(init, [])["Data"]
    return {"queryId": data["queryId"], "bizId": data["bizId"]}


def test_a_match_with_consent_is_sealed_with_its_consent(client: Any, kit: Any, pair: Any) -> None:
    picture = kit.jpeg(1)
    answer = client.match(picture, quote(kit.consent, safe=""))
    assert answer["Code"] == 200
    (row,) = client.rows()
    box = opened(row, pair)
    assert (box.picture, box.consent) == (picture, kit.consent)
    assert (row.request_id, row.access_key_id, row.query_id) == (answer["RequestId"], "testid", None)
    assert (row.created_at, row.expires_at) == (int(kit.now), int(kit.now) + 180 * kit.day)
    assert row.consent_digest == consent_digest(client.gateway.authority.vault, kit.consent)
    assert row.key_id == pair.public.key_id


def test_one_consent_has_one_digest_and_under_another_key_another(make_client: Any, kit: Any) -> None:
    client = make_client()
    for consent in ("REF-1", "REF-1", "REF-2"):
        client.match(kit.jpeg(1), consent)
    digests = [row.consent_digest for row in client.rows()]
    assert len(set(digests)) == 2
    assert digests.count(consent_digest(client.gateway.authority.vault, "REF-1")) == 2
    assert consent_digest(Vault(bytes(32)), "REF-1") not in digests


def test_both_sides_name_the_same_header() -> None:
    assert SENT_HEADER.lower() == CONSENT_HEADER
    assert MOST_SENT == MAX_CONSENT


def test_without_consent_nothing_is_kept_and_the_match_goes_on(client: Any, kit: Any) -> None:
    assert client.match(kit.jpeg(1), None)["Code"] == 200
    assert client.rows() == []


@pytest.mark.parametrize(
    "consent", ["", "%20%20", "%zz", "a%", "%FF", "a b", "%0A", "x" * 257, quote("长" * 257), "\t"]
)
def test_a_consent_that_can_not_be_read_refuses_the_match(client: Any, kit: Any, consent: str) -> None:
    answer = client.match(kit.jpeg(1), consent)
    assert (answer["Code"], answer["Message"]) == (400, "consent不合法")
    assert client.rows() == []


def test_two_consents_refuse_the_match(client: Any, kit: Any) -> None:
    fields = {"method": "match", "name": kit.name, "certNumber": kit.number, "imgbase64": "x"}
    headers = [("X-Livegate-Consent", "a"), ("x-livegate-consent", "b")]
    assert client.call(fields, headers)["Message"] == "consent不合法"


@pytest.mark.parametrize("query_id", ["x", "A" * 32, 5, ["a" * 32], "a" * 33])
def test_a_session_that_can_not_be_one_refuses_the_match(client: Any, kit: Any, query_id: Any) -> None:
    answer = client.match(kit.jpeg(1), queryId=query_id)
    assert (answer["Code"], answer["Message"]) == (400, "queryId不合法")
    assert client.rows() == []


def test_pictures_that_were_not_compared_are_not_kept(client: Any, kit: Any) -> None:
    import cv2
    import numpy as np

    black = cv2.imencode(".jpg", np.zeros((160, 160, 3), np.uint8))[1].tobytes()
    assert client.match(black)["Code"] == 400
    assert client.match(kit.jpeg(1)[:-40])["Code"] in (200, 400)
    assert client.match(kit.jpeg(1), name="another")["Code"] == 400
    assert client.match(kit.jpeg(1), key=AccessKey("testid", "wrong"))["Code"] == "SignatureDoesNotMatch"
    assert [row for row in client.rows() if not row.sealed] == []
    assert len(client.rows()) <= 1


def test_another_person_s_face_is_kept_too(client: Any, kit: Any, pair: Any) -> None:
    """Code 200 tells a score; what it is worth is the caller's to say, and a refusal is evidence as well."""
    other = kit.jpeg(7)
    answer = client.match(other)
    assert answer["Code"] == 200
    assert answer["Data"]["score"] < 95
    assert opened(client.rows()[0], pair).picture == other


def test_a_picture_that_can_not_be_kept_fails_the_request(client: Any, kit: Any) -> None:
    with client.store.write() as session:
        session.execute(text("ALTER TABLE evidence RENAME TO away"))
    answer = client.match(kit.jpeg(1))
    assert (answer["Code"], answer.get("Data") or {}) == (500, {})
    assert client.match(kit.jpeg(1), None)["Code"] == 200
    with client.store.write() as session:
        session.execute(text("ALTER TABLE away RENAME TO evidence"))
    assert client.rows() == []


def test_a_picture_that_can_not_be_sealed_fails_the_request(client: Any, kit: Any, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ValueError(kit.consent)

    monkeypatch.setattr("pipeline.evidence.sealing.seal", fail)
    answer = client.match(kit.jpeg(1))
    assert (answer["Code"], answer.get("Data") or {}) == (500, {})
    assert client.rows() == []


def test_with_evidence_off_nothing_is_kept(make_client: Any, kit: Any) -> None:
    client = make_client(evidence=None)
    assert client.match(kit.jpeg(1))["Code"] == 200
    assert client.match(kit.jpeg(1), "%zz")["Code"] == 200
    assert client.rows() == []


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_retention_out_of_range_refuses_to_start(make_client: Any, days: int) -> None:
    with pytest.raises(SettingsError, match="1 to 3650 days"):
        make_client(retention_days=days)


def test_no_key_refuses_to_start_before_a_database_is_made(make_client: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        make_client(key=None)
    with pytest.raises(SettingsError):
        sealed_evidence(tmp_path / "none.pem")


def test_the_retention_is_each_record_s_own(make_client: Any, kit: Any) -> None:
    make_client(retention_days=7).match(kit.jpeg(1))
    make_client(retention_days=30).match(kit.jpeg(1))
    assert sorted(row.expires_at - row.created_at for row in make_client().rows()) == [
        7 * kit.day,
        30 * kit.day,
    ]


def test_a_change_of_keys_seals_with_the_new_one_only(make_client: Any, make_pair: Any, kit: Any) -> None:
    old, new = make_pair(), make_pair()
    make_client(key=old.file).match(kit.jpeg(1), "old")
    make_client(key=new.file).match(kit.jpeg(2), "new")
    rows = {row.key_id: row for row in make_client().rows()}
    assert opened(rows[old.public.key_id], old).consent == "old"
    assert opened(rows[new.public.key_id], new).consent == "new"
    with pytest.raises(StoreError):
        opened(rows[new.public.key_id], old)


# after the query


def test_a_finished_session_s_pictures_are_erased_before_its_result_is_told(
    make_client: Any, kit: Any
) -> None:
    client = make_client(delete_after_query=True)
    asked, other = open_session(client, kit), open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    client.match(kit.jpeg(1), queryId=other["queryId"])
    client.match(kit.jpeg(1))
    assert len(client.rows()) == 3
    client.call({"method": "query", **asked}, [])
    assert {row.query_id for row in client.rows()} == {None, other["queryId"]}
    client.call({"method": "query", **asked}, [])
    assert len(client.rows()) == 2


def test_an_unfinished_session_keeps_its_pictures(make_client: Any, kit: Any) -> None:
    client = make_client(delete_after_query=True)
    asked = open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    with client.store.write() as session:
        session.execute(update(SessionRow).values(result=None))
    client.call({"method": "query", **asked}, [])
    assert len(client.rows()) == 1


def test_another_key_s_query_erases_nothing(make_client: Any, kit: Any) -> None:
    client = make_client(delete_after_query=True)
    other = AccessKey("other", "othersecret")
    client.gateway.access_keys.put(other, now=kit.now)
    asked = open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    client.call({"method": "query", **asked}, [], other)
    assert len(client.rows()) == 1
    client.gateway.options.evidence(client.gateway.authority).queried("other", asked["queryId"])
    assert [row.access_key_id for row in client.rows()] == ["testid"]
    client.call({"method": "query", **asked}, [])
    assert client.rows() == []


def test_the_server_s_query_erases_what_the_app_s_own_key_brought(make_client: Any, kit: Any) -> None:
    client = make_client(delete_after_query=True)
    app = AccessKey("the-app", "secret")
    client.gateway.access_keys.put(app, now=kit.now)
    key = Ed25519PrivateKey.generate()
    install = InstallKey("1" * 32, key.public_key().public_bytes_raw())
    asked = open_session(client, kit, {"apdidToken": install.token, "deviceModel": "M"})
    picture = kit.jpeg(1)
    said = Attestation(
        query_id=asked["queryId"],
        device_id=install.device_id,
        app="till",
        app_version="1",
        sdk_version="1",
        at=int(kit.now),
        frame_sha256="f" * 64,
        picture_sha256=hashlib.sha256(picture).hexdigest(),
        camera=Camera("c" * 32, "device", "usb", "046d:0825", trusted=True),
    )
    fields = {"method": "match", "name": kit.name, "certNumber": kit.number, "queryId": asked["queryId"]}
    fields["imgbase64"] = base64.b64encode(picture).decode()
    headers = [("X-Livegate-Consent", "REF-1"), (ATTESTATION_HEADER, sign_attestation(said, key))]
    assert client.call(fields, headers, app)["Code"] == 200
    client.match(picture, key=app, queryId=asked["queryId"])
    assert len(client.rows()) == 2
    client.call({"method": "query", **asked}, [])
    assert [row.access_key_id for row in client.rows()] == ["the-app"]


def test_without_the_option_a_query_erases_nothing(client: Any, kit: Any) -> None:
    asked = open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    client.call({"method": "query", **asked}, [])
    assert len(client.rows()) == 1


@pytest.mark.storages("sqlite")  # the trigger is in its words
def test_a_query_whose_pictures_can_not_be_erased_fails(make_client: Any, kit: Any) -> None:
    client = make_client(delete_after_query=True)
    asked = open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    with client.store.write() as session:
        session.execute(
            text("CREATE TRIGGER stay BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'no'); END")
        )
    assert client.call({"method": "query", **asked}, [])["Code"] == 500
    assert len(client.rows()) == 1


def test_a_query_for_the_picture_gets_the_result_without_it(client: Any, kit: Any) -> None:
    """The gateway has no private key: it can't give back what it sealed."""
    asked = open_session(client, kit)
    client.match(kit.jpeg(1), queryId=asked["queryId"])
    plain = client.call({"method": "query", **asked}, [])
    with_picture = client.call({"method": "query", "returnImage": "1", **asked}, [])
    assert "image" not in json.dumps(with_picture)
    assert (with_picture["Code"], with_picture["Message"]) == (plain["Code"], plain["Message"])


# at once


def test_pictures_that_come_at_once_are_all_kept(client: Any, kit: Any, pair: Any) -> None:
    pictures = {f"REF-{seed}": kit.jpeg(seed) for seed in range(12)}
    answers: list[Any] = []

    def send(consent: str) -> None:
        answers.append(client.match(pictures[consent], consent)["Code"])

    threads = [threading.Thread(target=send, args=(consent,)) for consent in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(pictures)
    boxes = [opened(row, pair) for row in client.rows()]
    assert {box.consent: box.picture for box in boxes} == pictures


WRITER = """
import sys
from pipeline.evidence import sealed_evidence
from pipeline.gateway import open_authority
from pipeline.gateway.keeping import LivePicture
from pathlib import Path
authority = open_authority(sys.argv[1])
sink = sealed_evidence(Path(sys.argv[2]))(authority)
for number in range(10):
    sink.keep(LivePicture(b"picture" * 2000, "REF", f"{sys.argv[3]}-{number}", "testid", None, 1795480042.0))
authority.store.close()
"""


def test_processes_that_keep_at_once_lose_nothing(client: Any, pair: Any) -> None:
    command = [sys.executable, "-c", WRITER, client.url, str(pair.file)]
    running = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [process.wait() for process in running] == [0, 0]
    rows = client.rows()
    assert {row.request_id for row in rows} == {f"{name}-{number}" for name in "ab" for number in range(10)}
    assert {opened(row, pair).picture for row in rows} == {b"picture" * 2000}


def test_the_gate_s_own_client_brings_the_consent(client: Any, kit: Any, pair: Any) -> None:
    from pipeline.gateway import InProcessTransport
    from pipeline.match.client import MatchClient
    from pipeline.match.person import Person

    http = MatchClient(
        "http://livegate.invalid",
        kit.key.key_id,
        kit.key.secret,
        transport=InProcessTransport(client.gateway),
        allow_plain_http=True,
        clock=lambda: client.clock[0],
    )
    http._match(Person(kit.name, kit.number), kit.jpeg(1), kit.consent)
    assert opened(client.rows()[0], pair).consent == kit.consent
