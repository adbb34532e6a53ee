"""Database, migrations, keys at rest, and people."""

from __future__ import annotations

import base64
import io
import os
import stat
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from pipeline.errors import EnrollError, StoreError
from pipeline.gateway import Authority, Identity, ensure_access_key, open_authority, open_gateway
from pipeline.gateway.access import AccessKeys, grant_access_key
from pipeline.gateway.authority import EmbeddingModel, normalize_name
from pipeline.gateway.migrate import config
from pipeline.gateway.schema import Base, NonceRow, PersonRow, TemplateRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import KEY_VARIABLE, Vault, read_master_key
from pipeline.protocol.signing import AccessKey

MODEL = EmbeddingModel("net", "a" * 64)
ZHANG = Identity.of("张三", "11010519491231002X")


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=16).astype(np.float32)
    return vector / np.linalg.norm(vector)


@pytest.fixture
def new_file(tmp_path: Path) -> str:
    """URL of a SQLite file that is not there yet; the key's file will be beside it."""
    return f"sqlite:///{tmp_path / 'authority.db'}"


@pytest.fixture
def authority(database: str) -> Any:
    opened = open_authority(database)
    yield opened
    opened.store.close()


def test_the_migrations_make_what_the_classes_say(storage: Any) -> None:
    store = Store(storage.nothing())
    with store.read() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []
    store.close()


def test_the_migrations_can_be_taken_back_and_made_again(storage: Any) -> None:
    database = storage.nothing()
    store = Store(database)
    with store.write() as session:
        command.downgrade(config(session.connection()), "base")
    with store.read() as session:
        assert set(inspect(session.connection()).get_table_names()) <= {"alembic_version"}
    store.close()
    again = Store(database)
    with again.read() as session:
        assert session.scalars(select(PersonRow)).all() == []
    again.close()


def test_the_migrations_are_written_for_postgresql_too() -> None:
    settings = config()
    settings.cmd_opts = type("Options", (), {"x": ["dialect=postgresql"]})()
    settings.output_buffer = io.StringIO()
    with redirect_stdout(io.StringIO()):
        command.upgrade(settings, "head", sql=True)
    assert "CREATE TABLE nonces" in settings.output_buffer.getvalue()


def test_a_newer_schema_is_refused(storage: Any) -> None:
    database = storage.nothing()
    store = Store(database)
    with store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(database)


def test_sqlite_is_opened_as_documented(new_file: str) -> None:
    store = Store(new_file)
    with store.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "secure_delete")
        }
    store.close()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "secure_delete": 1}


@pytest.mark.storages("sqlite")
@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_every_file_is_the_owner_s_alone(caller: Any) -> None:
    ensure_access_key(caller.gateway)
    path = caller.gateway.authority.store.path
    files = [file for file in path.parent.iterdir() if file.is_file()]
    assert {file.name for file in files} >= {"authority.db", "authority.key", "authority.access_key.json"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "nonsense",
        "foo://x",
        "mysql+no://x",
    ],
)
def test_urls_that_can_not_be_used(url: str) -> None:
    with pytest.raises(StoreError):
        Store(url)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, " * 100)
    with pytest.raises(StoreError, match="DatabaseError"):
        Store(f"sqlite:///{path}")
    assert path.read_text().startswith("no database")


def test_errors_of_the_database_show_no_values(database: str) -> None:
    store = Store(database)
    with pytest.raises(StoreError) as caught, store.read() as session:
        session.execute(text("SELECT :value FROM nowhere"), {"value": "personal"})
    assert "personal" not in str(caught.value)
    assert caught.value.__suppress_context__
    store.close()


def test_a_unique_value_is_taken_once_and_the_rest_rolled_back(database: str) -> None:
    store = Store(database)
    with store.write() as session:
        session.add(NonceRow(digest="a", expires_at=1))
    with pytest.raises(IntegrityError), store.write() as session:
        session.add_all([NonceRow(digest="b", expires_at=1), NonceRow(digest="a", expires_at=1)])
    with store.read() as session:
        assert session.scalars(select(NonceRow.digest)).all() == ["a"]
    store.close()


# keys at rest


