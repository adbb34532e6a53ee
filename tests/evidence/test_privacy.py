"""What can be read without the private key: nothing, in no file, journal, temporary file or log."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.evidence import export_sealed, list_records, purge, read_database

pytestmark = pytest.mark.storages("sqlite")


def secrets_of(kit: Any, picture: bytes) -> dict[str, bytes]:
    told = {
        "start of a JPEG": picture[:12],
        "name": kit.name.encode(),
        "name, percent-encoded": quote(kit.name).encode(),
        "name, escaped": kit.name.encode("unicode_escape"),
        "number": kit.number.encode(),
        "number, in part": kit.number[4:16].encode(),
        "consent": kit.consent.encode(),
        "consent, in part": b"2026/0001",
        "picture, base64": base64.b64encode(picture)[300:340],
    }
    for start in range(0, len(picture) - 24, 997):
        told[f"picture at {start}"] = picture[start : start + 24]
    return told


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_file_and_no_log_record_holds_anything_readable(
    make_client: Any, kit: Any, tmp_path: Path, caplog: Any, monkeypatch: Any
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for variable in ("TMPDIR", "SQLITE_TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    caplog.set_level("DEBUG")
    client = make_client()
    picture = kit.jpeg(1)
    assert picture[:4] == b"\xff\xd8\xff\xe0"
    secrets = secrets_of(kit, picture)
    assert len(secrets) > 30
    for _ in range(5):
        assert client.match(picture, quote(kit.consent, safe=""))["Code"] == 200
    client.match(picture, "%zz" + quote(kit.name))

    seen: set[str] = set()

    def look() -> None:
        for name, content in everything(tmp_path).items():
            seen.add(Path(name).name)
            assert [what for what, secret in secrets.items() if secret in content] == [], name

    look()
    records = list_records(client.store)
    assert sum(record.bytes for record in records) > 5 * len(picture)
    list(export_sealed(read_database(client.store, [record.id for record in records]), tmp_path / "boxes"))
    look()
    report = purge(client.store, now=kit.now, ids=[records[0].id])
    look()
    client.gateway.close()
    look()
    assert {"authority.db", "authority.db-wal", f"{records[0].id}.lgev"} <= seen

    told = "\n".join(f"{r.getMessage()} {r.args!r} {r.exc_text}" for r in caplog.records)
    told += repr((report, records, client.gateway)) + str(report.as_dict())
    assert f"sealed as {records[0].id}" in told
    assert [what for what, secret in secrets.items() if secret.decode("latin-1") in told] == []
    assert kit.name not in told
    assert kit.consent not in told


def test_a_list_names_no_person(client: Any, kit: Any) -> None:
    client.match(kit.jpeg(1), quote(kit.consent, safe=""))
    (record,) = list_records(client.store)
    shown = record.as_dict(now=kit.now)
    assert set(shown) == {"id", "request_id", "key_id", "bytes", "created_at", "expires_at", "due"}
    assert (shown["created_at"], shown["expires_at"]) == ("2026-11-24T00:27:22Z", "2027-05-23T00:27:22Z")
    assert shown["due"] is False
    assert record.as_dict(now=kit.now + 180 * kit.day)["due"] is True
    assert dataclasses.replace(record, expires_at=2**62).as_dict(now=kit.now)["expires_at"] == "unknown"
