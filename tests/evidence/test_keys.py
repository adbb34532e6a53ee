"""Key files: made apart, encrypted, never written over, and never taken for one another."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError, UsageError
from pipeline.evidence import (
    PASSPHRASE_VARIABLE,
    generate,
    read_passphrase,
    read_private_key,
    read_public_key,
)

PASSPHRASE = "sechs zufällige Wörter"


def public_pem(key: Any) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, str]:
    private, public = tmp_path / "away" / "private.pem", tmp_path / "gateway" / "public.pem"
    return private, public, generate(private, public, PASSPHRASE).key_id


def test_a_pair_is_made_and_read_back(made: tuple[Path, Path, str]) -> None:
    private, public, key_id = made
    assert read_public_key(public).key_id == key_id
    assert read_private_key(private, PASSPHRASE).key_id == key_id
    assert private.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert {path.name for path in (*private.parent.iterdir(), *public.parent.iterdir())} == {
        "private.pem",
        "public.pem",
    }


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_private_file_is_the_owner_s_alone(made: tuple[Path, Path, str], caplog: Any) -> None:
    private, public, _ = made
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    read_private_key(private, PASSPHRASE)
    assert caplog.records == []
    private.chmod(0o644)
    read_private_key(private, PASSPHRASE)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("taken", ["private", "public"])
def test_no_key_is_written_over(tmp_path: Path, taken: str) -> None:
    paths = {name: tmp_path / f"{name}.pem" for name in ("private", "public")}
    paths[taken].write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        generate(paths["private"], paths["public"], PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == [f"{taken}.pem"]
    assert paths[taken].read_text() == "mine"


def test_no_private_key_is_left_where_the_public_one_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="can't be written"):
        generate(tmp_path / "private.pem", tmp_path / "file" / "public.pem", PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_file_for_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two files"):
        generate(tmp_path / "a.pem", tmp_path / "a.pem", PASSPHRASE)


def test_a_passphrase_too_short_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer than 16"):
        generate(tmp_path / "a.pem", tmp_path / "b.pem", "fifteen letters")
    with pytest.raises(UsageError, match="longer than 1023"):
        generate(tmp_path / "a.pem", tmp_path / "b.pem", "x" * 1024)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("passphrase", ["", "another passphrase", "x" * 5000])
def test_another_passphrase_is_refused(made: tuple[Path, Path, str], passphrase: str) -> None:
    with pytest.raises(UsageError, match="can't be read with this passphrase") as caught:
        read_private_key(made[0], passphrase)
    assert passphrase not in caught.value.message or not passphrase


def test_an_unencrypted_private_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.pem"
    key = X25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(UsageError, match="not encrypted"):
        read_private_key(path, PASSPHRASE)


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(PASSPHRASE.encode())
    (tmp_path / "a").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    (tmp_path / "b").write_bytes(public_pem(key.public_key()))
    with pytest.raises(UsageError, match="not an X25519 key"):
        read_private_key(tmp_path / "a", PASSPHRASE)
    with pytest.raises(SettingsError, match="not an X25519 key"):
        read_public_key(tmp_path / "b")


def test_evidence_without_a_public_key_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no public key is named"):
        read_public_key(None)
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        read_public_key(tmp_path / "missing.pem")


def test_a_private_key_in_the_place_of_the_public_one_is_refused(made: tuple[Path, Path, str]) -> None:
    with pytest.raises(SettingsError, match="must not be on this machine"):
        read_public_key(made[0])


def test_a_file_with_two_public_keys_is_refused(made: tuple[Path, Path, str], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(made[1].read_bytes() + public_pem(X25519PrivateKey.generate().public_key()))
    with pytest.raises(SettingsError, match="exactly one"):
        read_public_key(both)


@pytest.mark.parametrize("raw", [bytes(32), b"\x01" + bytes(31)])
def test_points_that_give_no_secret_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "weak.pem"
    path.write_bytes(public_pem(X25519PublicKey.from_public_bytes(raw)))
    with pytest.raises(SettingsError, match="can't be used"):
        read_public_key(path)


@given(st.binary(max_size=300), st.booleans())
def test_files_of_any_kind_are_refused(tmp_path_factory: Any, data: bytes, framed: bool) -> None:
    path = tmp_path_factory.mktemp("any") / "key.pem"
    path.write_bytes(
        b"-----BEGIN PUBLIC KEY-----\n" + data + b"\n-----END PUBLIC KEY-----\n" if framed else data
    )
    with pytest.raises(SettingsError):
        read_public_key(path)
    with pytest.raises(UsageError):
        read_private_key(path, PASSPHRASE)


def test_the_passphrase_comes_from_the_file_or_else_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"eins zwei\r\nzweite Zeile\n")
    environ = {PASSPHRASE_VARIABLE: "from the environment"}
    assert read_passphrase(path, environ) == "eins zwei"
    assert read_passphrase(None, environ) == "from the environment"
    assert read_passphrase(None, {}) is None
    path.write_text("\n")
    with pytest.raises(UsageError, match="no passphrase"):
        read_passphrase(path, environ)
    with pytest.raises(UsageError, match="FileNotFoundError"):
        read_passphrase(tmp_path / "none", environ)
