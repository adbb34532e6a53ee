"""`livegate keys`: what it shows and does to the gateway that serves from the same database."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from pipeline.cli.keys import app
from pipeline.errors import LivegateError, StoreError, UsageError
from pipeline.protocol.signing import AccessKey

pytestmark = pytest.mark.storages("sqlite", "postgresql", "redis")
SQLITE = pytest.mark.storages("sqlite")  # the others keep no key files beside them
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}


@pytest.fixture
def keys(caller: Any, storage: Any, database: str, monkeypatch: Any) -> Any:
    """Run a sub-command against the caller's database; its JSON lines, or the error of the tree."""
    if (redis_url := storage.redis_url(database)) is not None:
        monkeypatch.setenv("LIVEGATE_REDIS_URL", redis_url)
    caller.now = time.time()

    def run(*arguments: str, status: int = 0) -> Any:
        options = ["--database", database, "--json"]
        result = CliRunner().invoke(app, [*arguments, *options])
        caller.now = time.time()  # the command has a clock of its own, and took its time
        if isinstance(result.exception, LivegateError):
            raise result.exception
        assert result.exit_code == status, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


def key_of(told: Any) -> AccessKey:
    content = json.loads(Path(told["file"]).read_text("utf-8"))
    return AccessKey(content["id"], content["secret"])


@SQLITE
def test_a_key_is_added_with_its_terms_and_can_be_used(caller: Any, keys: Any) -> None:
    terms = ["--method", "query", "--per-second", "9", "--per-day", "2", "--days", "3"]
    (told,) = keys("add", *terms)
    caller.key = key_of(told)
    assert caller.call({"method": "init"}).code == 403
    assert caller.call(QUERY).code == 400
    assert caller.call(QUERY).code == 402
    shown = {record["key_id"]: record for record in keys("list")}
    added = shown[caller.key.key_id]
    assert (added["state"], added["methods"], added["per_second"], added["per_day"]) == (
        "valid",
        ["query"],
        9,
        2,
    )
    assert shown["testid"]["methods"] == ["init", "match", "query"]
    caller.now += 3 * 24 * 3600 + 600
    assert caller.call(QUERY).code == 403


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_secret_goes_into_a_private_file_alone(keys: Any, tmp_path: Path) -> None:
    (told,) = keys("add", "--out", str(tmp_path / "a.json"))
    secret = key_of(told).secret
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert secret not in json.dumps([told, *keys("list")])


@SQLITE
def test_a_file_that_exists_is_kept_and_no_key_is_made(keys: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    for command in (["add"], ["rotate", "testid"]):
        with pytest.raises(UsageError):
            keys(*command, "--out", str(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_text() == "mine"
    assert [record["key_id"] for record in keys("list")] == ["testid"]


@SQLITE
def test_a_rotation_lets_both_keys_in_until_the_old_one_is_revoked(caller: Any, keys: Any) -> None:
    (told,) = keys("rotate", "testid")
    assert caller.call(QUERY).code == 400
    assert {record["state"] for record in keys("list")} == {"valid", "ending"}
    keys("revoke", "testid")
    assert caller.call(QUERY).code == "InvalidAccessKeyId.NotFound"
    caller.key = key_of(told)
    assert caller.call(QUERY).code == 400
    with pytest.raises(UsageError):
        keys("revoke", "testid")


def test_a_key_that_is_unknown_is_not_rotated_and_leaves_no_file(keys: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        keys("rotate", "nobody", "--out", str(tmp_path / "new.json"))
    assert not (tmp_path / "new.json").exists()


def test_a_locked_person_is_unlocked(caller: Any, keys: Any, kit: Any) -> None:
    for _ in range(10):
        assert caller.match(kit.picture(2)).code == 200
    assert caller.match(kit.picture(1)).sub_code is None
    assert caller.match(kit.picture(1)).message == "刷脸失败次数过多，请您稍后再试。"
    assert keys("unlock", "--cert-number", kit.number) == [{"event": "unlocked", "person": True}]
    assert caller.match(kit.picture(1)).data["score"] > 95
    named = ["--device-token", "t", "--device-model", "m", "--key", "testid"]
    assert keys("unlock", *named)[0] == {"event": "unlocked", "device": False, "key": True}
    with pytest.raises(UsageError):
        keys("unlock")


def test_the_audit_log_is_checked(caller: Any, keys: Any) -> None:
    caller.call(QUERY)
    caller.call(QUERY)
    (first,) = keys("audit")
    assert (first["ok"], first["rows"]) == (True, 2)
    assert keys("audit", "--anchor", first["anchor"])[0]["ok"]
    with caller.gateway.authority.store.write() as session:
        session.execute(text("UPDATE audit SET code = '200' WHERE seq = 2"))
    (second,) = keys("audit", status=6)
    assert (second["ok"], second["rows"]) == (False, 1)
    for anchor in ("x", "1:2", "１:" + "a" * 64):
        with pytest.raises(UsageError):
            keys("audit", "--anchor", anchor)


def test_people_get_a_table_without_secrets(caller: Any, database: str) -> None:
    result = CliRunner().invoke(app, ["list", "--database", database])
    assert result.exit_code == 0
    assert "testid" in result.stdout
    assert "testsecret" not in result.stdout