def test_sealed_bytes_open_in_their_place_only() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal(b"template", "row 1")
    assert vault.open(sealed, "row 1") == b"template"
    assert b"template" not in sealed
    assert sealed != vault.seal(b"template", "row 1")
    for other, place, data in [
        (Vault(b"l" * 32), "row 1", sealed),
        (vault, "row 2", sealed),
        (vault, "row 1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (vault, "row 1", sealed[:10]),
        (vault, "row 1", b""),
    ]:
        with pytest.raises(StoreError):
            other.open(data, place)


def test_digests_depend_on_key_purpose_and_where_the_parts_end() -> None:
    vault = Vault(b"k" * 32)
    digests = [
        vault.digest("identity", "ab", "c"),
        vault.digest("identity", "a", "bc"),
        vault.digest("identity", "abc"),
        vault.digest("other", "ab", "c"),
        Vault(b"l" * 32).digest("identity", "ab", "c"),
    ]
    assert len(set(digests)) == len(digests)
    assert vault.digest("identity", "ab", "c") == digests[0]


def test_the_key_file_is_made_once(tmp_path: Path, new_file: str) -> None:
    open_authority(new_file).store.close()
    first = (tmp_path / "authority.key").read_text()
    open_authority(new_file).store.close()
    assert (tmp_path / "authority.key").read_text() == first
    assert len(base64.b64decode(first.split("\n")[1])) == 32


def test_a_lost_or_foreign_key_is_told_and_no_new_one_is_made(tmp_path: Path, new_file: str) -> None:
    open_authority(new_file).store.close()
    key = tmp_path / "authority.key"
    right = key.read_text()
    key.unlink()
    with pytest.raises(StoreError, match="missing"):
        open_authority(new_file)
    assert not key.exists()
    key.write_text("x\n" + base64.b64encode(b"z" * 32).decode() + "\n")
    with pytest.raises(StoreError, match="not the one"):
        open_authority(new_file)
    key.write_text("garbage")
    with pytest.raises(StoreError, match="holds no key"):
        open_authority(new_file)
    key.write_text(right)
    open_authority(new_file).store.close()


def test_a_key_that_another_first_start_makes_meanwhile_is_used(monkeypatch: Any, new_file: str) -> None:
    """The other process writes its key and claims the new_file between our two looks."""
    from pipeline.gateway import opening

    first_look = opening.read_master_key
    others: list[Authority] = []

    def look(path: Path) -> bytes | None:
        found = first_look(path)
        if not others:
            monkeypatch.setattr(opening, "read_master_key", first_look)
            others.append(open_authority(new_file))
        return found

    monkeypatch.setattr(opening, "read_master_key", look)
    ours = open_authority(new_file)
    assert ours.vault.fingerprint == others[0].vault.fingerprint
    ours.store.close()
    others[0].store.close()


def test_the_environment_s_key_goes_before_the_file(monkeypatch: Any, tmp_path: Path, new_file: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(b"e" * 32).decode())
    open_authority(new_file).store.close()
    assert not (tmp_path / "authority.key").exists()
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(StoreError, match=KEY_VARIABLE):
        open_authority(new_file)
    assert read_master_key(None, {}) is None


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_key_file_that_others_can_read_is_warned_about(new_file: str, tmp_path: Path, caplog: Any) -> None:
    open_authority(new_file).store.close()
    (tmp_path / "authority.key").chmod(0o644)
    open_authority(new_file).store.close()
    assert "chmod 600" in caplog.text


# access keys


def test_an_access_key_is_made_once_and_found_again(new_file: str, kit: Any) -> None:
    gateway = open_gateway(new_file, embedder=kit.embedder())
    first = ensure_access_key(gateway)
    second = ensure_access_key(gateway)
    assert (first.created, second.created) == (True, False)
    assert first.key == second.key == gateway.access_keys.get(first.key.key_id)
    assert first.key.secret not in repr(first)
    gateway.close()


def test_an_imported_key_is_stored_and_no_file_is_written(new_file: str, tmp_path: Path, kit: Any) -> None:
    gateway = open_gateway(new_file, embedder=kit.embedder())
    granted = ensure_access_key(gateway, imported=AccessKey("from-env", "s1"))
    assert (granted.path, granted.created) == (None, False)
    assert not (tmp_path / "authority.access_key.json").exists()
    ensure_access_key(gateway, imported=AccessKey("from-env", "s2"))
    assert gateway.access_keys.get("from-env") == AccessKey("from-env", "s2")
    gateway.close()


@pytest.mark.parametrize("content", ["", "[]", '{"id":"a"}', '{"id":"","secret":"b"}', '{"id":1,"secret":2}'])
def test_an_access_key_file_that_holds_none(authority: Authority, tmp_path: Path, content: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    with pytest.raises(StoreError):
        grant_access_key(AccessKeys(authority.store, authority.vault), path, now=1.0)
    assert path.read_text() == content


# people


def test_a_template_comes_back_as_it_was(authority: Authority) -> None:
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    person = authority.find(ZHANG)
    assert person is not None
    assert np.array_equal(authority.templates(person, MODEL), unit(1)[None])


def test_templates_of_another_file_of_the_net_do_not_count(authority: Authority) -> None:
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    person = authority.find(ZHANG)
    assert authority.templates(person, EmbeddingModel("net", "b" * 64)) is None
    assert authority.templates(person, EmbeddingModel("other", "a" * 64)) is None


def test_re_enrolment_replaces_and_keep_adds(authority: Authority) -> None:
    first = authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    second = authority.enroll(ZHANG, unit(2), MODEL, now=2.0)
    person = authority.find(ZHANG)
    assert np.array_equal(authority.templates(person, MODEL), unit(2)[None])
    authority.enroll(ZHANG, unit(3), MODEL, now=3.0, keep=[second])
    assert len(authority.templates(person, MODEL)) == 2
    with authority.store.read() as session:
        old = session.get(TemplateRow, first)
        assert (old.revoked_at, old.data) == (2, None)


def test_a_new_net_leaves_the_old_net_s_templates(authority: Authority) -> None:
    newer = EmbeddingModel("net", "b" * 64)
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    authority.enroll(ZHANG, unit(2), newer, now=2.0)
    person = authority.find(ZHANG)
    assert len(authority.templates(person, MODEL)) == len(authority.templates(person, newer)) == 1


def test_one_number_has_one_name(authority: Authority) -> None:
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    with pytest.raises(EnrollError) as caught:
        authority.enroll(Identity.of("李四", "11010519491231002X"), unit(2), MODEL, now=2.0)
    assert "李四" not in str(caught.value)
    assert authority.find(Identity.of("李四", "11010519491231002X")) is None
    assert np.array_equal(authority.templates(authority.find(ZHANG), MODEL), unit(1)[None])


def test_revoking_erases_the_bytes(authority: Authority) -> None:
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    assert authority.revoke(ZHANG, now=2.0) == 1
    assert authority.revoke(ZHANG, now=3.0) == 0
    assert authority.revoke(Identity.of("x", "y"), now=3.0) == 0
    assert authority.templates(authority.find(ZHANG), MODEL) is None
    with authority.store.read() as session:
        assert session.scalars(select(TemplateRow.data)).all() == [None]


def test_a_template_moved_to_another_person_does_not_open(authority: Authority) -> None:
    authority.enroll(ZHANG, unit(1), MODEL, now=1.0)
    victim = Identity.of("李四", "440524188001010014")
    authority.enroll(victim, unit(2), MODEL, now=1.0)
    with authority.store.write() as session:
        session.execute(text("UPDATE templates SET person_id = :p"), {"p": authority.find(victim)})
    with pytest.raises(StoreError, match="does not open"):
        authority.templates(authority.find(victim), MODEL)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        (" 张 三 ", "张 三"),
        ("阿卜杜拉•买买提", "阿卜杜拉·买买提"),
        ("Ｚｈａｎｇ", "Zhang"),
        ("e\u0301", "é"),
        ("\u3000", ""),
    ],
)
def test_names_have_one_written_form(name: str, normal: str) -> None:
    assert normalize_name(name) == normal


def test_an_identity_shows_nothing() -> None:
    assert repr(ZHANG) == "Identity(...)"
