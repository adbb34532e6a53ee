"""Evidence keys: X25519 pairs as PEM files. The gateway gets the public half and never sees the other."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from pipeline.errors import LivegateError, SettingsError, UsageError
from pipeline.gateway.vault import write_private_once

log = logging.getLogger("livegate.evidence")

PASSPHRASE_VARIABLE: Final = "LIVEGATE_EVIDENCE_PASSPHRASE"  # noqa: S105
"""Environment variable with the private key's passphrase."""
SHORTEST_PASSPHRASE: Final = 16
"""Characters. OpenSSL's PKCS8 stretches a passphrase with 2,048 rounds of PBKDF2 only (the library offers no
other number), so the passphrase itself has to carry the strength."""
LONGEST_PASSPHRASE: Final = 1023
"""Bytes of UTF-8: OpenSSL takes no more."""

_LONGEST_FILE: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Seals.

    Attributes:
        key: X25519 public key.
        key_id: first 16 bytes of the SHA-256 of its 32 raw bytes, as hex.
    """

    key: X25519PublicKey = field(repr=False)
    key_id: str


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Opens.

    Attributes:
        key: X25519 private key.
        key_id: id of its public key.
    """

    key: X25519PrivateKey = field(repr=False)
    key_id: str


def generate(private_path: Path, public_path: Path, passphrase: str) -> PublicKey:
    """Make a key pair: the private half as encrypted PKCS8 PEM of mode 600, the public one as PEM.

    Args:
        private_path: new file for the private key.
        public_path: new file for the public key.
        passphrase: `SHORTEST_PASSPHRASE` characters to `LONGEST_PASSPHRASE` bytes.

    Raises:
        UsageError: a file exists already, both paths are one, or the passphrase is too short or long.
        StoreError: a file can't be written.
    """
    if len(passphrase.encode("utf-8")) > LONGEST_PASSPHRASE:
        raise UsageError(f"the passphrase is longer than {LONGEST_PASSPHRASE} bytes")
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"the passphrase has fewer than {SHORTEST_PASSPHRASE} characters",
            hint="Take six random words, or what `openssl rand -base64 24` prints.",
        )
    if private_path.absolute() == public_path.absolute():
        raise UsageError("the two keys need two files", hint="Give --private and --public different paths.")
    for path in (private_path, public_path):
        if os.path.lexists(path):
            raise _taken(path)
    key = X25519PrivateKey.generate()
    secret = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode("utf-8"))
    )
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not write_private_once(private_path, secret.decode("ascii")):
        raise _taken(private_path)
    try:
        if not write_private_once(public_path, public.decode("ascii")):
            raise _taken(public_path)
        public_path.chmod(0o644)
    except BaseException:
        with contextlib.suppress(OSError):
            private_path.unlink()
        raise
    return PublicKey(key.public_key(), _key_id(key.public_key()))


def read_public_key(path: Path | None) -> PublicKey:
    """Read the key that pictures are sealed with, and try it.

    Args:
        path: PEM file with one X25519 public key.

    Raises:
        SettingsError: none is named, or the file has anything else. A private key is refused by name: it
            must not lie on the gateway's machine.
    """
    hint = "Name the public key of `livegate evidence keygen` in LIVEGATE_EVIDENCE_PUBLIC_KEY."
    if path is None:
        raise SettingsError("evidence is on, and no public key is named", hint=hint)
    data = _read(path, SettingsError, "the evidence public key", hint)
    if b"PRIVATE KEY" in data:
        raise SettingsError(
            "the evidence public key file holds a private key, which must not be on this machine",
            hint="Move it to where evidence is opened, and name the public key instead.",
        )
    if data.count(b"-----BEGIN") != 1:
        raise SettingsError("the evidence public key file does not hold exactly one PEM key", hint=hint)
    try:
        key = load_pem_public_key(data)
        if not isinstance(key, X25519PublicKey):
            raise SettingsError("the evidence public key is not an X25519 key", hint=hint)
        X25519PrivateKey.generate().exchange(key)  # fails for the points that give no secret (RFC 7748, 6.1)
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError("the evidence public key can't be used", hint=hint) from None
    return PublicKey(key, _key_id(key))


def read_private_key(path: Path, passphrase: str) -> PrivateKey:
    """Read a private key.

    Args:
        path: encrypted PKCS8 PEM.
        passphrase: what it is encrypted with.

    Raises:
        UsageError: no such file, another passphrase, another kind of key, or one that is not encrypted.
    """
    hint = "Give the private key of `livegate evidence keygen` and its passphrase."
    data = _read(path, UsageError, "the private key", hint)
    wrong = UsageError("the private key can't be read with this passphrase", hint=hint)
    if not passphrase:
        raise wrong
    try:
        key = load_pem_private_key(data, passphrase.encode("utf-8"))
    except TypeError:
        raise UsageError(
            "the private key is not encrypted",
            hint="Encrypt it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in OLD -out NEW",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise wrong from None
    if not isinstance(key, X25519PrivateKey):
        raise UsageError("the private key is not an X25519 key", hint=hint)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        log.warning("the private key file can be read by other users: chmod 600 it")
    return PrivateKey(key, _key_id(key.public_key()))


def read_passphrase(path: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The passphrase: first line of a file, else of the environment; None where neither is given.

    Raises:
        UsageError: the file can't be read or is empty.
    """
    if path is None:
        return environ.get(PASSPHRASE_VARIABLE) or None
    hint = "Give a text file whose first line is the passphrase."
    try:
        text = _read(path, UsageError, "the passphrase", hint).decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    line = text.partition("\n")[0].rstrip("\r")
    if not line:
        raise UsageError("the passphrase file has no passphrase in its first line", hint=hint)
    return line


def _key_id(key: X25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:16].hex()


def _read(path: Path, error: type[LivegateError], what: str, hint: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as problem:
        raise error(f"{what} file can't be read: {type(problem).__name__}", hint=hint) from None
    if len(data) > _LONGEST_FILE:
        raise error(f"{what} file is too long to be one", hint=hint)
    return data


def _taken(path: Path) -> UsageError:
    return UsageError(f"{path} exists already, and keys are never written over", hint="Take another name.")
