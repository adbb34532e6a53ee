"""Names, numbers, pictures, secrets and strings to sign: in no log record, not in the database's bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import httpx
import numpy as np
import pytest
from sqlalchemy import inspect, text

from pipeline.gateway import InProcessTransport, enroll, ensure_access_key, running
from pipeline.protocol.signing import form_encode

NAME, NUMBER = "欧阳测试", "440524188001010014"


def send_everything(caller: Any, kit: Any, tmp_path: Path) -> bytes:
    """Every kind of request, over both carriers. Returns the picture that was sent."""
    picture = kit.jpeg(kit.picture(5))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{NAME}_{NUMBER}.jpg").write_bytes(picture)
    assert enroll(folder, caller.gateway.authority, kit.embedder()).enrolled == 1
    (folder / f"{NAME}_{NUMBER}.jpg").unlink()
    folder.rmdir()
    ensure_access_key(caller.gateway, path=tmp_path / "authority.access_key.json")

    match = {
        "method": "match",
        "name": NAME,
        "certNumber": NUMBER,
        "imgbase64": base64.b64encode(picture).decode(),
    }
    meta = '{"appName":"geheim-app","deviceModel":"geheim-model","apdidToken":"geheim-token"}'
    init = {"method": "init", "name": NAME, "certNumber": NUMBER, "metainfo": meta}
    assert caller.call(match).code == 200
    assert caller.call(init).code == 200
    caller.call(match | {"name": NAME + "x"})
    caller.call(match | {"imgbase64": "AAAA"})
    caller.call("{" + NAME + NUMBER)
    caller.call(match, Timestamp=NAME)
    caller.call(match, Format=NUMBER)
    caller.call(match, AccessKeyId=NAME)
    refused = caller.gateway.handle(caller.request(caller.signed(caller.params(match), secret="wrong")))
    assert quote(quote(NAME)).encode() in refused.body
    caller.gateway.handle(caller.request(caller.signed(caller.params(match), "GET"), "GET"))

    class Broken:
        model = kit.embedder.model

        def read(self, image: Any) -> Any:
            raise ValueError(f"{NAME} {NUMBER}")

    caller.gateway._service._embedder = Broken
    assert caller.call(match).code == 500
    body = form_encode(caller.signed(caller.params(match)))
    headers = [kit.form]
    with running(caller.gateway) as url, httpx.Client(trust_env=False) as client:
        assert client.post(url, content=body, headers=headers).json()["Code"] == 500
        assert client.post(url, content=body, headers=headers).json()["Code"] == "SignatureNonceUsed"
        client.post(url, content=b"\xff" + NAME.encode(), headers=headers)
    in_process = httpx.Client(transport=InProcessTransport(caller.gateway))
    in_process.post("http://x/", content=body, headers=headers)  # not closed: that would close the database
    return picture


def secrets_of(picture: bytes) -> dict[str, bytes]:
    return {
        "name": NAME.encode(),
        "name, percent-encoded": quote(NAME).encode(),
        "name, utf-16": NAME.encode("utf-16-le"),
        "number": NUMBER.encode(),
        "number, in part": NUMBER[4:16].encode(),
        "picture": picture[200:240],
        "picture, base64": base64.b64encode(picture)[300:340],
        "secret": b"testsecret",
        "metainfo": b"geheim-app",
        "device model": b"geheim-model",
        "device token": b"geheim-token",
    }


@pytest.mark.storages("sqlite", "redis")
def test_no_log_record_holds_personal_data(caller: Any, kit: Any, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    picture = send_everything(caller, kit, tmp_path)
    assert len(caplog.records) > 20
    told = "\n".join(
        f"{record.getMessage()} {record.args!r} {record.exc_text} {record.stack_info}"
        for record in caplog.records
    ).encode("utf-8", "backslashreplace")
    assert [what for what, secret in secrets_of(picture).items() if secret in told] == []
    assert b"string to sign" not in told
    assert b"Traceback" not in told


@pytest.mark.storages("sqlite")
def test_the_database_and_its_journal_hold_none_of_it(caller: Any, kit: Any, tmp_path: Path) -> None:
    picture = send_everything(caller, kit, tmp_path)
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    secrets = secrets_of(picture) | {"template": kit.embedder().read(image).embedding.tobytes()[16:64]}
    assert caller.gateway.access_keys.get("testid").secret == "testsecret"
    for names in ({"authority.db", "authority.db-wal"}, {"authority.db"}):
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        assert names <= set(files)
        assert sum(map(len, files.values())) > 50_000
        for name, content in files.items():
            assert [what for what, secret in secrets.items() if secret in content] == [], name
        caller.gateway.close()  # writes the journal back into the database


@pytest.mark.storages("redis")
def test_neither_postgresql_s_tables_nor_redis_hold_any_of_it(
    caller: Any, kit: Any, tmp_path: Path, storage: Any, database: str
) -> None:
    picture = send_everything(caller, kit, tmp_path)
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    secrets = secrets_of(picture) | {"template": kit.embedder().read(image).embedding.tobytes()[16:64]}
    told: dict[str, bytes] = {}
    with caller.gateway.authority.store.read() as session:
        for table in inspect(session.connection()).get_table_names():
            rows = [tuple(row) for row in session.execute(text(f"SELECT * FROM {table}"))]
            cells = [cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row]
            told[table] = b" ".join(cells)
    with storage.redis_client(database) as client:
        for key in client.scan_iter():
            kind = client.type(key)
            value = (
                client.get(key)
                if kind == b"string"
                else b" ".join(b" ".join(x) for x in client.hgetall(key).items())
            )
            told[key.decode()] = key + b" " + value
    assert len(told["templates"]) > 200
    assert sum(":nonce:" in name for name in told) > 5
    assert sum(":count:" in name for name in told) > 1
    for name, content in told.items():
        assert [what for what, secret in secrets.items() if secret in content] == [], name
